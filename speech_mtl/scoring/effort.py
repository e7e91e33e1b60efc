"""Rows and curves of a comparison -> what its arms took, and what their pretraining was worth."""

from collections import Counter
from collections.abc import Collection, Sequence
from statistics import fmean

from speech_mtl.scoring.results import Arm, ResultRow, StageRow
from speech_mtl.scoring.summary import AfterPretraining, Effort, LearningCurve


def efforts(rows: Sequence[ResultRow]) -> list[Effort]:
    """What every arm took at every budget, in the order of the rows; nothing of rows of earlier versions."""
    cells: dict[tuple[Arm, float], dict[tuple, list[StageRow]]] = {}
    for row in rows:
        if stages := row.get("stages"):
            cell = row["seed"], *(stage["run"] for stage in stages)
            cells.setdefault((row["arm"], row["budget_s"]), {})[cell] = stages
    used = Counter(stage["run"] for own in cells.values() for stages in own.values() for stage in stages)
    shared = {run for run, number in used.items() if number > 1}
    return [_effort(*key, list(own.values()), shared) for key, own in cells.items()]


def _effort(arm: Arm, budget_s: float, cells: Sequence[Sequence[StageRow]], shared: Collection[str]) -> Effort:
    runs = {stage["run"]: stage for stages in cells for stage in stages}
    audio_s = [[stage["audio_s"] for stage in stages] for stages in cells]
    known = [sum(own for own in cell if own is not None) for cell in audio_s if None not in cell]
    return Effort(
        arm=arm,
        budget_s=budget_s,
        num_updates=fmean(sum(stage["num_updates"] for stage in stages) for stages in cells),
        shared_updates=fmean(sum(s["num_updates"] for s in stages if s["run"] in shared) for stages in cells),
        audio_s=fmean(known) if len(known) == len(cells) else None,
        num_runs=len(runs),
        num_not_stopped=sum(not stage["stopped"] for stage in runs.values()),
    )


def after_pretraining(
    rows: Sequence[ResultRow], curves: Sequence[LearningCurve], language: str
) -> list[AfterPretraining]:
    """Every model's test error in a language beside the validation error of the pretraining that it comes from.

    Controls are left out: what they were pretrained on is no speech, or has others' transcripts.
    """
    pretraining = {one.run: one.error for one in curves if one.budget_s is None}
    found = []
    for row in rows:
        errors = [pretraining[stage["run"]] for stage in row.get("stages", ()) if stage["run"] in pretraining]
        tested, cer = (row["language"], row["split"]) == (language, "test"), row["cer"]
        if errors and tested and cer is not None and not row["arm"].is_control:
            found.append(AfterPretraining(row["arm"], row["budget_s"], errors[-1], cer))
    return found
