"""Multi-label classification: the sounds in a recording, for example."""

from abc import abstractmethod
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, ClassVar, Self

import numpy as np
from keras import ops

from speech_mtl.targets.target import LabelError, LabelTarget, Unseen, unseen_error

YES, NO = 1.0, 0.0


class MultiLabelTarget(LabelTarget):
    """Base of multi-label targets of utterances and of frames.

    Args:
        name: What recipes call it.
        label: The name of its labels in the manifests.
        tags: All of them.
        unseen: What to do with a tag that no training utterance has.
    """

    metric: ClassVar = "F1"

    def __init__(self, name: str, label: str, tags: Sequence[str], unseen: Unseen = "refuse"):
        super().__init__(name, label)
        self.tags = list(tags)
        self.unseen = unseen

    @property
    def num_outputs(self) -> int:
        return len(self.tags)

    @property
    def shape(self) -> tuple[int, ...]:
        return (len(self.tags),)

    def entry_losses(self, outputs, values):
        return ops.softplus(outputs) - outputs * values  # -log sigmoid(output), or of -output where the value is 0

    def errors(self, outputs: np.ndarray, values: np.ndarray) -> tuple[float, float]:
        """(errors, 2 * hits + errors) of the known entries: their quotient over a set is 1 - F1, all tags together."""
        predicted, known = outputs > 0, ~np.isnan(values)
        hits = np.count_nonzero(predicted & (values == YES))
        errors = np.count_nonzero(known & (predicted != (values == YES)))
        return float(errors), float(2 * hits + errors)

    @staticmethod
    def score(error: float) -> float:
        return 1.0 - error

    def to_json(self) -> dict[str, Any]:
        return {"name": self.name, "label": self.label, "tags": self.tags, "unseen": self.unseen}

    def has_out_of_vocabulary(self, label: Any) -> bool:
        return bool(self._unseen(label))

    def _unseen(self, label: Any) -> list[str]:
        return [tag for tag in self._known(label) if tag not in self.tags]

    def _refuse_unseen(self, label: Any) -> None:
        if self.unseen == "refuse" and (unseen := self._unseen(label)):
            raise unseen_error("tag", self, self.tags, unseen[0])

    @staticmethod
    @abstractmethod
    def _known(label: Any) -> list[str]:
        """The tags that a label names with a known value."""

    @classmethod
    def _of(cls, name: str, label: str, tags: Iterable[str], **settings: Any) -> Self:
        found = sorted(set(tags))
        if not found:
            raise LabelError("expected at least one tag that is 0 or 1 in training; received none")
        return cls(name, label, found, **settings)


class MultiLabel(MultiLabelTarget):
    """Binary labels, each with the logistic loss. A label is `{"music": 1, "laughter": 0, "cough": null}`.

    What is not named is as unknown as what is null.
    """

    @classmethod
    def from_labels(cls, name: str, label: str, labels: Iterable[Any], **settings: Any) -> Self:
        return cls._of(name, label, (tag for one in labels for tag in cls._known(one)), **settings)

    def encode_label(self, label: Any) -> np.ndarray:
        known = {tag: yes_or_no(value) for tag, value in _entries(label).items()}
        self._refuse_unseen(label)
        return np.array([np.nan if known.get(tag) is None else known[tag] for tag in self.tags], np.float32)

    def decode(self, outputs: np.ndarray) -> dict[str, int]:
        return {tag: int(output > 0) for tag, output in zip(self.tags, outputs, strict=True)}

    def describe(self) -> str:
        return f"{len(self.tags)} tags"

    @staticmethod
    def _known(label: Any) -> list[str]:
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
