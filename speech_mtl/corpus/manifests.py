"""Paths as typed -> manifests, in sets that belong together, with the recipe that would train on them."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import Any

from speech_mtl.data.languages import is_form_of
from speech_mtl.data.manifest import inspect_manifest, manifest_path
from speech_mtl.datatypes import SPLITS, Utterance
from speech_mtl.errors import InputError
from speech_mtl.settings.dotted import COMMAND_LINE, parsed_overrides, set_value
from speech_mtl.settings.recipe import Recipe
from speech_mtl.settings.recipe_file import RECIPE, load_recipe


@dataclass(frozen=True)
class ManifestFile:
    """One manifest.

    Attributes:
        path: The file.
        language: What a recipe calls its language.
        split: `train`, `dev` or `test`.
    """

    path: Path
    language: str
    split: str

    def utterances(self) -> Iterator[Utterance]:
        """Its utterances, one at a time; memory does not grow with them, so ids are not compared.

        Raises:
            InputError: It is missing or empty, or a line cannot be read.
        """
        for _, utterance in inspect_manifest(self.path):
            if isinstance(utterance, InputError):
                raise utterance
            yield utterance

    def num_lines(self) -> int:
        """Number of its lines, good or not, which is found fast; 0 for a file that is not there: reading it says so."""
        if not self.path.is_file():
            return 0
        with self.path.open("rb") as file:
            return sum(block.count(b"\n") for block in iter(lambda: file.read(1 << 20), b""))


def readable(files: Iterable[ManifestFile]) -> Iterator[Utterance]:
    """The utterances of manifests that are there, without the lines that cannot be read."""
    for _, utterance in chain.from_iterable(inspect_manifest(file.path) for file in files):
        if isinstance(utterance, Utterance):
            yield utterance


@dataclass(frozen=True)
class ManifestSet:
    """Manifests of one training: what is in `train` of any language must not be in `test` of any.

    Attributes:
        title: What it is called: a path.
        recipe: The settings of the training: a recipe's, or the defaults.
        files: The manifests.
    """

    title: str
    recipe: Recipe
    files: tuple[ManifestFile, ...]


def find_manifests(
    paths: Sequence[Path], changes: Sequence[str] = (), leave_out_missing: bool = False
) -> list[ManifestSet]:
    """The manifests that paths name: of each recipe and each DATA_DIR a set, and one of all single files.

    Args:
        paths: Manifests; folders of the manifests of one language (DATA_DIR/LANGUAGE) or of all (DATA_DIR); recipes.
        changes: Settings to change, as `key=value`.
        leave_out_missing: Whether recipes none of whose manifests is there are left out.

    Raises:
        InputError: A path names none of these, or a setting is wrong.
    """
    sets, single, named = [], [], []
    for path in paths:
        if path.suffix in (".yaml", ".yml") or (path / RECIPE).is_file():
            sets.append(_of_recipe(path, changes))
        elif own := _in_language_folder(path):
            single, named = single + own, [*named, str(path)]
        elif path.is_dir():
            sets.append(_of_data_dir(path, changes))
        else:
            single, named = [*single, _single(path)], [*named, str(path)]
    if single:
        sets.append(_with_defaults(", ".join(named), Path(), single, changes))
    if leave_out_missing:
        sets = [one for one in sets if any(file.path.is_file() for file in one.files)]
    return sets


def _of_recipe(path: Path, changes: Sequence[str]) -> ManifestSet:
    """All manifests that its training needs, there or not, and the others that are there."""
    recipe = load_recipe(path, list(changes))
    files = []
    for language in recipe.languages:
        for split in SPLITS:
            needed = (split == "train" and language in recipe.trained_languages) or (
                split == "dev" and language in recipe.validated_languages
            )
            if needed or recipe.manifest(language, split).is_file():
                files.append(ManifestFile(recipe.manifest(language, split), language, split))
    return ManifestSet(str(path), recipe, tuple(files))


def _in_language_folder(folder: Path) -> list[ManifestFile]:
    paths = [folder / f"{split}.jsonl" for split in SPLITS]
    return [_single(path) for path in paths if path.is_file()]


def _of_data_dir(folder: Path, changes: Sequence[str]) -> ManifestSet:
    found = [
        ManifestFile(path, language, split)
        for language in sorted(other.name for other in folder.iterdir() if other.is_dir())
        for split in SPLITS
        if (path := manifest_path(folder, language, split)).is_file()
    ]
    if not found:
        raise InputError(
            f"{folder} holds no manifests",
            expected="a manifest, a folder with LANGUAGE/{train,dev,test}.jsonl, or a recipe",
            received="none of these below it",
            action="make manifests with a script of data_scripts, or name the folder that holds them",
        )
    return _with_defaults(str(folder), folder, found, changes)


def _single(path: Path) -> ManifestFile:
    """A file whose folder names its language, as in a DATA_DIR, or its first line that can be read."""
    folder, is_split = path.absolute().parent.name, path.stem in SPLITS
    if is_split and is_form_of(folder, folder):  # else it is no tag
        return ManifestFile(path, folder, path.stem)
    lines = (utterance.language for _, utterance in inspect_manifest(path) if isinstance(utterance, Utterance))
    return ManifestFile(path, next(lines, "und"), path.stem if is_split else "train")


def _with_defaults(title: str, data_dir: Path, files: Sequence[ManifestFile], changes: Sequence[str]) -> ManifestSet:
    values: dict[str, Any] = {
        "name": "data",
        "languages": {file.language: {} for file in files},
        "data": {"dir": str(data_dir)},
    }
    for key, value in parsed_overrides(list(changes)).items():
        set_value(values, key, value, COMMAND_LINE)
    return ManifestSet(title, Recipe.checked(values, lambda _: title if not changes else COMMAND_LINE), tuple(files))
