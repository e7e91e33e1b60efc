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


def by_length(durations_s: np.ndarray, _languages: np.ndarray | None = None) -> np.ndarray:
    """(N,) the order of examples of such durations by length.

    Batches of it have little padding, but where languages differ in length, few of them.
    """
    return np.argsort(durations_s, kind="stable")


def by_rank(durations_s: np.ndarray, languages: np.ndarray) -> np.ndarray:
    """(N,) the order of examples of such durations and languages by their rank in their own language.

    Their rank is the fraction of their language's seconds that shorter ones have. Batches of it have the same fraction
    of every language, so that short words come with short sentences. A language of fewer examples than there are
    batches is in some of them only.
    """
    order, places = by_length(durations_s), np.zeros(len(durations_s))
    for language in np.unique(languages):
        own = order[languages[order] == language]
        own_s = durations_s[own]
        places[own] = (np.cumsum(own_s) - own_s / 2) / own_s.sum()
    return order[np.argsort(places[order], kind="stable")]


MIXINGS = {"by_length": by_length, "every_language": by_rank}
"""Orders from which batches are cut, by the name that settings have for them."""


def into_batches(
    order: np.ndarray, durations_s: np.ndarray, batch_s: float, lengths_s: Sequence[float] = ()
) -> list[np.ndarray]:
    """Cuts examples, in the order given, into batches of at most `batch_s` seconds, padding included.

    Args:
        order: (N,) the examples.
        durations_s: (N,) of the examples.
        batch_s: Seconds of a batch; a longer example is one by itself.
        lengths_s: To which they are padded, where they are not longer.

    Returns:
        The examples of each batch.
    """
    lengths = np.append(lengths_s, np.inf)[np.searchsorted(lengths_s, durations_s)] if lengths_s else durations_s
    padded_s = np.where(np.isinf(lengths), durations_s, lengths)
    starts, longest_s, size = [], 0.0, 0
    for place, duration_s in enumerate(padded_s[order].tolist()):
        if duration_s > longest_s:
            longest_s = duration_s
        if not starts or longest_s * (size + 1) > batch_s:
            starts.append(place)
            longest_s, size = duration_s, 0
        size += 1
    return [order[start:end] for start, end in pairwise([*starts, len(order)])]
