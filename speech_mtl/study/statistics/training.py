"""Training records of a comparison's runs, and their sums over runs."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from statistics import fmean

from speech_mtl.files import RARE, NotNegative
from speech_mtl.scoring.rows import Amount, Budget, Number, Rate, Seed
from speech_mtl.study.statistics.rows import Arm, ResultRow, SavedArm, SavedProtocol, StageRow

ArmAtBudget = tuple[Arm, float]


@dataclass(frozen=True, slots=True)
class Effort:
    """Effort of an arm at a budget: mean over seeds, and over targets where there are several.

    Attributes:
        num_updates: Of all stages, as are the other sums.
        shared_updates: Updates in runs that other arms, budgets or seeds come from, too, as pretraining. This and what
            follows is None in results of earlier versions.
        audio_s: Seconds of training speech that all stages processed, as often as they did; None where unknown.
        num_runs: How many runs there are.
        num_not_stopped: How many of these early stopping did not end: their error might still have been falling.
        untranscribed_s: Seconds of the target's speech that the last run used without transcripts; None for none.
    """

    num_updates: Amount
    wall_time_s: Amount
    shared_updates: Amount | None = None
    audio_s: Amount | None = None
    num_runs: NotNegative | None = None
    num_not_stopped: NotNegative | None = None
    protocol: SavedProtocol = ""
    untranscribed_s: Amount | None = field(default=None, metadata=RARE)


@dataclass(frozen=True, slots=True)
class ArmSize:
    """How many parameters the last run of an arm has at its largest budget: those that it trains, all, and those of
    the target that no other language shares."""

    arm: SavedArm
    trained: NotNegative
    total: NotNegative
    own: NotNegative


@dataclass(frozen=True, slots=True)
class LearningCurve:
    """The validation error for early stopping, by update, in one run.

    Attributes:
        arm: The first arm that needs it.
        budget_s: Seconds of target speech; None where the target is not in it: pretraining.
        of: Whose error: a language, or the mean of several.
        first: Updates with the target in the runs that it was initialised from.
        updates: When; of many validations, some.
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
        """Error of the weights that were kept."""
        return self.errors[self.updates.index(self.best)]


@dataclass(frozen=True, slots=True)
class TaskCurve:
    """The loss and weight of a task while a run was trained, at each validation.

    Attributes:
        losses: Mean training loss since the validation before, in the task's own unit; None where nothing of it came.
        weights: Mean lambda since the validation before.
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
    """Mean cosine similarity of two tasks' gradients in the encoder of an arm, over training."""

    arm: SavedArm
    task: str
    other: str
    cosine: Number


@dataclass(frozen=True, slots=True)
class Training:
    """Training records of the runs: `curves.json`. Files of earlier versions lack some.

    Attributes:
        curves: Losses and weights of tasks by update, of the first seed at the largest budget.
        conflicts: Of the same runs, where gradients were logged; `labels` are theirs, too.
        learning: Of every run.
    """

    curves: list[TaskCurve] = field(default_factory=list)
    conflicts: list[Conflict] = field(default_factory=list)
    labels: list[LabelCount] = field(default_factory=list)
    sizes: list[ArmSize] = field(default_factory=list)
    learning: list[LearningCurve] = field(default_factory=list)


def efforts(rows: Sequence[ResultRow], protocol: SavedProtocol = "") -> dict[ArmAtBudget, Effort]:
    """The effort of every arm at every budget, in the order of the rows."""
    cells: dict[ArmAtBudget, dict[tuple, ResultRow]] = {}
    for row in rows:
        run = row["seed"], *(stage["run"] for stage in row.get("stages", ()))
        cells.setdefault((row["arm"], row["budget_s"]), {})[run] = row
    used = Counter(s["run"] for own in cells.values() for row in own.values() for s in row.get("stages", ()))
    return {key: _effort(list(own.values()), used, protocol) for key, own in cells.items()}


def _effort(rows: Sequence[ResultRow], used: Mapping[str, int], protocol: SavedProtocol) -> Effort:
    took = fmean(row["num_updates"] for row in rows), fmean(row["wall_time_s"] for row in rows)
    stages: list[StageRow] = [stage for row in rows for stage in row.get("stages", ())]
    if not all(row.get("stages") for row in rows):
        return Effort(*took, protocol=protocol)
    runs = {stage["run"]: stage for stage in stages}
    audio_s = [stage["audio_s"] for stage in stages if stage["audio_s"] is not None]
    untranscribed_s = [seconds for row in rows if (seconds := row.get("untranscribed_s")) is not None]
    return Effort(
        *took,
        shared_updates=sum(stage["num_updates"] for stage in stages if used[stage["run"]] > 1) / len(rows),
        audio_s=sum(audio_s) / len(rows) if len(audio_s) == len(stages) else None,
        num_runs=len(runs),
        num_not_stopped=sum(not stage["stopped"] for stage in runs.values()),
        protocol=protocol,
        untranscribed_s=fmean(untranscribed_s) if untranscribed_s else None,
    )
