"""Regression: an age, a speaking rate, a score."""

from collections.abc import Iterable
from typing import Annotated, Any, ClassVar, Self

import numpy as np
from pydantic import Field

from speech_mtl.errors import printable
from speech_mtl.files import Finite
from speech_mtl.targets.target import LARGEST, LabelError, LabelTarget


class Regression(LabelTarget):
    """Regression with the mean squared error, in standard deviations of the training labels.

    Args, besides those of `LabelTarget`:
        mean: Of the training labels.
        deviation: Standard deviation of the training labels.
    """

    metric: ClassVar = "mean absolute error"
    likelihood_factor: ClassVar = 0.5

    def __init__(self, name: str, label: str, mean: Finite, deviation: Annotated[Finite, Field(gt=0)]):
        super().__init__(name, label)
        self.mean = mean
        self.deviation = deviation

    @classmethod
    def from_labels(cls, name: str, label: str, labels: Iterable[Any], **settings: Any) -> Self:
        numbers = np.array([_number(one) for one in labels])
        if not len(numbers) or np.ptp(numbers) == 0:
            raise LabelError(f"expected numbers that differ in training; received {sorted(set(numbers.tolist()))}")
        return cls(name, label, float(numbers.mean()), float(numbers.std()), **settings)

    @property
    def num_outputs(self) -> int:
        return 1

    @property
    def shape(self) -> tuple[int, ...]:
        return ()

    def encode_label(self, label: Any) -> np.ndarray:
        return np.array((_number(label) - self.mean) / self.deviation, np.float32)

    def entry_losses(self, outputs, values):
        difference = outputs[..., 0] - values
        return difference * difference

    def errors(self, outputs: np.ndarray, values: np.ndarray) -> tuple[float, float]:
        if np.isnan(values):
            return 0.0, 0.0
        return float(abs(outputs[0] - values)) * self.deviation, 1.0

    @staticmethod
    def score(error: float) -> float:
        return error

    def decode(self, outputs: np.ndarray) -> float:
        return float(outputs[0]) * self.deviation + self.mean

    def describe(self) -> str:
        return f"a number, {self.mean:.4g} ± {self.deviation:.3g}"

    def to_json(self) -> dict[str, Any]:
        return {"name": self.name, "label": self.label, "mean": self.mean, "deviation": self.deviation}


def _number(label: Any) -> float:
    if isinstance(label, int | float) and not isinstance(label, bool) and abs(label) <= LARGEST:
        return float(label)
    raise LabelError(f"expected a number of at most {LARGEST:g}; received {printable(repr(label), 80)}")
