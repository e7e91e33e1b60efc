"""Prolonged curves against SciPy's fit, brute force, and made-up comparisons whose curves are known."""

from dataclasses import replace

import numpy as np
import pytest
from scipy import stats
from scipy.optimize import brentq, curve_fit

from speech_mtl.scoring.resampling import Blocks
from speech_mtl.study.statistics.bootstrap import Bootstrap, Measured
from speech_mtl.study.statistics.prediction import (
    REACH,
    Curves,
    covariance,
    error_with,
    hours_for,
    predict,
    predictions,
)
from speech_mtl.study.statistics.rows import Arm
from speech_mtl.study.statistics.summary import Prediction

ALONE, JOINT = Arm("alone"), Arm("joint")
BUDGETS_S = np.array([600.0, 1200.0, 2400.0, 4800.0])


def sampled(errors: dict[float, tuple[float, ...]], arm: Arm = ALONE, spread: float = 0.03) -> Bootstrap:
    """Errors of each seed by budget; replicates vary by `spread`, independently, and by as much in common."""
    generator = np.random.default_rng(0)
    common = generator.normal(0, spread, 2000)
    cer = {
        (arm, budget_s): Measured(
            dict(enumerate(own)), np.mean(own) * np.exp(common + generator.normal(0, spread / len(own) ** 0.5, 2000))
        )
        for budget_s, own in errors.items()
    }
    return Bootstrap(Blocks("speaker", np.arange(20), 0), cer, {}, 1e-4)


def falling(*errors: float, seeds: int = 3) -> Bootstrap:
    return sampled({600.0 * 2**i: (error,) * seeds for i, error in enumerate(errors)})


def test_exact_errors_are_prolonged_as_by_least_squares():
    """Through six budgets with next to no noise there is one curve, which SciPy finds as well."""
    budgets_s = 600 * 2.0 ** np.arange(6)

    def law(amount, floor, a, b):
        return floor + a * (amount / 600) ** -b

    errors = law(budgets_s, 0.05, 0.35, 0.8)
    found, _ = curve_fit(law, budgets_s, errors, p0=(0.01, 0.3, 0.5), bounds=(0, [errors[-1], 1, 2]))
    curves = Curves(budgets_s, np.log(errors), 1e-6 * np.eye(6), 0.003)
    for times in (0.3, 1.0, 2.0, 4.0):
        amount = budgets_s[-1] * times
        estimate = curves.error(amount)
        assert estimate.value == pytest.approx(law(amount, *found), rel=0.015)
        assert estimate.high / estimate.low < 1.1
    assert curves.error(np.inf).value == pytest.approx(found[0], rel=0.05)


def test_intervals_are_those_of_brute_force():
    """Parameters drawn from where they may lie, without a grid, and weighed by how likely they make the errors."""
    logs = np.log([0.265, 0.164, 0.096, 0.068])
    noise = np.diag([0.04, 0.05, 0.05, 0.06]) ** 2 + 0.03**2
    generator, num, scatter = np.random.default_rng(1), 100_000, 0.05
    floor = np.where(generator.random(num) < 0.25, 0, generator.random(num))
    power, level = 2 * generator.random(num), generator.uniform(-0.5, 0.5, num) + logs[-1]
    tau = scatter * np.abs(generator.standard_normal(num))
    shapes = [np.log(floor + (1 - floor) * (amount / 4800) ** -power) for amount in (*BUDGETS_S, 9600, 19200)]
    eigenvalues, vectors = np.linalg.eigh(noise)
    rest = (logs - level[:, None] - np.stack(shapes[:4], axis=1)) @ vectors
    fits = stats.norm.logpdf(rest, scale=np.sqrt(eigenvalues + tau[:, None] ** 2)).sum(axis=1)
    weights = np.exp(fits - fits.max())
    own = np.mean(np.square([0.04, 0.05, 0.05, 0.06]))  # what budgets do not have in common
    fresh = generator.standard_normal(num) * np.sqrt(tau**2 + own)
    curves = Curves(BUDGETS_S, logs, noise, scatter)
    for amount, shape in ((9600.0, shapes[4]), (19200.0, shapes[5])):
        expected = np.exp(weighted_quantiles(level + shape + fresh, weights))
        found = curves.error(amount)
        np.testing.assert_allclose([found.low, found.value, found.high], expected, rtol=0.04)


def weighted_quantiles(values: np.ndarray, weights: np.ndarray) -> np.ndarray:
    order = np.argsort(values)
    return np.interp([0.025, 0.5, 0.975], np.cumsum(weights[order]) / weights.sum(), values[order])


@pytest.mark.parametrize(("budgets", "seeds"), [(3, 3), (4, 3), (4, 1), (5, 3)])
@pytest.mark.parametrize("law", [(0.0, 0.7), (0.06, 0.9)])
def test_intervals_hold_what_is_measured_later(budgets: int, seeds: int, law: tuple[float, float]):
    """Errors beside the curve as runs of the committed comparisons are: 95 % is meant, and no interval is endless."""
    generator = np.random.default_rng([budgets, seeds])
    budgets_s = 600 * 2.0 ** np.arange(budgets + 2)
    true = law[0] + (0.4 - law[0]) * 2.0 ** (-law[1] * np.arange(budgets + 2))
    held, widths = [], []
    for _ in range(30):
        common, own = 0.03 * generator.standard_normal(), 0.02 + 0.08 / seeds**0.5
        logs = np.log(true) + common + own * generator.standard_normal(budgets + 2)
        known = 0.03**2 + np.eye(budgets) * (own**2 if seeds > 1 else 0.02**2)
        curves = Curves(budgets_s[:budgets], logs[:budgets], known, 0.05 if seeds > 1 else 0.11)
        for place in (-2, -1):
            found = curves.error(budgets_s[place])
            held.append(found.low <= np.exp(logs[place]) <= found.high)
            widths.append(found.high / found.low)
    assert np.mean(held) >= 0.85  # of 60 that are 95 % sure, one in a thousand draws has fewer
    assert np.median(widths) < 3.5


def test_hours_are_where_the_errors_are():
    prediction = predict(falling(0.4, 0.25, 0.16, 0.11), ALONE)
    ends = prediction.seconds[0], prediction.seconds[-1]
    for error in (0.5, 0.3, 0.11, 0.09):
        needed = hours_for(prediction, error)
        for end, hours in (("value", needed.hours), ("low", needed.low), ("high", needed.high)):

            def beside(seconds: float, end=end, error=error) -> float:
                found = error_with(prediction, seconds)
                assert found is not None
                return getattr(found, end) - error

            if hours.relation == "=":
                assert 3600 * hours.hours == pytest.approx(brentq(beside, *ends), rel=1e-6)
            else:
                assert (beside(ends[1]) > 0) if hours.relation == ">" else (beside(ends[0]) < 0)
        assert needed.low.hours <= needed.hours.hours <= needed.high.hours


def test_between_amounts_errors_are_those_of_the_curves():
    logs = np.log([0.4, 0.25, 0.16, 0.11])
    curves = Curves(BUDGETS_S, logs, 0.002 * np.eye(4), 0.05)
    amounts = np.geomspace(150, 19200, 81)
    prediction = Prediction(ALONE, BUDGETS_S.tolist(), amounts.tolist(), [curves.error(one) for one in amounts])
    for amount in (151.0, 700.0, 5000.0, 19000.0):
        expected, found = curves.error(amount), error_with(prediction, amount)
        assert found is not None
        for end in ("low", "value", "high"):
            assert getattr(found, end) == pytest.approx(getattr(expected, end), rel=1e-3)


def test_beyond_four_times_what_was_measured_nothing_is_said():
    prediction = predict(falling(0.4, 0.25, 0.16), ALONE)
    assert error_with(prediction, 600 / REACH) is not None
    assert error_with(prediction, 2400 * REACH) is not None
    assert error_with(prediction, 600 / REACH - 1) is None
    assert error_with(prediction, 2400 * REACH + 1) is None
    assert (hours_for(prediction, 1e-6).high.relation, hours_for(prediction, 1e-6).high.hours) == (">", 8 / 3)
    assert hours_for(prediction, 0.999999).low.relation == "<"


def test_the_more_is_known_the_narrower_the_interval():
    few, more = (predict(falling(*errors), ALONE) for errors in ((0.4, 0.24, 0.144), (0.4, 0.24, 0.144, 0.0864)))
    few_ends, more_ends = error_with(few, 4800), error_with(more, 9600)
    assert few_ends is not None
    assert more_ends is not None
    assert more_ends.high / more_ends.low < few_ends.high / few_ends.low
    one_seed = error_with(predict(falling(0.4, 0.24, 0.144, seeds=1), ALONE), 4800)
    assert one_seed is not None
    assert one_seed.high / one_seed.low > few_ends.high / few_ends.low


def test_one_seed_leaves_a_wider_interval_than_the_same_replicates_of_three():
    """Runs with one seed do not show how seeds vary: a typical variance is added."""
    three = falling(0.3, 0.2, 0.13, 0.09)
    cer = {key: Measured({0: own.by_seed[0]}, own.replicates) for key, own in three.cer.items()}
    one = replace(three, cer=cer)
    narrow, wide = (error_with(predict(found, ALONE), 9600.0) for found in (three, one))
    assert narrow is not None
    assert wide is not None
    assert wide.high / wide.low > 1.05 * narrow.high / narrow.low


def test_errors_never_rise_and_have_a_floor():
    prediction = predict(falling(0.4, 0.2, 0.15, 0.14, 0.138, 0.137), ALONE)
    for end in ("low", "value", "high"):
        curve = [getattr(one, end) for one in prediction.errors]
        assert all(np.diff(curve) <= 1e-12)
    assert prediction.floor is not None
    assert 0.08 < prediction.floor.low < prediction.floor.value < 0.137
    unknown = predict(falling(0.4, 0.24, 0.144), ALONE).floor
    assert unknown is not None
    assert unknown.low == 0.0 < unknown.value < unknown.high < 0.15


@pytest.mark.parametrize(
    ("errors", "why_not"),
    [
        ((0.3, 0.3, 0.3), "does not significantly fall, from 30.0 % with 10 min of speech to 30.0 % with 40 min"),
        ((0.0, 0.0, 0.0), "does not significantly fall, from 0.0 % with 10 min of speech to 0.0 % with 40 min"),
        ((0.3, 0.31, 0.299), "does not significantly fall, from 30.0 % with 10 min of speech to 29.9 % with 40 min"),
        ((0.2, 0.3, 0.5), "its error rises, from 20.0 % with 10 min of speech to 50.0 % with 40 min"),
        ((0.3, 0.1, 0.2), "its error rises, from 10.0 % with 20 min of speech to 20.0 % with 40 min"),
        ((0.95, 0.3, 0.2), "it has learnt with only 20 min and 40 min of speech, and 3 amounts are needed"),
        ((0.95, 0.99, 1.2), "it has learnt with no amount of speech, and 3 amounts are needed"),
    ],
)
def test_what_cannot_be_prolonged(errors: tuple[float, ...], why_not: str):
    (prediction,) = predictions(falling(*errors))
    assert why_not in prediction.why_not
    assert (prediction.seconds, prediction.errors, prediction.floor) == ([], [], None)
    assert error_with(prediction, 2400) is None


def test_a_curve_that_ends_without_errors():
    prediction = predict(falling(0.2, 0.05, 0.0), ALONE)
    assert all(0 <= one.low <= one.value <= one.high <= 1 for one in prediction.errors)


def test_a_test_set_of_one_block_has_no_spread():
    prediction = predict(sampled({600.0: (0.4,), 1200.0: (0.3,), 2400.0: (0.2,)}, spread=0.0), ALONE)
    found = error_with(prediction, 4800)
    assert found is not None
    assert found.low < found.value < found.high


def test_two_budgets_of_every_arm_give_no_prediction():
    assert predictions(falling(0.3, 0.2)) == []
    mixed = falling(0.4, 0.3, 0.2)
    mixed.cer[JOINT, 600.0] = mixed.cer[ALONE, 600.0]
    assert [bool(one.why_not) for one in predictions(mixed)] == [False, True]


def test_covariance_is_that_of_normal_replicates_whatever_the_tails():
    generator = np.random.default_rng(0)
    true = np.array([[0.04, 0.02], [0.02, 0.09]])
    np.testing.assert_allclose(covariance(generator.multivariate_normal([0, 0], true, 200_000).T), true, rtol=0.03)
    heavy = 0.1 * generator.standard_t(2, (2, 100_000))
    low, high = np.quantile(heavy[0], (0.025, 0.975))
    assert 2 * 1.96 * covariance(heavy)[0, 0] ** 0.5 == pytest.approx(high - low, rel=0.001)
    assert not covariance(np.ones((3, 100))).any()
