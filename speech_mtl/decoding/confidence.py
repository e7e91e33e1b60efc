"""How probable it is that a recognised word is right, from the probabilities of its tokens."""

from collections.abc import Sequence

import numpy as np
from scipy.optimize import minimize
from scipy.special import expit

from speech_mtl.datatypes import SMALLEST, Calibration


def calibrate(raws: Sequence[float], num_letters: Sequence[int], right: Sequence[bool]) -> Calibration:
    """Fits the calibration to words of which it is known whether they are right.

    Reference: Platt 1999, "Probabilistic outputs for support vector machines", sections 2.1 and 2.2: a logistic
    function with the maximum likelihood, of targets that keep away from 0 and 1. We differ in that the score is given
    as log-odds, that it never counts against a word, and that the word's number of letters counts, too: a longer one
    has more places for a mistake.

    Args:
        raws: (N,) mean probabilities of tokens, 0 to 1.
        num_letters: (N,) lengths of the words.
        right: (N,) whether each is right.
    """
    features, is_right = _features(raws, num_letters), np.asarray(right, dtype=bool)
    num_right, num_wrong = int(is_right.sum()), int((~is_right).sum())
    targets = np.where(is_right, (num_right + 1) / (num_right + 2), 1 / (num_wrong + 2))

    def loss(weights: np.ndarray) -> tuple[float, np.ndarray]:
        sums = features @ weights
        gradient = features.T @ (expit(sums) - targets) / len(sums)
        return float(np.mean(np.logaddexp(0, sums) - targets * sums)), gradient

    bounds = [(0, None), (None, None), (None, None)]
    found = minimize(loss, np.zeros(3), jac=True, method="L-BFGS-B", bounds=bounds)
    return Calibration(*map(float, found.x))


def _features(raws: Sequence[float], num_letters: Sequence[int]) -> np.ndarray:
    """(N, 3) in the order of the weights of a `Calibration`."""
    raw = np.clip(raws, SMALLEST, 1 - SMALLEST)
    return np.stack([np.log(raw) - np.log1p(-raw), np.log(num_letters), np.ones(len(raw))], axis=1)
