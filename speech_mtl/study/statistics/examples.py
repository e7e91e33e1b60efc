"""Example utterances: the best, the median and the worst hypothesis, aligned with its reference."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import zip_longest

from speech_mtl.scoring.error_rate import align, errors_by_utterance
from speech_mtl.study.statistics.hypotheses import Model, TestSet
from speech_mtl.study.statistics.rows import REFERENCE_ARM, Arm


@dataclass(frozen=True, slots=True)
class Example:
    """One utterance as it was recognised.

    Attributes:
        title: Why it is shown: `best`, `median`, `worst`.
        pairs: The alignment word by word: (reference or None, hypothesis or None), equal where right.
    """

    title: str
    arm: Arm
    budget_s: float
    seed: int
    pairs: list[tuple[str | None, str | None]]


def find_examples(test_set: TestSet) -> list[Example]:
    """Three utterances at the smallest budget, each as the arm alone and the best other arm recognised it.

    They are ranked by the fraction of wrong characters that the other arm has; of equals the longest counts as the best
    and as the worst, since a short one is less informative.
    """
    models = _shown(test_set)
    if not models:
        return []
    _, errors = errors_by_utterance(test_set.references, test_set.hypotheses[models[-1]], test_set.spaced)
    sizes = [len(reference) for reference in test_set.references]
    spoken = [i for i, size in enumerate(sizes) if size]
    ranked = sorted(spoken, key=lambda i: (errors[i] / sizes[i], -sizes[i]))
    worst = max(spoken, key=lambda i: (errors[i] / sizes[i], sizes[i]))
    chosen = {"best": ranked[0], "median": ranked[len(ranked) // 2], "worst": worst}
    return [
        Example(title, *model[:3], aligned(test_set.references[i], test_set.hypotheses[model][i], test_set.spaced))
        for title, i in chosen.items()
        for model in models
    ]


def _shown(test_set: TestSet) -> list[Model]:
    """Alone and the arm with the fewest errors, at the smallest budget with its first seed; one if that is all."""
    smallest = min((model.budget_s for model in test_set.hypotheses), default=0.0)
    models = [model for model in test_set.hypotheses if model.budget_s == smallest]
    alone = [model for model in models if model.arm == REFERENCE_ARM][:1]
    helped = [model for model in models if model.arm != REFERENCE_ARM and model.seed == models[0].seed]

    def num_errors(model: Model) -> int:
        return sum(errors_by_utterance(test_set.references, test_set.hypotheses[model], test_set.spaced)[1])

    return alone + sorted(helped, key=num_errors)[:1]


def aligned(reference: str, hypothesis: str, spaced: bool = True) -> list[tuple[str | None, str | None]]:
    """Pairs (reference, hypothesis) by word, in languages without spaces by character; None for a gap."""
    output = align([reference], [hypothesis], spaced)
    pairs: list[tuple[str | None, str | None]] = []
    for chunk in output.alignments[0]:
        wanted: Sequence[str] = output.references[0][chunk.ref_start_idx : chunk.ref_end_idx]
        found: Sequence[str] = output.hypotheses[0][chunk.hyp_start_idx : chunk.hyp_end_idx]
        pairs += zip_longest(wanted, found)
    return pairs
