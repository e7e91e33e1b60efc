"""Controls: arms changed in one thing, to tell what an effect comes from. Each is one switch in `compare.controls`.

equal_updates           alone once more, with as many updates as the longest arm and without early stopping: is it only
                        the longer training?
noise                   auxiliary speech replaced by noise: is it the sound of the other languages at all?
shuffled_transcripts    auxiliary transcripts given to other utterances: is it what they say, or just hearing them?
leave_one_out           each auxiliary language left out in turn: which one is it?
"""

from collections.abc import Callable
from dataclasses import replace
from functools import partial

from speech_mtl.config import Recipe
from speech_mtl.errors import InputError
from speech_mtl.experiments.arms import Arm, Stage, alone, auxiliaries_of, find_arm, target_of
from speech_mtl.scoring.results import EQUAL_UPDATES, NOISE, REFERENCE_ARM, SHUFFLED


def arms_and_controls(recipe: Recipe) -> dict[str, Arm]:
    """The arms that a recipe compares and the controls it asks for, by name, in the order in which they are run.

    Raises:
        InputError: An arm is unknown, or there is no auxiliary language to control for.
    """
    arms = {name: find_arm(name) for name in recipe.compare.arms}
    controls = recipe.compare.controls
    helped = {name: arm for name, arm in arms.items() if name != REFERENCE_ARM}
    found = dict(arms)
    if controls.equal_updates:
        found[REFERENCE_ARM + EQUAL_UPDATES] = partial(_alone_as_long_as, list(helped.values()))
    for name, arm in helped.items():
        if controls.noise:
            found[name + NOISE] = _replaced(arm, "noise", "noise")
        if controls.shuffled_transcripts:
            found[name + SHUFFLED] = _replaced(arm, "shuffled", "shuffled_transcripts")
        if controls.leave_one_out:
            found |= {f"{name}_without_{left}": without(arm, left) for left in _two_or_more(recipe)}
    return found


def without(arm: Arm, language: str) -> Arm:
    """An arm that does not have one of the auxiliary languages."""
    return _changed(
        arm, f"without_{language}", lambda recipe: _with_auxiliaries(recipe, lambda other: other != language)
    )


def only(arm: Arm, language: str) -> Arm:
    """An arm with a single auxiliary language."""
    return _changed(arm, f"only_{language}", lambda recipe: _with_auxiliaries(recipe, lambda other: other == language))


def renamed(arm: Arm, suffix: str) -> Arm:
    """An arm whose stages have names of their own: they share no run with the arm itself."""
    return _changed(arm, suffix, lambda recipe: recipe)


def _changed(arm: Arm, suffix: str, change: Callable[[Recipe], Recipe]) -> Arm:
    """An arm on a changed recipe, with stages of other names."""

    def changed(recipe: Recipe) -> list[Stage]:
        return [
            replace(stage, name=f"{stage.name}-{suffix}", start=stage.start and f"{stage.start}-{suffix}")
            for stage in arm(change(recipe))
        ]

    return changed


def _with_auxiliaries(recipe: Recipe, wanted: Callable[[str], bool]) -> Recipe:
    target = target_of(recipe)
    languages = {name: settings for name, settings in recipe.languages.items() if name == target or wanted(name)}
    return recipe.with_languages(languages)


def _replaced(arm: Arm, suffix: str, what: str) -> Arm:
    """An arm whose auxiliary speech is not what it says.

    A stage of auxiliary languages alone runs to its end: their dev error, on true speech, has nothing to tell it.
    """

    def change(recipe: Recipe) -> Recipe:
        others = {name: s.model_copy(update={"replace": what}) for name, s in auxiliaries_of(recipe).items()}
        return recipe.overridden({"languages": recipe.languages | others})

    def replaced(recipe: Recipe) -> list[Stage]:
        return [
            replace(stage, recipe=stage.recipe.overridden({"training.select": "last"}))
            if stage.recipe.target is None
            else stage
            for stage in _changed(arm, suffix, change)(recipe)
        ]

    return replaced


def _alone_as_long_as(arms: list[Arm], recipe: Recipe) -> list[Stage]:
    """Alone with the updates of the longest of these arms, all stages together, and patience to the end."""
    updates = max(sum(stage.recipe.training.num_updates for stage in arm(recipe)) for arm in [alone, *arms])
    looks = -(-updates // recipe.training.evaluate_every)
    (stage,) = alone(recipe.overridden({"training.num_updates": updates, "training.patience": looks + 1}))
    return [replace(stage, name=stage.name.replace(REFERENCE_ARM, REFERENCE_ARM + EQUAL_UPDATES, 1))]


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
