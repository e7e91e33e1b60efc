"""Cuts a pool of examples into batches: which languages a batch has, and the few lengths to which it may be padded."""

from collections.abc import Sequence
from itertools import pairwise

import numpy as np


def padded_lengths(durations_s: np.ndarray, number: int, spare_s: float = 0.02) -> tuple[float, ...]:
    """The lengths, at most so many, by which least is padded if examples are padded to the next of them.

    By dynamic programming over 64 quantiles of the durations.

    Args:
        durations_s: (N,) of the examples.
        number: Of lengths.
        spare_s: How much longer than an example its length is at least: audio may be longer than its manifest says.

    Returns:
        Rising, the last one for the longest example.
    """
    quantiles = np.unique(np.quantile(durations_s, np.linspace(0, 1, 65), method="higher"))
    up_to = np.searchsorted(np.sort(durations_s), quantiles, side="right")
    ends, size, starts = quantiles + spare_s, len(quantiles), []
    numbers = up_to - np.append(0, up_to[:-1])[:, None]  # [i, j]: of examples whose next quantiles are i to j
    least = np.append(0.0, np.full(size, np.inf))  # of examples below quantile j, the least total of padded lengths
    for _ in range(number):
        totals = np.where(numbers > 0, least[:size, None] + numbers * ends, np.inf)
        starts.append(totals.argmin(axis=0))
        least = np.append(0.0, totals.min(axis=0))
    chosen, left = [], size
    for start in reversed(starts):
        if left:
            chosen.append(float(ends[left - 1]))
            left = int(start[left - 1])
    return tuple(reversed(chosen))


def cut(
    durations_s: np.ndarray, _languages: np.ndarray | None, batch_s: float, lengths_s: Sequence[float] = ()
) -> list[np.ndarray]:
    """Sorts examples by length and cuts them into batches of at most `batch_s` seconds, padding included.

    There is little padding, but where languages differ in length, a batch has few of them.

    Args:
        durations_s: (N,) of the examples.
        batch_s: Seconds of a batch; a longer example is one by itself.
        lengths_s: To which they are padded.

    Returns:
        The examples of each batch.
    """
    return _filled(np.argsort(durations_s, kind="stable"), _padded(durations_s, lengths_s), batch_s)


def cut_every_language(
    durations_s: np.ndarray, languages: np.ndarray, batch_s: float, lengths_s: Sequence[float] = ()
) -> list[np.ndarray]:
    """Batches of at most `batch_s` seconds, padding included, each with the same fraction of every language.

    Examples are ordered by their rank in their own language, sorted by length: the fraction of its seconds that shorter
    ones have. Batches are cut from that order, so that short words come with short sentences. A language of fewer
    examples than there are batches is in some of them only.

    Args:
        durations_s: (N,) of the examples.
        languages: (N,) whose they are.
        batch_s: Seconds of a batch; a longer example is one by itself.
        lengths_s: To which they are padded.

    Returns:
        The examples of each batch.
    """
    by_length, places = np.argsort(durations_s, kind="stable"), np.zeros(len(durations_s))
    for language in np.unique(languages):
        own = by_length[languages[by_length] == language]
        own_s = durations_s[own]
        places[own] = (np.cumsum(own_s) - own_s / 2) / own_s.sum()
    order = by_length[np.argsort(places[by_length], kind="stable")]
    return _filled(order, _padded(durations_s, lengths_s), batch_s)


def _padded(durations_s: np.ndarray, lengths_s: Sequence[float]) -> np.ndarray:
    """(N,) durations -> the next of the lengths, for those that have one."""
    lengths = np.append(lengths_s, np.inf)
    padded = lengths[np.searchsorted(lengths, durations_s)]
    return np.where(np.isinf(padded), durations_s, padded)


def _filled(ordered: np.ndarray, durations_s: np.ndarray, batch_s: float) -> list[np.ndarray]:
    """Cuts examples in the order given."""
    starts, longest_s, size = [], 0.0, 0
    for place, duration_s in enumerate(durations_s[ordered].tolist()):
        if duration_s > longest_s:
            longest_s = duration_s
        if not starts or longest_s * (size + 1) > batch_s:
            starts.append(place)
            longest_s, size = duration_s, 0
        size += 1
    return [ordered[start:end] for start, end in pairwise([*starts, len(ordered)])]
