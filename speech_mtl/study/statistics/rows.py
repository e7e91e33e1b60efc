"""Rows of comparisons and of the tables that are made from them, as their JSON files hold them."""

from dataclasses import dataclass, replace
from typing import Annotated, Literal, NotRequired

from pydantic import BeforeValidator, ConfigDict, Discriminator, Field, Tag
from typing_extensions import TypedDict

from speech_mtl.datatypes import Protocol
from speech_mtl.files import NotNegative
from speech_mtl.run.provenance import Provenance
from speech_mtl.scoring.rows import Amount, Budget, MeasuredRow, Seed, TaskRow

CONTROLS = {"": "", "noise": "_noise", "shuffled_transcripts": "_shuffled", "leave_one_out": "_without"}
"""The switches of `compare.controls`, and what they add to the name of an arm."""


@dataclass(frozen=True, order=True)
class Arm:
    """One way of training in a comparison. Its name is for people: nothing is parsed from it.

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
        """The name in tables and plots."""
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
        budget_s: Seconds of target speech that the model was trained with, with their transcripts.
        num_updates: Optimizer steps, all stages together, as are the other sums.
        num_parameters: Of the model, those that stay as they are included; absent where unknown.
        audio_s: Seconds of training speech that all stages processed, as often as they did; None where unknown.
        stages: The runs that it comes from, in order. Files of earlier versions lack it, and `audio_s`.
        untranscribed_s: Seconds of target speech besides that were used without transcripts; absent for none.
        decoder: Where there are several: the name of one of `compare.decoders`, or the kind of `decoding`.
    """

    recipe: str
    arm: SavedArm
    budget_s: Budget
    seed: Seed
    num_updates: NotNegative
    num_parameters: NotRequired[NotNegative]
    wall_time_s: Amount
    audio_s: NotRequired[Amount | None]
    stages: NotRequired[list[StageRow]]
    untranscribed_s: NotRequired[Amount]
    decoder: NotRequired[str]


class TaskResultRow(ResultRow, TaskRow):
    """A row of a comparison about a task besides transcripts: `wer` and `cer` are None."""


AnyResultRow = Annotated[
    Annotated[ResultRow, Tag("transcripts")] | Annotated[TaskResultRow, Tag("task")],
    Discriminator(lambda row: "task" if isinstance(row, dict) and "task" in row else "transcripts"),
]
"""A row of `comparison.json`."""


SavedProtocol = Literal["", Protocol]
"""The protocol; "" where it is unknown, as in files of earlier versions."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Origin(Provenance):
    """What was compared and how: `provenance.json`.

    Attributes:
        about: Notes on the data.
        num_replications: Of the bootstrap.
        reference: Name of the arm that the table of tasks measures against.
    """

    recipe: str
    about: str
    num_replications: Annotated[int, Field(ge=1, le=1_000_000)]
    reference: str = REFERENCE_ARM.name
    protocol: SavedProtocol = ""
