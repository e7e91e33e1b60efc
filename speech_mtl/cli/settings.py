"""The command that explains the settings."""

import shutil
from typing import Annotated

import typer

from speech_mtl.errors import InputError


def list_settings(
    word: Annotated[
        str, typer.Argument(metavar="[WORD]", help="Only settings with it in their key or description.")
    ] = "",
) -> None:
    """List the settings of recipes with their values, defaults and descriptions.

    Example: speech-mtl settings rate
    """
    from speech_mtl.settings.listing import all_settings, listing
    from speech_mtl.settings.recipe import Recipe

    found = [setting for setting in all_settings(Recipe) if setting.matches(word)]
    if not found:
        raise InputError(
            f"No setting has {word!r} in its key or description",
            expected="a word such as learning_rate or warm-up",
            received=word,
            action="`speech-mtl settings` lists all",
        )
    print(listing(found, shutil.get_terminal_size((100, 24)).columns))
