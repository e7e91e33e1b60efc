"""Equivalent hours against worked numbers, brute force and scipy."""

import math

import numpy as np
import pytest
from scipy.optimize import isotonic_regression

from speech_mtl.study.statistics.efficiency import equivalent_hours, hours_alone, monotone
from speech_mtl.study.statistics.rows import Arm
from speech_mtl.study.statistics.summary import Hours

HOURS = np.array([1.0, 2.0, 4.0, 8.0])


def curve(*errors: float) -> np.ndarray:
    return np.log(np.array([errors]))


def hours_at(errors: tuple[float, ...], wanted: float) -> float:
    return hours_alone(HOURS, curve(*errors), np.log([wanted]))[0]


def test_monotone_is_isotonic_regression():
    """By the min-max formula: Robertson, Wright and Dykstra 1988, "Order restricted statistical inference", 1.4."""
    errors = np.random.default_rng(0).normal(size=(50, 6))
    expected = [
        [min(max(row[start:end].mean() for end in range(i + 1, 7)) for start in range(i + 1)) for i in range(6)]
        for row in errors
    ]
    np.testing.assert_allclose(monotone(errors), expected, atol=1e-12)


def test_a_power_law_is_read_off_exactly():
    """Error = 0.4 / sqrt(hours): a straight line on logarithmic axes."""
    errors = tuple(0.4 / math.sqrt(h) for h in HOURS)
    for hours in (1.0, 1.5, 2.0, 3.7, 8.0):
        assert hours_at(errors, 0.4 / math.sqrt(hours)) == pytest.approx(hours)


def test_between_two_points_the_line_is_straight_on_logarithmic_axes():
    # From (1 h, 40 %) to (2 h, 10 %): 20 % is half the way down, so it is at sqrt(2) hours.
    assert hours_at((0.4, 0.1, 0.05, 0.02), 0.2) == pytest.approx(math.sqrt(2))


def test_beyond_the_measured_budgets_nothing_is_extrapolated():
    errors = (0.4, 0.3, 0.2, 0.1)
    assert hours_at(errors, 0.41) == 0
    assert hours_at(errors, 0.40) == pytest.approx(1.0)
    assert hours_at(errors, 0.1) == pytest.approx(8.0)
    assert math.isinf(hours_at(errors, 0.099))


def test_a_flat_stretch_counts_with_its_fewest_hours():
    assert hours_at((0.4, 0.2, 0.2, 0.1), 0.2) == pytest.approx(2.0)


def test_a_curve_that_rises_is_levelled_first():
    """20 % and 30 % at 2 and 4 hours count as sqrt(0.2 * 0.3) at both: the mean of their logarithms."""
    errors = (0.4, 0.2, 0.3, 0.1)
    level = math.sqrt(0.2 * 0.3)
    assert hours_at(errors, level * 1.0000001) == pytest.approx(2.0, rel=1e-5)
    assert hours_at(errors, level * 0.9999999) == pytest.approx(4.0, rel=1e-5)


def test_hours_agree_with_a_search_by_bisection():
    """The second source: numpy's interpolation of the levelled curve, searched for the error."""
    generator = np.random.default_rng(1)
    for _ in range(50):
        errors = generator.uniform(0.5, 2.0, len(HOURS)) / HOURS  # falls, now and then not
        level = isotonic_regression(np.log(errors), increasing=False).x
        wanted = generator.uniform(level[-1], level[0])
        low, high = math.log(HOURS[0]), math.log(HOURS[-1])
        for _ in range(60):
            middle = (low + high) / 2
            low, high = (middle, high) if np.interp(middle, np.log(HOURS), level) > wanted else (low, middle)
        found = hours_alone(HOURS, np.log(errors)[None], np.array([wanted]))[0]
        assert found == pytest.approx(math.exp(high), rel=1e-6)


def replicates(errors: tuple[float, ...], spread: float, size: int = 2000) -> np.ndarray:
    return curve(*errors) + np.random.default_rng(0).normal(0, spread, (size, 1))


def test_an_interval_holds_the_value_and_shrinks_with_the_noise():
    errors = tuple(0.4 / math.sqrt(h) for h in HOURS)
    wanted = math.log(0.4 / math.sqrt(3))
    widths = []
    for spread in (0.1, 0.02):
        helped = wanted + np.random.default_rng(1).normal(0, spread, 2000)
        found = equivalent_hours(
            Arm("joint"), 3600.0, HOURS * 3600, (curve(*errors)[0], replicates(errors, spread)), (wanted, helped)
        )
        assert (found.hours.relation, found.hours.hours) == ("=", pytest.approx(3.0))
        assert found.low.hours < 3.0 < found.high.hours
        assert found.factor(found.hours) == pytest.approx(3.0)
        # On this line hours = (0.4 / error) ** 2: the interval is that of the two noises together, twice over.
        assert math.log(found.high.hours / 3) == pytest.approx(2 * 1.96 * spread * math.sqrt(2), rel=0.1)
        widths.append(found.high.hours - found.low.hours)
    assert widths[0] > 3 * widths[1]


def test_an_interval_that_reaches_beyond_the_measured_says_so():
    errors = (0.4, 0.3, 0.2, 0.1)
    alone = (curve(*errors)[0], replicates(errors, 0.0))
    for wanted, ends in ((0.1, ("=", ">")), (0.4, ("<", "="))):
        helped = math.log(wanted) + np.random.default_rng(1).normal(0, 0.2, 2000)
        found = equivalent_hours(Arm("joint"), 3600.0, HOURS * 3600, alone, (math.log(wanted), helped))
        assert (found.low.relation, found.high.relation) == ends
    found = equivalent_hours(Arm("joint"), 3600.0, HOURS * 3600, alone, (math.log(0.01), np.full(2000, math.log(0.01))))
    assert [found.hours, found.low, found.high] == [Hours(">", 8.0)] * 3


def test_one_measured_budget_only_says_more_or_less():
    alone = (np.log([0.3]), np.log(np.full((2000, 1), 0.3)))
    for wanted, beyond in ((0.2, Hours(">", 1.0)), (0.4, Hours("<", 1.0))):
        helped = (math.log(wanted), np.full(2000, math.log(wanted)))
        assert equivalent_hours(Arm("joint"), 600.0, np.array([3600.0]), alone, helped).hours == beyond
