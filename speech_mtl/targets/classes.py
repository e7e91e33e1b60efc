"""One of several classes: the language, the speaker, an emotion, the gender."""

from collections.abc import Sequence
from typing import Any, ClassVar

import numpy as np
from keras import ops

from speech_mtl.datatypes import Unseen
from speech_mtl.targets.names import NameTarget
from speech_mtl.targets.target import LabelError


class Classes(NameTarget):
    """Exactly one of several classes, by softmax and cross-entropy. A label is a word."""

    metric: ClassVar = "accuracy"
    one, several, fewest = "class", "classes", (2, "two classes")

    def __init__(self, name: str, label: str, classes: Sequence[str], unseen: Unseen):
        super().__init__(name, label, classes, unseen)

    @staticmethod
    def named(label: Any) -> list[str]:
        return [_word(label)]

    @property
    def shape(self) -> tuple[int, ...]:
        return ()

    def encode_label(self, label: Any) -> np.ndarray:
        self.refuse_unseen(label)
        return np.array(self.numbers.get(_word(label), np.nan), np.float32)

    def entry_losses(self, outputs, values):
        chosen = ops.one_hot(ops.cast(values, "int32"), self.num_outputs, dtype="float32")
        return -ops.sum(chosen * ops.log_softmax(outputs, axis=-1), axis=-1)

    def errors(self, outputs: np.ndarray, values: np.ndarray) -> tuple[float, float]:
        if np.isnan(values):
            return 0.0, 0.0
        return float(np.argmax(outputs) != int(values)), 1.0

    def decode(self, outputs: np.ndarray) -> str:
        return self.names[int(np.argmax(outputs))]


def _word(label: Any) -> str:
    if isinstance(label, bool):
        return str(label).lower()  # as JSON has it
    if isinstance(label, str | int) and str(label):
        return str(label)
    raise LabelError(f'expected one class, a word such as "happy"; received {label!r}')
