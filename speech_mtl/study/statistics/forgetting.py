"""The same models twice: what networks forget of a language when they learn another, and what a decoder changes."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from statistics import fmean

import numpy as np

from speech_mtl.files import NotNegative
from speech_mtl.scoring.error_rate import lengths_by_utterance
from speech_mtl.scoring.resampling import percentile_interval
from speech_mtl.scoring.rows import Amount, Tested
from speech_mtl.study.statistics.bootstrap import resampled_texts, seeds_of
from speech_mtl.study.statistics.hypotheses import Model, TestSet, before, decoders_of, test_sets_of
from speech_mtl.study.statistics.significance import Seeds, seed_deviations, varied
from speech_mtl.study.statistics.summary import DecoderGain, Estimate, Forgotten
from speech_mtl.study.statistics.training import ArmAtBudget


@dataclass(frozen=True, slots=True)
class Generation:
    """A language in one of the runs that a run descends from: a row of that run's `forgetting.json`.

    Attributes:
        generation: From 1, the oldest.
        run: Its folder.
        learnt: The languages that it was trained on.
        split: Of the youngest run's manifests.
        growth: Relative growth of the errors since the language was first there in the same tokens; None there.
        same: Whether all hypotheses are the same as then.
    """

    generation: NotNegative
    run: str
    learnt: list[str]
    language: str
    split: Tested
    cer: Amount
    growth: Estimate | None
    same: bool


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
    sampled = resampled_texts(test_set, [*later, *map(before, later)], num_replications)[-1]
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


def decoder_gains(test_sets: Sequence[TestSet], num_replications: int) -> list[DecoderGain]:
    """By how much each decoder lowers the errors of the first one, by arm and budget.

    The same models are decoded twice, so that they are pairs as before and after a language was learnt.
    """
    first, *others = decoders_of(test_sets)
    by_first = {test_set.language: test_set for test_set in test_sets_of(first, test_sets)}
    found = []
    for decoder in others:
        pairs = []
        for later in test_sets_of(decoder, test_sets):
            if former := by_first.get(later.language):
                hypotheses = {before(model): texts for model, texts in former.hypotheses.items()} | later.hypotheses
                pairs.append(replace(later, hypotheses=hypotheses, label_errors={}))
        for one in what_was_forgotten(pairs, num_replications):
            gain = Estimate(-one.growth.value, -one.growth.high, -one.growth.low)
            which = one.language, one.arm, one.budget_s, one.seeds
            found.append(DecoderGain(*which, decoder, first, one.before, one.after, gain))
    return found
