"""The file of a recipe: found, read, and checked once when it is loaded."""

from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

from speech_mtl.errors import InputError
from speech_mtl.files import read_text
from speech_mtl.settings.dotted import COMMAND_LINE, parsed_overrides, set_value
from speech_mtl.settings.mistakes import Place
from speech_mtl.settings.recipe import Recipe
from speech_mtl.settings.yaml12 import Lines, parse_yaml

RUN_SETTINGS = "settings.yaml"
"""File name of a run's recipe in its folder; see `run.folder`."""


RECIPE = "recipe.yaml"
"""File name of a recipe in its folder."""


def shipped_recipes() -> dict[str, Path]:
    """The recipes that come with the package, by their path in a checkout, such as `recipes/own`."""
    package = Path(__file__).parents[1]
    installed = sorted(package.glob(f"recipes/*/{RECIPE}"))
    return {
        f"recipes/{path.parent.name}": path for path in installed or sorted(package.parent.glob(f"recipes/*/{RECIPE}"))
    }


def find_recipe(path: Path) -> Path:
    """The file of a recipe: that file, that in the folder, or, where nothing is there, the one that comes with us.

    Raises:
        InputError: There is none.
    """
    here, shipped = path / RECIPE if path.is_dir() else path, shipped_recipes()
    if here.is_file():
        return here
    named = (path.parent if path.name == RECIPE else path).as_posix()
    if named in shipped and not path.is_dir():
        return shipped[named]
    raise InputError(
        f"There is no recipe {here}",
        expected="a YAML file, or a folder with a recipe.yaml; these come with speech-mtl: " + ", ".join(shipped),
        received="nothing at that path",
        action="name one of these, or copy one and change it",
    )


def load_recipe(path: Path, overrides: list[str] | None = None, leave_out: Collection[str] = ()) -> Recipe:
    """Reads and checks a recipe.

    Args:
        path: A YAML 1.2 file, or a folder that holds `recipe.yaml`; see `find_recipe`.
        overrides: `key=value` with dotted keys; the value is YAML.
        leave_out: Sections that are not read.

    Raises:
        InputError: No such file, not YAML, an unknown key or a value that fails its check.
    """
    path, lines, action = find_recipe(path), {}, "fix it, or start from one of the recipes that come with speech-mtl"
    values = parse_yaml(read_text(path, action), lambda line: f"{path}:{line}", action, lines)
    if not isinstance(values, dict):
        raise InputError(
            f"{path} holds no settings",
            expected="a mapping with at least the keys name, languages and data",
            received=type(values).__name__,
            action="start from one of the recipes that come with speech-mtl, such as recipes/own",
        )
    values = {key: value for key, value in values.items() if key not in leave_out}
    typed = parsed_overrides(overrides or [])
    for key, value in typed.items():
        set_value(values, key, value, COMMAND_LINE)
    return Recipe.checked(values, lambda place: _where(place, path, lines, typed))


def _where(place: Place, path: Path, lines: Lines, typed: Mapping[str, Any]) -> str:
    """Source of a setting: the line of a recipe, or the command line."""
    keys = [tuple(key.split(".")) for key in typed]
    if place and any(key[: len(place)] == place or place[: len(key)] == key for key in keys):
        return COMMAND_LINE
    known = next((place[:n] for n in range(len(place), 0, -1) if place[:n] in lines), None)
    return f"{path}:{lines[known]}" if known else str(path)


def refuse_no_run(folder: Path) -> None:
    """Checks quickly that a folder is a run; functions that read a run import Keras first.

    Raises:
        InputError: It is none.
    """
    if (folder / RUN_SETTINGS).is_file():
        return
    raise InputError(
        f"{folder} is not a run",
        expected=f"a folder with a {RUN_SETTINGS}, which `speech-mtl train` writes",
        received="no such file" if folder.is_dir() else "no such folder",
        action="give the folder that training named at its end",
    )
