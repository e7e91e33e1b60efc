"""Recognises a split and counts the errors."""

import hashlib
import os
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from speech_mtl.data.examples import Column, Examples, damaged_words, mixed_words
from speech_mtl.data.languages import named_or_only
from speech_mtl.data.store import Skipped
from speech_mtl.datatypes import PSEUDO_LABEL, SPLITS, Hypothesis, Utterance
from speech_mtl.decoding.recognizer import Recognizer
from speech_mtl.errors import InputError, no_such
from speech_mtl.files import json_text, write_text
from speech_mtl.run.calibration import RecognizedWord, recognized_words, save_calibrations
from speech_mtl.run.checkpoint import load_recognizer
from speech_mtl.run.evaluated import (
    evaluated_path,
    evaluation_folder,
    hypotheses_path,
    write_evaluated,
    write_hypotheses,
)
from speech_mtl.run.folder import Run
from speech_mtl.run.held_out import check_held_out, tell_speakers, trained_by
from speech_mtl.run.plateau import is_on_plateau, plateau_text
from speech_mtl.run.speech import Split, Wrap, open_split, silent, with_features
from speech_mtl.scoring.error_rate import Score, TaskScore, score
from speech_mtl.scoring.rows import EvaluationRow, LabelErrors, TaskRow, evaluation_row
from speech_mtl.scoring.tables import escaped, evaluation_table, task_table, write_results
from speech_mtl.screen import Screen
from speech_mtl.settings.data import DataSettings
from speech_mtl.settings.decoding import DecodingSettings, decoding_note
from speech_mtl.settings.recipe import Recipe
from speech_mtl.targets.target import ScoredTarget

LONGEST_NAME = 100
"""Largest length in bytes of another manifest's name: it becomes part of file names, which may have 255."""


@dataclass(frozen=True)
class References:
    """The content of a split: audio with its labels, ids, speakers and normalised transcripts, in one order.

    Attributes:
        split: Which utterances of which manifest.
        examples: Audio and labels.
        ids: Of the utterances.
        speakers: Who speaks; None where unknown.
        texts: Transcripts; None where unknown.
        num_out_of_vocabulary: By task, labels with out-of-vocabulary classes or tags, which are left out.
    """

    split: Split
    examples: Examples
    ids: list[str]
    speakers: list[str | None]
    texts: list[str | None]
    num_out_of_vocabulary: dict[str, int]


def load_references(
    recipe: Recipe, language: str, split: str, recognizer: Recognizer, wrap: Wrap = silent
) -> References:
    """Opens a dev or test split for a recogniser. Its transcripts need not be in the tokeniser's vocabulary.

    Raises:
        InputError: The manifest is missing or broken, too many of its utterances cannot be used, none has a text, or a
            label is not one of its task.
    """
    opened, tokenizer = open_split(recipe, language, split, wrap), recognizer.tokenizers[language]
    skipped = list(opened.store.skipped.values())
    _refuse_pseudo_labels(opened, kept := list(opened.utterances()))
    texts = []
    for utterance in kept:
        refused = utterance.text is not None and tokenizer.refusal(utterance.text)
        if refused:
            skipped.append(
                Skipped(utterance.source, "numbers or words refused", f"its errors are not counted: {refused}")
            )
        texts.append(None if refused or utterance.text is None else tokenizer.normalize(utterance.text))
    if not any(texts):
        raise InputError(
            f"{opened.manifest}: no transcript has any text, so errors cannot be counted",
            expected="letters in at least one transcript",
            received=f"{len(texts)} transcripts, such as {kept[0].text!r}",
            action="check the field 'text' of the manifest",
        )
    columns, num_out_of_vocabulary = {}, {}
    for name, task in recognizer.tasks.items():
        encoded = [task.encode(utterance, language) for utterance in kept]
        columns[name] = Column.of(task, encoded, recognizer.model.frame_times_s)
        num_out_of_vocabulary[name] = sum(task.is_out_of_vocabulary(utterance, language) for utterance in kept)
    damaged = [word for utterance in kept for word in damaged_words(utterance)]
    mixed = [word for utterance in kept for word in mixed_words(utterance, language)]
    examples = Examples(opened.store, opened.positions, columns, skipped, damaged=damaged, mixed=mixed)
    examples = with_features(recipe, opened, examples, recognizer.model.features, wrap=wrap)
    ids, speakers = [utterance.id for utterance in kept], [utterance.speaker for utterance in kept]
    return References(opened, examples, ids, speakers, texts, num_out_of_vocabulary)


def _refuse_pseudo_labels(split: Split, utterances: Iterable[Utterance]) -> None:
    """A network must not be measured against the hypotheses of another."""
    found = [one.source for one in utterances if PSEUDO_LABEL in one.labels]
    if found and split.split != "train":
        raise InputError(
            f"{found[0]}: the text is a pseudo-label, and this is {split.split} speech",
            expected="transcripts by people in dev and test speech",
            received=f"{len(found)} utterances with the label {PSEUDO_LABEL}",
            action="take these lines out of the manifest, or use it as training speech",
        )


def recognize(
    recognizer: Recognizer, language: str, references: References, data: DataSettings
) -> tuple[Score, list[Hypothesis]]:
    """Recognises a split with its own language's output layer; hypotheses come in the order of the references."""
    found = recognizer.transcribe_examples(
        references.examples, references.ids, language, data.batch_s, data.num_threads
    )
    by_id = {hypothesis.id: hypothesis for hypothesis in found}
    hypotheses = [by_id[name] for name in references.ids]
    spaced = recognizer.tokenizers[language].spaced
    pairs = [(text, h.text) for text, h in zip(references.texts, hypotheses, strict=True) if text is not None]
    return score(*zip(*pairs, strict=True), spaced=spaced), hypotheses


def task_score(errors: Sequence[LabelErrors]) -> TaskScore:
    """The errors of all utterances in a task."""
    known = [pair for pair in errors if pair is not None]
    columns = np.array(known).reshape(-1, 2).sum(axis=0)
    return TaskScore(float(columns[0]), float(columns[1]), len(known))


def label_errors(task: ScoredTarget, references: References, hypotheses: Sequence[Hypothesis]) -> list[LabelErrors]:
    """Errors of each utterance in a task, and what they are counted against; None where nothing is known."""
    column, examples = references.examples.targets[task.name], references.examples
    found: list[LabelErrors] = []
    for i, hypothesis in enumerate(hypotheses):
        values = column.values(i, int(examples.num_samples[i]))
        known = not np.isnan(values).all()
        found.append(task.errors(np.asarray(hypothesis.labels[task.name]), values) if known else None)
    return found


def evaluate(
    run: Run,
    splits: Iterable[str] = ("dev", "test"),
    languages: Iterable[str] | None = None,
    screen: Screen | None = None,
    compare_with_training: bool = True,
    decoding: DecodingSettings | None = None,
    name: str = "",
) -> list[EvaluationRow]:
    """Evaluates a run's best weights, and writes tables and hypotheses into its folder.

    With the validation set, it also calibrates the confidences of words.

    Args:
        run: The run.
        splits: Some of `dev`, `test` and `train`.
        languages: All of the run if None.
        screen: Where progress is shown.
        compare_with_training: Whether to report speech and speakers that are in training, too.
        decoding: How hypotheses are found; as the run's settings tell if None.
        name: Of a decoder of a comparison: the files lie in `decoders/NAME`, and the run's own stay.

    Returns:
        One row per language and split.

    Raises:
        InputError: The run is not trained, a language has no output layer, or a split cannot be read.
    """
    wanted = list(languages or ())
    evaluation = _Evaluation(run, screen, decoding, wanted, name)
    splits = _known(splits)
    languages = list(dict.fromkeys(map(evaluation.recognizer.own_name, wanted or evaluation.recipe.languages)))
    for language in languages:
        evaluation.recognizer.decoder(language)  # a missing language model is refused before the first is evaluated
    evaluated_path(run, name).unlink(missing_ok=True)
    for language in languages:
        for split in splits:
            evaluation.add(evaluation.recipe, language, split, split)
    if compare_with_training:
        evaluation.compare_with_training()
    evaluation.write("")
    save_calibrations(run, evaluation.decoding, evaluation.recognized_words, evaluation.screen)
    write_evaluated(run, evaluation.decoding, evaluation.splits, name)
    return evaluation.rows


def evaluate_manifest(
    run: Run,
    manifest: Path,
    language: str | None = None,
    screen: Screen | None = None,
    decoding: DecodingSettings | None = None,
) -> tuple[EvaluationRow, str]:
    """Evaluates a run on a manifest other than its own; the results of its own splits are not changed.

    The output layer is that of the language, the run's only one if None; decoding as for `evaluate`.

    Returns:
        The row, whose split is `held_out_name`; and LANGUAGE_NAME, which the files have in their names.

    Raises:
        InputError: The run is not trained or has several languages, or the manifest cannot be read.
    """
    evaluation = _Evaluation(run, screen, decoding, [language] if language else [])
    name = held_out_name(manifest)
    problem = f"{run.path} has several languages, and --manifest is of one"
    language = named_or_only(language, list(evaluation.recipe.languages), problem)
    own = evaluation.recipe.languages[language]
    there = own.model_copy(update={"manifests": own.manifests | {"test": manifest}})
    recipe = evaluation.recipe.overridden({"languages": evaluation.recipe.languages | {language: there}})
    evaluation.add(recipe, language, "test", name)
    evaluation.compare_with_training()
    evaluation.write(f"-{language}_{name}")
    return evaluation.rows[0], f"{language}_{name}"


def held_out_name(manifest: Path) -> str:
    """Name of the split of another manifest: that of the file, or of folder and file where the file is `test`.

    A digest of where it lies keeps manifests of the same name apart.
    """
    path = manifest.resolve()
    name = f"{path.parent.name}-{path.stem}" if path.stem in SPLITS else path.stem
    start = re.sub(r"[^\w.-]+", "_", name).encode()[:LONGEST_NAME].decode(errors="ignore")
    return f"{start}-{hashlib.sha256(os.fsencode(path)).hexdigest()[:8]}"


class _Evaluation:
    """Rows and hypotheses of a run while they are found."""

    def __init__(
        self,
        run: Run,
        screen: Screen | None,
        decoding: DecodingSettings | None,
        languages: Sequence[str],
        decoder_name: str = "",
    ):
        self.run, self.screen, self.recipe = run, screen or Screen(quiet=True), run.recipe()
        self.decoder_name = decoder_name
        self.decoding = decoding or self.recipe.decoding
        self.recognizer = load_recognizer(run, self.decoding, calibrated=False, languages=languages)
        self.rows: list[EvaluationRow] = []
        self.task_rows: list[TaskRow] = []
        self.splits: list[Split] = []
        self.stuck: list[str] = []
        self.recognized_words: dict[str, list[RecognizedWord]] = {}
        _tell_unfinished(run, self.screen)

    def add(self, recipe: Recipe, language: str, split: str, name: str) -> None:
        """Recognises a split, and writes its hypotheses under a name."""
        references = load_references(recipe, language, split, self.recognizer, self.screen.progress)
        report_skipped(references, self.screen)
        counts, hypotheses = recognize(self.recognizer, language, references, recipe.data)
        tasks = self.recognizer.tasks
        errors = {task_name: label_errors(task, references, hypotheses) for task_name, task in tasks.items()}
        path = hypotheses_path(self.run, language, name, self.decoder_name)
        write_hypotheses(path, references.texts, hypotheses, tasks, errors)
        if name == "dev":
            self.recognized_words[language] = recognized_words(references.texts, hypotheses)
        normalizer = self.recognizer.tokenizers[language].normalizer
        self.rows.append({**evaluation_row(language, name, counts), "normalizer": normalizer})
        if is_on_plateau(counts):
            self.stuck.append(f"{language} ({name})")
        self.task_rows += _task_rows(tasks, language, name, errors)
        self.splits.append(replace(references.split, split=name))

    def compare_with_training(self) -> None:
        """Reports which of the speech and which speakers are in training."""
        held_out = [split for split in self.splits if split.split != "train"]
        training = trained_by(self.run, self.recipe.data.cache_dir)
        check_held_out(held_out, training, None, self.screen)
        tell_speakers(held_out, training, self.screen)

    def write(self, suffix: str) -> None:
        """Writes rows and tables; tables name the decoder if it is not the default."""
        tables = [evaluation_table(self.rows), *([task_table(self.task_rows)] if self.task_rows else [])]
        if about := decoding_note(self.decoding):
            used = [f"{name}: {one.about}" for name, one in self.recognizer.decoders.items() if one.about]
            tables.append(escaped("; ".join([about, *used])))
        folder = evaluation_folder(self.run, self.decoder_name)
        write_text(folder / f"tasks{suffix}.json", json_text(self.task_rows))
        write_results(folder, f"evaluation{suffix}", self.rows, "\n\n".join(tables))
        if self.stuck:
            self.screen.warn(plateau_text(self.stuck, self.recipe))


def _tell_unfinished(run: Run, screen: Screen) -> None:
    """Warns if a run was stopped before its end."""
    progress, training = run.progress(), run.recipe().training
    if not progress.with_patience(training.patience).finished(training.num_updates):
        screen.warn(
            f"{run.path} is not finished: update {progress.update} of {training.num_updates}; these are the best "
            f"weights so far, of update {progress.best_update}"
        )


def _task_rows(
    tasks: Mapping[str, ScoredTarget], language: str, split: str, errors: Mapping[str, Sequence[LabelErrors]]
) -> list[TaskRow]:
    scores = {name: task_score(own) for name, own in errors.items()}
    return [
        {
            "task": name,
            "metric": tasks[name].metric,
            "language": language,
            "split": split,
            "num_utterances": len(errors[name]),
            "num_labelled": score.num_labelled,
            "value": None if score.error is None else tasks[name].score(score.error),
            "errors": score.errors,
            "counted": score.counted,
        }
        for name, score in scores.items()
    ]


def _known(splits: Iterable[str]) -> list[str]:
    splits = list(splits)
    for split in splits:
        if split not in SPLITS:
            raise no_such(f"There is no split {split!r}", split, SPLITS)
    return splits


def report_damaged(examples: Examples, screen: Screen) -> None:
    """Reports in how many transcripts letters seem to be lost or of another script, and names the first ones."""
    for problem, found in (
        ("letters seem to be lost in {} transcripts, by a wrong encoding", examples.damaged),
        ("letters of another script that look alike are in {} words", examples.mixed),
    ):
        if found:
            first = "; ".join(found[:3]) + (" ..." if len(found) > 3 else "")
            screen.warn(f"{problem.format(len(found))}: {first}")


def report_skipped(references: References, screen: Screen) -> None:
    """Reports which utterances and labels are left out, and where letters seem to be lost."""
    report_damaged(references.examples, screen)
    for skip in references.examples.skipped:
        screen.warn(f"{skip.source}: left out: {skip.message}")
    for task, number in references.num_out_of_vocabulary.items():
        if number:
            screen.warn(
                f"{task}: {number} labels have classes, tags or phones that training has not; these are left out"
            )
