"""Every task side by side, on made-up models whose errors are known."""

import math
from dataclasses import replace
from statistics import fmean
from typing import Any

import numpy as np
import pytest
from made_up_rows import origin

from speech_mtl.errors import InputError
from speech_mtl.scoring.rows import LabelErrors
from speech_mtl.scoring.tables import axis_of_metric, short_metric, shown_error, shown_interval
from speech_mtl.study.report.markdown import render_block
from speech_mtl.study.report.task_tables import tasks_table
from speech_mtl.study.statistics.analysis import summarize
from speech_mtl.study.statistics.hypotheses import Model, TestSet, read_test_sets, write_test_sets
from speech_mtl.study.statistics.rows import Arm
from speech_mtl.study.statistics.summary import MEAN, WORST, Estimate, TaskError
from speech_mtl.study.statistics.tasks import task_errors

SEEDS = (0, 1, 2)
WRONG = {Arm("joint", "a"): 2, Arm("joint", "b"): 1, Arm("alone", "a"): 4, Arm("alone", "b"): 4}
"""Of every ten letters."""


def made_up(language: str, factor: int = 1, arms: dict[Arm, int] = WRONG, size: int = 60) -> TestSet:
    references = ["abcdefghij"] * size
    made = TestSet(
        language, True, [f"{language}{i}" for i in range(size)], [f"s{i % 12}" for i in range(size)], references
    )
    made.metrics = {"emotion": "accuracy", "age": "mean absolute error"}
    generator = np.random.default_rng(len(language))
    for arm, wrong in arms.items():
        for seed in SEEDS:
            counts = generator.binomial(10, min(0.9, wrong * factor / 10), size)
            hypotheses = ["x" * count + "abcdefghij"[count:] for count in counts]
            emotion: list[LabelErrors] = [None if i % 4 == 0 else (float(i % 3 == 0), 1.0) for i in range(size)]
            age: list[LabelErrors] = [(2.0 * wrong, 1.0)] * size
            made.add(Model(arm, 60.0, seed), made.ids, hypotheses, {"emotion": emotion, "age": age})
    return made


def errors_of(test_set: TestSet, arm: Arm) -> list[float]:
    return [
        fmean(sum(a != b for a, b in zip(text, "abcdefghij", strict=True)) / 10 for text in test_set.hypotheses[model])
        for model in test_set.hypotheses
        if model.arm == arm
    ]


@pytest.fixture(scope="module")
def sets() -> list[TestSet]:
    return [made_up("cs"), made_up("zh-CN", factor=2)]


@pytest.fixture(scope="module")
def found(sets) -> dict[tuple[str, Arm], Any]:
    return {(one.task, one.arm): one for one in task_errors(sets, "alone", num_replications=500)}


def test_there_is_a_row_for_each_task_and_arm(found):
    assert {task for task, _ in found} == {"cs", "zh-CN", MEAN, WORST, "emotion", "age"}
    assert {arm for _, arm in found} == set(WRONG)
    assert len(found) == 6 * 4


def test_errors_are_those_of_the_models(sets, found):
    for test_set in sets:
        for arm in WRONG:
            one = found[test_set.language, arm]
            assert one.by_seed == pytest.approx(errors_of(test_set, arm))
            assert one.error.value == pytest.approx(fmean(one.by_seed))
            assert one.error.low < one.error.value < one.error.high


def test_mean_and_worst_are_over_languages_seed_by_seed(sets, found):
    for arm in WRONG:
        columns = np.array([errors_of(test_set, arm) for test_set in sets])
        assert found[MEAN, arm].by_seed == pytest.approx(columns.mean(axis=0))
        assert found[WORST, arm].by_seed == pytest.approx(columns.max(axis=0))


def test_labels_are_counted_where_they_are_known(found):
    wrong = sum(i % 3 == 0 for i in range(60) if i % 4)
    assert found["emotion", Arm("joint", "a")].error.value == pytest.approx(wrong / 45)
    assert found["age", Arm("joint", "a")].error.value == pytest.approx(4.0)


def test_gain_is_on_the_reference_of_the_same_variant(found):
    for variant in "ab":
        arm, rival = Arm("joint", variant), Arm("alone", variant)
        gain = found["cs", arm].gain
        assert gain.value == pytest.approx(1 - found["cs", arm].error.value / found["cs", rival].error.value)
        assert gain.low < gain.value < gain.high
        assert found["cs", rival].gain is None
    assert found["cs", Arm("joint", "b")].gain.low > 0.3, "a quarter of the errors is a certain gain"


def test_gain_on_one_arm_with_its_variant(sets):
    found: dict[Any, Any] = {(o.task, o.arm): o for o in task_errors(sets, "joint:b", num_replications=200)}
    assert found["cs", Arm("joint", "b")].gain is None
    assert found["cs", Arm("joint", "a")].gain.value < 0
    assert found["cs", Arm("alone", "b")].gain.value < -1


def test_the_same_runs_under_another_name_do_not_differ(sets):
    again, others = [], (Arm("joint", "c"), Arm("foo"))
    for one in sets:
        named = [model for model in one.hypotheses if model.arm == Arm("joint", "a")]
        hypotheses = {model._replace(arm=arm): one.hypotheses[model] for model in named for arm in others}
        labels = {
            task: own | {model._replace(arm=arm): own[model] for model in named for arm in others}
            for task, own in one.label_errors.items()
        }
        again.append(replace(one, hypotheses=one.hypotheses | hypotheses, label_errors=labels))
    found = {(one.task, one.arm): one for one in task_errors(again, "joint:a", num_replications=300)}
    for (task, arm), one in found.items():
        if arm in others:
            assert one.error == found[task, Arm("joint", "a")].error
            assert one.gain == Estimate(0, 0, 0)
    assert {task for task, arm in found if arm == Arm("foo")} == {"cs", "zh-CN", MEAN, WORST, "emotion", "age"}


def test_languages_with_other_speakers_are_drawn_by_themselves():
    """The mean of two languages is more certain than each: their chances are not the same."""
    sets = [made_up(language, arms={Arm("alone"): 4}) for language in ("cs", "de")]
    sets[1].speakers = [f"other {name}" for name in sets[1].speakers]
    for one in sets:
        counts = [9 if i % 12 < 6 else 1 for i in range(60)]
        hypotheses = ["x" * count + "abcdefghij"[count:] for count in counts]
        one.hypotheses = dict.fromkeys(one.hypotheses, hypotheses)
    found = {one.task: one.error for one in task_errors(sets, "alone", num_replications=2000)}
    width = {task: error.high - error.low for task, error in found.items()}
    assert width[MEAN] == pytest.approx(width["cs"] / math.sqrt(2), rel=0.15)
    sets[1].speakers = sets[0].speakers
    found = {one.task: one.error for one in task_errors(sets, "alone", num_replications=2000)}
    assert found[MEAN] == found["cs"], "the same speakers are drawn together"


def test_models_that_have_not_learnt_are_named():
    wrong = {Arm("alone"): 4, Arm("joint"): 2}
    silent = made_up("cs", arms=wrong)
    silent.hypotheses |= {model: [""] * 60 for model in silent.hypotheses if model.arm == Arm("joint")}
    summary = summarize(origin(200), [], [silent, made_up("de", arms=wrong)])
    assert [(one.language, one.arm, one.seeds) for one in summary.not_learnt] == [("cs", Arm("joint"), [0, 1, 2])]
    assert any("Not learnt" in note and "joint with 1 min." in note for note in summary.notes)


def test_no_reference_no_gain(sets):
    assert all(one.gain is None for one in task_errors(sets, "nothing", num_replications=200))


def test_a_single_language_has_no_mean(sets):
    assert not {MEAN, WORST} & {one.task for one in task_errors(sets[:1], "alone", num_replications=200)}


def test_a_model_that_one_language_lacks_has_no_mean(sets):
    less = made_up("fr", arms={Arm("joint", "a"): 2, Arm("alone", "a"): 4})
    arms = {one.arm for one in task_errors([*sets, less], "alone", num_replications=200) if one.task == MEAN}
    assert arms == {Arm("joint", "a"), Arm("alone", "a")}


def test_shares_stay_shares(found):
    for (task, _), one in found.items():
        if task == "emotion":
            assert 0 <= one.error.low <= one.error.high <= 1


def test_label_errors_survive_the_file(sets, tmp_path):
    write_test_sets(tmp_path / "hypotheses.jsonl", sets)
    assert read_test_sets(tmp_path / "hypotheses.jsonl") == sets


def test_utterances_that_a_model_lacks_take_their_label_errors_along():
    test_set = made_up("cs", arms={Arm("alone", "a"): 4})
    model = Model(Arm("joint", "a"), 60.0, 0)
    ids = test_set.ids[10:]
    test_set.add(model, ids, ["abcdefghij"] * 50, {"age": [(1.0, 1.0)] * 50})
    assert test_set.ids == ids
    assert {len(errors) for own in test_set.label_errors.values() for errors in own.values()} == {50}
    kept = test_set.label_errors["emotion"][Model(Arm("alone", "a"), 60.0, 0)]
    assert kept == [None if i % 4 == 0 else (float(i % 3 == 0), 1.0) for i in range(10, 60)]


def made_up_tags(counted: dict[Arm, list[float]]) -> TestSet:
    """By arm, what the errors of each utterance are counted against, which is 0 where nothing is to be said of it."""
    (size,) = {len(row) for row in counted.values()}
    ids = [f"u{i}" for i in range(size)]
    made = TestSet("cs", True, ids, [f"s{i}" for i in range(size)], ["ab"] * size, metrics={"sounds": "F1"})
    for arm, row in counted.items():
        made.add(Model(arm, 60.0, 0), ids, ["ab"] * size, {"sounds": [(number / 4, number) for number in row]})
    return made


def test_a_model_that_says_no_tag_where_there_is_none_leaves_the_others_their_error():
    test_set = made_up_tags({Arm("alone"): [0.0] * 12, Arm("joint"): [4.0] * 12})
    found = {one.arm: one.error.value for one in task_errors([test_set], "alone", 200) if one.task == "sounds"}
    assert found == {Arm("joint"): pytest.approx(0.25)}


def test_models_that_no_replicate_has_together_have_no_row():
    """Each says something of one utterance only."""
    test_set = made_up_tags({Arm(f"arm{i}"): [4.0 * (i == j) for j in range(12)] for i in range(12)})
    assert not [one for one in task_errors([test_set], "arm0", 100) if one.task == "sounds"]


def test_a_task_of_which_no_model_says_anything_has_no_row():
    test_set = made_up_tags({Arm("alone"): [0.0] * 12, Arm("joint"): [0.0] * 12})
    assert {one.task for one in task_errors([test_set], "alone", 100)} == {"cs"}


def test_targets_without_a_common_model_have_no_rows_of_their_tasks():
    """As where the runs of one arm failed for one target, those of another arm for the other."""
    found = task_errors([made_up("cs", arms={Arm("alone"): 4}), made_up("de", arms={Arm("joint"): 2})], "alone", 100)
    assert {(one.task, one.arm.name) for one in found} == {("cs", "alone"), ("de", "joint")}


def test_summary_of_several_targets(sets):
    summary = summarize(
        origin(200), [], [made_up(name, arms={Arm("alone"): 2, Arm("joint"): 4}) for name in ("cs", "de")]
    )
    assert {(one.language, one.arm, one.reduction.significant) for one in summary.worse} == {
        (name, Arm("joint"), True) for name in ("cs", "de")
    }
    assert "speakers" in summary.notes[0]
    assert summary.arms == []


ERROR = TaskError(
    "cs",
    "character error rate",
    Arm("joint", "a"),
    60.0,
    [0, 1, 2],
    Estimate(0.25, 0.2, 0.31),
    [0.25] * 3,
    Estimate(-0.5, -0.6, 0.1),
)


def lines_of(errors: list[TaskError], *tasks: str) -> list[str]:
    return render_block(tasks_table(errors, *tasks), {}).split("\n\n")[0].splitlines()


def test_table_shows_figures_with_intervals():
    lines = lines_of([ERROR, replace(ERROR, task="emotion", metric="accuracy")])
    gain = "fewer errors by %"
    assert lines[0] == f"| Speech | Arm | Seeds | cs: CER % | {gain} | emotion: accuracy % | {gain} |"
    shown = "−50.0 (−60.0 to 10.0)"
    assert lines[2] == f"| 1 min | joint:a | 0, 1, 2 | 25.0 (20.0–31.0) | {shown} | 75.0 (69.0–80.0) | {shown} |"
    assert "fewer errors" not in "".join(lines_of([replace(ERROR, gain=None)])), "a column without any value"


def test_table_of_chosen_tasks_and_arms_that_lack_one():
    errors = [ERROR, replace(ERROR, task=MEAN, arm=Arm("alone"), gain=None)]
    lines = lines_of(errors, "mean_of_languages", "cs")
    assert lines[0].startswith("| Speech | Arm | Seeds | mean of languages: CER % |")
    assert "| joint:a | 0, 1, 2 | – | 25.0 (20.0–31.0) |" in lines[2]
    assert "| alone | 0, 1, 2 | 25.0 (20.0–31.0) |" in lines[3]
    assert len(lines_of(errors, "cs")) == 3, "the other arm has no such task"
    with pytest.raises(InputError, match="There are no results of mean\n") as caught:
        lines_of(errors, "mean")
    assert "mean_of_languages" in caught.value.expected


@pytest.mark.parametrize(
    ("metric", "head", "axis", "shown", "interval"),
    [
        ("accuracy", "accuracy %", "Accuracy, %", "80.0", "(70.0–90.0)"),
        ("F1", "F1 %", "F1, %", "80.0", "(70.0–90.0)"),
        ("character error rate", "CER %", "Character error rate, %", "20.0", "(10.0–30.0)"),
        ("phone error rate", "PER %", "Phone error rate, %", "20.0", "(10.0–30.0)"),
        ("mean absolute error", "mean absolute error", "Mean absolute error", "0.2", "(0.1–0.3)"),
    ],
)
def test_errors_as_they_are_reported(metric, head, axis, shown, interval):
    assert (short_metric(metric), axis_of_metric(metric)) == (head, axis)
    assert shown_error(metric, 0.2) == shown
    assert shown_interval(metric, 0.1, 0.3) == interval
