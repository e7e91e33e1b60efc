"""Targets whose labels are made of names: those that training has."""

from abc import abstractmethod
from collections.abc import Iterable, Sequence
from typing import Any, ClassVar, Self

from speech_mtl.datatypes import Unseen
from speech_mtl.targets.target import LabelError, LabelTarget


class NameTarget(LabelTarget):
    """A target of classes or of tags.

    Args, besides those of `LabelTarget`:
        names: All classes or tags.
        unseen: Whether those that no training utterance has are refused or count as unknown.
    """

    one: ClassVar[str]
    """The kind of thing that has a name: `class` or `tag`."""
    several: ClassVar[str]
    """The same of several; also what constructors and files call the names."""
    fewest: ClassVar[tuple[int, str]]
    """How many there must be in training, as a number and in words."""

    def __init__(self, name: str, label: str, names: Sequence[str], unseen: Unseen):
        super().__init__(name, label)
        self.names, self.unseen = list(names), unseen
        self.numbers = {one: number for number, one in enumerate(self.names)}

    @staticmethod
    @abstractmethod
    def named(label: Any) -> list[str]:
        """The classes or tags that a label names with a known value.

        Raises:
            LabelError: It is not a label of this kind.
        """

    @classmethod
    def from_labels(cls, name: str, label: str, labels: Iterable[Any], **settings: Any) -> Self:
        names, (fewest, wanted) = sorted({one for own in labels for one in cls.named(own)}), cls.fewest
        if len(names) < fewest:
            raise LabelError(f"expected at least {wanted} in training; received {names or 'none'}")
        return cls(name, label, names, **settings)

    @property
    def num_outputs(self) -> int:
        return len(self.names)

    def has_out_of_vocabulary(self, label: Any) -> bool:
        return not self.numbers.keys() >= set(self.named(label))

    def refuse_unseen(self, label: Any) -> None:
        """Raises a LabelError for a name that no training utterance has, unless it counts as unknown."""
        unseen = [one for one in self.named(label) if one not in self.numbers]
        if unseen and self.unseen == "refuse":
            few = ", ".join(self.names[:8]) + (f" and {len(self.names) - 8} more" if len(self.names) > 8 else "")
            raise LabelError(
                f"expected a {self.one} that training has ({few}), or tasks.{self.name}.unseen=unknown to leave others "
                f"out; received {unseen[0]!r}, which no training utterance has"
            )

    @staticmethod
    def score(error: float) -> float:
        return 1.0 - error

    def describe(self) -> str:
        return f"{len(self.names)} {self.several}"

    def to_json(self) -> dict[str, Any]:
        return {"name": self.name, "label": self.label, self.several: self.names, "unseen": self.unseen}
