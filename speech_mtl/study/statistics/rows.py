"""Rows of comparisons and of the tables that are made from them, as their JSON files hold them."""

from dataclasses import dataclass, replace
from typing import Annotated, Literal, NotRequired

from pydantic import BeforeValidator, ConfigDict, Discriminator, Field, Tag
from typing_extensions import TypedDict

from speech_mtl.datatypes import Protocol
from speech_mtl.files import NotNegative
from speech_mtl.scoring.rows import (
    Amount,
    Budget,
    MeasuredRow,
    Number,
    Seed,
    Tested,
)

CONTROLS = {
    "": "",
    "noise": "_noise",
    "shuffled_transcripts": "_shuffled",
    "leave_one_out": "_without",
}
"""The switches of `compare.controls`, and what they add to the name of an arm."""


@dataclass(frozen=True, order=True)
class Arm:
    """One way of training in a comparison. Its name is for people: nothing is read out of it.

    Attributes:
        method: A function's name; see `study.arms`.
        variant: Which changed settings it has; see `compare.variants`. Any text; "" for none.
        control: A key of `CONTROLS`: an arm that is there to be compared with; "" for none.
        auxiliary: Its only auxiliary language, or of `leave_one_out` the one that is missing; "" for all there are.
    """

    __pydantic_config__ = ConfigDict(extra="forbid")

    method: Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]{0,63}$")]
    variant: Annotated[str, Field(max_length=1000)] = ""
    control: Literal["", "noise", "shuffled_transcripts", "leave_one_out"] = ""
    auxiliary: Annotated[str, Field(max_length=1000)] = ""

    @property
    def name(self) -> str:
        """As tables and plots show it."""
        auxiliary = f"{'' if self.control else '_only'}_{self.auxiliary}" if self.auxiliary else ""
        variant = f":{self.variant}" if self.variant else ""
        return self.method + CONTROLS[self.control] + auxiliary + variant

    def __str__(self) -> str:
        return self.name

    @property
    def base(self) -> "Arm":
        """The arm without its variant."""
        return replace(self, variant="")

    @property
    def is_control(self) -> bool:
        """Whether it is not to be used. Leaving a language out is a way of training like others."""
        return self.control not in ("", "leave_one_out")

    @property
    def is_of_transfer_map(self) -> bool:
        """Whether it has one auxiliary language of all that there are."""
        return bool(self.auxiliary) and not self.control

    def to_json(self) -> str | dict[str, str]:
        """The method alone, where there is no more to it."""
        fields = {name: value for name, value in vars(self).items() if value}
        return self.method if len(fields) == 1 else fields


REFERENCE_ARM = Arm("alone")
"""The arm that the others are measured against: the target language and nothing else."""


SavedArm = Annotated[Arm, BeforeValidator(lambda value: {"method": value} if isinstance(value, str) else value)]
"""An arm as `Arm.to_json` writes it."""


class StageRow(TypedDict):
    """One run of several that a model comes from. Models share runs, as pretraining: these have the same name.

    Attributes:
        run: Its name.
        num_updates: Optimizer steps.
        audio_s: Seconds of training speech in all its batches; None where the log does not tell.
        stopped: Whether early stopping ended it, and not the number of updates.
    """

    run: str
    num_updates: NotNegative
    audio_s: Amount | None
    stopped: bool


class ResultRow(MeasuredRow):
    """A row of a comparison: one trained model on one language's split.

    Attributes:
        recipe: The recipe that was compared.
        arm: The way of training.
        budget_s: Seconds of target speech that the model was trained with.
        seed: Random seed of the run.
        num_updates: Optimizer steps, all stages together.
        num_parameters: Trainable parameters of the model.
        wall_time_s: Duration of the training.
        audio_s: Seconds of training speech that all stages processed, as often as they did; None where unknown.
        stages: The runs that it comes from, in order. Files of earlier versions lack it, and `audio_s`.
    """

    recipe: str
    arm: SavedArm
    budget_s: Budget
    seed: Seed
    num_updates: NotNegative
    num_parameters: NotNegative
    wall_time_s: Amount
    audio_s: NotRequired[Amount | None]
    stages: NotRequired[list[StageRow]]


class TaskResultRow(ResultRow):
    """A row of a comparison about a task besides transcripts: `wer` and `cer` are None; see `TaskRow`."""

    task: str
    metric: str
    num_labelled: NotNegative
    value: Number | None
    errors: Amount
    counted: Amount


AnyResultRow = Annotated[
    Annotated[ResultRow, Tag("transcripts")] | Annotated[TaskResultRow, Tag("task")],
    Discriminator(lambda row: "task" if isinstance(row, dict) and "task" in row else "transcripts"),
]
"""A row of `comparison.json`."""


class Effort(TypedDict, total=False):
    """What an arm took at a budget: mean over seeds, and over targets where there are several.

    Rows of figures hold it, too. Those of earlier versions do not.

    Attributes:
        protocol: What all arms have in common; missing where it is unknown.
        num_updates: Optimizer steps of all stages.
        shared_updates: Those of them in runs that other arms, budgets or seeds come from, too, as pretraining.
        audio_s: Seconds of training speech that all stages processed, as often as they did; None where unknown.
        num_runs: How many runs there are.
        num_not_stopped: How many of these early stopping did not end: their error might still have been falling.
    """

    protocol: Protocol
    num_updates: Amount
    shared_updates: Amount
    audio_s: Amount | None
    num_runs: NotNegative
    num_not_stopped: NotNegative


class TaskErrorRow(Effort):
    """A row of `tasks.json`: one task in an arm, over seeds; see `summary.TaskError`. Ends are of 95 % intervals."""

    recipe: str
    task: str
    metric: str
    arm: SavedArm
    budget_s: Budget
    num_seeds: NotNegative
    error: Number
    low: Number
    high: Number
    gain: Number | None
    gain_low: Number | None
    gain_high: Number | None


class ArmRow(Effort):
    """A row of `arms.json`: an arm at a budget, over seeds; see `summary.ArmSummary`.

    Attributes:
        recipe: The recipe that was compared.
        language: The target language.
        arm: The way of training.
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
    arm: SavedArm
    budget_s: Budget
    num_seeds: NotNegative
    cer: Amount
    cer_low: Amount
    cer_high: Amount
    reduction: Number | None
    reduction_low: Number | None
    reduction_high: Number | None
    num_trained: NotNegative | None
    num_parameters: NotNegative | None
    num_own: NotNegative | None
    wall_time_s: Amount


class ForgettingRow(TypedDict):
    """A row of `forgetting.json`: an old language before and after an arm, over seeds; see `summary.Forgotten`."""

    recipe: str
    language: str
    arm: SavedArm
    budget_s: Budget
    num_seeds: NotNegative
    cer_before: Amount
    cer_after: Amount
    growth: Number
    growth_low: Number
    growth_high: Number
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

    generation: NotNegative
    run: str
    learnt: list[str]
    language: str
    split: Tested
    cer: Amount
    growth: Number | None
    growth_low: Number | None
    growth_high: Number | None
    same: bool


class EquivalentRow(TypedDict):
    """Hours alone that reach an arm's error; see `summary.Hours`.

    Attributes:
        relation: `=`, or `<` and `>` beyond the measured budgets.
        hours: Of target speech alone.
        factor: Hours alone per hour with auxiliary languages.
    """

    relation: Literal["<", "=", ">"]
    hours: Amount
    factor: Number


class EfficiencyRow(Effort):
    """A row of `efficiency.json`: what an arm's hours are worth; see `summary.EquivalentHours`.

    Attributes:
        recipe: The recipe that was compared.
        language: The target language.
        arm: The way of training.
        budget_s: Seconds of target speech that the arm had.
        hours_alone: Measured.
        low: Lower end of the interval.
        high: Upper end of the interval.
    """

    recipe: str
    language: str
    arm: SavedArm
    budget_s: Budget
    hours_alone: EquivalentRow
    low: EquivalentRow
    high: EquivalentRow
