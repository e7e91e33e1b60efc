"""Every task of a comparison side by side: each language's transcripts, their mean and worst, and all other tasks.

All errors are sums of errors over sums of what they are counted against, so one bootstrap serves them all.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np

from speech_mtl.scoring.resampling import blocks
from speech_mtl.scoring.tables import CER, FRACTIONS
from speech_mtl.study.statistics.bootstrap import Measured, Sampled, over_seeds, resampled, resampled_texts
from speech_mtl.study.statistics.hypotheses import Model, TestSet
from speech_mtl.study.statistics.rows import Arm
from speech_mtl.study.statistics.summary import MEAN, WORST, Estimate, TaskError
from speech_mtl.study.statistics.training import ArmAtBudget, Effort

_FLOOR = 1e-4
"""Lower bound of an error that is divided by."""


def task_errors(
    test_sets: Sequence[TestSet],
    reference: str,
    num_replications: int,
    took: Mapping[ArmAtBudget, Effort] | None = None,
) -> list[TaskError]:
    """Errors of every task, arm and budget over seeds, with intervals and reductions relative to the reference.

    Args:
        test_sets: Of every language that is tested.
        reference: Name of an arm, or of one without its variant, which stands for that arm of each variant.
        num_replications: Of the bootstrap.
        took: Efforts by arm and budget.
    """
    transcripts = {t.language: resampled_texts(t, list(t.hypotheses), num_replications)[-1] for t in test_sets}
    common = _common_models([list(one.rates) for one in transcripts.values()])
    sampled = {language: (CER, own) for language, own in transcripts.items()}
    if len(transcripts) > 1 and common:
        for name, function in ((MEAN, np.mean), (WORST, np.max)):
            sampled[name] = CER, _over_languages(list(transcripts.values()), common, function)
    for task in dict.fromkeys(task for test_set in test_sets for task in test_set.label_errors):
        labelled = [test_set for test_set in test_sets if task in test_set.label_errors]
        sampled[task] = labelled[0].metrics[task], _labels(task, labelled, num_replications)
    found = []
    for task, (metric, own) in sampled.items():
        measured = over_seeds(own, floor=_FLOOR, generator_seed=2)
        if metric in FRACTIONS:  # the spread of seeds may reach beyond 0 and 1
            measured = {key: replace(one, replicates=np.minimum(one.replicates, 1.0)) for key, one in measured.items()}
        for key, one in measured.items():
            seeds, errors = list(one.by_seed), list(one.by_seed.values())
            gain, effort = _gain(key, measured, reference), (took or {}).get(key)
            found.append(TaskError(task, metric, *key, seeds, one.estimate(), errors, gain, reference, effort))
    return found


def _labels(task: str, test_sets: Sequence[TestSet], num_replications: int) -> Sampled:
    """Errors of a task other than transcripts, over the labelled utterances of all languages."""
    models = _common_models([list(t.label_errors[task]) for t in test_sets])
    table: list[list[tuple[float, float]]] = []
    speakers: list[str | None] = []
    texts: list[str] = []
    for test_set in test_sets:
        errors = [test_set.label_errors[task][model] for model in models]
        for speaker, text, *pairs in zip(test_set.speakers, test_set.references, *errors, strict=True):
            known = [pair for pair in pairs if pair is not None]
            if len(known) == len(models):
                table.append(known)
                speakers.append(speaker)
                texts.append(text)
    columns = np.array(table, dtype=float).reshape(len(table), len(models), 2)
    return resampled(models, columns[..., 0], columns[..., 1], blocks(speakers, texts), num_replications)


def _over_languages(languages: Sequence[Sampled], models: Sequence[Model], function) -> Sampled:
    size = min(len(one.replicates[model]) for one in languages for model in models)
    return Sampled(
        {model: float(function([one.rates[model] for one in languages])) for model in models},
        {model: function([one.replicates[model][:size] for one in languages], axis=0) for model in models},
    )


def _common_models(lists: Sequence[Sequence[Model]]) -> list[Model]:
    return [model for model in lists[0] if all(model in other for other in lists)]


def _gain(key: ArmAtBudget, measured: Mapping[ArmAtBudget, Measured], reference: str) -> Estimate | None:
    """By how much of the reference's error an arm's is lower; None for the reference itself, and where it has none."""
    arm, budget_s = key
    rival = _rival(arm, [other for other, budget in measured if budget == budget_s], reference)
    if rival is None or rival == arm:
        return None
    return measured[key].reduction(measured[rival, budget_s], _FLOOR)


def _rival(arm: Arm, there: Sequence[Arm], reference: str) -> Arm | None:
    named = [other for other in there if other.name == reference]
    of_variant = [o for o in there if (o.base.name, o.variant) == (reference, arm.variant)]
    return next(iter(named + of_variant), None)
