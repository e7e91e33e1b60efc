"""Plots that are matrices of coloured cells: transfer between languages, conflicts of gradients."""

from collections.abc import Sequence

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from speech_mtl.scoring.tables import percent
from speech_mtl.study.report import style
from speech_mtl.study.report.style import WIDTH
from speech_mtl.study.report.words import INTERVAL
from speech_mtl.study.statistics.summary import Conflict, Estimate, TransferEntry

TRANSFER = (
    "By how many percent each auxiliary language lowers the character error rate of each target; below it the"
    f" {INTERVAL}. Blue and plus: fewer errors. Orange and minus: more errors. Bold: the whole interval is on one side"
    " of zero."
)
CONFLICTS = (
    "Mean cosine over training between the tasks' gradients in the encoder. Blue: they pull the same way. Orange: they"
    " conflict."
)

_HALF_CELL = 0.47
_STRONGEST = 0.6


def draw_transfer(entries: Sequence[TransferEntry]) -> Figure:
    """Targets by auxiliaries: colour and number."""
    targets = list(dict.fromkeys(one.target for one in entries))
    helpers = {one.auxiliary for one in entries}
    auxiliaries = [name for name in targets if name in helpers] + sorted(helpers - set(targets))
    width = max(WIDTH, 0.9 + 0.72 * len(auxiliaries))
    figure = Figure(figsize=(width, 0.75 + 0.46 * len(targets)), layout="constrained")
    axes = figure.add_subplot()
    largest = max(abs(one.reduction.value) for one in entries) or 1.0
    for one in entries:
        row, column = targets.index(one.target), auxiliaries.index(one.auxiliary)
        _fill_cell(axes, row, column, one.reduction.value / largest)
        _write_reduction(axes, row, column, one.reduction)
    measured = {(one.target, one.auxiliary) for one in entries}
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
    certain = reduction.low > 0 or reduction.high < 0
    weight = "bold" if certain else "normal"
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
