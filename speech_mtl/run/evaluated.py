"""Files of an evaluation in a run's folder, and whether they are up to date."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NotRequired

import numpy as np
from typing_extensions import TypedDict

from speech_mtl.datatypes import SPLITS, Hypothesis
from speech_mtl.errors import InputError
from speech_mtl.files import json_text, read_json, read_json_lines, write_text
from speech_mtl.run.changes import Now
from speech_mtl.run.contents import weights_digest
from speech_mtl.run.folder import Run
from speech_mtl.run.made_from import Source, sources
from speech_mtl.run.provenance import code_digest
from speech_mtl.run.speech import Split
from speech_mtl.run.stored_lm import lm_digests
from speech_mtl.scoring.rows import EvaluationRow, LabelErrors, TaskRow
from speech_mtl.settings.decoding import DecodingSettings
from speech_mtl.settings.recipe import Recipe
from speech_mtl.targets.target import ScoredTarget

EVALUATING = ("backend", "data", "decoding", "models", "scoring", "targets")
"""The parts of the package on which an evaluation rests."""


class Recognised(TypedDict):
    """A line of a run's hypotheses; the reference is normalised, or None if unknown, and errors are by task."""

    id: str
    reference: str | None
    hypothesis: str
    label_errors: NotRequired[dict[str, LabelErrors]]


class MadeWith(TypedDict):
    """Origin of hypotheses: digests of code, weights and language models, and the settings of decoding."""

    code: str
    weights: str
    decoder: dict[str, Any]


class Evaluated(MadeWith):
    """The content of `evaluated.json`: what the last evaluation was made from."""

    speech: dict[str, Source]


class SavedEvaluation:
    """The files of an evaluation, in a run's folder.

    Attributes:
        folder: Where they are: the run's folder, or `decoders/NAME` in it.
        path: The rows.
        tasks_path: The rows of tasks other than transcripts.
        evaluated_path: What it was made from.
    """

    def __init__(self, run: Run, decoder: str = ""):
        """`decoder`: the name of that of `compare.decoders` by which it was made; none: by the run's own settings."""
        self.run = run
        self.folder = run.path / "decoders" / decoder if decoder else run.path
        self.path = self.folder / "evaluation.json"
        self.tasks_path = self.folder / "tasks.json"
        self.evaluated_path = self.folder / "evaluated.json"

    def hypotheses_path(self, language: str, split: str) -> Path:
        """Path of hypotheses; manifests other than the run's have names that no tag and split can form."""
        separator = "-" if split in SPLITS else "_"
        return self.folder / "hypotheses" / f"{language}{separator}{split}.jsonl"

    def rows(self) -> list[EvaluationRow]:
        """Reads the rows."""
        return read_json(self.path, list[EvaluationRow])

    def task_rows(self) -> list[TaskRow]:
        """Reads the rows of tasks other than transcripts."""
        return read_json(self.tasks_path, list[TaskRow])

    def hypotheses(self, language: str, split: str) -> list[Recognised]:
        """Reads what `write_hypotheses` wrote.

        Raises:
            InputError: The file is missing or damaged, or lacks a task.
        """
        action = "evaluate the run again"
        found, tasks = [], self.run.recipe().scored.keys()
        for where, record in read_json_lines(self.hypotheses_path(language, split), Recognised, action):
            if missing := tasks - record.get("label_errors", {}).keys():
                raise InputError(
                    f"{where}: errors of tasks are missing",
                    expected="label_errors of " + ", ".join(tasks),
                    received="none of " + ", ".join(missing),
                    action=action,
                )
            found.append(record)
        return found

    def write_hypotheses(
        self,
        language: str,
        split: str,
        references: Sequence[str | None],
        hypotheses: Sequence[Hypothesis],
        tasks: Mapping[str, ScoredTarget],
        errors: Mapping[str, Sequence[LabelErrors]],
    ) -> None:
        """Writes references and hypotheses, a JSON line an utterance; of tasks, also their errors."""
        lines = ""
        for i, (reference, h) in enumerate(zip(references, hypotheses, strict=True)):
            record = {"id": h.id, "reference": reference, "hypothesis": h.text, "score": round(h.score, 4)}
            if tasks:
                record["labels"] = {n: t.decode(np.asarray(h.labels[n])) for n, t in tasks.items() if t.is_shown}
                record["label_errors"] = {name: own[i] for name, own in errors.items()}
            lines += json_text(record, indent=None)
        write_text(self.hypotheses_path(language, split), lines)

    def write_evaluated(self, weights: str, decoding: DecodingSettings, splits: Sequence[Split]) -> None:
        """Writes what it was made from, when all else of it is written; `weights`: their digest."""
        made_with = _made_with(self.run, weights, decoding, [split.language for split in splits])
        record: Evaluated = {**made_with, "speech": sources(splits)}
        write_text(self.evaluated_path, json_text(record, indent=None))


@dataclass(frozen=True)
class ComparedDecoder:
    """An evaluation by a decoder of `compare.decoders`, of some languages."""

    name: str
    decoding: DecodingSettings
    languages: Sequence[str]


def saved_evaluation(
    run: Run, splits: Sequence[str], now: Now | None = None, decoded: ComparedDecoder | None = None
) -> list[EvaluationRow] | None:
    """Reads the rows of `evaluate` for these splits; None if they are out of date.

    That is told by content: of weights and tokenisers, of the settings of decoding, of manifests and audio, and of the
    code that recognises. Without `decoded`, it is the evaluation of all languages with the run's own settings.
    """
    recipe = run.recipe()
    by = decoded or ComparedDecoder("", recipe.decoding, list(recipe.languages))
    saved, wanted = SavedEvaluation(run, by.name), [(language, split) for language in by.languages for split in splits]
    files = [saved.path, saved.tasks_path, *(saved.hypotheses_path(*pair) for pair in wanted)]
    if not all(file.is_file() for file in files):
        return None
    try:
        evaluated = read_json(saved.evaluated_path, Evaluated)
        rows = saved.rows()
        same = _is_of_today(evaluated, run, recipe, by, wanted, now or Now())
        saved.task_rows()
        for pair in wanted:
            saved.hypotheses(*pair)
    except InputError:  # none by this version, or a damaged one: the run is evaluated again
        return None
    return rows if same and [(row["language"], row["split"]) for row in rows] == wanted else None


def _is_of_today(
    evaluated: Evaluated, run: Run, recipe: Recipe, by: ComparedDecoder, wanted: Sequence[tuple[str, str]], now: Now
) -> bool:
    speech = evaluated["speech"]
    if evaluated != {**_made_with(run, weights_digest(run), by.decoding, by.languages), "speech": speech}:
        return False
    if list(speech) != [f"{language} {split}" for language, split in wanted]:
        return False
    return all(recipe.manifest(*pair).is_file() for pair in wanted) and not now.speech_changes(speech, recipe)


def _made_with(run: Run, weights: str, decoding: DecodingSettings, languages: Iterable[str]) -> MadeWith:
    decoder = decoding.model_dump(mode="json")
    if models := lm_digests(run, decoding, languages):
        decoder["language_models"] = models
    return {"code": code_digest(EVALUATING), "weights": weights, "decoder": decoder}
