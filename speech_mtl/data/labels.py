"""Labels of a manifest's utterances as columns of arrays, from which batches are cut; and which of them are used."""

import hashlib
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Self

import numpy as np

from speech_mtl.data.store import DURATION_TOLERANCE
from speech_mtl.datatypes import TRANSCRIPT, Utterance
from speech_mtl.errors import InputError
from speech_mtl.tasks import Task
from speech_mtl.tasks.frame_tags import Segments
from speech_mtl.tasks.task import LabelError

FrameTimes = Callable[[int], np.ndarray]
"""Samples -> (E,) seconds at which the encoder frames made of them have their middle."""


@dataclass(frozen=True)
class Removal:
    """Takes a random part of labels away, as if they were unknown: how much do partial labels cost?

    Whether an utterance keeps a label depends on the seed, the label's name and the utterance's id, and nothing else.

    Attributes:
        kept: By label, the share that is kept; labels that are not named are all kept.
        seed: Another seed, other labels.
    """

    kept: Mapping[str, float] = field(default_factory=dict)
    seed: int = 0

    def __call__(self, utterance: Utterance) -> Utterance:
        """The utterance with what is left of its labels."""
        lost = [name for name, share in self.kept.items() if share < 1 and self._draw(name, utterance.id) >= share]
        if not lost:
            return utterance
        text = None if TRANSCRIPT in lost else utterance.text
        nothing = dict.fromkeys(name for name in lost if name != TRANSCRIPT)
        return replace(utterance, text=text, labels={**utterance.labels, **nothing})

    def _draw(self, name: str, utterance_id: str) -> float:
        key = f"{self.seed}/{name}/{utterance_id}".encode()
        return int.from_bytes(hashlib.blake2b(key, digest_size=8).digest(), "big") / 2**64


class Column(ABC):
    """The labels of one task: one of each example, NaN where unknown."""

    @abstractmethod
    def of(self, example: int, num_samples: int, speed: float) -> np.ndarray:
        """The label of an example whose waveform has so many samples at this speed: (*shape) or (E, *shape)."""

    @abstractmethod
    def taken(self, examples: np.ndarray) -> Self:
        """The column of some of the examples."""

    @property
    @abstractmethod
    def num_labelled(self) -> int:
        """Examples of which anything is known."""


@dataclass(frozen=True)
class UtteranceColumn(Column):
    """Labels of whole utterances: (N, *shape) float32."""

    values: np.ndarray

    def of(self, example: int, num_samples: int, speed: float) -> np.ndarray:  # noqa: ARG002
        return self.values[example]

    def taken(self, examples: np.ndarray) -> "UtteranceColumn":
        return UtteranceColumn(self.values[examples])

    @property
    def num_labelled(self) -> int:
        known = ~np.isnan(self.values)
        return int(np.count_nonzero(known.any(axis=tuple(range(1, known.ndim)))))


@dataclass(frozen=True)
class FrameColumn(Column):
    """Labels over frames: the segments of all examples, end to end.

    Attributes:
        segments: Of all examples.
        starts: (N + 1,) int64, where each example's segments start.
        frame_times_s: Where encoder frames lie.
    """

    segments: Segments
    starts: np.ndarray
    frame_times_s: FrameTimes

    def of(self, example: int, num_samples: int, speed: float) -> np.ndarray:
        return self._segments(example).at(self.frame_times_s(num_samples) * speed)

    def taken(self, examples: np.ndarray) -> "FrameColumn":
        return _frame_column([self._segments(i) for i in examples], self.segments.values.shape[1], self.frame_times_s)

    @property
    def num_labelled(self) -> int:
        known = np.asarray(np.isfinite(self.segments.values).any(axis=1))
        return sum(bool(known[start:end].any()) for start, end in zip(self.starts, self.starts[1:], strict=False))

    def _segments(self, example: int) -> Segments:
        part = slice(self.starts[example], self.starts[example + 1])
        return Segments(self.segments.ends_s[part], self.segments.values[part])


def make_column(task: Task, labels: Sequence[Any], frame_times_s: FrameTimes) -> Column:
    """The column of encoded labels, in which None stands for an unknown one."""
    if task.over_frames:
        nothing = Segments(np.zeros(0, np.float32), np.zeros((0, *task.shape), np.float32))
        return _frame_column([nothing if one is None else one for one in labels], task.shape[0], frame_times_s)
    unknown = np.full(task.shape, np.nan, np.float32)
    rows = [unknown if one is None else one for one in labels]
    return UtteranceColumn(np.array(rows, np.float32).reshape(len(rows), *task.shape))


def _frame_column(pieces: Sequence[Segments], width: int, frame_times_s: FrameTimes) -> FrameColumn:
    starts = np.concatenate([[0], np.cumsum([len(piece.ends_s) for piece in pieces])]).astype(np.int64)
    ends_s = np.concatenate([piece.ends_s for piece in pieces] or [np.zeros(0, np.float32)])
    values = np.concatenate([piece.values for piece in pieces] or [np.zeros((0, width), np.float32)])
    return FrameColumn(Segments(ends_s, values), starts, frame_times_s)


def stacked(labels: Sequence[np.ndarray]) -> np.ndarray:
    """Labels of a batch as one array, those over frames filled up with NaN."""
    if labels[0].ndim < 2:
        return np.stack(labels)
    size = max(len(label) for label in labels)
    filled = np.full((len(labels), size, *labels[0].shape[1:]), np.nan, np.float32)
    for row, label in zip(filled, labels, strict=True):
        row[: len(label)] = label
    return filled


def encode(task: Task, utterance: Utterance) -> Any:
    """The encoded label of an utterance; None where it is unknown, as a whole or in every entry.

    Raises:
        InputError: It is no label of the task.
    """
    label = utterance.label(task.label)
    if label is None:
        return None
    try:
        encoded = task.encode(label)
        if task.over_frames:
            _refuse_beyond(encoded, utterance.duration_s)
    except LabelError as error:
        raise bad_label(task.name, task.label, utterance, error) from None
    return None if np.isnan(encoded.values if task.over_frames else encoded).all() else encoded


def _refuse_beyond(segments: Segments, duration_s: float) -> None:
    """Refuses segments that end far behind the audio, as those in milliseconds do."""
    share, seconds = DURATION_TOLERANCE
    if len(segments.ends_s) and segments.ends_s[-1] > duration_s + max(share * duration_s, seconds):
        raise LabelError(
            f"expected segments of {duration_s:g} s of audio, with ends in seconds; "
            f"received an end at {segments.ends_s[-1]:g}"
        )


def make_task(kind: type[Task], name: str, label: str, utterances: Iterable[Utterance], **settings: Any) -> Task:
    """A task of the labels that training has.

    Raises:
        InputError: A label is not of its kind, there is none, or there is nothing to learn in them.
    """
    latest: list[Utterance] = []

    def known() -> Iterator[Any]:
        for utterance in utterances:
            if (value := utterance.label(label)) is not None:
                latest[:] = [utterance]
                yield value
        if latest:
            latest.append(latest[0])  # the labels have come to their end

    try:
        return kind.from_labels(name, label, known(), **settings)
    except LabelError as error:
        if len(latest) == 1:
            raise bad_label(name, label, latest[0], error) from None
        raise InputError(
            f"The task {name!r} has nothing to learn from"
            if latest
            else f"No training utterance has a label for the task {name!r}",
            expected=f"labels under {label!r} in the manifests of the training split",
            received=str(error) if latest else "none, or only null",
            action=f"add the labels, name others with tasks.{name}.label, or take the task out of the recipe",
        ) from None


def bad_label(name: str, label: str, utterance: Utterance, error: LabelError) -> InputError:
    """The error of a label that a task cannot read."""
    expected, _, received = str(error).partition("; received ")
    return InputError(
        f"{utterance.source}: the label {label!r} is not one of the task {name!r}",
        expected=expected.removeprefix("expected "),
        received=received,
        action="mend the label, or set it to null if it is unknown",
    )
