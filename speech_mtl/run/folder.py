"""The folder of a run: its files, and how they are read. Weights and training state: see `checkpoint`.

RUN/settings.yaml               all settings, defaults written out
RUN/format.json                 written first: the version of all this, and of the package that wrote it
RUN/made_from.json              digests of the speech, weights and code that it was made from
RUN/tokenizers/LANGUAGE.json    tasks/NAME.json
RUN/labels.json                 how many training utterances have a label of each task, and of how many
RUN/parameters.json             how many there are, are trained, and belong to each language
RUN/public_models.json          of a run with a public encoder: its licence and a digest
RUN/start.json                  of a run that started from another: each weight as kept, new or left out
RUN/pseudo_labels/LANGUAGE.*    of a student: what its teacher recognised, and what was left out; see `pseudo_labelled`
RUN/checkpoints/000500/         training resumes from here; the newest one is kept
    encoder.safetensors  heads/LANGUAGE.safetensors  tasks/NAME.safetensors or, of CTC, tasks/NAME/LANGUAGE.safetensors
    optimizer.safetensors  weighting.safetensors  random.safetensors  progress.json
    contents.json               digests of these files, and what they mean nothing without; see `contents`
    in place of the encoder:    own/LANGUAGE.safetensors beside it, or columns/0.safetensors ... laterals/1.safetensors
RUN/best/000400/                the weights with the lowest dev error, without the optimiser
RUN/log.jsonl  tensorboard/     losses and errors by update; the log names the commit that trained, too
RUN/evaluation.json, .md        made by `speech-mtl evaluate`; hypotheses in hypotheses/LANGUAGE-SPLIT.jsonl, errors of
                                other tasks in tasks.json; with --manifest in evaluation-LANGUAGE_NAME-DIGEST.*
RUN/decoders/NAME/              the same with a decoder of `compare.decoders`
RUN/lm/LANGUAGE/                made by `speech-mtl lm`; see `stored_lm`
RUN/evaluated.json              digests of what that was made from, and how it was decoded
RUN/calibration.json            of confidences, by language; made when the validation set is evaluated
RUN/forgetting.json, .md        made by `speech-mtl forgetting`: errors of the runs that it descends from
RUN/languages.json              how languages are detected, made by the first `speech-mtl transcribe` that detects one
"""

import json
import math
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import NotRequired

from filelock import FileLock, Timeout
from typing_extensions import TypedDict

from speech_mtl import __version__
from speech_mtl.data.tokenizer import Tokenizer, load_tokenizer
from speech_mtl.errors import InputError
from speech_mtl.files import Finite, NotNegative, json_text, read_json, read_json_lines, read_record, write_text
from speech_mtl.folders import FORMAT, MARK, Mark, claim_folder
from speech_mtl.run.build import build_targets
from speech_mtl.run.weights import COPY_AGAIN, newest, of_newest
from speech_mtl.scoring.rows import Amount, Rate
from speech_mtl.settings.data import TokenizerSettings
from speech_mtl.settings.recipe import OF_SEVERAL, Recipe
from speech_mtl.settings.recipe_file import RUN_SETTINGS, load_recipe, refuse_no_run
from speech_mtl.settings.tasks import ScoredTaskSection
from speech_mtl.targets.target import ScoredTarget, Target
from speech_mtl.training.progress import Progress
from speech_mtl.training.state import ParameterCounts


class LogRecord(TypedDict):
    """The fields that are read of a log line: a validation."""

    update: NotNegative
    train_loss: NotRequired[dict[str, Finite]]
    weight: NotRequired[dict[str, Finite]]
    gradient_cosines: NotRequired[dict[str, dict[str, Finite]]]
    dev_cer: NotRequired[dict[str, Rate]]
    on_plateau: NotRequired[list[str]]
    audio_s: NotRequired[Amount]
    commit: NotRequired[str | None]


LEAVE_OUT = "remove the file: the report does without it; or copy the run again"
"""Advice for a damaged file that only describes a run."""


class Run:
    """A run folder."""

    def __init__(self, path: Path):
        self.path = path
        self.settings_path = path / RUN_SETTINGS
        self.format_path = path / MARK
        self.log_path = path / "log.jsonl"
        self.labels_path = path / "labels.json"
        self.start_path = path / "start.json"
        self.public_models_path = path / "public_models.json"
        self.parameters_path = path / "parameters.json"
        self.made_from_path = path / "made_from.json"
        self.calibration_path = path / "calibration.json"
        self.languages_path = path / "languages.json"
        self.checkpoints = path / "checkpoints"
        self.best = path / "best"
        self._read: tuple[bytes, Recipe] | None = None
        """The settings, as long as their file has this content."""

    def exists(self) -> bool:
        """Whether training was ever started here.

        Raises:
            InputError: It was, and its settings are gone.
        """
        if self.settings_path.is_file():
            return True
        if self.has_checkpoint() or self.has_best():
            raise InputError(
                f"{self.path} holds weights, and no settings",
                expected=str(self.settings_path),
                received="a folder" if self.settings_path.is_dir() else "nothing at that path",
                action=COPY_AGAIN,
            )
        return False

    def recipe(self) -> Recipe:
        """The settings that the run was started with.

        Raises:
            InputError: The folder is no run, or one of another version.
        """
        refuse_no_run(self.path)
        self._refuse_other_format()
        content = self.settings_path.read_bytes()
        if self._read is None or self._read[0] != content:
            self._read = content, load_recipe(self.settings_path, leave_out=OF_SEVERAL)
        return self._read[1]

    def _refuse_other_format(self) -> None:
        record = read_json(self.format_path, Mark, COPY_AGAIN)
        if record["format"] != FORMAT:
            raise InputError(
                f"{self.path} is of another version",
                expected=f"a run folder in format {FORMAT}, which speech-mtl {__version__} writes",
                received=f"{self.format_path}: format {record['format']}, written by speech-mtl {record['speech_mtl']}",
                action=f"use speech-mtl {record['speech_mtl']} for it, or train it again in another folder",
            )

    def start(
        self, recipe: Recipe, tokenizers: Mapping[str, Tokenizer], scored: Mapping[str, ScoredTarget] | None = None
    ) -> None:
        """Writes the first files of a run. The settings come last: they mark the rest as complete."""
        claim_folder(self.path, "run")
        for language, tokenizer in tokenizers.items():
            tokenizer.save(self._tokenizer_path(language), TokenizerSettings.kind_of(tokenizer))
        for name, task in (scored or {}).items():
            write_text(self._task_path(name), json_text(task.to_json()))
        self.write_settings(recipe)

    def write_settings(self, recipe: Recipe) -> None:
        """Writes all settings."""
        write_text(self.settings_path, recipe.to_yaml())

    def tokenizers(self) -> dict[str, Tokenizer]:
        """By language, in the order of the languages of the run's recipe."""
        classes = TokenizerSettings.members()
        return {name: load_tokenizer(self._tokenizer_path(name), classes, name) for name in self.recipe().languages}

    def scored(self) -> dict[str, ScoredTarget]:
        """The targets whose errors are counted, by name, in the order of the run's recipe.

        Raises:
            InputError: A task's file is missing or damaged.
        """
        scored = self.recipe().scored
        return {name: _read_task(self._task_path(name), name, own) for name, own in scored.items()}

    def targets(self) -> dict[str, Target]:
        """All that the run predicts, by name."""
        return build_targets(self.recipe(), self.tokenizers(), self.scored())

    def write_labels(self, counts: Mapping[str, tuple[int, int]]) -> None:
        """Writes how many training utterances have a label of each language or task, and of how many."""
        write_text(self.labels_path, json_text({name: list(pair) for name, pair in counts.items()}))

    def labels(self) -> dict[str, tuple[int, int]]:
        """Reads what `write_labels` wrote; empty for a run of an earlier version."""
        if not self.labels_path.is_file():
            return {}
        return read_json(self.labels_path, dict[str, tuple[NotNegative, NotNegative]], LEAVE_OUT)

    def write_parameters(self, counts: ParameterCounts) -> None:
        """Writes how many parameters there are, how many are trained, and how many each language has for itself."""
        write_text(self.parameters_path, json_text(counts))

    def parameters(self) -> ParameterCounts | None:
        """Reads what `write_parameters` wrote; None for a run of an earlier version."""
        return read_json(self.parameters_path, ParameterCounts, LEAVE_OUT) if self.parameters_path.is_file() else None

    def _tokenizer_path(self, language: str) -> Path:
        return self.path / "tokenizers" / f"{language}.json"

    def _task_path(self, name: str) -> Path:
        return self.path / "tasks" / f"{name}.json"

    def append_log(self, record: dict) -> None:
        """Adds a line to the log."""
        with self.log_path.open("a", encoding="utf-8") as file:
            file.write(json.dumps(record, ensure_ascii=False) + "\n")

    def log(self) -> list[LogRecord]:
        """The lines of the log; none for a run without a validation.

        Raises:
            InputError: A line is damaged.
        """
        if not self.log_path.is_file():
            return []
        return [record for _, record in read_json_lines(self.log_path, LogRecord, LEAVE_OUT)]

    def trim_log(self, update: int) -> None:
        """Takes what comes after an update off the log: training that was stopped before it saved is done again."""
        if not self.log_path.is_file():
            return
        lines = self.log_path.read_text(encoding="utf-8", errors="replace").splitlines(keepends=True)
        kept = [line for line in lines if _logged_update(line) <= update]
        if kept != lines:
            write_text(self.log_path, "".join(kept))

    def commits(self) -> set[str | None]:
        """Commits of the code that trained here; None for a part of the training whose commit is not known.

        Raises:
            InputError: A line of the log is damaged.
        """
        return {record.get("commit") for record in self.log()}

    @contextmanager
    def lock(self) -> Iterator[None]:
        """Keeps other processes from training here. The system frees the lock of a process that ends in any way.

        Raises:
            InputError: Another process trains here.
        """
        lock = FileLock(self.path / ".lock")
        try:
            lock.acquire(blocking=False)
        except Timeout:
            raise InputError(
                f"Another process trains in {self.path}",
                expected="one process in a run folder",
                received=f"a lock on {lock.lock_file}",
                action="wait until it has ended, or choose another folder with --out",
            ) from None
        try:
            yield
        finally:
            lock.release()

    def has_checkpoint(self) -> bool:
        """Whether there is a state from which training can resume."""
        return newest(self.checkpoints) is not None

    def progress(self) -> Progress:
        """Reads the progress of the newest checkpoint without its weights; another process may train here meanwhile."""
        return of_newest(self.checkpoints, self.progress_of)

    def progress_of(self, checkpoint: Path | None) -> Progress:
        """Reads the progress of a checkpoint; a fresh start if there is none.

        Raises:
            InputError: The best weights that it knows of are gone.
        """
        if checkpoint is None:
            return Progress()
        progress = read_record(checkpoint / "progress.json", Progress, COPY_AGAIN)
        best = newest(self.best)
        was_killed = any(self.best.glob("*.tmp"))  # while it wrote the same weights once more
        if progress.best_update > (0 if best is None else int(best.name)) and not was_killed:
            raise self.lacks(f"best/{progress.best_update:06d}")
        return progress

    def is_finished(self) -> bool:
        """Whether it has been trained to its end."""
        training = self.recipe().training
        return self.progress().with_patience(training.patience).finished(training.num_updates)

    def lacks(self, folder: str) -> InputError:
        """Makes the error of a run whose folder of weights is missing."""
        return InputError(
            f"{self.path} lacks what its training left",
            expected=f"a folder {folder} with weights",
            received="no such folder",
            action=COPY_AGAIN,
        )

    def has_best(self) -> bool:
        """Whether weights have been saved."""
        return newest(self.best) is not None

    def best_folder(self) -> Path:
        """The folder of the best weights.

        Raises:
            InputError: No weights have been saved yet.
        """
        folder = newest(self.best)
        if folder is None:
            raise InputError(
                f"{self.path} has no trained weights yet",
                expected="a folder best/UPDATE with encoder.safetensors",
                received="none",
                action="run `speech-mtl train` on it until its first validation",
            )
        return folder


def _read_task(path: Path, name: str, settings: ScoredTaskSection) -> ScoredTarget:
    task = read_record(path, settings.member(), COPY_AGAIN)
    if task.name != name:
        raise InputError(
            f"{path} is that of another task", expected=repr(name), received=repr(task.name), action=COPY_AGAIN
        )
    return task


def _logged_update(line: str) -> float:
    """The update of a line of the log; infinite for one that was cut off while it was written."""
    try:
        return json.loads(line)["update"] if line.endswith("\n") else math.inf
    except (ValueError, KeyError, TypeError):
        return math.inf
