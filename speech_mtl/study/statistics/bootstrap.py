"""Test sets -> error rates of models and arms, all resampled together: what is compared has the same utterances."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean
from typing import NamedTuple

import numpy as np

from speech_mtl.errors import InputError
from speech_mtl.scoring.error_rate import errors_by_utterance, lengths_by_utterance
from speech_mtl.scoring.resampling import Blocks, blocks, percentile_interval, resampled_rates
from speech_mtl.study.statistics.hypotheses import Model, TestSet
from speech_mtl.study.statistics.rows import REFERENCE_ARM
from speech_mtl.study.statistics.significance import Seeds, fewer, seed_deviations, varied
from speech_mtl.study.statistics.summary import LEARNT_BELOW, Estimate, Tried
from speech_mtl.study.statistics.training import ArmAtBudget


class Sampled(NamedTuple):
    """Error rates by model: of the whole test set, and (R,) in each replicate."""

    rates: dict[Model, float]
    replicates: dict[Model, np.ndarray]

    def mean(self, models: Sequence[Model]) -> np.ndarray:
        """Replicates of the mean over models, (R,)."""
        return np.mean([self.replicates[model] for model in sorted(models)], axis=0)  # one order gives one last digit


def resampled(
    models: Sequence[Model], errors: np.ndarray, counted: np.ndarray, drawn: Blocks, num_replications: int
) -> Sampled:
    """Resamples errors of models.

    F1 is counted against nothing where a model correctly predicts no tag: that model has no error then, and a replicate
    in which any model has none is left out, so that models stay paired.

    Args:
        models: M of them.
        errors: (N, M) by utterance.
        counted: (N, M) what they are counted against, or (N, 1) where that is the same for all.
        drawn: What is drawn.
        num_replications: R.
    """
    if not errors.size:
        return Sampled({}, {})
    counted = np.broadcast_to(counted, errors.shape)
    known = counted.sum(axis=0) > 0
    if not known.any():
        return Sampled({}, {})
    names = [model for model, is_known in zip(models, known, strict=True) if is_known]
    rates, replicates = resampled_rates(errors[:, known], counted[:, known], drawn, num_replications)
    if not len(replicates):
        return Sampled({}, {})
    return Sampled(dict(zip(names, rates.tolist(), strict=True)), dict(zip(names, replicates.T, strict=True)))


def resampled_texts(
    test_set: TestSet, models: Sequence[Model], num_replications: int
) -> tuple[Blocks, Sampled, Sampled]:
    """What is drawn, and word and character error rates of models."""
    drawn = blocks(test_set.speakers, test_set.references)
    by_model = [errors_by_utterance(test_set.references, test_set.hypotheses[m], test_set.spaced) for m in models]
    lengths = lengths_by_utterance(test_set.references, test_set.spaced)
    words, characters = (
        resampled(
            models,
            np.array([pair[kind] for pair in by_model], dtype=float).T,
            np.array(lengths[kind], dtype=float)[:, None],
            drawn,
            num_replications,
        )
        for kind in (0, 1)
    )
    return drawn, words, characters


@dataclass(frozen=True)
class Measured:
    """An error rate of one arm at one budget: that of each seed, and (R,) bootstrap replicates of their mean."""

    by_seed: dict[int, float]
    replicates: np.ndarray

    @property
    def mean(self) -> float:
        return fmean(self.by_seed.values())

    @property
    def learnt(self) -> bool:
        """Whether a character error rate is that of something that has learnt."""
        return self.mean < LEARNT_BELOW

    def estimate(self) -> Estimate:
        """The mean over seeds and its interval."""
        return Estimate(self.mean, *percentile_interval(self.replicates))

    def reduction(self, other: "Measured", floor: float) -> Estimate | None:
        """By how much of another error this one is lower; None where the other is 0. `floor`: see `fewer`."""
        if other.mean <= 0:
            return None
        reductions = fewer(self.replicates, other.replicates, floor)
        return Estimate(1 - self.mean / other.mean, *percentile_interval(reductions))


@dataclass(frozen=True)
class Bootstrap:
    """All error rates of a test set, resampled together.

    Attributes:
        drawn: What is drawn.
        smallest: Half an error: stands for no error where a logarithm is needed.
    """

    drawn: Blocks
    cer: dict[ArmAtBudget, Measured]
    wer: dict[ArmAtBudget, Measured]
    smallest: float

    @property
    def cells(self) -> list[ArmAtBudget]:
        """By budget, alone first."""
        return sorted(self.cer, key=lambda key: (key[1], key[0] != REFERENCE_ARM))

    def beside(self, key: ArmAtBudget) -> Measured | None:
        """Alone's CER at the budget of another arm; None where it was not measured, and for alone itself."""
        return None if key[0] == REFERENCE_ARM else self.cer.get((REFERENCE_ARM, key[1]))

    def reduction(self, key: ArmAtBudget) -> Estimate | None:
        """By how much of alone's CER an arm's is lower at the same budget; None where alone has no error."""
        alone = self.beside(key)
        return alone and self.cer[key].reduction(alone, self.smallest)


def bootstrap(test_set: TestSet, num_replications: int) -> Bootstrap:
    """Resamples a test set, and adds the spread over seeds where there are several.

    Raises:
        InputError: The test set has no utterance, no model or no reference text.
    """
    models = sorted(test_set.hypotheses, key=lambda model: (model.budget_s, model.arm != REFERENCE_ARM))
    totals = [sum(lengths) for lengths in lengths_by_utterance(test_set.references, test_set.spaced)]
    if not models or not totals[1]:
        raise InputError(
            f"The test set of {test_set.language} cannot give error rates",
            expected="at least one utterance with a text, and one model that was tested with it",
            received=f"{len(test_set.ids)} utterances, {totals[1]} characters, {len(models)} models",
            action="check the manifest of the test split, and run the comparison again",
        )
    drawn, *sampled = resampled_texts(test_set, models, num_replications)
    wer, cer = (over_seeds(sampled[kind], floor=0.5 / totals[kind], generator_seed=kind) for kind in (0, 1))
    return Bootstrap(drawn, cer, wer, 0.5 / totals[1])


def seeds_of(models: Iterable[Model]) -> dict[ArmAtBudget, list[int]]:
    """The seeds of every arm and budget, in the order of the models."""
    seeds: dict[ArmAtBudget, list[int]] = {}
    for model in models:
        seeds.setdefault((model.arm, model.budget_s), []).append(model.seed)
    return seeds


def over_seeds(sampled: Sampled, floor: float, generator_seed: int) -> dict[ArmAtBudget, Measured]:
    """Means over seeds, with the spread over seeds in the replicates; variants of an arm are together, in one pool."""
    seeds, (rates, replicates) = seeds_of(sampled.rates), sampled
    arms = list(dict.fromkeys(arm.base for arm, _ in seeds))
    together = sorted(seeds, key=lambda key: arms.index(key[0].base))
    runs = {key: [Model(*key, seed) for seed in seeds[key]] for key in together}
    cells = [
        Seeds(
            pool=key[0].base,
            budget_s=key[1],
            rates={model.seed: max(rates[model], floor) for model in models},
            runs=frozenset((model.seed, rates[model], replicates[model].tobytes()) for model in models),
        )
        for key, models in runs.items()
    ]
    deviations = seed_deviations(cells, len(next(iter(replicates.values()), ())), generator_seed)
    return {
        key: Measured({model.seed: float(rates[model]) for model in models}, varied(sampled.mean(models), own))
        for (key, models), own in zip(runs.items(), deviations, strict=True)
    }


def all_tried(sampled: Mapping[str, Bootstrap]) -> list[Tried]:
    """Everything that was tried beside alone, by target."""
    return [
        Tried(target, *key, reduction, own.cer[key].learnt or own.cer[REFERENCE_ARM, key[1]].learnt)
        for target, own in sampled.items()
        for key in own.cer
        if (reduction := own.reduction(key))
    ]
