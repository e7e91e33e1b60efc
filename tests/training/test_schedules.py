import math
from itertools import pairwise

import numpy as np
import pytest

from speech_mtl.training.schedules import warmup_cooldown, warmup_cosine

SETTINGS = {"peak": 2e-3, "final": 1e-5, "warmup_updates": 10, "num_updates": 110}


@pytest.mark.parametrize(
    ("update", "expected"),
    [
        (0, 2e-4),
        (4, 1e-3),
        (9, 2e-3),
        (10, 2e-3),
        (35, 1e-5 + 1.99e-3 * (1 + math.sqrt(0.5)) / 2),
        (60, 1e-5 + 1.99e-3 / 2),
        (85, 1e-5 + 1.99e-3 * (1 - math.sqrt(0.5)) / 2),
        (110, 1e-5),
        (500, 1e-5),
    ],
)
def test_key_points(update, expected):
    assert warmup_cosine(update, **SETTINGS) == pytest.approx(expected, rel=1e-9)


def test_rises_and_then_falls():
    rates = [warmup_cosine(update, **SETTINGS) for update in range(130)]
    assert all(one < other for one, other in pairwise(rates[:10]))
    assert all(one > other for one, other in pairwise(rates[10:111]))
    assert max(rates) == 2e-3
    assert min(rates[10:]) == 1e-5


def test_without_warmup():
    assert warmup_cosine(0, peak=1.0, final=0.0, warmup_updates=0, num_updates=10) == 1.0


def test_warmup_as_long_as_training():
    rates = [warmup_cosine(update, peak=1.0, final=0.0, warmup_updates=5, num_updates=5) for update in range(6)]
    assert rates == pytest.approx([0.2, 0.4, 0.6, 0.8, 1.0, 1.0])


def test_a_cooldown_is_a_straight_line_at_the_end():
    settings = {"peak": 1.0, "final": 0.2, "warmup_updates": 4, "cooldown_updates": 8, "num_updates": 20}
    rates = [warmup_cooldown(update, **settings) for update in range(22)]
    assert rates == pytest.approx(np.interp(range(22), [0, 3, 12, 20, 21], [0.25, 1.0, 1.0, 0.2, 0.2]))


def test_too_few_updates_for_both():
    settings = {"peak": 1.0, "final": 0.0, "warmup_updates": 8, "cooldown_updates": 8, "num_updates": 8}
    rates = [warmup_cooldown(update, **settings) for update in range(9)]
    assert rates == pytest.approx([1 / 8, 2 / 8, 3 / 8, 4 / 8, 4 / 8, 3 / 8, 2 / 8, 1 / 8, 0])
