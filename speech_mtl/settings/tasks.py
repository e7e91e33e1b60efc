"""Settings of tasks, the targets besides transcripts."""

from typing import Any, Literal

from speech_mtl.datatypes import TOP, Unseen
from speech_mtl.settings.section import FilePath, Kept, Kinds, LanguageName, Word


class TaskSettings(Kinds):
    """Settings of all kinds of tasks; see `targets.target.Target`."""

    at: Word = TOP
    """Tap of the encoder that its head uses: `top`, the output of the encoder, or the output of a block, `block_0` the
    lowest."""

    def placed(self) -> dict[str, Any]:
        """The settings of its head."""
        return self.model_dump(include={"at", "pooling"})


class ScoredTaskSection(TaskSettings):
    """A task whose errors are counted; see `targets.target.ScoredTarget`."""

    def arguments(self) -> dict[str, Any]:
        return self.model_dump(exclude={"kind", "at"})


class LabelTaskSection(ScoredTaskSection):
    """A task that has labels; see `targets.target.LabelTarget`."""

    label: Word | None = None
    """Name of its labels in the manifests, there `labels.NAME`, or `language` or `speaker`. None: the task's name."""
    keep_labels: Kept = 1.0
    """Fraction of the training labels that training uses, chosen at random; the others count as unknown."""

    def arguments(self) -> dict[str, Any]:
        return self.model_dump(exclude={"kind", "label", "keep_labels", "at", "pooling"})


class PooledTaskSection(LabelTaskSection):
    """A task with one label for the whole utterance."""

    pooling: Literal["attention", "mean"] = "attention"
    """Pooling of the encoder frames; see `models.heads`."""


class UnseenSection(LabelTaskSection):
    """A task whose labels are names."""

    unseen: Unseen = "refuse"
    """Whether out-of-vocabulary classes or tags in dev or test are refused or count as unknown."""


class ClassesTaskSettings(PooledTaskSection, UnseenSection, kind="classes", makes="targets.classes:Classes"):
    """One of several classes; see `targets.classes`."""


class RegressionTaskSettings(PooledTaskSection, kind="number", makes="targets.regression:Regression"):
    """Regression; see `targets.regression`."""


class MultiLabelTaskSettings(PooledTaskSection, UnseenSection, kind="tags", makes="targets.multi_label:MultiLabel"):
    """Multi-label classification; see `targets.multi_label`."""


class FrameMultiLabelTaskSettings(UnseenSection, kind="frame_tags", makes="targets.frame_multi_label:FrameMultiLabel"):
    """Frame-wise multi-label classification; see `targets.frame_multi_label`."""


class CtcTaskSettings(TaskSettings, kind="ctc", makes="targets.ctc:Ctc"):
    """The transcripts once more, with output layers of their own that are not used to recognise speech.

    Reference: Lee and Watanabe 2021, "Intermediate loss regularization for CTC-based speech recognition".
    """


class PhonesTaskSettings(ScoredTaskSection, kind="phones", makes="targets.shared_phones:SharedPhones"):
    """The phones of the transcripts, by one output layer for all languages; see `targets.shared_phones`."""

    lexicons: dict[LanguageName, FilePath | None] = {}
    """By language, a file of lines `word<TAB>phones` that is used in place of espeak-ng. null: no phones."""
