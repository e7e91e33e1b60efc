"""What every matrix of coloured cells has: from better to worse by colour, names on both sides, no lines."""

from collections.abc import Sequence

from matplotlib.axes import Axes

from speech_mtl.reporting import style

_HALF_CELL = 0.47
_STRONGEST = 0.6


def fill_cell(axes: Axes, row: int, column: int, value: float) -> None:
    """Colours a cell by a value from -1 to 1, thinly over the paper: ink is readable on it whatever the paper is."""
    left, right, top, bottom = column - _HALF_CELL, column + _HALF_CELL, row - _HALF_CELL, row + _HALF_CELL
    axes.fill(
        [left, right, right, left],
        [top, top, bottom, bottom],
        facecolor=style.BETTER if value >= 0 else style.WORSE,
        alpha=_STRONGEST * min(1.0, abs(value)),
        linewidth=0,
    )


def frame(axes: Axes, rows: Sequence[str], columns: Sequence[str]) -> None:
    """Room for whole cells, the first row on top, with the names of rows and columns."""
    style.set_ticks(axes.xaxis, range(len(columns)), columns)
    style.set_ticks(axes.yaxis, range(len(rows)), rows)
    axes.set_xlim(-0.5, len(columns) - 0.5)
    axes.set_ylim(len(rows) - 0.5, -0.5)
    axes.tick_params(length=0)
    axes.grid(visible=False)
    axes.spines[:].set_visible(False)
