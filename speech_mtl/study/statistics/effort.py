"""Rows and curves of a comparison -> what its arms took, and what their pretraining was worth."""

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Literal

from speech_mtl.datatypes import Protocol
from speech_mtl.study.statistics.rows import Arm, Effort, ResultRow, StageRow
from speech_mtl.study.statistics.summary import AfterPretraining, LearningCurve


def efforts(rows: Sequence[ResultRow], protocol: Protocol | Literal[""] = "") -> dict[tuple[Arm, float], Effort]:
    """What every arm took at every budget, in the order of the rows; nothing of rows of earlier versions."""
    cells: dict[tuple[Arm, float], dict[tuple, list[StageRow]]] = {}
    for row in rows:
        if stages := row.get("stages"):
            cell = row["seed"], *(stage["run"] for stage in stages)
            cells.setdefault((row["arm"], row["budget_s"]), {})[cell] = stages
    used = Counter(stage["run"] for own in cells.values() for stages in own.values() for stage in stages)
    known: Effort = {"protocol": protocol} if protocol else {}
    return {key: known | _effort(list(own.values()), used) for key, own in cells.items()}


def _effort(cells: Sequence[Sequence[StageRow]], used: Mapping[str, int]) -> Effort:
    runs = {stage["run"]: stage for stages in cells for stage in stages}
    audio_s = [stage["audio_s"] for stages in cells for stage in stages if stage["audio_s"] is not None]
    shared = [stage["num_updates"] for stages in cells for stage in stages if used[stage["run"]] > 1]
    return {
        "num_updates": round(sum(stage["num_updates"] for stages in cells for stage in stages) / len(cells), 1),
        "shared_updates": round(sum(shared) / len(cells), 1),
        "audio_s": round(sum(audio_s) / len(cells), 1) if len(audio_s) == sum(map(len, cells)) else None,
        "num_runs": len(runs),
        "num_not_stopped": sum(not stage["stopped"] for stage in runs.values()),
    }


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
