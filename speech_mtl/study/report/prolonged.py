"""The plot of arms' curves, prolonged beyond what was measured."""

from typing import Any

from matplotlib.figure import Figure

from speech_mtl.study.report import style, words
from speech_mtl.study.report.predicted import amounts_to_show, shown_target, targets
from speech_mtl.study.report.style import INK, PAPER, WIDTH, ArmStyle
from speech_mtl.study.report.words import INTERVAL
from speech_mtl.study.statistics.prediction import error_with
from speech_mtl.study.statistics.summary import Summary

PROLONGED = (
    f"Markers: measured, mean over seeds. Lines: the curve through them. Bands: {INTERVAL} of what would be measured"
    " with as many seeds. Right of the dashed line nothing was measured. Dotted: the errors of the table."
)


def draw_prolonged(summary: Summary, styles: dict[str, ArmStyle]) -> Figure:
    """Error against target speech, from the smallest budget to as far as is predicted."""
    given = [one for one in summary.predictions if one.seconds]
    budgets_s = sorted({budget_s for one in given for budget_s in one.budgets_s})
    figure = Figure(figsize=(WIDTH, 3.6), layout="constrained")
    axes = figure.add_subplot()
    axes.axvline(budgets_s[-1], color=INK, linestyle="--", linewidth=1)
    for error in targets(summary):
        axes.axhline(100 * error, color=INK, linestyle=":", linewidth=1)
        place = (0.995, 100 * error)
        axes.text(*place, shown_target(error), transform=axes.get_yaxis_transform(), ha="right", va="bottom")
    errors = [100 * error for error in targets(summary)]
    for one in given:
        own = styles[one.arm.name]
        look: dict[str, Any] = {"color": own.colour, "marker": own.marker, "markeredgecolor": PAPER}
        places = [one.budgets_s[0], *(place for place in one.seconds if place > one.budgets_s[0])]
        found = [error_with(one, place) for place in places]
        middles, lows, highs = ([100 * getattr(each, end) for each in found] for end in ("value", "low", "high"))
        cers = {arm.budget_s: 100 * arm.cer.value for arm in summary.arms if arm.arm == one.arm}
        measured = {budget_s: cer for budget_s, cer in cers.items() if budget_s in one.budgets_s}
        errors += [*lows, *highs, *measured.values()]
        axes.fill_between(places, lows, highs, color=look["color"], alpha=0.14, linewidth=0)
        axes.plot(places, middles, color=look["color"], linestyle=own.line)
        axes.plot(list(measured), list(measured.values()), linestyle="", **look)
        axes.plot([], [], linestyle=own.line, label=style.shortened(one.arm.name), **look)
    axes.set(xscale="log", xlabel="Target speech", xlim=(budgets_s[0] / 1.12, 1.12 * max(amounts_to_show(given))))
    ticks = style.apart([*budgets_s, *amounts_to_show(given)])
    style.set_ticks(axes.xaxis, ticks, [words.speech(tick) for tick in ticks])
    style.scale_errors(axes, "y", errors)
    style.legend(figure, axes)
    return figure
