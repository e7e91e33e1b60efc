"""Saves and loads the state of training and the best weights of a run.

Weights lie by name, one file a part; nothing is unpickled. A folder of them is whole wherever the process is killed.
Digests beside them show when a file is changed, exchanged or damaged, or what gives the weights their sense:
tokenisers, tasks, and the network's settings.
"""

import json
import shutil
from collections.abc import Callable, Collection, Iterable
from dataclasses import asdict
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

from typing_extensions import TypedDict

from speech_mtl.data.languages import own_name
from speech_mtl.decoding.recognizer import Recognizer
from speech_mtl.errors import InputError
from speech_mtl.files import file_digest, json_text, read_json, write_text
from speech_mtl.models.multitask import MultilingualModel
from speech_mtl.run.build import build_decoder, build_model, build_targets
from speech_mtl.run.calibration import saved_calibrations
from speech_mtl.run.folder import Run
from speech_mtl.run.made_from import weights_digest
from speech_mtl.run.public_models import refuse_other_public_model
from speech_mtl.run.stored_lm import decoder_arguments
from speech_mtl.run.weights import (
    COPY_AGAIN,
    NUMBER,
    load_part,
    load_weights,
    newest,
    of_newest,
    part_path,
    refuse_other_shapes,
    save_part,
    save_weights,
)
from speech_mtl.settings.decoding import DecodingSettings
from speech_mtl.training.progress import Progress
from speech_mtl.training.state import TrainState

CONTENTS = "contents.json"
"""File name of the record in its folder."""

NETWORK = ("features.*", "encoder.*", "sharing.*", "adapters*", "tasks.*", "data.sample_rate_hz")
"""Settings that weights of the same shapes may have been trained with, and mean nothing without, as patterns."""


class Contents(TypedDict):
    """The record. A folder of an earlier version has none."""

    files: dict[str, str]
    """Digests of the files in the folder, by their path there."""
    senses: dict[str, str]
    """Digests of the run's tokenisers and tasks, by their path in the run."""
    settings: dict[str, Any]
    """Settings of the network, by dotted key."""


class Checkpoints:
    """The weights of a run. Another process may train it meanwhile.

    Args:
        run: The run.
        writes: Whether this process saves them; of several that train together, one does.
    """

    def __init__(self, run: Run, writes: bool = True):
        self.run, self.writes = run, writes

    def save(self, state: TrainState, progress: Progress) -> None:
        """Saves everything needed to resume from here, then removes the older checkpoint."""

        def write(folder: Path) -> None:
            for name, arrays in state.tree():
                save_part(part_path(folder, name), arrays)
            (folder / "progress.json").write_text(json.dumps(asdict(progress)), encoding="utf-8")

        self._write(self.run.checkpoints / f"{progress.update:06d}", write)

    def load(self, state: TrainState) -> Progress:
        """Sets the state to that of the newest checkpoint; a fresh start, which leaves it alone, if there is none.

        Raises:
            InputError: A file is missing or damaged, or of another run.
        """
        folder = newest(self.run.checkpoints)
        progress = self.run.progress_of(folder)
        if folder is None:
            if self.run.has_best():
                raise self.run.lacks("checkpoints/UPDATE")
            return progress
        tree = {}
        for name, arrays in state.tree():
            tree[name] = load_part(part_path(folder, name))
            shapes = {key: array.shape for key, array in arrays.items()}
            refuse_other_shapes(shapes, tree[name], part_path(folder, name), COPY_AGAIN)
        _refuse_changed(folder, self.run)
        state.assign(tree)
        return progress

    def save_best(self, model: MultilingualModel, update: int) -> None:
        """Saves the weights as the best so far, then removes the former best."""
        self._write(self.run.best / f"{update:06d}", lambda folder: save_weights(folder, model.parts()))

    def load_best(self, model: MultilingualModel) -> str:
        """Sets the weights to those with the lowest validation error; returns their `weights_digest`.

        Raises:
            InputError: No weights have been saved yet, or they are damaged.
        """

        def load(_: Path | None) -> str:
            best = self.run.best_folder()
            load_weights(best, model.parts())
            _refuse_changed(best, self.run)
            return weights_digest(self.run, best)

        return of_newest(self.run.best, load)

    def refuse_changed_best(self) -> None:
        """Checks that the best weights, their tokenisers and settings are as they were saved.

        Raises:
            InputError: They are not.
        """
        _refuse_changed(self.run.best_folder(), self.run)

    def _write(self, folder: Path, write: Callable[[Path], None]) -> None:
        """Writes a folder under a temporary name, renames it, and removes its older siblings.

        A folder whose name is a number is whole at every moment, wherever the process is killed. Without settings, as
        in estimates, the weights are not recorded: they belong to no run.
        """
        if not self.writes:
            return
        temporary = folder.with_name(f"{folder.name}.tmp")
        _remove(temporary)
        temporary.mkdir(parents=True)
        write(temporary)
        if self.run.settings_path.is_file():
            write_contents(temporary, self.run)
        _remove(folder)
        temporary.rename(folder)
        for sibling in folder.parent.iterdir():
            if sibling != folder and (NUMBER.fullmatch(sibling.name) or sibling.suffix == ".tmp"):
                _remove(sibling)


def load_recognizer(
    run: Run, decoding: DecodingSettings | None = None, calibrated: bool = True, languages: Collection[str] = ()
) -> Recognizer:
    """Loads a recogniser with the best weights of a run; it decodes by the run's settings unless others are given.

    Its confidences are calibrated as far as the run's validation set was evaluated with these settings, if wanted. Of
    the languages that are to be recognised, all if none is named, one must be able to spell each hot word.
    """
    recipe = run.recipe()
    tokenizers, scored = run.tokenizers(), run.scored()
    languages = [own_name(language, tokenizers) for language in languages or tokenizers]
    refuse_other_public_model(run, recipe)
    model = build_model(recipe, build_targets(recipe, tokenizers, scored))
    weights, decoding = Checkpoints(run).load_best(model), decoding or recipe.decoding
    calibrations = saved_calibrations(run, weights, decoding) if calibrated else {}
    decoder = build_decoder(decoding, decoder_arguments(run, decoding, tokenizers, languages))
    return Recognizer(model, tokenizers, recipe.data.sample_rate_hz, decoder, scored, calibrations, weights)


def _remove(folder: Path) -> None:
    """Removes a folder if it is there, under another name first, so that half of it never passes for the whole."""
    former = folder.with_name("former.tmp")
    shutil.rmtree(former, ignore_errors=True)
    if folder.is_dir():
        folder.rename(former)
        shutil.rmtree(former, ignore_errors=True)


def write_contents(folder: Path, run: Run) -> None:
    """Writes what a folder of a run's weights is saved as."""
    write_text(folder / CONTENTS, json_text(_contents(folder, run)))


def _refuse_changed(folder: Path, run: Run) -> None:
    """Checks that a folder of a run's weights is as it was saved.

    Raises:
        InputError: A file has changed since, or a setting of the network.
    """
    path = folder / CONTENTS
    if not path.is_file():
        return
    action = f"copy the run again; or remove {path}, if this is as you want it"
    then, now = read_json(path, Contents, action), _contents(folder, run)
    names = [str(folder / name) for name in _changed(then["files"], now["files"])]
    names += [str(run.path / name) for name in _changed(then["senses"], now["senses"])]
    keys = [key for key in then["settings"].keys() & now["settings"] if then["settings"][key] != now["settings"][key]]
    if not names and not keys:
        return
    settings = [f"{key} in its settings: {then['settings'][key]} -> {now['settings'][key]}" for key in sorted(keys)]
    raise InputError(
        f"{run.path} is no longer as it was trained",
        expected="files and settings of the network as they were when the weights were saved",
        received="changed: " + "; ".join([*names, *settings]),
        action=action,
    )


def _contents(folder: Path, run: Run) -> Contents:
    files = (path for path in folder.rglob("*") if path.is_file() and path.name != CONTENTS)
    senses = (path for kind in ("tokenizers", "tasks") for path in (run.path / kind).glob("*.json"))
    settings = {
        key: value
        for key, value in run.recipe().of_one_run().items()
        if any(fnmatchcase(key, pattern) for pattern in NETWORK) and not key.endswith(".dir")
    }
    return {"files": _digests(folder, files), "senses": _digests(run.path, senses), "settings": settings}


def _digests(folder: Path, paths: Iterable[Path]) -> dict[str, str]:
    return {path.relative_to(folder).as_posix(): file_digest(path) for path in sorted(paths)}


def _changed(then: dict[str, str], now: dict[str, str]) -> list[str]:
    """Names the files that have changed or are missing."""
    return [name for name, digest in then.items() if now.get(name) != digest]
