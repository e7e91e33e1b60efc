"""What flows through the package. READ FIRST.

    Utterance -> Batch -> Logits -> Hypothesis -> ErrorCounts

Shapes are written in fixed letters: B batch, S samples, T frames, E encoder frames, D width, V vocabulary, U tokens,
L languages.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, NamedTuple

Array = Any
"""An array of numpy, or of the Keras backend."""

BLANK = 0
"""The CTC blank is token 0 in every vocabulary."""

TRANSCRIPT = "transcript"
"""What the transcript is called among labels."""

SPLITS = ("train", "dev", "test")

PROTOCOLS = {
    "equal_speech": "each arm trained until its validation error stopped falling",
    "equal_target_updates": "each arm has as many updates of the target's speech as alone, whatever it has besides",
    "equal_updates": "each arm has as many updates as alone, all its stages together",
}
"""The values of `compare.protocol`: what arms have in common, so that they can be compared."""

Protocol = Literal["equal_speech", "equal_target_updates", "equal_updates"]


@dataclass(frozen=True, slots=True)
class Utterance:
    """One line of a manifest: a stretch of speech and what is known about it.

    Attributes:
        id: Unique within its manifest.
        audio: The audio file.
        language: BCP 47 tag, such as `cs` or `zh-CN`.
        text: The transcript as the corpus has it (not normalised); None if unknown.
        duration_s: Length in seconds.
        speaker: Who speaks; None if unknown.
        labels: What else is known, by name, in the forms that the kinds of `tasks` read; None where unknown.
        source: `file:line` of the manifest, for messages.
    """

    id: str
    audio: Path
    language: str
    text: str | None
    duration_s: float
    speaker: str | None = None
    labels: Mapping[str, Any] = field(default_factory=dict)
    source: str = ""

    def label(self, name: str) -> Any:
        """What is known under a name: an entry of `labels`, or the utterance's own language or speaker."""
        if name in self.labels:
            return self.labels[name]
        return {"language": self.language, "speaker": self.speaker}.get(name)


class Batch(NamedTuple):
    """Utterances of any languages, padded to one rectangle. A pytree of arrays, so that every backend takes it.

    Attributes:
        waveforms: (B, S) float32 in [-1, 1], zero-padded.
        num_samples: (B,) int32, true lengths.
        language_ids: (B,) int32, index into the model's languages.
        tokens: (B, U) int32, zero-padded.
        num_tokens: (B,) int32, true lengths; a row with 0 tokens (its transcript is unknown, or it is padding of the
            batch) adds nothing to the loss of transcripts.
        labels: By task, (B, ...) float32 as `tasks.Task` encodes them, NaN where unknown.
    """

    waveforms: Array
    num_samples: Array
    language_ids: Array
    tokens: Array
    num_tokens: Array
    labels: Mapping[str, Array] = {}

    def mapped(self, function: Callable[[Array], Array]) -> "Batch":
        """The batch with a function applied to each of its arrays."""
        fields: tuple[Array, Array, Array, Array, Array] = self[:-1]
        return Batch(*map(function, fields), labels={name: function(array) for name, array in self.labels.items()})  # pyright: ignore[reportCallIssue]


class Logits(NamedTuple):
    """What the network says of a batch: unnormalised log-probabilities of tokens, and of labels.

    Attributes:
        values: (B, E, V) float32; V is the largest vocabulary, tokens beyond an utterance's own vocabulary are -1e9.
        num_frames: (B,) int32, true numbers of encoder frames.
        labels: By task, (B, K) float32, or (B, E, K) for a task over frames; K is the task's `num_outputs`.
    """

    values: Array
    num_frames: Array
    labels: Mapping[str, Array] = {}


class Token(NamedTuple):
    """A recognised token.

    Attributes:
        text: As the vocabulary of its language has it.
        start_s: Seconds from the start of the recording.
        end_s: Seconds from the start of the recording.
        log_probability: Mean over its encoder frames.
    """

    text: str
    start_s: float
    end_s: float
    log_probability: float


@dataclass(frozen=True, slots=True)
class Hypothesis:
    """What was recognised in one utterance.

    Attributes:
        id: The utterance's id.
        language: Whose output layer was used.
        text: The recognised text, in the tokeniser's normalised form.
        score: Mean log-probability per encoder frame.
        labels: By task, what its head says: (K,), or (E, K) for a task over frames.
        tokens: What the text is made of.
        spaced: Whether spaces separate the words of the text.
    """

    id: str
    language: str
    text: str
    score: float
    labels: Mapping[str, Array] = field(default_factory=dict)
    tokens: tuple[Token, ...] = ()
    spaced: bool = True


@dataclass(frozen=True, slots=True)
class ErrorCounts:
    """Edit operations between references and hypotheses, over words or over characters.

    Rates are derived from counts, so that counts of several sets can be added.
    """

    hits: int = 0
    substitutions: int = 0
    deletions: int = 0
    insertions: int = 0

    @property
    def num_reference(self) -> int:
        """Number of reference words (or characters)."""
        return self.hits + self.substitutions + self.deletions

    @property
    def num_errors(self) -> int:
        return self.substitutions + self.deletions + self.insertions

    @property
    def rate(self) -> float:
        """Errors per reference word (or character); can exceed 1.

        Raises:
            ZeroDivisionError: There is no reference word.
        """
        return self.num_errors / self.num_reference

    def __add__(self, other: "ErrorCounts") -> "ErrorCounts":
        return ErrorCounts(
            self.hits + other.hits,
            self.substitutions + other.substitutions,
            self.deletions + other.deletions,
            self.insertions + other.insertions,
        )
