"""Rows and hypotheses of a comparison -> its `Summary`: intervals, tests, equivalent hours, negative transfer."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean

import numpy as np

from speech_mtl.errors import InputError
from speech_mtl.scoring.efficiency import equivalent_hours
from speech_mtl.scoring.error_rate import errors_by_utterance, lengths_by_utterance
from speech_mtl.scoring.examples import find_examples
from speech_mtl.scoring.hypotheses import Model, TestSet
from speech_mtl.scoring.results import REFERENCE_ARM, Arm, ResultRow
from speech_mtl.scoring.significance import (
    blocks,
    mapsswe,
    paired_p_value,
    percentile_interval,
    resampled_sums,
    seed_spread,
    with_seed_spread,
)
from speech_mtl.scoring.summary import (
    ArmSummary,
    EquivalentHours,
    Estimate,
    LanguageError,
    Summary,
    Worse,
)

ArmAtBudget = tuple[Arm, float]


@dataclass(frozen=True)
class Measured:
    """An error rate of one arm at one budget.

    Attributes:
        by_seed: Rate of each seed.
        replicates: (R,) bootstrap replicates of their mean.
    """

    by_seed: list[float]
    replicates: np.ndarray

    @property
    def mean(self) -> float:
        return fmean(self.by_seed)

    def estimate(self) -> Estimate:
        """The mean over seeds and its interval."""
        return Estimate(self.mean, *percentile_interval(self.replicates))


@dataclass(frozen=True)
class Bootstrap:
    """All error rates of a test set, resampled together: what is compared was heard in the same utterances.

    Attributes:
        drawn: What is drawn: `speaker` or `utterance`.
        num_drawn: How many of them there are.
        seeds: Seeds by arm and budget, in the order of `by_seed`.
        cer: Character error rates by arm and budget.
        wer: Word error rates by arm and budget.
        smallest: Half an error: stands for no error where a logarithm is needed.
    """

    drawn: str
    num_drawn: int
    seeds: dict[ArmAtBudget, list[int]]
    cer: dict[ArmAtBudget, Measured]
    wer: dict[ArmAtBudget, Measured]
    smallest: float


def bootstrap(test_set: TestSet, num_replications: int) -> Bootstrap:
    """Resamples a test set, and adds the spread over seeds where there are several.

    Raises:
        InputError: The test set has no utterance, no model or no reference text.
    """
    models = sorted(test_set.hypotheses, key=lambda model: (model.budget_s, model.arm != REFERENCE_ARM))
    word_lengths, character_lengths = lengths_by_utterance(test_set.references, test_set.spaced)
    if not models or not sum(character_lengths):
        raise InputError(
            f"The test set of {test_set.language} cannot give error rates",
            expected="at least one utterance with a text, and one model that heard it",
            received=f"{len(test_set.ids)} utterances, {sum(character_lengths)} characters, {len(models)} models",
            action="look at the manifest of the test split, and run the comparison again",
        )
    errors = [errors_by_utterance(test_set.references, test_set.hypotheses[m], test_set.spaced) for m in models]
    words, characters = ([pair[i] for pair in errors] for i in (0, 1))
    columns = np.array([word_lengths, character_lengths, *words, *characters], dtype=float).T
    drawn, block_of = blocks(test_set.speakers)
    sums = resampled_sums(columns, block_of, num_replications)
    sums = sums[(sums[:, :2] > 0).all(axis=1)]  # of few blocks, a draw may have no reference text at all
    totals, size = columns.sum(axis=0), len(models)
    seeds: dict[ArmAtBudget, list[int]] = {}
    for model in models:
        seeds.setdefault((model.arm, model.budget_s), []).append(model.seed)
    rates = []
    for kind in (0, 1):
        chosen = slice(2 + kind * size, 2 + (kind + 1) * size)
        by_model = dict(zip(models, totals[chosen] / totals[kind], strict=True))
        replicates = dict(zip(models, (sums[:, chosen] / sums[:, kind, None]).T, strict=True))
        rates.append(over_seeds(seeds, by_model, replicates, floor=0.5 / totals[kind], generator_seed=kind))
    return Bootstrap(drawn, int(block_of.max()) + 1, seeds, rates[1], rates[0], 0.5 / totals[1])


def character_errors(test_set: TestSet, models: Sequence[Model]) -> tuple[np.ndarray, np.ndarray]:
    """Character errors of each utterance and model, (N, M), and the reference characters of each utterance, (N,)."""
    errors = [errors_by_utterance(test_set.references, test_set.hypotheses[m], test_set.spaced)[1] for m in models]
    lengths = lengths_by_utterance(test_set.references, test_set.spaced)[1]
    return np.array(errors, dtype=float).T, np.array(lengths, dtype=float)


def over_seeds(
    seeds: Mapping[ArmAtBudget, list[int]],
    rates: Mapping[Model, float],
    replicates: Mapping[Model, np.ndarray],
    floor: float,
    generator_seed: int,
) -> dict[ArmAtBudget, Measured]:
    """Means over seeds, with the spread of the arm's seeds in the replicates; variants of an arm have one spread."""
    generator = np.random.default_rng(generator_seed)
    measured = {}
    for arm in dict.fromkeys(arm.base for arm, _ in seeds):
        own_seeds = {key: own for key, own in seeds.items() if key[0].base == arm}
        cells = {key: [Model(*key, seed) for seed in own] for key, own in own_seeds.items()}
        spread = seed_spread([[float(rates[model]) for model in models] for models in cells.values()], floor)
        for key, models in cells.items():
            mean = np.mean([replicates[model] for model in models], axis=0)
            if spread is not None:
                mean = with_seed_spread(mean, *spread, len(models), generator)
            measured[key] = Measured([float(rates[model]) for model in models], mean)
    return measured


def summarize(
    recipe: str, about: str, rows: Sequence[ResultRow], test_set: TestSet, num_replications: int = 10_000
) -> Summary:
    """All that a comparison of one target language found.

    Args:
        recipe: Its name.
        about: What has to be said about the data.
        rows: Of all cells.
        test_set: Of the target language, with the hypotheses of all cells.
        num_replications: Of the bootstrap.

    Raises:
        InputError: Nothing was measured.
    """
    sampled = bootstrap(test_set, num_replications)
    arms = [_arm_summary(sampled, key, rows, test_set) for key in sampled.seeds]
    return Summary(
        recipe=recipe,
        about=about,
        language=test_set.language,
        resampled=sampled.drawn,
        num_resampled=sampled.num_drawn,
        num_replications=num_replications,
        arms=arms,
        equivalent_hours=all_equivalent_hours(sampled),
        worse=negative_transfer((test_set.language, a.arm, a.budget_s, a.reduction) for a in arms if a.reduction),
        languages=language_errors(rows),
        examples=find_examples(test_set),
        notes=_notes(sampled) + _left_out(test_set),
    )


def relative_reduction(sampled: Bootstrap, key: ArmAtBudget) -> tuple[Estimate, float] | None:
    """By how much of alone's CER an arm's is lower at the same budget, and the p-value of the difference."""
    alone = sampled.cer.get((REFERENCE_ARM, key[1]))
    if alone is None or key[0] == REFERENCE_ARM or not alone.mean:
        return None
    helped = sampled.cer[key]
    reductions = 1 - helped.replicates / np.maximum(alone.replicates, sampled.smallest)
    estimate = Estimate(1 - helped.mean / alone.mean, *percentile_interval(reductions))
    return estimate, paired_p_value(helped.replicates - alone.replicates)


def all_reductions(sampled: Mapping[str, Bootstrap]) -> list[tuple[str, Arm, float, Estimate]]:
    """(target, arm, seconds of its speech, reduction of its CER) of everything that was tried beside alone."""
    return [
        (target, *key, reduction[0])
        for target, own in sampled.items()
        for key in own.cer
        if (reduction := relative_reduction(own, key))
    ]


def all_equivalent_hours(sampled: Bootstrap) -> list[EquivalentHours]:
    """For every arm but alone at every budget; nothing where alone was not measured."""
    budgets = sorted(budget for arm, budget in sampled.cer if arm == REFERENCE_ARM)
    if not budgets:
        return []
    alone = [sampled.cer[REFERENCE_ARM, budget] for budget in budgets]
    logs = _log([m.mean for m in alone], sampled), _log([m.replicates for m in alone], sampled).T
    return [
        equivalent_hours(
            arm, budget, np.array(budgets), logs, (float(_log(m.mean, sampled)), _log(m.replicates, sampled))
        )
        for arm, budget in sampled.seeds
        if arm != REFERENCE_ARM
        for m in [sampled.cer[arm, budget]]
    ]


def _log(rates, sampled: Bootstrap) -> np.ndarray:
    return np.log(np.maximum(np.asarray(rates), sampled.smallest))


def _arm_summary(sampled: Bootstrap, key: ArmAtBudget, rows: Sequence[ResultRow], test_set: TestSet) -> ArmSummary:
    arm, budget_s = key
    own = [
        row
        for row in rows
        if (row["arm"], row["budget_s"]) == key and row["language"] == test_set.language and row["split"] == "test"
    ]
    reduction = relative_reduction(sampled, key)
    both = [seed for seed in sampled.seeds[key] if seed in sampled.seeds.get((REFERENCE_ARM, budget_s), ())]
    pairs = [(Model(arm, budget_s, seed), Model(REFERENCE_ARM, budget_s, seed)) for seed in both]
    return ArmSummary(
        arm=arm,
        budget_s=budget_s,
        seeds=sampled.seeds[key],
        cer=sampled.cer[key].estimate(),
        wer=sampled.wer[key].estimate(),
        cer_by_seed=sampled.cer[key].by_seed,
        reduction=reduction[0] if reduction else None,
        p_value=reduction[1] if reduction else None,
        mapsswe_z=[] if arm == REFERENCE_ARM else [_mapsswe_z(test_set, *pair) for pair in pairs],
        num_updates=fmean(row["num_updates"] for row in own),
        num_parameters=own[0]["num_parameters"],
        wall_time_s=fmean(row["wall_time_s"] for row in own),
    )


def _mapsswe_z(test_set: TestSet, model: Model, other: Model) -> float:
    heard = test_set.hypotheses[model], test_set.hypotheses[other]
    return mapsswe(test_set.references, *heard, spaced=test_set.spaced).z


def negative_transfer(reductions: Iterable[tuple[str, Arm, float, Estimate]]) -> list[Worse]:
    """Where an arm has more errors than alone, the certain cases first, the largest loss first.

    Args:
        reductions: (language, arm, seconds of its speech, reduction of its CER).
    """
    found = [Worse(*tried, certain=tried[-1].high < 0) for tried in reductions if tried[-1].value < 0]
    return sorted(found, key=lambda worse: (not worse.certain, worse.reduction.value))


def language_errors(rows: Sequence[ResultRow]) -> list[LanguageError]:
    """Test errors of all languages by arm and budget, over seeds."""
    values: dict[tuple[str, Arm, float], list[float]] = {}
    for row in rows:
        if row["split"] == "test" and row["cer"] is not None:
            values.setdefault((row["language"], row["arm"], row["budget_s"]), []).append(row["cer"])
    return [LanguageError(*key, fmean(cers), min(cers), max(cers)) for key, cers in values.items()]


def _left_out(test_set: TestSet) -> list[str]:
    if not test_set.num_left_out:
        return []
    return [
        f"{test_set.num_left_out} test utterances that not every model recognised are left out of all figures here."
    ]


def how_drawn(sampled: Bootstrap, test_set: str) -> str:
    """What intervals rest on, in words."""
    few = " With so few, intervals are too narrow: read them as less than 95 %." if sampled.num_drawn < 10 else ""
    return (
        f"Intervals cover 95 %: the bootstrap draws {sampled.num_drawn} {sampled.drawn}s of {test_set} with "
        f"replacement, the same for all arms.{few}"
    )


def _notes(sampled: Bootstrap) -> list[str]:
    """What the reader has to know, in words."""
    notes = [how_drawn(sampled, "the test set")]
    num_seeds = {len(own) for own in sampled.seeds.values()}
    if max(num_seeds) == 1:
        notes.append(
            "There is one seed only: intervals hold for these trained models and say nothing about another training. "
            "Set compare.seeds to three or more."
        )
    else:
        notes.append("They hold the spread over seeds too, pooled over the budgets of an arm.")
    if len(num_seeds) > 1:
        notes.append(f"Not every arm and budget has all seeds yet: they have {min(num_seeds)} to {max(num_seeds)}.")
    if not any(arm == REFERENCE_ARM for arm, _ in sampled.cer):
        notes.append(f"The arm {REFERENCE_ARM} was not run: reductions and equivalent hours cannot be given.")
    elif len({budget for arm, budget in sampled.cer if arm == REFERENCE_ARM}) == 1:
        notes.append("Alone was measured at one budget: equivalent hours can only be more or less than that.")
    return notes
