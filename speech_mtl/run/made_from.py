"""Record of a run's inputs, to detect changes of transcripts, audio, weights or code.

Of every utterance that was used there is a digest of its line in the manifest, without the place of its audio, and one
of its decoded samples: a corpus may move, and its files may get other dates. Sizes and dates of the files only tell
whether the samples have to be checked again.
"""

import hashlib
import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import NotRequired

import numpy as np
from typing_extensions import TypedDict

from speech_mtl import __version__
from speech_mtl.data.augmentation import FolderAugmentation, WaveformAugmentation
from speech_mtl.data.index import Manifest, open_manifest
from speech_mtl.data.place import FileState, file_states
from speech_mtl.data.reading import ReadWaveforms
from speech_mtl.errors import InputError
from speech_mtl.files import NotNegative, read_json, write_text
from speech_mtl.run.folder import Run
from speech_mtl.run.provenance import code_digest
from speech_mtl.run.speech import Split, Wrap, open_augmentation, open_split, silent
from speech_mtl.settings.data import FolderAugmentationSettings
from speech_mtl.settings.recipe import Recipe

ACCEPT = "--accept-changes"
"""The option of the command line that resumes in spite of changes."""


class Source(TypedDict):
    """The used part of a manifest. Arrays are written in hexadecimal, little-endian."""

    manifest: str
    num_lines: NotNegative
    """All utterances of the manifest, used or not."""
    all_lines: str
    """Digest of their lines in the manifest."""
    positions: str
    """(N,) uint32, which were used."""
    skipped: list[NotNegative]
    """Positions of those that could not be used."""
    lines: str
    """(N,) uint64, digests of their lines in the manifest."""
    audio: str
    """(N,) uint64, digests of their samples, see `WaveformStore`; empty where these are only read in training."""
    files: str
    """Digest of the sizes and dates of the audio files, those of the skipped ones included; empty as `audio` is."""


class Change(TypedDict):
    """A change of inputs before training was resumed."""

    update: NotNegative
    what: list[str]


class MadeFrom(TypedDict):
    """The content of `made_from.json`."""

    speech_mtl: str
    code: str
    start: str | None
    """Digest of the weights that training started from, which are another run's."""
    teachers: NotRequired[dict[str, str]]
    """Digests of the weights of the runs that made its pseudo-labels, by language."""
    speech: dict[str, Source]
    """By language and split, as `cs train`."""
    recordings: NotRequired[dict[str, str]]
    """Digests of the decoded folders of augmentations, by their names."""
    changes: list[Change]


def made_from(run: Run) -> MadeFrom | None:
    """Reads the record of a run; None for a run of a version without one.

    Raises:
        InputError: The file is damaged.
    """
    path = run.made_from_path
    action = "remove the file: the run is then taken as it is"
    return read_json(path, MadeFrom, action) if path.is_file() else None


def write_made_from(
    run: Run,
    recipe: Recipe,
    splits: Iterable[Split],
    changes: Sequence[Change] = (),
    augmentations: Mapping[str, WaveformAugmentation] = MappingProxyType({}),
) -> None:
    """Writes what a run is made from, from here on."""
    start = Run(recipe.init_from) if recipe.init_from else None
    teachers = {language: Run(settings.teacher) for language, settings in recipe.teachers.items()}
    record: MadeFrom = {
        "speech_mtl": __version__,
        "code": code_digest(),
        "start": weights_digest(start) if start and start.has_best() else None,
        "teachers": {language: weights_digest(run) for language, run in teachers.items() if run.has_best()},
        "speech": sources(splits),
        "recordings": recordings(augmentations),
        "changes": list(changes),
    }
    write_text(run.made_from_path, json.dumps(record, ensure_ascii=False) + "\n")


def history(run: Run, what: Sequence[str]) -> list[Change]:
    """The earlier changes of a run, and these, now that its training is resumed."""
    record = made_from(run)
    return [*(record["changes"] if record else []), {"update": run.progress().update, "what": list(what)}]


def sources(splits: Iterable[Split]) -> dict[str, Source]:
    """By language and split, what is used of them."""
    return {f"{split.language} {split.split}": _source(split) for split in splits}


def recordings(augmentations: Mapping[str, WaveformAugmentation]) -> dict[str, str]:
    """Digests of the recordings of augmentations that have some, by their names."""
    stores = {name: one.recordings for name, one in augmentations.items() if isinstance(one, FolderAugmentation)}
    return {name: hashlib.sha256(store.digests.tobytes()).hexdigest()[:16] for name, store in stores.items()}


def training_digests(run: Run) -> Iterator[tuple[str, Path, np.ndarray, np.ndarray]]:
    """Language, manifest, positions and audio digests of the speech that trained a run and those it started from."""
    seen: set[Path] = set()
    while run.exists() and run.path.resolve() not in seen:
        seen.add(run.path.resolve())
        recipe, record = run.recipe(), made_from(run)
        for name, source in (record["speech"] if record else {}).items():
            language, split = name.rsplit(" ", 1)
            if split == "train":
                positions, _, digests = _unpacked(source)
                yield language, recipe.manifest(language, split), positions, digests
        if recipe.init_from is None:
            return
        run = Run(recipe.init_from)


def weights_digest(run: Run) -> str:
    """Digest of a run's best weights and of the tokenisers and tasks that belong to them.

    Raises:
        InputError: There are none.
    """
    best, digest = run.best_folder(), hashlib.sha256()
    sense = [*(run.path / "tokenizers").glob("*.json"), *(run.path / "tasks").glob("*.json")]
    for folder, paths in ((best, best.rglob("*.safetensors")), (run.path, sense)):
        for path in sorted(paths):
            content = hashlib.sha256(path.read_bytes()).hexdigest()
            digest.update(f"{path.relative_to(folder).as_posix()} {content}\n".encode())
    return digest.hexdigest()


@dataclass
class Now:
    """Manifests and audio as they are now. Each is read once: many runs use the same ones.

    Attributes:
        wrap: Shows a bar over audio that has to be decoded.
        notes: What could not be compared or does not matter, by run.
    """

    wrap: Wrap = silent
    notes: list[str] = field(default_factory=list)
    _manifests: dict[Path, Manifest] = field(default_factory=dict)
    _state: Callable[[Path], FileState] = field(default_factory=file_states)
    _opened: dict[tuple, Split] = field(default_factory=dict)
    _weights: dict[Path, str] = field(default_factory=dict)

    def changes_since(self, run: Run, recipe: Recipe) -> list[str]:
        """Lists the inputs of a run that have changed; the recipe gives their paths."""
        self.notes += self.other_code(run)
        record = made_from(run)
        if record is None:
            return []
        return [
            *self.speech_changes(record["speech"], recipe),
            *self.recording_changes(record.get("recordings", {}), recipe),
            *self.start_changes(run, recipe),
            *self.teacher_changes(run, recipe),
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

    def start_changes(self, run: Run, recipe: Recipe) -> list[str]:
        """Reports whether the run that a run was initialised from has other weights now."""
        record, start = made_from(run), recipe.init_from
        changed = record and record["start"] and start and self._has_other_weights(start, record["start"])
        return [f"{start}, from which it started, has other weights now"] if changed else []

    def teacher_changes(self, run: Run, recipe: Recipe) -> list[str]:
        """Reports which of the runs that made a run's pseudo-labels have other weights now."""
        record = made_from(run)
        known = record.get("teachers", {}) if record else {}
        return [
            f"{settings.teacher}, which made the pseudo-labels of {language}, has other weights now"
            for language, settings in recipe.teachers.items()
            if language in known and self._has_other_weights(settings.teacher, known[language])
        ]

    def _has_other_weights(self, path: Path, digest: str) -> bool:
        """Whether there are best weights, and they are not those of a digest."""
        if not Run(path).has_best():
            return False
        if path not in self._weights:
            self._weights[path] = weights_digest(Run(path))
        return self._weights[path] != digest

    def other_code(self, run: Run) -> list[str]:
        """Reports whether a run was trained by other or unknown code."""
        record = made_from(run)
        if record is None:
            return ["begun by a version that did not write down what a run was made from"]
        same = record["code"] == code_digest()
        return [] if same else [f"trained by other code, speech-mtl {record['speech_mtl']}; this is {__version__}"]

    def speech_changes(self, speech: dict[str, Source], recipe: Recipe) -> list[str]:
        """Lists changes of the speech that was used; the recipe gives its paths."""
        found = (self._change(source, recipe, *name.rsplit(" ", 1)) for name, source in speech.items())
        return [change for change in found if change]

    def _change(self, source: Source, recipe: Recipe, language: str, split: str) -> str | None:
        """Describes the changes in one manifest and its audio."""
        if language not in recipe.languages:
            raise _damaged(f"speech of {language}")
        positions, recorded, digests = _unpacked(source)
        path = recipe.manifest(language, split)
        if not path.is_file():
            self.notes.append(f"not compared with the speech it was made from: there is no {path}")
            return None
        manifest = self._read(path, recipe)
        lines = manifest.digests
        if len(lines) != source["num_lines"]:
            return f"{manifest} has {len(lines)} utterances and had {source['num_lines']}"
        if where := _first(lines[positions] != recorded, positions):
            return f"{manifest}: text, id, speaker or labels of {where} differ"
        if _total(lines) != source["all_lines"]:
            self.notes.append(f"{manifest} has changed, in utterances that were not used")
        if not source["files"]:
            self.notes.append(f"{manifest}: its audio was not decoded before training, and is not compared")
            return None
        used = manifest.at(sorted({*positions.tolist(), *source["skipped"]}))
        states = [self._state(utterance.audio) for utterance in used]
        if _states_digest(states) == source["files"]:
            return None
        if None in states and not source["skipped"]:
            self.notes.append(f"not compared with the audio it was made from: {manifest} names files that are gone")
            return None
        opened = self._open(recipe, language, split)
        if where := _first(opened.store.digests[positions] != digests, positions):
            return f"{manifest}: the audio of {where} differs"
        if len(opened.positions) != len(positions):
            return f"{manifest}: {len(opened.positions)} utterances can be used, and {len(positions)} were"
        return None

    def _read(self, path: Path, recipe: Recipe) -> Manifest:
        if path not in self._manifests:
            self._manifests[path] = open_manifest(path, recipe.data.cache_dir)
        return self._manifests[path]

    def _open(self, recipe: Recipe, language: str, split: str) -> Split:
        amount_s = recipe.budget_s(language, split), recipe.untranscribed_s(language, split)
        key = recipe.manifest(language, split), *amount_s
        if key not in self._opened:
            self._opened[key] = open_split(recipe, language, split, self.wrap)
        return self._opened[key]


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


def _source(split: Split) -> Source:
    positions, store = split.positions, split.store
    lines, audio, files = split.manifest.digests, "", ""
    if not isinstance(store, ReadWaveforms):
        used = sorted({*positions.tolist(), *store.skipped})
        state = file_states()
        files = _states_digest([state(utterance.audio) for utterance in split.manifest.at(used)])
        audio = store.digests[positions].astype("<u8").tobytes().hex()
    return {
        "manifest": str(split.manifest),
        "num_lines": len(lines),
        "all_lines": _total(lines),
        "positions": positions.astype("<u4").tobytes().hex(),
        "skipped": sorted(store.skipped),
        "lines": lines[positions].astype("<u8").tobytes().hex(),
        "audio": audio,
        "files": files,
    }


def _total(lines: np.ndarray) -> str:
    return hashlib.sha256(lines.astype("<u8").tobytes()).hexdigest()[:16]


def _states_digest(states: Sequence[FileState]) -> str:
    return hashlib.sha256(repr(states).encode()).hexdigest()[:16]


def _unpacked(source: Source) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Positions, and the digests of lines and audio."""
    kinds = {"positions": "<u4", "lines": "<u8", "audio": "<u8"}
    try:
        positions, lines, audio = (np.frombuffer(bytes.fromhex(source[key]), kind) for key, kind in kinds.items())
    except ValueError as error:
        raise _damaged(str(error)) from None
    if not source["files"]:
        audio = np.zeros(len(positions), "<u8")
    most = max(positions.max(initial=0), max(source["skipped"], default=0))
    if not len(positions) == len(lines) == len(audio) or most >= max(1, source["num_lines"]):
        raise _damaged(f"{len(positions)} positions, {len(lines)} lines, {len(audio)} digests")
    return positions, lines, audio


def _damaged(received: str) -> InputError:
    return InputError(
        "The record of what a run was made from is damaged",
        expected="utterances of the run's languages, with as many digests as positions",
        received=received,
        action="remove made_from.json and evaluated.json from the run's folder: the run is then taken as it is",
    )


def _first(differs: np.ndarray, positions: np.ndarray) -> str:
    """How many utterances differ, and where the first is; nothing if none does."""
    number = int(np.count_nonzero(differs))
    line = int(positions[int(np.argmax(differs))]) + 1 if number else 0
    return f"{number} of {len(positions)} used utterances (the first in line {line})" if number else ""
