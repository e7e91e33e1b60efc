"""Plots and tables of comparisons with several tasks."""

import xml.etree.ElementTree as ElementTree
from dataclasses import replace

import pytest
from made_up_rows import origin

from speech_mtl.study.report.blocks import Table
from speech_mtl.study.report.content import make_report
from speech_mtl.study.report.language_plots import draw_tasks
from speech_mtl.study.report.markdown import render_markdown
from speech_mtl.study.report.page import render_page
from speech_mtl.study.report.plots import make_plots
from speech_mtl.study.statistics.rows import Arm
from speech_mtl.study.statistics.summary import MEAN, WORST, Estimate, Summary, TaskError, one_task_an_arm
from speech_mtl.study.statistics.training import Conflict, LabelCount, TaskCurve, Training

SVG = "{http://www.w3.org/2000/svg}"
ARMS = tuple(Arm(method, variant) for variant in ("small", "large") for method in ("alone", "joint"))
METRICS = {
    "de": "character error rate",
    "zh-CN": "character error rate",
    MEAN: "character error rate",
    WORST: "character error rate",
    "emotion": "accuracy",
    "age": "mean absolute error",
}


def task_error(task: str, arm: Arm) -> TaskError:
    value = 0.2 + 0.05 * ARMS.index(arm) + 0.01 * list(METRICS).index(task)
    gain = None if arm.method == "alone" else Estimate(0.1, -0.05 if arm.variant == "small" else 0.02, 0.2)
    seeds = [value - 0.01, value, value + 0.01]
    return TaskError(
        task, METRICS[task], arm, 600.0, [0, 1, 2], Estimate(value, value - 0.03, value + 0.04), seeds, gain
    )


@pytest.fixture(scope="module")
def summary() -> Summary:
    curves = [
        TaskCurve(arm, task, [100, 200, 300], [3.0, None if task == "de" else 2.0, 1.0], [1.0, 1.5, 2.0 + place])
        for arm in ARMS[1::2]
        for place, task in enumerate(("de", "zh-CN", "emotion"))
    ]
    conflicts = [
        Conflict(Arm("joint", "small"), "de", "emotion", -0.25),
        Conflict(Arm("joint", "small"), "emotion", "de", 0.5),
    ]
    return Summary(
        origin=origin(1000),
        language="de, zh-CN",
        tasks=[task_error(task, arm) for task in METRICS for arm in ARMS],
        training=Training(
            curves=curves,
            conflicts=conflicts,
            labels=[
                LabelCount(Arm("joint", "small"), "de", 1234, 2345),
                LabelCount(Arm("alone", "small"), "emotion", 7, 9),
            ],
        ),
        notes=["A note."],
    )


def texts(svg: str) -> list[str]:
    return ["".join(element.itertext()) for element in ElementTree.fromstring(svg).iter(SVG + "text")]


def test_there_is_a_plot_for_all_there_is(summary):
    assert list(make_plots(summary)) == ["tasks", "conflicts", "weights", "losses"]
    assert list(make_plots(replace(summary, training=Training()))) == ["tasks"]
    still = [replace(one, weights=[1.0] * 3) for one in summary.training.curves]
    still = replace(summary, training=replace(summary.training, curves=still))
    assert list(make_plots(still)) == ["tasks", "conflicts", "losses"]


def test_every_task_arm_and_variant_is_named(summary):
    plots = make_plots(summary)
    shown = texts(plots["tasks"].svg)
    for name in (*METRICS, "small", "large", "alone, 10 min", "joint, 10 min", "Accuracy, %", "Mean absolute error"):
        assert name in shown, name
    assert {"de", "zh-CN", "emotion", "joint:small"} <= set(texts(plots["weights"].svg))
    assert {"−0.25", "0.50"} <= set(texts(plots["conflicts"].svg))


@pytest.mark.parametrize(
    ("metric", "places"),
    [
        ("accuracy", [98.766, 87.655]),
        ("phone error rate", [1.234, 12.345]),
        ("mean absolute error", [0.01234, 0.12345]),
    ],
)
def test_errors_are_drawn_as_they_are_reported_and_not_rounded(metric: str, places: list[float]):
    error = replace(task_error("age", ARMS[0]), metric=metric, error=Estimate(0.05, 0.01234, 0.12345))
    (axes,) = draw_tasks([error]).axes
    assert list(axes.lines[0].get_xdata()) == pytest.approx(places)  # pyright: ignore[reportArgumentType]


def test_many_languages_give_way_to_their_mean(summary):
    more = [replace(one, task=f"x{number}") for number in range(6) for one in summary.tasks if one.task == "de"]
    shown = texts(make_plots(replace(summary, tasks=[*more, *summary.tasks]))["tasks"].svg)
    assert {MEAN, WORST, "emotion", "age"} <= set(shown)
    assert "x0" not in shown


def test_same_plots_same_bytes(summary):
    assert make_plots(summary) == make_plots(summary)


def test_the_report_says_it_in_words_and_tables(summary):
    plots = make_plots(summary)
    report = make_report(summary, plots)
    text = render_markdown(report, {name: f"{name}.png" for name in plots})
    assert report.title == "Recipe made up, all languages"
    assert "3 seeds" in report.subtitle
    assert "the mean of languages, joint:small with 10 minutes has the largest gain: 10.0 %" in report.answer
    assert "Significantly better: 1 of 2" in report.answer
    assert "## Each task" in text
    assert "| 10 min | joint:large |" in text
    assert "**10.0** (2.0 to 20.0)" in text
    assert "76.0 (72.0–79.0)" in text, "accuracy, not error"
    assert "How many hours" not in text
    assert "| Arm | de | emotion |" in text
    assert "| joint:small | 1,234 of 2,345 | – |" in text
    page = render_page(report)
    assert page.count("<svg") >= 4


def test_names_that_begin_with_a_low_line_are_in_the_legend(summary: Summary):
    curves = [replace(one, task=f"_{one.task}") for one in summary.training.curves]
    hidden = replace(summary, training=Training(curves=curves))
    assert {"_de", "_zh-CN", "_emotion"} <= set(texts(make_plots(hidden)["losses"].svg))


def test_a_conflict_is_shown_that_was_seen_from_one_side_only(summary: Summary):
    assert "emotion" in texts(
        make_plots(replace(summary, training=Training(conflicts=summary.training.conflicts[:1])))["conflicts"].svg
    )


def test_without_a_reference_nothing_is_promised(summary):
    bare = replace(summary, tasks=[replace(one, gain=None) for one in summary.tasks])
    assert make_report(bare, make_plots(bare)).answer.startswith("How tasks compare can be seen below")


def test_what_is_said_of_alone_is_left_out_where_alone_is_not_measured(summary: Summary, full_summary: Summary):
    of_alone = {"How many hours other languages save", "Which got worse", "Examples"}
    beside = [replace(arm, reduction=None) for arm in full_summary.arms]
    for shown in (summary, replace(full_summary, tasks=summary.tasks, arms=beside, examples=[])):
        assert not of_alone & {section.title for section in make_report(shown, make_plots(shown)).sections}
    shown = replace(full_summary, tasks=summary.tasks)
    assert of_alone < {section.title for section in make_report(shown, make_plots(shown)).sections}


def test_targets_of_variants_are_shown_one_by_one(summary: Summary):
    """Each variant has its own target here: tables and panels with every arm would be all but empty."""
    own = {"de": "small", "zh-CN": "large"}
    tasks = [one for one in summary.tasks if one.arm.variant == own.get(one.task)]
    apart = replace(summary, tasks=tasks, training=Training())
    plots = make_plots(apart)
    panels = draw_tasks(tasks).axes
    assert [[label.get_text() for label in axes.get_yticklabels()] for axes in panels] == [["small"], ["large"]]
    report = make_report(apart, plots)
    assert report.title == "Recipe made up, targets de, zh-CN"
    assert report.answer.startswith("On de, joint:small with 10 minutes has the largest gain: ")
    assert " On zh-CN, joint:large with 10 minutes has" in report.answer
    tables = [block for block in report.sections[0].blocks if isinstance(block, Table)]
    assert [table.title for table in tables] == ["Errors of de by arm", "Errors of zh-CN by arm"]
    assert [[row[1].text for row in table.rows] for table in tables] == [
        ["alone:small", "joint:small"],
        ["alone:large", "joint:large"],
    ]


@pytest.mark.parametrize(
    ("pairs", "expected"),
    [
        ([("de", "a"), ("cs", "b")], True),
        ([("de", "a"), ("de", "b")], False),
        ([("de", "a"), ("cs", "b"), ("cs", "a")], False),
    ],
)
def test_one_task_an_arm(pairs: list[tuple[str, str]], expected: bool):
    errors = [TaskError(task, "accuracy", Arm(arm), 60.0, [0], Estimate(0, 0, 0), [0], None) for task, arm in pairs]
    assert one_task_an_arm(errors) == expected


def test_a_language_is_shown_where_the_mean_of_languages_lacks_an_arm(summary: Summary):
    """An arm with fewer languages than others has no mean that compares."""
    languages = [f"x{number}" for number in range(6)]
    others = [replace(one, task=name) for name in languages for one in summary.tasks if one.task == "de"]
    fewer = [replace(others[0], arm=Arm("joint", "related"), task=name) for name in languages[2:4]]
    means = [one for one in summary.tasks if one.task in (MEAN, WORST)]
    titles = [axes.get_title() for axes in draw_tasks([*others, *fewer, *means]).axes if axes.get_visible()]
    assert titles == [MEAN, WORST, "x2"]
