import math
import random

import numpy as np
import pytest
from scipy.optimize import minimize

from speech_mtl.datatypes import Calibration
from speech_mtl.decoding.confidence import calibrate


def drawn(calibration: Calibration, number: int, seed: int = 0) -> tuple[list[float], list[int], list[bool]]:
    """Words that are right as often as a calibration says."""
    draw = random.Random(seed)
    raws, letters = [draw.uniform(0.3, 1.0) for _ in range(number)], [draw.randint(1, 12) for _ in range(number)]
    right = [draw.random() < calibration.probability(raw, length) for raw, length in zip(raws, letters, strict=True)]
    return raws, letters, right


def test_what_words_were_drawn_with_is_found_again():
    true = Calibration(1.5, -0.6, -1.0)
    assert calibrate(*drawn(true, 40_000)) == pytest.approx(true, abs=0.1)


def test_the_fit_is_that_of_a_search_without_gradients():
    raws, letters, right = drawn(Calibration(1.0, -0.3, -0.5), 300)

    def loss(weights: np.ndarray) -> float:
        num_right = sum(right)
        ends = (1 / (len(right) - num_right + 2), (num_right + 1) / (num_right + 2))
        found = [Calibration(*weights).probability(raw, length) for raw, length in zip(raws, letters, strict=True)]
        return -sum(
            ends[is_right] * math.log(p) + (1 - ends[is_right]) * math.log(1 - p)
            for p, is_right in zip(found, right, strict=True)
        )

    searched = minimize(loss, np.zeros(3), method="Nelder-Mead", options={"xatol": 1e-5, "fatol": 1e-7})
    assert calibrate(raws, letters, right) == pytest.approx(tuple(searched.x), abs=2e-3)


@pytest.mark.parametrize("right", [[True] * 50, [False] * 50])
def test_where_all_words_are_right_or_none_confidence_is_no_certainty(right: list[bool]):
    raws, letters, _ = drawn(Calibration(1.0, 0.0, 0.0), 50)
    found = calibrate(raws, letters, right)
    assert all(math.isfinite(weight) for weight in found)
    mean = sum(found.probability(raw, length) for raw, length in zip(raws, letters, strict=True)) / 50
    assert mean == pytest.approx(51 / 52 if right[0] else 1 / 52, abs=1e-3)


def test_a_higher_probability_never_counts_against_a_word():
    raws, letters, right = drawn(Calibration(1.0, 0.0, 0.0), 200)
    assert calibrate(raws, letters, [not one for one in right]).slope == 0


def test_certain_and_impossible_words_have_a_confidence():
    calibration = Calibration(1.0, 0.0, 0.0)
    assert calibration.probability(1.0, 3) == pytest.approx(0.9999)
    assert calibration.probability(0.0, 3) == pytest.approx(1e-4)
