"""A summary -> the files of figures that stand beside a report, and that READMEs show as tables."""

from typing import overload

from speech_mtl.files import json_text
from speech_mtl.study.statistics.rows import (
    Arm,
    ArmRow,
    EfficiencyRow,
    Effort,
    EquivalentRow,
    ForgettingRow,
    TaskErrorRow,
)
from speech_mtl.study.statistics.summary import EquivalentHours, Hours, Summary


def figures_of(summary: Summary) -> dict[str, str]:
    """The files of figures, by name."""
    figures = {"efficiency.json": json_text(efficiency_rows(summary))}
    if summary.arms:
        figures["arms.json"] = json_text(arm_rows(summary))
    if summary.tasks:
        figures["tasks.json"] = json_text(task_rows(summary))
    if summary.forgotten:
        figures["forgetting.json"] = json_text(forgetting_rows(summary))
    return figures


def arm_rows(summary: Summary) -> list[ArmRow]:
    """Every arm at every budget, rounded, so that they stay the same on every machine."""
    sizes = {one.arm: one for one in summary.sizes}
    return [
        {
            "recipe": summary.recipe,
            "language": summary.language,
            "arm": one.arm,
            "budget_s": one.budget_s,
            "num_seeds": len(one.seeds),
            "cer": _rounded(one.cer.value),
            "cer_low": _rounded(one.cer.low),
            "cer_high": _rounded(one.cer.high),
            "reduction": _rounded(one.reduction and one.reduction.value),
            "reduction_low": _rounded(one.reduction and one.reduction.low),
            "reduction_high": _rounded(one.reduction and one.reduction.high),
            "num_trained": sizes[one.arm].trained if one.arm in sizes else None,
            "num_parameters": sizes[one.arm].total if one.arm in sizes else None,
            "num_own": sizes[one.arm].own if one.arm in sizes else None,
            "wall_time_s": round(one.wall_time_s, 1),
            **_effort(summary, one.arm, one.budget_s),
        }
        for one in summary.arms
    ]


def task_rows(summary: Summary) -> list[TaskErrorRow]:
    """Errors of every task, rounded, so that they stay the same on every machine."""

    return [
        {
            "recipe": summary.recipe,
            "task": one.task,
            "metric": one.metric,
            "arm": one.arm,
            "budget_s": one.budget_s,
            "num_seeds": len(one.seeds),
            "error": _rounded(one.error.value),
            "low": _rounded(one.error.low),
            "high": _rounded(one.error.high),
            "gain": _rounded(one.gain and one.gain.value),
            "gain_low": _rounded(one.gain and one.gain.low),
            "gain_high": _rounded(one.gain and one.gain.high),
            **_effort(summary, one.arm, one.budget_s),
        }
        for one in summary.tasks
    ]


def forgetting_rows(summary: Summary) -> list[ForgettingRow]:
    """Errors in old languages, rounded, so that they stay the same on every machine."""
    return [
        {
            "recipe": summary.recipe,
            "language": one.language,
            "arm": one.arm,
            "budget_s": one.budget_s,
            "num_seeds": len(one.seeds),
            "cer_before": _rounded(one.before),
            "cer_after": _rounded(one.after),
            "growth": _rounded(one.growth.value),
            "growth_low": _rounded(one.growth.low),
            "growth_high": _rounded(one.growth.high),
            "same": one.same,
        }
        for one in summary.forgotten
    ]


def efficiency_rows(summary: Summary) -> list[EfficiencyRow]:
    """Equivalent hours, rounded, so that they stay the same on every machine."""

    def row(found: EquivalentHours, hours: Hours) -> EquivalentRow:
        return {
            "relation": hours.relation,
            "hours": round(hours.hours, 4),
            "factor": round(found.factor(hours), 3),
        }

    return [
        {
            "recipe": summary.recipe,
            "language": summary.language,
            "arm": found.arm,
            "budget_s": found.budget_s,
            "hours_alone": row(found, found.hours),
            "low": row(found, found.low),
            "high": row(found, found.high),
            **_effort(summary, found.arm, found.budget_s),
        }
        for found in summary.equivalent_hours
    ]


def _effort(summary: Summary, arm: Arm, budget_s: float) -> Effort:
    return summary.efforts.get((arm, budget_s), Effort())


@overload
def _rounded(rate: float) -> float: ...
@overload
def _rounded(rate: float | None) -> float | None: ...
def _rounded(rate: float | None) -> float | None:
    """To more digits than are shown, so that what is made of the file and of the summary shows the same."""
    return None if rate is None else round(rate, 6)
