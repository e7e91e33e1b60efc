"""Recognises audio files that are in no manifest."""

import glob
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any
from unicodedata import normalize

import numpy as np

from speech_mtl.data.audio import AudioError, read_audio
from speech_mtl.datatypes import Hypothesis
from speech_mtl.errors import InputError
from speech_mtl.run.checkpoint import load_recognizer
from speech_mtl.run.folder import Run
from speech_mtl.settings.data import DataSettings
from speech_mtl.settings.decoding import DecodingSettings
from speech_mtl.targets.target import LabelTarget

SUFFIXES = (
    *("aac", "aif", "aifc", "aiff", "amr", "au", "caf", "flac", "gsm", "m4a", "mp3", "mp4", "nist", "oga", "ogg"),
    *("opus", "rf64", "snd", "sph", "voc", "w64", "wav", "wave", "webm", "wma"),
)
"""Of the files in a folder that count as audio: also those that have to be converted first, so that they are named."""


def audio_files(given: Sequence[Path]) -> list[Path]:
    """The files that are meant: themselves, all audio files under folders, and what patterns such as `*.wav` match.

    Each comes as often as it is given, and where it is given; those of a folder or pattern by name. Hidden files of
    folders are left out. What is not there, or holds nothing, stays as it is, to be refused by name.
    """
    found: list[Path] = []
    for path in given:
        # These, unlike those of Path, stand names that are too long.
        is_there = os.path.exists(path)  # noqa: PTH110
        matches = [] if is_there else [Path(name) for name in sorted(glob.glob(str(path), recursive=True))]  # noqa: PTH207
        for match in matches or [path]:
            found += (os.path.isdir(match) and _audio_under(match)) or [match]  # noqa: PTH112
    return found


def _audio_under(folder: Path) -> list[Path]:
    files = (Path(parent, name) for parent, _, names in os.walk(folder) for name in names if not name.startswith("."))
    return sorted(path for path in files if path.suffix.lower().removeprefix(".") in SUFFIXES)


def transcribe_files(
    run: Run, files: Iterable[Path], language: str, decoding: DecodingSettings | None = None
) -> Iterator[tuple[Path, Hypothesis | InputError]]:
    """Yields for each file what is said in it, or why it cannot be recognised, as soon as that is known.

    One file is read after another, and no more than one is held. Decoding is as the run's settings tell if None.

    Raises:
        InputError: The run is not trained, or the language has no output layer.
    """
    data = run.recipe().data
    recognizer = load_recognizer(run, decoding)
    recognizer.make_decoders([language])
    for path in files:
        try:
            (hypothesis,) = recognizer.transcribe([_read(path, data)], language, ids=[str(path)])
            yield path, hypothesis
        except InputError as error:
            yield path, error


def label_values(tasks: Mapping[str, LabelTarget], hypothesis: Hypothesis) -> dict[str, Any]:
    """What the tasks besides transcripts predict, by name; of those over frames nothing."""
    return {name: task.decode(hypothesis.labels[name]) for name, task in tasks.items() if not task.over_frames}


def transcript_paths(files: Sequence[Path], folder: Path, ending: str) -> dict[Path, Path]:
    """Where the transcript of each file goes: into a folder, below which files lie as they do below their common one.

    Raises:
        InputError: Two files would have their transcripts in the same place, or something lies there already.
    """
    absolute = {path: Path(os.path.abspath(path)) for path in files}  # noqa: PTH100 resolve() follows links
    common = os.path.commonpath([path.parent for path in absolute.values()]) if files else ""
    found, taken = {}, {}
    for path, there in absolute.items():
        target = (folder / there.relative_to(common)).with_suffix(f".{ending}")
        other = taken.setdefault(normalize("NFC", str(target)).casefold(), path)
        if absolute[other] != there or os.path.lexists(target):
            raise InputError(
                f"The transcript of {path} would replace another file",
                expected="a new place for the transcript of each file",
                received=f"{target}, which "
                + ("is there already" if absolute[other] == there else f"is that of {other}"),
                action="choose another folder with --out, or rename or remove one of these files",
            )
        found[path] = target
    return found


def _read(path: Path, data: DataSettings) -> np.ndarray:
    """A file's waveform; (S,) float32.

    Raises:
        InputError: It cannot be used.
    """
    try:
        if path.is_dir():
            raise AudioError("missing", "the folder holds no audio file")
        return read_audio(path, data.sample_rate_hz, data.min_duration_s, data.max_duration_s)
    except AudioError as error:
        received = str(error)
    except OSError as error:
        received = error.strerror or str(error)
    except UnicodeEncodeError:
        received = "its name is not in UTF-8: give it another one"
    raise InputError(
        f"{path} cannot be transcribed",
        expected=f"an audio file with {data.min_duration_s:g} to {data.max_duration_s:g} s of speech",
        received=received,
        action="give another file, or cut a longer one into pieces",
    )
