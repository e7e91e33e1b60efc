"""How far confidences are from how often words are right."""

import random

import pytest

from benchmarks.calibration import calibration_error, reliability
from speech_mtl.datatypes import Calibration


def test_calibration_error_by_hand():
    """Bins of a tenth: 0.81 and 0.85 of which one is right, 1.0 which is right, 0.3 which is right."""
    confidences, right = [0.81, 0.3, 1.0, 0.85], [True, True, True, False]
    expected = 2 / 4 * abs(0.83 - 0.5) + 1 / 4 * 0.7 + 0.0
    assert calibration_error(confidences, right, 10) == pytest.approx(expected)
    assert [len(own) for own in reliability(confidences, right, 10)] == [1, 2, 1]


def test_confidences_that_are_probabilities_have_next_to_no_calibration_error():
    true = Calibration(1.5, -0.6, -1.0)
    draw = random.Random(1)
    raws = [draw.uniform(0.3, 1.0) for _ in range(20_000)]
    probabilities = [true.probability(raw, draw.randint(1, 12)) for raw in raws]
    right = [draw.random() < one for one in probabilities]
    assert calibration_error(probabilities, right) < 0.02
    assert calibration_error(raws, right) > 0.25
