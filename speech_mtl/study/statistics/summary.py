"""What a comparison found: the records that `analysis` makes, `reporting` shows, and `efficiency.json` keeps.

Rates are fractions, not percent; intervals cover 95 %.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

from speech_mtl.datatypes import Protocol
from speech_mtl.files import NotNegative
from speech_mtl.run.provenance import Provenance
from speech_mtl.scoring.rows import Budget, Number, Rate, Seed
from speech_mtl.study.statistics.rows import Arm, Effort, SavedArm

MEAN, WORST = "mean of languages", "worst language"
"""What is a task beside the languages where there are several."""

LEARNT_BELOW = 0.9
"""Character error rate from which on a run has not learnt. An empty text has 1, and so has one of blanks only; a few
frequent letters by chance have a little less."""

REMEDY = "Train with more updates, a longer warm-up or more speech"
"""What to do about it, as the beginning of a sentence."""


@dataclass(frozen=True, slots=True)
class Estimate:
    """A figure and its interval."""

    value: float
    low: float
    high: float


@dataclass(frozen=True, slots=True)
class ArmSummary:
    """One arm at one budget, over its seeds, on the target's test split.

    Attributes:
        arm: The way of training.
        budget_s: Seconds of target speech.
        seeds: The seeds that were run.
        cer: Mean character error rate over the seeds.
        wer: Mean word error rate over the seeds.
        cer_by_seed: Character error rate of each seed, in the order of `seeds`.
        reduction: By how much of alone's CER at the same budget this arm's is lower; negative where it is higher; None
            for alone, and where alone was not measured.
        p_value: Two-sided, of the paired bootstrap against alone: chance of so large a difference if there were none.
        mapsswe_z: Of the matched-pairs test on words, one for each seed that both arms have; positive where this arm
            has fewer errors than alone.
        num_updates: Optimizer steps of all stages, mean over seeds.
        num_parameters: Trainable parameters.
        wall_time_s: Duration of training, all stages, mean over seeds.
    """

    arm: Arm
    budget_s: float
    seeds: list[int]
    cer: Estimate
    wer: Estimate
    cer_by_seed: list[float]
    reduction: Estimate | None
    p_value: float | None
    mapsswe_z: list[float]
    num_updates: float
    num_parameters: int
    wall_time_s: float


@dataclass(frozen=True, slots=True)
class LearningCurve:
    """The validation error that early stopping looked at, by update, in one run.

    Attributes:
        run: Its name.
        arm: The first arm that needs it.
        budget_s: Seconds of target speech; None where the target is not in it: pretraining.
        seed: Of all random draws.
        of: Whose error: a language, or the mean of several.
        first: Updates with the target in the runs that it goes on from.
        updates: When; of many looks at the dev set, some.
        errors: Character error rates.
        best: The update whose weights were taken.
        stopped: Whether early stopping ended it.
    """

    run: str
    arm: SavedArm
    budget_s: Budget | None
    seed: Seed
    of: str
    first: NotNegative
    updates: list[NotNegative]
    errors: list[Rate]
    best: NotNegative
    stopped: bool

    @property
    def error(self) -> float:
        """Of the weights that were taken."""
        return self.errors[self.updates.index(self.best)]


@dataclass(frozen=True, slots=True)
class AfterPretraining:
    """A model's test error beside the validation error of the pretraining that it comes from."""

    arm: Arm
    budget_s: float
    pretraining: float
    cer: float


@dataclass(frozen=True, slots=True)
class Hours:
    """Hours of target speech alone that reach an error: exactly (`=`), or beyond what was measured.

    `<`: even the smallest measured budget, `hours`, has a lower error. `>`: even the largest one has a higher error.
    """

    relation: Literal["<", "=", ">"]
    hours: float


@dataclass(frozen=True, slots=True)
class EquivalentHours:
    """What an arm's hours are worth: the hours alone with the same CER, and their ratio F.

    Attributes:
        arm: An arm with auxiliary languages.
        budget_s: Seconds of target speech it had.
        hours: Hours alone that reach the same error.
        low: Lower end of the interval of `hours`.
        high: Upper end.
    """

    arm: Arm
    budget_s: float
    hours: Hours
    low: Hours
    high: Hours

    def factor(self, hours: Hours) -> float:
        """F: hours alone per hour with auxiliary languages."""
        return hours.hours * 3600 / self.budget_s


@dataclass(frozen=True, slots=True)
class Prediction:
    """The curve of an arm's error, prolonged to amounts of speech that were not measured.

    Attributes:
        arm: The way of training.
        budgets_s: Seconds of speech with which it has learnt, rising.
        seconds: Amounts from well below the smallest of them to well beyond the largest.
        errors: The predicted character error rate at each of them, never rising.
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
class Worse:
    """An arm that has more errors than alone: negative transfer.

    Attributes:
        language: The target language.
        arm: What was tried.
        budget_s: Seconds of target speech.
        reduction: Of the CER, negative.
        certain: Whether the whole interval is below zero.
    """

    language: str
    arm: Arm
    budget_s: float
    reduction: Estimate
    certain: bool


@dataclass(frozen=True, slots=True)
class NotLearnt:
    """Runs that have not learnt: `seeds` of an arm at a budget, tested in a language, of `num_seeds`."""

    language: str
    arm: Arm
    budget_s: float
    seeds: list[int]
    num_seeds: int


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
    """An old language's test error before and after an arm learnt the target: mean over seeds.

    Attributes:
        language: Whose output layer stayed.
        arm: The way of training.
        budget_s: Seconds of target speech.
        seeds: The seeds that were run.
        before: Character error rate of the networks that the arm's runs started from.
        after: That of the arm's runs.
        growth: By what share of `before` the errors have grown; 0 where nothing was forgotten.
        same: Whether everything that was heard before and after is the same.
    """

    language: str
    arm: Arm
    budget_s: float
    seeds: list[int]
    before: float
    after: float
    growth: Estimate
    same: bool


@dataclass(frozen=True, slots=True)
class ArmSize:
    """How many parameters the last run of an arm has at its largest budget.

    Attributes:
        arm: The way of training.
        trained: Those that it changes.
        total: All.
        own: Those that no other language shares with the target.
    """

    arm: SavedArm
    trained: NotNegative
    total: NotNegative
    own: NotNegative


@dataclass(frozen=True, slots=True)
class TaskError:
    """The test error of one task in the runs of an arm at a budget.

    Attributes:
        task: A language, whose transcripts are the task; the mean or the worst of all languages; or another task.
        metric: Name of the figure that is reported.
        arm: The way of training.
        budget_s: Seconds of target speech.
        seeds: The seeds that were run.
        error: Mean over seeds; 1 - accuracy or 1 - F1 where these are the figure.
        by_seed: Error of each seed.
        gain: By how much of the reference arm's error this one is lower; None where there is no other.
    """

    task: str
    metric: str
    arm: Arm
    budget_s: float
    seeds: list[int]
    error: Estimate
    by_seed: list[float]
    gain: Estimate | None


def one_task_an_arm(errors: Sequence[TaskError]) -> bool:
    """Whether there are several tasks and each arm is measured in one of them, as where variants name their targets."""
    measured = [(one.arm, one.budget_s) for one in errors]
    return len({one.task for one in errors}) > 1 and len(set(measured)) == len(measured)


@dataclass(frozen=True, slots=True)
class TaskCurve:
    """The loss and weight of a task while a run was trained, at each look at the dev sets.

    Attributes:
        arm: The way of training.
        task: A language or another task.
        updates: When.
        losses: Mean training loss since the look before, in the task's own unit; None where nothing of it came.
        weights: Mean lambda since the look before.
    """

    arm: SavedArm
    task: str
    updates: list[NotNegative]
    losses: list[Number | None]
    weights: list[Number]


@dataclass(frozen=True, slots=True)
class LabelCount:
    """How many utterances an arm was trained on, and of how many a task's label was known."""

    arm: SavedArm
    task: str
    labelled: NotNegative
    utterances: NotNegative


@dataclass(frozen=True, slots=True)
class Conflict:
    """How the gradients of two tasks lie to one another in the encoder of an arm: the mean cosine over training."""

    arm: SavedArm
    task: str
    other: str
    cosine: Number


@dataclass(frozen=True, slots=True)
class Example:
    """One utterance as it was recognised.

    Attributes:
        title: Why it is shown: `best`, `median`, `worst`.
        arm: Who recognised it.
        budget_s: With how much target speech.
        seed: And which seed.
        reference: What was said.
        hypothesis: What was heard.
        pairs: The alignment word by word: (said or None, heard or None), equal where right.
    """

    title: str
    arm: Arm
    budget_s: float
    seed: int
    reference: str
    hypothesis: str
    pairs: list[tuple[str | None, str | None]]


@dataclass(frozen=True, slots=True)
class TransferEntry:
    """How much one auxiliary language helps one target: the relative reduction of the CER."""

    target: str
    auxiliary: str
    reduction: Estimate


@dataclass(frozen=True, slots=True)
class Recommendation:
    """The auxiliary languages that help a target, best first; `certain`: whose interval is wholly above zero."""

    target: str
    auxiliaries: list[str]
    certain: list[str]


@dataclass(frozen=True, slots=True)
class Summary:
    """A whole comparison of one target language, or a transfer map of several.

    Attributes:
        recipe: Its name.
        about: What has to be said about the data.
        language: The target language; of a transfer map the first one.
        resampled: `speaker` or `utterance`: what the bootstrap draws.
        num_resampled: How many of them the test split has.
        num_replications: Of the bootstrap.
        arms: Every arm at every budget, by budget, `alone` first.
        equivalent_hours: Of every arm but alone that has learnt, where the curve of alone allows it.
        no_hours: Why there are none, in words; empty where there are some, or where that can be seen.
        predictions: The curves of arms prolonged, where one was measured at three budgets or more.
        not_learnt: Runs that have not learnt.
        worse: Negative transfer, certain cases first.
        languages: Test errors of all languages that the arms recognise.
        examples: Alignments.
        transfer: The transfer map, empty if none was measured.
        recommendations: From the transfer map, one for each target.
        forgotten: Errors in old languages before and after the target was learnt, where they were kept.
        sizes: How many parameters each arm trains and has.
        reference: What `tasks` are measured against.
        tasks: Errors of every task, if there are several.
        curves: Losses and weights of tasks by update, of the first seed at the largest budget.
        conflicts: Between tasks' gradients, of the same runs, where they were logged.
        labels: How many labels the same runs had.
        protocol: What arms have in common; "" if unknown.
        efforts: What each arm took at each budget; empty for results of earlier versions.
        learning: Validation errors by update, of every run.
        after_pretraining: Test errors beside those of pretraining, of every model that comes from some.
        notes: What could not be given, and why; what the reader has to know about the intervals.
        provenance: Where it comes from; None if unknown.
    """

    recipe: str
    about: str
    language: str
    resampled: str
    num_resampled: int
    num_replications: int
    arms: list[ArmSummary]
    equivalent_hours: list[EquivalentHours]
    worse: list[Worse]
    languages: list[LanguageError]
    examples: list[Example]
    transfer: list[TransferEntry] = field(default_factory=list)
    recommendations: list[Recommendation] = field(default_factory=list)
    no_hours: str = ""
    predictions: list[Prediction] = field(default_factory=list)
    not_learnt: list[NotLearnt] = field(default_factory=list)
    forgotten: list[Forgotten] = field(default_factory=list)
    sizes: list[ArmSize] = field(default_factory=list)
    reference: str = "alone"
    tasks: list[TaskError] = field(default_factory=list)
    curves: list[TaskCurve] = field(default_factory=list)
    conflicts: list[Conflict] = field(default_factory=list)
    labels: list[LabelCount] = field(default_factory=list)
    protocol: Protocol | Literal[""] = ""
    efforts: Mapping[tuple[Arm, float], Effort] = field(default_factory=dict)
    learning: list[LearningCurve] = field(default_factory=list)
    after_pretraining: list[AfterPretraining] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    provenance: Provenance | None = None
