"""A summary -> plots. Matplotlib is slow to import: import this module where it is needed."""

from collections.abc import Iterator, Sequence
from statistics import fmean
from typing import NamedTuple

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from speech_mtl.study.report import language_plots, style, training_plots, words
from speech_mtl.study.report.blocks import Plot
from speech_mtl.study.report.predicted import amounts_to_show, errors_to_show, shown_target
from speech_mtl.study.report.style import INK, PAPER, ArmStyle
from speech_mtl.study.report.words import INTERVAL
from speech_mtl.study.statistics.prediction import error_with
from speech_mtl.study.statistics.rows import REFERENCE_ARM
from speech_mtl.study.statistics.summary import ArmSummary, EquivalentHours, Estimate, Summary
from speech_mtl.study.statistics.training import ArmAtBudget

CURVE = f"Lines: mean over seeds. Bands: {INTERVAL}. Small dots: each seed. Lower is better."
ONE_BUDGET = f"Markers: mean over seeds. Bars: {INTERVAL}. Small dots: each seed. Lower is better."
FACTORS = (
    "F: hours alone that reach the same error, per hour with auxiliary languages. Right of 1 these save speech, left of"
    f" it they cost some. Bars: {INTERVAL}. Hollow markers and arrows: beyond what was measured alone."
)
PROLONGED = (
    f"Markers: measured, mean over seeds. Lines: the curve through them. Bands: {INTERVAL} of what would be measured"
    " with as many seeds. Right of the dashed line nothing was measured. Dotted: the errors of the table."
)
TRADE_OFF = (
    f"Markers: mean over seeds, and over old languages. Across: error in the target, with its {INTERVAL}. Up: by how"
    " much errors in old languages have grown, from the one that lost least to the one that lost most. Dashed: the"
    " target alone. Best is far left, and at the bottom."
)

ON_A_LINE = {"markeredgecolor": PAPER, "markeredgewidth": 0.6}


def make_plots(summary: Summary) -> dict[str, Plot]:
    """Every plot that the summary has data for, by name."""
    styles = style.arm_styles(
        [
            one.arm.name
            for own in summary.by_decoder
            for one in [*own.arms, *own.languages, *own.equivalent_hours, *own.predictions]
        ]
    )
    with style.drawing():
        return {plot.name: plot for plot in _drawn(summary, styles)}


def _drawn(summary: Summary, styles: dict[str, ArmStyle]) -> Iterator[Plot]:
    for one in summary.by_decoder:
        by, told = words.by_decoder(one), f"Decoder: {one.decoder}. " if one.decoder else ""
        if one.arms:
            title = f"Character error rate of {one.language} against the amount of its speech, by arm{by}"
            caption = told + (CURVE if len({arm.budget_s for arm in one.arms}) > 1 else ONE_BUDGET)
            name = words.plot_name("data-efficiency", one, summary)
            yield style.saved(name, title, caption, draw_curve(one.arms, styles))
        if one.equivalent_hours:
            title = f"Hours alone that are equivalent to an hour with auxiliary languages, by arm and budget{by}"
            name = words.plot_name("equivalent-hours", one, summary)
            yield style.saved(name, title, told + FACTORS, draw_factors(one.equivalent_hours, styles))
    if any(one.seconds for one in summary.predictions):
        title = "Character error rate with more speech than was measured, by arm"
        yield style.saved("more-speech", title, PROLONGED, draw_prolonged(summary, styles))
    yield from language_plots.make_plots(summary, styles)
    if learnt_and_forgotten(summary):
        title = "What is learnt against what is forgotten, by arm"
        yield style.saved("forgetting", title, TRADE_OFF, draw_trade_off(summary, styles))
    yield from training_plots.make_plots(summary)


def draw_curve(arms: Sequence[ArmSummary], styles: dict[str, ArmStyle]) -> Figure:
    """Character error rate against target speech; logarithmic where the errors span more than a factor of three."""
    names = list(dict.fromkeys(one.arm.name for one in arms))
    budgets_s = sorted({one.budget_s for one in arms})
    figure, (axes,) = style.panels([""], 3.6, head=0)
    for place, name in enumerate(names):
        points = sorted((one for one in arms if one.arm.name == name), key=lambda one: one.budget_s)
        # Where there is one budget only, all arms would stand on one spot.
        shift = 1.0 if len(budgets_s) > 1 else 1.08 ** (place - (len(names) - 1) / 2)
        _draw_arm(axes, points, [point.budget_s * shift for point in points], styles[name])
    axes.set_xscale("log")
    margin = 1.12 if len(budgets_s) > 1 else 1.08 ** (len(names) / 2 + 2)
    axes.set_xlim(min(budgets_s) / margin, max(budgets_s) * margin)
    _label_budgets(axes, style.apart(budgets_s))
    style.scale_errors(axes, "y", [rate for one in arms for rate in (one.cer.low, one.cer.high, *one.cer_by_seed)])
    return style.name_styles(figure, {name: styles[name] for name in names}, **ON_A_LINE)


def _draw_arm(axes: Axes, points: Sequence[ArmSummary], places: Sequence[float], arm_style: ArmStyle) -> None:
    means = _draw_band(axes, places, [point.cer for point in points], arm_style)
    for point, place in zip(points, places, strict=True):
        if len(point.cer_by_seed) > 1:
            seeds = [100 * cer for cer in point.cer_by_seed]
            axes.plot([place] * len(seeds), seeds, ".", color=arm_style.colour, markersize=3.2, alpha=0.75)
    axes.plot(places, means, **arm_style.drawn(**ON_A_LINE))


def _draw_band(axes: Axes, places: Sequence[float], estimates: Sequence[Estimate], arm_style: ArmStyle) -> list[float]:
    """Draws intervals in percent, and gives their middles."""
    means, lows, highs = ([100 * getattr(one, end) for one in estimates] for end in ("value", "low", "high"))
    if len(places) > 1:
        axes.fill_between(places, lows, highs, color=arm_style.colour, alpha=0.14, linewidth=0)
    else:
        axes.vlines(places, lows, highs, color=arm_style.colour, alpha=0.4, linewidth=5)
    return means


def _label_budgets(axes: Axes, budgets_s: Sequence[float]) -> None:
    """One unit for all, or a unit with each where they reach from minutes to hours."""
    texts = [words.speech(budget_s) for budget_s in budgets_s]
    units = {text.split()[1] for text in texts}
    if len(units) == 1:
        texts = [text.split()[0] for text in texts]
    style.set_ticks(axes.xaxis, budgets_s, texts)
    unit = {"h": ", hours", "min": ", minutes"}[units.pop()] if len(units) == 1 else ""
    axes.set_xlabel("Target speech" + unit)


def draw_factors(equivalents: Sequence[EquivalentHours], styles: dict[str, ArmStyle]) -> Figure:
    """F of every arm and budget with its interval, one below the other; arrows lead beyond what was measured."""
    names = list(dict.fromkeys(one.arm.name for one in equivalents))
    num_rows = len(equivalents) + len(names)
    figure, (axes,) = style.panels([""], 0.21 * num_rows, head=0.95)
    factors = [one.factor(end) for one in equivalents for end in (one.low, one.hours, one.high)]
    low, high = min(0.8, *factors) / 1.25, max(1.25, *factors) * 1.25
    axes.set(xscale="log", xlim=(low, high), xlabel="F (logarithmic)")
    style.set_ticks(axes.xaxis, style.log_ticks(low, high))
    axes.axvline(1, color=INK, linewidth=1)
    budgets: dict[float, str] = {}
    row = 0
    for name in names:
        _name_arm(axes, name, row)
        for one in sorted((one for one in equivalents if one.arm.name == name), key=lambda one: one.budget_s):
            row += 1
            budgets[row] = words.speech(one.budget_s)
            _draw_factor(axes, one, row, styles[name])
        row += 1
    style.name_rows(axes, budgets, last=num_rows - 1)
    for text, side, points in (("← costs speech", "right", -6), ("saves speech →", "left", 6)):
        axes.annotate(
            text, (1, -0.75), (points, 0), textcoords="offset points", ha=side, va="bottom", annotation_clip=False
        )
    return figure


def _name_arm(axes: Axes, name: str, row: int) -> None:
    paper = {"facecolor": PAPER, "edgecolor": "none", "pad": 1}  # the lines of the grid stop for the name
    place = axes.get_yaxis_transform()
    axes.text(0.012, row, style.shortened(name), transform=place, va="center", weight="bold", bbox=paper, zorder=2)


def _draw_factor(axes: Axes, one: EquivalentHours, row: int, arm: ArmStyle) -> None:
    ends = [one.factor(end) for end in (one.low, one.high)]
    axes.plot(ends, [row, row], color=arm.colour, linewidth=1.8, solid_capstyle="butt")
    arrow = {"arrowstyle": "-|>", "color": arm.colour, "linewidth": 1.8, "shrinkA": 0, "shrinkB": 0}
    for end, factor in zip((one.low, one.high), ends, strict=True):
        if end.relation != "=":
            reach = 1.18 if end.relation == ">" else 1 / 1.18
            axes.annotate("", (factor * reach, row), (factor, row), arrowprops=arrow)
    inside = arm.colour if one.hours.relation == "=" else PAPER
    axes.plot(one.factor(one.hours), row, marker=arm.marker, color=arm.colour, markerfacecolor=inside, zorder=3)
    text = f"{words.factor_text(one, one.hours)} {words.factor_interval(one)}".rstrip()
    axes.text(1.02, row, text, transform=axes.get_yaxis_transform(), va="center_baseline")


def draw_prolonged(summary: Summary, styles: dict[str, ArmStyle]) -> Figure:
    """Error against target speech, from the smallest budget to the largest predicted amount."""
    given = [one for one in summary.predictions if one.seconds]
    budgets_s = sorted({budget_s for one in given for budget_s in one.budgets_s})
    figure, (axes,) = style.panels([""], 3.6, head=0)
    axes.axvline(budgets_s[-1], color=INK, linestyle="--", linewidth=1)
    errors = errors_to_show(summary)
    for error in tuple(errors):  # more follow below, by which the axis is scaled
        axes.axhline(100 * error, color=INK, linestyle=":", linewidth=1)
        place = (0.995, 100 * error)
        axes.text(*place, shown_target(error), transform=axes.get_yaxis_transform(), ha="right", va="bottom")
    for one in given:
        arm_style = styles[one.arm.name]
        places = [one.budgets_s[0], *(place for place in one.seconds if place > one.budgets_s[0])]
        found = [estimate for place in places if (estimate := error_with(one, place))]
        axes.plot(places, _draw_band(axes, places, found, arm_style), color=arm_style.colour, linestyle=arm_style.line)
        measured = {o.budget_s: o.cer.value for o in summary.arms if o.arm == one.arm and o.budget_s in one.budgets_s}
        heights = [100 * cer for cer in measured.values()]
        axes.plot(list(measured), heights, **arm_style.drawn(linestyle="", markeredgecolor=PAPER))
        errors += [end for estimate in found for end in (estimate.low, estimate.high)] + list(measured.values())
    axes.set(xscale="log", xlabel="Target speech", xlim=(budgets_s[0] / 1.12, 1.12 * max(amounts_to_show(given))))
    ticks = style.apart([*budgets_s, *amounts_to_show(given)])
    style.set_ticks(axes.xaxis, ticks, [words.speech(tick) for tick in ticks])
    style.scale_errors(axes, "y", errors)
    return style.name_styles(figure, {one.arm.name: styles[one.arm.name] for one in given}, markeredgecolor=PAPER)


class TradeOff(NamedTuple):
    """An arm at a budget: the target's error, and the relative growth of each old language's error."""

    learnt: ArmSummary
    growth: list[float]


def learnt_and_forgotten(summary: Summary) -> list[TradeOff]:
    """Every arm and budget that has old languages."""
    growth: dict[ArmAtBudget, list[float]] = {}
    for one in summary.forgotten:
        growth.setdefault((one.arm, one.budget_s), []).append(one.growth.value)
    return [TradeOff(one, growth[one.arm, one.budget_s]) for one in summary.arms if (one.arm, one.budget_s) in growth]


def draw_trade_off(summary: Summary, styles: dict[str, ArmStyle]) -> Figure:
    """A panel for each budget, or of more than two for the smallest and the largest."""
    found = learnt_and_forgotten(summary)
    budgets_s = sorted({one.learnt.budget_s for one in found})
    budgets_s = budgets_s if len(budgets_s) < 3 else [budgets_s[0], budgets_s[-1]]
    titles = [f"{words.speech(budget_s)} of {summary.language}" for budget_s in budgets_s]
    figure, panels = style.panels(titles, 2.6, head=0.3, most_columns=1)
    for axes, budget_s in zip(panels, budgets_s, strict=True):
        alone = [one.cer.value for one in summary.arms if (one.arm, one.budget_s) == (REFERENCE_ARM, budget_s)]
        _draw_panel(axes, [one for one in found if one.learnt.budget_s == budget_s], alone, styles)
    return style.name_styles(figure, {o.learnt.arm.name: styles[o.learnt.arm.name] for o in found}, linestyle="-")


def _draw_panel(axes: Axes, found: list[TradeOff], alone: list[float], styles: dict[str, ArmStyle]) -> None:
    for learnt, growth in found:
        arm_style, cer = styles[learnt.arm.name], learnt.cer
        percents = [100 * part for part in growth]
        place, height = 100 * cer.value, fmean(percents)
        axes.plot([100 * cer.low, 100 * cer.high], [height] * 2, color=arm_style.colour, linewidth=1.8, alpha=0.4)
        axes.plot([place] * 2, [min(percents), max(percents)], color=arm_style.colour, linewidth=1.8, alpha=0.4)
        axes.plot(place, height, marker=arm_style.marker, color=arm_style.colour, zorder=3)
    for cer in alone:
        axes.axvline(100 * cer, color=INK, linestyle="--", linewidth=1)
    style.scale_errors(
        axes, "x", [*alone, *(end for one in found for end in (one.learnt.cer.low, one.learnt.cer.high))]
    )
    axes.set_ylabel("More errors in old languages, %")
    axes.margins(y=0.12)
