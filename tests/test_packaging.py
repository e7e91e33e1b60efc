"""What an installation holds, and that it works in a folder of the user's own."""

import os
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest
from hatchling.builders.wheel import WheelBuilder

from speech_mtl.settings.recipe_file import shipped_recipes

PROJECT = Path(__file__).parents[1]


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The files of the wheel."""
    folder = tmp_path_factory.mktemp("wheel")
    (wheel,) = WheelBuilder(str(PROJECT)).build(directory=str(folder), versions=["standard"])
    with zipfile.ZipFile(wheel) as files:
        files.extractall(folder / "installed")
    return folder / "installed"


def ended(installed: Path, here: Path, *program: str) -> subprocess.CompletedProcess[str]:
    variables = os.environ | {"PYTHONPATH": str(installed), "COLUMNS": "200"}
    program = (sys.executable, "-m", *program)
    return subprocess.run(program, cwd=here, env=variables, capture_output=True, text=True, check=False)


def test_the_wheel_holds_all_modules_and_recipes_and_nothing_else(installed: Path):
    found = {str(path.relative_to(installed)) for path in installed.rglob("*") if path.is_file()}
    found = {name for name in found if ".dist-info/" not in name}
    modules = [p for folder in ("speech_mtl", "data_scripts") for p in (PROJECT / folder).rglob("*") if p.is_file()]
    expected = {str(path.relative_to(PROJECT)) for path in modules if "__pycache__" not in path.parts}
    recipes = sorted(PROJECT.glob("recipes/*/recipe.yaml"))
    expected |= {f"speech_mtl/{path.relative_to(PROJECT)}" for path in recipes}
    assert recipes
    assert found == expected


def test_recipes_and_data_scripts_are_found_in_any_folder(installed: Path, tmp_path: Path):
    for number in (1, 2):  # before a folder of that name is there, and after
        train = ended(installed, tmp_path, "speech_mtl", "train", "recipes/own", "target=cs", "languages={cs: {}}")
        said, error = train.stderr.split("\n", 1)
        assert said == f"There is no recipes/own here. The one that comes with speech-mtl is used: {installed}" + (
            "/speech_mtl/recipes/own/recipe.yaml"
        )
        assert error.startswith("Error: There is no manifest data/mine/cs/train.jsonl\n"), number
        assert train.returncode == 2
        (tmp_path / "recipes").mkdir(exist_ok=True)
    help_text = ended(installed, tmp_path, "data_scripts.common_voice", "--help")
    assert help_text.returncode == 0, help_text.stderr


def test_a_recipe_that_is_nowhere_comes_with_those_there_are(installed: Path, tmp_path: Path):
    message = ended(installed, tmp_path, "speech_mtl", "train", "recipes/none").stderr
    assert message.startswith("Error: There is no recipe recipes/none\n")
    assert f"these come with speech-mtl: {', '.join(shipped_recipes())}\n" in message


def test_the_welcome_names_no_file_that_an_installation_lacks(installed: Path, tmp_path: Path):
    text = ended(installed, tmp_path, "speech_mtl").stdout
    assert "recipes/own" in text
    for name in ("make ", ".py", "prepare.sh"):
        assert name not in text
