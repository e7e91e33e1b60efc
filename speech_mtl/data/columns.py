"""What is known of examples, as columns of arrays from which batches are cut: a column for each target."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple, Self

import numpy as np

from speech_mtl.datatypes import Tokens

FrameTimes = Callable[[int], np.ndarray]
"""Samples -> (E,) seconds at which the encoder frames made of them have their middle."""


class Segments(NamedTuple):
    """The labels of an utterance over frames.

    Attributes:
        ends_s: (N,) float32, seconds at which each segment ends; it begins where the one before ends, the first at 0.
        values: (N, K) float32, NaN where unknown.
    """

    ends_s: np.ndarray
    values: np.ndarray

    def at(self, times_s: np.ndarray) -> np.ndarray:
        """(E,) times -> (E, K) values of the segments there; NaN behind the last."""
        beyond = np.full((1, self.values.shape[1]), np.nan, np.float32)
        return np.concatenate([self.values, beyond])[np.searchsorted(self.ends_s, times_s, side="right")]


class Column(ABC):
    """What is known for one target: something of each example."""

    @abstractmethod
    def of(self, example: int, num_samples: int, speed: float) -> np.ndarray:
        """What is known of an example whose waveform has so many samples at this speed."""

    @abstractmethod
    def taken(self, examples: np.ndarray) -> Self:
        """The column of some of the examples."""

    @staticmethod
    @abstractmethod
    def stacked(rows: Sequence[np.ndarray]) -> Any:
        """What `of` gave for the examples of a batch, as `Batch.targets` has it."""

    @property
    @abstractmethod
    def num_known(self) -> int:
        """Examples of which anything is known."""


@dataclass(frozen=True)
class TokenColumn(Column):
    """Token sequences; an empty one where it is unknown.

    Attributes:
        tokens: Of all examples, end to end.
        starts: (N + 1,) int64, where each example's tokens start.
    """

    tokens: np.ndarray
    starts: np.ndarray

    @classmethod
    def of_rows(cls, rows: Sequence[Any]) -> "TokenColumn":
        """The column of token sequences; None stands for an unknown one."""
        pieces = [np.zeros(0, np.int32) if row is None else row for row in rows]
        return cls(np.concatenate([np.zeros(0, np.int32), *pieces]), _starts(pieces))

    def of(self, example: int, num_samples: int = 0, speed: float = 1.0) -> np.ndarray:  # noqa: ARG002
        """(U,) int32."""
        return self.tokens[self.starts[example] : self.starts[example + 1]]

    def taken(self, examples: np.ndarray) -> "TokenColumn":
        return self.of_rows([self.of(i) for i in examples])

    @staticmethod
    def stacked(rows: Sequence[np.ndarray]) -> Tokens:
        return Tokens(*padded_rows(rows, np.int32))

    @property
    def num_known(self) -> int:
        return int(np.count_nonzero(np.diff(self.starts)))


@dataclass(frozen=True)
class UtteranceColumn(Column):
    """Labels of whole utterances: (N, *shape) float32, NaN where unknown."""

    values: np.ndarray

    @classmethod
    def of_rows(cls, rows: Sequence[Any], shape: tuple[int, ...]) -> "UtteranceColumn":
        """The column of encoded labels; None stands for an unknown one."""
        unknown = np.full(shape, np.nan, np.float32)
        return cls(np.array([unknown if row is None else row for row in rows], np.float32).reshape(len(rows), *shape))

    def of(self, example: int, num_samples: int = 0, speed: float = 1.0) -> np.ndarray:  # noqa: ARG002
        """(*shape)."""
        return self.values[example]

    def taken(self, examples: np.ndarray) -> "UtteranceColumn":
        return UtteranceColumn(self.values[examples])

    @staticmethod
    def stacked(rows: Sequence[np.ndarray]) -> np.ndarray:
        return np.stack(rows)

    @property
    def num_known(self) -> int:
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

    @classmethod
    def of_rows(cls, rows: Sequence[Any], width: int, frame_times_s: FrameTimes) -> "FrameColumn":
        """The column of `Segments` of so many labels; None stands for unknown ones."""
        nothing = Segments(np.zeros(0, np.float32), np.zeros((0, width), np.float32))
        pieces = [nothing if row is None else row for row in rows]
        whole = (np.concatenate(parts) for parts in zip(nothing, *pieces, strict=True))
        return cls(Segments(*whole), _starts([piece.ends_s for piece in pieces]), frame_times_s)

    def of(self, example: int, num_samples: int, speed: float) -> np.ndarray:
        """(E, K)."""
        return self._segments(example).at(self.frame_times_s(num_samples) * speed)

    def taken(self, examples: np.ndarray) -> "FrameColumn":
        return self.of_rows([self._segments(i) for i in examples], self.segments.values.shape[1], self.frame_times_s)

    @staticmethod
    def stacked(rows: Sequence[np.ndarray]) -> np.ndarray:
        filled = np.full((len(rows), max(map(len, rows)), *rows[0].shape[1:]), np.nan, np.float32)
        for target, row in zip(filled, rows, strict=True):
            target[: len(row)] = row
        return filled

    @property
    def num_known(self) -> int:
        known = np.asarray(np.isfinite(self.segments.values).any(axis=1))
        return sum(bool(known[start:end].any()) for start, end in zip(self.starts, self.starts[1:], strict=False))

    def _segments(self, example: int) -> Segments:
        part = slice(self.starts[example], self.starts[example + 1])
        return Segments(self.segments.ends_s[part], self.segments.values[part])


def _starts(pieces: Sequence[np.ndarray]) -> np.ndarray:
    """(N + 1,) int64, where each of these starts when they are laid end to end."""
    return np.concatenate([[0], np.cumsum([len(piece) for piece in pieces])]).astype(np.int64)


def padded_rows(rows: Sequence[np.ndarray], dtype: type):
    """Rows of different length -> one zero-padded matrix, and the (B,) int32 true lengths."""
    sizes = np.array([len(row) for row in rows], dtype=np.int32)
    matrix = np.zeros((len(rows), int(sizes.max(initial=0))), dtype=dtype)
    for target, row in zip(matrix, rows, strict=True):
        target[: len(row)] = row
    return matrix, sizes


def min_frames(tokens: np.ndarray) -> int:
    """Fewest encoder frames that CTC needs: one a token, and a blank between equal neighbours."""
    return len(tokens) + int(np.count_nonzero(tokens[1:] == tokens[:-1]))
