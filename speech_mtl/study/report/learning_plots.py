"""Plots of how the runs of a comparison were trained: errors by update, and what pretraining was worth."""

import math
from collections.abc import Callable, Mapping, Sequence
from statistics import fmean

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from speech_mtl.study.report import style, words
from speech_mtl.study.report.blocks import Plot
from speech_mtl.study.report.style import COLOURS, PAPER, WIDTH, ArmStyle
from speech_mtl.study.statistics.rows import REFERENCE_ARM
from speech_mtl.study.statistics.summary import AfterPretraining, LearningCurve, Summary

LINES = (
    "A line for each seed. Marker: the weights that were taken; hollow where early stopping did not end the run, whose"
    " error might still have been falling."
)
LEARNING = f"{LINES} Runs that go on from one with the target begin after its updates."
AFTER = (
    "A marker for each model: its test error in the target against the validation error of the pretraining that it"
    " comes from, which is that of the pretraining's own languages."
)
MOST_PANELS = 6
MOST_SERIES = len(COLOURS)
"""Lines of more would not be told apart."""


def make_learning_plots(summary: Summary) -> list[Plot]:
    """Those that the summary has figures for; to be called while `style.drawing`."""
    plots, own = [], [one for one in summary.learning if one.budget_s is not None]
    if own:
        panels = sorted({_panel(one) for one in own})[:MOST_PANELS]
        left = len({_panel(one) for one in own}) - len(panels)
        caption = LEARNING + (f" {left} further panels are left out." if left else "")
        shown, told = _lowest([one for one in own if _panel(one) in panels], _arm_name)
        plots.append(style.saved("learning-curves", "Validation error by update", caption + told, draw_learning(shown)))
    if pretrained := [one for one in summary.learning if one.budget_s is None]:
        shown, told = _lowest(pretrained, _kind)
        title = "Validation error by update of runs without the target"
        plots.append(style.saved("pretraining", title, LINES + told, draw_pretraining(shown)))
    if len({one.pretraining for one in summary.after_pretraining}) >= 3:
        title = f"Error of {summary.language} against the validation error of pretraining"
        plots.append(style.saved("after-pretraining", title, AFTER, draw_after_pretraining(summary.after_pretraining)))
    return plots


def _panel(one: LearningCurve) -> tuple[float, str]:
    """Amount of speech, and whose error it is."""
    return one.budget_s or 0.0, one.of


def _arm_name(one: LearningCurve) -> str:
    return one.arm.name


def _kind(one: LearningCurve) -> str:
    """Of pretraining: as the run is called, without its seed."""
    return f"{one.run.replace(f'-seed{one.seed}', '', 1)}: {one.of}"


def _lowest(curves: Sequence[LearningCurve], series: Callable[[LearningCurve], str]) -> tuple[list[LearningCurve], str]:
    """The curves of not too many series: alone, and those that reach the lowest errors; and what to say of that."""
    reached: dict[str, list[float]] = {}
    for one in curves:
        reached.setdefault(series(one), []).append(one.error)
    kept = sorted(reached, key=lambda name: (name != REFERENCE_ARM.name, fmean(reached[name])))[:MOST_SERIES]
    told = f" Of {len(reached)}, the {len(kept)} with the lowest errors are shown." if len(kept) < len(reached) else ""
    return [one for one in curves if series(one) in kept], told


def draw_learning(curves: Sequence[LearningCurve]) -> Figure:
    """A panel for each amount of speech and each language whose error it is, a colour for each arm."""
    panels = sorted({_panel(one) for one in curves})
    one_language = len({of for _, of in panels}) == 1
    figure, places = _grid(len(panels), "Updates with the target")
    styles = style.arm_styles(map(_arm_name, curves))
    for axes, (budget_s, of) in zip(places, panels, strict=True):
        for one in curves:
            if _panel(one) == (budget_s, of):
                _draw_curve(axes, one, styles[_arm_name(one)])
        axes.set_title(words.speech(budget_s) + ("" if one_language else f", {style.shortened(of, 24)}"), fontsize=8.5)
    return _finished(figure, places, [error for one in curves for error in one.errors], styles)


def draw_pretraining(curves: Sequence[LearningCurve]) -> Figure:
    """One panel, a colour for each kind of run."""
    figure, places = _grid(1, "Updates")
    styles = style.arm_styles(map(_kind, curves))
    for one in curves:
        _draw_curve(places[0], one, styles[_kind(one)])
    return _finished(figure, places, [error for one in curves for error in one.errors], styles)


def draw_after_pretraining(points: Sequence[AfterPretraining]) -> Figure:
    """A panel for each amount of speech, a colour for each arm whatever its variant."""
    budgets_s = sorted({one.budget_s for one in points})
    figure, places = _grid(len(budgets_s), "Validation error of pretraining, %")
    styles = {name: look._replace(line="") for name, look in style.arm_styles(o.arm.base.name for o in points).items()}
    for axes, budget_s in zip(places, budgets_s, strict=True):
        for one in points:
            if one.budget_s == budget_s:
                look = styles[one.arm.base.name]
                axes.plot(100 * one.pretraining, 100 * one.cer, color=look.colour, marker=look.marker)
        axes.set_title(words.speech(budget_s), fontsize=8.5)
    return _finished(figure, places, [one.cer for one in points], styles)


def _grid(num_panels: int, across: str) -> tuple[Figure, list[Axes]]:
    columns = min(2, num_panels)
    lines = math.ceil(num_panels / columns)
    figure = Figure(figsize=(WIDTH, 0.5 + (1.7 if lines > 1 else 2.4) * lines), layout="constrained")
    places = figure.subplots(lines, columns, sharex=True, sharey=True, squeeze=False)
    for axes in places.flat[num_panels:]:
        axes.set_visible(False)
    figure.supxlabel(across, fontsize=8.5)
    return figure, list(places.flat[:num_panels])


def _draw_curve(axes: Axes, one: LearningCurve, look: ArmStyle) -> None:
    updates, errors = [one.first + update for update in one.updates], [100 * error for error in one.errors]
    axes.plot(updates, errors, color=look.colour, linestyle=look.line, linewidth=1, alpha=0.75)
    inside = look.colour if one.stopped else PAPER
    place = one.first + one.best, 100 * one.error
    axes.plot(*place, color=look.colour, marker=look.marker, markerfacecolor=inside, zorder=3, clip_on=False)


def _finished(
    figure: Figure, places: Sequence[Axes], errors: Sequence[float], styles: Mapping[str, ArmStyle]
) -> Figure:
    """With one scale of errors for all panels, and names."""
    for axes in places:
        style.scale_errors(axes, "y", [100 * error for error in errors])
    figure.supylabel(places[0].get_ylabel(), fontsize=8.5)
    for axes in places:
        axes.set_ylabel("")
    for name, look in styles.items():
        drawn = {"color": look.colour, "linestyle": look.line, "marker": look.marker}
        places[0].plot([], [], label=style.shortened(name), **drawn)
    style.legend(figure, places[0])
    return figure
