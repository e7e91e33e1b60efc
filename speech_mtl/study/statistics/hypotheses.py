"""The hypotheses of every model of a comparison in the same test set: the file `hypotheses.jsonl`, from which
intervals, tests and examples are made. Its first line names the columns, each other line is an utterance."""

import gzip
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import islice
from pathlib import Path
from typing import Annotated, NamedTuple, NotRequired

from pydantic import AfterValidator, Discriminator, Field, Tag
from typing_extensions import TypedDict

from speech_mtl.errors import InputError
from speech_mtl.files import NotNegative, json_text, read_json_lines, replacing
from speech_mtl.scoring.rows import Budget, LabelErrors, Seed
from speech_mtl.study.statistics.rows import SavedArm

AGAIN = "run the comparison again: finished runs are not repeated, and the file is made anew"
"""Advice for a damaged file of a comparison."""


class Model(NamedTuple):
    """A model of a comparison: an arm at a budget with a seed; `before`: the network that it started from; `decoder`:
    how its texts were found, where there are several ways."""

    arm: SavedArm
    budget_s: Budget
    seed: Seed
    before: bool = False
    decoder: str = ""

    def __str__(self) -> str:
        by = f", decoded by {self.decoder}" if self.decoder else ""
        return f"{'what came before ' if self.before else ''}{self.arm} at {self.budget_s:g} s, seed {self.seed}{by}"

    def saved(self) -> list:
        """Its fields, without the last ones that are as usual."""
        return list(self if self.decoder else self[:4] if self.before else self[:3])


def before(model: Model) -> Model:
    """The network that a model of a comparison started from."""
    return model._replace(before=True)


@dataclass
class TestSet:
    """A language's test split and the hypotheses of each model.

    Attributes:
        language: BCP 47 tag.
        spaced: Whether spaces separate words; see `Tokenizer.spaced`.
        ids: (N,) of the utterances, as are `speakers`, None where unknown, and `references`, normalised.
        hypotheses: By model, (N,) texts.
        num_left_out: Utterances of the first model that not every other one has; they are left out.
        metrics: Of tasks besides transcripts, by name, the reported metric.
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

    @property
    def columns(self) -> list[dict[Model, list]]:
        """(N,) by model: the hypotheses, and the errors in each task."""
        return [self.hypotheses, *self.label_errors.values()]

    def add(
        self,
        model: Model,
        ids: Sequence[str],
        hypotheses: Iterable[str],
        label_errors: Mapping[str, Sequence[LabelErrors]] | None = None,
    ) -> None:
        """Adds the hypotheses of a model, and by task its errors, in the order of `ids`.

        Utterances that not all models have are left out of the set, and counted.

        Raises:
            InputError: The model has no utterance in common with the others.
        """
        place = {name: i for i, name in enumerate(ids)}
        kept = [i for i, name in enumerate(self.ids) if name in place]
        if not kept:
            raise InputError(
                f"The models of {self.language} have no test utterance in common",
                expected="hypotheses of the same test set from every arm",
                received=f"{model}: other ids than the arms before it",
                action="evaluate all runs on one test manifest: run the comparison again",
            )
        self.num_left_out += len(self.ids) - len(kept)
        self.ids, self.speakers = [self.ids[i] for i in kept], [self.speakers[i] for i in kept]
        self.references = [self.references[i] for i in kept]
        for own in self.columns:
            own |= {name: [column[i] for i in kept] for name, column in own.items()}
        places, texts = [place[name] for name in self.ids], list(hypotheses)
        self.hypotheses[model] = [texts[i] for i in places]
        for task, errors in (label_errors or {}).items():
            self.label_errors.setdefault(task, {})[model] = [errors[i] for i in places]


def decoders_of(test_sets: Sequence[TestSet]) -> list[str]:
    """The names of the decoders, that of the runs' own settings first; one that is empty where there is one only."""
    return list(dict.fromkeys(model.decoder for test_set in test_sets for model in test_set.hypotheses)) or [""]


def test_sets_of(decoder: str, test_sets: Sequence[TestSet]) -> list[TestSet]:
    """The test sets with the hypotheses of a decoder, whose models name none."""

    def own(by_model: dict[Model, list]) -> dict[Model, list]:
        return {model._replace(decoder=""): found for model, found in by_model.items() if model.decoder == decoder}

    found = []
    for test_set in test_sets:
        if hypotheses := own(test_set.hypotheses):
            errors = {task: kept for task, by_model in test_set.label_errors.items() if (kept := own(by_model))}
            found.append(replace(test_set, hypotheses=hypotheses, label_errors=errors))
    return found


def write_test_sets(path: Path, test_sets: Iterable[TestSet]) -> None:
    """Writes test sets one after another, compressed where `path` ends in `.gz`: the same sets give the same bytes.

    A hypothesis that equals its reference is written as true.
    """
    content = "".join(json_text(line, indent=None) for test_set in test_sets for line in _saved(test_set)).encode()
    with replacing(path) as temporary:
        temporary.write_bytes(gzip.compress(content, mtime=0) if path.suffix == ".gz" else content)


def _saved(test_set: TestSet) -> Iterator[dict]:
    """The content of the lines of a test set."""

    head = {
        "language": test_set.language,
        "spaced": test_set.spaced,
        "models": [model.saved() for model in test_set.hypotheses],
        "num_utterances": len(test_set.ids),
        "num_left_out": test_set.num_left_out,
    }
    tasks = {
        task: {"metric": test_set.metrics[task], "models": [model.saved() for model in own]}
        for task, own in test_set.label_errors.items()
    }
    yield head | ({"tasks": tasks} if tasks else {})
    for i, reference in enumerate(test_set.references):
        texts, *errors = ([column[i] for column in own.values()] for own in test_set.columns)
        hypotheses = [True if text == reference else text for text in texts]
        line = {"id": test_set.ids[i], "speaker": test_set.speakers[i], "reference": reference, "heard": hypotheses}
        rounded = [[pair and [round(part, 4) for part in pair] for pair in own] for own in errors]
        yield line | ({"errors": rounded} if tasks else {})


def _right(value: bool) -> bool:
    if not value:
        raise ValueError("true for a hypothesis that is right, or a text")
    return value


class _SavedTask(TypedDict):
    metric: str
    models: Annotated[list[Model], Field(min_length=1)]


class _Head(TypedDict):
    language: Annotated[str, Field(min_length=1)]
    spaced: bool
    models: list[Model]
    num_utterances: NotNegative
    num_left_out: NotNegative
    tasks: NotRequired[dict[str, _SavedTask]]


class _Line(TypedDict):
    id: str
    speaker: str | None
    reference: str
    heard: list[Annotated[bool, AfterValidator(_right)] | str]
    errors: NotRequired[list[list[LabelErrors]]]


_Read = Annotated[
    Annotated[_Head, Tag("test_set")] | Annotated[_Line, Tag("utterance")],
    Discriminator(lambda value: "test_set" if isinstance(value, dict) and "models" in value else "utterance"),
]


def read_test_sets(path: Path) -> list[TestSet]:
    """Reads what `write_test_sets` wrote.

    Raises:
        InputError: The file is missing, was not written to its end, or holds something else; or a language, a model
            or an utterance comes twice.
    """
    test_sets: list[TestSet] = []
    lines = read_json_lines(path, _Read, AGAIN)  # pyright: ignore[reportArgumentType]
    for where, head in lines:
        if "models" not in head:
            raise _not_as_written(where, "a line that begins a test set, with its models", "an utterance")
        test_set = _begun(where, head)
        _refuse_twice(where, "the test set of", [one.language for one in test_sets] + [test_set.language])
        last = where
        for last, line in islice(lines, head["num_utterances"]):
            _append(last, test_set, line)
        if len(test_set.ids) < head["num_utterances"]:
            missing = head["num_utterances"] - len(test_set.ids)
            raise _not_as_written(last, f"{head['num_utterances']:,} utterances", f"the end: {missing:,} are missing")
        _refuse_twice(where, f"in the test set of {test_set.language} the utterance", test_set.ids)
        test_sets.append(test_set)
    if not test_sets:
        raise _not_as_written(f"{path}:1", "a test set", "an empty file")
    return test_sets


def _begun(where: str, head: _Head) -> TestSet:
    tasks = head.get("tasks", {})
    for models in (head["models"], *(own["models"] for own in tasks.values())):
        _refuse_twice(where, "the model", models)
    return TestSet(
        language=head["language"],
        spaced=head["spaced"],
        ids=[],
        speakers=[],
        references=[],
        hypotheses={model: [] for model in head["models"]},
        num_left_out=head["num_left_out"],
        metrics={task: own["metric"] for task, own in tasks.items()},
        label_errors={task: {model: [] for model in own["models"]} for task, own in tasks.items()},
    )


def _append(where: str, test_set: TestSet, line: _Line | _Head) -> None:
    """Adds an utterance from its line."""
    if "models" in line:
        raise _not_as_written(where, "an utterance", f"the test set of {line['language']}: some are missing before it")
    hypotheses = [one if isinstance(one, str) else line["reference"] for one in line["heard"]]
    found, columns = [hypotheses, *line.get("errors", [])], test_set.columns
    expected, received = list(map(len, columns)), list(map(len, found))
    if received != expected:
        raise _not_as_written(
            where,
            f"{expected[0]} hypotheses, and errors of {expected[1:]} models in tasks, as the test set begins",
            f"{received[0]} hypotheses, and errors of {received[1:]}",
        )
    test_set.ids.append(line["id"])
    test_set.speakers.append(line["speaker"])
    test_set.references.append(line["reference"])
    for own, values in zip(columns, found, strict=True):
        for column, value in zip(own.values(), values, strict=True):
            column.append(value)


def _refuse_twice(where: str, what: str, found: Sequence) -> None:
    one, number = next(iter(Counter(found).most_common(1)), ("", 0))
    if number > 1:
        raise InputError(
            f"{where}: {what} {one} comes twice", expected="each once", received=f"{number} times", action=AGAIN
        )


def _not_as_written(where: str, expected: str, received: str) -> InputError:
    return InputError(
        f"{where}: not as `speech-mtl compare` wrote it", expected=expected, received=received, action=AGAIN
    )
