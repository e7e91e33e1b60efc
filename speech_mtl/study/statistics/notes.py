"""Notes on the numbers of a comparison, in sentences."""

from collections.abc import Mapping, Sequence
from itertools import pairwise

from speech_mtl.scoring.resampling import percentile_interval
from speech_mtl.scoring.tables import percent, speech
from speech_mtl.study.statistics.bootstrap import Bootstrap, Measured
from speech_mtl.study.statistics.hypotheses import TestSet
from speech_mtl.study.statistics.rows import REFERENCE_ARM
from speech_mtl.study.statistics.significance import fewer
from speech_mtl.study.statistics.summary import LEARNT_BELOW, REMEDY, NotLearnt

OVER_SEEDS = "Runs of one seed are compared as pairs; the same runs under two names are the same."


def alone_by_budget(sampled: Bootstrap, learnt: bool = True) -> dict[float, Measured]:
    """Errors of the arm alone, by rising budget; only where it has learnt, or all."""
    alone = {budget: own for (arm, budget), own in sorted(sampled.cer.items()) if arm == REFERENCE_ARM}
    return {budget: own for budget, own in alone.items() if own.learnt or not learnt}


def nothing_learnt(sampled: Mapping[str, Bootstrap]) -> str:
    """Notes that no run has learnt, if none has."""
    if any(cer < LEARNT_BELOW for own in sampled.values() for one in own.cer.values() for cer in one.by_seed.values()):
        return ""
    return (
        f"no run has learnt: every character error rate is {100 * LEARNT_BELOW:g} % or more, and an empty text has 100 "
        f"%. {REMEDY}"
    )


def why_no_hours(sampled: Bootstrap) -> str:
    """Why no equivalent hours are given, in words; empty where some are, or where alone or all else is missing."""
    others = [own for (arm, _), own in sampled.cer.items() if arm != REFERENCE_ARM]
    if not alone_by_budget(sampled, learnt=False) or not others:
        return ""
    if nothing := nothing_learnt({"": sampled}):
        return nothing
    if not (learnt := alone_by_budget(sampled)):
        return f"{REFERENCE_ARM} has not learnt with any amount of speech. {REMEDY}"
    if not any(own.learnt for own in others):
        return f"nothing but {REFERENCE_ARM} has learnt. {REMEDY}"
    first, *more = learnt
    falls = (fewer(learnt[budget].replicates, learnt[first].replicates, sampled.smallest) for budget in more)
    if more and not any(percentile_interval(fall)[0] > 0 for fall in falls):
        return (
            f"the curve of {REFERENCE_ARM} does not fall: its error is {percent(learnt[first].mean)} % with "
            f"{speech(first)} of speech and {percent(learnt[more[-1]].mean)} % with {speech(more[-1])}, and with "
            "no amount significantly lower than with the least, so that no hours can be read off it"
        )
    return ""


def how_drawn(sampled: Bootstrap, test_set: str, num_replications: int) -> str:
    """Describes how intervals are computed."""
    drawn = sampled.drawn
    about = (
        f"Intervals cover 95 %: the bootstrap draws {drawn.number:,} {drawn.unit}s of {test_set} with replacement, "
        f"{num_replications:,} times, the same for all arms."
    )
    if drawn.unit == "utterance":
        return f"{about} They are about the speakers of the test set, and not about others."
    if drawn.num_unnamed:
        return f"{about} {drawn.num_unnamed:,} of these are utterances that name no speaker."
    return about


def notes_of_target(sampled: Bootstrap, num_replications: int) -> list[str]:
    """Notes on a comparison of one target."""
    notes = [how_drawn(sampled, "the test set", num_replications)]
    num_seeds = {len(own.by_seed) for own in sampled.cer.values()}
    if max(num_seeds) == 1:
        notes.append(
            "There is one seed only: intervals hold for these trained models and not for other trainings. "
            "Set compare.seeds to three or more."
        )
    else:
        notes.append(f"They hold the spread over seeds too, pooled over the budgets of an arm. {OVER_SEEDS}")
        if min(num_seeds) == 1:
            notes.append("Arms with one seed are taken to vary over seeds as the others do.")
    if len(num_seeds) > 1:
        notes.append(f"Not every arm and budget has all seeds yet: they have {min(num_seeds)} to {max(num_seeds)}.")
    alone = alone_by_budget(sampled, learnt=False)
    if not alone:
        notes.append(f"The arm {REFERENCE_ARM} was not run: reductions and equivalent hours cannot be given.")
    elif len(alone) == 1:
        notes.append("Alone was measured at one budget: equivalent hours can only be more or less than that.")
    return notes


def notes_of_targets(sampled: Mapping[str, Bootstrap], num_replications: int) -> list[str]:
    """Notes on a comparison of several targets."""
    first = next(iter(sampled.values()))
    return [
        f"{how_drawn(first, 'each test set', num_replications)} They hold the spread over seeds, pooled over budgets "
        f"and variants. {OVER_SEEDS}"
    ]


def notes_of_transfer_map(sampled: Mapping[str, Bootstrap]) -> list[str]:
    """Notes on a transfer map."""
    first = next(iter(sampled.values()))
    one_seed = all(len(one.by_seed) == 1 for own in sampled.values() for one in own.cer.values())
    seeds = (
        "There is one seed only: another training may differ." if one_seed else "They hold the spread over seeds too."
    )
    minutes = min(budget for _, budget in first.cer) / 60
    return [
        f"Each target had {minutes:g} minutes of speech, each auxiliary all of its own. Intervals cover 95 %: the "
        f"bootstrap draws {first.drawn.unit}s of a target's test set. {seeds}"
    ]


def common_notes(
    sampled: Mapping[str, Bootstrap], test_sets: Sequence[TestSet], failed: Sequence[NotLearnt]
) -> list[str]:
    """Notes on skipped utterances, chance, budgets where alone has no error, and runs that have not learnt."""
    num_tests = sum(own.beside(key) is not None for own in sampled.values() for key in own.cer)
    chance = (
        f"{num_tests} differences from {REFERENCE_ARM} are tested, each by itself: where there is no true difference, "
        "1 in 20 is called significant all the same."
    )
    notes = [chance] if num_tests > 1 else []
    notes += [
        f"{own.num_left_out} test utterances{f' of {own.language}' if len(sampled) > 1 else ''} that not every model "
        "recognised are left out of all numbers here."
        for own in test_sets
        if own.num_left_out
    ]
    notes += [
        f"Alone has no error in {target} with {speech(budget)}: so that no relative difference can be given."
        for target, own in sampled.items()
        for budget, measured in alone_by_budget(own).items()
        if not measured.mean
    ]
    if failed:
        several = len({one.language for one in failed}) > 1
        named = [
            f"{one.arm} with {speech(one.budget_s)}{f' in {one.language}' if several else ''}"
            + ("" if len(one.seeds) == one.num_seeds else f" ({len(one.seeds)} of {one.num_seeds} seeds)")
            for one in failed
        ]
        notes.append(
            f"Not learnt, with a character error rate of {100 * LEARNT_BELOW:g} % or more, while an empty text has "
            f"100 %: {'; '.join(named)}. {REMEDY}: these numbers do not depend on the languages."
        )
    return notes


def rises(sampled: Bootstrap) -> list[str]:
    """Notes on budgets where alone makes more errors with more speech."""
    found = [
        f"{speech(budget)} than with {speech(less)}"
        for (less, small), (budget, large) in pairwise(alone_by_budget(sampled).items())
        if large.mean > small.mean
    ]
    if not found:
        return []
    return [f"Alone has more errors with {', '.join(found)}: its curve is levelled there to read hours off it."]
