"""A summary -> plots. Matplotlib is slow to import: import this module where it is needed."""

from collections.abc import Sequence

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from speech_mtl.study.report import matrices, style, words
from speech_mtl.study.report.blocks import Plot
from speech_mtl.study.report.learning_plots import make_learning_plots
from speech_mtl.study.report.prolonged import PROLONGED, draw_prolonged
from speech_mtl.study.report.style import INK, PAPER, WIDTH, ArmStyle
from speech_mtl.study.report.task_plots import make_task_plots
from speech_mtl.study.report.trade_off import TRADE_OFF, draw_trade_off, learnt_and_forgotten
from speech_mtl.study.report.words import INTERVAL
from speech_mtl.study.statistics.summary import ArmSummary, EquivalentHours, LanguageError, Summary

CURVE = f"Lines: mean over seeds. Bands: {INTERVAL}. Small dots: each seed. Lower is better."
ONE_BUDGET = f"Markers: mean over seeds. Bars: {INTERVAL}. Small dots: each seed. Lower is better."
FACTORS = (
    "F: hours alone that reach the same error, per hour with auxiliary languages. Right of 1 these save speech, left of"
    f" it they cost some. Bars: {INTERVAL}. Hollow markers and arrows: beyond what was measured alone."
)
LANGUAGES = "Bars: mean over seeds. Thin lines: from the smallest to the largest seed. A missing bar was not measured."


def make_plots(summary: Summary) -> dict[str, Plot]:
    """Every plot that the summary has figures for, by name."""
    styles = style.arm_styles(
        [one.arm.name for one in [*summary.arms, *summary.languages, *summary.equivalent_hours, *summary.predictions]]
    )
    plots: list[Plot] = []
    with style.drawing():
        if summary.arms:
            title = f"Character error rate of {summary.language} against the amount of its speech, by arm"
            caption = CURVE if len({one.budget_s for one in summary.arms}) > 1 else ONE_BUDGET
            plots.append(style.saved("data-efficiency", title, caption, draw_curve(summary.arms, styles)))
        if summary.equivalent_hours:
            title = "What an hour with auxiliary languages is worth in hours alone, by arm and budget"
            plots.append(
                style.saved("equivalent-hours", title, FACTORS, draw_factors(summary.equivalent_hours, styles))
            )
        if any(one.seconds for one in summary.predictions):
            title = "Character error rate with more speech than was measured, by arm"
            plots.append(style.saved("more-speech", title, PROLONGED, draw_prolonged(summary, styles)))
        if summary.languages and summary.arms and not summary.tasks:
            title = "Character error rate by language, arm and budget"
            scales = "" if _one_scale(summary.languages) else " Each amount of speech has a scale of its own."
            plots.append(style.saved("languages", title, LANGUAGES + scales, draw_languages(summary.languages, styles)))
        if summary.transfer:
            title = "How much each auxiliary language helps each target"
            plots.append(style.saved("transfer", title, matrices.TRANSFER, matrices.draw_transfer(summary.transfer)))
        if learnt_and_forgotten(summary):
            title = "What is learnt against what is forgotten, by arm"
            plots.append(style.saved("forgetting", title, TRADE_OFF, draw_trade_off(summary, styles)))
        plots += make_task_plots(summary)
        plots += make_learning_plots(summary)
    return {plot.name: plot for plot in plots}


def draw_curve(arms: Sequence[ArmSummary], styles: dict[str, ArmStyle]) -> Figure:
    """Character error rate against target speech; logarithmic where the errors span more than a factor of three."""
    names = list(dict.fromkeys(one.arm.name for one in arms))
    budgets_s = sorted({one.budget_s for one in arms})
    figure = Figure(figsize=(WIDTH, 3.6), layout="constrained")
    axes = figure.add_subplot()
    for place, name in enumerate(names):
        points = sorted((one for one in arms if one.arm.name == name), key=lambda one: one.budget_s)
        # Where there is one budget only, all arms would stand on one spot.
        shift = 1.0 if len(budgets_s) > 1 else 1.08 ** (place - (len(names) - 1) / 2)
        _draw_arm(axes, points, [point.budget_s * shift for point in points], styles[name])
    axes.set_xscale("log")
    margin = 1.12 if len(budgets_s) > 1 else 1.08 ** (len(names) / 2 + 2)
    axes.set_xlim(min(budgets_s) / margin, max(budgets_s) * margin)
    _label_budgets(axes, style.apart(budgets_s))
    style.scale_errors(
        axes, "y", [100 * value for one in arms for value in (one.cer.low, one.cer.high, *one.cer_by_seed)]
    )
    style.legend(figure, axes)
    return figure


def _draw_arm(axes: Axes, points: Sequence[ArmSummary], places: Sequence[float], arm: ArmStyle) -> None:
    means, lows, highs = ([100 * getattr(point.cer, end) for point in points] for end in ("value", "low", "high"))
    if len(points) > 1:
        axes.fill_between(places, lows, highs, color=arm.colour, alpha=0.14, linewidth=0)
    else:
        axes.vlines(places, lows, highs, color=arm.colour, alpha=0.4, linewidth=5)
    for point, place in zip(points, places, strict=True):
        if len(point.cer_by_seed) > 1:
            seeds = [100 * cer for cer in point.cer_by_seed]
            axes.plot([place] * len(seeds), seeds, ".", color=arm.colour, markersize=3.2, alpha=0.75)
    axes.plot(
        places,
        means,
        color=arm.colour,
        linestyle=arm.line,
        marker=arm.marker,
        markeredgecolor=PAPER,
        markeredgewidth=0.6,
        label=style.shortened(points[0].arm.name),
    )


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
    figure = Figure(figsize=(WIDTH, 0.95 + 0.21 * num_rows), layout="constrained")
    axes = figure.add_subplot()
    axes.set_xscale("log")
    factors = [one.factor(end) for one in equivalents for end in (one.low, one.hours, one.high)]
    low, high = min(0.8, *factors) / 1.25, max(1.25, *factors) * 1.25
    axes.set_xlim(low, high)
    style.set_ticks(axes.xaxis, style.log_ticks(low, high))
    axes.axvline(1, color=INK, linewidth=1)
    budget_rows: list[tuple[int, str]] = []
    row = 0
    for name in names:
        _name_rows(axes, name, row)
        for one in sorted((one for one in equivalents if one.arm.name == name), key=lambda one: one.budget_s):
            row += 1
            budget_rows.append((row, words.speech(one.budget_s)))
            _draw_factor(axes, one, row, styles[name])
        row += 1
    axes.set_ylim(num_rows - 0.4, -0.6)
    for text, side, points in (("← costs speech", "right", -6), ("saves speech →", "left", 6)):
        axes.annotate(
            text, (1, -0.75), (points, 0), textcoords="offset points", ha=side, va="bottom", annotation_clip=False
        )
    axes.yaxis.set_tick_params(length=0)
    axes.grid(visible=False, axis="y")
    style.set_ticks(axes.yaxis, [place for place, _ in budget_rows], [text for _, text in budget_rows])
    axes.set_xlabel("F (logarithmic)")
    return figure


def _name_rows(axes: Axes, name: str, row: int) -> None:
    paper = {"facecolor": PAPER, "edgecolor": "none", "pad": 1}  # the lines of the grid stop for the name
    place = axes.get_yaxis_transform()
    axes.text(0.012, row, style.shortened(name), transform=place, va="center", weight="bold", bbox=paper, zorder=2)


def _draw_factor(axes: Axes, one: EquivalentHours, row: int, arm: ArmStyle) -> None:
    ends = [one.factor(end) for end in (one.low, one.high)]
    axes.plot(ends, [row, row], color=arm.colour, linewidth=1.8, solid_capstyle="butt")
    for end, factor in zip((one.low, one.high), ends, strict=True):
        if end.relation != "=":
            reach = 1.18 if end.relation == ">" else 1 / 1.18
            axes.annotate(
                "",
                (factor * reach, row),
                (factor, row),
                arrowprops={"arrowstyle": "-|>", "color": arm.colour, "linewidth": 1.8, "shrinkA": 0, "shrinkB": 0},
            )
    axes.plot(
        one.factor(one.hours),
        row,
        marker=arm.marker,
        color=arm.colour,
        markerfacecolor=arm.colour if one.hours.relation == "=" else PAPER,
        zorder=3,
    )
    text = f"{words.factor_text(one, one.hours)} {words.factor_interval(one)}".rstrip()
    axes.text(1.02, row, text, transform=axes.get_yaxis_transform(), va="center_baseline")


def draw_languages(errors: Sequence[LanguageError], styles: dict[str, ArmStyle]) -> Figure:
    """A bar for each language and arm; side by side all budgets, or of more than three the smallest and the largest."""
    budgets_s = sorted({one.budget_s for one in errors})
    if len(budgets_s) > 3:
        budgets_s = [budgets_s[0], budgets_s[-1]]
    languages = list(dict.fromkeys(one.language for one in errors))
    arms = list(dict.fromkeys(one.arm.name for one in errors))
    bars = [(language, arm) for language in languages for arm in arms if _measured(errors, language, arm)]
    row_of = {bar: place + 0.7 * languages.index(bar[0]) for place, bar in enumerate(bars)}
    height = 0.16 * (max(row_of.values()) + 1)
    figure = Figure(figsize=(WIDTH, 0.9 + height), layout="constrained")
    panels = figure.subplots(1, len(budgets_s), sharex=_one_scale(errors), sharey=True, squeeze=False)[0]
    for axes, budget_s in zip(panels, budgets_s, strict=True):
        for one in errors:
            if one.budget_s == budget_s:
                _draw_bar(axes, one, row_of[one.language, one.arm.name], styles[one.arm.name])
        axes.set_title(f"{words.speech(budget_s)} of target speech" if len(budgets_s) < 3 else words.speech(budget_s))
        axes.title.set_fontsize(8.5)
        axes.set_xlim(left=0)
        axes.grid(visible=False, axis="y")
        axes.yaxis.set_tick_params(length=0)
    _name_languages(panels[0], languages, row_of)
    figure.supxlabel("Character error rate, %", fontsize=8.5)
    for name in arms:
        arm = styles[name]
        panels[0].plot([], [], color=arm.colour, marker=arm.marker, linewidth=4, label=style.shortened(name))
    style.legend(figure, panels[0])
    return figure


def _measured(errors: Sequence[LanguageError], language: str, arm: str) -> bool:
    return any((one.language, one.arm.name) == (language, arm) for one in errors)


def _one_scale(errors: Sequence[LanguageError]) -> bool:
    """Whether bars of all budgets can be read on one scale."""
    largest: dict[float, float] = {}
    for one in errors:
        largest[one.budget_s] = max(one.highest, largest.get(one.budget_s, 0.0))
    return max(largest.values()) <= 3 * min(largest.values())


def _name_languages(axes: Axes, languages: Sequence[str], row_of: dict[tuple[str, str], float]) -> None:
    middles = []
    for language in languages:
        rows = [row for (other, _), row in row_of.items() if other == language]
        middles.append((rows[0] + rows[-1]) / 2)
    style.set_ticks(axes.yaxis, middles, [style.shortened(language, 16) for language in languages])
    axes.set_ylim(max(row_of.values()) + 0.8, -0.8)


def _draw_bar(axes: Axes, one: LanguageError, row: float, arm: ArmStyle) -> None:
    axes.barh(row, 100 * one.cer, height=0.55, color=arm.colour, alpha=0.45)
    axes.plot([100 * one.lowest, 100 * one.highest], [row, row], color=INK, linewidth=0.9)
    axes.plot(100 * one.cer, row, marker=arm.marker, color=arm.colour, markersize=4, markeredgewidth=0)
