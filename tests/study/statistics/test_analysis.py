"""From rows and hypotheses to a summary, on made-up recognisers whose true error rates are known."""

import itertools
import math
from dataclasses import replace
from statistics import fmean

import jiwer
import numpy as np
import pytest
from made_up_rows import origin
from scipy import stats

from speech_mtl.errors import InputError
from speech_mtl.study.results import json_files
from speech_mtl.study.statistics.analysis import bootstrap, language_errors, summarize
from speech_mtl.study.statistics.hypotheses import Model, TestSet
from speech_mtl.study.statistics.rows import Arm, ResultRow
from speech_mtl.study.statistics.summary import Hours, Summary
from speech_mtl.study.statistics.training import Effort

BUDGETS = (600.0, 1200.0, 2400.0)
ALONE, JOINT, FOO, HALF, BAR = Arm("alone"), Arm("joint"), Arm("foo"), Arm("half"), Arm("joint", "bar")
RATES = {"alone": (0.4, 0.2, 0.1), "joint": (0.2, 0.1, 0.2)}
"""True share of wrong characters by arm and budget: joint saves half, and does harm at the largest budget."""


def distorted(reference: str, rate: float, generator: np.random.Generator) -> str:
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
                made.add(model, made.ids, [distorted(text, rate * 14 / 12, generator) for text in references])
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
    return summarize(origin(2000), rows_of(test_set), [test_set])


def test_rates_are_those_of_the_rows(summary: Summary):
    rows = rows_of(made_up())
    for arm in summary.arms:
        own = [row for row in rows if (row["arm"], row["budget_s"]) == (arm.arm, arm.budget_s)]
        assert arm.cer_by_seed == pytest.approx([row["cer"] for row in own])
        assert arm.cer.value == pytest.approx(fmean(row["cer"] or 0 for row in own))
        assert arm.wer.value == pytest.approx(fmean(row["wer"] or 0 for row in own))
        assert (arm.seeds, arm.effort) == ([0, 1, 2], Effort(101, 60.0))


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
    assert (worse.language, worse.arm.name, worse.budget_s, worse.reduction.significant) == (
        "cs",
        "joint",
        2400.0,
        True,
    )
    assert worse.reduction.value == pytest.approx(-1.0, abs=0.3)


def test_without_seeds_the_summary_says_that_it_knows_nothing_of_them():
    test_set = made_up(seeds=(0,))
    one = summarize(origin(500), rows_of(test_set), [test_set])
    assert any("one seed only" in note for note in one.notes)
    assert all(len(arm.seeds) == 1 for arm in one.arms)


def test_seeds_that_differ_widen_the_interval():
    """The same hypotheses, but one seed of three is far worse: the test set is as certain, training is not."""
    alike, other = made_up(arms=("alone",)), made_up(arms=("alone",))
    generator = np.random.default_rng(1)
    for model, texts in other.hypotheses.items():
        if model.seed == 2:
            other.hypotheses[model] = [distorted(text, 0.3, generator) for text in texts]
    near, far = (bootstrap(t, 2000).cer[Arm("alone"), 600.0].estimate() for t in (alike, other))
    assert far.high - far.low > 3 * (near.high - near.low)


def test_speakers_are_drawn_where_they_are_known():
    named, unnamed = (bootstrap(made_up(speakers=number), 200).drawn for number in (12, 0))
    assert (named.unit, named.number) == ("speaker", 12)
    assert (unnamed.unit, unnamed.number) == ("utterance", 300)


def test_without_alone_reductions_cannot_be_given_and_words_say_so():
    test_set = made_up(arms=("joint",))
    found = summarize(origin(200), rows_of(test_set), [test_set])
    assert found.equivalent_hours == found.worse == []
    assert all(arm.reduction is None for arm in found.arms)
    assert any("cannot be given" in note for note in found.notes)


def test_cells_that_lack_a_seed_are_named():
    test_set = made_up()
    del test_set.hypotheses[Model(Arm("joint"), 600.0, 2)]
    found = summarize(origin(200), rows_of(test_set), [test_set])
    assert any("2 to 3" in note for note in found.notes)


def test_utterances_that_not_all_have_are_left_out_and_words_say_so():
    test_set = made_up(seeds=(0,))
    rows = rows_of(test_set)
    test_set.add(Model(Arm("alone"), 600.0, 0), test_set.ids[:290], test_set.references[:290])
    found = summarize(origin(200), rows, [test_set])
    assert any(note.startswith("10 test utterances that not every model") for note in found.notes)
    assert not any("left out" in note for note in summarize(origin(200), rows_of(made_up()), [made_up()]).notes)


def test_no_errors_at_all_give_figures_and_no_warning():
    test_set = made_up(seeds=(0,))
    for model in test_set.hypotheses:
        test_set.hypotheses[model] = list(test_set.references)
    found = summarize(origin(200), rows_of(test_set), [test_set])
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


def test_runs_of_several_targets_are_not_pooled_by_language():
    """Rows do not name their target: the error of German in runs for Czech is not that in runs for German."""
    test_set = made_up(arms=("alone", "joint"))
    rows, other = rows_of(test_set), replace(test_set, language="de")
    assert summarize(origin(200), rows, [test_set]).languages
    assert not summarize(origin(200), rows, [test_set, other]).languages


# What is compared is paired.


def counted(errors: dict[Model, list[int]], lengths: list[int], speakers: list[str] | None = None) -> TestSet:
    """A test set in which each model has so many wrong letters in each utterance."""
    ids = [str(i) for i in range(len(lengths))]
    made = TestSet("cs", True, ids, list(speakers or [None] * len(lengths)), ["a" * length for length in lengths])
    for model, wrong in errors.items():
        made.add(model, ids, ["x" * w + "a" * (n - w) for w, n in zip(wrong, lengths, strict=True)])
    return made


def within_chance(share: float, level: float, num_replications: int, ties: float = 0.0) -> bool:
    return abs(share - level) < 4 * math.sqrt(level * (1 - level) / num_replications) + ties


def test_intervals_are_those_of_every_draw_of_speakers_and_seeds():
    """The second source counts: all 4 ** 4 draws of speakers, times 999 quantiles of the factors by which these are
    widened, and over seeds the t test."""
    lengths = [20, 30, 25, 40, 10, 35]
    speakers = ["a", "b", "c", "d", "c", "a"]
    errors = {
        Model(ALONE, 60.0, 0): [9, 12, 5, 20, 4, 10],
        Model(ALONE, 60.0, 1): [11, 14, 8, 22, 5, 15],
        Model(ALONE, 60.0, 2): [8, 10, 6, 19, 5, 11],
        Model(JOINT, 60.0, 0): [8, 11, 4, 20, 3, 10],
        Model(JOINT, 60.0, 1): [9, 16, 6, 21, 5, 13],
        Model(JOINT, 60.0, 2): [7, 10, 5, 16, 6, 8],
    }
    of_speaker = np.array([[name == speaker for name in speakers] for speaker in "abcd"], dtype=float)
    sums = {model: of_speaker @ np.array(wrong) for model, wrong in errors.items()}
    draws = np.array(list(itertools.product(range(4), repeat=4)))
    drawn_lengths = (of_speaker @ np.array(lengths))[draws].sum(axis=1)
    factors = np.sqrt(4 / stats.chi2.ppf((np.arange(999)[:, None] + 0.5) / 999, 3))
    rates = {}
    for model, own in sums.items():
        whole = own.sum() / sum(lengths)
        rates[model] = np.maximum(whole + factors * (own[draws].sum(axis=1) / drawn_lengths - whole), 1e-9)
    alone, joint = (np.mean([rates[Model(arm, 60.0, s)] for s in range(3)], axis=0) for arm in (ALONE, JOINT))
    logs = np.log([[sum(errors[Model(arm, 60.0, s)]) for s in range(3)] for arm in (ALONE, JOINT)])
    of_alone, of_both = (own.std(ddof=1) / math.sqrt(3) for own in (logs[0], logs[1] - logs[0]))
    below = {
        ALONE: lambda value: np.mean(stats.t.cdf(np.log(value / alone) / of_alone, 2)),
        "reduction": lambda value: np.mean(stats.t.sf(np.log((1 - value) / (joint / alone)) / of_both, 2)),
    }
    sampled = bootstrap(counted(errors, lengths, speakers), 20_000)
    reduction = sampled.reduction((JOINT, 60.0))
    assert reduction is not None
    for name, found in ((ALONE, sampled.cer[ALONE, 60.0].estimate()), ("reduction", reduction)):
        assert within_chance(float(below[name](found.low)), 0.025, 20_000, ties=2 / 999)
        assert within_chance(float(below[name](found.high)), 0.975, 20_000, ties=2 / 999)
    worse = float(below["reduction"](0))
    differences = sampled.cer[JOINT, 60.0].replicates - sampled.cer[ALONE, 60.0].replicates
    assert 0.01 < worse < 0.99
    assert within_chance(float(np.mean(differences >= 0)), worse, 20_000, ties=2 / 999)


def test_with_one_seed_the_interval_is_that_of_scipy():
    test_set = made_up(seeds=(0,))
    sampled = bootstrap(test_set, 20_000)
    wrong = [
        np.array(
            [jiwer.process_characters(r, h).substitutions for r, h in zip(test_set.references, hypotheses, strict=True)]
        )
        for hypotheses in (test_set.hypotheses[Model(arm, 600.0, 0)] for arm in (ALONE, JOINT))
    ]
    theirs = stats.bootstrap(
        wrong,
        lambda alone, joint, axis=-1: 1 - joint.sum(axis) / alone.sum(axis),
        paired=True,
        method="percentile",
        n_resamples=20_000,
        rng=np.random.default_rng(1),
    )
    ours = sampled.reduction((JOINT, 600.0))
    assert ours is not None
    assert ours.value == pytest.approx(1 - wrong[1].sum() / wrong[0].sum())
    # A quantile of 20,000 draws is uncertain by sqrt(0.025 0.975 / 20,000) in its level.
    error = 4 * math.sqrt(2 * 0.025 * 0.975 / 20_000) / stats.norm.pdf(1.96) * theirs.standard_error
    assert ours.low == pytest.approx(theirs.confidence_interval.low, abs=error)
    assert ours.high == pytest.approx(theirs.confidence_interval.high, abs=error)


def named_anew(test_set: TestSet, arm: Arm, name: Arm) -> TestSet:
    """The same runs under one name more, the last one first."""
    hypotheses = reversed(test_set.hypotheses.items())
    again = {model._replace(arm=name): texts for model, texts in hypotheses if model.arm == arm}
    return replace(test_set, hypotheses=test_set.hypotheses | again)


@pytest.mark.parametrize("seeds", [(0,), (0, 1, 2)])
@pytest.mark.parametrize("speakers", [0, 7])
def test_the_same_runs_under_another_name_do_not_differ(seeds: tuple[int, ...], speakers: int):
    test_set = named_anew(named_anew(made_up(seeds, speakers=speakers), ALONE, FOO), JOINT, BAR)
    found = summarize(origin(500), rows_of(test_set), [test_set])
    arms = {(arm.arm, arm.budget_s): arm for arm in found.arms}
    worth = {(one.arm, one.budget_s): one for one in found.equivalent_hours}
    for budget_s in BUDGETS:
        alone, foo = arms[ALONE, budget_s], arms[FOO, budget_s]
        assert (foo.cer, foo.wer) == (alone.cer, alone.wer)
        assert foo.reduction is not None
        assert (foo.reduction.value, foo.reduction.low, foo.reduction.high, foo.p_value) == (0, 0, 0, 1)
        assert foo.mapsswe_z == [0.0] * len(seeds)
        own = Hours("=", budget_s / 3600)
        assert [worth[FOO, budget_s].hours, worth[FOO, budget_s].low, worth[FOO, budget_s].high] == [own] * 3
        joint, bar = arms[JOINT, budget_s], arms[BAR, budget_s]
        assert (bar.cer, bar.reduction, bar.p_value) == (joint.cer, joint.reduction, joint.p_value)
        assert worth[BAR, budget_s].low == worth[JOINT, budget_s].low
    assert not [worse for worse in found.worse if worse.arm == FOO]


def test_seeds_are_pairs_and_what_they_have_in_common_is_no_difference():
    """Seed 2 is bad for both arms: each arm's error is uncertain, their difference is not."""
    lengths = [50] * 40
    wrong = {0: 10, 1: 11, 2: 25}
    generator = np.random.default_rng(3)
    errors = {
        Model(arm, 60.0, seed): (generator.binomial(1, 0.5, 40) + round(number * factor)).tolist()
        for arm, factor in ((ALONE, 1.0), (JOINT, 0.8))
        for seed, number in wrong.items()
    }
    sampled = bootstrap(counted(errors, lengths), 4000)
    reduction = sampled.reduction((JOINT, 60.0))
    assert reduction is not None
    assert 0.1 < reduction.low < reduction.high < 0.3
    assert sampled.cer[ALONE, 60.0].estimate().high > 2 * sampled.cer[ALONE, 60.0].estimate().low
    other = {model._replace(seed=model.seed + 3 * (model.arm == JOINT)): own for model, own in errors.items()}
    unpaired = bootstrap(counted(other, lengths), 4000).reduction((JOINT, 60.0))
    assert unpaired is not None
    assert unpaired.low < 0 < unpaired.high, "seeds that differ are no pairs"


# What cannot be measured.


def assert_finite(summary: Summary):
    for name, text in json_files(summary).items():
        assert not {"NaN", "Infinity", "-Infinity"} & set(text.replace(",", " ").split()), name


@pytest.mark.parametrize("seeds", [(0,), (0, 1, 2)])
def test_where_nothing_has_learnt_there_are_no_hours_and_words_say_why(seeds: tuple[int, ...]):
    test_set = made_up(seeds)
    test_set.hypotheses = {model: [""] * 300 for model in test_set.hypotheses}
    found = summarize(origin(300), rows_of(test_set), [test_set])
    assert found.equivalent_hours == found.worse == []
    assert found.no_hours.startswith("no run has learnt: every character error rate is 90 % or more")
    assert "more updates" in found.no_hours
    assert [(one.arm, one.budget_s, one.seeds) for one in found.not_learnt] == [
        (arm, budget_s, list(seeds)) for budget_s in BUDGETS for arm in (ALONE, JOINT)
    ]
    assert any("alone with 10 min; joint with 10 min" in note and "longer warm-up" in note for note in found.notes)
    assert_finite(found)


def rated(rates: dict[Arm, tuple[float, ...]], seeds: tuple[int, ...] = (0,)) -> TestSet:
    """Arms by their share of wrong letters at each budget."""
    generator = np.random.default_rng(0)
    errors = {
        Model(arm, budget_s, seed): generator.binomial(20, rate, 200).tolist()
        for arm, own in rates.items()
        for budget_s, rate in zip(BUDGETS, own, strict=True)
        for seed in seeds
    }
    return counted(errors, [20] * 200)


def summed_up(test_set: TestSet) -> Summary:
    found = summarize(origin(500), rows_of(test_set), [test_set])
    assert_finite(found)
    return found


@pytest.mark.parametrize(
    ("rates", "reason"),
    [
        ({ALONE: (0.95, 0.96, 0.99), JOINT: (0.3, 0.3, 0.2)}, "alone has not learnt with any amount of speech"),
        ({ALONE: (0.5, 0.4, 0.3), JOINT: (0.99, 0.98, 0.99)}, "nothing but alone has learnt"),
        ({ALONE: (0.5, 0.5, 0.5), JOINT: (0.4, 0.3, 0.2)}, "the curve of alone does not fall: its error is 51."),
        ({ALONE: (0.3, 0.4, 0.5), JOINT: (0.4, 0.3, 0.2)}, "the curve of alone does not fall: its error is 31."),
    ],
)
def test_hours_that_cannot_be_read_off_are_not_given(rates: dict[Arm, tuple[float, ...]], reason: str):
    found = summed_up(rated(rates))
    assert found.equivalent_hours == []
    assert found.no_hours.startswith(reason)


def test_cells_that_have_not_learnt_are_left_out_of_curve_and_hours():
    found = summed_up(rated({ALONE: (0.99, 0.4, 0.2), JOINT: (0.3, 0.99, 0.3), HALF: (0.5, 0.3, 0.99)}))
    assert found.no_hours == ""
    worth = {(one.arm, one.budget_s): one for one in found.equivalent_hours}
    assert set(worth) == {(JOINT, 600.0), (JOINT, 2400.0), (HALF, 600.0), (HALF, 1200.0)}
    assert worth[HALF, 600.0].hours == Hours("<", 1200 / 3600), "the curve begins where alone has learnt"
    assert {(one.arm, one.budget_s) for one in found.not_learnt} == {(ALONE, 600), (JOINT, 1200), (HALF, 2400)}


def test_one_run_of_three_that_has_not_learnt_is_named():
    test_set = rated({ALONE: (0.5, 0.4, 0.3), JOINT: (0.4, 0.3, 0.2)}, (0, 1, 2))
    test_set.hypotheses[Model(JOINT, 600.0, 1)] = [""] * 200
    found = summed_up(test_set)
    assert [(one.arm, one.seeds, one.num_seeds) for one in found.not_learnt] == [(JOINT, [1], 3)]
    assert any("joint with 10 min (1 of 3 seeds)" in note for note in found.notes)
    assert len(found.equivalent_hours) == 3


def test_a_curve_that_rises_somewhere_is_named():
    found = summed_up(rated({ALONE: (0.5, 0.2, 0.3), JOINT: (0.4, 0.3, 0.2)}))
    assert len(found.equivalent_hours) == 3
    assert any(note.startswith("Alone has more errors with 40 min than with 20 min") for note in found.notes)


def test_where_alone_has_no_error_others_are_tested_all_the_same():
    found = summed_up(rated({ALONE: (0.2, 0.1, 0.0), JOINT: (0.1, 0.1, 0.1)}))
    joint = next(arm for arm in found.arms if (arm.arm, arm.budget_s) == (JOINT, 2400.0))
    assert joint.reduction is None
    assert joint.p_value is not None
    assert joint.p_value < 0.01
    assert any("Alone has no error in cs with 40 min" in note for note in found.notes)


MANY: dict[str, dict[Model, list[int]]] = {
    "one utterance": {Model(arm, b, 0): [w] for arm, b, w in ((ALONE, 60, 5), (ALONE, 120, 3), (JOINT, 60, 2))},
    "zero errors": {Model(arm, b, s): [0, 0] for arm in (ALONE, JOINT) for b in (60, 120) for s in (0, 1)},
    "equal errors": {Model(arm, b, s): [3, 3] for arm in (ALONE, JOINT) for b in (60, 120) for s in (0, 1)},
    "one budget": {Model(arm, 60, s): [3 + s, 5] for arm in (ALONE, JOINT) for s in (0, 1, 2)},
    "cells that lack a seed": {
        Model(ALONE, 60, 0): [4, 5],
        Model(ALONE, 120, 1): [2, 3],
        Model(JOINT, 60, 1): [2, 1],
        Model(JOINT, 120, 0): [1, 1],
        Model(JOINT, 120, 1): [2, 1],
    },
    "a budget without alone": {
        Model(ALONE, 60, 0): [4, 5],
        Model(JOINT, 60, 0): [3, 5],
        Model(JOINT, 9, 0): [6, 6],
    },
    "everything wrong": {Model(arm, b, s): [10, 10] for arm in (ALONE, JOINT) for b in (60, 120) for s in (0, 1)},
    "two budgets equal": {Model(arm, b, s): [4, 2 + s] for arm in (ALONE, JOINT) for b in (60, 120) for s in (0, 1)},
}


@pytest.mark.parametrize("case", MANY)
@pytest.mark.parametrize("speakers", [None, ["a", "a"], ["a", "b"]])
def test_little_of_anything_gives_figures_that_are_numbers(case: str, speakers: list[str] | None):
    size = len(next(iter(MANY[case].values())))
    test_set = counted(MANY[case], [10, 10][:size], speakers and speakers[:size])
    found = summed_up(test_set)
    assert len(found.arms) == len({(model.arm, model.budget_s) for model in test_set.hypotheses})
    for arm in found.arms:
        for estimate in (arm.cer, arm.wer, arm.reduction):
            assert estimate is None or all(map(math.isfinite, (estimate.value, estimate.low, estimate.high)))
            assert estimate is None or estimate.low <= estimate.high


def test_an_empty_reference_counts_with_what_was_put_in():
    test_set = counted({Model(ALONE, 60.0, 0): [1, 2], Model(JOINT, 60.0, 0): [1, 1]}, [5, 5])
    test_set.references[0] = ""
    (alone, joint) = summed_up(test_set).arms
    assert alone.cer.value == pytest.approx((5 + 2) / 5)
    assert joint.reduction is not None


def test_a_single_word_is_a_test_set():
    test_set = counted({Model(ALONE, 60.0, 0): [1], Model(JOINT, 60.0, 0): [0]}, [1])
    (alone, joint) = summed_up(test_set).arms
    assert (alone.cer.value, joint.cer.value) == (1.0, 0.0)
