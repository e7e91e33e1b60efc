"""The plot of what a network learns against what it forgets."""

from statistics import fmean
from typing import NamedTuple

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from speech_mtl.study.report import style, words
from speech_mtl.study.report.style import INK, WIDTH, ArmStyle
from speech_mtl.study.report.words import INTERVAL
from speech_mtl.study.statistics.rows import REFERENCE_ARM, Arm
from speech_mtl.study.statistics.summary import ArmSummary, Summary

TRADE_OFF = (
    f"Markers: mean over seeds, and over old languages. Across: error in the target, with its {INTERVAL}. Up: by how"
    " much errors in old languages have grown, from the one that lost least to the one that lost most. Dashed: the"
    " target alone. Best is far left, and at the bottom."
)


class TradeOff(NamedTuple):
    """An arm at a budget: what it learnt, and by what share the error of each old language has grown."""

    learnt: ArmSummary
    growth: list[float]


def learnt_and_forgotten(summary: Summary) -> list[TradeOff]:
    """Every arm and budget that has old languages."""
    growth: dict[tuple[Arm, float], list[float]] = {}
    for one in summary.forgotten:
        growth.setdefault((one.arm, one.budget_s), []).append(one.growth.value)
    return [TradeOff(one, growth[one.arm, one.budget_s]) for one in summary.arms if (one.arm, one.budget_s) in growth]


def draw_trade_off(summary: Summary, styles: dict[str, ArmStyle]) -> Figure:
    """A panel for each budget, or of more than two for the smallest and the largest."""
    found = learnt_and_forgotten(summary)
    budgets_s = sorted({one.learnt.budget_s for one in found})
    budgets_s = budgets_s if len(budgets_s) < 3 else [budgets_s[0], budgets_s[-1]]
    figure = Figure(figsize=(WIDTH, 0.3 + 2.6 * len(budgets_s)), layout="constrained")
    panels = figure.subplots(len(budgets_s), 1, squeeze=False)[:, 0]
    for axes, budget_s in zip(panels, budgets_s, strict=True):
        alone = [one.cer.value for one in summary.arms if (one.arm, one.budget_s) == (REFERENCE_ARM, budget_s)]
        _draw_panel(axes, [one for one in found if one.learnt.budget_s == budget_s], alone, styles)
        axes.set_title(f"{words.speech(budget_s)} of {summary.language}", fontsize=8.5)
    for arm in dict.fromkeys(one.learnt.arm for one in found):
        look = styles[arm.name]
        panels[0].plot([], [], color=look.colour, marker=look.marker, label=style.shortened(arm.name))
    style.legend(figure, panels[0])
    return figure


def _draw_panel(axes: Axes, found: list[TradeOff], alone: list[float], styles: dict[str, ArmStyle]) -> None:
    for learnt, growth in found:
        look = styles[learnt.arm.name]
        shares, cer = [100 * share for share in growth], learnt.cer
        place, height = 100 * cer.value, fmean(shares)
        axes.plot([100 * cer.low, 100 * cer.high], [height] * 2, color=look.colour, linewidth=1.8, alpha=0.4)
        axes.plot([place] * 2, [min(shares), max(shares)], color=look.colour, linewidth=1.8, alpha=0.4)
        axes.plot(place, height, marker=look.marker, color=look.colour, zorder=3)
    for cer in alone:
        axes.axvline(100 * cer, color=INK, linestyle="--", linewidth=1)
    ends = [end for one in found for end in (one.learnt.cer.low, one.learnt.cer.high)]
    style.scale_errors(axes, "x", [100 * end for end in [*ends, *alone]])
    axes.set_ylabel("More errors in old languages, %")
    axes.margins(y=0.12)
