"""Finds what has changed since a run was begun, and decides whether its training can resume.

See `made_from` for the record of a run's inputs.
"""

from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path

import numpy as np

from speech_mtl import __version__
from speech_mtl.data.index import open_manifest
from speech_mtl.data.place import file_states
from speech_mtl.errors import InputError
from speech_mtl.run.contents import weights_digest
from speech_mtl.run.folder import Run
from speech_mtl.run.made_from import (
    MadeFrom,
    Source,
    lines_digest,
    made_from,
    note_changes,
    recorded_speech,
    recordings,
    states_digest,
    unpacked,
)
from speech_mtl.run.provenance import code_digest
from speech_mtl.run.speech import SpeechKey, Split, open_augmentation, open_split, speech_key
from speech_mtl.screen import Wrap, silent
from speech_mtl.settings.data import FolderAugmentationSettings
from speech_mtl.settings.dotted import changed_settings
from speech_mtl.settings.recipe import LENGTH, MEMORY, PLACES, TEST_MANIFESTS, Recipe

ACCEPT = "--accept-changes"
"""The option of the command line that resumes in spite of changes."""


class Now:
    """Manifests, audio and weights as they are now. Each is read once: many runs use the same ones.

    Args:
        wrap: Shows a bar over audio that has to be decoded.

    Attributes:
        notes: What could not be compared or does not matter, by run.
    """

    def __init__(self, wrap: Wrap = silent):
        self.wrap = wrap
        self.notes: list[str] = []
        self._manifest, self._state = cache(open_manifest), file_states()
        self._weights = cache(lambda path: weights_digest(Run(path)))
        self._opened: dict[SpeechKey, Split] = {}

    def changes_since(self, run: Run, recipe: Recipe) -> list[str]:
        """Lists the inputs of a run that have changed; the recipe gives their paths."""
        record = made_from(run)
        self.notes += _other_code(record)
        if record is None:
            return []
        teachers = record.get("teachers", {})
        return [
            *self.speech_changes(record["speech"], recipe),
            *self.recording_changes(record.get("recordings", {}), recipe),
            *self.start_changes(record, recipe),
            *(
                f"{settings.teacher}, which made the pseudo-labels of {language}, has other weights now"
                for language, settings in recipe.teachers.items()
                if language in teachers and self._has_other_weights(settings.teacher, teachers[language])
            ),
        ]

    def recording_changes(self, recorded: Mapping[str, str], recipe: Recipe) -> list[str]:
        """Lists the folders of augmentations that hold other recordings now."""
        there = {}
        for name in recorded:
            settings = recipe.augment.waveform[name]
            if isinstance(settings, FolderAugmentationSettings) and settings.dir.is_dir():
                there[name] = open_augmentation(recipe, settings, self.wrap)
            else:
                self.notes.append(f"not compared with the recordings of augment.waveform.{name}: its folder is gone")
        now = recordings(there)
        return [f"augment.waveform.{name} has other recordings now" for name in now if now[name] != recorded[name]]

    def start_changes(self, record: MadeFrom | None, recipe: Recipe) -> list[str]:
        """Reports whether the run that a run was initialised from has other weights now."""
        start = recipe.init_from
        changed = record and record["start"] and start and self._has_other_weights(start, record["start"])
        return [f"{start}, from which it started, has other weights now"] if changed else []

    def _has_other_weights(self, path: Path, digest: str) -> bool:
        """Whether there are best weights, and they are not those of a digest."""
        return Run(path).has_best() and self._weights(path) != digest

    def speech_changes(self, speech: dict[str, Source], recipe: Recipe) -> list[str]:
        """Lists changes of the speech that was used; the recipe gives its paths."""
        found = (self._change(recipe, *one) for one in recorded_speech(speech, recipe))
        return [change for change in found if change]

    def _change(self, recipe: Recipe, language: str, split: str, source: Source) -> str | None:
        """Describes the changes in one manifest and its audio."""
        positions, recorded, digests = unpacked(source)
        path = recipe.manifest(language, split)
        if not path.is_file():
            self.notes.append(f"not compared with the speech it was made from: there is no {path}")
            return None
        manifest = self._manifest(path, recipe.data.cache_dir)
        lines = manifest.digests
        if len(lines) != source["num_lines"]:
            return f"{manifest} has {len(lines)} utterances and had {source['num_lines']}"
        if where := _first(lines[positions] != recorded, positions):
            return f"{manifest}: text, id, speaker or labels of {where} differ"
        if lines_digest(lines) != source["all_lines"]:
            self.notes.append(f"{manifest} has changed, in utterances that were not used")
        if not source["files"]:
            self.notes.append(f"{manifest}: its audio was not decoded before training, and is not compared")
            return None
        used = manifest.at(sorted({*positions.tolist(), *source["skipped"]}))
        states = [self._state(utterance.audio) for utterance in used]
        if states_digest(states) == source["files"]:
            return None
        if None in states and not source["skipped"]:
            self.notes.append(f"not compared with the audio it was made from: {manifest} names files that are gone")
            return None
        key = speech_key(recipe, language, split)
        if key not in self._opened:
            self._opened[key] = open_split(recipe, language, split, self.wrap)
        opened = self._opened[key]
        if where := _first(opened.store.digests[positions] != digests, positions):
            return f"{manifest}: the audio of {where} differs"
        if len(opened.positions) != len(positions):
            return f"{manifest}: {len(opened.positions)} utterances can be used, and {len(positions)} were"
        return None


def _other_code(record: MadeFrom | None) -> list[str]:
    """Reports whether a run was trained by other or unknown code."""
    if record is None:
        return ["begun by a version that did not write down what a run was made from"]
    same = record["code"] == code_digest()
    return [] if same else [f"trained by other code, speech-mtl {record['speech_mtl']}; this is {__version__}"]


def _first(differs: np.ndarray, positions: np.ndarray) -> str:
    """How many utterances differ, and where the first is; nothing if none does."""
    number = int(np.count_nonzero(differs))
    line = int(positions[int(np.argmax(differs))]) + 1 if number else 0
    return f"{number} of {len(positions)} used utterances (the first in line {line})" if number else ""


def refuse_changes(run: Run, changes: Sequence[str], accept: bool) -> None:
    """Stops where what a run was made from has changed, unless that is accepted.

    Raises:
        InputError: Something has changed.
    """
    if changes and not accept:
        raise InputError(
            f"What {run.path} was made from has changed since",
            expected="the manifests, the audio and the weights that it was made from",
            received="; ".join(changes),
            action=f"train again, with --out in another folder or after removing {run.path}; or keep what was trained, "
            f"with {ACCEPT}",
        )


def taken_up(
    run: Run, recipe: Recipe, now: Now, accept_changes: bool, further: bool = False
) -> tuple[Recipe, list[str]]:
    """Checks that a run belongs to a recipe and its speech, and writes the settings that may change.

    Args:
        now: The speech as it is now; what does not stop the run is noted there.
        accept_changes: Whether to resume if its inputs have changed.
        further: Whether it may be trained for another number of updates, and in less memory.

    Returns:
        The settings, with languages, tasks and augmentations in the order of the run; and what else is another from
        here on: length and memory of the training are noted in the record already.

    Raises:
        InputError: The run has other settings, or what it was made from has changed.
    """
    there, known = run.recipe(), run.made_from_path.is_file()
    free = [TEST_MANIFESTS, *(PLACES if known else ()), *((*LENGTH, *MEMORY) if further else ())]
    if further and recipe.training.num_updates != there.training.num_updates:  # from which these follow
        phases = ("warmup_updates", "cooldown_updates")
        free += [f"training.{name}" for name in phases if getattr(recipe.training, name) is None]
    if other := changed_settings(there.of_one_run(free), recipe.of_one_run(free)):
        raise InputError(
            f"{run.path} holds a run with other settings",
            expected="the settings it was started with, so that training can resume",
            received="; ".join(other),
            action="choose another folder with --out, or go back to those settings",
        )
    waveform = {name: recipe.augment.waveform[name] for name in there.augment.waveform}
    ordered = {
        "languages": {name: recipe.languages[name] for name in there.languages},
        "tasks": {name: recipe.tasks[name] for name in there.tasks},
        "augment.waveform": waveform,
    }
    recipe = recipe.overridden(ordered)
    others = _other_training(run, there, recipe) if further else []
    changes = now.changes_since(run, recipe)
    refuse_changes(run, changes, accept_changes)
    now.notes += [*others, *(f"accepted: {change}" for change in changes)]
    if there.of_run() != recipe.of_run():
        with run.lock():
            note_changes(run, others)  # first, or a stop between the two would lose it
            run.write_settings(recipe)
    return recipe, [*changes, *_other_code(made_from(run))]


def _other_training(run: Run, there: Recipe, recipe: Recipe) -> list[str]:
    """Returns the changes in how long a run is trained, and in what memory.

    Raises:
        InputError: It has been trained for longer than is asked for.
    """
    wanted, done = recipe.training.num_updates, run.progress().update
    if wanted < there.training.num_updates and wanted < done:
        raise InputError(
            f"{run.path} has been trained for more updates than that",
            expected=f"training.num_updates of {done} or more",
            received=f"training.num_updates: {wanted}",
            action=f"choose another folder with --out, or set training.num_updates={there.training.num_updates}",
        )
    keys = [key.partition(".")[2] for key in (*LENGTH, *MEMORY)]
    pairs = ({f"training.{key}": getattr(one.training, key) for key in keys} for one in (there, recipe))
    return changed_settings(*pairs)
