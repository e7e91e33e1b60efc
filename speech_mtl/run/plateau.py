"""Detects networks that have not learnt: on the initial plateau of CTC, where only blanks and the most frequent letters
come out, or before the end of their training."""

import math
from collections import Counter
from collections.abc import Iterable, Sequence

from speech_mtl.errors import InputError
from speech_mtl.run.folder import Run
from speech_mtl.scoring.error_rate import Score
from speech_mtl.screen import Screen
from speech_mtl.settings.recipe import Recipe
from speech_mtl.settings.training import TrainingSettings

MOST_RIGHT = 0.05
"""Largest fraction of correct characters where almost only blanks come out."""

LEAST_VARIED = 0.5
"""Least entropy of the characters that a trained network outputs, by that of the transcripts' characters.

Of 612 trained networks of the recipes here none had less than 0.52. Three that stayed on the plateau had 0.39 to 0.46,
though a third of their characters were right: spaces, e and n.
"""

USUAL = 500
"""Updates after which trainings have left it, as a rule."""


def is_on_plateau(score: Score, references: Iterable[str | None], hypotheses: Iterable[str]) -> bool:
    """Whether hardly any character of a set is right, or hardly any comes out but the most frequent ones.

    Args:
        score: Of the hypotheses.
        references: Normalised transcripts; None where unknown.
        hypotheses: What the network made of the same utterances.
    """
    if score.characters.hits <= MOST_RIGHT * score.characters.num_reference:
        return True
    return _entropy(hypotheses) < LEAST_VARIED * _entropy(text for text in references if text is not None)


def _entropy(texts: Iterable[str]) -> float:
    """Of the characters, in nats."""
    counts = Counter("".join(texts)).values()
    return -sum(count / sum(counts) * math.log(count / sum(counts)) for count in counts)


def plateau_text(languages: Sequence[str], recipe: Recipe) -> str:
    """Describes the problem with these languages, and what to change in the recipe.

    What helps is measured in `benchmarks/gpu_experiments.md`: branches that begin at zero most of all.
    """
    training, is_new = recipe.training, recipe.init_from is None
    branches = is_new and not getattr(recipe.encoder, "zero_branches", True)
    begins = "encoder.zero_branches=true, " if branches else ""
    given, usual = training.learning_rate, TrainingSettings().learning_rate
    # Where a run starts from another, the usual rate depends on what is frozen or new; see `FinetuneSettings`.
    rate = f"the usual learning rate (training.learning_rate={usual:g}, now {given:g}), "
    few = getattr(recipe.encoder, "upsampling", 2) == 1
    frames = "for fast speech more frames (encoder.upsampling=2, now 1), " if few else ""
    return (
        f"{', '.join(languages)}: almost only blanks or a few frequent letters come out, as at the beginning of every "
        f"training with CTC. What helps: {begins}{frames}more updates "
        f"(training.num_updates={max(2000, 2 * training.num_updates)}, now {training.num_updates}), a longer warm-up "
        f"(training.warmup_updates={max(200, 2 * training.warmup)}, now {training.warmup}), "
        f"{rate if is_new and given != usual else ''}or more speech."
        + ("" if is_new else " In a comparison, finetune.* has these settings of runs that start from another.")
    )


def tell_unfinished(run: Run, screen: Screen) -> None:
    """Warns if a run was stopped before its end, where that is known: a packed run has no checkpoint."""
    if run.has_checkpoint() and not run.is_finished():
        progress = run.progress()
        screen.warn(
            f"{run.path} is not finished: update {progress.update} of {run.recipe().training.num_updates}; these are "
            f"the best weights so far, of update {progress.best_update}"
        )


def tell_untrained(run: Run, screen: Screen) -> None:
    """Warns before a run is used if it was stopped before its end, or has hardly learnt a language."""
    tell_unfinished(run, screen)
    if stuck := stuck_languages(run):
        screen.warn(f"{run.path}: {plateau_text(stuck, run.recipe())}")


def stuck_languages(run: Run) -> list[str]:
    """The languages that were on the plateau at the last validation; none where the log is damaged."""
    try:
        log = run.log()
    except InputError:
        return []
    return log[-1].get("on_plateau", []) if log else []
