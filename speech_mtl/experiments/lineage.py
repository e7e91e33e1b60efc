"""Language after language: the runs that a run descends from, and what was forgotten on the way."""

from dataclasses import dataclass
from pathlib import Path

from speech_mtl.errors import InputError
from speech_mtl.experiments.evaluate import load_references, recognize
from speech_mtl.files import json_text, write_text
from speech_mtl.runs import Run
from speech_mtl.scoring.forgetting import before, what_was_forgotten
from speech_mtl.scoring.hypotheses import Model, TestSet
from speech_mtl.scoring.results import GenerationRow
from speech_mtl.scoring.summary import Forgotten
from speech_mtl.scoring.tables import generation_table
from speech_mtl.screen import Screen


@dataclass(frozen=True)
class _Heard:
    """What a generation makes of a language."""

    cer: float
    texts: list[str]
    references: list[str]
    spaced: bool


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


def write_forgetting(run: Run, split: str, num_replications: int = 10_000, screen: Screen | None = None) -> Path:
    """Recognises every language with every generation that has it, and writes the table of errors.

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
    screen = screen or Screen(quiet=True)
    line = generations(run)
    if len(line) < 2:
        raise InputError(
            f"{run.path} did not start from another run",
            expected="a run that `speech-mtl finetune` made",
            received="a run without init_from",
            action="give the youngest of several generations",
        )
    rows = _rows(line, _recognised(line, run, split, screen), split, num_replications)
    write_text(run.path / "forgetting.json", json_text(rows))
    path = run.path / "forgetting.md"
    write_text(path, generation_table(rows) + "\n")
    return path


def _recognised(line: list[Run], last: Run, split: str, screen: Screen) -> dict[tuple[int, str], _Heard]:
    """By generation and language, what was heard in the last run's manifests."""
    recipe, found = last.recipe(), {}
    for number, run in enumerate(line):
        recognizer = run.load()
        for language in screen.progress(run.recipe().languages, f"Recognising with {run.path.name}"):
            references = load_references(recipe, language, split, recognizer)
            score, hypotheses = recognize(recognizer, language, references, recipe.data)
            pairs = [(said, h.text) for said, h in zip(references.texts, hypotheses, strict=True) if said is not None]
            texts, heard = ([pair[i] for pair in pairs] for i in (0, 1))
            spaced = recognizer.tokenizers[language].spaced
            found[number, language] = _Heard(score.characters.rate, heard, texts, spaced)
    return found


def _rows(
    line: list[Run], heard: dict[tuple[int, str], _Heard], split: str, num_replications: int
) -> list[GenerationRow]:
    rows: list[GenerationRow] = []
    for (number, language), now in heard.items():
        first = next(heard[n, language] for n in range(len(line)) if (n, language) in heard)
        lost = _lost(language, first, now, num_replications) if first is not now else None
        rows.append(
            {
                "generation": number + 1,
                "run": str(line[number].path),
                "learnt": list(line[number].recipe().trained_languages),
                "language": language,
                "split": split,
                "cer": round(now.cer, 4),
                "growth": None if lost is None else round(lost.growth.value, 4),
                "growth_low": None if lost is None else round(lost.growth.low, 4),
                "growth_high": None if lost is None else round(lost.growth.high, 4),
                "same": lost is None or lost.same,
            }
        )
    return rows


def _lost(language: str, first: _Heard, now: _Heard, num_replications: int) -> Forgotten:
    ids = [str(i) for i in range(len(first.references))]
    test_set = TestSet(language, first.spaced, ids, [None] * len(ids), first.references)
    model = Model("later", 0.0, 0)
    test_set.add(before(model), ids, first.texts)
    test_set.add(model, ids, now.texts)
    (found,) = what_was_forgotten([test_set], num_replications)
    return found
