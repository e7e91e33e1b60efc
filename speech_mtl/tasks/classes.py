"""One of several classes: the language, the speaker, an emotion, the gender."""

from collections.abc import Iterable, Sequence
from typing import Any, ClassVar, Literal, Self

import numpy as np
from keras import ops

from speech_mtl.tasks.task import LabelError, Task


class Classes(Task):
    """Exactly one of several classes, by softmax and cross-entropy. A label is a word.

    Args:
        name: What recipes call it.
        label: The name of its labels in the manifests.
        classes: All of them.
        unseen: What to do with a class that no training utterance has: `refuse` it, or take it as `unknown`.
    """

    kind: ClassVar = "classes"
    metric: ClassVar = "accuracy"

    def __init__(self, name: str, label: str, classes: Sequence[str], unseen: Literal["refuse", "unknown"] = "refuse"):
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

    def encode(self, label: Any) -> np.ndarray:
        word = _word(label)
        if word in self._numbers:
            return np.array(self._numbers[word], np.float32)
        if self.unseen == "unknown":
            return np.array(np.nan, np.float32)
        raise LabelError(
            f"expected a class that training has ({_few(self.classes)}), or tasks.{self.name}.unseen=unknown to leave "
            f"other classes out; received {word!r}, which no training utterance has"
        )

    def losses(self, outputs, values):
        chosen = ops.one_hot(ops.cast(values, "int32"), self.num_outputs, dtype="float32")
        return -ops.sum(chosen * ops.log_softmax(outputs, axis=-1), axis=-1)

    def errors(self, outputs: np.ndarray, values: np.ndarray) -> tuple[float, float]:
        if np.isnan(values):
            return 0.0, 0.0
        return float(np.argmax(outputs) != int(values)), 1.0

    def score(self, error: float) -> float:
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


def _few(classes: list[str]) -> str:
    return ", ".join(classes[:8]) + (f" and {len(classes) - 8} more" if len(classes) > 8 else "")
