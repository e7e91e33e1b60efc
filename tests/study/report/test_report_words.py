from dataclasses import replace

import pytest
from made_up_summaries import BARE, FLAT, FULL, UNLEARNT, arm_summary, equivalent

from speech_mtl.study.report import words
from speech_mtl.study.statistics.rows import Arm
from speech_mtl.study.statistics.summary import Estimate, Hours, TaskError, Tried


def test_numbers():
    assert [words.percent(value) for value in (0.12345, -0.2, -0.0001, 1.05)] == ["12.3", "−20.0", "0.0", "105.0"]
    assert words.interval(Estimate(0.1, -0.2, 0.3), " to ") == "(−20.0 to 30.0)"
    assert [words.chance(p) for p in (0.0, 0.0012, 0.0999, 0.25, 1.0)] == ["< 0.001", "0.001", "0.100", "0.25", "1.00"]
    assert [words.rounded(x) for x in (0.0123, 0.956, 1, 1.04, 9.94, 9.96, 104.4)] == [
        "0.01",
        "0.96",
        "1.0",
        "1.04",
        "9.9",
        "10",
        "104",
    ]


def test_amounts_of_speech():
    texts = {6: "0.1 min", 600: "10 min", 750: "12.5 min", 3600: "1 h", 5400: "90 min", 7200: "2 h", 360000: "100 h"}
    assert {seconds: words.speech(seconds) for seconds in texts} == texts
    assert [words.speech(s, spelled=True) for s in (60, 600, 3600, 7200)] == [
        "1 minute",
        "10 minutes",
        "1 hour",
        "2 hours",
    ]
    assert [words.waiting(s) for s in (4.2, 90, 1526.1, 54321)] == ["4.2 s", "1.5 min", "25 min", "15 h"]


@pytest.mark.parametrize(
    ("found", "hours", "hours_interval", "factor", "factor_interval", "saving"),
    [
        (equivalent("a", 600, 19.2, 15.4, 24.3), "19 min", "(15–24 min)", "1.9", "(1.5–2.4)", "saves"),
        (equivalent("a", 600, 9, 6, 12), "9.0 min", "(6.0–12 min)", "0.90", "(0.60–1.2)", "not significant"),
        (equivalent("a", 600, 7, 6, 8), "7.0 min", "(6.0–8.0 min)", "0.70", "(0.60–0.80)", "costs"),
        (
            equivalent("a", 600, 30, 20, 40, relations="==>"),
            "30 min",
            "(20 to > 40 min)",
            "3.0",
            "(2.0 to > 4.0)",
            "saves",
        ),
        (equivalent("a", 600, 90, 80, 180), "90 min", "(80 min to 3.0 h)", "9.0", "(8.0–18)", "saves"),
        (equivalent("a", 600, 10, 10, 10), "10 min", "(10–10 min)", "1.0", "(1.0–1.0)", "no difference"),
        (equivalent("a", 600, 10, 10, 10.0000001), "10 min", "(10–10 min)", "1.0", "(1.0–1.00)", "no difference"),
        (equivalent("a", 600, 10, 9.98, 10.02), "10 min", "(10–10 min)", "1.0", "(1.00–1.00)", "no difference"),
        (equivalent("a", 600, 11, 10.02, 12), "11 min", "(10–12 min)", "1.1", "(1.00–1.2)", "not significant"),
        (equivalent("a", 600, 9, 8, 9.98), "9.0 min", "(8.0–10 min)", "0.90", "(0.80–1.00)", "not significant"),
        (equivalent("a", 600, 11, 10.1, 12), "11 min", "(10–12 min)", "1.1", "(1.01–1.2)", "saves"),
        (
            equivalent("a", 600, 30, 15, 40, relations="=<="),
            "30 min",
            "(< 15 to 40 min)",
            "3.0",
            "(< 1.5 to 4.0)",
            "not significant",
        ),
        (
            equivalent("a", 600, 4, 3, 5, relations="==>"),
            "4.0 min",
            "(3.0 to > 5 min)",
            "0.40",
            "(0.30 to > 0.50)",
            "not significant",
        ),
        (equivalent("a", 600, 80, 80, 80, relations=">>>"), "> 80 min", "", "> 8.0", "", "saves"),
        (equivalent("a", 600, 10, 10, 10, relations=">>>"), "> 10 min", "", "> 1.0", "", "saves"),
        (equivalent("a", 600, 10, 10, 10, relations="<<<"), "< 10 min", "", "< 1.0", "", "costs"),
        (
            equivalent("a", 600, 10, 10, 10, relations="<<>"),
            "< 10 min",
            "(< 10 to > 10 min)",
            "< 1.0",
            "(< 1.0 to > 1.0)",
            "not significant",
        ),
    ],
)
def test_equivalent_hours(found, hours, hours_interval, factor, factor_interval, saving):
    assert words.alone_text(found.hours) == hours
    assert words.alone_interval(found) == hours_interval
    assert words.factor_text(found, found.hours) == factor
    assert words.factor_interval(found) == factor_interval
    assert words.saving(found) == saving


def answer(*found, **changes) -> str:
    return words.answer(replace(FULL, equivalent_hours=list(found), transfer=[], **changes))


def test_answer():
    assert words.answer(FULL) == (
        "With auxiliary languages (pretrain_finetune, the best of 3 ways tried at this amount), 10 minutes are"
        " equivalent to 19 minutes (15–24 min) of alone: F = 1.9 (1.5–2.4). Trained the same way, 40 minutes are"
        " equivalent to more than 40 minutes of alone, the most that was measured: F > 1.0."
    )
    assert answer(equivalent("joint", 600, 7, 6, 8)) == (
        "With auxiliary languages (joint), 10 minutes are equivalent to 7.0 minutes (6.0–8.0 min) of alone: F = 0.70"
        " (0.60–0.80); here they do harm."
    )
    assert answer(equivalent("joint", 600, 10, 10, 12, relations="<<=")) == (
        "With auxiliary languages (joint), 10 minutes are equivalent to less than 10 minutes (< 10 to 12 min) of alone,"
        " the least that was measured: F < 1.0 (< 1.0 to 1.2); not significant, the interval contains F = 1."
    )


def test_no_difference_is_no_harm():
    assert answer(equivalent("joint", 600, 10, 10, 10)) == (
        "With auxiliary languages (joint), 10 minutes are equivalent to 10 minutes (10–10 min) of alone: F = 1.0"
        " (1.0–1.0); no difference."
    )


def test_the_reason_why_there_are_no_hours_is_the_answer():
    for name in ("unlearnt", "flat"):
        summary = {"unlearnt": UNLEARNT, "flat": FLAT}[name]
        said = words.answer(summary)
        assert said == f"The hours that auxiliary languages save are not available: {summary.no_hours}."
        assert words.answer(replace(summary, transfer=FULL.transfer)) == said


def task(arm: str, error: float, *gain: float) -> TaskError:
    found = Estimate(*gain) if gain else None
    return TaskError("de", "character error rate", Arm(arm), 600.0, [0], Estimate(error, error, error), [error], found)


def test_answer_of_tasks():
    reference = task("alone", 0.4)
    for errors, expected in (
        (
            [task("a", 0.3, 0.25, 0.1, 0.4)],
            "On de, a with 10 minutes has the largest gain: 25.0 % (10.0 to 40.0) fewer ",
        ),
        (
            [task("a", 0.5, -0.25, -0.4, 0.1)],
            "On de, no arm has fewer errors than alone. Significantly better: 0 of 1 that ",
        ),
        (
            [task("a", 0.4, 0.0, 0.0, 0.0)],
            "On de, there is no difference from alone. Significantly better: 0 of 1 that ",
        ),
    ):
        assert words.answer(replace(BARE, tasks=[reference, *errors])).startswith(expected)
    failed = [task("alone", 1.0), task("a", 0.95, 0.05, 0.01, 0.09)]
    assert words.answer(replace(BARE, tasks=failed)) == (
        "On de, no arm has learnt: every error is 90 % or more. "
        "Train with more updates, a longer warm-up or more speech."
    )
    assert words.answer(replace(BARE, tasks=[reference])).endswith("nothing was measured beside alone.")


def test_the_best_way_is_the_one_worth_most_and_then_the_one_with_fewest_errors():
    beyond = [equivalent(arm, 600, 80, 80, 80, relations=">>>") for arm in ("joint", "pretrain_finetune")]
    assert "(pretrain_finetune, the best of 2" in answer(*beyond)
    assert "(joint, the best of 2" in answer(beyond[0], equivalent("pretrain_finetune", 600, 300, 290, 310))
    below = equivalent("joint", 600, 10, 10, 10, relations="<<<")
    assert "(tiny, the best of 2" in answer(below, equivalent("tiny", 600, 3, 2, 4))


def test_a_control_is_never_the_answer():
    control = replace(equivalent("joint", 600, 80, 70, 90), arm=Arm("joint", control="noise"))
    assert "(joint)" in answer(control, equivalent("joint", 600, 15, 12, 18))
    assert answer(control) == "Only controls were measured: the effect of auxiliary languages is not available."


def test_one_minute_is_singular():
    assert "1 minute is equivalent to 2.0 minutes" in answer(equivalent("joint", 60, 2, 1.5, 3))


def test_answer_without_equivalent_hours():
    assert words.answer(BARE).endswith("not available: only alone was measured.")
    assert answer(arms=[arm_summary("joint", 600, 0.2, None)]).endswith("available: alone was not measured.")
    assert answer(arms=[]).endswith("available: no arm was measured.")
    assert answer().endswith("do not allow it; the notes give reasons.")
    assert answer(notes=[]).endswith("do not allow it.")


def test_answer_of_a_transfer_map():
    only_map = replace(FULL, arms=[], equivalent_hours=[])
    assert words.answer(only_map) == (
        "zh-CN gains most from de, which lowers its character error rate by 31.0 % (22.0 to 40.0). Significant gains:"
        " 2 of 4 pairs of languages; significant losses: 1."
    )
    harm = [Tried("a", Arm("joint", auxiliary="b"), 60.0, Estimate(-0.2, -0.3, 0.1))]
    assert words.answer(replace(only_map, transfer=harm)) == (
        "None of the auxiliary languages lowers the error of any target. Significant gains: 0 of 1 pair of languages;"
        " significant losses: 0."
    )


def test_a_bound_is_not_rounded():
    assert words.alone_text(Hours(">", 12.5 / 60), spelled=True) == "more than 12.5 minutes"
