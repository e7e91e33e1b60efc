"""How far off error rates would be on another test set of the kind: the bootstrap, over speakers or utterances."""

import itertools
import zlib
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from speech_mtl.scoring.error_rate import errors_by_utterance, lengths_by_utterance
from speech_mtl.scoring.rows import Drawn, Intervals

TAIL = 0.025
"""Fraction of replicates beyond each end of an interval, which holds the true value in 95 % of cases."""

_MAX_COUNTS = 1 << 19
"""How many counts of draws are in memory at a time: 4 MiB."""

NUM_REPLICATIONS = 2_000
"""Of one network's intervals; comparisons have their own number in their settings."""

FEWEST_SPEAKERS = 3
"""With fewer, nothing can be found out about other speakers: intervals are about those that there are."""


class Blocks(NamedTuple):
    """Units that the bootstrap resamples.

    Attributes:
        unit: What a block is.
        of: (N,) int, the block of each utterance, from 0.
        seed: Of the draws. The same blocks have the same: systems, tasks and languages that were tested with the same
            speakers are drawn together, others by themselves.
        num_unnamed: How many of the speakers are utterances that name none.
    """

    unit: Drawn
    of: np.ndarray
    seed: int
    num_unnamed: int = 0

    @property
    def number(self) -> int:
        """How many there are."""
        return int(self.of.max()) + 1


def blocks(speakers: Sequence[str | None], texts: Sequence[str]) -> Blocks:
    """Whole speakers if several are known, since utterances of one person are not independent; else utterances.

    Args:
        speakers: (N,) who speaks in each utterance; None or an empty text where unknown. They are the blocks if there
            are at least `FEWEST_SPEAKERS`; then an utterance that names none is a block of its own.
        texts: (N,) transcript of each utterance, which tells utterances of two languages apart; ids may not.
    """
    names = sorted({speaker for speaker in speakers if speaker})
    if len(names) < FEWEST_SPEAKERS:
        return Blocks("utterance", np.arange(len(texts)), _digest(texts))
    index = {name: number for number, name in enumerate(names)}
    unnamed = itertools.count(len(names))
    of = np.array([index[speaker] if speaker else next(unnamed) for speaker in speakers])
    return Blocks("speaker", of, _digest(names), int(of.max()) + 1 - len(names))


def _digest(names: Sequence[str]) -> int:
    return zlib.crc32("\n".join(names).encode(errors="surrogatepass"))


def resampled_sums(columns: np.ndarray, block_of: np.ndarray, num_replications: int, seed: int = 0) -> np.ndarray:
    """Draws as many blocks as there are, with replacement, again and again, and sums each column over the drawn ones.

    This is the bootstrap of Bisani & Ney, "Bootstrap estimates for confidence intervals in ASR performance evaluation",
    ICASSP 2004, sections 2 and 3; with speakers for blocks it is their variant for utterances that are not independent.
    An error rate is a ratio of two of the sums. Utterances of a block stay together, so the number of utterances in a
    replicate varies with the blocks drawn.

    All columns have the same draws, so systems stay paired. The draws depend only on the seed and the number of
    blocks: separate calls with the seed of `Blocks` are paired too. Columns of whole numbers are summed exactly below
    2^53. Memory is that of the result and a few MiB, or one count for each block if these are more.

    Args:
        columns: (N, C) what to sum, such as errors and reference lengths; a row is an utterance, and there is one.
        block_of: (N,) int, the block of each utterance; see `blocks`.
        num_replications: R.
        seed: Of the draws; see `Blocks`.

    Returns:
        (R, C) float64.
    """
    block_of = np.unique(block_of, return_inverse=True)[1]
    sums = np.stack([np.bincount(block_of, weights=column) for column in np.asarray(columns).T], axis=1)
    num_blocks = len(sums)
    result = np.empty((num_replications, sums.shape[1]))
    counts = np.empty((min(num_replications, max(1, _MAX_COUNTS // num_blocks)), num_blocks))
    generator = np.random.default_rng(seed)
    for start in range(0, num_replications, len(counts)):
        part = counts[: num_replications - start]
        for row in part:
            row[:] = np.bincount(generator.integers(num_blocks, size=num_blocks), minlength=num_blocks)
        np.matmul(part, sums, out=result[start : start + len(part)])
    return result


def widening(drawn: Blocks, num_replications: int) -> np.ndarray:
    """Factors by which replicates of a rate are moved away from the rate of the whole test set.

    The variance of a resampled mean is that of the blocks divided by n and not by n - 1, and replicates have the tails
    of a normal distribution and not of Student's: of 95 % intervals over 10 blocks, about 90 % hold the true value,
    over 4 blocks 80 %. The factors are sqrt(n / chi-square) with its n - 1 degrees of freedom: a mean gets about the
    interval of the t test. Of many blocks they are close to 1, and Bisani & Ney 2004, who have many, do without.

    Args:
        drawn: What was drawn; the same blocks have the same factors.
        num_replications: R.

    Returns:
        (R,); all compared systems have the same in a replicate.
    """
    if drawn.number < 2:
        return np.ones(num_replications)
    generator = np.random.default_rng([drawn.seed, drawn.number])
    return np.sqrt(drawn.number / generator.chisquare(drawn.number - 1, num_replications))


def percentile_interval(replicates: np.ndarray) -> tuple[float, float]:
    """The interval that holds the middle of the replicates: Bisani & Ney 2004, section 2.

    With few blocks it is too narrow, unless replicates were moved by `widening`. One block has no width.

    Args:
        replicates: (R,) of any number; the ends are in its unit.
    """
    low, high = np.quantile(replicates, (TAIL, 1 - TAIL))
    return float(low), float(high)


def resampled_rates(
    errors: np.ndarray, counted: np.ndarray, drawn: Blocks, num_replications: int
) -> tuple[np.ndarray, np.ndarray]:
    """Error rates of M systems, and replicates that are as wide as intervals of a few blocks must be.

    A replicate in which a system has nothing that errors are counted against is left out, so that systems stay paired.

    Args:
        errors: (N, M) by utterance.
        counted: (N, M) what they are counted against; more than nothing for each system.
        drawn: What is drawn.
        num_replications: R.

    Returns:
        (M,) rates of the whole test set, and (R or fewer, M) replicates.
    """
    size = errors.shape[1]
    columns = np.column_stack([errors, counted])
    totals, sums = columns.sum(axis=0), resampled_sums(columns, drawn.of, num_replications, drawn.seed)
    kept = (sums[:, size:] > 0).all(axis=1)
    rates, factors = totals[:size] / totals[size:], widening(drawn, num_replications)[kept, None]
    return rates, np.maximum(rates + factors * (sums[kept, :size] / sums[kept, size:] - rates), 0.0)


def error_intervals(
    references: Sequence[str], hypotheses: Sequence[str], speakers: Sequence[str | None], spaced: bool
) -> Intervals:
    """Intervals of a network's error rates: how far off they would be on another test set of the kind.

    How far another network would be, trained with another seed, is not in them. Arguments are those of `score`, and
    (N,) who speaks.
    """
    drawn = blocks(speakers, references)
    errors = errors_by_utterance(references, hypotheses, spaced)
    lengths = lengths_by_utterance(references, spaced)
    ends: list[list[float] | None] = []
    for kind in range(2):  # words, characters
        own, counted = (np.array(pair[kind], dtype=float)[:, None] for pair in (errors, lengths))
        known = counted.any() and drawn.number > 1
        replicates = resampled_rates(own, counted, drawn, NUM_REPLICATIONS)[1][:, 0] if known else np.empty(0)
        ends.append(list(percentile_interval(replicates)) if len(replicates) else None)
    return {
        "num_speakers": len({speaker for speaker in speakers if speaker}),
        "drawn": drawn.unit,
        "wer": ends[0],
        "cer": ends[1],
    }
