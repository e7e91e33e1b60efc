"""Settings of decoding: how a trained network turns speech into text."""

from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Literal

from pydantic import Field

from speech_mtl.settings.section import WHOLE, Kinds, Positive, Text, Weight

Hypotheses = Annotated[int, Field(strict=True, ge=1, le=10_000), WHOLE]

WordScore = Annotated[float, Field(strict=True, ge=-1000, le=1000)]


class DecodingSettings(Kinds):
    """How tokens are found in a network's outputs; see `decoding.decoder.Decoder`."""

    takes_lm: ClassVar[bool] = False
    """Whether it can use n-grams and hot words."""
    if TYPE_CHECKING:
        lm: Any
        hot_words: tuple[str, ...]

    @property
    def uses_lm(self) -> bool:
        """Whether it needs the n-grams of a language."""
        return self.takes_lm and self.lm != "none"


GreedyDecoding = DecodingSettings.plain("greedy", "decoding.greedy:Greedy")


class BeamDecoding(DecodingSettings, kind="beam", makes="decoding.beam:Beam"):
    """Prefix beam search. N-grams of a language are made and tuned by `speech-mtl lm`."""

    takes_lm = True
    width: Hypotheses = 50
    """How many hypotheses are kept after each frame."""
    num_best: Hypotheses = 1
    """How many hypotheses are written, in JSON as alternatives with their scores."""
    lm: Literal["none", "tokens", "words", "open"] | None = None
    """N-grams of `tokens`; of `words`, with no others than those of the texts that they were made from; `open`: of
    words, and others are spelt with n-grams of tokens. None: what made the fewest errors in the validation set."""
    lm_weight: Weight | None = None
    """Exponent of the probability that the n-grams give. None: as tuned."""
    word_score: WordScore | None = None
    """Added for each word, or each token of lm: tokens, to the logarithm of the probability. None: as tuned."""
    hot_words: Annotated[tuple[Text, ...], Field(max_length=1000)] = ()
    """Words and phrases that are to be expected, such as names."""
    hot_word_score: Positive = 6.0
    """Added for each of them to the logarithm of the probability."""

    def arguments(self) -> dict[str, Any]:
        """Its settings, without what only a run has: n-grams, hot words as they are spelt, whether words are spaced."""
        return {**super().arguments(), "model": None, "spaced": True}


def decoding_note(decoding: DecodingSettings) -> str:
    """A note for tables on the settings of decoding; empty for the usual ones."""
    if decoding == DecodingSettings.usual():
        return ""
    return "Decoding: " + ", ".join(f"{key}={value}" for key, value in decoding.model_dump(mode="json").items())
