"""The transfer map, on made-up models."""

from typing import Any

from made_up_rows import origin

from speech_mtl.study.report.blocks import Bullets
from speech_mtl.study.report.content import make_report
from speech_mtl.study.report.plots import make_plots
from speech_mtl.study.statistics.analysis import summarize
from speech_mtl.study.statistics.hypotheses import Model, TestSet
from speech_mtl.study.statistics.rows import Arm
from speech_mtl.study.statistics.summary import Summary


def made_up(wrong: dict[str, int], target: str = "cs") -> TestSet:
    """Of every ten letters so many are wrong, by auxiliary language; "" for none."""
    ids = [f"{target}{i}" for i in range(40)]
    made = TestSet(target, True, ids, [None] * 40, ["abcdefghij"] * 40)
    for auxiliary, number in wrong.items():
        arm = Arm("joint", auxiliary=auxiliary) if auxiliary else Arm("alone")
        counts = [max(0, min(10, number + (i % 3 - 1))) for i in range(40)]
        made.add(Model(arm, 60.0, 0), ids, ["x" * count + "abcdefghij"[count:] for count in counts])
    return made


def summarized(*test_sets: TestSet) -> Summary:
    rows: Any = [
        {
            **{"arm": model.arm, "budget_s": model.budget_s, "seed": model.seed, "language": one.language},
            **{"split": "test", "cer": 0.5, "num_updates": 1, "wall_time_s": 1.0},
        }
        for one in test_sets
        for model in one.hypotheses
    ]
    return summarize(origin(300), rows, test_sets)


def recommended(summary: Summary) -> list[str]:
    report = make_report(summary, make_plots(summary))
    (section,) = [one for one in report.sections if one.title == "Which language helps which"]
    return [item for block in section.blocks if isinstance(block, Bullets) for item in block.items]


def test_what_helps_is_recommended_best_first():
    found = summarized(made_up({"": 6, "de": 4, "pl": 2, "en": 8}))
    assert recommended(found) == ["cs: pl, de (all significant)"]
    assert [(one.arm, one.reduction.significant) for one in found.worse] == [(Arm("joint", auxiliary="en"), True)]
    assert found.no_hours == ""


def test_the_same_runs_do_not_differ_from_alone():
    (entry,) = summarized(made_up({"": 5, "de": 5})).transfer
    assert (entry.reduction.value, entry.reduction.low, entry.reduction.high) == (0, 0, 0)


def test_where_nothing_has_learnt_nothing_is_recommended():
    test_set = made_up({"": 10, "de": 10, "pl": 10})
    test_set.hypotheses[Model(Arm("alone"), 60.0, 0)] = [""] * 40
    found = summarized(test_set)
    assert found.no_hours.startswith("no run has learnt")
    assert (recommended(found), found.worse) == (["cs: none of those that were measured"], [])
    assert all(entry.reduction.value > 0 for entry in found.transfer), "chance, which is no help"


def test_where_alone_has_no_error_words_say_so():
    sets = [made_up({"": 5, "de": 4}), made_up({"": 0, "cs": 4}, "de")]
    sets[1].hypotheses[Model(Arm("alone"), 60.0, 0)] = list(sets[1].references)
    found = summarized(*sets)
    assert [(entry.language, entry.arm.auxiliary) for entry in found.transfer] == [("cs", "de")]
    assert any("Alone has no error in de with 1 min" in note for note in found.notes)
