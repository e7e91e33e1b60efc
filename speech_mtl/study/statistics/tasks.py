"""Every task of a comparison side by side: each language's transcripts, their mean and worst, and all other tasks.

All errors are sums of errors over sums of what they are counted against, so one bootstrap serves them all.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from statistics import fmean

import numpy as np

from speech_mtl.scoring.tables import CER, SHARES
from speech_mtl.study.statistics.analysis import (
    ArmAtBudget,
    Measured,
    all_reductions,
    bootstrap,
    character_errors,
    how_drawn,
    language_errors,
    learning_notes,
    negative_transfer,
    not_learnt,
    over_seeds,
    without_errors,
)
from speech_mtl.study.statistics.hypotheses import Model, TestSet
from speech_mtl.study.statistics.rows import ResultRow
from speech_mtl.study.statistics.significance import Blocks, blocks, fewer, percentile_interval, resampled_sums
from speech_mtl.study.statistics.summary import MEAN, WORST, Estimate, Summary, TaskError


@dataclass(frozen=True)
class _Sampled:
    """Errors of one task by model: of the whole test set, and in each replicate."""

    metric: str
    errors: dict[Model, float]
    replicates: dict[Model, np.ndarray]


def task_errors(test_sets: Sequence[TestSet], reference: str, num_replications: int = 10_000) -> list[TaskError]:
    """Errors of every task, arm and budget over seeds, with intervals, and what they gain on the reference arm.

    Args:
        test_sets: Of every language that is tested.
        reference: Name of an arm, or of one without its variant, which stands for that arm of each variant.
        num_replications: Of the bootstrap.
    """
    sampled = {test_set.language: _transcripts(test_set, num_replications) for test_set in test_sets}
    common = _common_models([list(one.errors) for one in sampled.values()])
    if len(sampled) > 1 and common:
        sampled[MEAN] = _over_languages(list(sampled.values()), common, np.mean)
        sampled[WORST] = _over_languages([s for name, s in sampled.items() if name != MEAN], common, np.max)
    for task in dict.fromkeys(task for test_set in test_sets for task in test_set.label_errors):
        sampled[task] = _labels(task, [t for t in test_sets if task in t.label_errors], num_replications)
    return [error for task, own in sampled.items() for error in _summarised(task, own, reference)]


def summarize_targets(
    recipe: str, about: str, rows: Sequence[ResultRow], test_sets: Sequence[TestSet], num_replications: int = 10_000
) -> Summary:
    """What a comparison of several targets found, besides `task_errors`: which got worse, and each language's error.

    Raises:
        InputError: A test set is empty.
    """
    sampled = {test_set.language: bootstrap(test_set, num_replications) for test_set in test_sets}
    first, failed = next(iter(sampled.values())), not_learnt(sampled)
    return Summary(
        recipe=recipe,
        about=about,
        language=", ".join(sampled),
        resampled=first.drawn,
        num_resampled=first.num_drawn,
        num_replications=num_replications,
        arms=[],
        equivalent_hours=[],
        worse=negative_transfer(all_reductions(sampled, learnt=True)),
        languages=language_errors(rows),
        examples=[],
        notes=[
            f"{how_drawn(first, 'each test set')} They hold the spread over seeds, pooled over budgets and variants. "
            "Runs of one seed are compared as pairs; the same runs under two names are the same.",
            *without_errors(sampled),
            *learning_notes(failed),
        ],
        not_learnt=failed,
    )


def _transcripts(test_set: TestSet, num_replications: int) -> _Sampled:
    models = list(test_set.hypotheses)
    errors, lengths = character_errors(test_set, models)
    columns = np.column_stack([errors, *[lengths] * len(models)])
    return _sampled(CER, models, blocks(test_set.speakers, test_set.references), columns, num_replications)


def _labels(task: str, test_sets: Sequence[TestSet], num_replications: int) -> _Sampled:
    """Of a task besides transcripts: over the utterances of all languages that have a label."""
    models = _common_models([list(t.label_errors[task]) for t in test_sets])
    table: list[list[float]] = []
    speakers: list[str | None] = []
    texts: list[str] = []
    for test_set in test_sets:
        errors = [test_set.label_errors[task][model] for model in models]
        for speaker, text, *pairs in zip(test_set.speakers, test_set.references, *errors, strict=True):
            known = [pair for pair in pairs if pair is not None]
            if len(known) == len(models):
                table.append([*(pair[0] for pair in known), *(pair[1] for pair in known)])
                speakers.append(speaker)
                texts.append(text)
    columns = np.array(table, dtype=float)
    return _sampled(test_sets[0].metrics[task], models, blocks(speakers, texts), columns, num_replications)


def _sampled(metric: str, models: list[Model], drawn: Blocks, columns: np.ndarray, num_replications: int) -> _Sampled:
    """Resamples columns: the errors of each model, then what they are counted against.

    F1 is counted against nothing where a model rightly says nothing: that model has no error then, and a replicate in
    which any model has none is left out, so that models stay paired.
    """
    if not len(columns):
        return _Sampled(metric, {}, {})
    totals = columns.sum(axis=0)
    places = {model: (i, len(models) + i) for i, model in enumerate(models) if totals[len(models) + i] > 0}
    sums = resampled_sums(columns, drawn.of, num_replications, drawn.seed)
    sums = sums[(sums[:, [counted for _, counted in places.values()]] > 0).all(axis=1)]
    if not len(sums):
        return _Sampled(metric, {}, {})
    return _Sampled(
        metric,
        {model: float(totals[wrong] / totals[counted]) for model, (wrong, counted) in places.items()},
        {model: sums[:, wrong] / sums[:, counted] for model, (wrong, counted) in places.items()},
    )


def _over_languages(languages: Sequence[_Sampled], models: Sequence[Model], function) -> _Sampled:
    size = min(len(one.replicates[model]) for one in languages for model in models)
    return _Sampled(
        CER,
        {model: float(function([one.errors[model] for one in languages])) for model in models},
        {model: function([one.replicates[model][:size] for one in languages], axis=0) for model in models},
    )


def _common_models(lists: Sequence[Sequence[Model]]) -> list[Model]:
    return [model for model in lists[0] if all(model in other for other in lists)]


def _summarised(task: str, sampled: _Sampled, reference: str) -> list[TaskError]:
    seeds: dict[ArmAtBudget, list[int]] = {}
    for model in sampled.errors:
        seeds.setdefault((model.arm, model.budget_s), []).append(model.seed)
    measured = over_seeds(seeds, sampled.errors, sampled.replicates, floor=1e-4, generator_seed=2)
    if sampled.metric in SHARES:  # the spread of seeds may reach beyond what a share can be
        measured = {key: replace(one, replicates=np.minimum(one.replicates, 1.0)) for key, one in measured.items()}
    return [
        TaskError(task, sampled.metric, *key, seeds[key], one.estimate(), one.by_seed, _gain(key, measured, reference))
        for key, one in measured.items()
    ]


def _gain(key: ArmAtBudget, measured: Mapping[ArmAtBudget, Measured], reference: str) -> Estimate | None:
    """By how much of the reference's error an arm's is lower; None for the reference itself, and where it has none."""
    arm, budget_s = key
    there = [other for other, budget in measured if budget == budget_s]
    rivals = [other for other in there if other.name == reference]
    rivals += [other for other in there if (other.base.name, other.variant) == (reference, arm.variant)]
    rival = next(iter(rivals), None)
    if rival is None or rival == arm:
        return None
    own, other = measured[key], measured[rival, budget_s]
    if fmean(other.by_seed) <= 0:
        return None
    size = min(len(own.replicates), len(other.replicates))
    gains = fewer(own.replicates[:size], other.replicates[:size], floor=1e-4)
    return Estimate(1 - own.mean / other.mean, *percentile_interval(gains))
