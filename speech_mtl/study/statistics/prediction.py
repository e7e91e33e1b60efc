"""Extrapolates the learning curve of each arm: how much more speech an error needs.

The error is taken to fall as a power of the speech towards a floor, error(h) = floor + a h^-b (Hestness et al. 2017,
"Deep learning scaling is predictable, empirically", section 3; Rosenfeld et al. 2020, "A constructive prediction of
the generalization error across scales"). Three or four budgets can hardly tell a floor from none, so no single curve is
fitted: all curves on a grid are weighed by how well they fit, and what is given holds over all of them.
"""

import numpy as np
from scipy.special import ndtri

from speech_mtl.scoring.resampling import TAIL, percentile_interval
from speech_mtl.scoring.tables import percent, speech
from speech_mtl.study.statistics.bootstrap import Bootstrap
from speech_mtl.study.statistics.rows import Arm
from speech_mtl.study.statistics.summary import Estimate, Hours, NeededHours, Prediction

MIN_BUDGETS = 3
"""How many budgets a curve needs."""

REACH = 4
"""How many times beyond the largest and below the smallest budget a curve is prolonged."""

_NO_FLOOR, _STEEPEST = 0.25, 2.0
"""Chance that there is no floor, before anything is measured, and the largest power. All floors up to the error at the
largest budget are as likely as one another, and so are all powers."""

_MISFIT, _SPREAD_OF_SEEDS = 0.05, 0.1
"""How far errors lie from the curve beyond what test set and seeds explain, as a part of them: the scale of a
half-normal distribution. One seed does not show how seeds vary: as much as runs of other comparisons is assumed."""

_NUM_FLOORS, _NUM_POWERS, _NUM_SCATTERS, _NUM_CURVES, _NUM_AMOUNTS = 40, 50, 8, 10_000, 81


def predictions(sampled: Bootstrap) -> list[Prediction]:
    """The curve of every arm, or why there is none; empty where no arm was measured at three budgets."""
    budgets: dict[Arm, list[float]] = {}
    for arm, budget_s in sorted(sampled.cer, key=lambda key: key[1]):
        budgets.setdefault(arm, []).append(budget_s)
    if max(map(len, budgets.values())) < MIN_BUDGETS:
        return []
    return [predict(sampled, arm) for arm in budgets]


def predict(sampled: Bootstrap, arm: Arm) -> Prediction:
    """The curve of one arm through the budgets at which it has learnt, or why there is none."""
    measured = {b: own for (one, b), own in sorted(sampled.cer.items(), key=lambda item: item[0][1]) if one == arm}
    learnt = {budget_s: own for budget_s, own in measured.items() if own.learnt}
    if len(learnt) < MIN_BUDGETS:
        found = f"only {' and '.join(map(speech, learnt))}" if learnt else "no amount"
        why_not = f"it has learnt with {found} of speech, and {MIN_BUDGETS} amounts are needed"
        return Prediction(arm, list(learnt), why_not=why_not)
    logs = np.log(np.maximum([own.replicates for own in learnt.values()], sampled.smallest))
    means = [own.mean for own in learnt.values()]
    if why_not := _does_not_fall(list(learnt), means, logs):
        return Prediction(arm, list(learnt), why_not=why_not)
    several = any(len(own.by_seed) > 1 for own in learnt.values())
    scatter = _MISFIT if several else float(np.hypot(_MISFIT, _SPREAD_OF_SEEDS))
    budgets_s = np.array(list(learnt))
    curves = Curves(budgets_s, np.log(np.maximum(means, sampled.smallest)), covariance(logs), scatter)
    seconds = np.geomspace(budgets_s[0] / REACH, budgets_s[-1] * REACH, _NUM_AMOUNTS)
    errors = [curves.error(amount) for amount in seconds]
    return Prediction(arm, list(learnt), seconds.tolist(), errors, curves.error(np.inf))


def _does_not_fall(budgets_s: list[float], means: list[float], logs: np.ndarray) -> str:
    """Notes if the last budget has not significantly fewer errors than the first, or more than an earlier one."""
    last = len(means) - 1
    pairs = [(i, j) for j in range(last + 1) for i in range(j) if percentile_interval(logs[j] - logs[i])[0] > 0]
    if percentile_interval(logs[last] - logs[0])[1] >= 0:
        pairs.append((0, last))
    if not pairs:
        return ""
    i, j = pairs[-1]
    how = "rises" if means[j] > means[i] else "does not significantly fall"
    return (
        f"its error {how}, from {percent(means[i])} % with {speech(budgets_s[i])} of speech to {percent(means[j])} % "
        f"with {speech(budgets_s[j])}"
    )


def covariance(replicates: np.ndarray) -> np.ndarray:
    """Of (H, R) replicates, (H, H): that of a normal distribution with their correlations and 95 % intervals. Where few
    seeds show how seeds vary, the tails have no variance."""
    low, high = np.quantile(replicates, (TAIL, 1 - TAIL), axis=1, keepdims=True)
    middle = np.clip(replicates, low, high)
    deviations = middle.std(axis=1, keepdims=True)
    wanted = (high - low) / (ndtri(1 - TAIL) - ndtri(TAIL))
    return np.cov(middle * np.divide(wanted, deviations, out=np.zeros_like(wanted), where=deviations > 0))


class Curves:
    """Ten thousand curves, as likely as they fit what was measured: draws from the posterior distribution.

    A curve is its error at the largest budget, the fraction of that which is the floor, and the power. What is measured
    lies about it with the covariance of the bootstrap and a scatter of its own. For each floor, power and scatter on a
    grid the error at the largest budget has a normal distribution, by weighted least squares; its integral is how well
    they fit. Every curve holds a deviation of its own, as another measurement would with as many seeds.

    Args:
        budgets_s: (H,) rising, in seconds.
        logs: (H,) logarithms of the errors.
        covariance: (H, H) of them.
        scatter: Scale of the scatter's half-normal distribution.
    """

    def __init__(self, budgets_s: np.ndarray, logs: np.ndarray, covariance: np.ndarray, scatter: float):
        self._largest_s = budgets_s[-1]
        floors = np.append(0, (np.arange(_NUM_FLOORS) + 0.5) / _NUM_FLOORS)
        chances = np.append(_NO_FLOOR, np.full(_NUM_FLOORS, (1 - _NO_FLOOR) / _NUM_FLOORS))
        powers = (np.arange(_NUM_POWERS) + 0.5) / _NUM_POWERS * _STEEPEST
        floors, chances = np.repeat(floors, _NUM_POWERS), np.repeat(chances, _NUM_POWERS)
        powers = np.tile(powers, _NUM_FLOORS + 1)
        rest = logs - _shape(floors[:, None], powers[:, None], budgets_s / self._largest_s)
        scatters = scatter * ndtri(0.5 + (np.arange(_NUM_SCATTERS) + 0.5) / _NUM_SCATTERS / 2)
        fits, levels, variances = zip(*(_fit(rest, covariance, one) for one in scatters), strict=True)
        fit = np.array(fits) + np.log(chances)
        cumulated = np.cumsum(np.exp(fit - fit.max()))
        wanted = (np.arange(_NUM_CURVES) + 0.5) / _NUM_CURVES * cumulated[-1]
        of_scatter, of_curve = np.unravel_index(np.searchsorted(cumulated, wanted), fit.shape)
        num = len(logs)
        own = covariance.trace() / num - (covariance.sum() - covariance.trace()) / (num * (num - 1))
        spread = np.sqrt(np.array(variances)[of_scatter] + scatters[of_scatter] ** 2 + max(own, 0.0))
        normal = np.random.default_rng(0).standard_normal(_NUM_CURVES)
        self._levels = np.array(levels)[of_scatter, of_curve] + spread * normal
        self._floors, self._powers = floors[of_curve], powers[of_curve]

    def error(self, seconds: float) -> Estimate:
        """The median of the curves and their 95 % interval; of infinite speech, the floor. At most 1, as an empty
        text."""
        with np.errstate(divide="ignore"):  # no floor has no logarithm
            shapes = _shape(self._floors, self._powers, seconds / self._largest_s)
        low, middle, high = np.quantile(np.exp(np.minimum(self._levels + shapes, 0)), (TAIL, 0.5, 1 - TAIL))
        return Estimate(float(middle), float(low), float(high))


def _shape(floors: np.ndarray, powers: np.ndarray, amounts: np.ndarray | float) -> np.ndarray:
    """Logarithms of errors in units of that at the largest budget, where the amount is 1."""
    return np.log(floors + (1 - floors) * amounts**-powers)


def _fit(rest: np.ndarray, covariance: np.ndarray, scatter: float) -> tuple[np.ndarray, np.ndarray, float]:
    """(C, H) logarithms without the shapes of C curves -> logarithm of how well they fit (C,); what is common to the
    budgets (C,), which is the error at the largest; its variance."""
    total = covariance + scatter**2 * np.eye(len(covariance))
    weights = np.linalg.inv(total)
    sum_weights = weights.sum()
    levels = rest @ weights.sum(axis=0) / sum_weights
    squares = np.sum(rest @ weights * rest, axis=1) - sum_weights * levels**2
    return -(squares + np.linalg.slogdet(total)[1] + np.log(sum_weights)) / 2, levels, 1 / sum_weights


def error_with(prediction: Prediction, seconds: float) -> Estimate | None:
    """The predicted error with an amount of speech; None beyond the reach of what was measured."""
    if not prediction.seconds or not prediction.seconds[0] <= seconds <= prediction.seconds[-1]:
        return None
    place = np.log(seconds), np.log(prediction.seconds)
    return Estimate(*(float(np.exp(np.interp(*place, _logs(prediction, end)))) for end in ("value", "low", "high")))


def hours_for(prediction: Prediction, error: float) -> NeededHours:
    """Hours after which an error is expected, and their interval: where the curve and the ends of its band reach it."""
    amounts = np.log(prediction.seconds)

    def reached(end: str) -> Hours:
        logs = _logs(prediction, end)
        if np.log(error) < logs[-1]:
            return Hours(">", prediction.seconds[-1] / 3600)
        if np.log(error) > logs[0]:
            return Hours("<", prediction.seconds[0] / 3600)
        return Hours("=", float(np.exp(np.interp(-np.log(error), -logs, amounts))) / 3600)

    return NeededHours(reached("value"), reached("low"), reached("high"))


def _logs(prediction: Prediction, end: str) -> np.ndarray:
    return np.log([getattr(one, end) for one in prediction.errors])
