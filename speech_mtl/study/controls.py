"""Controls: arms with one change, to find the cause of an effect. Each is one switch in `compare.controls`.

noise                   auxiliary speech replaced by noise: does the effect need the sound of other languages?
shuffled_transcripts    auxiliary transcripts given to other utterances: does the effect need correct transcripts?
leave_one_out           each auxiliary language left out in turn: which one is it?
"""

from collections.abc import Callable, Set
from dataclasses import replace

from speech_mtl.errors import InputError
from speech_mtl.settings.recipe import Recipe
from speech_mtl.study.arms import ARMS, Stage, StagesOf
from speech_mtl.study.statistics.rows import CONTROLS, REFERENCE_ARM, Arm
from speech_mtl.study.target import auxiliaries_of, target_of


def arms_and_controls(recipe: Recipe, variant: str = "") -> dict[Arm, StagesOf]:
    """The arms that a recipe compares and the controls it asks for, in the order in which they are run.

    Those of a variant have stages with names of their own: they share no run with the arms themselves.

    Raises:
        InputError: An arm is unknown, or there is no auxiliary language to control for.
    """
    arms = {Arm(name): ARMS[name] for name in recipe.compare.arms}
    controls = recipe.compare.controls
    found = dict(arms)
    for arm, stages in arms.items():
        if arm == REFERENCE_ARM:
            continue
        for what in ("noise", "shuffled_transcripts"):
            if getattr(controls, what):
                found[replace(arm, control=what)] = _corrupted(stages, CONTROLS[what][1:], what)
        if controls.leave_one_out:
            for left in _two_or_more(recipe):
                found[replace(arm, control="leave_one_out", auxiliary=left)] = without(stages, left)
    if variant:
        return {arm: _changed(stages, variant, lambda recipe: recipe) for arm, stages in found.items()}
    return found


def without(arm: StagesOf, language: str) -> StagesOf:
    """An arm that does not have one of the auxiliary languages."""
    return _changed(arm, f"without_{language}", lambda recipe: _with(recipe, recipe.languages.keys() - {language}))


def only(arm: StagesOf, language: str) -> StagesOf:
    """An arm with a single auxiliary language."""
    return _changed(arm, f"only_{language}", lambda recipe: _with(recipe, {language}))


def _changed(arm: StagesOf, suffix: str, change: Callable[[Recipe], Recipe]) -> StagesOf:
    """An arm on a changed recipe, with stages of other names."""

    def changed(recipe: Recipe) -> list[Stage]:
        return [
            replace(
                stage,
                name=f"{stage.name}-{suffix}",
                start=stage.start and f"{stage.start}-{suffix}",
                teacher=stage.teacher and f"{stage.teacher}-{suffix}",
            )
            for stage in arm(change(recipe))
        ]

    return changed


def _with(recipe: Recipe, auxiliaries: Set[str]) -> Recipe:
    kept = auxiliaries | {target_of(recipe)}
    return recipe.with_languages({name: settings for name, settings in recipe.languages.items() if name in kept})


def _corrupted(arm: StagesOf, suffix: str, what: str) -> StagesOf:
    """An arm with corrupted auxiliary speech.

    A stage of auxiliary languages alone runs to its end: their dev error, on true speech, has nothing to tell it.
    """

    def change(recipe: Recipe) -> Recipe:
        others = {name: s.model_copy(update={"replace": what}) for name, s in auxiliaries_of(recipe).items()}
        return recipe.overridden({"languages": recipe.languages | others})

    def corrupted(recipe: Recipe) -> list[Stage]:
        return [
            replace(stage, recipe=stage.recipe.overridden({"training.select": "last"}))
            if stage.recipe.target is None
            else stage
            for stage in _changed(arm, suffix, change)(recipe)
        ]

    return corrupted


def _two_or_more(recipe: Recipe) -> list[str]:
    auxiliaries = list(auxiliaries_of(recipe))
    if len(auxiliaries) < 2:
        raise InputError(
            "compare.controls.leave_one_out has nothing to leave",
            expected="at least two auxiliary languages",
            received=", ".join(auxiliaries),
            action="add a language, or switch the control off: without its only auxiliary the arm would be alone",
        )
    return auxiliaries
