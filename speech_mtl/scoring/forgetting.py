"""What networks forget: errors in languages that were there before, before and after another one was learnt."""

from collections.abc import Sequence
from statistics import fmean

import numpy as np

from speech_mtl.scoring.analysis import character_errors
from speech_mtl.scoring.hypotheses import Model, TestSet
from speech_mtl.scoring.significance import (
    blocks,
    percentile_interval,
    resampled_sums,
    seed_spread,
    with_seed_spread,
)
from speech_mtl.scoring.summary import Estimate, Forgotten


def before(model: Model) -> Model:
    """Stands for the network that a model of a comparison started from."""
    return model._replace(before=True)


def what_was_forgotten(test_sets: Sequence[TestSet], num_replications: int = 10_000) -> list[Forgotten]:
    """For every old language, arm and budget: the error before and after, and by how much it has grown.

    The growth is a ratio of two means over seeds; its interval comes from drawing the test set anew, the same for
    before and after, and from the spread of the ratio's logarithm over seeds, as in `significance.with_seed_spread`.

    Args:
        test_sets: One for each old language, with the hypotheses of every model and of `before` it.
        num_replications: Of the bootstrap.
    """
    return [one for test_set in test_sets for one in _of_language(test_set, num_replications)]


def _of_language(test_set: TestSet, num_replications: int) -> list[Forgotten]:
    later = [model for model in test_set.hypotheses if not model.before and before(model) in test_set.hypotheses]
    models = [*later, *map(before, later)]
    errors, lengths = character_errors(test_set, models)
    columns = np.column_stack([errors, lengths])
    sums = resampled_sums(columns, blocks(test_set.speakers)[1], num_replications)
    sums = sums[sums[:, -1] > 0]
    rates = dict(zip(models, columns.sum(axis=0)[:-1] / lengths.sum(), strict=True))
    replicates = dict(zip(models, (sums[:, :-1] / sums[:, -1:]).T, strict=True))
    floor, generator, found = 0.5 / lengths.sum(), np.random.default_rng(0), []
    for arm, budget_s in dict.fromkeys((model.arm, model.budget_s) for model in later):
        own = [model for model in later if (model.arm, model.budget_s) == (arm, budget_s)]
        old = [before(model) for model in own]
        pairs = [(max(rates[one], floor), max(rates[other], floor)) for one, other in zip(own, old, strict=True)]
        ratios = np.maximum(_mean(replicates, own), floor) / np.maximum(_mean(replicates, old), floor)
        spread = seed_spread([[after / first for after, first in pairs]], floor=1e-9)
        if spread is not None:
            ratios = with_seed_spread(ratios, *spread, len(own), generator)
        low, high = percentile_interval(ratios - 1)
        growth = fmean(after for after, _ in pairs) / fmean(first for _, first in pairs) - 1
        same = all(test_set.hypotheses[one] == test_set.hypotheses[other] for one, other in zip(own, old, strict=True))
        figures = fmean(rates[model] for model in old), fmean(rates[model] for model in own)
        seeds = [model.seed for model in own]
        found.append(Forgotten(test_set.language, arm, budget_s, seeds, *figures, Estimate(growth, low, high), same))
    return found


def _mean(replicates: dict[Model, np.ndarray], models: Sequence[Model]) -> np.ndarray:
    return np.mean([replicates[model] for model in models], axis=0)
