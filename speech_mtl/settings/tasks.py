"""Settings of tasks: what is predicted besides transcripts."""

from typing import Literal

from speech_mtl.settings.section import Kept, Kinds, Word


class TaskSettings(Kinds):
    """What all kinds of tasks have; see `tasks.Task`."""

    label: Word | None = None
    """Name of its labels in the manifests, there `labels.NAME`, or `language` or `speaker`. None: the task's name."""
    keep_labels: Kept = 1.0
    """Share of the training labels, chosen at random, that training sees; the others count as unknown."""


class PooledTaskSection(TaskSettings):
    """A task whose head sees the whole utterance at once."""

    pooling: Literal["attention", "mean"] = "attention"
    """How encoder frames become one; see `models.task_heads`."""


class UnseenSection(TaskSettings):
    """A task whose labels are names."""

    unseen: Literal["refuse", "unknown"] = "refuse"
    """What to do with a class or tag in dev or test that no training utterance has."""


class ClassesTaskSettings(PooledTaskSection, UnseenSection, kind="classes"):
    """One of several classes; see `tasks.classes`."""


class NumberTaskSettings(PooledTaskSection, kind="number"):
    """A number; see `tasks.number`."""


class TagsTaskSettings(PooledTaskSection, UnseenSection, kind="tags"):
    """Several yes or no labels at once; see `tasks.tags`."""


class FrameTagsTaskSettings(UnseenSection, kind="frame_tags"):
    """Several yes or no labels of every frame; see `tasks.frame_tags`."""
