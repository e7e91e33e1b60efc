import itertools
import math
import tracemalloc

import numpy as np
import pytest
from scipy import stats

from speech_mtl.study.statistics.significance import (
    Blocks,
    Seeds,
    blocks,
    fewer,
    paired_p_value,
    percentile_interval,
    resampled_sums,
    seed_deviations,
    varied,
    widening,
)


def within(measured, expected, standard_error):
    """Not further than chance explains; seeds are fixed, so that this never fails by chance."""
    return abs(measured - expected) < 4 * standard_error


def paired_errors(generator, num_utterances=60):
    """(N, 3): errors of A, errors of B, reference lengths. B is better; what is hard for one is hard for the other."""
    lengths = generator.integers(3, 20, num_utterances)
    hard = generator.beta(2, 6, num_utterances)
    return np.stack([generator.binomial(lengths, hard), generator.binomial(lengths, 0.8 * hard), lengths], axis=1)


def test_blocks_are_speakers_if_several_are_known():
    drawn = blocks(["b", "a", "b", "c"], "1234")
    assert (drawn.unit, drawn.of.tolist(), drawn.num_unnamed) == ("speaker", [1, 0, 1, 2], 0)


def test_an_utterance_without_a_speaker_is_a_block_beside_the_speakers():
    drawn = blocks(["b", None, "b", "c", "", "a"], "123456")
    assert (drawn.unit, drawn.of.tolist(), drawn.num_unnamed) == ("speaker", [1, 3, 1, 2, 4, 0], 2)


@pytest.mark.parametrize("speakers", [["a", None, "b"], [None] * 3, ["a", "a", "b"], ["a", "", "b"]])
def test_blocks_are_utterances_otherwise(speakers):
    drawn = blocks(speakers, "123")
    assert (drawn.unit, drawn.of.tolist()) == ("utterance", [0, 1, 2])


def test_the_same_speakers_are_drawn_together_and_others_are_not():
    one, other = blocks(["b", "a", "c", "b"], "1234"), blocks(["a", "a", "b", "b", "c"], "56789")
    assert one.seed == other.seed
    assert one.seed != blocks(["a", "c", "d"], "123").seed
    assert blocks([None] * 2, ["1", "2"]).seed == blocks(["x"] * 2, ["1", "2"]).seed != blocks([None] * 2, "13").seed
    first, second = (
        resampled_sums(np.eye(3)[drawn.of], drawn.of, 200, drawn.seed) / np.bincount(drawn.of) for drawn in (one, other)
    )
    assert np.array_equal(first, second)


def test_replicates_are_distributed_as_all_resamples():
    columns = np.array([[0, 5], [3, 7], [1, 4], [9, 10], [2, 3], [1, 1]])
    block_of = np.array([0, 1, 2, 3, 2, 0])
    by_block = [columns[block_of == block].sum(axis=0) for block in range(4)]
    every = np.array([np.sum(drawn, axis=0) for drawn in itertools.product(by_block, repeat=4)], dtype=float)
    assert len(every) == 4**4
    drawn = resampled_sums(columns, block_of, 40_000)
    for column in range(2):
        error = every[:, column].std() / math.sqrt(len(drawn))
        assert within(drawn[:, column].mean(), every[:, column].mean(), error)
        squares = (every[:, column] - every[:, column].mean()) ** 2
        assert within(drawn[:, column].var(), squares.mean(), squares.std() / math.sqrt(len(drawn)))
    # The whole distribution of the rates, value by value.
    values, frequencies = np.unique(every[:, 0] / every[:, 1], return_counts=True)
    rates = drawn[:, 0] / drawn[:, 1]
    assert np.isin(rates, values).all()
    for value, share in zip(values, frequencies / len(every), strict=True):
        assert within(np.mean(rates == value), share, math.sqrt(share * (1 - share) / len(drawn)))
    low, high = percentile_interval(rates, 0.1)
    assert np.mean(every[:, 0] / every[:, 1] < low) <= 0.1 <= np.mean(every[:, 0] / every[:, 1] <= low)
    assert np.mean(every[:, 0] / every[:, 1] > high) <= 0.1 <= np.mean(every[:, 0] / every[:, 1] >= high)


def test_interval_is_that_of_scipy():
    columns = paired_errors(np.random.default_rng(3))

    def difference(a, b, lengths, axis=-1):
        return (b.sum(axis) - a.sum(axis)) / lengths.sum(axis)

    theirs = stats.bootstrap(
        columns.T, difference, paired=True, method="percentile", n_resamples=20_000, rng=np.random.default_rng(4)
    )
    sums = resampled_sums(columns, np.arange(len(columns)), 20_000)
    ours = (sums[:, 1] - sums[:, 0]) / sums[:, 2]
    # A quantile of 20,000 draws is uncertain by sqrt(0.025 0.975 / 20,000) in its level, by this in its value.
    error = math.sqrt(2 * 0.025 * 0.975 / 20_000) / stats.norm.pdf(1.96) * theirs.standard_error
    low, high = percentile_interval(ours)
    assert within(low, theirs.confidence_interval.low, error)
    assert within(high, theirs.confidence_interval.high, error)
    assert within(ours.std(), theirs.standard_error, theirs.standard_error / math.sqrt(20_000))


def test_columns_and_calls_are_paired():
    columns = paired_errors(np.random.default_rng(5))
    utterances = np.arange(len(columns))
    sums = resampled_sums(columns, utterances, 500)
    assert np.array_equal(resampled_sums(columns[:, [2, 0]], utterances, 500), sums[:, [2, 0]])
    assert np.array_equal(resampled_sums(columns, utterances, 200), sums[:200])
    assert not np.array_equal(resampled_sums(columns, utterances, 500, seed=1), sums)
    twice = resampled_sums(np.stack([columns[:, 0], 2 * columns[:, 0]], axis=1), utterances, 500)
    assert np.array_equal(twice[:, 1], 2 * twice[:, 0])
    assert np.ptp(twice[:, 0]) > 0


def test_a_block_is_drawn_whole_whatever_its_number():
    columns = np.array([[1, 0], [1, 0], [0, 10], [1, 0]])
    sums = resampled_sums(columns, np.array([7, 7, -2, 7]), 300)
    assert {tuple(row) for row in sums.tolist()} == {(6.0, 0.0), (3.0, 10.0), (0.0, 20.0)}


def test_sums_are_exact_beyond_single_precision():
    columns = np.full((3, 1), 2**30 + 1)
    assert (resampled_sums(columns, np.arange(3), 50) == 3 * (2**30 + 1)).all()


def test_memory_does_not_grow_with_replications():
    columns = paired_errors(np.random.default_rng(6), 500)

    def peak(num_replications):
        tracemalloc.start()
        result = resampled_sums(columns, np.arange(500), num_replications)
        _, most = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        return most - result.nbytes

    peak(10)
    few, many = peak(2_000), peak(20_000)
    assert many < few + 200_000  # 20,000 replications in one piece would take 80 MB
    assert few < 10_000_000


def coverage(simulate, true_rate, num_simulations, confidence=0.95, widen=False):
    """Share of simulated test sets whose interval holds the true rate."""
    generator, hits = np.random.default_rng(7), 0
    for number in range(num_simulations):
        columns, block_of = simulate(generator)
        sums = resampled_sums(columns, block_of, 500, seed=number)
        replicates, rate = sums[:, 0] / sums[:, 1], columns[:, 0].sum() / columns[:, 1].sum()
        if widen:
            replicates = rate + widening(Blocks("speaker", block_of, number), 500) * (replicates - rate)
        low, high = percentile_interval(replicates, (1 - confidence) / 2)
        hits += low <= true_rate <= high
    return hits / num_simulations


def test_interval_covers_the_true_rate():
    def simulate(generator):
        columns = paired_errors(generator, 100)
        return columns[:, [0, 2]], np.arange(100)

    for confidence in (0.95, 0.6):
        share = coverage(simulate, 0.25, 300, confidence)
        assert within(share, confidence, math.sqrt(confidence * (1 - confidence) / 300))


def test_interval_over_speakers_covers_where_that_over_utterances_does_not():
    speakers = np.repeat(np.arange(40), 15)

    def errors_of_speakers(generator):
        hard = generator.beta(2, 6, 40)[speakers]
        return np.stack([generator.binomial(10, hard), np.full(len(speakers), 10)], axis=1)

    of_speakers = coverage(lambda generator: (errors_of_speakers(generator), speakers), 0.25, 300)
    of_utterances = coverage(lambda generator: (errors_of_speakers(generator), np.arange(len(speakers))), 0.25, 300)
    expected = 1 - 2 * stats.t.sf(1.96 * math.sqrt(39 / 40), 39)  # of the mean of 40 resampled values
    assert within(of_speakers, expected, math.sqrt(expected * (1 - expected) / 300))
    assert of_utterances < 0.75


@pytest.mark.parametrize(("number", "without"), [(3, 0.75), (4, 0.8), (10, 0.9)])
def test_intervals_over_few_blocks_cover_once_they_are_widened(number, without):
    def simulate(generator):
        return np.stack([generator.normal(3, 1, number), np.ones(number)], axis=1), np.arange(number)

    narrow, wide = (coverage(simulate, 3.0, 600, widen=widen) for widen in (False, True))
    assert within(narrow, without, math.sqrt(0.2 * 0.8 / 600))
    assert within(wide, 0.95, math.sqrt(0.05 * 0.95 / 600))


def test_widened_means_have_the_interval_of_the_t_test():
    """SciPy's, from the mean of ten blocks and its standard error."""
    values = np.random.default_rng(8).normal(3, 1, 10)
    theirs = stats.t.interval(0.95, 9, values.mean(), stats.sem(values))
    columns, drawn = np.stack([values, np.ones(10)], axis=1), Blocks("speaker", np.arange(10), 0)
    sums = resampled_sums(columns, drawn.of, 40_000, drawn.seed)
    means = values.mean() + widening(drawn, 40_000) * (sums[:, 0] / sums[:, 1] - values.mean())
    assert percentile_interval(means) == pytest.approx(theirs, abs=0.1 * (theirs[1] - values.mean()))
    assert np.array_equal(widening(Blocks("utterance", np.zeros(3, int), 0), 5), np.ones(5))


def test_p_value_counts_the_smaller_side():
    assert paired_p_value(np.array([-1.0] * 95 + [1.0] * 4)) == pytest.approx(2 * 5 / 100)
    assert paired_p_value(np.array([1.0] * 95 + [-1.0] * 4)) == pytest.approx(2 * 5 / 100)
    assert paired_p_value(np.array([-1.0] * 90 + [0.0] * 5 + [1.0] * 4)) == pytest.approx(2 * 10 / 100)
    assert paired_p_value(np.full(999, -1.0)) == pytest.approx(2 / 1000)
    assert paired_p_value(np.zeros(999)) == 1.0
    assert paired_p_value(np.array([-1.0, 1.0])) == 1.0


def test_p_value_is_that_of_a_normal_difference():
    generator = np.random.default_rng(8)
    columns = np.stack([generator.normal(0.15, 1, 200), np.ones(200)], axis=1)
    differences = resampled_sums(columns, np.arange(200), 20_000)[:, 0]
    z = columns[:, 0].mean() / columns[:, 0].std() * math.sqrt(200)
    expected = 2 * stats.norm.sf(abs(z))
    assert 0.001 < expected < 0.2
    assert within(paired_p_value(differences), expected, 2 * math.sqrt(expected / 2 / 20_000) + 0.03 * expected)


def test_p_values_of_equal_systems_are_uniform():
    generator, p_values = np.random.default_rng(9), []
    for number in range(400):
        lengths = generator.integers(3, 20, 80)
        hard = generator.beta(2, 6, 80)
        a, b = generator.binomial(lengths, hard), generator.binomial(lengths, hard)
        sums = resampled_sums(np.stack([b - a, lengths], axis=1), np.arange(80), 400, seed=number)
        p_values.append(paired_p_value(sums[:, 0] / sums[:, 1]))
    for level in (0.05, 0.2, 0.5):
        assert within(np.mean(np.array(p_values) <= level), level, math.sqrt(level * (1 - level) / 400))


def test_fewer_errors_are_a_share_of_the_others_and_none_where_both_are_the_same():
    own, other = np.array([0.1, 0.2, 0.0, 0.0, 0.1]), np.array([0.2, 0.1, 0.0, 0.4, 0.0])
    assert fewer(own, other, 0.05).tolist() == pytest.approx([0.5, -1.0, 0.0, 1.0, -2.0])


def seeds_of(rates, pool="alone", budget_s=600.0, first=0, runs=None) -> Seeds:
    return Seeds(pool, budget_s, dict(enumerate(map(float, rates), first)), runs or (pool, budget_s, tuple(rates)))


def made_up_rates(*shape: int, spread: float = 0.15, common: float = 0.0, seed: int = 10) -> np.ndarray:
    """Arms by seeds; `common`: what all arms of a seed have in common."""
    generator = np.random.default_rng(seed)
    effects = generator.normal(0, spread, shape) + common * generator.normal(size=shape[-1])
    return 0.2 * np.exp(effects)


def is_students(deviations: np.ndarray, scale: float, degrees_of_freedom: int) -> bool:
    """Whether quantiles of deviations are those of Student's distribution times a scale, as far as chance allows."""
    return all(
        within(
            np.mean(deviations <= scale * stats.t.ppf(level, degrees_of_freedom)),
            level,
            math.sqrt(level * (1 - level) / len(deviations)),
        )
        for level in (0.025, 0.25, 0.5, 0.8, 0.975)
    )


def test_the_spread_of_seeds_is_pooled_over_budgets():
    cells = [seeds_of([0.2, 0.3, 0.25]), seeds_of([0.1], budget_s=60.0), seeds_of([0.05, 0.06], budget_s=120.0)]
    logs = [np.log(list(cell.rates.values())) for cell in cells]
    sd = math.sqrt((2 * logs[0].var(ddof=1) + logs[2].var(ddof=1)) / 3)
    for cell, deviations in zip(cells, seed_deviations(cells, 40_000, 0), strict=True):
        assert is_students(deviations, sd / math.sqrt(len(cell.rates)), 3)


def test_two_arms_with_the_same_seeds_have_the_interval_of_the_paired_t_test():
    """scipy's interval of the mean difference of the logarithms."""
    rates = made_up_rates(2, 4, spread=0.05, common=0.3)
    theirs = stats.ttest_rel(*np.log(rates)).confidence_interval()
    one, other = seed_deviations([seeds_of(rates[0]), seeds_of(rates[1], "joint")], 40_000, 0)
    assert is_students(one - other, (theirs.high - theirs.low) / 2 / stats.t.ppf(0.975, 3), 3)
    assert np.std(one - other) < 0.5 * np.std(one), "what the seeds have in common is gone"


def test_pairs_are_pooled_over_budgets():
    budgets, rates = (600.0, 1200.0, 2400.0), made_up_rates(3, 2, 3)
    cells = [seeds_of(rates[i, j], arm, b) for i, b in enumerate(budgets) for j, arm in enumerate(("alone", "joint"))]
    deviations = seed_deviations(cells, 40_000, 0)
    differences = np.log(rates[:, 0] / rates[:, 1])
    sd = math.sqrt(differences.var(axis=1, ddof=1).mean())
    for i in range(3):
        assert is_students(deviations[2 * i] - deviations[2 * i + 1], sd / math.sqrt(3), 6)
    correlation = stats.spearmanr(deviations[0], deviations[2]).statistic
    assert abs(correlation) < 4 / math.sqrt(40_000), "budgets are other runs"


def test_variants_differ_by_the_rest_of_the_analysis_of_variance():
    rates = made_up_rates(5, 4, spread=0.1, common=0.3)
    deviations = seed_deviations([seeds_of(own, "multilingual") for own in rates], 40_000, 0)
    logs = np.log(rates)
    rest = logs - logs.mean(axis=0) - logs.mean(axis=1, keepdims=True) + logs.mean()
    scale = math.sqrt(2 * np.sum(rest**2) / (4 * 3) / 4)
    assert is_students(deviations[0] - deviations[1], scale, 12)
    assert is_students(deviations[4] - deviations[2], scale, 12)
    common = (logs.mean(axis=0) - logs.mean()).var(ddof=1) / 4 * 3
    whole = common + np.sum(rest**2) / (4 * 3) * (1 - 1 / 5) / 4 * 12 / 10  # t has the variance df / (df - 2)
    assert np.quantile(deviations[3], 0.5) == pytest.approx(0, abs=0.01)
    assert np.var(deviations[3]) == pytest.approx(whole, rel=0.15)


def test_the_same_runs_under_two_names_are_the_same_and_count_once():
    cells = [seeds_of(own, "multilingual") for own in made_up_rates(3, 3)]
    alone = seeds_of([0.4, 0.5, 0.45])
    named_anew = alone._replace(pool="foo"), cells[1]._replace(), alone._replace(budget_s=900.0)
    found = seed_deviations([alone, *cells, *named_anew], 1000, 0)
    assert np.array_equal(found[4], found[0])
    assert np.array_equal(found[5], found[2])
    assert np.array_equal(found[6], found[0])
    for one, other in zip(found, seed_deviations([alone, *cells], 1000, 0), strict=False):
        assert is_near(one, other)


def is_near(one: np.ndarray, other: np.ndarray) -> bool:
    return bool(
        np.allclose(np.quantile(one, [0.1, 0.5, 0.9]), np.quantile(other, [0.1, 0.5, 0.9]), atol=0.2 * one.std())
    )


def test_other_seeds_are_no_pairs():
    rates = made_up_rates(4)
    same, shifted = ([seeds_of(rates), seeds_of(rates * 0.7, "joint", first=first)] for first in (0, 4))
    one, other = seed_deviations(same, 40_000, 0)
    assert np.allclose(one, other, atol=1e-12)
    one, other = seed_deviations(shifted, 40_000, 0)
    assert abs(stats.spearmanr(one, other).statistic) < 4 / math.sqrt(40_000)
    assert is_students(one, np.log(rates).std(ddof=1) / 2, 3)


def test_without_two_seeds_of_a_budget_nothing_is_known_of_their_spread():
    cells = [seeds_of([0.2]), seeds_of([0.1], budget_s=60.0), seeds_of([0.3], "joint", first=1)]
    assert not np.any(seed_deviations(cells, 100, 0))
    assert seed_deviations([], 100, 0) == []


def test_one_seed_beside_several_varies_as_these_do():
    rates = made_up_rates(2, 3)
    cells = [seeds_of(rates[0]), seeds_of(rates[1], budget_s=60.0), seeds_of([0.3], "joint")]
    (*_, lent) = seed_deviations(cells, 40_000, 0)
    assert is_students(lent, math.sqrt(np.log(rates).var(axis=1, ddof=1).mean()), 4)


@pytest.mark.parametrize("num_budgets", [1, 4])
def test_a_difference_from_one_seed_is_covered(num_budgets):
    """Three seeds alone, one of the other arm."""

    def simulate(generator):
        cells = [
            seeds_of(0.2 * np.exp(generator.normal(0, 0.15, size)), pool, 60.0 * budget, runs=(pool, budget))
            for budget in range(num_budgets)
            for pool, size in (("alone", 3), ("joint", 1))
        ]
        return cells, lambda found: found[0] - found[1]

    assert within(share_covered(simulate), 0.95, math.sqrt(0.95 * 0.05 / 300))


def test_seeds_that_do_not_differ_change_nothing():
    replicates = np.random.default_rng(11).uniform(size=100)
    (deviations,) = seed_deviations([seeds_of([0.2, 0.2, 0.2])], 100, 0)
    assert np.array_equal(varied(replicates, deviations), replicates)


def test_one_degree_of_freedom_stays_finite():
    (deviations,) = seed_deviations([seeds_of([1e-3, 1.0])], 100_000, 0)
    huge = varied(np.full(100_000, 0.3), deviations)
    assert huge.max() > 1e100
    assert np.isfinite(huge / huge[::-1]).all()
    assert np.isfinite(huge - huge[::-1]).all()


def share_covered(simulate, num_simulations: int = 300) -> float:
    """How often the interval of a difference or mean of deviations holds the error of the simulated one."""
    generator, covered = np.random.default_rng(13), 0
    for number in range(num_simulations):
        cells, error_of = simulate(generator)
        low, high = percentile_interval(error_of(seed_deviations(cells, 1000, number)))
        truth = error_of([np.log(list(cell.rates.values())).mean() - math.log(0.2) for cell in cells])
        covered += low <= truth <= high
    return covered / num_simulations


@pytest.mark.parametrize("common", [0.0, 0.3])
@pytest.mark.parametrize("pools", [("alone", "joint"), ("a", "a"), ("alone", "b", "b", "b", "b")])
def test_a_difference_is_covered_whatever_seeds_have_in_common(pools, common):
    """Three seeds of each arm, at two budgets."""

    def simulate(generator):
        cells = [
            seeds_of(
                0.2 * np.exp(generator.normal(0, 0.15, 3) + common * effects), pool, budget_s, runs=(place, budget_s)
            )
            for budget_s in (600.0, 1200.0)
            for effects in [generator.normal(size=3)]
            for place, pool in enumerate(pools)
        ]
        return cells, lambda found: found[0] - found[1]

    share = share_covered(simulate)
    assert share > 0.95 - 4 * math.sqrt(0.95 * 0.05 / 300)
    if pools == ("alone", "joint"):
        assert within(share, 0.95, math.sqrt(0.95 * 0.05 / 300)), "it is the paired t test"


def test_means_are_covered_where_cells_lack_seeds():
    """Two variants, of which one has a second budget, and the other fewer seeds."""

    def simulate(generator):
        sizes = ((600.0, 4), (600.0, 3), (1200.0, 4))
        cells = [
            seeds_of(0.2 * np.exp(generator.normal(0, 0.15, size)), "a", b, runs=i)
            for i, (b, size) in enumerate(sizes, 1)
        ]
        return cells, lambda found: found[2]

    assert share_covered(simulate) > 0.95 - 4 * math.sqrt(0.95 * 0.05 / 300)


def test_resampled_seeds_cover_too_little():
    """Three seeds at each of four budgets; the true rate is that of the median training."""

    def simulate(generator):
        rates = 0.2 * np.exp(generator.normal(0, 0.15, (4, 3)))
        return [seeds_of(own, budget_s=60.0 * i) for i, own in enumerate(rates, 1)], lambda found: found[0]

    assert within(share_covered(simulate, 400), 0.95, math.sqrt(0.95 * 0.05 / 400))
    generator, covered = np.random.default_rng(13), 0
    for _ in range(400):
        logs = generator.normal(0, 0.15, 3)
        drawn = logs[generator.integers(3, size=(1000, 3))].mean(axis=1)
        assert len(np.unique(drawn.round(12))) <= 10
        low, high = percentile_interval(drawn)
        covered += low <= 0 <= high
    assert covered / 400 < 0.85
