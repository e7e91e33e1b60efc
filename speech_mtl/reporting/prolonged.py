"""The plot of arms' curves, prolonged beyond what was measured."""

from matplotlib.figure import Figure

from speech_mtl.reporting import style, words
from speech_mtl.reporting.predicted import amounts_to_show, targets
from speech_mtl.reporting.style import INK, PAPER, WIDTH, ArmStyle
from speech_mtl.reporting.words import INTERVAL
from speech_mtl.scoring.summary import Summary

PROLONGED = (
    f"Markers: measured, mean over seeds. Lines: the curve through them. Bands: {INTERVAL} of what would be measured"
    " with as many seeds. Right of the dashed line nothing was measured. Dotted: the errors of the table."
)


def draw_prolonged(summary: Summary, styles: dict[str, ArmStyle]) -> Figure:
    """Error against target speech, from the smallest budget to as far as is predicted; both axes are logarithmic."""
    given = [one for one in summary.predictions if one.seconds]
    figure = Figure(figsize=(WIDTH, 3.6), layout="constrained")
    axes = figure.add_subplot()
    errors = [100 * error for error in targets(summary)]
    for one in given:
        look = styles[one.arm.name]
        shown = [pair for pair in zip(one.seconds, one.errors, strict=True) if pair[0] >= one.budgets_s[0]]
        places, estimates = [pair[0] for pair in shown], [pair[1] for pair in shown]
        middles, lows, highs = ([100 * getattr(one, end) for one in estimates] for end in ("value", "low", "high"))
        errors += [*lows, *highs]
        axes.fill_between(places, lows, highs, color=look.colour, alpha=0.14, linewidth=0)
        axes.plot(places, middles, color=look.colour, linestyle=look.line)
        name = style.shortened(one.arm.name)
        axes.plot([], [], color=look.colour, linestyle=look.line, marker=look.marker, label=name)
        found = {arm.budget_s: 100 * arm.cer.value for arm in summary.arms if arm.arm == one.arm}
        measured = [found[budget_s] for budget_s in one.budgets_s]
        errors += measured
        axes.plot(one.budgets_s, measured, linestyle="", marker=look.marker, color=look.colour, markeredgecolor=PAPER)
        axes.plot(
            [], [], color=look.colour, linestyle=look.line, marker=look.marker, label=style.shortened(one.arm.name)
        )
    largest_s = max(one.budgets_s[-1] for one in given)
    axes.axvline(largest_s, color=INK, linestyle="--", linewidth=1)
    for error in targets(summary):
        axes.axhline(100 * error, color=INK, linestyle=":", linewidth=1)
    axes.set_xscale("log")
    budgets_s = sorted({budget_s for one in given for budget_s in one.budgets_s} | set(amounts_to_show(given)))
    axes.set_xlim(budgets_s[0] / 1.12, budgets_s[-1] * 1.12)
    ticks = style.apart(budgets_s)
    style.set_ticks(axes.xaxis, ticks, [words.speech(tick) for tick in ticks])
    axes.set_xlabel("Target speech")
    style.scale_errors(axes, "y", errors)
    style.legend(figure, axes)
    return figure
