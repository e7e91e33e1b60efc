"""Record of a run's inputs, from which `changes` finds what became of transcripts, audio, weights and code.

Of every utterance that was used there is a digest of its line in the manifest, without the place of its audio, and one
of its decoded samples: a corpus may move, and its files may get other dates. Sizes and dates of the files only tell
whether the samples have to be checked again.
"""

import hashlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from types import MappingProxyType
from typing import NotRequired

import numpy as np
from typing_extensions import TypedDict

from speech_mtl import __version__
from speech_mtl.data.augmentation import FolderAugmentation, WaveformAugmentation
from speech_mtl.data.place import FileState, file_states
from speech_mtl.data.reading import ReadWaveforms
from speech_mtl.datatypes import SPLITS
from speech_mtl.errors import InputError
from speech_mtl.files import NotNegative, json_text, read_json, write_text
from speech_mtl.run.contents import weights_digest
from speech_mtl.run.folder import Run
from speech_mtl.run.provenance import code_digest
from speech_mtl.run.speech import Split
from speech_mtl.settings.recipe import Recipe


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
    """Writes what a run is made from, from here on. What other runs were stays where they are gone."""
    earlier = made_from(run)
    start = Run(recipe.init_from) if recipe.init_from else None
    teachers = {language: Run(settings.teacher) for language, settings in recipe.teachers.items()}
    record: MadeFrom = {
        "speech_mtl": __version__,
        "code": code_digest(),
        "start": weights_digest(start) if start and start.has_best() else (earlier or {}).get("start"),
        "teachers": {
            **(earlier or {}).get("teachers", {}),
            **{language: weights_digest(run) for language, run in teachers.items() if run.has_best()},
        },
        "speech": sources(splits),
        "recordings": recordings(augmentations),
        "changes": list(changes),
    }
    write_text(run.made_from_path, json_text(record, indent=None))


def history(run: Run, what: Sequence[str]) -> list[Change]:
    """The earlier changes of a run, and these, now that its training is resumed."""
    record = made_from(run)
    return [*(record["changes"] if record else []), {"update": run.progress().update, "what": list(what)}]


def note_changes(run: Run, what: Sequence[str]) -> None:
    """Adds to the changes of a run that has a record."""
    if what and (record := made_from(run)):
        write_text(run.made_from_path, json_text({**record, "changes": history(run, what)}, indent=None))


def sources(splits: Iterable[Split]) -> dict[str, Source]:
    """By language and split, what is used of them."""
    return {f"{split.language} {split.split}": _source(split) for split in splits}


def recorded_speech(speech: Mapping[str, Source], recipe: Recipe) -> Iterator[tuple[str, str, Source]]:
    """Language, split and source of what `sources` gave for a recipe.

    Raises:
        InputError: The recipe has no such language, or there is no such split.
    """
    for name, source in speech.items():
        language, _, split = name.rpartition(" ")
        if language not in recipe.languages or split not in SPLITS:
            raise damaged(f"speech of {name!r}")
        yield language, split, source


def recordings(augmentations: Mapping[str, WaveformAugmentation]) -> dict[str, str]:
    """Digests of the recordings of augmentations that have some, by their names."""
    stores = {name: one.recordings for name, one in augmentations.items() if isinstance(one, FolderAugmentation)}
    return {name: hashlib.sha256(store.digests.tobytes()).hexdigest()[:16] for name, store in stores.items()}


def _source(split: Split) -> Source:
    positions, store = split.positions, split.store
    lines, audio, files = split.manifest.digests, "", ""
    if not isinstance(store, ReadWaveforms):
        used = sorted({*positions.tolist(), *store.skipped})
        state = file_states()
        files = states_digest([state(utterance.audio) for utterance in split.manifest.at(used)])
        audio = store.digests[positions].astype("<u8").tobytes().hex()
    return {
        "manifest": str(split.manifest),
        "num_lines": len(lines),
        "all_lines": lines_digest(lines),
        "positions": positions.astype("<u4").tobytes().hex(),
        "skipped": sorted(store.skipped),
        "lines": lines[positions].astype("<u8").tobytes().hex(),
        "audio": audio,
        "files": files,
    }


def lines_digest(lines: np.ndarray) -> str:
    """Of the digests of all lines of a manifest."""
    return hashlib.sha256(lines.astype("<u8").tobytes()).hexdigest()[:16]


def states_digest(states: Sequence[FileState]) -> str:
    """Of sizes and dates of audio files, as `file_states` gives them."""
    return hashlib.sha256(repr(states).encode()).hexdigest()[:16]


def unpacked(source: Source) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Positions, and the digests of lines and audio.

    Raises:
        InputError: They do not go together.
    """
    kinds = {"positions": "<u4", "lines": "<u8", "audio": "<u8"}
    try:
        positions, lines, audio = (np.frombuffer(bytes.fromhex(source[key]), kind) for key, kind in kinds.items())
    except ValueError as error:
        raise damaged(str(error)) from None
    if not source["files"]:
        audio = np.zeros(len(positions), "<u8")
    most = max(positions.max(initial=0), max(source["skipped"], default=0))
    if not len(positions) == len(lines) == len(audio) or most >= max(1, source["num_lines"]):
        raise damaged(f"{len(positions)} positions, {len(lines)} lines, {len(audio)} digests")
    return positions, lines, audio


def damaged(received: str) -> InputError:
    """The error to raise for a record that no version of ours wrote."""
    return InputError(
        "The record of what a run was made from is damaged",
        expected="utterances of the run's languages, with as many digests as positions",
        received=received,
        action="remove made_from.json and evaluated.json from the run's folder: the run is then taken as it is",
    )
