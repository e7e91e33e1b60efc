"""The n-gram models of a language, and the weights that were tuned for them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from typing_extensions import TypedDict

from speech_mtl.decoding.ngrams import NGrams
from speech_mtl.errors import InputError
from speech_mtl.files import Finite, NotNegative

LM_KINDS = {
    "tokens": "n-grams of tokens",
    "words": "n-grams of words; only words of the texts that they were made from are found",
    "open": "n-grams of words; others are spelt with n-grams of tokens",
}


class TunedRow(TypedDict):
    """A line of the table of tuning: weights, and the errors with them in the validation set."""

    lm: str
    lm_weight: Finite
    word_score: Finite
    word_errors: NotNegative
    words: NotNegative
    character_errors: NotNegative
    characters: NotNegative


@dataclass(frozen=True)
class LanguageModel:
    """The n-grams of a language, their spellings and weights, for beam search.

    Attributes:
        name: Of where it lies, for messages.
        tokens: N-grams of tokens, written as `scorers.symbol` does.
        words: N-grams of words; None where no spaces separate them.
        spellings: Tokens of each word that can be found; several may have the same.
        tuning: All weights that were tried.
        spaced: Whether words are what errors are counted in.
    """

    name: str
    tokens: NGrams
    words: NGrams | None
    spellings: Mapping[str, tuple[int, ...]]
    tuning: Sequence[TunedRow]
    spaced: bool

    def weights(self, lm: str | None, lm_weight: float | None, word_score: float | None) -> tuple[str, float, float]:
        """Kind, weight and score for each word: as given or, where None, as in the tuned row with the fewest errors.

        Raises:
            InputError: One is to be as tuned, and nothing was.
        """
        if lm is not None and lm_weight is not None and word_score is not None:
            return lm, lm_weight, word_score
        best = best_row([row for row in self.tuning if lm in (None, row["lm"])], self.spaced)
        if best is None:
            raise InputError(
                f"{self.name} has no tuned weights" + (f" for decoding.lm={lm}" if lm else ""),
                expected="decoding.lm, decoding.lm_weight and decoding.word_score, or weights that were tuned",
                received=f"lm: {lm}, lm_weight: {lm_weight}, word_score: {word_score}",
                action="give all three with --set, or run `speech-mtl lm` again without --no-tune",
            )
        weight = best["lm_weight"] if lm_weight is None else lm_weight
        return best["lm"], weight, best["word_score"] if word_score is None else word_score


def best_row(rows: Sequence[TunedRow], spaced: bool) -> TunedRow | None:
    """The row with the fewest errors, of words or where none are separated of characters; of equals the first."""
    first, second = ("word_errors", "character_errors") if spaced else ("character_errors", "word_errors")
    return min(rows, key=lambda row: (row[first], row[second]), default=None)
