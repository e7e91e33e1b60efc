"""What every model of a comparison heard in the same test set: the file `hypotheses.jsonl`, from which intervals, tests
and examples are made. Its first line says what the columns are, each other line is an utterance."""

import json
from collections.abc import Iterable, Mapping
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
    """

    __test__ = False  # pytest takes it for a test by its name

    language: str
    spaced: bool
    ids: list[str]
    speakers: list[str | None]
    references: list[str]
    hypotheses: dict[Model, list[str]] = field(default_factory=dict)
    num_left_out: int = 0

    def add(self, model: Model, ids: Iterable[str], hypotheses: Iterable[str]) -> None:
        """Adds what a model heard. Utterances that not all models have are left out of the set, and counted.

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
        self.hypotheses[model] = [heard[name] for name in self.ids]


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
            file.write(json.dumps(head, ensure_ascii=False) + "\n")
            columns = list(test_set.hypotheses.values())
            for i, reference in enumerate(test_set.references):
                heard = [True if texts[i] == reference else texts[i] for texts in columns]
                line = {"id": test_set.ids[i], "speaker": test_set.speakers[i], "reference": reference, "heard": heard}
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
                    heard: dict[Model, list[str]] = {Model(*model): [] for model in record["models"]}
                    left_out, missing = record["num_left_out"], record["num_utterances"]
                    test_sets.append(TestSet(record["language"], record["spaced"], [], [], [], heard, left_out))
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


def _append(test_set: TestSet, record: Mapping) -> None:
    test_set.ids.append(record["id"])
    test_set.speakers.append(record["speaker"])
    test_set.references.append(record["reference"])
    for texts, heard in zip(test_set.hypotheses.values(), record["heard"], strict=True):
        texts.append(record["reference"] if heard is True else heard)
