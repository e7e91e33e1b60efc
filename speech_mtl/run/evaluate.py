"""Recognises a split and counts the errors."""

import hashlib
import json
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import NotRequired

import numpy as np
from typing_extensions import TypedDict

from speech_mtl.config import Recipe
from speech_mtl.data.examples import Examples, damaged_words, utterances_at
from speech_mtl.datatypes import SPLITS, Hypothesis
from speech_mtl.decoding.recognizer import Recognizer
from speech_mtl.errors import InputError
from speech_mtl.files import json_text, read_json, read_json_lines, write_text
from speech_mtl.run.folder import Run
from speech_mtl.run.held_out import look, tell_speakers, trained_by
from speech_mtl.run.made_from import EVALUATING, Evaluated, Now, sources, weights_digest
from speech_mtl.run.plateau import is_on_plateau, plateau_text
from speech_mtl.run.provenance import code_digest
from speech_mtl.run.speech import Split, Wrap, open_split, silent
from speech_mtl.scoring.error_rate import Score, TaskScore, score
from speech_mtl.scoring.rows import EvaluationRow, LabelErrors, TaskRow, evaluation_row
from speech_mtl.scoring.tables import evaluation_table, read_rows, task_table, write_results
from speech_mtl.screen import Screen
from speech_mtl.settings import DataSettings
from speech_mtl.targets import LabelTarget

LONGEST_NAME = 100
"""Bytes of what another manifest is called: names of files are made of it, which may have 255."""


@dataclass(frozen=True)
class References:
    """What a split says: the audio with its labels, the ids, speakers and normalised transcripts, in one order.

    Attributes:
        split: Which utterances of which manifest.
        examples: Audio and labels.
        ids: Of the utterances.
        speakers: Who speaks; None where unknown.
        texts: Transcripts; None where unknown.
        num_unseen: By task, labels with classes or tags that training has not, which are left out.
    """

    split: Split
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
        encoded = [task.encode(utterance, language) for utterance in kept]
        columns[name] = task.column(encoded, recognizer.model.frame_times_s)
        labels = [utterance.label(task.label) for utterance in kept]
        num_unseen[name] = sum(label is not None and task.names_unseen(label) for label in labels)
    damaged = [word for utterance in kept for word in damaged_words(utterance)]
    examples = Examples(opened.store, opened.positions, columns, skipped, damaged=damaged)
    ids, speakers = [utterance.id for utterance in kept], [utterance.speaker for utterance in kept]
    return References(opened, examples, ids, speakers, texts, num_unseen)


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


def label_errors(task: LabelTarget, references: References, hypotheses: Sequence[Hypothesis]) -> list[LabelErrors]:
    """Errors of each utterance in a task, and what they are counted against; None where nothing is known."""
    column, examples = references.examples.targets[task.name], references.examples
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
    compare_with_training: bool = True,
) -> list[EvaluationRow]:
    """Evaluates a run's best weights, and writes tables and hypotheses into its folder.

    Args:
        run: The run.
        splits: Which splits.
        languages: Which languages; all of the run if None.
        screen: Where progress is shown.
        compare_with_training: Whether to tell what of the speech, and which speakers, are in training.

    Returns:
        One row per language and split.

    Raises:
        InputError: The run is not trained, a language has no output layer, or a split cannot be read.
    """
    evaluation = _Evaluation(run, screen or Screen(quiet=True))
    splits = _known(splits)
    languages = list(dict.fromkeys(map(evaluation.recognizer.own_name, languages or evaluation.recipe.languages)))
    run.evaluated_path.unlink(missing_ok=True)
    for language in languages:
        for split in splits:
            evaluation.add(evaluation.recipe, language, split, split)
    if compare_with_training:
        evaluation.compare_with_training()
    evaluation.write("")
    write_text(run.evaluated_path, json.dumps(evaluation.made_from(), ensure_ascii=False) + "\n")
    return evaluation.rows


def evaluate_manifest(
    run: Run, manifest: Path, language: str | None = None, screen: Screen | None = None
) -> tuple[EvaluationRow, str]:
    """Evaluates a run on a manifest that is none of its own, and leaves what it found in its own splits as it is.

    Args:
        run: The run.
        manifest: The speech.
        language: Whose output layer to use; the run's only one if None.
        screen: Where progress is shown.

    Returns:
        The row, whose split is `held_out_name`; and that name, which the files have in theirs.

    Raises:
        InputError: The run is not trained or has several languages, or the manifest cannot be read.
    """
    evaluation = _Evaluation(run, screen or Screen(quiet=True))
    known, name = list(evaluation.recipe.languages), held_out_name(manifest)
    if language is None and len(known) > 1:
        raise InputError(
            f"{run.path} has several languages, and --manifest is of one",
            expected="--language with one of " + ", ".join(known),
            received="no --language",
            action="name the language that is spoken",
        )
    language = evaluation.recognizer.own_name(language or known[0])
    own = evaluation.recipe.languages[language]
    there = own.model_copy(update={"manifests": own.manifests | {"test": manifest}})
    recipe = evaluation.recipe.overridden({"languages": evaluation.recipe.languages | {language: there}})
    evaluation.add(recipe, language, "test", name)
    evaluation.compare_with_training()
    evaluation.write(f"-{name}")
    return evaluation.rows[0], name


def held_out_name(manifest: Path) -> str:
    """What the split of another manifest is called: as the file, or as folder and file where that is called `test`."""
    parts = [manifest.resolve().parent.name, manifest.stem] if manifest.stem in SPLITS else [manifest.stem]
    name = re.sub(r"[^\w.-]+", "_", "-".join(parts))
    if len(name.encode()) <= LONGEST_NAME:
        return name
    start = name.encode()[: LONGEST_NAME - 9].decode(errors="ignore")
    return f"{start}-{hashlib.sha256(name.encode()).hexdigest()[:8]}"


class _Evaluation:
    """Rows and hypotheses of a run while they are found."""

    def __init__(self, run: Run, screen: Screen):
        self.run, self.screen = run, screen
        self.recipe, self.recognizer = run.recipe(), run.load()
        self.rows: list[EvaluationRow] = []
        self.task_rows: list[TaskRow] = []
        self.splits: list[Split] = []
        self.stuck: list[str] = []
        _tell_unfinished(run, screen)

    def add(self, recipe: Recipe, language: str, split: str, name: str) -> None:
        """Recognises a split, and writes its hypotheses under a name."""
        references = load_references(recipe, language, split, self.recognizer, self.screen.progress)
        report_skipped(references, self.screen)
        counts, hypotheses = recognize(self.recognizer, language, references, recipe.data)
        tasks = self.recognizer.tasks
        errors = {task_name: label_errors(task, references, hypotheses) for task_name, task in tasks.items()}
        write_hypotheses(hypotheses_path(self.run, language, name), references, hypotheses, tasks, errors)
        self.rows.append(evaluation_row(language, name, counts))
        if is_on_plateau(counts):
            self.stuck.append(f"{language} ({name})")
        self.task_rows += _task_rows(tasks, language, name, errors)
        self.splits.append(replace(references.split, split=name))

    def compare_with_training(self) -> None:
        """Tells what of the speech, and which speakers, are in training."""
        held_out, training = [split for split in self.splits if split.split != "train"], trained_by(self.run)
        look(held_out, training, None, self.screen)
        tell_speakers(held_out, training, self.screen)

    def write(self, suffix: str) -> None:
        """Writes rows and tables."""
        table = evaluation_table(self.rows) + (f"\n\n{task_table(self.task_rows)}" if self.task_rows else "")
        write_text(self.run.path / f"tasks{suffix}.json", json_text(self.task_rows))
        write_results(self.run.path, f"evaluation{suffix}", self.rows, table)
        if self.stuck:
            self.screen.warn(plateau_text(self.stuck, self.recipe))

    def made_from(self) -> Evaluated:
        """What the rows were made from."""
        weights, code = weights_digest(self.run), code_digest(EVALUATING)
        return {"code": code, "weights": weights, "speech": sources(self.splits)}


def _tell_unfinished(run: Run, screen: Screen) -> None:
    """Says so if a run was stopped before its end."""
    progress, training = run.progress(), run.recipe().training
    if not progress.with_patience(training.patience).finished(training.num_updates):
        screen.warn(
            f"{run.path} is not finished: update {progress.update} of {training.num_updates}; these are the best "
            f"weights so far, of update {progress.best_update}"
        )


def _task_rows(
    tasks: Mapping[str, LabelTarget], language: str, split: str, errors: Mapping[str, Sequence[LabelErrors]]
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


def saved_evaluation(run: Run, splits: Sequence[str], now: Now | None = None) -> list[EvaluationRow] | None:
    """What `evaluate` wrote for all languages and these splits; None if it would find something else today.

    That is told by content: of weights and tokenisers, of manifests and audio, and of the code that recognises.
    """
    wanted = [(language, split) for language in run.recipe().languages for split in splits]
    path, tasks = run.path / "evaluation.json", [run.path / "tasks.json"] if run.recipe().labelled else []
    if not all(one.is_file() for one in (path, *(hypotheses_path(run, *pair) for pair in wanted), *tasks)):
        return None
    try:
        evaluated = read_json(run.evaluated_path, Evaluated)
        rows = read_rows(path, EvaluationRow)
        same = (now or Now()).is_as_evaluated(evaluated, run, wanted)
        saved_task_rows(run)
        for pair in wanted:
            saved_hypotheses(run, *pair)
    except InputError:  # none by this version, or a damaged one: the run is evaluated again
        return None
    return rows if same and [(row["language"], row["split"]) for row in rows] == wanted else None


def hypotheses_path(run: Run, language: str, split: str) -> Path:
    """Where `evaluate` writes what was heard; in another manifest under a name that no tag and split make up."""
    separator = "-" if split in SPLITS else "_"
    return run.path / "hypotheses" / f"{language}{separator}{split}.jsonl"


def report_damaged(examples: Examples, screen: Screen) -> None:
    """Says in how many transcripts letters seem to be lost, and in which ones first."""
    if examples.damaged:
        first = "; ".join(examples.damaged[:3]) + (" ..." if len(examples.damaged) > 3 else "")
        screen.warn(f"letters seem to be lost in {len(examples.damaged)} transcripts, by a wrong encoding: {first}")


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
    found, tasks = [], run.recipe().labelled.keys()
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
    """Says which utterances are left out, and which labels, and where letters are lost."""
    report_damaged(references.examples, screen)
    for skip in references.examples.skipped:
        screen.warn(f"{skip.source}: left out: {skip.message}")
    for task, number in references.num_unseen.items():
        if number:
            screen.warn(f"{task}: {number} labels name classes or tags that training has not; these are left out")


def write_hypotheses(
    path: Path,
    references: References,
    hypotheses: Sequence[Hypothesis],
    tasks: Mapping[str, LabelTarget],
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
