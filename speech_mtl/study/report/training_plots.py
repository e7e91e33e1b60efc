"""Plots of how the runs of a comparison were trained: errors, losses and weights by update, worth of pretraining."""

from collections.abc import Callable, Mapping, Sequence
from statistics import fmean

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from speech_mtl.study.report import style, words
from speech_mtl.study.report.blocks import Plot
from speech_mtl.study.report.style import COLOURS, PAPER, ArmStyle, Panels
from speech_mtl.study.statistics.rows import REFERENCE_ARM
from speech_mtl.study.statistics.summary import Summary
from speech_mtl.study.statistics.training import AfterPretraining, LearningCurve, TaskCurve

LINES = (
    "A line for each seed. Marker: the weights that were taken; hollow where early stopping did not end the run, whose"
    " error might still have been falling."
)
LEARNING = f"{LINES} Runs that go on from one with the target begin after its updates."
AFTER = (
    "A marker for each model: its test error in the target against the validation error of the pretraining that it"
    " comes from, which is that of the pretraining's own languages."
)
WEIGHTS = "Mean weight of each task in the objective since the validation before, on a logarithmic axis; first seed."
LOSSES = "Mean training loss of each task since the validation before, relative to its first value; first seed."
MOST_PANELS = 6
MOST_SERIES = len(COLOURS)
"""Lines of more would not be told apart."""


def make_plots(summary: Summary) -> list[Plot]:
    """Those that the summary has figures for; to be called while `style.drawing`."""
    plots: list[Plot] = []
    if curves := summary.training.curves:
        if weighted := [one for one in curves if max(one.weights) > min(one.weights)]:
            arms = {one.arm for one in weighted}
            figure = draw_curves([one for one in curves if one.arm in arms], weights=True)
            plots.append(style.saved("weights", "Weight of each task by update", WEIGHTS, figure))
        title = "Training loss of each task by update"
        plots.append(style.saved("losses", title, LOSSES, draw_curves(curves, weights=False)))
    own = [one for one in summary.training.learning if one.budget_s is not None]
    if own:
        panels = sorted({_panel(one) for one in own})[:MOST_PANELS]
        left = len({_panel(one) for one in own}) - len(panels)
        caption = LEARNING + (f" {left} further panels are left out." if left else "")
        shown, told = _lowest([one for one in own if _panel(one) in panels], _arm_name)
        plots.append(style.saved("learning-curves", "Validation error by update", caption + told, draw_learning(shown)))
    if pretrained := [one for one in summary.training.learning if one.budget_s is None]:
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
    shown = _grid(len(panels), "Updates with the target")
    styles = style.arm_styles(map(_arm_name, curves))
    for axes, (budget_s, of) in zip(shown.axes, panels, strict=True):
        for one in curves:
            if _panel(one) == (budget_s, of):
                _draw_curve(axes, one, styles[_arm_name(one)])
        axes.set_title(words.speech(budget_s) + ("" if one_language else f", {style.shortened(of, 24)}"), fontsize=8.5)
    return _finished(shown, [error for one in curves for error in one.errors], styles)


def draw_pretraining(curves: Sequence[LearningCurve]) -> Figure:
    """One panel, a colour for each kind of run."""
    shown = _grid(1, "Updates")
    styles = style.arm_styles(map(_kind, curves))
    for one in curves:
        _draw_curve(shown.axes[0], one, styles[_kind(one)])
    return _finished(shown, [error for one in curves for error in one.errors], styles)


def draw_after_pretraining(points: Sequence[AfterPretraining]) -> Figure:
    """A panel for each amount of speech, a colour for each arm whatever its variant."""
    budgets_s = sorted({one.budget_s for one in points})
    shown = _grid(len(budgets_s), "Validation error of pretraining, %")
    styles = {name: look._replace(line="") for name, look in style.arm_styles(o.arm.base.name for o in points).items()}
    for axes, budget_s in zip(shown.axes, budgets_s, strict=True):
        for one in points:
            if one.budget_s == budget_s:
                look = styles[one.arm.base.name]
                axes.plot(100 * one.pretraining, 100 * one.cer, color=look.colour, marker=look.marker)
        axes.set_title(words.speech(budget_s), fontsize=8.5)
    return _finished(shown, [one.cer for one in points], styles)


def _grid(num_panels: int, across: str) -> Panels:
    shown = style.panels(num_panels, 1.7 if num_panels > 2 else 2.4, sharex=True, sharey=True)
    shown.figure.supxlabel(across, fontsize=8.5)
    return shown


def _draw_curve(axes: Axes, one: LearningCurve, look: ArmStyle) -> None:
    updates, errors = [one.first + update for update in one.updates], [100 * error for error in one.errors]
    axes.plot(updates, errors, color=look.colour, linestyle=look.line, linewidth=1, alpha=0.75)
    inside = look.colour if one.stopped else PAPER
    place = one.first + one.best, 100 * one.error
    axes.plot(*place, color=look.colour, marker=look.marker, markerfacecolor=inside, zorder=3, clip_on=False)


def _finished(shown: Panels, errors: Sequence[float], styles: Mapping[str, ArmStyle]) -> Figure:
    """With one scale of errors for all panels, and names."""
    for axes in shown.axes:
        style.scale_errors(axes, "y", [100 * error for error in errors])
    shown.figure.supylabel(shown.axes[0].get_ylabel(), fontsize=8.5)
    for axes in shown.axes:
        axes.set_ylabel("")
    return style.name_styles(shown, styles)


def draw_curves(curves: Sequence[TaskCurve], weights: bool) -> Figure:
    """A panel for each arm, a line for each task."""
    arms = list(dict.fromkeys(one.arm for one in curves))
    styles = style.arm_styles(one.task for one in curves)
    grid = style.panels(len(arms), 1.5, sharex=True, sharey=True)
    values: list[float] = []
    for axes, arm in zip(grid.axes, arms, strict=True):
        for one in (curve for curve in curves if curve.arm == arm):
            updates, shown = _shown(one, weights)
            values += shown
            axes.plot(updates, shown, color=styles[one.task].colour, linestyle=styles[one.task].line)
        axes.set_title(style.shortened(arm.name, 30), fontsize=8.5)
        axes.set_yscale("log")
    low, high = min(values), max(values)
    style.set_ticks(grid.axes[0].yaxis, style.log_ticks(low / 1.05, high * 1.05))
    grid.axes[0].set_ylim(low / 1.1, high * 1.1)
    grid.figure.supxlabel("Update", fontsize=8.5)
    return style.name_styles(grid, styles, marker="")


def _shown(curve: TaskCurve, weights: bool) -> tuple[list[int], list[float]]:
    if weights:
        pairs = [(update, max(weight, 1e-3)) for update, weight in zip(curve.updates, curve.weights, strict=True)]
    else:
        known = [(u, loss) for u, loss in zip(curve.updates, curve.losses, strict=True) if loss is not None]
        pairs = [(u, max(loss, 1e-6) / max(known[0][1], 1e-6)) for u, loss in known]
    return [update for update, _ in pairs], [value for _, value in pairs]
