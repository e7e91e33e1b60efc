"""The interface of targets: from a label to a loss, and from the outputs of a head to errors."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any, ClassVar, Self

import numpy as np
from keras import ops

from speech_mtl.data.store import DURATION_TOLERANCE
from speech_mtl.datatypes import TOP, Array, Utterance
from speech_mtl.errors import InputError
from speech_mtl.models.features import frame_mask
from speech_mtl.models.heads import Head, PooledHead

LARGEST = 1e18
"""Largest number in a label, so that its square is still a float32."""


class LabelError(ValueError):
    """A label that a target cannot read; the message gives what was expected and received."""


class Target(ABC):
    """A prediction target: how it is read and encoded, its tap of the encoder, its loss.

    Args:
        name: Its name in recipes, batches and outputs.
    """

    by_language: bool = False
    """Whether each language has a weight of its own in the objective, or the target has one."""

    from_text: bool = False
    """Whether its labels are made from transcripts."""

    likelihood_factor: ClassVar[float] = 1.0
    """Factor of the loss in the negative log-likelihood: 1/2 for a squared error, Kendall et al. 2018, equation 5."""

    def __init__(self, name: str):
        self.name = name

    def is_for(self, language: str) -> bool:  # noqa: ARG002
        """Whether utterances of a language can have it."""
        return True

    @abstractmethod
    def encode(self, utterance: Utterance, language: str) -> Any:
        """Encodes the label of an utterance for `rows`; None if it is unknown, as a whole or in every entry.

        `language` is what the recipe calls its language.

        Raises:
            InputError: The label is not one of this target.
            Unusable: The utterance cannot be learned from.
        """

    def num_frames_needed(self, encoded: Any) -> int:  # noqa: ARG002
        """Fewest encoder frames from which it can be learned."""
        return 1

    @abstractmethod
    def rows(self, encoded: Any) -> np.ndarray:
        """(n, ...), what `encode` gave as it is held in memory; no rows of what is unknown."""

    @abstractmethod
    def values(self, rows: np.ndarray, times_s: Callable[[], np.ndarray]) -> np.ndarray:
        """The values of an utterance's rows, NaN where unknown; over frames, by the (E,) times of their middles."""

    @abstractmethod
    def stacked(self, values: Sequence[np.ndarray]) -> Any:
        """Stacks the `values` of a batch's utterances for `Batch.targets`."""

    @abstractmethod
    def nothing(self) -> Any:
        """Entry of `Batch.targets` without utterances: arrays whose axes of size 0 can have any size."""

    @abstractmethod
    def head(self, widths: Mapping[str, int], languages: Sequence[str]) -> Head:
        """Makes its head.

        Args:
            widths: By tap of the encoder, the width of the frames there.
            languages: In the order of `language_ids`.
        """

    @abstractmethod
    def counts(self, values: Any, num_frames: Array) -> Array:
        """(B,) known entries of each utterance, in `keras.ops`; arguments as of `losses`."""

    @abstractmethod
    def losses(self, outputs: Array, values: Any, num_frames: Array) -> Array:
        """(B,) loss of each utterance, summed over its known entries, in `keras.ops`.

        Args:
            values: What `Batch.targets` has of it.
            num_frames: (B,) true encoder frames.
        """


class ScoredTarget(Target):
    """A target that is made from the training speech, kept in a file of the run, and whose errors are counted."""

    metric: ClassVar[str]
    """Name of the metric that `score` returns."""
    over_frames: ClassVar[bool] = False
    """Whether the head has outputs for every encoder frame, or for the utterance."""
    is_shown: ClassVar[bool] = True
    """Whether what is predicted is written with hypotheses; a label of every frame is too long."""
    at: str = TOP
    """The tap of the encoder that its head is at; see `models.encoder.Encoder`."""
    pooling: str | None = None
    """How encoder frames become one, see `models.heads`; None over frames."""

    def placed(self, at: str, pooling: str | None = None) -> Self:
        """The target with its head at a tap of the encoder, pooled in a way; these are settings, and no labels."""
        self.at, self.pooling = at, pooling
        return self

    @classmethod
    @abstractmethod
    def from_speech(cls, name: str, speech: Iterable[tuple[str, Utterance]], **settings: Any) -> Self:
        """Makes the target from the utterances that training uses, each after what the recipe calls its language.

        Raises:
            InputError: There is nothing to learn in them, or they do not fit the settings.
        """

    def is_out_of_vocabulary(self, utterance: Utterance, language: str) -> bool:  # noqa: ARG002
        """Whether an utterance's label has what training has not, and is therefore left out."""
        return False

    def kept(self, outputs: np.ndarray) -> np.ndarray:
        """What `errors` and `decode` take of an utterance's outputs, (K,), or (E, K) over frames."""
        return outputs

    @abstractmethod
    def errors(self, outputs: np.ndarray, values: np.ndarray) -> tuple[float, float]:
        """The errors of one utterance, and what they are counted against; of a set, both are added up.

        Args:
            outputs: What is `kept` of the outputs.
            values: As `values` gives them.
        """

    @staticmethod
    @abstractmethod
    def score(error: float) -> float:
        """The metric, from the errors of a set divided by what they are counted against."""

    @abstractmethod
    def decode(self, outputs: np.ndarray) -> Any:
        """What is `kept` of the outputs in the form of a label; over frames, without the ends of segments."""

    @abstractmethod
    def describe(self) -> str:
        """Describes the labels in a few words: `4 classes`."""

    @abstractmethod
    def to_json(self) -> dict[str, Any]:
        """The arguments that make it again, besides its kind."""


class LabelTarget(ScoredTarget):
    """A target of labels, one of an utterance or one of every encoder frame.

    A label becomes an array of `shape` in which NaN stands for what is unknown, as a whole or entry by entry.

    Args:
        label: The name of its labels in the manifests.
    """

    def __init__(self, name: str, label: str):
        super().__init__(name)
        self.label = label

    def is_out_of_vocabulary(self, utterance: Utterance, language: str) -> bool:  # noqa: ARG002
        label = utterance.label(self.label)
        return label is not None and self.has_out_of_vocabulary(label)

    @classmethod
    @abstractmethod
    def from_labels(cls, name: str, label: str, labels: Iterable[Any], **settings: Any) -> Self:
        """Makes the target from the known labels of training, which decide its classes, tags or scale.

        Raises:
            LabelError: A label is of another kind, or there is nothing to learn in them.
        """

    @classmethod
    def from_speech(cls, name: str, speech: Iterable[tuple[str, Utterance]], *, label: str, **settings: Any) -> Self:
        latest: list[Utterance] = []

        def known() -> Iterator[Any]:
            for _, utterance in speech:
                if (value := utterance.label(label)) is not None:
                    latest[:] = [utterance]
                    yield value
            if latest:
                latest.append(latest[0])  # the labels have come to their end

        try:
            return cls.from_labels(name, label, known(), **settings)
        except LabelError as error:
            if len(latest) == 1:
                raise _bad_label(name, label, latest[0], error) from None
            raise InputError(
                f"The task {name!r} has nothing to learn from"
                if latest
                else f"No training utterance has a label for the task {name!r}",
                expected=f"labels under {label!r} in the manifests of the training split",
                received=str(error) if latest else "none, or only null",
                action=f"add the labels, name others with tasks.{name}.label, or take the task out of the recipe",
            ) from None

    @property
    @abstractmethod
    def num_outputs(self) -> int:
        """K, how many numbers the head gives for an utterance or a frame."""

    @property
    @abstractmethod
    def shape(self) -> tuple[int, ...]:
        """Shape of an encoded label: () or (K,)."""

    @abstractmethod
    def encode_label(self, label: Any) -> Any:
        """A known label as a float32 array of `shape`; for a target over frames, as `Segments`.

        Raises:
            LabelError: It is not a label of this target.
        """

    def has_out_of_vocabulary(self, label: Any) -> bool:  # noqa: ARG002
        """Whether a known label has an out-of-vocabulary class or tag; `encode_label` leaves it out."""
        return False

    @abstractmethod
    def entry_losses(self, outputs: Array, values: Array) -> Array:
        """The loss of every entry, of the shape of `values`, in `keras.ops`. Entries have no NaN here.

        Args:
            outputs: (..., K) outputs of the head.
            values: (..., *shape) encoded labels.
        """

    def encode(self, utterance: Utterance, language: str) -> Any:  # noqa: ARG002
        label = utterance.label(self.label)
        if label is None:
            return None
        try:
            encoded = self.encode_label(label)
            if self.over_frames:
                _refuse_beyond(encoded.ends_s, utterance.duration_s)
        except LabelError as error:
            raise _bad_label(self.name, self.label, utterance, error) from None
        return None if np.isnan(encoded.values if self.over_frames else encoded).all() else encoded

    def rows(self, encoded: Any) -> np.ndarray:
        return np.zeros((0, *self.shape), np.float32) if encoded is None else np.asarray(encoded, np.float32)[None]

    def values(self, rows: np.ndarray, times_s: Callable[[], np.ndarray]) -> np.ndarray:  # noqa: ARG002
        return rows[0] if len(rows) else np.full(self.shape, np.nan, np.float32)

    def stacked(self, values: Sequence[np.ndarray]) -> np.ndarray:
        return np.stack(values)

    def nothing(self) -> np.ndarray:
        return np.zeros((0, *([0] if self.over_frames else []), *self.shape), np.float32)

    def head(self, widths: Mapping[str, int], languages: Sequence[str]) -> PooledHead:  # noqa: ARG002
        return PooledHead(self.at, widths[self.at], self.num_outputs, self.pooling, self.name)

    def counts(self, values: Any, num_frames: Array) -> Array:
        if self.over_frames:
            values = _true_frames(values, num_frames)
        return _by_utterance(ops.cast(ops.logical_not(ops.isnan(values)), "float32"))

    def losses(self, outputs: Array, values: Any, num_frames: Array) -> Array:
        if self.over_frames:
            unknown = ops.full_like(outputs, np.nan)
            fitted = ops.concatenate([values, unknown], axis=1)[:, : ops.shape(outputs)[1]]
            values = _true_frames(fitted, num_frames)
        known = ops.logical_not(ops.isnan(values))
        return _by_utterance(ops.where(known, self.entry_losses(outputs, ops.where(known, values, 0.0)), 0.0))


def _true_frames(values, num_frames):
    """(B, E, K) labels of frames, with NaN beyond the true frames."""
    mask = frame_mask(num_frames, ops.shape(values)[1])[:, :, None] > 0
    return ops.where(mask, values, ops.full_like(values, np.nan))


def _by_utterance(entries):
    """The sums over all axes but the first: (B,)."""
    axes: Sequence[int] = tuple(range(1, len(entries.shape)))
    return ops.sum(entries, axis=axes) if axes else entries


def _refuse_beyond(ends_s: np.ndarray, duration_s: float) -> None:
    """Refuses segments that end far behind the audio, as those in milliseconds do."""
    fraction, seconds = DURATION_TOLERANCE
    if len(ends_s) and ends_s[-1] > duration_s + max(fraction * duration_s, seconds):
        raise LabelError(
            f"expected segments of {duration_s:g} s of audio, with ends in seconds; received an end at {ends_s[-1]:g}"
        )


def _bad_label(name: str, label: str, utterance: Utterance, error: LabelError) -> InputError:
    expected, _, received = str(error).partition("; received ")
    return InputError(
        f"{utterance.source}: the label {label!r} is not one of the task {name!r}",
        expected=expected.removeprefix("expected "),
        received=received,
        action="fix the label, or set it to null if it is unknown",
    )
