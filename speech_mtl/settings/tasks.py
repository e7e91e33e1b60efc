"""Settings of tasks: what is predicted besides transcripts."""

from typing import Annotated, Literal

from pydantic import Discriminator, Tag

from speech_mtl.settings.section import Kept, Section, Word, kind_or


class TaskSection(Section):
    """What all kinds of tasks have; see `tasks.Task`."""

    label: Word | None = None
    """Name of its labels in the manifests, there `labels.NAME`, or `language` or `speaker`. None: the task's name."""
    keep_labels: Kept = 1.0
    """Share of the training labels, chosen at random, that training sees; the others count as unknown."""


class PooledTaskSection(TaskSection):
    """A task whose head sees the whole utterance at once."""

    pooling: Literal["attention", "mean"] = "attention"
    """How encoder frames become one; see `models.task_heads`."""


class UnseenSection(TaskSection):
    """A task whose labels are names."""

    unseen: Literal["refuse", "unknown"] = "refuse"
    """What to do with a class or tag in dev or test that no training utterance has."""


class ClassesTaskSettings(PooledTaskSection, UnseenSection):
    """One of several classes; see `tasks.classes`."""

    kind: Literal["classes"] = "classes"


class NumberTaskSettings(PooledTaskSection):
    """A number; see `tasks.number`."""

    kind: Literal["number"] = "number"


class TagsTaskSettings(PooledTaskSection, UnseenSection):
    """Several yes or no labels at once; see `tasks.tags`."""

    kind: Literal["tags"] = "tags"


class FrameTagsTaskSettings(UnseenSection):
    """Several yes or no labels of every frame; see `tasks.frame_tags`."""

    kind: Literal["frame_tags"] = "frame_tags"


TaskSettings = Annotated[
    Annotated[ClassesTaskSettings, Tag("classes")]
    | Annotated[NumberTaskSettings, Tag("number")]
    | Annotated[TagsTaskSettings, Tag("tags")]
    | Annotated[FrameTagsTaskSettings, Tag("frame_tags")],
    Discriminator(kind_or("classes")),
]
