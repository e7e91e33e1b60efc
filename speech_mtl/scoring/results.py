"""The rows of result files: what `evaluation.json` and `comparison.json` hold, and what tables are made of."""

from typing import TypedDict

from speech_mtl.scoring.error_rate import Score

REFERENCE_ARM = "alone"
"""The arm that the others are measured against: the target language and nothing else."""

EQUAL_UPDATES, NOISE, SHUFFLED = "_equal_updates", "_noise", "_shuffled"
"""What the names of controls end with: arms that are there to be compared with, not to be used."""

_ONLY = "_only_"
_VARIANT = ":"


def only_arm(arm: str, auxiliary: str) -> str:
    """Name of an arm that has a single auxiliary language."""
    return arm + _ONLY + auxiliary


def variant_arm(arm: str, variant: str) -> str:
    """Name of an arm with changed settings; see `compare.variants`."""
    return arm + _VARIANT + variant if variant else arm


def split_variant(arm: str) -> tuple[str, str]:
    """An arm's name without its variant, and the variant; "" for none."""
    base, _, variant = arm.partition(_VARIANT)
    return base, variant


def is_control(arm: str) -> bool:
    """Whether an arm is a control, by its name."""
    return arm.endswith((EQUAL_UPDATES, NOISE, SHUFFLED))


def auxiliary_of(arm: str) -> str | None:
    """The single auxiliary language in an arm's name; None where there is no such."""
    _, found, language = arm.partition(_ONLY)
    return language if found else None


class MeasuredRow(TypedDict):
    """What both kinds of row say about one language's split.

    Attributes:
        language: BCP 47 tag.
        split: `train`, `dev` or `test`.
        num_utterances: Utterances scored.
        num_reference_words: Words in their references.
        num_reference_characters: Characters in their references.
        wer: Word errors per reference word (not percent); None without reference words.
        cer: Character errors per reference character (not percent); None without reference characters.
    """

    language: str
    split: str
    num_utterances: int
    num_reference_words: int
    num_reference_characters: int
    wer: float | None
    cer: float | None


class EvaluationRow(MeasuredRow):
    """A row of an evaluation: the measured split and its kinds of errors."""

    word_substitutions: int
    word_deletions: int
    word_insertions: int
    character_substitutions: int
    character_deletions: int
    character_insertions: int


class ResultRow(MeasuredRow):
    """A row of a comparison: one trained model on one language's split.

    Attributes:
        recipe: The recipe that was compared.
        arm: Name of the way of training; see `experiments.arms`.
        budget_s: Seconds of target speech that the model was trained with.
        seed: Random seed of the run.
        num_updates: Optimizer steps.
        num_parameters: Trainable parameters of the model.
        wall_time_s: Duration of the training.
    """

    recipe: str
    arm: str
    budget_s: float
    seed: int
    num_updates: int
    num_parameters: int
    wall_time_s: float


class TaskRow(TypedDict):
    """What a run makes of one task besides transcripts in one language's split.

    Attributes:
        task: Its name.
        metric: Name of the figure in `value`.
        value: Accuracy, F1 or mean absolute error; None if no label is known.
        errors: Wrong classes, deviations, or wrong tags; see `tasks.Task.errors`. Rows can be added up.
        counted: What errors are counted against.
        num_labelled: Utterances of which anything is known.
    """

    task: str
    metric: str
    language: str
    split: str
    num_utterances: int
    num_labelled: int
    value: float | None
    errors: float
    counted: float


class TaskResultRow(ResultRow):
    """A row of a comparison about a task besides transcripts: `wer` and `cer` are None; see `TaskRow`."""

    task: str
    metric: str
    num_labelled: int
    value: float | None
    errors: float
    counted: float


class TaskErrorRow(TypedDict):
    """A row of `tasks.json`: one task in an arm, over seeds; see `summary.TaskError`. Ends are of 95 % intervals."""

    recipe: str
    task: str
    metric: str
    arm: str
    budget_s: float
    num_seeds: int
    error: float
    low: float
    high: float
    gain: float | None
    gain_low: float | None
    gain_high: float | None


class LateralRow(TypedDict):
    """A row of a run's `laterals.json`: how much a connection of a progressive network adds.

    Attributes:
        language: On whose dev speech that was measured.
        into: What it leads to: a block of the last column, or its output.
        column: The earlier column that it comes from, from 0.
        column_languages: What that was trained on.
        share: Of what is there without it, in root mean square.
    """

    language: str
    into: str
    column: int
    column_languages: list[str]
    share: float


class ArmRow(TypedDict):
    """A row of `arms.json`: an arm at a budget, over seeds; see `summary.ArmSummary`.

    Attributes:
        recipe: The recipe that was compared.
        language: The target language.
        arm: Name of the way of training.
        budget_s: Seconds of target speech.
        num_seeds: How many were run.
        cer: Mean character error rate, on the test split, with its interval.
        reduction: By what share of alone's errors it has fewer, with the interval; None for alone.
        num_trained: Parameters that the last run at the largest budget changes; None for runs of an earlier version.
        num_parameters: All of its parameters.
        num_own: Those that no other language shares with the target.
        wall_time_s: Duration of training, all stages, mean over seeds.
    """

    recipe: str
    language: str
    arm: str
    budget_s: float
    num_seeds: int
    cer: float
    cer_low: float
    cer_high: float
    reduction: float | None
    reduction_low: float | None
    reduction_high: float | None
    num_trained: int | None
    num_parameters: int | None
    num_own: int | None
    wall_time_s: float


class ForgettingRow(TypedDict):
    """A row of `forgetting.json`: an old language before and after an arm, over seeds; see `summary.Forgotten`."""

    recipe: str
    language: str
    arm: str
    budget_s: float
    num_seeds: int
    cer_before: float
    cer_after: float
    growth: float
    growth_low: float
    growth_high: float
    same: bool


class GenerationRow(TypedDict):
    """A row of a run's own `forgetting.json`: a language in one of the runs that it descends from.

    Attributes:
        generation: From 1, the oldest.
        run: Its folder.
        learnt: The languages that it was trained on.
        language: The language that is tested.
        split: `dev` or `test`, of the youngest run's manifests.
        cer: Character error rate.
        growth: By what share the errors have grown since the language was there first in the same tokens; None there.
        same: Whether everything that was heard is the same as then.
    """

    generation: int
    run: str
    learnt: list[str]
    language: str
    split: str
    cer: float
    growth: float | None
    growth_low: float | None
    growth_high: float | None
    same: bool


class EquivalentRow(TypedDict):
    """Hours alone that reach an arm's error; see `summary.Hours`.

    Attributes:
        relation: `=`, or `<` and `>` beyond the measured budgets.
        hours: Of target speech alone.
        factor: Hours alone per hour with auxiliary languages.
    """

    relation: str
    hours: float
    factor: float


class EfficiencyRow(TypedDict):
    """A row of `efficiency.json`: what an arm's hours are worth; see `summary.EquivalentHours`.

    Attributes:
        recipe: The recipe that was compared.
        language: The target language.
        arm: Name of the way of training.
        budget_s: Seconds of target speech that the arm had.
        hours_alone: Measured.
        low: Lower end of the interval.
        high: Upper end of the interval.
    """

    recipe: str
    language: str
    arm: str
    budget_s: float
    hours_alone: EquivalentRow
    low: EquivalentRow
    high: EquivalentRow


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
