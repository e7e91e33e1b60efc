"""What every model of a comparison made of the same test set: the file `hypotheses.jsonl`, from which intervals, tests
and examples are made. Its first line says what the columns are, each other line is an utterance."""

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

from speech_mtl.errors import InputError
from speech_mtl.files import replacing


class Model(NamedTuple):
    """Which model of a comparison: an arm at a budget with a seed."""

    arm: str
    budget_s: float
    seed: int


LabelErrors = tuple[float, float] | None
"""Errors of one utterance in a task, and what they are counted against; None where its label is unknown."""


@dataclass
class TestSet:
    """A language's test split and what each model heard in it.

    Attributes:
        language: BCP 47 tag.
        spaced: Whether spaces separate words; see `Tokenizer.spaced`.
        ids: (N,) of the utterances.
        speakers: (N,) who speaks; None where unknown.
        references: (N,) what was said, normalised.
        hypotheses: By model, (N,) what was heard.
        num_left_out: Utterances of the first model that not every other one has; they are left out.
        metrics: Of tasks besides transcripts, by name, the figure that is reported.
        label_errors: By such a task and by model, (N,) errors.
    """

    __test__ = False  # pytest takes it for a test by its name

    language: str
    spaced: bool
    ids: list[str]
    speakers: list[str | None]
    references: list[str]
    hypotheses: dict[Model, list[str]] = field(default_factory=dict)
    num_left_out: int = 0
    metrics: dict[str, str] = field(default_factory=dict)
    label_errors: dict[str, dict[Model, list[LabelErrors]]] = field(default_factory=dict)

    def add(
        self,
        model: Model,
        ids: Sequence[str],
        hypotheses: Iterable[str],
        label_errors: Mapping[str, Sequence[LabelErrors]] | None = None,
    ) -> None:
        """Adds what a model heard. Utterances that not all models have are left out of the set, and counted.

        Args:
            model: Which one.
            ids: Of its utterances.
            hypotheses: What it heard in them.
            label_errors: By task, its errors in them.

        Raises:
            InputError: The model has no utterance in common with the others.
        """
        heard = dict(zip(ids, hypotheses, strict=True))
        kept = [i for i, name in enumerate(self.ids) if name in heard]
        if not kept:
            raise InputError(
                f"The models of {self.language} have no test utterance in common",
                expected="hypotheses of the same test set from every arm",
                received=f"{model.arm} at {model.budget_s:g} s, seed {model.seed}: other ids than the arms before it",
                action="evaluate all runs on one test manifest: run the comparison again",
            )
        if len(kept) < len(self.ids):
            self.num_left_out += len(self.ids) - len(kept)
            self.ids = [self.ids[i] for i in kept]
            self.speakers = [self.speakers[i] for i in kept]
            self.references = [self.references[i] for i in kept]
            self.hypotheses = {name: [texts[i] for i in kept] for name, texts in self.hypotheses.items()}
            for own in self.label_errors.values():
                own |= {name: [errors[i] for i in kept] for name, errors in own.items()}
        self.hypotheses[model] = [heard[name] for name in self.ids]
        for task, errors in (label_errors or {}).items():
            by_id = dict(zip(ids, errors, strict=True))
            self.label_errors.setdefault(task, {})[model] = [by_id[name] for name in self.ids]


def write_test_sets(path: Path, test_sets: Iterable[TestSet]) -> None:
    """Writes test sets one after another. A hypothesis that equals its reference is written as true."""
    with replacing(path) as temporary, temporary.open("w", encoding="utf-8") as file:
        for test_set in test_sets:
            head = {
                "language": test_set.language,
                "spaced": test_set.spaced,
                "models": list(test_set.hypotheses),
                "num_utterances": len(test_set.ids),
                "num_left_out": test_set.num_left_out,
            }
            if test_set.label_errors:
                head["tasks"] = {
                    task: {"metric": test_set.metrics[task], "models": list(own)}
                    for task, own in test_set.label_errors.items()
                }
            file.write(json.dumps(head, ensure_ascii=False) + "\n")
            columns = list(test_set.hypotheses.values())
            for i, reference in enumerate(test_set.references):
                heard = [True if texts[i] == reference else texts[i] for texts in columns]
                line = {"id": test_set.ids[i], "speaker": test_set.speakers[i], "reference": reference, "heard": heard}
                if test_set.label_errors:
                    line["errors"] = [[_rounded(e[i]) for e in own.values()] for own in test_set.label_errors.values()]
                file.write(json.dumps(line, ensure_ascii=False) + "\n")


def read_test_sets(path: Path) -> list[TestSet]:
    """Reads what `write_test_sets` wrote.

    Raises:
        InputError: The file is missing, or was not written to its end.
    """
    test_sets: list[TestSet] = []
    missing = 0
    try:
        with path.open(encoding="utf-8") as lines:
            for record in map(json.loads, lines):
                if missing:
                    _append(test_sets[-1], record)
                    missing -= 1
                else:
                    missing = record["num_utterances"]
                    test_sets.append(_begun(record))
        if missing or not test_sets:
            raise ValueError(f"{missing} utterances are missing")
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise InputError(
            f"{path}: what was heard in the comparison cannot be read",
            expected="a file that `speech-mtl compare` wrote, whole",
            received=str(error),
            action="run the comparison again: finished runs are not repeated, and the file is made anew",
        ) from None
    return test_sets


def _begun(head: Mapping) -> TestSet:
    tasks: Mapping = head.get("tasks", {})
    return TestSet(
        language=head["language"],
        spaced=head["spaced"],
        ids=[],
        speakers=[],
        references=[],
        hypotheses={Model(*model): [] for model in head["models"]},
        num_left_out=head["num_left_out"],
        metrics={task: own["metric"] for task, own in tasks.items()},
        label_errors={task: {Model(*model): [] for model in own["models"]} for task, own in tasks.items()},
    )


def _rounded(errors: LabelErrors) -> list[float] | None:
    return None if errors is None else [round(part, 4) for part in errors]


def _append(test_set: TestSet, record: Mapping) -> None:
    test_set.ids.append(record["id"])
    test_set.speakers.append(record["speaker"])
    test_set.references.append(record["reference"])
    for texts, heard in zip(test_set.hypotheses.values(), record["heard"], strict=True):
        texts.append(record["reference"] if heard is True else heard)
    for own, errors in zip(test_set.label_errors.values(), record.get("errors", []), strict=True):
        for column, found in zip(own.values(), errors, strict=True):
            column.append(None if found is None else (found[0], found[1]))
