"""Files of an evaluation in a run's folder, and whether they are up to date."""

import json
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, NotRequired

import numpy as np
from typing_extensions import TypedDict

from speech_mtl.datatypes import SPLITS, Hypothesis
from speech_mtl.errors import InputError
from speech_mtl.files import read_json, read_json_lines, write_text
from speech_mtl.run.folder import Run
from speech_mtl.run.made_from import Now, Source, sources, weights_digest
from speech_mtl.run.provenance import code_digest
from speech_mtl.run.speech import Split
from speech_mtl.run.stored_lm import lm_digests
from speech_mtl.scoring.rows import EvaluationRow, LabelErrors, TaskRow
from speech_mtl.scoring.tables import read_rows
from speech_mtl.settings.decoding import DecodingSettings
from speech_mtl.settings.recipe import Recipe
from speech_mtl.targets.target import ScoredTarget

EVALUATING = ("backend", "data", "decoding", "models", "scoring", "targets")
"""The parts of the package on which an evaluation rests."""


class MadeWith(TypedDict):
    """Origin of hypotheses: digests of code, weights and language models, and the settings of decoding."""

    code: str
    weights: str
    decoder: dict[str, Any]


class Evaluated(MadeWith):
    """The content of `evaluated.json`: what the last evaluation was made from."""

    speech: dict[str, Source]


def saved_task_rows(run: Run) -> list[TaskRow]:
    """Reads the rows of `evaluate` for tasks other than transcripts; empty for a run of an earlier version."""
    path = run.path / "tasks.json"
    return read_rows(path, TaskRow) if path.is_file() else []


def write_evaluated(run: Run, decoding: DecodingSettings, splits: Iterable[Split]) -> None:
    """Writes what an evaluation was made from, when all else of it is written."""
    record: Evaluated = {**_made_with(run, decoding), "speech": sources(splits)}
    write_text(run.evaluated_path, json.dumps(record, ensure_ascii=False) + "\n")


def saved_evaluation(run: Run, splits: Sequence[str], now: Now | None = None) -> list[EvaluationRow] | None:
    """Reads the rows of `evaluate` for all languages and these splits; None if they are out of date.

    That is told by content: of weights and tokenisers, of the settings of decoding, of manifests and audio, and of the
    code that recognises.
    """
    recipe = run.recipe()
    wanted = [(language, split) for language in recipe.languages for split in splits]
    path, tasks = run.path / "evaluation.json", [run.path / "tasks.json"] if recipe.scored else []
    if not all(one.is_file() for one in (path, *(hypotheses_path(run, *pair) for pair in wanted), *tasks)):
        return None
    try:
        evaluated = read_json(run.evaluated_path, Evaluated)
        rows = read_rows(path, EvaluationRow)
        same = _is_of_today(evaluated, run, recipe, wanted, now or Now())
        saved_task_rows(run)
        for pair in wanted:
            saved_hypotheses(run, *pair)
    except InputError:  # none by this version, or a damaged one: the run is evaluated again
        return None
    return rows if same and [(row["language"], row["split"]) for row in rows] == wanted else None


def _is_of_today(evaluated: Evaluated, run: Run, recipe: Recipe, wanted: Sequence[tuple[str, str]], now: Now) -> bool:
    speech = evaluated["speech"]
    if evaluated != {**_made_with(run, recipe.decoding), "speech": speech}:
        return False
    if list(speech) != [f"{language} {split}" for language, split in wanted]:
        return False
    return all(recipe.manifest(*pair).is_file() for pair in wanted) and not now.speech_changes(speech, recipe)


def _made_with(run: Run, decoding: DecodingSettings) -> MadeWith:
    decoder = decoding.model_dump(mode="json")
    if models := lm_digests(run, decoding, run.recipe().languages):
        decoder["language_models"] = models
    return {"code": code_digest(EVALUATING), "weights": weights_digest(run), "decoder": decoder}


def hypotheses_path(run: Run, language: str, split: str) -> Path:
    """Path of the hypotheses of `evaluate`; other manifests have names that no tag and split can form."""
    separator = "-" if split in SPLITS else "_"
    return run.path / "hypotheses" / f"{language}{separator}{split}.jsonl"


class Recognised(TypedDict):
    """A line of a run's hypotheses.

    Attributes:
        id: Of the utterance.
        reference: The transcript, normalised; None if unknown.
        hypothesis: What was recognised.
        label_errors: By task.
    """

    id: str
    reference: str | None
    hypothesis: str
    label_errors: NotRequired[dict[str, LabelErrors]]


def saved_hypotheses(run: Run, language: str, split: str) -> list[Recognised]:
    """Reads what `write_hypotheses` wrote.

    Raises:
        InputError: The file is missing or damaged, or lacks a task.
    """
    path = hypotheses_path(run, language, split)
    action = "evaluate the run again"
    found, tasks = [], run.recipe().scored.keys()
    for where, record in read_json_lines(path, Recognised, action):
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
    path: Path,
    references: Sequence[str | None],
    hypotheses: Sequence[Hypothesis],
    tasks: Mapping[str, ScoredTarget],
    errors: Mapping[str, Sequence[LabelErrors]],
) -> None:
    """Writes references and hypotheses, a JSON line an utterance; of tasks, also their errors."""
    lines = []
    for i, (reference, h) in enumerate(zip(references, hypotheses, strict=True)):
        record = {"id": h.id, "reference": reference, "hypothesis": h.text, "score": round(h.score, 4)}
        if tasks:
            record["labels"] = {n: t.decode(np.asarray(h.labels[n])) for n, t in tasks.items() if t.is_shown}
            record["label_errors"] = {name: own[i] for name, own in errors.items()}
        lines.append(json.dumps(record, ensure_ascii=False))
    write_text(path, "\n".join(lines) + "\n")
