"""From rows and hypotheses to a summary, on made-up recognisers whose true error rates are known."""

from statistics import fmean

import jiwer
import numpy as np
import pytest

from speech_mtl.errors import InputError
from speech_mtl.scoring.analysis import bootstrap, language_errors, summarize
from speech_mtl.scoring.hypotheses import Model, TestSet
from speech_mtl.scoring.results import Arm, ResultRow
from speech_mtl.scoring.summary import Hours, Summary

BUDGETS = (600.0, 1200.0, 2400.0)
RATES = {"alone": (0.4, 0.2, 0.1), "joint": (0.2, 0.1, 0.2)}
"""True share of wrong characters by arm and budget: joint saves half, and does harm at the largest budget."""


def heard(reference: str, rate: float, generator: np.random.Generator) -> str:
    return "".join("x" if letter != " " and generator.random() < rate else letter for letter in reference)


def made_up(
    seeds: tuple[int, ...] = (0, 1, 2), arms: tuple[str, ...] = ("joint", "alone"), speakers: int = 0
) -> TestSet:
    generator = np.random.default_rng(0)
    references = [" ".join("".join(generator.choice(list("abc"), 4)) for _ in range(3)) for _ in range(300)]
    names = [f"s{i % speakers}" if speakers else None for i in range(300)]
    made = TestSet("cs", True, [str(i) for i in range(300)], names, references)
    for arm in arms:
        for budget_s, rate in zip(BUDGETS, RATES[arm], strict=True):
            for seed in seeds:
                model = Model(Arm(arm), budget_s, seed)
                made.add(model, made.ids, [heard(text, rate * 14 / 12, generator) for text in references])
    return made


def rows_of(test_set: TestSet) -> list[ResultRow]:
    return [
        {
            "recipe": "made up",
            "arm": model.arm,
            "budget_s": model.budget_s,
            "seed": model.seed,
            "language": test_set.language,
            "split": "test",
            "wer": jiwer.wer(test_set.references, texts),
            "cer": jiwer.cer(test_set.references, texts),
            "num_utterances": 300,
            "num_reference_words": 900,
            "num_reference_characters": 4200,
            "num_updates": 100 + model.seed,
            "num_parameters": 7,
            "wall_time_s": 60.0,
        }
        for model, texts in test_set.hypotheses.items()
    ]


@pytest.fixture(scope="module")
def summary() -> Summary:
    test_set = made_up()
    return summarize("made up", "Made up.", rows_of(test_set), test_set, 2000)


def test_rates_are_those_of_the_rows(summary: Summary):
    rows = rows_of(made_up())
    for arm in summary.arms:
        own = [row for row in rows if (row["arm"], row["budget_s"]) == (arm.arm, arm.budget_s)]
        assert arm.cer_by_seed == pytest.approx([row["cer"] for row in own])
        assert arm.cer.value == pytest.approx(fmean(row["cer"] or 0 for row in own))
        assert arm.wer.value == pytest.approx(fmean(row["wer"] or 0 for row in own))
        assert (arm.seeds, arm.num_updates, arm.num_parameters) == ([0, 1, 2], 101, 7)


def test_arms_come_by_budget_alone_first(summary: Summary):
    assert [(arm.budget_s, arm.arm.name) for arm in summary.arms] == [
        (b, a) for b in BUDGETS for a in ("alone", "joint")
    ]


def test_intervals_hold_the_true_rates(summary: Summary):
    for arm in summary.arms:
        true = RATES[arm.arm.name][BUDGETS.index(arm.budget_s)]
        assert arm.cer.low < true < arm.cer.high
        assert arm.cer.low < arm.cer.value < arm.cer.high
        assert arm.cer.high - arm.cer.low < 0.1


def test_reductions_and_tests_see_what_is_there(summary: Summary):
    by_budget = {arm.budget_s: arm for arm in summary.arms if arm.arm.name == "joint"}
    for budget_s, true in zip(BUDGETS, (0.5, 0.5, -1.0), strict=True):
        arm = by_budget[budget_s]
        assert arm.reduction is not None
        assert arm.reduction.low < true < arm.reduction.high
        assert arm.p_value is not None
        assert arm.p_value < 0.01
        assert len(arm.mapsswe_z) == 3
        assert all(z / true > 5 for z in arm.mapsswe_z)  # the sign is that of the reduction
    assert all(arm.reduction is None and not arm.mapsswe_z for arm in summary.arms if arm.arm.name == "alone")


def test_equivalent_hours_are_those_of_the_true_curve(summary: Summary):
    small, middle, large = summary.equivalent_hours
    assert [e.budget_s for e in summary.equivalent_hours] == list(BUDGETS)
    for found, true in ((small, 1200), (middle, 2400), (large, 1200)):
        assert found.low.hours <= true / 3600 <= found.high.hours
    assert small.factor(small.hours) == pytest.approx(2.0, rel=0.15)
    assert middle.high == Hours(">", 2400 / 3600)  # the true value lies at the edge of what was measured


def test_negative_transfer_is_found_and_nothing_else(summary: Summary):
    (worse,) = summary.worse
    assert (worse.language, worse.arm.name, worse.budget_s, worse.certain) == ("cs", "joint", 2400.0, True)
    assert worse.reduction.value == pytest.approx(-1.0, abs=0.3)


def test_without_seeds_the_summary_says_that_it_knows_nothing_of_them():
    test_set = made_up(seeds=(0,))
    one = summarize("made up", "", rows_of(test_set), test_set, 500)
    assert any("one seed only" in note for note in one.notes)
    assert all(len(arm.seeds) == 1 for arm in one.arms)


def test_seeds_that_differ_widen_the_interval():
    """The same hypotheses, but one seed of three is far worse: the test set is as certain, training is not."""
    alike, other = made_up(arms=("alone",)), made_up(arms=("alone",))
    generator = np.random.default_rng(1)
    for model, texts in other.hypotheses.items():
        if model.seed == 2:
            other.hypotheses[model] = [heard(text, 0.3, generator) for text in texts]
    near, far = (bootstrap(t, 2000).cer[Arm("alone"), 600.0].estimate() for t in (alike, other))
    assert far.high - far.low > 3 * (near.high - near.low)


def test_speakers_are_drawn_where_they_are_known():
    assert (bootstrap(made_up(speakers=12), 200).drawn, bootstrap(made_up(speakers=12), 200).num_drawn) == (
        "speaker",
        12,
    )
    assert (bootstrap(made_up(), 200).drawn, bootstrap(made_up(), 200).num_drawn) == ("utterance", 300)


def test_without_alone_reductions_cannot_be_given_and_words_say_so():
    test_set = made_up(arms=("joint",))
    found = summarize("made up", "", rows_of(test_set), test_set, 200)
    assert found.equivalent_hours == found.worse == []
    assert all(arm.reduction is None for arm in found.arms)
    assert any("cannot be given" in note for note in found.notes)


def test_cells_that_lack_a_seed_are_named():
    test_set = made_up()
    del test_set.hypotheses[Model(Arm("joint"), 600.0, 2)]
    found = summarize("made up", "", rows_of(test_set), test_set, 200)
    assert any("2 to 3" in note for note in found.notes)


def test_utterances_that_not_all_have_are_left_out_and_words_say_so():
    test_set = made_up(seeds=(0,))
    rows = rows_of(test_set)
    test_set.add(Model(Arm("alone"), 600.0, 0), test_set.ids[:290], test_set.references[:290])
    found = summarize("made up", "", rows, test_set, 200)
    assert any(note.startswith("10 test utterances that not every model") for note in found.notes)
    assert not any("left out" in note for note in summarize("", "", rows_of(made_up()), made_up(), 200).notes)


def test_no_errors_at_all_give_figures_and_no_warning():
    test_set = made_up(seeds=(0,))
    for model in test_set.hypotheses:
        test_set.hypotheses[model] = list(test_set.references)
    found = summarize("made up", "", rows_of(test_set), test_set, 200)
    assert all(arm.cer.value == arm.cer.high == 0 for arm in found.arms)
    assert all(arm.reduction is None for arm in found.arms)


@pytest.mark.parametrize("empty", ["utterances", "texts", "models"])
def test_nothing_to_measure_is_refused(empty: str):
    test_set = made_up(seeds=(0,))
    if empty == "utterances":
        test_set = TestSet("cs", True, [], [], [], {model: [] for model in test_set.hypotheses})
    elif empty == "texts":
        test_set.references = [""] * 300
    else:
        test_set.hypotheses = {}
    with pytest.raises(InputError, match="The test set of cs cannot give error rates"):
        bootstrap(test_set, 200)


def test_language_errors_are_means_with_extremes():
    test_set = made_up(arms=("alone",))
    rows = rows_of(test_set)
    first = language_errors(rows)[0]
    cers = [row["cer"] or 0 for row in rows if row["budget_s"] == 600.0]
    assert (first.cer, first.lowest, first.highest) == pytest.approx((fmean(cers), min(cers), max(cers)))
