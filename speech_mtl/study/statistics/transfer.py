"""The transfer map: how much each language, as the only auxiliary, helps each other one; and which ones to take."""

from collections.abc import Sequence

from speech_mtl.study.statistics.analysis import (
    Bootstrap,
    all_reductions,
    bootstrap,
    language_errors,
    learning_notes,
    negative_transfer,
    not_learnt,
    nothing_learnt,
    without_errors,
)
from speech_mtl.study.statistics.hypotheses import TestSet
from speech_mtl.study.statistics.rows import Arm, ResultRow
from speech_mtl.study.statistics.summary import Estimate, Recommendation, Summary, TransferEntry


def summarize_transfer(
    recipe: str, about: str, rows: Sequence[ResultRow], test_sets: Sequence[TestSet], num_replications: int = 10_000
) -> Summary:
    """All that a transfer map found; its languages are those of the test sets.

    Raises:
        InputError: A test set is empty.
    """
    sampled = {test_set.language: bootstrap(test_set, num_replications) for test_set in test_sets}
    learnt = all_reductions(sampled, learnt=True)
    first, failed = next(iter(sampled.values())), not_learnt(sampled)
    return Summary(
        recipe=recipe,
        about=about,
        language=test_sets[0].language,
        resampled=first.drawn,
        num_resampled=first.num_drawn,
        num_replications=num_replications,
        arms=[],
        equivalent_hours=[],
        worse=negative_transfer(learnt),
        languages=language_errors(rows),
        examples=[],
        transfer=_entries(all_reductions(sampled)),
        recommendations=[recommend(target, _entries(learnt)) for target in sampled],
        no_hours=nothing_learnt(sampled),
        not_learnt=failed,
        notes=[_note(sampled), *without_errors(sampled), *learning_notes(failed)],
    )


def _entries(reductions: Sequence[tuple[str, Arm, float, Estimate]]) -> list[TransferEntry]:
    return [
        TransferEntry(target, arm.auxiliary, reduction)
        for target, arm, _, reduction in reductions
        if arm.is_of_transfer_map
    ]


def recommend(target: str, entries: Sequence[TransferEntry]) -> Recommendation:
    """The languages that lower a target's error on their own, best first.

    They were tried one at a time: together they may help more or less than that.
    """
    helpful = [entry for entry in entries if entry.target == target and entry.reduction.value > 0]
    helpful.sort(key=lambda entry: -entry.reduction.value)
    certain = [entry.auxiliary for entry in helpful if entry.reduction.low > 0]
    return Recommendation(target, [entry.auxiliary for entry in helpful], certain)


def _note(sampled: dict[str, Bootstrap]) -> str:
    first = next(iter(sampled.values()))
    one_seed = all(len(seeds) == 1 for own in sampled.values() for seeds in own.seeds.values())
    seeds = (
        "There is one seed only: another training may differ." if one_seed else "They hold the spread over seeds too."
    )
    minutes = min(budget for _, budget in first.cer) / 60
    return (
        f"Each target had {minutes:g} minutes of speech, each auxiliary all of its own. Intervals cover 95 %: the "
        f"bootstrap draws {first.drawn}s of a target's test set. {seeds}"
    )
