"""Plots by language and task: errors, transfer between languages, conflicts of gradients."""

from collections.abc import Iterator, Mapping, Sequence
from statistics import fmean

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from speech_mtl.scoring.tables import CER, MAE, axis_of_metric, percent, reported
from speech_mtl.study.report import style, words
from speech_mtl.study.report.blocks import Plot
from speech_mtl.study.report.style import INK, WIDTH, ArmStyle
from speech_mtl.study.report.words import INTERVAL
from speech_mtl.study.statistics.summary import LanguageError, Summary, TaskError, Tried, one_task_an_arm
from speech_mtl.study.statistics.training import Conflict

LANGUAGES = "Bars: mean over seeds. Thin lines: from the smallest to the largest seed. A missing bar was not measured."
TRANSFER = (
    "By how many percent each auxiliary language lowers the character error rate of each target; below it the"
    f" {INTERVAL}. Blue and plus: fewer errors. Orange and minus: more errors. Bold: the whole interval is on one side"
    " of zero."
)
CONFLICTS = (
    "Mean cosine over training between the tasks' gradients in the encoder. Blue: they pull the same way. Orange: they"
    " conflict."
)
TASKS = (
    f"Markers: mean over seeds. Bars: {INTERVAL}. Small dots: each seed. Lower errors and higher fractions are better."
)
MOST_PANELS = 6
"""Tasks that the plot of errors shows."""

_HALF_CELL = 0.47
_STRONGEST = 0.6


def make_plots(summary: Summary, styles: dict[str, ArmStyle]) -> Iterator[Plot]:
    """Those that the summary has data for; to be called while `style.drawing`."""
    if summary.languages and summary.arms and not summary.tasks:
        title = "Character error rate by language, arm and budget"
        scales = "" if _one_scale(summary.languages) else " Each amount of speech has a scale of its own."
        yield style.saved("languages", title, LANGUAGES + scales, draw_languages(summary.languages, styles))
    if summary.transfer:
        title = "How much each auxiliary language helps each target"
        yield style.saved("transfer", title, TRANSFER, draw_transfer(summary.transfer))
    if summary.tasks:
        yield style.saved("tasks", "Error of each task by arm", TASKS, draw_tasks(summary.tasks))
    if conflicts := summary.training.conflicts:
        yield style.saved("conflicts", "Cosines between the tasks' gradients", CONFLICTS, draw_conflicts(conflicts))


def draw_languages(errors: Sequence[LanguageError], styles: dict[str, ArmStyle]) -> Figure:
    """A bar for each language and arm; side by side all budgets, or of more than three the smallest and the largest."""
    budgets_s = sorted({one.budget_s for one in errors})
    if len(budgets_s) > 3:
        budgets_s = [budgets_s[0], budgets_s[-1]]
    languages = list(dict.fromkeys(one.language for one in errors))
    arms = list(dict.fromkeys(one.arm.name for one in errors))
    measured = {(one.language, one.arm.name) for one in errors}
    bars = [(language, arm) for language in languages for arm in arms if (language, arm) in measured]
    row_of = {bar: place + 0.7 * languages.index(bar[0]) for place, bar in enumerate(bars)}
    last = max(row_of.values())
    titles = [words.speech(budget_s) + " of target speech" * (len(budgets_s) < 3) for budget_s in budgets_s]
    scales = {"sharex": _one_scale(errors), "sharey": True}
    figure, panels = style.panels(titles, 0.16 * (last + 1), head=0.9, most_columns=3, **scales)
    middles = {fmean(row for (name, _), row in row_of.items() if name == language): language for language in languages}
    for axes, budget_s in zip(panels, budgets_s, strict=True):
        for one in (one for one in errors if one.budget_s == budget_s):
            row, arm_style = row_of[one.language, one.arm.name], styles[one.arm.name]
            axes.barh(row, 100 * one.cer, height=0.55, color=arm_style.colour, alpha=0.45)
            axes.plot([100 * one.lowest, 100 * one.highest], [row, row], color=INK, linewidth=0.9)
            axes.plot(
                100 * one.cer, row, marker=arm_style.marker, color=arm_style.colour, markersize=4, markeredgewidth=0
            )
        axes.set_xlim(left=0)
        style.name_rows(axes, {row: style.shortened(name, 16) for row, name in middles.items()}, last)
    figure.supxlabel("Character error rate, %", fontsize=8.5)
    return style.name_styles(figure, {name: styles[name] for name in arms}, linestyle="-", linewidth=4)


def _one_scale(errors: Sequence[LanguageError]) -> bool:
    """Whether bars of all budgets can be read on one scale."""
    largest: dict[float, float] = {}
    for one in errors:
        largest[one.budget_s] = max(one.highest, largest.get(one.budget_s, 0.0))
    return max(largest.values()) <= 3 * min(largest.values())


def draw_tasks(errors: Sequence[TaskError]) -> Figure:
    """A panel for each task, a row for each variant or arm; base arms and budgets are told apart by colour.

    Panels have the same rows, or, where each arm is measured in one task, their own.
    """
    measured = {task: [one for one in errors if one.task == task] for task in _panels(errors)}
    apart = one_task_an_arm(errors)
    rows = {task: list(dict.fromkeys(map(_row, own if apart else errors))) for task, own in measured.items()}
    series = list(dict.fromkeys(_series(one) for one in sorted(errors, key=lambda one: one.budget_s)))
    several = len(series) > 1
    styles = style.arm_styles(series) if several else {series[0]: ArmStyle(style.COLOURS[0], "o", "-")}
    styles = {name: styles[name] for name in series}
    height = (0.1 + 0.11 * len(series) if several else 0.17) * max(map(len, rows.values())) + 0.5
    titles = [style.shortened(task, 30) for task in measured]
    figure, panels = style.panels(titles, height, head=0.6, sharey=not apart)
    for axes, (task, own) in zip(panels, measured.items(), strict=True):
        _draw_panel(axes, own, rows[task], styles)
    return style.name_styles(figure, styles, linestyle="-") if several else figure


def _panels(errors: Sequence[TaskError]) -> list[str]:
    """The tasks that are shown: of many no single languages, but those that it takes to show every arm."""
    arms = {task: {one.arm for one in errors if one.task == task} for task in dict.fromkeys(one.task for one in errors)}
    if len(arms) <= MOST_PANELS:
        return list(arms)
    languages = [one.task for one in errors if one.metric == CER and " " not in one.task]
    shown = [task for task in arms if task not in languages][:MOST_PANELS]
    while lacking := set().union(*arms.values()) - set().union(*(arms[task] for task in shown)):
        shown.append(max(arms, key=lambda task: len(arms[task] & lacking)))
    return shown


def _row(one: TaskError) -> str:
    """The variant where there is one, else the arm."""
    return one.arm.variant or one.arm.name


def _series(one: TaskError) -> str:
    amount = words.speech(one.budget_s) if one.budget_s else "all speech"
    return f"{one.arm.base}, {amount}" if one.arm.variant else amount


def _draw_panel(axes: Axes, errors: Sequence[TaskError], rows: Sequence[str], styles: Mapping[str, ArmStyle]) -> None:
    metric, series = errors[0].metric, list(styles)
    for one in errors:
        name = _series(one)
        shift = 0.0 if len(series) < 2 else 0.6 * (series.index(name) / (len(series) - 1) - 0.5)
        row, arm_style = rows.index(_row(one)) + shift, styles[name]
        ends = [_value(metric, end) for end in (one.error.low, one.error.high)]
        axes.plot(ends, [row, row], color=arm_style.colour, linewidth=1.8, alpha=0.55, solid_capstyle="butt")
        axes.plot(_value(metric, one.error.value), row, marker=arm_style.marker, color=arm_style.colour, zorder=3)
        if len(one.by_seed) > 1:
            seeds = [_value(metric, error) for error in one.by_seed]
            axes.plot(seeds, [row] * len(seeds), ".", color=INK, markersize=3, alpha=0.6)
    axes.set_xlabel(axis_of_metric(metric))
    style.name_rows(axes, {place: style.shortened(row, 24) for place, row in enumerate(rows)}, len(rows) - 1)


def _value(metric: str, error: float) -> float:
    return reported(metric, error) * (1 if metric == MAE else 100)


def draw_transfer(entries: Sequence[Tried]) -> Figure:
    """Targets by auxiliaries: colour and number."""
    targets = list(dict.fromkeys(one.language for one in entries))
    found = {(one.language, one.arm.auxiliary): one.reduction for one in entries}
    helpers = {auxiliary for _, auxiliary in found}
    auxiliaries = [name for name in targets if name in helpers] + sorted(helpers - set(targets))
    width = max(WIDTH, 0.9 + 0.72 * len(auxiliaries))
    figure = Figure(figsize=(width, 0.75 + 0.46 * len(targets)), layout="constrained")
    axes = figure.add_subplot()
    largest = max(abs(reduction.value) for reduction in found.values()) or 1.0
    _matrix(axes, targets, auxiliaries, {pair: one.value / largest for pair, one in found.items()}, longest=(16, 12))
    middle: dict = {"ha": "center", "va": "center"}
    for row, target in enumerate(targets):
        for column, auxiliary in enumerate(auxiliaries):
            if one := found.get((target, auxiliary)):
                value = ("+" if one.value > 0 else "") + percent(one.value)
                axes.text(column, row - 0.12, value, weight="bold" if one.significant else "normal", **middle)
                within = " to ".join(f"{100 * end + 0.0:.0f}".replace("-", "−") for end in (one.low, one.high))
                axes.text(column, row + 0.22, within, size=6.8, **middle)
            elif target != auxiliary:
                axes.text(column, row, "not\nmeasured", size=6, **middle)
    axes.xaxis.tick_top()
    axes.xaxis.set_label_position("top")
    axes.set_xlabel("Auxiliary language", labelpad=6)
    axes.set_ylabel("Target")
    return figure


def draw_conflicts(conflicts: Sequence[Conflict]) -> Figure:
    """A matrix for each arm: tasks by tasks, colour and number."""
    arms = list(dict.fromkeys(one.arm for one in conflicts))
    tasks = list(dict.fromkeys(name for one in conflicts for name in (one.task, one.other)))
    side = 0.5 + 0.42 * len(tasks)
    figure = Figure(figsize=(max(WIDTH, side), (0.4 + side) * len(arms)), layout="constrained")
    for axes, arm in zip(figure.subplots(len(arms), 1, squeeze=False)[:, 0], arms, strict=True):
        cosines = {(one.task, one.other): one.cosine for one in conflicts if one.arm == arm}
        _matrix(axes, tasks, tasks, cosines, longest=(14, 14))
        for (task, other), cosine in cosines.items():
            text = f"{cosine:.2f}".replace("-", "−")
            axes.text(tasks.index(other), tasks.index(task), text, ha="center", va="center", size=7)
        axes.tick_params(axis="x", rotation=35)
        axes.set_title(style.shortened(arm.name, 40), fontsize=8.5)
    return figure


def _matrix(
    axes: Axes,
    rows: Sequence[str],
    columns: Sequence[str],
    values: Mapping[tuple[str, str], float],
    longest: tuple[int, int],
) -> None:
    """Cells in colours, the first row on top; `longest`: letters of the names of rows and of columns.

    Values from -1 to 1 are coloured thinly over the paper: ink is readable on them whatever the paper is.
    """
    for (row, column), value in values.items():
        x, y = columns.index(column), rows.index(row)
        left, right, top, bottom = x - _HALF_CELL, x + _HALF_CELL, y - _HALF_CELL, y + _HALF_CELL
        axes.fill(
            [left, right, right, left],
            [top, top, bottom, bottom],
            facecolor=style.BETTER if value >= 0 else style.WORSE,
            alpha=_STRONGEST * min(1.0, abs(value)),
            linewidth=0,
        )
    style.set_ticks(axes.xaxis, range(len(columns)), [style.shortened(name, longest[1]) for name in columns])
    style.set_ticks(axes.yaxis, range(len(rows)), [style.shortened(name, longest[0]) for name in rows])
    axes.set(xlim=(-0.5, len(columns) - 0.5), ylim=(len(rows) - 0.5, -0.5))
    axes.tick_params(length=0)
    axes.grid(visible=False)
    axes.spines[:].set_visible(False)
