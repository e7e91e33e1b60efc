"""Word and character errors of hypotheses."""

from collections.abc import Sequence
from dataclasses import dataclass

import jiwer
from rapidfuzz.distance import Levenshtein

from speech_mtl.datatypes import ErrorCounts
from speech_mtl.errors import InputError


@dataclass(frozen=True, slots=True)
class Score:
    """The errors of a set of utterances, over words and over characters (Unicode code points, the space between words
    being one).
    """

    words: ErrorCounts
    characters: ErrorCounts
    num_utterances: int


@dataclass(frozen=True, slots=True)
class TaskScore:
    """The errors of a task other than transcripts. Scores of several sets can be added.

    Attributes:
        errors: Wrong classes, deviations, or wrong tags; see `targets.LabelTarget.errors`.
        counted: What errors are counted against.
        num_labelled: Utterances of which anything is known.
    """

    errors: float = 0.0
    counted: float = 0.0
    num_labelled: int = 0

    @property
    def error(self) -> float | None:
        """Errors by what they are counted against; None if that is nothing."""
        return self.errors / self.counted if self.counted else None

    def __add__(self, other: "TaskScore") -> "TaskScore":
        return TaskScore(
            self.errors + other.errors, self.counted + other.counted, self.num_labelled + other.num_labelled
        )


def score(references: Sequence[str], hypotheses: Sequence[str], spaced: bool = True) -> Score:
    """Counts the fewest edits that turn each reference into its hypothesis, and adds them up.

    An empty reference is allowed: all of its hypothesis counts as insertions, which raise the rate of the set though
    the reference adds nothing to its length.

    Where several alignments have the fewest edits, how these divide into substitutions, deletions and insertions is
    jiwer's choice; their sum is not.

    Args:
        references: Texts in the normalised form of their tokeniser.
        hypotheses: Texts in the same form and order.
        spaced: Whether spaces separate words (`Tokenizer.spaced`). If not, as in Chinese characters or Thai, a word is
            not defined: words are counted per character, and their errors are those of the characters.

    Raises:
        InputError: There is no utterance, or not one hypothesis for every reference.
    """
    if not references or len(references) != len(hypotheses):
        raise InputError(
            "Nothing to score" if not references else "References and hypotheses do not match",
            expected="at least one reference, and a hypothesis for each",
            received=f"{len(references)} references and {len(hypotheses)} hypotheses",
            action="give every utterance of the split one hypothesis, an empty text if nothing was recognised",
        )
    characters = _counts(align(references, hypotheses, spaced=False))
    words = _counts(align(references, hypotheses, spaced)) if spaced else characters
    return Score(words, characters, len(references))


Alignment = jiwer.WordOutput | jiwer.CharacterOutput


def align(references: Sequence[str], hypotheses: Sequence[str], spaced: bool) -> Alignment:
    """Alignments with the fewest edits, of words; of characters if no spaces separate words."""
    process = jiwer.process_words if spaced else jiwer.process_characters
    return process(single_spaced(references), single_spaced(hypotheses))


def errors_by_utterance(
    references: Sequence[str], hypotheses: Sequence[str], spaced: bool
) -> tuple[list[int], list[int]]:
    """Errors of each utterance: over words, and over characters. Sums are those of `score`, which takes longer."""
    pairs = list(zip(single_spaced(references), single_spaced(hypotheses), strict=True))
    characters = [Levenshtein.distance(*pair) for pair in pairs]
    words = [Levenshtein.distance(a.split(), b.split()) for a, b in pairs] if spaced else characters
    return words, characters


def lengths_by_utterance(references: Sequence[str], spaced: bool) -> tuple[list[int], list[int]]:
    """Reference words and reference characters of each utterance."""
    characters = [len(text) for text in single_spaced(references)]
    return ([len(text.split()) for text in references] if spaced else characters), characters


def right_words(reference: str, words: Sequence[str], spaced: bool = True) -> list[bool]:
    """Which recognised words are hits of an alignment with the fewest edits; characters if no spaces separate words."""
    right = [False] * len(words)
    for chunk in align([reference], [(" " if spaced else "").join(words)], spaced).alignments[0]:
        if chunk.type == "equal":
            right[chunk.hyp_start_idx : chunk.hyp_end_idx] = [True] * (chunk.hyp_end_idx - chunk.hyp_start_idx)
    return right


def single_spaced(texts: Sequence[str]) -> list[str]:
    """Texts with one space between words and none around them: as they are scored."""
    return [" ".join(text.split()) for text in texts]


def _counts(output: Alignment) -> ErrorCounts:
    return ErrorCounts(output.hits, output.substitutions, output.deletions, output.insertions)
