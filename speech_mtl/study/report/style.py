"""Style of plots: colours, markers and lines of arms, ticks, and reproducible files."""

import math
import re
import zlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from io import BytesIO
from itertools import count
from typing import Any, Literal, NamedTuple

import matplotlib
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.text import Text
from matplotlib.ticker import FixedFormatter, FixedLocator, MaxNLocator, NullLocator

from speech_mtl.errors import printable
from speech_mtl.study.report.blocks import Plot
from speech_mtl.study.statistics.rows import REFERENCE_ARM

INK, PAPER = "#1b1f24", "#fffffe"
"""Text and background. A page puts its own in their place, so nothing else may have these colours."""

WIDTH = 5.2
"""Width of a plot in inches: narrow, so that its text is legible on a phone."""

LONGEST_NAME = 46
"""Letters of an arm's name that a plot shows."""

LONGEST_LINE = 80
"""Letters of any line of text in a plot."""

# Okabe and Ito's colours for the colour-blind, the light ones darkened until all stand out on white and on black.
COLOURS = ("#0072b2", "#d55e00", "#009e73", "#c0689a", "#a87b00", "#3d93cf", "#8a7fd6")
COLOURS_IN_THE_DARK = ("#3b9ddd", "#f07a3a", "#2bb98f", "#d98cb8", "#e6a700", "#8fd0f5", "#a99ff0")
"""Replacement of each colour on a dark page."""

BETTER, WORSE = COLOURS[:2]
"""Ends of the diverging scale: blue and vermilion are told apart by everyone."""

_MARKERS = ("s", "^", "D", "v", "P", "X", "<", ">", "p")
_LINES = ("-", "--", "-.", (0, (1, 1)), (0, (4, 1, 1, 1, 1, 1)))
_FIRST = ("pretrain_finetune", "joint", "joint_finetune")

_SETTINGS: dict[Any, Any] = {
    "svg.fonttype": "none",  # text stays text: it can be searched, and takes the page's font
    "svg.hashsalt": "speech_mtl",
    "text.parse_math": False,  # a `$` in a name is a `$`
    "font.family": "sans-serif",
    "font.sans-serif": ["DejaVu Sans"],
    "font.size": 8.5,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.linewidth": 0.7,
    "axes.grid": True,
    "axes.axisbelow": True,
    "grid.color": INK,
    "grid.alpha": 0.13,
    "grid.linewidth": 0.6,
    "legend.frameon": False,
    "legend.fontsize": 8.5,
    "lines.linewidth": 1.6,
    "lines.markersize": 5,
    "figure.facecolor": PAPER,
    "axes.facecolor": "none",
    "savefig.facecolor": PAPER,
    **dict.fromkeys(("text.color", "axes.labelcolor", "axes.edgecolor", "xtick.color", "ytick.color"), INK),
}


class ArmStyle(NamedTuple):
    """How an arm is drawn everywhere."""

    colour: str
    marker: str
    line: str | tuple

    def drawn(self, **changes: Any) -> dict[str, Any]:
        """The style as arguments of Matplotlib."""
        return {"color": self.colour, "linestyle": self.line, "marker": self.marker, **changes}


def arm_styles(arms: Iterable[str]) -> dict[str, ArmStyle]:
    """A style for each arm, all different; the same name has the same style in every report that has room for it."""
    names = sorted(set(arms), key=lambda name: (name not in _FIRST, name))
    styles: dict[str, ArmStyle] = {}
    taken: set[int] = set()
    for name in names:
        if name == REFERENCE_ARM.name:
            styles[name] = ArmStyle(INK, "o", "-")
            continue
        wish = _FIRST.index(name) if name in _FIRST else zlib.crc32(name.encode(errors="surrogatepass"))
        place = next(place for place in _places(wish) if place not in taken)
        taken.add(place)
        styles[name] = ArmStyle(
            COLOURS[place % len(COLOURS)], _MARKERS[place % len(_MARKERS)], _LINES[place % len(_LINES)]
        )
    return styles


def _places(wish: int) -> Iterator[int]:
    """Each colour once before any is used again."""
    for lap in count():
        for step in range(len(COLOURS)):
            yield lap * len(COLOURS) + (wish + step) % len(COLOURS)


@contextmanager
def drawing() -> Iterator[None]:
    """Context in which plots have our style, independent of the machine's settings."""
    with matplotlib.rc_context():
        matplotlib.rcdefaults()
        matplotlib.rcParams.update(_SETTINGS)
        yield


def saved(name: str, title: str, caption: str, figure: Figure) -> Plot:
    """A drawn figure in all the forms that a report needs, without dates and versions: they change when the plot does.

    Its texts lose control characters: XML has none.
    """
    for text in figure.findobj(Text):
        text.set_text(shown(text.get_text()))
    svg, png = BytesIO(), BytesIO()
    figure.savefig(svg, format="svg", metadata=dict.fromkeys(("Date", "Creator", "Format", "Type")))
    figure.savefig(png, format="png", dpi=200, metadata={"Software": None})
    text = re.sub(r"[ \t]+$", "", svg.getvalue().decode(), flags=re.MULTILINE)
    return Plot(name, printable(title), caption, text, png.getvalue())


def shown(text: str, longest: int = LONGEST_LINE) -> str:
    """A text of a plot, which may hold names of any length and letters: no control characters, no endless line."""
    return "\n".join(shortened(line, longest) for line in printable(text).split("\n"))


def shortened(name: str, longest: int = LONGEST_NAME) -> str:
    """A name that fits, with both its ends: long names often differ in their last letters only."""
    half = (longest - 1) // 2
    return name if len(name) <= longest else f"{name[:half]}…{name[-half:]}"


def name_styles(figure: Figure, styles: Mapping[str, ArmStyle], **changes: Any) -> Figure:
    """Names styles above the plot, in as many columns as fit; the figure grows by their rows."""
    handles = [Line2D([], [], **style.drawn(**changes)) for style in styles.values()]
    labels = [shown(shortened(name)) for name in styles]
    num_columns = next(number for number in range(len(labels), 0, -1) if number == 1 or _width(labels, number) <= 74)
    width, height = figure.get_size_inches()
    figure.set_size_inches(width, height + 0.165 * math.ceil(len(labels) / num_columns))
    figure.legend(handles, labels, loc="outside upper left", ncols=num_columns, handlelength=3.2, columnspacing=1.4)
    return figure


def _width(labels: Sequence[str], num_columns: int) -> int:
    """Width of a legend in letters; a legend is filled column by column."""
    height = math.ceil(len(labels) / num_columns)
    return sum(8 + max(map(len, labels[start : start + height])) for start in range(0, len(labels), height))


def set_ticks(axis, values: Sequence[float], labels: Sequence[str] | None = None) -> None:
    """Ticks at these values and nowhere else."""
    axis.set_major_locator(FixedLocator(list(values)))
    texts = labels or [f"{value:.3g}".replace("-", "−") for value in values]
    axis.set_major_formatter(FixedFormatter([shown(text, LONGEST_NAME) for text in texts]))
    axis.set_minor_locator(NullLocator())


def log_ticks(low: float, high: float) -> list[float]:
    """At least three round numbers between the ends of a logarithmic axis, but not many more."""
    decades = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
    for digits in ((1,), (1, 3), (1, 2, 5), (1, 1.5, 2, 3, 5, 7)):
        ticks = [digit * 10.0**decade for decade in decades for digit in digits]
        ticks = [tick for tick in ticks if low <= tick <= high]
        if len(ticks) >= 3:
            return ticks
    return [float(tick) for tick in MaxNLocator(5).tick_values(low, high) if low <= tick <= high]


def scale_errors(axes: Axes, direction: Literal["x", "y"], errors: Sequence[float]) -> None:
    """An axis of character error rates in percent; logarithmic where they span more than a factor of three."""
    low, high, name = 100 * min(errors), 100 * max(errors), "Character error rate, %"
    if low > 0 and high / low > 3:
        low, high, name = low / 1.1, high * 1.1, name + " (logarithmic)"
        axes.set(**{f"{direction}scale": "log"})
        set_ticks(axes.yaxis if direction == "y" else axes.xaxis, log_ticks(low, high))
    else:
        low, high = 0.0, max(high * 1.08, 1e-6)
    axes.set(**{f"{direction}lim": (low, high), f"{direction}label": name})


def name_rows(axes: Axes, rows: Mapping[float, str], last: float) -> None:
    """Names rows at their places from the top downwards, and gives them no lines."""
    set_ticks(axes.yaxis, list(rows), list(rows.values()))
    axes.set_ylim(last + 0.6, -0.6)
    axes.grid(visible=False, axis="y")
    axes.yaxis.set_tick_params(length=0)


def apart(values: Sequence[float]) -> list[float]:
    """Selects positive values whose labels do not overlap on a logarithmic axis."""
    if len(values) < 2:
        return list(values)
    gap = 0.07 * math.log(max(values) / min(values))
    kept: list[float] = []
    for value in sorted(values):
        if not kept or math.log(value / kept[-1]) >= gap:
            kept.append(value)
    return kept


def panels(
    titles: Sequence[str], height: float, head: float = 0.5, most_columns: int = 2, **shared: Any
) -> tuple[Figure, list[Axes]]:
    """A figure of panels with titles, each so many inches high; `head` is what stands above and below all."""
    columns = min(most_columns, len(titles))
    rows = math.ceil(len(titles) / columns)
    figure = Figure(figsize=(WIDTH, head + height * rows), layout="constrained")
    places = list(figure.subplots(rows, columns, squeeze=False, **shared).flat)
    for axes in places[len(titles) :]:
        axes.set_visible(False)
    for axes, title in zip(places, titles, strict=False):
        axes.set_title(title, fontsize=8.5)
    return figure, places[: len(titles)]
