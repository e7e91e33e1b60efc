"""Plots of comparisons with several tasks: errors by arm, and what the weights did."""

import math
from collections.abc import Mapping, Sequence

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from speech_mtl.scoring.tables import CER, axis_of_metric, shown_error
from speech_mtl.study.report import matrices, style, words
from speech_mtl.study.report.blocks import Plot
from speech_mtl.study.report.style import INK, WIDTH, ArmStyle
from speech_mtl.study.report.words import INTERVAL
from speech_mtl.study.statistics.summary import Summary, TaskCurve, TaskError, one_task_an_arm

TASKS = f"Markers: mean over seeds. Bars: {INTERVAL}. Small dots: each seed. Lower errors and higher shares are better."
WEIGHTS = "Mean weight of each task in the objective since the look before, on a logarithmic axis; first seed."
LOSSES = "Mean training loss of each task since the look before, relative to its first value; first seed."
MOST_PANELS = 6
"""Tasks that the plot of errors shows."""


def make_task_plots(summary: Summary) -> list[Plot]:
    """Those that the summary has figures for; to be called while `style.drawing`."""
    plots = []
    if summary.tasks:
        title = "Error of each task by arm"
        plots.append(style.saved("tasks", title, TASKS, draw_tasks(summary.tasks)))
    if summary.curves:
        if any(max(one.weights) > min(one.weights) for one in summary.curves):
            title = "Weight of each task by update"
            plots.append(style.saved("weights", title, WEIGHTS, draw_curves(summary.curves, weights=True)))
        title = "Training loss of each task by update"
        plots.append(style.saved("losses", title, LOSSES, draw_curves(summary.curves, weights=False)))
    if summary.conflicts:
        title = "Cosines between the tasks' gradients"
        plots.append(style.saved("conflicts", title, matrices.CONFLICTS, matrices.draw_conflicts(summary.conflicts)))
    return plots


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
    columns = min(2, len(panels))
    lines = math.ceil(len(panels) / columns)
    figure = Figure(figsize=(WIDTH, 0.6 + lines * height), layout="constrained")
    places = figure.subplots(lines, columns, sharey=not apart, squeeze=False)
    for axes in places.flat[len(panels) :]:
        axes.set_visible(False)
    for axes, (task, own) in zip(places.flat, panels.items(), strict=False):
        _draw_panel(axes, own, rows[task], series, styles)
    if len(series) > 1:
        for name in series:
            places[0][0].plot([], [], color=styles[name].colour, marker=styles[name].marker, label=name)
        style.legend(figure, places[0][0])
    return figure


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


def draw_curves(curves: Sequence[TaskCurve], weights: bool) -> Figure:
    """A panel for each arm, a line for each task."""
    arms = list(dict.fromkeys(one.arm for one in curves))
    if weights:
        arms = [arm for arm in arms if any(max(c.weights) > min(c.weights) for c in curves if c.arm == arm)]
    tasks = list(dict.fromkeys(one.task for one in curves))
    styles = style.arm_styles(tasks)
    columns = min(2, len(arms))
    lines = math.ceil(len(arms) / columns)
    figure = Figure(figsize=(WIDTH, 0.5 + 1.5 * lines), layout="constrained")
    panels = figure.subplots(lines, columns, sharex=True, sharey=True, squeeze=False)
    values: list[float] = []
    for place, axes in enumerate(panels.flat):
        if place >= len(arms):
            axes.set_visible(False)
            continue
        for one in (curve for curve in curves if curve.arm == arms[place]):
            updates, shown = _shown(one, weights)
            values += shown
            look = styles[one.task]
            axes.plot(updates, shown, color=look.colour, linestyle=look.line)
        axes.set_title(style.shortened(arms[place].name, 30), fontsize=8.5)
    low, high = min(values), max(values)
    for axes in panels.flat:
        axes.set_yscale("log")
    style.set_ticks(panels[0][0].yaxis, style.log_ticks(low / 1.05, high * 1.05))
    panels[0][0].set_ylim(low / 1.1, high * 1.1)
    for task in tasks:
        look = styles[task]
        panels[0][0].plot([], [], color=look.colour, linestyle=look.line, label=style.shortened(task, 20))
    figure.supxlabel("Update", fontsize=8.5)
    style.legend(figure, panels[0][0])
    return figure


def _shown(curve: TaskCurve, weights: bool) -> tuple[list[int], list[float]]:
    if weights:
        pairs = [(update, max(weight, 1e-3)) for update, weight in zip(curve.updates, curve.weights, strict=True)]
    else:
        known = [(u, loss) for u, loss in zip(curve.updates, curve.losses, strict=True) if loss is not None]
        pairs = [(u, max(loss, 1e-6) / max(known[0][1], 1e-6)) for u, loss in known]
    return [update for update, _ in pairs], [value for _, value in pairs]
