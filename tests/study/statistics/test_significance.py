import math

import numpy as np
import pytest
from chance import within
from scipy import stats

from speech_mtl.scoring.resampling import percentile_interval, resampled_sums
from speech_mtl.study.statistics.significance import Seeds, fewer, paired_p_value, seed_deviations, varied


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
