"""Saves and loads the state of training and the best weights of a run.

Weights lie by name, one file a part; nothing is unpickled. A folder of them is whole wherever the process is killed.
"""

import json
import shutil
from collections.abc import Callable, Collection
from dataclasses import asdict
from pathlib import Path

from speech_mtl.data.languages import own_name
from speech_mtl.decoding.recognizer import Recognizer
from speech_mtl.models.multitask import MultilingualModel
from speech_mtl.run.build import build_decoder, build_model, build_targets
from speech_mtl.run.calibration import saved_calibrations
from speech_mtl.run.contents import refuse_changed, write_contents
from speech_mtl.run.folder import Run
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
        refuse_changed(folder, self.run)
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
            return refuse_changed(best, self.run)

        return of_newest(self.run.best, load)

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
