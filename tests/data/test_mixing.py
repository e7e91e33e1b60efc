from itertools import combinations

import numpy as np
import pytest

from speech_mtl.data.mixing import MIXINGS, by_length, by_rank, into_batches, padded_lengths


@pytest.mark.parametrize("mixing", MIXINGS)
def test_every_order_has_every_example(mixing):
    durations_s, languages = np.random.default_rng(0).uniform(1, 4, 200), np.arange(200) % 3
    assert sorted(MIXINGS[mixing](durations_s, languages)) == list(range(200))


@pytest.mark.parametrize(
    "durations_s", [[], [70.0], [70.0, 80.0], [9.0] * 5, [*[1.0] * 500, 8.0]], ids=lambda one: f"{len(one)}"
)
@pytest.mark.parametrize("num_languages", [1, 2, 5])
def test_every_language_where_not_all_fit(durations_s, num_languages):
    seconds = np.array(durations_s)
    batches = into_batches(by_rank(seconds, np.arange(len(seconds)) % num_languages), seconds, 20.0)
    assert sorted(example for batch in batches for example in batch) == list(range(len(seconds)))
    assert all(len(batch) == 1 or len(batch) * seconds[batch].max() <= 20.0 for batch in batches)
    assert all(len(batch) for batch in batches)


def test_a_single_long_utterance_is_a_batch():
    durations_s = np.array([9.0, 25.0, 1.0, 10.0, 30.0])
    batches = into_batches(by_length(durations_s), durations_s, 20.0)
    assert [batch.tolist() for batch in batches] == [[2, 0], [3], [1], [4]]


def padded_to(durations_s: np.ndarray, lengths_s) -> np.ndarray:
    return np.array([min(length for length in lengths_s if length >= duration) for duration in durations_s])


@pytest.mark.parametrize("number", [1, 2, 3, 4, 9, 12])
@pytest.mark.parametrize("seed", [0, 1, 2])
def test_lengths_pad_least(number, seed):
    """Of nine durations, against all choices of lengths among them; the longest is always one."""
    durations_s = np.random.default_rng(seed).lognormal(1, 0.7, 9)
    lengths_s = padded_lengths(durations_s, number, spare_s=0.0)
    assert len(lengths_s) == min(number, 9)
    assert list(lengths_s) == sorted(lengths_s)
    others = combinations(sorted(durations_s)[:-1], min(number, 9) - 1)
    least = min(padded_to(durations_s, (*chosen, max(durations_s))).sum() for chosen in others)
    assert padded_to(durations_s, lengths_s).sum() == pytest.approx(least)


def test_lengths_of_many_utterances():
    durations_s = np.random.default_rng(0).gamma(4, 1.2, 20_000)
    lengths_s = padded_lengths(durations_s, 8)
    assert len(lengths_s) == 8
    assert lengths_s[-1] == pytest.approx(durations_s.max() + 0.02)
    assert padded_to(durations_s, lengths_s).sum() < 1.2 * durations_s.sum()
    assert padded_lengths(np.full(100, 2.0), 8) == pytest.approx((2.02,))
