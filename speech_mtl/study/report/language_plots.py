"""Plots by language and task: errors, transfer between languages, conflicts of gradients."""

from collections.abc import Mapping, Sequence

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from speech_mtl.scoring.tables import CER, axis_of_metric, percent, shown_error
from speech_mtl.study.report import style, words
from speech_mtl.study.report.blocks import Plot
from speech_mtl.study.report.style import INK, WIDTH, ArmStyle
from speech_mtl.study.report.words import INTERVAL
from speech_mtl.study.statistics.summary import Estimate, LanguageError, Summary, TaskError, Tried, one_task_an_arm
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
TASKS = f"Markers: mean over seeds. Bars: {INTERVAL}. Small dots: each seed. Lower errors and higher shares are better."
MOST_PANELS = 6
"""Tasks that the plot of errors shows."""

_HALF_CELL = 0.47
_STRONGEST = 0.6


def make_plots(summary: Summary, styles: dict[str, ArmStyle]) -> list[Plot]:
    """Those that the summary has figures for; to be called while `style.drawing`."""
    plots: list[Plot] = []
    if summary.languages and summary.arms and not summary.tasks:
        title = "Character error rate by language, arm and budget"
        scales = "" if _one_scale(summary.languages) else " Each amount of speech has a scale of its own."
        plots.append(style.saved("languages", title, LANGUAGES + scales, draw_languages(summary.languages, styles)))
    if summary.transfer:
        title = "How much each auxiliary language helps each target"
        plots.append(style.saved("transfer", title, TRANSFER, draw_transfer(summary.transfer)))
    if summary.tasks:
        plots.append(style.saved("tasks", "Error of each task by arm", TASKS, draw_tasks(summary.tasks)))
    if conflicts := summary.training.conflicts:
        title = "Cosines between the tasks' gradients"
        plots.append(style.saved("conflicts", title, CONFLICTS, draw_conflicts(conflicts)))
    return plots


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
    shown = style.panels(len(budgets_s), height, head=0.9, most_columns=3, sharex=_one_scale(errors), sharey=True)
    for axes, budget_s in zip(shown.axes, budgets_s, strict=True):
        for one in errors:
            if one.budget_s == budget_s:
                _draw_bar(axes, one, row_of[one.language, one.arm.name], styles[one.arm.name])
        axes.set_title(f"{words.speech(budget_s)} of target speech" if len(budgets_s) < 3 else words.speech(budget_s))
        axes.title.set_fontsize(8.5)
        axes.set_xlim(left=0)
        axes.grid(visible=False, axis="y")
        axes.yaxis.set_tick_params(length=0)
    _name_languages(shown.axes[0], languages, row_of)
    shown.figure.supxlabel("Character error rate, %", fontsize=8.5)
    return style.name_styles(shown, {name: styles[name] for name in arms}, linestyle="-", linewidth=4)


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


def draw_tasks(errors: Sequence[TaskError]) -> Figure:
    """A panel for each task, a row for each variant or arm; base arms and budgets are told apart by colour.

    Panels have the same rows, or, where each arm is measured in one task, their own.
    """
    panels = {task: [one for one in errors if one.task == task] for task in _panels(errors)}
    apart = one_task_an_arm(errors)
    rows = {task: _rows(own if apart else errors) for task, own in panels.items()}
    series = list(dict.fromkeys(_series(one) for one in _by_budget(errors)))
    styles = _series_styles(series)
    height = (0.17 if len(series) == 1 else 0.1 + 0.11 * len(series)) * max(map(len, rows.values())) + 0.5
    shown = style.panels(len(panels), height, head=0.6, sharey=not apart)
    for axes, (task, own) in zip(shown.axes, panels.items(), strict=True):
        _draw_panel(axes, own, rows[task], series, styles)
    return (
        style.name_styles(shown, {name: styles[name] for name in series}, linestyle="-")
        if len(series) > 1
        else shown.figure
    )


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


def _rows(errors: Sequence[TaskError]) -> list[str]:
    """Variants where there are any, else arms."""
    return list(dict.fromkeys(map(_row, errors)))


def _row(one: TaskError) -> str:
    return one.arm.variant or one.arm.name


def _by_budget(errors: Sequence[TaskError]) -> list[TaskError]:
    return sorted(errors, key=lambda one: one.budget_s)


def _series(one: TaskError) -> str:
    amount = words.speech(one.budget_s) if one.budget_s else "all speech"
    return f"{one.arm.base}, {amount}" if one.arm.variant else amount


def _series_styles(series: Sequence[str]) -> Mapping[str, ArmStyle]:
    return style.arm_styles(series) if len(series) > 1 else {series[0]: ArmStyle(style.COLOURS[0], "o", "-")}


def _draw_panel(
    axes: Axes, errors: Sequence[TaskError], rows: Sequence[str], series: Sequence[str], styles: Mapping[str, ArmStyle]
) -> None:
    metric = errors[0].metric
    for one in errors:
        name = _series(one)
        shift = 0.0 if len(series) < 2 else 0.6 * (series.index(name) / (len(series) - 1) - 0.5)
        row, look = rows.index(_row(one)) + shift, styles[name]
        ends = [_value(metric, end) for end in (one.error.low, one.error.high)]
        axes.plot(ends, [row, row], color=look.colour, linewidth=1.8, alpha=0.55, solid_capstyle="butt")
        axes.plot(_value(metric, one.error.value), row, marker=look.marker, color=look.colour, zorder=3)
        if len(one.by_seed) > 1:
            seeds = [_value(metric, error) for error in one.by_seed]
            axes.plot(seeds, [row] * len(seeds), ".", color=INK, markersize=3, alpha=0.6)
    axes.set_title(style.shortened(errors[0].task, 30), fontsize=8.5)
    axes.set_xlabel(axis_of_metric(metric))
    style.set_ticks(axes.yaxis, range(len(rows)), [style.shortened(row, 24) for row in rows])
    axes.set_ylim(len(rows) - 0.4, -0.6)
    axes.grid(visible=False, axis="y")
    axes.yaxis.set_tick_params(length=0)


def _value(metric: str, error: float) -> float:
    return float(shown_error(metric, error).replace("−", "-"))


def draw_transfer(entries: Sequence[Tried]) -> Figure:
    """Targets by auxiliaries: colour and number."""
    targets = list(dict.fromkeys(one.language for one in entries))
    helpers = {one.arm.auxiliary for one in entries}
    auxiliaries = [name for name in targets if name in helpers] + sorted(helpers - set(targets))
    width = max(WIDTH, 0.9 + 0.72 * len(auxiliaries))
    figure = Figure(figsize=(width, 0.75 + 0.46 * len(targets)), layout="constrained")
    axes = figure.add_subplot()
    largest = max(abs(one.reduction.value) for one in entries) or 1.0
    for one in entries:
        row, column = targets.index(one.language), auxiliaries.index(one.arm.auxiliary)
        _fill_cell(axes, row, column, one.reduction.value / largest)
        _write_reduction(axes, row, column, one.reduction)
    measured = {(one.language, one.arm.auxiliary) for one in entries}
    for row, target in enumerate(targets):
        for column, auxiliary in enumerate(auxiliaries):
            if (target, auxiliary) not in measured:
                axes.text(column, row, "" if target == auxiliary else "not\nmeasured", ha="center", va="center", size=6)
    _frame(
        axes,
        [style.shortened(name, 16) for name in targets],
        [style.shortened(name, 12) for name in auxiliaries],
    )
    axes.xaxis.tick_top()
    axes.xaxis.set_label_position("top")
    axes.set_xlabel("Auxiliary language", labelpad=6)
    axes.set_ylabel("Target")
    return figure


def _write_reduction(axes: Axes, row: int, column: int, reduction: Estimate) -> None:
    sign = "+" if reduction.value > 0 else ""
    weight = "bold" if reduction.significant else "normal"
    axes.text(column, row - 0.12, sign + percent(reduction.value), ha="center", va="center", weight=weight)
    within = " to ".join(f"{100 * end + 0.0:.0f}".replace("-", "−") for end in (reduction.low, reduction.high))
    axes.text(column, row + 0.22, within, ha="center", va="center", size=6.8)


def draw_conflicts(conflicts: Sequence[Conflict]) -> Figure:
    """A matrix for each arm: tasks by tasks, colour and number."""
    arms = list(dict.fromkeys(one.arm for one in conflicts))
    tasks = list(dict.fromkeys(name for one in conflicts for name in (one.task, one.other)))
    side = 0.5 + 0.42 * len(tasks)
    figure = Figure(figsize=(max(WIDTH, side), (0.4 + side) * len(arms)), layout="constrained")
    for axes, arm in zip(figure.subplots(len(arms), 1, squeeze=False)[:, 0], arms, strict=True):
        for one in conflicts:
            if one.arm == arm:
                row, column = tasks.index(one.task), tasks.index(one.other)
                _fill_cell(axes, row, column, one.cosine)
                text = f"{one.cosine:.2f}".replace("-", "−")
                axes.text(column, row, text, ha="center", va="center", size=7)
        names = [style.shortened(task, 14) for task in tasks]
        _frame(axes, names, names)
        axes.tick_params(axis="x", rotation=35)
        axes.set_title(style.shortened(arm.name, 40), fontsize=8.5)
    return figure


def _fill_cell(axes: Axes, row: int, column: int, value: float) -> None:
    """Colours a cell by a value from -1 to 1, thinly over the paper: ink is readable on it whatever the paper is."""
    left, right, top, bottom = column - _HALF_CELL, column + _HALF_CELL, row - _HALF_CELL, row + _HALF_CELL
    axes.fill(
        [left, right, right, left],
        [top, top, bottom, bottom],
        facecolor=style.BETTER if value >= 0 else style.WORSE,
        alpha=_STRONGEST * min(1.0, abs(value)),
        linewidth=0,
    )


def _frame(axes: Axes, rows: Sequence[str], columns: Sequence[str]) -> None:
    """Room for whole cells, the first row on top, with the names of rows and columns."""
    style.set_ticks(axes.xaxis, range(len(columns)), columns)
    style.set_ticks(axes.yaxis, range(len(rows)), rows)
    axes.set_xlim(-0.5, len(columns) - 0.5)
    axes.set_ylim(len(rows) - 0.5, -0.5)
    axes.tick_params(length=0)
    axes.grid(visible=False)
    axes.spines[:].set_visible(False)
