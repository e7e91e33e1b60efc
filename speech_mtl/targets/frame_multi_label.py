"""Frame-wise multi-label classification: articulatory features of the phones, speech and pause."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, ClassVar, NamedTuple

import numpy as np

from speech_mtl.targets.multi_label import MultiLabelTarget, yes_or_no
from speech_mtl.targets.target import LARGEST, LabelError

ENDS = "end_s"


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


class FrameMultiLabel(MultiLabelTarget):
    """Binary labels of every encoder frame, each with the logistic loss.

    A label is a row of segments, column by column: `{"end_s": [0.1, 0.25], "voiced": [0, 1], "nasal": [0, null]}`. A
    frame has the label of the segment that its middle lies in.
    """

    over_frames: ClassVar = True
    is_shown: ClassVar = False

    def encode_label(self, label: Any) -> Segments:
        ends_s, columns = _columns(label)
        self.refuse_unseen(label)
        values = np.full((len(ends_s), len(self.names)), np.nan, np.float32)
        for number, tag in enumerate(self.names):
            for row, value in enumerate(columns.get(tag, ())):
                known = yes_or_no(value)
                if known is not None:
                    values[row, number] = known
        return Segments(ends_s, values)

    def rows(self, encoded: Segments | None) -> np.ndarray:
        """(n, 1 + K), the ends before the values."""
        return np.zeros((0, 1 + len(self.names)), np.float32) if encoded is None else np.column_stack(encoded)

    def values(self, rows: np.ndarray, times_s: Callable[[], np.ndarray]) -> np.ndarray:
        return Segments(rows[:, 0], rows[:, 1:]).at(times_s())

    def stacked(self, values: Sequence[np.ndarray]) -> np.ndarray:
        filled = np.full((len(values), max(map(len, values)), len(self.names)), np.nan, np.float32)
        for row, own in zip(filled, values, strict=True):
            row[: len(own)] = own
        return filled

    def decode(self, outputs: np.ndarray) -> dict[str, list[int]]:
        return {tag: (column > 0).astype(int).tolist() for tag, column in zip(self.names, outputs.T, strict=True)}

    def describe(self) -> str:
        return f"{super().describe()} of every frame"

    @staticmethod
    def named(label: Any) -> list[str]:
        columns = _columns(label)[1]
        return [tag for tag, column in columns.items() if any(value is not None for value in column)]


def _columns(label: Any) -> tuple[np.ndarray, dict[str, Sequence]]:
    """The ends of the segments, and the other columns."""
    form = 'expected columns of one length, such as {"end_s": [0.1, 0.25], "voiced": [0, 1]}'
    if not isinstance(label, Mapping) or not isinstance(label.get(ENDS), list):
        raise LabelError(f"{form}; received {str(label)[:80]}")
    columns = {tag: column for tag, column in label.items() if tag != ENDS}
    lengths = {tag: len(column) if isinstance(column, list) else None for tag, column in columns.items()}
    if any(length != len(label[ENDS]) for length in lengths.values()):
        raise LabelError(f"{form}; received {len(label[ENDS])} ends and columns of the lengths {lengths}")
    numbers = all(isinstance(end, int | float) and not isinstance(end, bool) for end in label[ENDS])
    numbers = numbers and all(abs(end) <= LARGEST for end in label[ENDS])
    ends_s = np.array(label[ENDS] if numbers else [np.nan], np.float32)
    if not (np.diff(ends_s, prepend=0.0) >= 0).all():
        raise LabelError(f"expected ends in seconds that rise; received {str(label[ENDS])[:80]}")
    return ends_s, columns
