"""What a network learns against what it forgets: what the plot shows of a summary."""

from dataclasses import replace

import numpy as np
import pytest
from matplotlib.axes import Axes
from matplotlib.lines import Line2D

from speech_mtl.study.report import style
from speech_mtl.study.report.plots import draw_trade_off, learnt_and_forgotten
from speech_mtl.study.statistics.rows import Arm
from speech_mtl.study.statistics.summary import Estimate, Forgotten, Summary


def forgotten(language: str, arm: str, budget_s: float, growth: float) -> Forgotten:
    return Forgotten(
        language, Arm(arm), budget_s, [0], 0.4, 0.4 * (1 + growth), Estimate(growth, growth, growth), not growth
    )


@pytest.fixture
def summary(full_summary: Summary) -> Summary:
    found = [
        forgotten(language, arm, budget_s, growth)
        for budget_s in (600.0, 1200.0, 2400.0)
        for arm, by_language in (("joint", (0.0, 0.0)), ("pretrain_finetune", (0.5, 0.9)), ("unmeasured", (1.0, 1.0)))
        for language, growth in zip(("de", "en"), by_language, strict=True)
    ]
    return replace(full_summary, forgotten=found)


def panels(summary: Summary) -> list[Axes]:
    return draw_trade_off(summary, style.arm_styles(one.arm.name for one in summary.arms)).axes


def points(line: Line2D) -> np.ndarray:
    return np.asarray(line.get_xydata())


def markers(axes: Axes) -> list[tuple[float, float]]:
    """Place of each marker: names of the legend have none."""
    places = [points(line)[0] for line in axes.lines if line.get_marker() != "None" and len(points(line))]
    return [(round(float(x), 6), round(float(y), 6)) for x, y in places]


def test_an_arm_is_shown_with_all_old_languages_that_it_was_measured_in(summary: Summary):
    found = learnt_and_forgotten(summary)
    assert [(one.learnt.arm.name, one.learnt.budget_s) for one in found] == [
        (arm, budget_s) for budget_s in (600.0, 1200.0, 2400.0) for arm in ("joint", "pretrain_finetune")
    ]
    assert [one.growth for one in found[:2]] == [[0.0, 0.0], [0.5, 0.9]]


def test_panels_are_of_the_smallest_and_the_largest_budget(summary: Summary):
    shown = panels(summary)
    assert [axes.get_title() for axes in shown] == ["10 min of zh-CN", "40 min of zh-CN"]
    # Errors of the made-up arms are shares of those of alone, 25 % at 10 minutes and 8 % at 40.
    assert markers(shown[0]) == [(20.0, 0.0), (15.5, 70.0)]
    assert markers(shown[1]) == [(10.4, 0.0), (5.6, 70.0)]


def test_the_target_alone_is_a_line(summary: Summary):
    first, last = panels(summary)
    dashed = [points(line)[0, 0] for line in [*first.lines, *last.lines] if line.get_linestyle() == "--"]
    assert dashed == pytest.approx([25.0, 8.0])
    without = replace(summary, arms=[one for one in summary.arms if one.arm.name != "alone"])
    assert not [line for axes in panels(without) for line in axes.lines if line.get_linestyle() == "--"]


def test_bars_reach_over_the_interval_and_over_languages(summary: Summary):
    lines = panels(summary)[0].lines
    bars = [points(line) for line in lines if len(points(line)) == 2 and line.get_linestyle() == "-"]
    across, up = bars[2:4]
    assert across[:, 0] == pytest.approx([100 * 0.155 * 0.9, 100 * 0.155 * 1.1])
    assert up[:, 1] == pytest.approx([50.0, 90.0])
