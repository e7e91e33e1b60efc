"""The results of a comparison: records that `analysis` makes, tables and plots show, and JSON files keep as they are.

Rates are fractions, not percent; intervals cover 95 %.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Literal

from speech_mtl.files import RARE
from speech_mtl.scoring.rows import Amount, Budget, Number, Rate, Seed
from speech_mtl.study.statistics.examples import Example
from speech_mtl.study.statistics.rows import REFERENCE_ARM, Arm, Origin, SavedArm
from speech_mtl.study.statistics.training import ArmSize, Effort, Training

MEAN, WORST = "mean of languages", "worst language"
"""Tasks beside the languages where there are several."""

LEARNT_BELOW = 0.9
"""Character error rate from which on a run has not learnt. An empty text has 1, and so has one of blanks only; a few
frequent letters by chance have a little less."""

REMEDY = "Train with more updates, a longer warm-up or more speech"
"""Advice, as the beginning of a sentence."""


def two_sided(z: float) -> float:
    """Returns the chance of a standard normal number at least as far from zero."""
    return math.erfc(abs(z) / math.sqrt(2))


@dataclass(frozen=True, slots=True)
class Estimate:
    """A value and its interval."""

    value: Number
    low: Number
    high: Number

    @property
    def significant(self) -> bool:
        """Whether the whole interval is on one side of zero."""
        return self.low > 0 or self.high < 0


@dataclass(frozen=True, slots=True)
class ArmSummary:
    """One arm at one budget, mean over its seeds, on the target's test split: a row of `arms.json`.

    Attributes:
        cer_by_seed: In the order of `seeds`.
        reduction: By how much of alone's CER at the same budget this arm's is lower; negative where it is higher; None
            for alone, and where alone was not measured.
        p_value: Two-sided, of the paired bootstrap against alone: chance of so large a difference if there were none.
        mapsswe_z: Of the matched-pairs test on words, one for each seed that both arms have; positive where this arm
            has fewer errors than alone.
        size: None for runs of an earlier version.
        decoder: Where there are several, as in all records: which one. Files with one decoder do not have it.
    """

    language: str
    arm: SavedArm
    budget_s: Budget
    seeds: list[Seed]
    cer: Estimate
    wer: Estimate
    cer_by_seed: list[Rate]
    reduction: Estimate | None
    p_value: Rate | None
    mapsswe_z: list[Number]
    effort: Effort
    size: ArmSize | None = None
    decoder: str = field(default="", metadata=RARE)


@dataclass(frozen=True, slots=True)
class Hours:
    """Hours of target speech alone that reach an error: exactly (`=`), or beyond what was measured.

    `<`: even the smallest measured budget, `hours`, has a lower error. `>`: even the largest one has a higher error.
    """

    relation: Literal["<", "=", ">"]
    hours: Amount


@dataclass(frozen=True, slots=True)
class EquivalentHours:
    """Equivalent hours of an arm: the hours alone with the same CER, with interval; a row of `efficiency.json`.

    Untranscribed speech counts for nothing in them: `untranscribed_s` tells how much there was besides; None for none.
    """

    arm: SavedArm
    budget_s: Budget
    hours: Hours
    low: Hours
    high: Hours
    untranscribed_s: Amount | None = field(default=None, metadata=RARE)
    decoder: str = field(default="", metadata=RARE)

    def factor(self, hours: Hours) -> float:
        """F: hours alone per transcribed hour with auxiliary languages."""
        return hours.hours * 3600 / self.budget_s


@dataclass(frozen=True, slots=True)
class Prediction:
    """The curve of an arm's error, extrapolated to amounts of speech that were not measured.

    Attributes:
        budgets_s: Seconds of speech with which the arm has learnt, rising.
        seconds: Amounts from well below the smallest of them to well beyond the largest.
        errors: The predicted character error rate at each of `seconds`, never rising.
        floor: What no amount of speech goes below.
        why_not: Why there is no curve, in words.
    """

    arm: Arm
    budgets_s: list[float]
    seconds: list[float] = field(default_factory=list)
    errors: list[Estimate] = field(default_factory=list)
    floor: Estimate | None = None
    why_not: str = ""


@dataclass(frozen=True, slots=True)
class NeededHours:
    """Hours of target speech after which an error is expected, and their interval."""

    hours: Hours
    low: Hours
    high: Hours


@dataclass(frozen=True, slots=True)
class Tried:
    """By how much of alone's CER that of another arm is lower: negative transfer where it is not.

    `learnt`: whether one of the two has learnt.
    """

    language: str
    arm: Arm
    budget_s: float
    reduction: Estimate
    learnt: bool = True
    decoder: str = ""


@dataclass(frozen=True, slots=True)
class NotLearnt:
    """Runs that have not learnt: `seeds` of an arm at a budget, tested in a language, of `num_seeds`."""

    language: str
    arm: Arm
    budget_s: float
    seeds: list[int]
    num_seeds: int
    decoder: str = ""


@dataclass(frozen=True, slots=True)
class LanguageError:
    """One language's test error in the runs of an arm at a budget: mean over seeds, with smallest and largest.

    Unlike `ArmSummary` this is of any language, so also of auxiliary languages in arms that keep them.
    """

    language: str
    arm: Arm
    budget_s: float
    cer: float
    lowest: float
    highest: float


@dataclass(frozen=True, slots=True)
class Forgotten:
    """An old language's test error before and after an arm learnt the target: a row of `forgetting.json`.

    Attributes:
        before: Character error rate of the networks that the arm's runs started from, mean over seeds.
        after: That of the arm's runs.
        growth: Relative growth of the errors from `before`; 0 where nothing was forgotten.
        same: Whether all hypotheses before and after are the same.
    """

    language: str
    arm: SavedArm
    budget_s: Budget
    seeds: list[Seed]
    before: Rate
    after: Rate
    growth: Estimate
    same: bool


@dataclass(frozen=True, slots=True)
class DecoderGain:
    """By how much a decoder lowers the character error rate of the first one: a row of `decoders.json`.

    Attributes:
        seeds: Of the models, which are the same for both.
        reference: Name of the first decoder, that of the runs' own settings.
        before: Character error rate with the first decoder, mean over seeds.
        after: That with `decoder`.
        reduction: Relative; negative where there are more errors.
    """

    language: str
    arm: SavedArm
    budget_s: Budget
    seeds: list[Seed]
    decoder: str
    reference: str
    before: Rate
    after: Rate
    reduction: Estimate


@dataclass(frozen=True, slots=True)
class TaskError:
    """The test error of one task in the runs of an arm at a budget: a row of `tasks.json`.

    Attributes:
        task: A language, whose transcripts are the task; the mean or the worst of all languages; or another task.
        metric: Name of the reported metric.
        error: Mean over seeds; 1 - accuracy or 1 - F1 where these are the metric.
        gain: By how much of the error of the arm `reference` this one is lower; None where there is no other.
        effort: None where the arm's rows are not known.
    """

    task: str
    metric: str
    arm: SavedArm
    budget_s: Budget
    seeds: list[Seed]
    error: Estimate
    by_seed: list[Number]
    gain: Estimate | None
    reference: str = REFERENCE_ARM.name
    effort: Effort | None = None
    decoder: str = field(default="", metadata=RARE)


def one_task_an_arm(errors: Sequence[TaskError]) -> bool:
    """Whether there are several tasks and each arm is measured in one of them, as where variants name their targets."""
    measured = [(one.arm, one.budget_s) for one in errors]
    return len({one.task for one in errors}) > 1 and len(set(measured)) == len(measured)


@dataclass(frozen=True, slots=True)
class Summary:
    """A whole comparison of one target language, or a transfer map of several.

    Attributes:
        language: The target language, or several.
        arms: Of one target, every arm at every budget, by budget, `alone` first.
        equivalent_hours: Of every arm but alone that has learnt, where the curve of alone allows it.
        no_hours: Why there are none, in words; empty where there are some, or where that can be seen.
        predictions: Of every arm, where one was measured at three budgets or more.
        worse: Negative transfer, significant cases first.
        languages: Of one target, test errors of all languages that the arms recognise.
        transfer: The transfer map, empty if none was measured.
        tasks: Errors of every task, if there are several.
        notes: What could not be given, and why; what the reader has to know about the intervals.
        decoder: Name of the decoder, where there are several.
        others: The same by each other decoder, without examples, predictions, errors of other languages, and what rests
            on training or on old languages.
        gains: What these others change.
    """

    origin: Origin
    language: str
    arms: list[ArmSummary] = field(default_factory=list)
    equivalent_hours: list[EquivalentHours] = field(default_factory=list)
    worse: list[Tried] = field(default_factory=list)
    languages: list[LanguageError] = field(default_factory=list)
    examples: list[Example] = field(default_factory=list)
    transfer: list[Tried] = field(default_factory=list)
    no_hours: str = ""
    predictions: list[Prediction] = field(default_factory=list)
    not_learnt: list[NotLearnt] = field(default_factory=list)
    forgotten: list[Forgotten] = field(default_factory=list)
    tasks: list[TaskError] = field(default_factory=list)
    training: Training = field(default_factory=Training)
    notes: list[str] = field(default_factory=list)
    decoder: str = ""
    others: list["Summary"] = field(default_factory=list)
    gains: list[DecoderGain] = field(default_factory=list)

    @property
    def by_decoder(self) -> list["Summary"]:
        """The summary of each decoder."""
        return [self, *self.others]

    @property
    def all_arms(self) -> list[ArmSummary]:
        """`arms` of all decoders; so are the next ones."""
        return [one for summary in self.by_decoder for one in summary.arms]

    @property
    def all_equivalent_hours(self) -> list[EquivalentHours]:
        return [one for summary in self.by_decoder for one in summary.equivalent_hours]

    @property
    def all_tasks(self) -> list[TaskError]:
        return [one for summary in self.by_decoder for one in summary.tasks]
