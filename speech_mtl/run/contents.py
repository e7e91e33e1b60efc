"""What a folder of weights was saved as, so that it shows when one of its files is changed, exchanged or damaged.

Beside the files themselves that is what gives them their sense: tokenisers, tasks, and the network's settings.
"""

import hashlib
from collections.abc import Iterable
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

from typing_extensions import TypedDict

from speech_mtl.errors import InputError
from speech_mtl.files import json_text, read_json, write_text
from speech_mtl.settings.recipe import Recipe

CONTENTS = "contents.json"
"""What the record is called in its folder."""

NETWORK = ("features.*", "encoder.*", "sharing.*", "adapters*", "tasks.*", "data.sample_rate_hz")
"""Settings that weights of the same shapes may have been trained with, and mean nothing without, as patterns."""


class Contents(TypedDict):
    """The record. A folder of an earlier version has none."""

    files: dict[str, str]
    """Digests of the files in the folder, by their path there."""
    senses: dict[str, str]
    """Digests of the run's tokenisers and tasks, by their path in the run."""
    settings: dict[str, Any]
    """Of the network, by dotted key."""


def write_contents(folder: Path, run: Path, recipe: Recipe) -> None:
    """Writes what a folder of a run's weights is saved as."""
    write_text(folder / CONTENTS, json_text(_contents(folder, run, recipe)))


def refuse_changed(folder: Path, run: Path, recipe: Recipe) -> None:
    """Looks whether a folder of a run's weights is as it was saved.

    Raises:
        InputError: A file has changed since, or a setting of the network.
    """
    path = folder / CONTENTS
    if not path.is_file():
        return
    action = f"copy the run again; or remove {path}, if this is as you want it"
    then, now = read_json(path, Contents, action), _contents(folder, run, recipe)
    names = [str(folder / name) for name in _changed(then["files"], now["files"])]
    names += [str(run / name) for name in _changed(then["senses"], now["senses"])]
    keys = [key for key in then["settings"].keys() & now["settings"] if then["settings"][key] != now["settings"][key]]
    if not names and not keys:
        return
    settings = [f"{key} in its settings: {then['settings'][key]} -> {now['settings'][key]}" for key in sorted(keys)]
    raise InputError(
        f"{run} is no longer as it was trained",
        expected="files and settings of the network as they were when the weights were saved",
        received="changed: " + "; ".join([*names, *settings]),
        action=action,
    )


def _contents(folder: Path, run: Path, recipe: Recipe) -> Contents:
    files = (path for path in folder.rglob("*") if path.is_file() and path.name != CONTENTS)
    senses = (path for kind in ("tokenizers", "tasks") for path in (run / kind).glob("*.json"))
    settings = {
        key: value
        for key, value in recipe.of_one_run().items()
        if any(fnmatchcase(key, pattern) for pattern in NETWORK) and not key.endswith(".dir")
    }
    return {"files": _digests(folder, files), "senses": _digests(run, senses), "settings": settings}


def _digests(folder: Path, paths: Iterable[Path]) -> dict[str, str]:
    return {path.relative_to(folder).as_posix(): _digest(path) for path in sorted(paths)}


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _changed(then: dict[str, str], now: dict[str, str]) -> list[str]:
    """Files that are others now, or gone."""
    return [name for name, digest in then.items() if now.get(name) != digest]
