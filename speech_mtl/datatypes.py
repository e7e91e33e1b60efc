"""Types that all parts of the package use. READ FIRST.

    Utterance -> Batch -> Outputs -> Hypothesis -> ErrorCounts

Shapes are written in fixed letters: B batch, S samples, T frames, E encoder frames, D width, V vocabulary, U tokens,
L languages.
"""

import math
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Literal, NamedTuple

Array = Any
"""An array of numpy, or of the Keras backend."""

BLANK = 0
"""The CTC blank is token 0 in every vocabulary."""

TRANSCRIPT = "transcript"
"""Name of the transcript among labels, and of the target that is decoded to text."""

PSEUDO_LABEL = "pseudo_label"
"""Name of the label of an utterance whose text is a hypothesis; see `run.pseudo_labelled`."""

TOP = "top"
"""Name of the frames at the end of an encoder; see `models.encoder.Encoder`."""

Unseen = Literal["refuse", "unknown"]
"""What to do with a class or tag that no training utterance has: refuse it, or take it as unknown."""

Numerals = Literal["spell", "keep", "refuse"]
LatinWords = Literal["keep", "drop", "refuse"]
"""What can be done with numbers in digits, and with Latin words; see `data.rules.Choices`."""

SPLITS = ("train", "dev", "test")

PROTOCOLS = {
    "equal_speech": "each arm trained until its validation error stopped falling",
    "equal_target_updates": "each arm has as many updates of the target's speech as alone, whatever it has besides",
    "equal_updates": "each arm has as many updates as alone, all its stages together",
}
"""The values of `compare.protocol`: what arms have in common, so that they can be compared."""

SMALLEST = 1e-4
"""In log-odds, a probability is taken for no nearer to 0 or 1, where they would be infinite."""

Protocol = Literal["equal_speech", "equal_target_updates", "equal_updates"]


@dataclass(frozen=True, slots=True)
class Utterance:
    """One line of a manifest: a stretch of speech and its labels.

    Attributes:
        id: Unique within its manifest.
        audio: The audio file, or the place of audio in a file; see `data.place`.
        language: BCP 47 tag, such as `cs` or `zh-CN`.
        text: The transcript as the corpus has it (not normalised); None if unknown.
        duration_s: Length in seconds.
        speaker: Who speaks; None if unknown.
        labels: What else is known, by name, in the forms that the kinds of `targets` read; None where unknown.
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
        """Returns a label by name: an entry of `labels`, or the utterance's transcript, language or speaker."""
        own = {"language": self.language, "speaker": self.speaker, **self.labels}
        return self.text if name == TRANSCRIPT else own.get(name)

    def with_label(self, name: str, label: Any) -> "Utterance":
        """The utterance with a label besides or in place of that of the same name; None where unknown."""
        return replace(self, labels={**self.labels, name: label})

    def without(self, names: Collection[str]) -> "Utterance":
        """The utterance with some of its labels unknown."""
        labels = {**self.labels, **dict.fromkeys(name for name in names if name != TRANSCRIPT)}
        return replace(self, text=None if TRANSCRIPT in names else self.text, labels=labels)


class Tokens(NamedTuple):
    """Token sequences of a batch.

    Attributes:
        ids: (B, U) int32, zero-padded.
        sizes: (B,) int32, true lengths; 0 where the sequence is unknown, or the row is padding of the batch.
    """

    ids: Array
    sizes: Array


class Batch(NamedTuple):
    """Utterances of any languages, padded to one rectangle. A pytree of arrays, so that every backend takes it.

    Attributes:
        waveforms: (B, S) float32 in [-1, 1], zero-padded; or what features that are made before made of them.
        num_samples: (B,) int32, true lengths in samples.
        language_ids: (B,) int32, index into the model's languages.
        targets: By target, what `targets.Target` makes of its labels: `Tokens`, or (B, ...) float32 with NaN where
            unknown. A row of which nothing is known adds nothing to the loss.
    """

    waveforms: Array
    num_samples: Array
    language_ids: Array
    targets: Mapping[str, Any] = {}

    def of(self, rows: Array, num_inputs: Callable[[Any], Any] = int) -> "Batch":
        """Some of the utterances, without padding that only others need.

        Args:
            rows: Their numbers.
            num_inputs: Samples -> numbers that `waveforms` holds for an utterance.
        """

        def taken(values: Any) -> Any:
            if isinstance(values, Tokens):
                sizes = values.sizes[rows]
                return Tokens(values.ids[rows, : sizes.max()], sizes)
            return values[rows]

        sizes = self.num_samples[rows]
        targets = {name: taken(values) for name, values in self.targets.items()}
        waveforms = self.waveforms[rows, : num_inputs(sizes.max())]
        return Batch(waveforms, sizes, self.language_ids[rows], targets)


class Outputs(NamedTuple):
    """The network's outputs for a batch.

    Attributes:
        values: By target, the outputs of its head: (B, K) float32, or (B, E, K) over frames; K is the target's
            `num_outputs`. Of tokens: unnormalised log-probabilities, -1e9 beyond an utterance's own vocabulary.
        num_frames: (B,) int32, true numbers of encoder frames.
    """

    values: Mapping[str, Array]
    num_frames: Array


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


class Calibration(NamedTuple):
    """How the confidence of a word follows from its tokens; see `decoding.confidence`.

    Attributes:
        slope: Weight of the log-odds of its tokens' mean probability.
        length: Weight of the logarithm of its number of letters.
        intercept: What is added.
    """

    slope: float
    length: float
    intercept: float

    def probability(self, raw: float, num_letters: int) -> float:
        """The probability that a word is right, whose tokens have this mean probability."""
        raw = min(max(raw, SMALLEST), 1 - SMALLEST)
        log_odds = math.log(raw) - math.log1p(-raw)
        weighed = self.slope * log_odds + self.length * math.log(num_letters) + self.intercept
        return (1 + math.tanh(weighed / 2)) / 2  # the logistic function, which never overflows so


class Alternative(NamedTuple):
    """Another text that the decoder found.

    Attributes:
        text: In the tokeniser's normalised form.
        score: As of a `Hypothesis`.
    """

    text: str
    score: float


@dataclass(frozen=True, slots=True)
class Hypothesis:
    """The hypothesis of one utterance.

    Attributes:
        id: The utterance's id.
        language: Whose output layer was used.
        text: The recognised text, in the tokeniser's normalised form.
        score: Mean log-probability per encoder frame; of beam search, of all paths of the text, weighted by its
            language model.
        labels: By other target, the outputs of its head: (K,), or (E, K) over frames.
        tokens: What the text is made of.
        spaced: Whether spaces separate the words of the text.
        end_s: End of the utterance, in seconds from the start of the recording; 0 if unknown.
        calibration: What makes the confidences of its words probabilities; None where they are not calibrated.
        alternatives: The next best texts, in order, if any were asked for.
        start_s: Start of the utterance, in seconds from the start of the recording.
        spells_text: Whether the tokens spell the text. If not, each of its words is that of the tokens between spaces.
    """

    id: str
    language: str
    text: str
    score: float
    labels: Mapping[str, Array] = field(default_factory=dict)
    tokens: tuple[Token, ...] = ()
    spaced: bool = True
    end_s: float = 0.0
    calibration: Calibration | None = None
    alternatives: tuple[Alternative, ...] = ()
    start_s: float = 0.0
    spells_text: bool = True

    def later(self, start_s: float) -> "Hypothesis":
        """The hypothesis of a segment that begins so many seconds after the recording, with times in the recording."""
        tokens = [one._replace(start_s=one.start_s + start_s, end_s=one.end_s + start_s) for one in self.tokens]
        start_s, end_s = self.start_s + start_s, self.end_s + start_s
        return replace(self, tokens=tuple(tokens), start_s=start_s, end_s=end_s)


@dataclass(frozen=True, slots=True)
class ErrorCounts:
    """Edit operations between references and hypotheses, over words or over characters."""

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
