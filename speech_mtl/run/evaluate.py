"""Recognises a split and counts the errors."""

import hashlib
import os
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from speech_mtl.data.languages import named_or_only
from speech_mtl.datatypes import SPLITS
from speech_mtl.errors import InputError, no_such
from speech_mtl.files import json_text, write_text
from speech_mtl.run.calibration import RecognizedWord, recognized_words, save_calibrations
from speech_mtl.run.checkpoint import load_recognizer
from speech_mtl.run.evaluated import SavedEvaluation
from speech_mtl.run.folder import Run
from speech_mtl.run.held_out import check_held_out, tell_speakers, trained_on
from speech_mtl.run.plateau import is_on_plateau, plateau_text, tell_unfinished
from speech_mtl.run.references import intervals_of, label_errors, load_references, recognize, report_skipped, task_score
from speech_mtl.run.speech import Split
from speech_mtl.scoring.rows import EvaluationRow, LabelErrors, TaskRow, evaluation_row
from speech_mtl.scoring.tables import escaped, evaluation_table, task_table
from speech_mtl.screen import SILENT, Screen
from speech_mtl.settings.decoding import DecodingSettings, decoding_note
from speech_mtl.settings.recipe import Recipe
from speech_mtl.targets.target import ScoredTarget

LONGEST_NAME = 100
"""Largest length in bytes of another manifest's name: it becomes part of file names, which may have 255."""


def evaluate(
    run: Run,
    splits: Iterable[str] = ("dev", "test"),
    languages: Iterable[str] | None = None,
    screen: Screen = SILENT,
    compare_with_training: bool = True,
    decoding: DecodingSettings | None = None,
    name: str = "",
) -> list[EvaluationRow]:
    """Evaluates a run's best weights, and writes tables and hypotheses into its folder.

    With the validation set, it also calibrates the confidences of words.

    Args:
        splits: Some of `dev`, `test` and `train`.
        languages: All of the run if None.
        compare_with_training: Whether to report speech and speakers that are in training, too.
        decoding: How hypotheses are found; as the run's settings tell if None.
        name: Of a decoder of a comparison: the files lie in `decoders/NAME`, and the run's own stay.

    Returns:
        One row per language and split.

    Raises:
        InputError: The run is not trained, a language has no output layer, or a split cannot be read.
    """
    wanted = list(languages or ())
    evaluation = _Evaluation(SavedEvaluation(run, name), screen, decoding, wanted)
    splits = _known(splits)
    languages = list(dict.fromkeys(map(evaluation.recognizer.own_name, wanted or evaluation.recipe.languages)))
    for language in languages:
        evaluation.recognizer.decoder(language)  # a missing language model is refused before the first is evaluated
    _tell_replaced(evaluation.saved, [(language, split) for language in languages for split in splits], screen)
    evaluation.saved.evaluated_path.unlink(missing_ok=True)
    for language in languages:
        for split in splits:
            evaluation.add(evaluation.recipe, language, split, split)
    if compare_with_training:
        evaluation.compare_with_training()
    evaluation.write("")
    weights = evaluation.recognizer.weights
    save_calibrations(run, weights, evaluation.decoding, evaluation.recognized_words, evaluation.screen)
    evaluation.saved.write_evaluated(weights, evaluation.decoding, evaluation.splits)
    return evaluation.rows


def evaluate_manifest(
    run: Run,
    manifest: Path,
    language: str | None = None,
    screen: Screen = SILENT,
    decoding: DecodingSettings | None = None,
) -> tuple[EvaluationRow, str]:
    """Evaluates a run on a manifest other than its own; the results of its own splits are not changed.

    The output layer is that of the language, the run's only one if None; decoding as for `evaluate`.

    Returns:
        The row, whose split is `held_out_name`; and LANGUAGE_NAME, which the files have in their names.

    Raises:
        InputError: The run is not trained or has several languages, or the manifest cannot be read.
    """
    evaluation = _Evaluation(SavedEvaluation(run), screen, decoding, [language] if language else [])
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
        self, saved: SavedEvaluation, screen: Screen, decoding: DecodingSettings | None, languages: Sequence[str]
    ):
        run = saved.run
        self.saved, self.screen, self.recipe = saved, screen, run.recipe()
        self.decoding = decoding or self.recipe.decoding
        self.recognizer = load_recognizer(run, self.decoding, calibrated=False, languages=languages)
        self.rows: list[EvaluationRow] = []
        self.task_rows: list[TaskRow] = []
        self.splits: list[Split] = []
        self.stuck: list[str] = []
        self.recognized_words: dict[str, list[RecognizedWord]] = {}
        tell_unfinished(run, self.screen)

    def add(self, recipe: Recipe, language: str, split: str, name: str) -> None:
        """Recognises a split, and writes its hypotheses under a name."""
        references = load_references(recipe, language, split, self.recognizer, self.screen.progress)
        report_skipped(references, self.screen)
        counts, hypotheses = recognize(self.recognizer, language, references, recipe.data)
        tasks = self.recognizer.tasks
        errors = {task_name: label_errors(task, references, hypotheses) for task_name, task in tasks.items()}
        self.saved.write_hypotheses(language, name, references.texts, hypotheses, tasks, errors)
        if name == "dev":
            self.recognized_words[language] = recognized_words(references.texts, hypotheses)
        tokenizer, texts = self.recognizer.tokenizers[language], [hypothesis.text for hypothesis in hypotheses]
        intervals = intervals_of(references, texts, tokenizer.spaced)
        row = evaluation_row(language, name, counts)
        self.rows.append({**row, "intervals": intervals, "normalizer": tokenizer.normalizer})
        if is_on_plateau(counts, references.texts, texts):
            self.stuck.append(f"{language} ({name})")
        self.task_rows += _task_rows(tasks, language, name, errors)
        self.splits.append(replace(references.split, split=name))

    def compare_with_training(self) -> None:
        """Reports which of the speech and which speakers are in training."""
        held_out = [split for split in self.splits if split.split != "train"]
        training = trained_on([self.saved.run], self.recipe.data.cache_dir)
        check_held_out(held_out, training, None, self.screen)
        tell_speakers(held_out, training, self.screen)

    def write(self, suffix: str) -> None:
        """Writes rows and tables; tables name the decoder if it is not the default."""
        tables = [evaluation_table(self.rows), *([task_table(self.task_rows)] if self.task_rows else [])]
        if about := decoding_note(self.decoding):
            used = [f"{name}: {one.about}" for name, one in self.recognizer.decoders.items() if one.about]
            tables.append(escaped("; ".join([about, *used])))
        folder = self.saved.folder
        write_text(folder / f"tasks{suffix}.json", json_text(self.task_rows))
        write_text(folder / f"evaluation{suffix}.json", json_text(self.rows))
        write_text(folder / f"evaluation{suffix}.md", "\n\n".join(tables) + "\n")
        if self.stuck:
            self.screen.warn(plateau_text(self.stuck, self.recipe))


def _tell_replaced(saved: SavedEvaluation, wanted: Sequence[tuple[str, str]], screen: Screen) -> None:
    """Names the rows of an earlier evaluation that this one does not make again."""
    try:
        earlier = [(row["language"], row["split"]) for row in saved.rows()]
    except InputError:  # there is none, or a damaged one, which this one replaces
        return
    if others := [" ".join(pair) for pair in earlier if pair not in wanted]:
        screen.say(f"{saved.path} held {', '.join(others)}, too: it will hold this evaluation only")


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
    splits = list(dict.fromkeys(splits))
    for split in splits:
        if split not in SPLITS:
            raise no_such(f"There is no split {split!r}", split, SPLITS)
    return splits
