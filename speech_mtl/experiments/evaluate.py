"""Recognises a split and counts the errors."""

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NotRequired

import numpy as np
from typing_extensions import TypedDict

from speech_mtl.config import Recipe
from speech_mtl.corpora import Wrap, open_split, silent
from speech_mtl.data.examples import Examples, utterances_at
from speech_mtl.data.labels import encode, make_column
from speech_mtl.datatypes import SPLITS, Hypothesis
from speech_mtl.decoding.recognizer import Recognizer
from speech_mtl.errors import InputError
from speech_mtl.files import json_text, read_json_lines, write_text
from speech_mtl.runs import Run
from speech_mtl.scoring.error_rate import Score, TaskScore, score
from speech_mtl.scoring.hypotheses import LabelErrors
from speech_mtl.scoring.results import EvaluationRow, TaskRow, evaluation_row
from speech_mtl.scoring.tables import evaluation_table, read_rows, task_table, write_results
from speech_mtl.screen import Screen
from speech_mtl.settings import DataSettings
from speech_mtl.tasks import Task


@dataclass(frozen=True)
class References:
    """What a split says: the audio with its labels, the ids, speakers and normalised transcripts, in one order.

    Attributes:
        examples: Audio and labels.
        ids: Of the utterances.
        speakers: Who speaks; None where unknown.
        texts: Transcripts; None where unknown.
        num_unseen: By task, labels with classes or tags that training has not, which are left out.
    """

    examples: Examples
    ids: list[str]
    speakers: list[str | None]
    texts: list[str | None]
    num_unseen: dict[str, int]


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
    kept = list(utterances_at(opened.manifest, opened.positions))
    texts = [None if utterance.text is None else tokenizer.normalize(utterance.text) for utterance in kept]
    if not any(texts):
        raise InputError(
            f"{opened.manifest}: no transcript has any text, so errors cannot be counted",
            expected="letters in at least one transcript",
            received=f"{len(texts)} transcripts, such as {kept[0].text!r}",
            action="look at the field 'text' of the manifest",
        )
    columns, num_unseen = {}, {}
    for name, task in recognizer.tasks.items():
        encoded = [encode(task, utterance) for utterance in kept]
        columns[name] = make_column(task, encoded, recognizer.model.frame_times_s)
        labels = [utterance.label(task.label) for utterance in kept]
        num_unseen[name] = sum(label is not None and task.names_unseen(label) for label in labels)
    nothing = np.zeros(len(kept) + 1, np.int64)
    examples = Examples(opened.store, opened.positions, np.zeros(0, np.int32), nothing, skipped, columns)
    ids, speakers = [utterance.id for utterance in kept], [utterance.speaker for utterance in kept]
    return References(examples, ids, speakers, texts, num_unseen)


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


def label_errors(task: Task, references: References, hypotheses: Sequence[Hypothesis]) -> list[LabelErrors]:
    """Errors of each utterance in a task, and what they are counted against; None where nothing is known."""
    column, examples = references.examples.labels[task.name], references.examples
    found: list[LabelErrors] = []
    for i, hypothesis in enumerate(hypotheses):
        values = column.of(i, int(examples.num_samples[i]), speed=1.0)
        known = not np.isnan(values).all()
        found.append(task.errors(np.asarray(hypothesis.labels[task.name]), values) if known else None)
    return found


def evaluate(
    run: Run,
    splits: Iterable[str] = ("dev", "test"),
    languages: Iterable[str] | None = None,
    screen: Screen | None = None,
) -> list[EvaluationRow]:
    """Evaluates a run's best weights, and writes tables and hypotheses into its folder.

    Args:
        run: The run.
        splits: Which splits.
        languages: Which languages; all of the run if None.
        screen: Where progress is shown.

    Returns:
        One row per language and split.

    Raises:
        InputError: The run is not trained, a language has no output layer, or a split cannot be read.
    """
    screen = screen or Screen(quiet=True)
    splits = _known(splits)
    recipe, recognizer = run.recipe(), run.load()
    languages = list(languages or recipe.languages)
    for language in languages:
        recognizer.language_id(language)
    rows, task_rows = [], []
    for language in languages:
        for split in splits:
            references = load_references(recipe, language, split, recognizer, screen.progress)
            report_skipped(references, screen)
            counts, hypotheses = recognize(recognizer, language, references, recipe.data)
            tasks = recognizer.tasks
            errors = {name: label_errors(task, references, hypotheses) for name, task in tasks.items()}
            write_hypotheses(hypotheses_path(run, language, split), references, hypotheses, tasks, errors)
            rows.append(evaluation_row(language, split, counts))
            task_rows += _task_rows(tasks, language, split, errors)
    table = evaluation_table(rows) + (f"\n\n{task_table(task_rows)}" if task_rows else "")
    write_text(run.path / "tasks.json", json_text(task_rows))
    write_results(run.path, "evaluation", rows, table)
    return rows


def _task_rows(
    tasks: Mapping[str, Task], language: str, split: str, errors: Mapping[str, Sequence[LabelErrors]]
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


def saved_task_rows(run: Run) -> list[TaskRow]:
    """What `evaluate` wrote about tasks besides transcripts; nothing for a run of an earlier version."""
    path = run.path / "tasks.json"
    return read_rows(path, TaskRow) if path.is_file() else []


def _known(splits: Iterable[str]) -> list[str]:
    splits = list(splits)
    for split in splits:
        if split not in SPLITS:
            raise InputError(
                f"There is no split {split!r}",
                expected="one of " + ", ".join(SPLITS),
                received=split,
                action="name one of these splits",
            )
    return splits


def saved_evaluation(run: Run, splits: Sequence[str]) -> list[EvaluationRow] | None:
    """What `evaluate` wrote for all languages and these splits; None if weights or manifests have changed since."""
    path, recipe = run.path / "evaluation.json", run.recipe()
    sources = [recipe.manifest(language, split) for language in recipe.languages for split in splits]
    if not path.is_file() or any(path.stat().st_mtime_ns < p.stat().st_mtime_ns for p in (run.best_folder(), *sources)):
        return None
    wanted = [(language, split) for language in recipe.languages for split in splits]
    written = [hypotheses_path(run, *pair) for pair in wanted] + ([run.path / "tasks.json"] if recipe.tasks else [])
    if not all(path.is_file() for path in written):
        return None
    try:
        rows = read_rows(path, EvaluationRow)
        saved_task_rows(run)
        for pair in wanted:
            saved_hypotheses(run, *pair)
    except InputError:  # damaged: the run is evaluated again
        return None
    return rows if [(row["language"], row["split"]) for row in rows] == wanted else None


def hypotheses_path(run: Run, language: str, split: str) -> Path:
    """Where `evaluate` writes what was heard."""
    return run.path / "hypotheses" / f"{language}-{split}.jsonl"


class Recognised(TypedDict):
    """A line of a run's hypotheses.

    Attributes:
        id: Of the utterance.
        reference: What was said, normalised; None if unknown.
        hypothesis: What was heard.
        label_errors: By task.
    """

    id: str
    reference: str | None
    hypothesis: str
    label_errors: NotRequired[dict[str, LabelErrors]]


def saved_hypotheses(run: Run, language: str, split: str) -> list[Recognised]:
    """What `write_hypotheses` wrote.

    Raises:
        InputError: The file is missing or damaged, or lacks a task.
    """
    path = hypotheses_path(run, language, split)
    action = "evaluate the run again"
    found, tasks = [], run.recipe().tasks.keys()
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


def report_skipped(references: References, screen: Screen) -> None:
    """Says which utterances are left out, and which labels."""
    for skip in references.examples.skipped:
        screen.warn(f"{skip.source}: left out: {skip.message}")
    for task, number in references.num_unseen.items():
        if number:
            screen.warn(f"{task}: {number} labels name classes or tags that training has not; these are left out")


def write_hypotheses(
    path: Path,
    references: References,
    hypotheses: Sequence[Hypothesis],
    tasks: Mapping[str, Task],
    errors: Mapping[str, Sequence[LabelErrors]],
) -> None:
    """Writes what was said and what was heard, a JSON line an utterance; of tasks, also their errors."""
    lines = []
    for i, (reference, h) in enumerate(zip(references.texts, hypotheses, strict=True)):
        record = {"id": h.id, "reference": reference, "hypothesis": h.text, "score": round(h.score, 4)}
        if tasks:
            record["labels"] = {n: t.decode(np.asarray(h.labels[n])) for n, t in tasks.items() if not t.over_frames}
            record["label_errors"] = {name: own[i] for name, own in errors.items()}
        lines.append(json.dumps(record, ensure_ascii=False))
    write_text(path, "\n".join(lines) + "\n")
