"""Plots of how runs were trained."""

import xml.etree.ElementTree as ElementTree
from dataclasses import replace
from typing import Any

import pytest
from matplotlib.axes import Axes
from matplotlib.colors import to_hex

from speech_mtl.study.report.blocks import Plot, Table
from speech_mtl.study.report.content import make_report
from speech_mtl.study.report.plots import make_plots
from speech_mtl.study.report.style import PAPER
from speech_mtl.study.report.training_plots import MOST_PANELS, MOST_SERIES, draw_learning
from speech_mtl.study.statistics.rows import Arm
from speech_mtl.study.statistics.summary import Summary
from speech_mtl.study.statistics.training import Effort, LearningCurve, Training

SVG = "{http://www.w3.org/2000/svg}"


def curve(arm: str, budget_s: float | None = 600.0, seed: int = 0, low: float = 0.1, **changes: Any) -> LearningCurve:
    name = f"{'pretrain' if budget_s is None else arm}-seed{seed}"
    of = "mean of de and en" if budget_s is None else "zh-CN"
    made = LearningCurve(name, Arm(arm), budget_s, seed, of, 0, [100, 200, 300], [1.0, 2 * low, low], 300, True)
    return replace(made, **changes)


CURVES = [curve(arm, budget_s, seed) for arm in ("alone", "joint") for budget_s in (600.0, None) for seed in (0, 1)]


def texts(plot: Plot) -> list[str]:
    return ["".join(element.itertext()) for element in ElementTree.fromstring(plot.svg).iter(SVG + "text")]


def lines(axes: Axes) -> list:
    return [line for line in axes.lines if len(line.get_xdata()) > 1]  # type: ignore[arg-type]


def markers(axes: Axes) -> list:
    return [line for line in axes.lines if len(line.get_xdata()) == 1]  # type: ignore[arg-type]


def test_there_is_a_plot_for_all_there_is(bare_summary: Summary):
    whole = replace(bare_summary, training=Training(learning=CURVES))
    plots = make_plots(whole)
    assert list(plots) == ["data-efficiency", "learning-curves", "pretraining"]
    assert {"alone", "joint", "10 min"} <= set(texts(plots["learning-curves"]))
    assert "pretrain: mean of de and en" in texts(plots["pretraining"])
    (section,) = [one for one in make_report(whole, plots).sections if one.title == "Learning curves"]
    assert list(section.blocks) == list(plots.values())[1:]
    assert make_plots(whole) == plots
    assert list(make_plots(bare_summary)) == ["data-efficiency"]
    without = make_report(bare_summary, make_plots(bare_summary))
    assert "Learning curves" not in {section.title for section in without.sections}


def test_every_validation_is_there_and_a_run_that_was_not_stopped_is_hollow():
    second = curve("joint_finetune", first=300, stopped=False, best=200)
    (axes,) = draw_learning([curve("alone"), second]).axes
    assert [(list(line.get_xdata()), list(line.get_ydata())) for line in lines(axes)] == [
        ([100, 200, 300], [100.0, 20.0, 10.0]),
        ([400, 500, 600], [100.0, 20.0, 10.0]),
    ]
    stopped, hollow = markers(axes)
    assert [list(one.get_xydata()[0]) for one in (stopped, hollow)] == [[300, 10], [500, 20]]
    assert to_hex(hollow.get_markerfacecolor()) == PAPER != to_hex(stopped.get_markerfacecolor())
    assert axes.get_yscale() == "log"


def test_panels_are_of_one_amount_and_one_error_each():
    curves = [curve("alone", 1200.0), curve("alone", 600.0), curve("joint", 600.0, of="de")]
    found = [(axes.get_title(), len(lines(axes))) for axes in draw_learning(curves).axes if axes.get_visible()]
    assert found == [("10 min, de", 1), ("10 min, zh-CN", 1), ("20 min, zh-CN", 1)]


def test_of_many_arms_and_panels_the_best_are_shown_and_words_say_so(bare_summary: Summary):
    many = [curve(f"arm_{number}", low=0.2 + number / 100) for number in range(MOST_SERIES + 3)]
    many += [curve("alone", 600.0 * budget, low=0.9) for budget in range(1, MOST_PANELS + 3)]
    plot = make_plots(replace(bare_summary, training=Training(learning=many[::-1])))["learning-curves"]
    shown = set(texts(plot))
    assert {name for name in shown if name.startswith("arm_")} == {f"arm_{n}" for n in range(MOST_SERIES - 1)}
    assert "alone" in shown
    assert f"Of {MOST_SERIES + 4}, the {MOST_SERIES} with the lowest errors are shown." in plot.caption
    assert "2 further panels are left out." in plot.caption
    titles = {f"{10 * number} min" for number in range(1, MOST_PANELS)} | {"1 h"}
    assert titles <= shown
    assert "70 min" not in shown


@pytest.mark.parametrize("errors", [[0.0, 0.0, 0.0], [3.0, 2.0, 1.0], [1.0, 1e-3, 0.0]])
def test_any_errors_can_be_drawn(bare_summary: Summary, errors: list[float]):
    assert "learning-curves" in make_plots(
        replace(bare_summary, training=Training(learning=[curve("_alone", errors=errors)]))
    )


def test_tables_say_what_arms_took(full_summary: Summary):
    arms = [one for one in full_summary.arms if one.budget_s == 600.0]
    took = [
        Effort(3400.0, 90.0),
        Effort(3400.0, 90.0, 1200.0, 15_000.0, 6, 2, "equal_speech"),
        Effort(9.0, 90.0, 0, None, 3, 0, "equal_speech"),
    ]
    whole = replace(full_summary, arms=[replace(arm, effort=effort) for arm, effort in zip(arms, took, strict=True)])
    plots = make_plots(whole)
    blocks = make_report(whole, plots).sections[0].blocks
    (table,) = [block for block in blocks if isinstance(block, Table)]
    place = list(table.heads).index("Updates")
    assert list(table.heads)[place : place + 4] == ["Updates", "Audio", "Runs not stopped early", "Training"]
    assert [[f"{cell.text} {cell.aside}".rstrip() for cell in row[place : place + 3]] for row in table.rows] == [
        ["3,400", "–", "–"],
        ["3,400 (1,200 shared)", "4.2 h", "2 of 6"],
        ["9", "–", "0 of 3"],
    ]
    assert "their error might still have been falling" in table.note
    told = "Protocol equal_speech: each arm trained until its validation error stopped falling."
    assert table.note.count(told) == 1
