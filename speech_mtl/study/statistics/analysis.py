"""Rows and hypotheses of a comparison -> its `Summary`: intervals, tests, equivalent hours, negative transfer."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from statistics import fmean
from typing import Any

import numpy as np

from speech_mtl.study.statistics import notes
from speech_mtl.study.statistics.bootstrap import Bootstrap, all_tried, bootstrap
from speech_mtl.study.statistics.efficiency import equivalent_hours
from speech_mtl.study.statistics.examples import find_examples
from speech_mtl.study.statistics.forgetting import decoder_gains, what_was_forgotten
from speech_mtl.study.statistics.hypotheses import Model, TestSet, decoders_of, test_sets_of
from speech_mtl.study.statistics.matched_pairs import mapsswe
from speech_mtl.study.statistics.prediction import predictions
from speech_mtl.study.statistics.rows import REFERENCE_ARM, Arm, Origin, ResultRow
from speech_mtl.study.statistics.significance import paired_p_value
from speech_mtl.study.statistics.summary import (
    LEARNT_BELOW,
    ArmSummary,
    EquivalentHours,
    LanguageError,
    NotLearnt,
    Summary,
    Tried,
)
from speech_mtl.study.statistics.tasks import task_errors
from speech_mtl.study.statistics.training import ArmAtBudget, ArmSize, Effort, Training, efforts

DECODED = ("arms", "equivalent_hours", "tasks", "worse", "transfer", "not_learnt")
"""The records of a summary that name their decoder."""


def is_transfer_map(rows: Sequence[ResultRow]) -> bool:
    """Whether a comparison shows which language helps which."""
    return any(row["arm"].is_of_transfer_map for row in rows)


def has_tasks(rows: Sequence[ResultRow], test_sets: Sequence[TestSet]) -> bool:
    """Whether there is more to compare than one target's arms: several targets, variants, or other tasks."""
    if is_transfer_map(rows):
        return False
    return len(test_sets) > 1 or any("task" in row or row["arm"].variant for row in rows)


def summarize(
    origin: Origin,
    rows: Sequence[ResultRow],
    test_sets: Sequence[TestSet],
    training: Training | None = None,
    old: Sequence[TestSet] = (),
) -> Summary:
    """Computes the summary of a comparison, by each of its decoders.

    Args:
        origin: What was compared.
        rows: Of all cells.
        test_sets: Of each target language, with the hypotheses of all cells.
        training: What the runs told of their training.
        old: Of each language from before the target was learnt, with the hypotheses before and after.

    Raises:
        InputError: Nothing was measured.
    """
    first, *others = decoders_of(test_sets)
    summary = _summarize(first, origin, rows, test_sets, training or Training(), old)
    if not others:
        return summary
    told = f"Examples, curves, predictions and errors in other languages are those of the decoder {first}."
    return replace(
        summary,
        others=[_summarize(decoder, origin, rows, test_sets, Training(), ()) for decoder in others],
        gains=decoder_gains(test_sets, origin.num_replications),
        notes=[*summary.notes, told],
    )


def _summarize(
    decoder: str,
    origin: Origin,
    all_rows: Sequence[ResultRow],
    all_test_sets: Sequence[TestSet],
    training: Training,
    old: Sequence[TestSet],
) -> Summary:
    """The summary of one decoder; of one that is not the first, without what no report shows."""
    is_first = decoder == decoders_of(all_test_sets)[0]
    rows = [row for row in all_rows if row.get("decoder", "") == decoder]
    test_sets = test_sets_of(decoder, all_test_sets)
    num_replications = origin.num_replications
    sampled = {test_set.language: bootstrap(test_set, num_replications) for test_set in test_sets}
    first, tried, failed = next(iter(sampled.values())), all_tried(sampled), not_learnt(sampled)
    took, found = efforts(rows, origin.protocol), dict[str, Any]()
    if is_transfer_map(rows):
        shown = [one for one in tried if one.arm.is_of_transfer_map]
        found = {"transfer": shown, "no_hours": notes.nothing_learnt(sampled)}
        told = notes.notes_of_transfer_map(sampled)
    elif len(test_sets) > 1:
        told = notes.notes_of_targets(sampled, num_replications)
    else:
        no_hours = notes.why_no_hours(first)
        sizes = {one.arm: one for one in training.sizes}
        found = {
            "arms": [_arm_summary(first, key, test_sets[0], took[key], sizes.get(key[0])) for key in first.cells],
            "equivalent_hours": [] if no_hours else all_equivalent_hours(first, took),
            "no_hours": no_hours,
        }
        if is_first:
            found |= {"examples": find_examples(test_sets[0]), "predictions": predictions(first)}
        told = notes.notes_of_target(first, num_replications) + ([] if no_hours else notes.rises(first))
    if has_tasks(rows, test_sets):
        found["tasks"] = task_errors(test_sets, origin.reference, num_replications, took)
    summary = Summary(
        origin=origin,
        language=", ".join(sampled),
        worse=negative_transfer(tried),
        languages=language_errors(rows) if is_first and len(test_sets) == 1 else [],  # rows do not name their target
        not_learnt=failed,
        forgotten=what_was_forgotten(old, num_replications),
        training=training,
        notes=[*told, *notes.common_notes(sampled, test_sets, failed)],
        decoder=decoder,
        **found,
    )
    named = {name: [replace(one, decoder=decoder) for one in getattr(summary, name)] for name in DECODED}
    return replace(summary, **named)


def not_learnt(sampled: Mapping[str, Bootstrap]) -> list[NotLearnt]:
    """The runs that have not learnt, by target, arm and budget."""
    found = []
    for target, own in sampled.items():
        for key in own.cells:
            by_seed = own.cer[key].by_seed
            if failed := [seed for seed, cer in by_seed.items() if cer >= LEARNT_BELOW]:
                found.append(NotLearnt(target, *key, failed, len(by_seed)))
    return found


def all_equivalent_hours(sampled: Bootstrap, took: Mapping[ArmAtBudget, Effort]) -> list[EquivalentHours]:
    """Equivalent hours of every arm but alone at every budget, on the curve of alone; none if it has not learnt."""
    alone = notes.alone_by_budget(sampled)
    if not alone:
        return []

    def log(rates) -> np.ndarray:
        return np.log(np.maximum(np.asarray(rates), sampled.smallest))

    logs = log([m.mean for m in alone.values()]), log([m.replicates for m in alone.values()]).T
    found = [
        equivalent_hours(*key, np.array(list(alone)), logs, (float(log(m.mean)), log(m.replicates)))
        for key in sampled.cells
        for m in [sampled.cer[key]]
        if key[0] != REFERENCE_ARM and m.learnt
    ]
    return [replace(one, untranscribed_s=took[one.arm, one.budget_s].untranscribed_s) for one in found]


def _arm_summary(
    sampled: Bootstrap, key: ArmAtBudget, test_set: TestSet, effort: Effort, size: ArmSize | None
) -> ArmSummary:
    (arm, budget_s), alone, cer = key, sampled.beside(key), sampled.cer[key]
    both = [seed for seed in cer.by_seed if alone and seed in alone.by_seed]
    pairs = [(Model(*key, seed), Model(REFERENCE_ARM, budget_s, seed)) for seed in both]
    pairs_of_texts = [(test_set.hypotheses[own], test_set.hypotheses[other]) for own, other in pairs]
    return ArmSummary(
        language=test_set.language,
        arm=arm,
        budget_s=budget_s,
        seeds=list(cer.by_seed),
        cer=cer.estimate(),
        wer=sampled.wer[key].estimate(),
        cer_by_seed=list(cer.by_seed.values()),
        reduction=sampled.reduction(key),
        p_value=paired_p_value(cer.replicates - alone.replicates) if alone else None,
        mapsswe_z=[mapsswe(test_set.references, *two, spaced=test_set.spaced) for two in pairs_of_texts],
        effort=effort,
        size=size,
    )


def negative_transfer(tried: Sequence[Tried]) -> list[Tried]:
    """Finds arms with more errors than alone where one of both has learnt; significant and large losses first."""
    found = [one for one in tried if one.learnt and one.reduction.value < 0]
    return sorted(found, key=lambda one: (one.reduction.high >= 0, one.reduction.value))


def language_errors(rows: Sequence[ResultRow]) -> list[LanguageError]:
    """Test errors of all languages by arm and budget, over seeds."""
    values: dict[tuple[str, Arm, float], list[float]] = {}
    for row in rows:
        if row["split"] == "test" and row["cer"] is not None:
            values.setdefault((row["language"], row["arm"], row["budget_s"]), []).append(row["cer"])
    return [LanguageError(*key, fmean(cers), min(cers), max(cers)) for key, cers in values.items()]
