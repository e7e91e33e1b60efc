"""Rows and hypotheses of a comparison -> its `Summary`: intervals, tests, equivalent hours, negative transfer."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from statistics import fmean

import numpy as np

from speech_mtl.errors import InputError
from speech_mtl.scoring.error_rate import errors_by_utterance, lengths_by_utterance
from speech_mtl.scoring.tables import duration, percent
from speech_mtl.study.statistics.efficiency import equivalent_hours
from speech_mtl.study.statistics.examples import find_examples
from speech_mtl.study.statistics.hypotheses import Model, TestSet
from speech_mtl.study.statistics.prediction import predictions
from speech_mtl.study.statistics.rows import REFERENCE_ARM, Arm, ResultRow
from speech_mtl.study.statistics.significance import (
    Seeds,
    blocks,
    fewer,
    mapsswe,
    paired_p_value,
    percentile_interval,
    resampled_sums,
    seed_deviations,
    varied,
)
from speech_mtl.study.statistics.summary import (
    LEARNT_BELOW,
    REMEDY,
    ArmSummary,
    EquivalentHours,
    Estimate,
    LanguageError,
    NotLearnt,
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

    @property
    def learnt(self) -> bool:
        """Whether a character error rate is that of something that has learnt."""
        return self.mean < LEARNT_BELOW

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

    def beside(self, key: ArmAtBudget) -> Measured | None:
        """Alone's CER at the budget of another arm; None where it was not measured, and for alone itself."""
        return None if key[0] == REFERENCE_ARM else self.cer.get((REFERENCE_ARM, key[1]))


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
    drawn = blocks(test_set.speakers, test_set.references)
    sums = resampled_sums(columns, drawn.of, num_replications, drawn.seed)
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
    return Bootstrap(drawn.kind, int(drawn.of.max()) + 1, seeds, rates[1], rates[0], 0.5 / totals[1])


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
    """Means over seeds, with the spread over seeds in the replicates; variants of an arm are together, in one pool."""
    arms = list(dict.fromkeys(arm.base for arm, _ in seeds))
    together = sorted(seeds, key=lambda key: arms.index(key[0].base))
    runs = {key: [Model(*key, seed) for seed in seeds[key]] for key in together}

    def mean(models: Sequence[Model]) -> np.ndarray:
        in_order = sorted(models)  # one order gives one last digit
        return np.mean([replicates[model] for model in in_order], axis=0)

    cells = [
        Seeds(
            pool=key[0].base,
            budget_s=key[1],
            rates={model.seed: max(float(rates[model]), floor) for model in models},
            runs=frozenset((model.seed, float(rates[model]), replicates[model].tobytes()) for model in models),
        )
        for key, models in runs.items()
    ]
    num_replications = len(next(iter(replicates.values()), ()))
    deviations = seed_deviations(cells, num_replications, generator_seed)
    return {
        key: Measured(
            [float(rates[model]) for model in models],
            varied(mean(models), own),
        )
        for (key, models), own in zip(runs.items(), deviations, strict=True)
    }


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
    failed = not_learnt({test_set.language: sampled})
    no_hours = why_no_hours(sampled)
    return Summary(
        recipe=recipe,
        about=about,
        language=test_set.language,
        resampled=sampled.drawn,
        num_resampled=sampled.num_drawn,
        num_replications=num_replications,
        arms=arms,
        equivalent_hours=[] if no_hours else all_equivalent_hours(sampled),
        worse=negative_transfer(all_reductions({test_set.language: sampled}, learnt=True)),
        languages=language_errors(rows),
        examples=find_examples(test_set),
        no_hours=no_hours,
        predictions=predictions(sampled),
        not_learnt=failed,
        notes=_notes(sampled)
        + ([] if no_hours else _rises(sampled))
        + _left_out(test_set)
        + without_errors({test_set.language: sampled})
        + learning_notes(failed),
    )


def relative_reduction(sampled: Bootstrap, key: ArmAtBudget) -> Estimate | None:
    """By how much of alone's CER an arm's is lower at the same budget; None where alone has no error."""
    alone = sampled.beside(key)
    if alone is None or not alone.mean:
        return None
    helped = sampled.cer[key]
    reductions = fewer(helped.replicates, alone.replicates, sampled.smallest)
    return Estimate(1 - helped.mean / alone.mean, *percentile_interval(reductions))


def all_reductions(sampled: Mapping[str, Bootstrap], learnt: bool = False) -> list[tuple[str, Arm, float, Estimate]]:
    """(target, arm, seconds of its speech, reduction of its CER) of everything that was tried beside alone.

    Args:
        sampled: By target.
        learnt: Only where the arm or alone has learnt.
    """
    return [
        (target, *key, reduction)
        for target, own in sampled.items()
        for key in own.cer
        if (reduction := relative_reduction(own, key))
        and (not learnt or own.cer[key].learnt or own.cer[REFERENCE_ARM, key[1]].learnt)
    ]


def not_learnt(sampled: Mapping[str, Bootstrap]) -> list[NotLearnt]:
    """The runs that have not learnt, by target, arm and budget."""
    found = []
    for target, own in sampled.items():
        for key, seeds in own.seeds.items():
            pairs = zip(seeds, own.cer[key].by_seed, strict=True)
            if failed := [seed for seed, cer in pairs if cer >= LEARNT_BELOW]:
                found.append(NotLearnt(target, *key, failed, len(seeds)))
    return found


def nothing_learnt(sampled: Mapping[str, Bootstrap]) -> str:
    """Says that no run has learnt, if none has."""
    if any(cer < LEARNT_BELOW for own in sampled.values() for one in own.cer.values() for cer in one.by_seed):
        return ""
    return (
        f"no run has learnt: every character error rate is {100 * LEARNT_BELOW:g} % or more, and an empty text has 100 "
        f"%. {REMEDY}"
    )


def why_no_hours(sampled: Bootstrap) -> str:
    """Why no equivalent hours are given, in words; empty where some are, or where alone or all else is missing."""
    alone = {budget: own for (arm, budget), own in sorted(sampled.cer.items()) if arm == REFERENCE_ARM}
    others = [own for (arm, _), own in sampled.cer.items() if arm != REFERENCE_ARM]
    if not alone or not others:
        return ""
    if nothing := nothing_learnt({"": sampled}):
        return nothing
    learnt = {budget: own for budget, own in alone.items() if own.learnt}
    if not learnt:
        return f"{REFERENCE_ARM} has not learnt with any amount of speech. {REMEDY}"
    if not any(own.learnt for own in others):
        return f"nothing but {REFERENCE_ARM} has learnt. {REMEDY}"
    first, *more = learnt
    falls = (fewer(learnt[budget].replicates, learnt[first].replicates, sampled.smallest) for budget in more)
    if more and not any(percentile_interval(fall)[0] > 0 for fall in falls):
        return (
            f"the curve of {REFERENCE_ARM} does not fall: its error is {percent(learnt[first].mean)} % with "
            f"{duration(first)} of speech and {percent(learnt[more[-1]].mean)} % with {duration(more[-1])}, and with "
            "no amount certainly lower than with the least, so that no hours can be read off it"
        )
    return ""


def all_equivalent_hours(sampled: Bootstrap) -> list[EquivalentHours]:
    """For every arm but alone at every budget, on the curve of alone; what has not learnt says nothing of hours."""
    budgets = sorted(budget for (arm, budget), own in sampled.cer.items() if arm == REFERENCE_ARM and own.learnt)
    if not budgets:
        return []
    alone = [sampled.cer[REFERENCE_ARM, budget] for budget in budgets]
    logs = _log([m.mean for m in alone], sampled), _log([m.replicates for m in alone], sampled).T
    return [
        equivalent_hours(
            arm, budget, np.array(budgets), logs, (float(_log(m.mean, sampled)), _log(m.replicates, sampled))
        )
        for arm, budget in sampled.seeds
        for m in [sampled.cer[arm, budget]]
        if arm != REFERENCE_ARM and m.learnt
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
    alone = sampled.beside(key)
    both = [seed for seed in sampled.seeds[key] if seed in sampled.seeds.get((REFERENCE_ARM, budget_s), ())]
    pairs = [(Model(arm, budget_s, seed), Model(REFERENCE_ARM, budget_s, seed)) for seed in both]
    return ArmSummary(
        arm=arm,
        budget_s=budget_s,
        seeds=sampled.seeds[key],
        cer=sampled.cer[key].estimate(),
        wer=sampled.wer[key].estimate(),
        cer_by_seed=sampled.cer[key].by_seed,
        reduction=relative_reduction(sampled, key),
        p_value=paired_p_value(sampled.cer[key].replicates - alone.replicates) if alone else None,
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


def learning_notes(failed: Sequence[NotLearnt]) -> list[str]:
    """Names the runs that have not learnt, and what to do."""
    if not failed:
        return []
    several = len({one.language for one in failed}) > 1
    named = [
        f"{one.arm} with {duration(one.budget_s)}{f' in {one.language}' if several else ''}"
        + ("" if len(one.seeds) == one.num_seeds else f" ({len(one.seeds)} of {one.num_seeds} seeds)")
        for one in failed
    ]
    return [
        f"Not learnt, with a character error rate of {100 * LEARNT_BELOW:g} % or more, while an empty text has 100 %: "
        f"{'; '.join(named)}. {REMEDY}: these figures say nothing of languages."
    ]


def without_errors(sampled: Mapping[str, Bootstrap]) -> list[str]:
    """Names where alone has no error, so that nothing can be a share of its errors."""
    return [
        f"Alone has no error in {target} with {duration(budget)}: by what share others have more cannot be said."
        for target, own in sampled.items()
        for (arm, budget), measured in own.cer.items()
        if arm == REFERENCE_ARM and not measured.mean
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
        notes.append(
            "They hold the spread over seeds too, pooled over the budgets of an arm. Runs of one seed are compared as "
            "pairs; the same runs under two names are the same."
        )
    if len(num_seeds) > 1:
        notes.append(f"Not every arm and budget has all seeds yet: they have {min(num_seeds)} to {max(num_seeds)}.")
    if not any(arm == REFERENCE_ARM for arm, _ in sampled.cer):
        notes.append(f"The arm {REFERENCE_ARM} was not run: reductions and equivalent hours cannot be given.")
    elif len({budget for arm, budget in sampled.cer if arm == REFERENCE_ARM}) == 1:
        notes.append("Alone was measured at one budget: equivalent hours can only be more or less than that.")
    return notes


def _rises(sampled: Bootstrap) -> list[str]:
    """Where alone makes more errors with more speech."""
    alone = [(budget, own) for (arm, budget), own in sorted(sampled.cer.items()) if arm == REFERENCE_ARM and own.learnt]
    rises = [
        f"{duration(budget)} than with {duration(less)}"
        for (less, small), (budget, large) in pairwise(alone)
        if large.mean > small.mean
    ]
    if not rises:
        return []
    return [f"Alone has more errors with {', '.join(rises)}: its curve is levelled there to read hours off it."]
