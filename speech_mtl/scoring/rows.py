"""The rows of result files: what `evaluation.json` and `comparison.json` hold, and what tables are made of."""

from typing import Annotated, Literal, NotRequired

from pydantic import Field
from typing_extensions import TypedDict

from speech_mtl.files import NotNegative
from speech_mtl.scoring.error_rate import Score

Rate = Annotated[float, Field(ge=0, lt=1e6, allow_inf_nan=False)]
"""Errors per reference word or character, in files."""

Number = Annotated[float, Field(gt=-1e12, lt=1e12, allow_inf_nan=False)]
"""Any other number in files."""

Amount = Annotated[float, Field(ge=0, lt=1e12, allow_inf_nan=False)]
"""A number in files that is not negative."""

Budget = Annotated[float, Field(ge=1e-3, lt=1e9, allow_inf_nan=False)]
"""Seconds of speech, in files."""

Seed = Annotated[int, Field(ge=0, lt=2**32)]
"""Seed of random numbers, in files."""

Tested = Annotated[str, Field(pattern="^(train|dev|test)$")]
"""A split, in files."""


Drawn = Literal["speaker", "utterance"]
"""What the bootstrap draws."""

Interval = Annotated[list[Rate], Field(min_length=2, max_length=2)] | None
"""Ends of a 95 % interval, in files; None where nothing can be known of one."""


class MeasuredRow(TypedDict):
    """Fields of both kinds of row, about one language's split.

    `wer` and `cer` are errors per reference word and character (not percent); None where there are none of these.
    `normalizer` names the rule by which texts were normalised (see `data.text`); files of earlier versions lack it.
    """

    language: str
    split: Tested
    num_utterances: NotNegative
    num_reference_words: NotNegative
    num_reference_characters: NotNegative
    wer: Rate | None
    cer: Rate | None
    normalizer: NotRequired[str]


class Intervals(TypedDict):
    """How far off the error rates of a network would be on another test set of the kind; see `scoring.resampling`.

    Attributes:
        num_speakers: How many are named.
        drawn: Over what the intervals are.
    """

    num_speakers: NotNegative
    drawn: Drawn
    wer: Interval
    cer: Interval


class EvaluationRow(MeasuredRow):
    """A row of an evaluation: the measured split and its kinds of errors; files of earlier versions lack intervals."""

    intervals: NotRequired[Intervals]
    word_substitutions: NotNegative
    word_deletions: NotNegative
    word_insertions: NotNegative
    character_substitutions: NotNegative
    character_deletions: NotNegative
    character_insertions: NotNegative


class TaskRow(TypedDict):
    """Result of a run in one task other than transcripts, in one language's split.

    Attributes:
        metric: Name of the metric in `value`.
        value: Accuracy, F1 or mean absolute error; None if no label is known.
        errors: Wrong classes, deviations, or wrong tags; see `targets.LabelTarget.errors`. Rows can be added up.
        counted: What errors are counted against.
        num_labelled: Utterances of which anything is known.
    """

    task: str
    metric: str
    language: str
    split: Tested
    num_utterances: NotNegative
    num_labelled: NotNegative
    value: Number | None
    errors: Amount
    counted: Amount


def measured_row(language: str, split: str, score: Score) -> MeasuredRow:
    """The part of a row that a score decides."""
    words, characters = score.words, score.characters
    return {
        "language": language,
        "split": split,
        "num_utterances": score.num_utterances,
        "num_reference_words": words.num_reference,
        "num_reference_characters": characters.num_reference,
        "wer": words.rate if words.num_reference else None,
        "cer": characters.rate if characters.num_reference else None,
    }


def evaluation_row(language: str, split: str, score: Score) -> EvaluationRow:
    """The row of an evaluation that a score makes."""
    words, characters = score.words, score.characters
    return {
        **measured_row(language, split, score),
        "word_substitutions": words.substitutions,
        "word_deletions": words.deletions,
        "word_insertions": words.insertions,
        "character_substitutions": characters.substitutions,
        "character_deletions": characters.deletions,
        "character_insertions": characters.insertions,
    }


LabelErrors = tuple[Amount, Amount] | None
"""Errors of one utterance in a task, and what they are counted against; None where its label is unknown."""
