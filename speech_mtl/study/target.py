"""The target language of a recipe, and the auxiliary languages beside it."""

from speech_mtl.errors import InputError
from speech_mtl.settings.data import LanguageSettings
from speech_mtl.settings.recipe import Recipe

UNTARGETED = {"target": None, "data.ramp_to_target": False}
"""Settings of training that is not about one language."""


def target_only(recipe: Recipe) -> Recipe:
    """The recipe without its auxiliary languages."""
    target = target_of(recipe)
    return recipe.with_languages({target: recipe.languages[target]})


def target_of(recipe: Recipe) -> str:
    """The language that a comparison is about.

    Raises:
        InputError: The recipe has none.
    """
    if recipe.target not in recipe.languages:
        raise InputError(
            f"The recipe {recipe.name} has no target language",
            expected="target: one of " + ", ".join(recipe.languages),
            received=f"target: {recipe.target or 'null'}",
            action="set target to the language whose errors the comparison is about",
        )
    return str(recipe.target)


def auxiliaries_of(recipe: Recipe) -> dict[str, LanguageSettings]:
    """The languages other than the target, with their settings.

    Raises:
        InputError: There are none.
    """
    target = target_of(recipe)
    auxiliaries = {language: settings for language, settings in recipe.languages.items() if language != target}
    if not auxiliaries:
        raise InputError(
            f"The recipe {recipe.name} has no auxiliary language",
            expected="languages other than the target",
            received=target,
            action="add languages, or compare only the arm alone",
        )
    return auxiliaries
