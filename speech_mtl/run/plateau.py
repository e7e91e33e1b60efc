"""Detects training that has not left the initial plateau of CTC, with hardly any output but blanks."""

from collections.abc import Sequence

from speech_mtl.run.folder import Run
from speech_mtl.scoring.error_rate import Score
from speech_mtl.settings.recipe import Recipe
from speech_mtl.settings.training import TrainingSettings

MOST_RIGHT = 0.05
"""Largest fraction of correct characters on the plateau: at times the most frequent character is output."""

USUAL = 500
"""Updates after which trainings have left it, as a rule."""


def is_on_plateau(score: Score) -> bool:
    """Whether hardly any character of a set is right."""
    return score.characters.hits <= MOST_RIGHT * score.characters.num_reference


def plateau_text(languages: Sequence[str], recipe: Recipe) -> str:
    """Describes the problem with these languages, and what to change in the recipe.

    What helps is measured in `benchmarks/gpu_experiments.md`: branches that begin at zero most of all.
    """
    training, usual = recipe.training, TrainingSettings().learning_rate
    begins = "" if getattr(recipe.encoder, "zero_branches", True) else "encoder.zero_branches=true, "
    given = training.learning_rate
    rate = "" if given == usual else f" the usual learning rate (training.learning_rate={usual:g}, now {given:g}),"
    return (
        f"{', '.join(languages)}: less than {MOST_RIGHT:.0%} of the characters are right, as at the beginning of every "
        f"training with CTC, when almost only blanks come out. What helps: {begins}more updates "
        f"(training.num_updates={max(2000, 2 * training.num_updates)}, now {training.num_updates}), a longer warm-up "
        f"(training.warmup_updates={max(200, 2 * training.warmup)}, now {training.warmup}),{rate} "
        "or more speech."
    )


def stuck_languages(run: Run) -> list[str]:
    """The languages that were on the plateau at the last validation.

    Raises:
        InputError: The log is damaged.
    """
    log = run.log()
    return log[-1].get("on_plateau", []) if log else []
