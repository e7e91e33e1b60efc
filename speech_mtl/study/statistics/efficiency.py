"""Equivalent hours: how much target speech alone reaches the error that h hours reach with auxiliary languages.

The curve of the arm `alone` is known at its budgets only. Between two of them the error is taken to fall as a power of
the hours: a straight line between the points on logarithmic axes (Hestness et al. 2017, "Deep learning scaling is
predictable, empirically", section 3). Beyond them the result is only "more" or "less".
"""

import numpy as np
from scipy.optimize import isotonic_regression

from speech_mtl.scoring.resampling import TAIL
from speech_mtl.study.statistics.rows import Arm
from speech_mtl.study.statistics.summary import EquivalentHours, Hours


def monotone(errors: np.ndarray) -> np.ndarray:
    """The nearest curves, by squares, that never rise: isotonic regression of each row of (R, H), by rising budget."""
    curves = np.array(errors)
    for row in np.flatnonzero((np.diff(curves, axis=1) > 0).any(axis=1)):
        curves[row] = isotonic_regression(curves[row], increasing=False).x
    return curves


def hours_alone(hours: np.ndarray, log_errors: np.ndarray, wanted: np.ndarray) -> np.ndarray:
    """The hours at which each curve reaches an error; the fewest, where it is flat there.

    Args:
        hours: (H,) rising.
        log_errors: (R, H) curves; made `monotone` first.
        wanted: (R,) logarithm of the error to reach.

    Returns:
        (R,) hours; 0 where even the first point of the curve is lower, infinite where even its last is higher.
    """
    curves, log_hours = monotone(log_errors), np.log(hours)
    found = np.where(wanted > curves[:, 0], -np.inf, np.inf)
    found[wanted == curves[:, 0]] = log_hours[0]
    for i in range(len(hours) - 2, -1, -1):
        left, right = curves[:, i], curves[:, i + 1]
        inside = (left > wanted) & (wanted >= right)
        fraction = (left[inside] - wanted[inside]) / (left[inside] - right[inside])
        found[inside] = log_hours[i] + fraction * (log_hours[i + 1] - log_hours[i])
    return np.exp(found)


def equivalent_hours(
    arm: Arm,
    budget_s: float,
    budgets_alone_s: np.ndarray,
    alone: tuple[np.ndarray, np.ndarray],
    helped: tuple[float, np.ndarray],
) -> EquivalentHours:
    """Equivalent hours of one arm's budget, with the bootstrap's interval.

    An arm with the error of alone at its own budget is equivalent to that budget, whether or not the curve rises there.

    Args:
        arm: Which one.
        budget_s: Seconds of target speech it had.
        budgets_alone_s: (H,) measured budgets of the arm alone, rising.
        alone: Log errors alone: measured (H,) and replicates (R, H).
        helped: Log error of the arm: measured, and replicates (R,), drawn together with those of alone.
    """
    hours = np.asarray(budgets_alone_s) / 3600

    def equivalent(curves: np.ndarray, wanted: np.ndarray) -> np.ndarray:
        found = hours_alone(hours, curves, wanted)
        for own in np.flatnonzero(np.asarray(budgets_alone_s) == budget_s):
            found[wanted == curves[:, own]] = hours[own]
        return found

    measured = equivalent(np.asarray(alone[0])[None], np.array([helped[0]]))[0]
    # Percentiles that are members of the sample: between a number and infinity there is no mean.
    replicates = np.sort(equivalent(alone[1], helped[1]))
    low = replicates[int(np.floor(TAIL * (len(replicates) - 1)))]
    high = replicates[int(np.ceil((1 - TAIL) * (len(replicates) - 1)))]
    found, lowest, highest = (_within(value, hours) for value in (measured, low, high))
    return EquivalentHours(arm, budget_s, found, lowest, highest)


def _within(value: float, hours: np.ndarray) -> Hours:
    if value == 0:
        return Hours("<", float(hours[0]))
    return Hours(">", float(hours[-1])) if np.isinf(value) else Hours("=", float(value))
