import colorsys
import re
import xml.etree.ElementTree as ElementTree
from dataclasses import replace
from itertools import pairwise

import matplotlib
import numpy as np
import pytest
from matplotlib.colors import to_hex

from speech_mtl.study.report import language_plots, plots, style
from speech_mtl.study.statistics.rows import Arm

SVG = "{http://www.w3.org/2000/svg}"


@pytest.fixture(scope="module")
def full(full_summary):
    return plots.make_plots(full_summary)


def texts(plot) -> list[str]:
    return ["".join(element.itertext()) for element in ElementTree.fromstring(plot.svg).iter(SVG + "text")]


def luminance(colour: str) -> float:
    channels = [int(colour[place : place + 2], 16) / 255 for place in (1, 3, 5)]
    red, green, blue = (c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in channels)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def contrast(one: str, other: str) -> float:
    light, dark = sorted((luminance(one), luminance(other)), reverse=True)
    return (light + 0.05) / (dark + 0.05)


def test_a_plot_for_all_there_is(full, full_summary, bare_summary):
    names = ["data-efficiency", "equivalent-hours", "more-speech", "languages", "transfer", "forgetting"]
    assert list(full) == names
    assert all(plot.png.startswith(b"\x89PNG") for plot in full.values())
    assert list(plots.make_plots(bare_summary)) == ["data-efficiency"]
    only_map = replace(full_summary, arms=[], equivalent_hours=[], predictions=[])
    assert list(plots.make_plots(only_map)) == ["transfer"]
    assert plots.make_plots(replace(only_map, transfer=[])) == {}


def test_same_plot_same_bytes(full, full_summary):
    with matplotlib.rc_context({"font.size": 30, "svg.fonttype": "path", "axes.facecolor": "red"}):
        assert plots.make_plots(full_summary) == full
        assert matplotlib.rcParams["font.size"] == 30, "the settings of the machine come back"
    assert "date" not in full["languages"].svg.lower()


def test_curve_has_ticks_at_the_measured_budgets(full):
    assert texts(full["data-efficiency"])[:4] == ["10", "20", "40", "Target speech, minutes"]
    assert {"alone", "joint", "pretrain_finetune"} < set(texts(full["data-efficiency"]))
    assert "Character error rate, % (logarithmic)" in texts(full["data-efficiency"])


def test_prolonged_curves_reach_four_times_the_largest_budget(full):
    shown = texts(full["more-speech"])
    assert shown[:6] == ["10 min", "20 min", "40 min", "80 min", "2.667 h", "Target speech"]
    assert {"alone", "pretrain_finetune", "5 %", "2 %"} < set(shown)
    assert "joint" not in shown


def test_curve_in_hours(full_summary):
    def labels(*hours: float) -> list[str]:
        arms = [replace(full_summary.arms[0], budget_s=3600 * each) for each in hours]
        return texts(plots.make_plots(replace(full_summary, arms=arms, languages=[], transfer=[]))["data-efficiency"])

    assert labels(1, 10, 100)[:4] == ["1", "10", "100", "Target speech, hours"]
    assert labels(0.5, 10)[:3] == ["30 min", "10 h", "Target speech"]


def test_errors_within_a_factor_of_three_are_on_a_linear_axis(full_summary):
    near = [replace(arm, cer=replace(arm.cer, low=0.2, high=0.25), cer_by_seed=[0.2]) for arm in full_summary.arms]
    figure = plots.draw_curve(near, style.arm_styles(arm.arm.name for arm in near))
    assert (figure.axes[0].get_yscale(), figure.axes[0].get_ylim()[0]) == ("linear", 0)
    figure = plots.draw_curve(full_summary.arms, style.arm_styles(arm.arm.name for arm in near))
    assert figure.axes[0].get_yscale() == "log"
    none = [replace(near[0], cer=replace(near[0].cer, low=0.0))]
    assert plots.draw_curve(none, style.arm_styles(["alone"])).axes[0].get_yscale() == "linear"


def test_every_seed_is_a_dot(full_summary):
    figure = plots.draw_curve(full_summary.arms, style.arm_styles(arm.arm.name for arm in full_summary.arms))
    dots = [line for line in figure.axes[0].lines if line.get_marker() == "."]
    assert len(dots) == 9
    shown = sorted(np.concatenate([np.asarray(line.get_ydata()) for line in dots]))
    assert shown == pytest.approx(sorted(100 * cer for arm in full_summary.arms for cer in arm.cer_by_seed))


def test_factors_say_what_is_beyond(full, full_summary):
    shown = texts(full["equivalent-hours"])
    assert {"1.9 (1.5–2.4)", "> 1.0", "1.7 (1.4 to > 2.0)", "< 1.0 (< 1.0 to 1.1)"} < set(shown)
    found = full_summary.equivalent_hours
    figure = plots.draw_factors(found, style.arm_styles(one.arm.name for one in found))
    arrows = [text for text in figure.axes[0].texts if getattr(text, "arrow_patch", None)]
    assert len(arrows) == sum(end.relation != "=" for one in found for end in (one.low, one.high)) == 4
    hollow = [line for line in figure.axes[0].lines if line.get_markerfacecolor() == style.PAPER]
    assert len(hollow) == 2


def test_bars_of_all_languages(full, full_summary):
    figure = language_plots.draw_languages(
        full_summary.languages, style.arm_styles(one.arm.name for one in full_summary.languages)
    )
    assert [len(axes.patches) for axes in figure.axes] == [5, 5, 5]
    widths = [bar.get_path().get_extents(bar.get_patch_transform()).width for bar in figure.axes[0].patches]
    assert widths == pytest.approx([25, 20, 15.5, 11, 11])
    assert {"zh-CN", "de", "en"} < set(texts(full["languages"]))


def test_bars_of_very_different_errors_have_their_own_scales(full_summary, crowded):
    for summary, same in ((full_summary, True), (crowded, False)):
        figure = language_plots.draw_languages(
            summary.languages, style.arm_styles(one.arm.name for one in summary.languages)
        )
        limits = {axes.get_xlim() for axes in figure.axes}
        assert (len(limits) == 1) is same
        assert min(low for low, _ in limits) == max(low for low, _ in limits) == 0
    assert len(figure.axes) == 2, "of more than three budgets the smallest and the largest"


def test_transfer_cells_have_colour_and_number(full, full_summary):
    shown = texts(full["transfer"])
    assert {"+31.0", "22 to 40", "−15.0", "−25 to −5"} < set(shown)
    figure = language_plots.draw_transfer(full_summary.transfer)
    cells = figure.axes[0].patches
    assert [to_hex(cell.get_facecolor()) for cell in cells] == [
        style.BETTER,
        style.BETTER,
        style.WORSE,
        style.BETTER,
    ]
    strengths = [cell.get_alpha() for cell in cells]
    assert strengths == pytest.approx([0.6, 0.6 * 12 / 31, 0.6 * 15 / 31, 0.6 * 20 / 31])
    bold = {text.get_text() for text in figure.axes[0].texts if text.get_fontweight() == "bold"}
    assert bold == {"+31.0", "−15.0", "+20.0"}, "those that are certain"


def test_what_was_not_measured_is_named(full_summary):
    plot = plots.make_plots(replace(full_summary, transfer=full_summary.transfer[1:]))["transfer"]
    assert "measured" not in texts(plot), "de -> zh-CN is no longer a column, and a language does not help itself"
    entry = full_summary.transfer[0]
    plot = plots.make_plots(replace(full_summary, transfer=[*full_summary.transfer, replace(entry, language="fr")]))
    assert texts(plot["transfer"]).count("measured") == 2


def test_eight_arms_are_told_apart_by_colour_marker_and_line(crowded):
    styles = style.arm_styles(arm.arm.name for arm in crowded.arms)
    assert len(styles) == 8
    assert len({found.colour for found in styles.values()}) == 8
    assert len({found.marker for found in styles.values()}) == 8
    assert len({(found.line, found.marker) for found in styles.values()}) == 8


def test_an_arm_keeps_its_style():
    known = ("alone", "joint", "pretrain_finetune", "joint_finetune")
    together = style.arm_styles(known)
    for name in (*known, "new"):
        assert style.arm_styles([name])[name] == style.arm_styles([*known, name])[name] or name == "new"
    assert all(style.arm_styles([*known, f"new {n}"])[name] == together[name] for n in range(9) for name in known)
    assert style.arm_styles(["b", "a"]) == style.arm_styles(["a", "b"])
    many = style.arm_styles([f"arm {number}" for number in range(40)])
    assert len(set(many.values())) == 40


@pytest.mark.parametrize(("paper", "colours"), [("#ffffff", style.COLOURS), ("#14181d", style.COLOURS_IN_THE_DARK)])
def test_series_stand_out_on_the_page(paper, colours):
    assert len(set(colours)) == len(style.COLOURS)
    assert min(contrast(colour, paper) for colour in colours) >= 3


def test_a_colour_is_the_same_hue_in_the_dark():
    def hue(colour: str) -> float:
        return colorsys.rgb_to_hls(*(int(colour[place : place + 2], 16) / 255 for place in (1, 3, 5)))[0]

    for light, dark in zip(style.COLOURS, style.COLOURS_IN_THE_DARK, strict=True):
        assert abs(hue(light) - hue(dark)) < 0.06, (light, dark)


@pytest.mark.parametrize(("low", "high"), [(0.01, 100), (1, 100), (4, 30), (0.7, 3), (0.9, 1.15), (6, 6.5)])
def test_log_ticks(low, high):
    ticks = style.log_ticks(low, high)
    assert 3 <= len(ticks) <= 12
    assert all(low <= tick <= high for tick in ticks)
    assert all(one < other for one, other in pairwise(ticks))


def test_labels_keep_apart():
    assert style.apart([10, 20, 40, 80]) == [10, 20, 40, 80]
    assert style.apart([1, 1.01, 10, 100]) == [1, 10, 100]
    assert style.apart([5]) == [5]


def test_long_names_keep_both_ends():
    assert style.shortened("short") == "short"
    found = style.shortened("start" + "x" * 90 + "end")
    assert (len(found) <= style.LONGEST_NAME, found[:5], found[-3:]) == (True, "start", "end")


def test_a_name_is_text_and_not_markup(full_summary):
    arms = [replace(arm, arm=Arm("a", "b$c$ <i>&")) for arm in full_summary.arms]
    plot = plots.make_plots(replace(full_summary, arms=arms, languages=[], transfer=[]))["data-efficiency"]
    assert "a:b$c$ <i>&" in texts(plot)
    assert re.search("<i>", plot.svg) is None
