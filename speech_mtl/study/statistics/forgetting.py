"""What networks forget: errors in languages that were there before, before and after another one was learnt."""

from collections.abc import Sequence
from statistics import fmean

import numpy as np

from speech_mtl.scoring.error_rate import lengths_by_utterance
from speech_mtl.study.statistics.bootstrap import resampled_texts, seeds_of
from speech_mtl.study.statistics.hypotheses import Model, TestSet, before
from speech_mtl.study.statistics.significance import Seeds, percentile_interval, seed_deviations, varied
from speech_mtl.study.statistics.summary import Estimate, Forgotten
from speech_mtl.study.statistics.training import ArmAtBudget


def what_was_forgotten(test_sets: Sequence[TestSet], num_replications: int) -> list[Forgotten]:
    """For every old language, arm and budget: the error before and after, and by how much it has grown.

    The growth is a ratio of two means over seeds; its interval comes from drawing the test set anew, the same for
    before and after, and from the spread of the ratio's logarithm over seeds; see `significance.seed_deviations`. There
    each arm and budget is by itself: where nothing is forgotten, nothing varies.
    The test sets, one for each old language, have the hypotheses of every model and of `before` it.
    """
    return [one for test_set in test_sets for one in _of_language(test_set, num_replications)]


def _of_language(test_set: TestSet, num_replications: int) -> list[Forgotten]:
    later = [model for model in test_set.hypotheses if not model.before and before(model) in test_set.hypotheses]
    num_characters = sum(lengths_by_utterance(test_set.references, test_set.spaced)[1])
    if not num_characters:
        return []
    sampled = resampled_texts(test_set, [*later, *map(before, later)], num_replications)[1]
    cells = {key: [Model(*key, seed) for seed in seeds] for key, seeds in seeds_of(later).items()}
    rates = {model: max(rate, 0.5 / num_characters) for model, rate in sampled.rates.items()}

    def seeds_of_cell(key: ArmAtBudget) -> Seeds:
        ratios = {model.seed: rates[model] / rates[before(model)] for model in cells[key]}
        pairs = [(model, before(model)) for model in cells[key]]
        runs = frozenset((a.seed, sampled.replicates[a].tobytes(), sampled.replicates[b].tobytes()) for a, b in pairs)
        return Seeds(key, key[1], ratios, runs)

    num_drawn = len(next(iter(sampled.replicates.values()), ()))
    deviations = seed_deviations(list(map(seeds_of_cell, cells)), num_drawn, generator_seed=3)
    found = []
    for (key, own), deviation in zip(cells.items(), deviations, strict=True):
        old = [before(model) for model in own]
        now, then = (np.maximum(sampled.mean(models), 0.5 / num_characters) for models in (own, old))
        growth = fmean(rates[model] for model in own) / fmean(rates[model] for model in old) - 1
        interval = percentile_interval(varied(now / then, deviation) - 1)
        same = all(test_set.hypotheses[model] == test_set.hypotheses[before(model)] for model in own)
        first, last = (fmean(sampled.rates[model] for model in models) for models in (old, own))
        seeds = [model.seed for model in own]
        found.append(Forgotten(test_set.language, *key, seeds, first, last, Estimate(growth, *interval), same))
    return found
