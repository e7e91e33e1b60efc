"""Folders of recordings without transcripts, decoded once as speech is."""

import hashlib
from collections.abc import Callable, Iterable
from pathlib import Path

from speech_mtl.data.audio_file import FOREIGN, SUFFIXES, audio_under, duration_and_channels
from speech_mtl.data.index import open_manifest
from speech_mtl.data.manifest import write_manifest
from speech_mtl.data.place import AudioError, Place
from speech_mtl.data.store import AudioLimits, Skipped, WaveformStore, open_store, refuse_many
from speech_mtl.data.threads import ahead
from speech_mtl.datatypes import Utterance
from speech_mtl.errors import InputError, printable

UNDETERMINED = "und"
"""BCP 47 tag of what is in no known language."""


def open_folder(
    folder: Path,
    cache_dir: Path,
    limits: AudioLimits,
    allow_skipped: float,
    num_threads: int = 2,
    progress: Callable[[Iterable[int]], Iterable[int]] = iter,
) -> WaveformStore:
    """Opens the decoded recordings of a folder, in order of their names; each channel is one of its own.

    Args:
        folder: Where they lie, at any depth; hidden files and folders are left alone.
        cache_dir: Folder of decoded audio; the list of the recordings is kept there as a manifest.
        limits: Sample rate and accepted lengths.
        allow_skipped: Largest fraction of them that may be unusable.
        num_threads: Files decoded at a time.
        progress: Wraps the positions of what is decoded.

    Raises:
        InputError: There is no such folder, it holds no audio, or more of it than allowed cannot be used.
    """
    found = list(ahead(lambda path: _channels(path, folder), _audio_files(folder), num_threads))
    unreadable = [one for one in found if isinstance(one, Skipped)]
    refuse_many(folder, unreadable, len(found), allow_skipped)
    recordings = [channel for one in found if not isinstance(one, Skipped) for channel in one]
    known = [(one.id, str(one.audio.absolute()), one.duration_s) for one in recordings]
    digest = hashlib.sha256(repr(known).encode("utf-8", "surrogatepass"))
    path = cache_dir / "folders" / f"{digest.hexdigest()[:16]}.jsonl"
    if not path.exists():
        write_manifest(path, recordings)
    manifest = open_manifest(path, cache_dir)
    store = open_store(cache_dir, folder.name, manifest, limits, num_threads, progress)
    skipped = [*unreadable, *store.skipped.values()]
    refuse_many(folder, skipped, len(recordings) + len(unreadable), allow_skipped)
    return store


def _audio_files(folder: Path) -> list[Path]:
    if not folder.is_dir():
        raise InputError(
            f"There is no folder {folder}",
            expected="a folder of recordings",
            received="a file" if folder.exists() else "nothing at that path",
            action="correct augment.waveform.*.dir, which is relative to the folder in which the command runs",
        )
    if not (files := audio_under(folder)):
        raise InputError(
            f"{folder} holds no recordings",
            expected="audio files, in the folder or in folders inside it: " + " ".join(sorted(SUFFIXES - FOREIGN)),
            received="none",
            action="correct augment.waveform.*.dir, or leave the augmentation out",
        )
    return files


def _channels(path: Path, folder: Path) -> list[Utterance] | Skipped:
    """The channels of a file, as the lines of a manifest name them; or why it cannot be used."""
    name = str(path.relative_to(folder))
    try:
        name.encode()
        seconds, number = duration_and_channels(path)
        if round(seconds, 4) == 0:
            raise AudioError("empty", f"{path} holds no samples")
    except AudioError as error:
        return Skipped(printable(name), error.reason, str(error))
    except UnicodeEncodeError:
        return Skipped(printable(name), "not in UTF-8", "its name is not in UTF-8: give it another one")
    places = [Place(path, channel=channel).path for channel in range(number)] if number > 1 else [path]
    return [Utterance(f"{name}#{i}", place, UNDETERMINED, None, seconds) for i, place in enumerate(places)]
