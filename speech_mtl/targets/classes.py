"""One of several classes: the language, the speaker, an emotion, the gender."""

from collections.abc import Iterable, Sequence
from typing import Any, ClassVar, Self

import numpy as np
from keras import ops

from speech_mtl.targets.target import LabelError, LabelTarget, Unseen, unseen_error


class Classes(LabelTarget):
    """Exactly one of several classes, by softmax and cross-entropy. A label is a word.

    Args:
        name: What recipes call it.
        label: The name of its labels in the manifests.
        classes: All of them.
        unseen: What to do with a class that no training utterance has.
    """

    metric: ClassVar = "accuracy"

    def __init__(self, name: str, label: str, classes: Sequence[str], unseen: Unseen = "refuse"):
        super().__init__(name, label)
        self.classes = list(classes)
        self.unseen = unseen
        self._numbers = {word: number for number, word in enumerate(self.classes)}

    @classmethod
    def from_labels(cls, name: str, label: str, labels: Iterable[Any], **settings: Any) -> Self:
        classes = sorted({_word(one) for one in labels})
        if len(classes) < 2:
            raise LabelError(f"expected at least two classes in training; received {classes}")
        return cls(name, label, classes, **settings)

    @property
    def num_outputs(self) -> int:
        return len(self.classes)

    @property
    def shape(self) -> tuple[int, ...]:
        return ()

    def encode_label(self, label: Any) -> np.ndarray:
        word = _word(label)
        if word in self._numbers:
            return np.array(self._numbers[word], np.float32)
        if self.unseen == "unknown":
            return np.array(np.nan, np.float32)
        raise unseen_error("class", self, self.classes, word)

    def has_out_of_vocabulary(self, label: Any) -> bool:
        return _word(label) not in self._numbers

    def entry_losses(self, outputs, values):
        chosen = ops.one_hot(ops.cast(values, "int32"), self.num_outputs, dtype="float32")
        return -ops.sum(chosen * ops.log_softmax(outputs, axis=-1), axis=-1)

    def errors(self, outputs: np.ndarray, values: np.ndarray) -> tuple[float, float]:
        if np.isnan(values):
            return 0.0, 0.0
        return float(np.argmax(outputs) != int(values)), 1.0

    @staticmethod
    def score(error: float) -> float:
        return 1.0 - error

    def decode(self, outputs: np.ndarray) -> str:
        return self.classes[int(np.argmax(outputs))]

    def describe(self) -> str:
        return f"{len(self.classes)} classes"

    def to_json(self) -> dict[str, Any]:
        return {"name": self.name, "label": self.label, "classes": self.classes, "unseen": self.unseen}


def _word(label: Any) -> str:
    if isinstance(label, bool):
        return str(label).lower()  # as JSON has it
    if isinstance(label, str | int) and str(label):
        return str(label)
    raise LabelError(f'expected one class, a word such as "happy"; received {label!r}')
