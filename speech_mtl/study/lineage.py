"""Runs fine-tuned one from another, language after language: their lineage and forgetting."""

from dataclasses import astuple
from pathlib import Path

from speech_mtl.errors import InputError
from speech_mtl.files import json_text, write_text
from speech_mtl.run.changes import Now
from speech_mtl.run.checkpoint import load_recognizer
from speech_mtl.run.folder import Run
from speech_mtl.run.made_from import made_from
from speech_mtl.run.references import load_references, recognize
from speech_mtl.screen import SILENT, Screen
from speech_mtl.study.report.language_tables import generations_table
from speech_mtl.study.report.markdown import render_block
from speech_mtl.study.statistics.forgetting import Generation, what_was_forgotten
from speech_mtl.study.statistics.hypotheses import Model, TestSet, before
from speech_mtl.study.statistics.rows import Arm
from speech_mtl.study.statistics.summary import Estimate


def generations(run: Run) -> list[Run]:
    """The run, after those that it descends from, the oldest first.

    Raises:
        InputError: One of them is not there, or a run descends from itself.
    """
    found = [run]
    while (source := found[-1].recipe().init_from) is not None:
        if any(source.resolve() == other.path.resolve() for other in found):
            raise InputError(
                f"{found[-1].path} descends from itself",
                expected="runs of which each started from an older one",
                received=f"init_from: {source}",
                action="give a run that was not moved into the place of the one it started from",
            )
        found.append(Run(source))
    return found[::-1]


def write_forgetting(run: Run, split: str, num_replications: int, screen: Screen = SILENT) -> Path:
    """Recognises every language of a run with every generation that has it, and writes the table of errors.

    Errors are compared with those of the first generation that spells the language in the same tokens.

    Args:
        run: The youngest one; its manifests are those that all are tested on.
        split: `dev` or `test`.
        num_replications: Of the bootstrap that gives the intervals.
        screen: Where progress is shown.

    Returns:
        RUN/forgetting.md; the rows are in forgetting.json beside it.

    Raises:
        InputError: The run did not start from another one, or a manifest or a run cannot be read.
    """
    line = generations(run)
    if len(line) < 2:
        raise InputError(
            f"{run.path} did not start from another run",
            expected="a run that `speech-mtl finetune` made",
            received="a run without init_from",
            action="give the youngest of several generations",
        )
    for one in line[1:]:
        for change in Now().start_changes(made_from(one), one.recipe()):
            screen.warn(f"{one.path}: {change}: what it lost is not told by this table")
    languages = run.recipe().languages
    lost = dict.fromkeys(name for one in line for name in one.recipe().languages if name not in languages)
    if lost:
        screen.warn(f"{', '.join(lost)}: left out, because {run.path} does not recognise them")
    rates, test_sets = _recognised(line, split, screen)
    rows = _rows(line, rates, test_sets, split, num_replications)
    write_text(run.path / "forgetting.json", json_text(rows))
    path = run.path / "forgetting.md"
    write_text(path, render_block(generations_table(rows), {}) + "\n")
    return path


def _recognised(line: list[Run], split: str, screen: Screen) -> tuple[dict[tuple[int, str], float], list[TestSet]]:
    """Errors in the manifests of the last run, by generation and language; and hypotheses, now and at first."""
    recipe, rates, test_sets = line[-1].recipe(), {}, {}
    for number, run in enumerate(line):
        recognizer = load_recognizer(run, recipe.decoding)
        languages = [language for language in run.recipe().languages if language in recipe.languages]
        for language in screen.progress(languages, f"Recognising with {run.path.name}"):
            references = load_references(recipe, language, split, recognizer)
            score, hypotheses = recognize(recognizer, language, references, recipe.data)
            rates[number, language] = score.characters.rate
            utterances = {
                h.id: (text, speaker, h.text)
                for h, text, speaker in zip(hypotheses, references.texts, references.speakers, strict=True)
                if text is not None
            }
            texts, speakers, hypotheses = map(list, zip(*utterances.values(), strict=True))
            tokenizer = recognizer.tokenizers[language]
            key = language, type(tokenizer)  # another kind writes other transcripts
            if key not in test_sets:
                test_set = TestSet(language, tokenizer.spaced, list(utterances), speakers, texts)
                test_sets[key] = test_set, list(utterances), hypotheses
                continue
            test_set, *first = test_sets[key]
            test_set.add(before(_model(number)), *first)
            test_set.add(_model(number), list(utterances), hypotheses)
    return rates, [test_set for test_set, *_ in test_sets.values() if test_set.hypotheses]


def _model(number: int) -> Model:
    """The model of a generation in a test set."""
    return Model(Arm(str(number)), budget_s=0.0, seed=0)


def _rows(
    line: list[Run], rates: dict[tuple[int, str], float], test_sets: list[TestSet], split: str, num_replications: int
) -> list[Generation]:
    forgotten = {(one.arm, one.language): one for one in what_was_forgotten(test_sets, num_replications)}
    rows = []
    for (number, language), rate in rates.items():
        run, lost = line[number], forgotten.get((_model(number).arm, language))
        growth = lost and Estimate(*(round(end, 4) for end in astuple(lost.growth)))
        told = round(rate, 4), growth, lost is None or lost.same
        rows.append(Generation(number + 1, str(run.path), list(run.recipe().trained_languages), language, split, *told))
    return rows
