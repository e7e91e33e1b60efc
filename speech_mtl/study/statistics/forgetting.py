"""What networks forget: errors in languages that were there before, before and after another one was learnt."""

from collections.abc import Sequence
from statistics import fmean

import numpy as np

from speech_mtl.study.statistics.analysis import character_errors
from speech_mtl.study.statistics.hypotheses import Model, TestSet
from speech_mtl.study.statistics.rows import Arm
from speech_mtl.study.statistics.significance import (
    Seeds,
    blocks,
    percentile_interval,
    resampled_sums,
    seed_deviations,
    varied,
)
from speech_mtl.study.statistics.summary import Estimate, Forgotten


def before(model: Model) -> Model:
    """Stands for the network that a model of a comparison started from."""
    return model._replace(before=True)


def what_was_forgotten(test_sets: Sequence[TestSet], num_replications: int = 10_000) -> list[Forgotten]:
    """For every old language, arm and budget: the error before and after, and by how much it has grown.

    The growth is a ratio of two means over seeds; its interval comes from drawing the test set anew, the same for
    before and after, and from the spread of the ratio's logarithm over seeds; see `significance.seed_deviations`. There
    each arm and budget is by itself: where nothing is forgotten, nothing varies.

    Args:
        test_sets: One for each old language, with the hypotheses of every model and of `before` it.
        num_replications: Of the bootstrap.
    """
    return [one for test_set in test_sets for one in _of_language(test_set, num_replications)]


def _of_language(test_set: TestSet, num_replications: int) -> list[Forgotten]:
    later = [model for model in test_set.hypotheses if not model.before and before(model) in test_set.hypotheses]
    models = [*later, *map(before, later)]
    errors, lengths = character_errors(test_set, models)
    if not lengths.sum():
        return []
    drawn = blocks(test_set.speakers, test_set.references)
    columns = np.column_stack([errors, lengths])
    sums = resampled_sums(columns, drawn.of, num_replications, drawn.seed)
    sums = sums[sums[:, -1] > 0]
    floor = 0.5 / lengths.sum()
    rates = dict(zip(models, map(float, columns.sum(axis=0)[:-1] / lengths.sum()), strict=True))
    replicates = dict(zip(models, (sums[:, :-1] / sums[:, -1:]).T, strict=True))
    cells: dict[tuple[Arm, float], list[Model]] = {}
    for model in later:
        cells.setdefault((model.arm, model.budget_s), []).append(model)

    def seeds_of(key: tuple[Arm, float]) -> Seeds:
        pairs = {model.seed: (model, before(model)) for model in cells[key]}
        ratios = {s: max(rates[after], floor) / max(rates[first], floor) for s, (after, first) in pairs.items()}
        heard = frozenset((s, *(replicates[model].tobytes() for model in pair)) for s, pair in pairs.items())
        return Seeds(key, key[1], ratios, heard)

    deviations = seed_deviations(list(map(seeds_of, cells)), len(sums), generator_seed=3)
    found = []
    for ((arm, budget_s), own), deviation in zip(cells.items(), deviations, strict=True):
        old = [before(model) for model in own]
        ratios = np.maximum(_mean(replicates, own), floor) / np.maximum(_mean(replicates, old), floor)
        interval = percentile_interval(varied(ratios, deviation) - 1)
        after, first = (fmean(max(rates[model], floor) for model in models) for models in (own, old))
        same = all(test_set.hypotheses[one] == test_set.hypotheses[other] for one, other in zip(own, old, strict=True))
        figures = fmean(rates[model] for model in old), fmean(rates[model] for model in own)
        seeds, growth = [model.seed for model in own], Estimate(after / first - 1, *interval)
        found.append(Forgotten(test_set.language, arm, budget_s, seeds, *figures, growth, same))
    return found


def _mean(replicates: dict[Model, np.ndarray], models: Sequence[Model]) -> np.ndarray:
    in_order = sorted(models)  # one order gives one last digit
    return np.mean([replicates[model] for model in in_order], axis=0)
