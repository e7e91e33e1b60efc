"""Contents of a folder of a run's weights, by which they are known.

Digests beside the weights show when a file is changed, exchanged or damaged, or what gives the weights their sense:
tokenisers, tasks, and the network's settings.
"""

import hashlib
from collections.abc import Iterable, Mapping
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

from typing_extensions import TypedDict

from speech_mtl.errors import InputError
from speech_mtl.files import file_digest, json_text, read_json, write_text
from speech_mtl.run.folder import Run
from speech_mtl.run.weights import of_newest

CONTENTS = "contents.json"
"""File name of the record in its folder."""

NETWORK = ("features.*", "encoder.*", "sharing.*", "adapters*", "tasks.*", "data.sample_rate_hz")
"""Settings that weights of the same shapes may have been trained with, and mean nothing without, as patterns."""


class Contents(TypedDict):
    """The record."""

    files: dict[str, str]
    """Digests of the files in the folder, by their path there."""
    senses: dict[str, str]
    """Digests of the run's tokenisers and tasks, by their path in the run."""
    settings: dict[str, Any]
    """Settings of the network, by dotted key."""


def write_contents(folder: Path, run: Run) -> None:
    """Writes what a folder of a run's weights is saved as."""
    files, senses = _digests(folder, run)
    record: Contents = {"files": files, "senses": senses, "settings": _settings(run)}
    write_text(folder / CONTENTS, json_text(record))


def refuse_changed(folder: Path, run: Run) -> str:
    """Checks that a folder of a run's weights is as it was saved, if it has a record; returns their `weights_digest`.

    Raises:
        InputError: A file has changed since, or a setting of the network, or the folder was removed meanwhile.
    """
    path, (files, senses) = folder / CONTENTS, _digests(folder, run)
    if path.is_file():
        _refuse_other(path, files, senses, run)
    return _of_weights(files, senses)


def _refuse_other(path: Path, files: Mapping[str, str], senses: Mapping[str, str], run: Run) -> None:
    action = f"copy the run again; or remove {path}, if this is as you want it"
    then, settings = read_json(path, Contents, action), _settings(run)
    names = [str(path.parent / name) for name in _changed(then["files"], files)]
    names += [str(run.path / name) for name in _changed(then["senses"], senses)]
    pairs = {key: (then["settings"][key], settings[key]) for key in sorted(then["settings"].keys() & settings)}
    names += [f"{key} in its settings: {one} -> {other}" for key, (one, other) in pairs.items() if one != other]
    if names:
        raise InputError(
            f"{run.path} is no longer as it was trained",
            expected="files and settings of the network as they were when the weights were saved",
            received="changed: " + "; ".join(names),
            action=action,
        )


def weights_digest(run: Run) -> str:
    """Digest of a run's best weights and of the tokenisers and tasks that belong to them.

    Another process may train the run meanwhile.

    Raises:
        InputError: There are no weights.
    """
    return of_newest(run.best, lambda _: _of_weights(*_digests(run.best_folder(), run)))


def _digests(folder: Path, run: Run) -> tuple[dict[str, str], dict[str, str]]:
    """The `files` and `senses` of `Contents` as they are now.

    Raises:
        InputError: It was removed meanwhile.
    """
    files = (path for path in folder.rglob("*") if path.is_file() and path.name != CONTENTS)
    senses = (path for kind in ("tokenizers", "tasks") for path in (run.path / kind).glob("*.json"))
    try:
        found = _by_path(folder, files), _by_path(run.path, senses)
    except FileNotFoundError:
        found = {}, {}
    if not found[0]:
        raise run.lacks(f"{folder.parent.name}/{folder.name}")
    return found


def _by_path(folder: Path, paths: Iterable[Path]) -> dict[str, str]:
    return {path.relative_to(folder).as_posix(): file_digest(path) for path in sorted(paths)}


def _of_weights(files: Mapping[str, str], senses: Mapping[str, str]) -> str:
    """One digest of weights and of what gives them their sense, but for the settings."""
    weights = {name: digest for name, digest in files.items() if name.endswith(".safetensors")}
    lines = [f"{name} {digest}\n" for name, digest in (*weights.items(), *senses.items())]
    return hashlib.sha256("".join(lines).encode()).hexdigest()


def _settings(run: Run) -> dict[str, Any]:
    """Settings of a run's network, by dotted key; without the folder of a public encoder, which may move."""
    return {
        key: value
        for key, value in run.recipe().of_one_run().items()
        if any(fnmatchcase(key, pattern) for pattern in NETWORK) and not key.endswith(".dir")
    }


def _changed(then: Mapping[str, str], now: Mapping[str, str]) -> list[str]:
    """Names the files that have changed or are missing."""
    return [name for name, digest in then.items() if now.get(name) != digest]
