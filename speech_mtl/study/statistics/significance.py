"""The chance of training, and tests of differences.

There are two sources of chance. Another test set would have other errors: the bootstrap of `scoring.resampling`.
Another seed would train another model: the spread over seeds is added to the replicates. Compared systems share both:
the same utterances are drawn for all, runs of one seed vary together as far as they did, and the same run is the same
whatever it is called.
"""

import math
from collections.abc import Hashable, Mapping, Sequence
from typing import NamedTuple

import numpy as np

_MAX_EXPONENT = 300.0
"""Largest logarithm of what the chance of training multiplies: ratios of two such numbers are still finite."""


def paired_p_value(differences: np.ndarray) -> float:
    """Two-sided p-value of a difference between two systems that were resampled together.

    Bisani & Ney 2004, section 3, give the probability of improvement: the fraction of replicates in which one system
    has fewer errors. It has one side, and is high where the difference is significant. Here the smaller of the
    fractions on either side of zero is doubled, which is 5 % where zero is at the end of the 95 % interval. Replicates
    of exactly zero count on both sides. One replicate beyond zero is counted besides the (R,) `differences` that were
    drawn, since no finite number of them shows that a probability is zero.
    """
    num_beyond = min(np.count_nonzero(differences <= 0), np.count_nonzero(differences >= 0))
    return min(1.0, 2 * (num_beyond + 1) / (len(differences) + 1))


def fewer(own: np.ndarray, other: np.ndarray, floor: float) -> np.ndarray:
    """The relative reduction of errors, in (R,) replicates that were resampled together.

    `floor` stands for a smaller `other`, to avoid division by zero: half an error, for example.
    """
    return (other - own) / np.maximum(other, floor)


class Seeds(NamedTuple):
    """The runs of an arm at a budget.

    Attributes:
        pool: Cells of one pool have seeds that vary alike: an arm at all its budgets and in all its variants.
        budget_s: Seconds of target speech.
        rates: Error rate of each seed, or a ratio of two of them; positive.
        runs: Two cells with equal `runs` are the same runs under two names.
    """

    pool: Hashable
    budget_s: float
    rates: Mapping[int, float]
    runs: Hashable


def seed_deviations(cells: Sequence[Seeds], num_replications: int, generator_seed: int) -> list[np.ndarray]:
    """How far the mean over other seeds might lie from that over these, in units of the natural logarithm.

    An error rate of 60 % varies by more points than one of 6 %, but by about as large a part of itself, so logarithms
    are taken. Three seeds of one cell give little evidence on their spread, so the cells of a pool are put together, in
    an analysis of variance: log rate = mean of the cell + effect of the seed at that budget, common to the pool + rest.
    Effects and rests are drawn from a normal distribution with the variance that was found, and multiplied by the
    square root of df / chi-square with its df degrees of freedom. So the mean of one cell, and the difference of two,
    have Student's distribution, as in a t test.

    Runs of the same seed and budget are pairs. Each draw weighs the seeds with the same random numbers for all pools,
    so effects of two pools covary as they did in the runs: where each arm is alone in its pool, their difference has
    the interval of the paired t test on the logarithms of their rates. Runs of other seeds are independent. The same
    runs under two names count once, and have the same deviations.

    Seeds are not resampled as utterances are. S resampled seeds have a mean that varies too little, by a factor of
    sqrt((S - 1) / S) in its standard deviation; three of them have only 10 different outcomes; and nothing allows for
    how little evidence three values give on their spread. Bisani & Ney 2004 have one model for each system and leave
    the chance of training out.

    With one or two degrees of freedom t has no variance, and deviations are huge now and then; percentiles are what to
    take from them.

    Args:
        cells: Everything that is compared.
        num_replications: R.
        generator_seed: Of the draws.

    Returns:
        (R,) for each cell; 0 where no cell of any pool has two seeds. A pool without such a cell has rests like those
        of the others: one seed does not show how seeds vary.
    """
    first: dict[Hashable, int] = {}
    for i, cell in enumerate(cells):
        first.setdefault(cell.runs, i)
    members: dict[Hashable, list[int]] = {}
    for i in first.values():
        members.setdefault(cells[i].pool, []).append(i)
    places = sorted({(cell.budget_s, seed) for cell in cells for seed in cell.rates})
    found = _lent({pool: _seed_effects([cells[i] for i in own], places) for pool, own in members.items()})
    degrees = {df for effects in found.values() for df in (effects.df_common, effects.df_rest) if df}
    scales = {
        df: np.sqrt(df / np.random.default_rng([generator_seed, df]).chisquare(df, num_replications)) for df in degrees
    }
    generator = np.random.default_rng(generator_seed)
    deviations = {i: np.zeros(num_replications) for i in first.values()}
    for budget_s, seed in places:
        weights = generator.standard_normal((num_replications, len(places)))
        for pool, effects in found.items():
            here = [i for i in members[pool] if cells[i].budget_s == budget_s and seed in cells[i].rates]
            common = scales[effects.df_common] * (weights @ effects.common) if effects.df_common else 0.0
            rests = np.zeros((num_replications, len(here)))
            if effects.df_rest and here:
                normal = generator.standard_normal(rests.shape)
                # Effects are means of cells and so hold a part of the rest, which is not to come twice.
                part = 1 - math.sqrt(max(0.0, 1 - len(here) * effects.rest_in_common))
                normal -= part * normal.mean(axis=1, keepdims=True)
                rests = effects.rest * scales[effects.df_rest][:, None] * normal
            for i, rest in zip(here, rests.T, strict=True):
                deviations[i] += (common + rest) / len(cells[i].rates)
    return [deviations[first[cell.runs]] for cell in cells]


class _SeedEffects(NamedTuple):
    """Effects of a pool's seeds.

    Attributes:
        common: By budget and seed: its effect, over the square root of the degrees of freedom, `df_common`.
        rest: Standard deviation of what is left, with `df_rest` degrees of freedom.
        rest_in_common: What part of the rest's variance the effects hold, on average: one over the cells with the seed.
    """

    common: np.ndarray
    df_common: int
    rest: float
    df_rest: int
    rest_in_common: float


def _seed_effects(cells: Sequence[Seeds], places: Sequence[tuple[float, int]]) -> _SeedEffects:
    """The analysis of variance of one pool, by least squares, since cells may lack seeds."""
    values = [
        (i, places.index((cell.budget_s, seed)), math.log(rate))
        for i, cell in enumerate(cells)
        for seed, rate in cell.rates.items()
    ]
    cell_of, place_of, logs = (np.array(column) for column in zip(*values, strict=True))
    of_cell = np.eye(len(cells))[cell_of]
    table = np.column_stack([logs, np.eye(len(places))[place_of]])
    table -= of_cell @ (of_cell.T @ table / of_cell.sum(axis=0)[:, None])
    common, _, rank, _ = np.linalg.lstsq(table[:, 1:], table[:, 0], rcond=1e-9)
    df_common, df_rest = int(rank), len(logs) - len(cells) - int(rank)
    squares = float(np.sum((table[:, 0] - table[:, 1:] @ common) ** 2))
    return _SeedEffects(
        common=common / math.sqrt(max(df_common, 1)),
        df_common=df_common,
        rest=math.sqrt(squares / df_rest) if df_rest else 0.0,
        df_rest=df_rest,
        rest_in_common=float(np.mean(1 / np.unique(place_of, return_counts=True)[1])),
    )


def _lent(found: Mapping[Hashable, _SeedEffects]) -> dict[Hashable, _SeedEffects]:
    """Gives pools whose cells have one seed each the variance of the others, on average, in their rests."""
    known = [effects for effects in found.values() if effects.df_common]
    if not known:
        return dict(found)
    df = sum(effects.df_common for effects in known)
    rest = math.sqrt(sum(effects.df_common * float(effects.common @ effects.common) for effects in known) / df)
    return {
        pool: effects if effects.df_common else effects._replace(rest=rest, df_rest=df, rest_in_common=0.0)
        for pool, effects in found.items()
    }


def varied(replicates: np.ndarray, deviations: np.ndarray) -> np.ndarray:
    """Adds the chance of training to that of the test set: (R,) `seed_deviations` of the mean rate's logarithm.

    Factors beyond exp(300) are cut there so that differences and ratios stay finite.
    """
    return replicates * np.exp(np.clip(deviations, -_MAX_EXPONENT, _MAX_EXPONENT))
