"""What every kind of task has."""

from abc import ABC, abstractmethod
from collections.abc import Iterable, Sequence
from typing import Any, ClassVar, Literal, Self

import numpy as np

from speech_mtl.datatypes import Array

Unseen = Literal["refuse", "unknown"]
"""What to do with a class or tag that no training utterance has: refuse it, or take it as unknown."""


class LabelError(ValueError):
    """A label that a task cannot read; the message says what was expected instead of what."""


def unseen_error(what: str, task: "Task", seen: Sequence[str], name: str) -> LabelError:
    """The error of a label that names a class or tag that no training utterance has."""
    few = ", ".join(seen[:8]) + (f" and {len(seen) - 8} more" if len(seen) > 8 else "")
    return LabelError(
        f"expected a {what} that training has ({few}), or tasks.{task.name}.unseen=unknown to leave others out; "
        f"received {name!r}, which no training utterance has"
    )


class Task(ABC):
    """One thing to predict: how its labels are read, what the network's head has to say, its loss and its errors.

    A label becomes an array of `shape` in which NaN stands for what is unknown, as a whole or entry by entry.

    Args:
        name: What recipes call it.
        label: The name of its labels in the manifests.
    """

    kind: ClassVar[str]
    metric: ClassVar[str]
    """What is reported: the name of `score`."""
    over_frames: ClassVar[bool] = False
    """Whether every encoder frame has a label of its own, (E, *shape), or the utterance has one."""

    likelihood_factor: ClassVar[float] = 1.0
    """Of the loss in the negative log likelihood: a squared error has a half, see Kendall et al. 2018, equation 5."""

    def __init__(self, name: str, label: str):
        self.name = name
        self.label = label

    @classmethod
    @abstractmethod
    def from_labels(cls, name: str, label: str, labels: Iterable[Any], **settings: Any) -> Self:
        """Makes the task from the known labels of training, which decide its classes, tags or scale.

        Raises:
            LabelError: A label is of another kind, or there is nothing to learn in them.
        """

    @property
    @abstractmethod
    def num_outputs(self) -> int:
        """K, how many numbers the head gives for an utterance or a frame."""

    @property
    @abstractmethod
    def shape(self) -> tuple[int, ...]:
        """Of an encoded label: () or (K,)."""

    @abstractmethod
    def encode(self, label: Any) -> Any:
        """A known label as a float32 array of `shape`; for a task over frames, as `Segments`.

        Raises:
            LabelError: It is not a label of this task.
        """

    def names_unseen(self, label: Any) -> bool:  # noqa: ARG002
        """Whether a known label names a class or tag that no training utterance has; `encode` leaves it out."""
        return False

    @abstractmethod
    def losses(self, outputs: Array, values: Array) -> Array:
        """The loss of every entry, of the shape of `values`, in `keras.ops`. Entries have no NaN here.

        Args:
            outputs: (..., K) what the head says.
            values: (..., *shape) encoded labels.
        """

    @abstractmethod
    def errors(self, outputs: np.ndarray, values: np.ndarray) -> tuple[float, float]:
        """The errors of one utterance, and what they are counted against; of a set, both are added up.

        Args:
            outputs: (K,), or (E, K) over frames.
            values: (*shape), or (E, *shape); NaN where unknown.
        """

    @staticmethod
    @abstractmethod
    def score(error: float) -> float:
        """The figure that is reported, from the errors of a set divided by what they are counted against."""

    @abstractmethod
    def decode(self, outputs: np.ndarray) -> Any:
        """What the head says in the form of a manifest's label; over frames, without the ends of segments."""

    @abstractmethod
    def describe(self) -> str:
        """What is told apart, in a few words: `4 classes`."""

    @abstractmethod
    def to_json(self) -> dict[str, Any]:
        """The arguments that make it again, besides its kind."""
