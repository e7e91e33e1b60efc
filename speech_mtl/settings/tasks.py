"""Settings of tasks: what is predicted besides transcripts."""

from typing import Any, Literal

from speech_mtl.datatypes import TOP, Unseen
from speech_mtl.settings.section import Kept, Kinds, Word


class TaskSettings(Kinds):
    """What all kinds of tasks have; see `targets.target.Target`."""

    at: Word = TOP
    """Which frames its head gets: `top`, those that come out of the encoder, or what a block gives, `block_0` the
    lowest."""

    def placed(self) -> dict[str, Any]:
        """The settings of its head."""
        return self.model_dump(include={"at", "pooling"})


class LabelTaskSection(TaskSettings):
    """A task that has labels; see `targets.target.LabelTarget`."""

    label: Word | None = None
    """Name of its labels in the manifests, there `labels.NAME`, or `language` or `speaker`. None: the task's name."""
    keep_labels: Kept = 1.0
    """Share of the training labels, chosen at random, that training sees; the others count as unknown."""

    def arguments(self) -> dict[str, Any]:
        return self.model_dump(exclude={"kind", "label", "keep_labels", "at", "pooling"})


class PooledTaskSection(LabelTaskSection):
    """A task whose head sees the whole utterance at once."""

    pooling: Literal["attention", "mean"] = "attention"
    """How encoder frames become one; see `models.heads`."""


class UnseenSection(LabelTaskSection):
    """A task whose labels are names."""

    unseen: Unseen = "refuse"
    """What to do with a class or tag in dev or test that no training utterance has."""


class ClassesTaskSettings(PooledTaskSection, UnseenSection, kind="classes", makes="targets.classes:Classes"):
    """One of several classes; see `targets.classes`."""


class NumberTaskSettings(PooledTaskSection, kind="number", makes="targets.number:Number"):
    """A number; see `targets.number`."""


class TagsTaskSettings(PooledTaskSection, UnseenSection, kind="tags", makes="targets.tags:Tags"):
    """Several yes or no labels at once; see `targets.tags`."""


class FrameTagsTaskSettings(UnseenSection, kind="frame_tags", makes="targets.frame_tags:FrameTags"):
    """Several yes or no labels of every frame; see `targets.frame_tags`."""


class CtcTaskSettings(TaskSettings, kind="ctc", makes="targets.ctc:Ctc"):
    """The transcripts once more, with output layers of their own that are not used to recognise speech.

    Reference: Lee and Watanabe 2021, "Intermediate loss regularization for CTC-based speech recognition".
    """
