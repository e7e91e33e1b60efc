"""Multi-label classification: the sounds in a recording, for example."""

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

import numpy as np
from keras import ops

from speech_mtl.datatypes import Unseen
from speech_mtl.targets.names import NameTarget
from speech_mtl.targets.target import LabelError

YES, NO = 1.0, 0.0


class MultiLabelTarget(NameTarget):
    """Base of multi-label targets of utterances and of frames."""

    metric: ClassVar = "F1"
    one, several, fewest = "tag", "tags", (1, "one tag that is 0 or 1")

    def __init__(self, name: str, label: str, tags: Sequence[str], unseen: Unseen):
        super().__init__(name, label, tags, unseen)

    @property
    def shape(self) -> tuple[int, ...]:
        return (len(self.names),)

    def entry_losses(self, outputs, values):
        return ops.softplus(outputs) - outputs * values  # -log sigmoid(output), or of -output where the value is 0

    def errors(self, outputs: np.ndarray, values: np.ndarray) -> tuple[float, float]:
        """(errors, 2 * hits + errors) of the known entries: their quotient over a set is 1 - F1, all tags together."""
        predicted, known = outputs > 0, ~np.isnan(values)
        hits = np.count_nonzero(predicted & (values == YES))
        errors = np.count_nonzero(known & (predicted != (values == YES)))
        return float(errors), float(2 * hits + errors)


class MultiLabel(MultiLabelTarget):
    """Binary labels, each with the logistic loss. A label is `{"music": 1, "laughter": 0, "cough": null}`.

    What is not named is as unknown as what is null.
    """

    def encode_label(self, label: Any) -> np.ndarray:
        known = {tag: yes_or_no(value) for tag, value in _entries(label).items()}
        self.refuse_unseen(label)
        return np.array([np.nan if known.get(tag) is None else known[tag] for tag in self.names], np.float32)

    def decode(self, outputs: np.ndarray) -> dict[str, int]:
        return {tag: int(output > 0) for tag, output in zip(self.names, outputs, strict=True)}

    @staticmethod
    def named(label: Any) -> list[str]:
        return [tag for tag, value in _entries(label).items() if value is not None]


def _entries(label: Any) -> Mapping[str, Any]:
    if isinstance(label, Mapping):
        return label
    raise LabelError(f'expected tags such as {{"music": 1, "laughter": 0, "cough": null}}; received {label!r}')


def yes_or_no(value: Any) -> float | None:
    """1, 0, true, false or null as a number.

    Raises:
        LabelError: It is something else.
    """
    if value is None:
        return None
    if value in (0, 1):  # true and false too
        return YES if value else NO
    raise LabelError(f"expected 1, 0 or null for each tag; received {value!r}")
