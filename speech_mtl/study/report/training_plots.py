"""Plots of the training of runs: errors, losses and loss weights by update."""

from collections.abc import Callable, Iterator, Sequence
from statistics import fmean

from matplotlib.figure import Figure

from speech_mtl.study.report import style, words
from speech_mtl.study.report.blocks import Plot
from speech_mtl.study.report.style import COLOURS, PAPER
from speech_mtl.study.statistics.rows import REFERENCE_ARM
from speech_mtl.study.statistics.summary import Summary
from speech_mtl.study.statistics.training import LearningCurve, TaskCurve

LINES = (
    "A line for each seed. Marker: the weights that were taken; hollow where early stopping did not end the run, whose"
    " error might still have been falling."
)
LEARNING = f"{LINES} Runs that are initialised from one with the target begin after its updates."
WEIGHTS = "Mean weight of each task in the objective since the validation before, on a logarithmic axis; first seed."
LOSSES = "Mean training loss of each task since the validation before, relative to its first value; first seed."
MOST_PANELS = 6
MOST_SERIES = len(COLOURS)
"""Most lines that can be distinguished."""


def make_plots(summary: Summary) -> Iterator[Plot]:
    """Those that the summary has data for; to be called while `style.drawing`."""
    if curves := summary.training.curves:
        if weighted := [one for one in curves if max(one.weights) > min(one.weights)]:
            arms = {one.arm for one in weighted}
            figure = draw_curves([one for one in curves if one.arm in arms], weights=True)
            yield style.saved("weights", "Weight of each task by update", WEIGHTS, figure)
        yield style.saved("losses", "Training loss of each task by update", LOSSES, draw_curves(curves, weights=False))
    if own := [one for one in summary.training.learning if one.budget_s is not None]:
        every = sorted({_panel(one) for one in own})
        panels = every[:MOST_PANELS]
        left = f" {len(every) - len(panels)} further panels are left out." if len(every) > len(panels) else ""
        shown, told = _lowest([one for one in own if _panel(one) in panels], _arm_name)
        yield style.saved("learning-curves", "Validation error by update", LEARNING + left + told, draw_learning(shown))
    if pretrained := [one for one in summary.training.learning if one.budget_s is None]:
        shown, told = _lowest(pretrained, _kind)
        title = "Validation error by update of runs without the target"
        yield style.saved("pretraining", title, LINES + told, draw_pretraining(shown))


def _panel(one: LearningCurve) -> tuple[float, str]:
    """Amount of speech, and whose error it is."""
    return one.budget_s or 0.0, one.of


def _arm_name(one: LearningCurve) -> str:
    return one.arm.name


def _kind(one: LearningCurve) -> str:
    """Kind of pretraining: the name of the run without its seed."""
    return f"{one.run.replace(f'-seed{one.seed}', '', 1)}: {one.of}"


def _lowest(curves: Sequence[LearningCurve], series: Callable[[LearningCurve], str]) -> tuple[list[LearningCurve], str]:
    """The curves of not too many series: alone, and those with the lowest errors; and a note on it."""
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
    titles = [words.speech(b) + ("" if one_language else f", {style.shortened(of, 24)}") for b, of in panels]
    return _draw_runs([[one for one in curves if _panel(one) == own] for own in panels], titles, _arm_name)


def draw_pretraining(curves: Sequence[LearningCurve]) -> Figure:
    """One panel, a colour for each kind of run."""
    return _draw_runs([curves], [""], _kind, "Updates")


def _draw_runs(
    panels: Sequence[Sequence[LearningCurve]],
    titles: Sequence[str],
    series: Callable[[LearningCurve], str],
    across: str = "Updates with the target",
) -> Figure:
    figure, places = style.panels(titles, 1.7 if len(titles) > 2 else 2.4, sharex=True, sharey=True)
    figure.supxlabel(across, fontsize=8.5)
    styles = style.arm_styles(series(one) for own in panels for one in own)
    for axes, own in zip(places, panels, strict=True):
        for one in own:
            arm_style = styles[series(one)]
            updates, errors = [one.first + update for update in one.updates], [100 * error for error in one.errors]
            axes.plot(updates, errors, color=arm_style.colour, linestyle=arm_style.line, linewidth=1, alpha=0.75)
            inside = arm_style.colour if one.stopped else PAPER
            place = one.first + one.best, 100 * one.error
            axes.plot(
                *place, color=arm_style.colour, marker=arm_style.marker, markerfacecolor=inside, zorder=3, clip_on=False
            )
    every = [error for own in panels for one in own for error in one.errors]
    for axes in places:
        style.scale_errors(axes, "y", every)
        figure.supylabel(axes.get_ylabel(), fontsize=8.5)
        axes.set_ylabel("")
    return style.name_styles(figure, styles)


def draw_curves(curves: Sequence[TaskCurve], weights: bool) -> Figure:
    """A panel for each arm, a line for each task."""
    arms = list(dict.fromkeys(one.arm for one in curves))
    styles = style.arm_styles(one.task for one in curves)
    figure, panels = style.panels([style.shortened(arm.name, 30) for arm in arms], 1.5, sharex=True, sharey=True)
    values: list[float] = []
    for axes, arm in zip(panels, arms, strict=True):
        for one in (curve for curve in curves if curve.arm == arm):
            updates, shown = _shown(one, weights)
            values += shown
            axes.plot(updates, shown, color=styles[one.task].colour, linestyle=styles[one.task].line)
        axes.set_yscale("log")
    low, high = min(values), max(values)
    style.set_ticks(panels[0].yaxis, style.log_ticks(low / 1.05, high * 1.05))
    panels[0].set_ylim(low / 1.1, high * 1.1)
    figure.supxlabel("Update", fontsize=8.5)
    return style.name_styles(figure, styles, marker="")


def _shown(curve: TaskCurve, weights: bool) -> tuple[list[int], list[float]]:
    if weights:
        return curve.updates, [max(weight, 1e-3) for weight in curve.weights]
    known = {u: max(loss, 1e-6) for u, loss in zip(curve.updates, curve.losses, strict=True) if loss is not None}
    first = next(iter(known.values()), 1.0)
    return list(known), [loss / first for loss in known.values()]
