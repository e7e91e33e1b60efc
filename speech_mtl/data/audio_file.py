"""Opens audio files: what they hold by their headers, where a part of one begins, and which are refused."""

import errno
import io
import math
import os
import shlex
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from stat import S_ISREG
from typing import BinaryIO

import numpy as np
import soundfile

from speech_mtl.data.containers import Source, announced_size, is_text, mp3_tells_its_length
from speech_mtl.data.place import Address, AudioError, Place, place_of
from speech_mtl.errors import InputError
from speech_mtl.files import files_under

RATES_HZ = (1_000, 768_000)
"""Valid sample rates."""

MOST_CHANNELS = 64

BLOCK = 1 << 18
"""Samples read at a time, of all channels together."""

UNKNOWN_LENGTH = 2**63 - 1
"""Length that libsndfile reports for a FLAC file that was written into a pipe."""

BEYOND_S = 0.05
"""Seconds by which a stretch may end beyond its recording: programs round the length."""

FOREIGN = {".3gp", ".aac", ".amr", ".ape", ".m4a", ".m4b", ".mka", ".mkv", ".mov", ".mp4", ".webm", ".wma", ".wv"}
"""Names of formats that libsndfile does not open."""

ENDINGS = (".wav", ".flac", ".opus", ".ogg", ".oga", ".mp3", ".aif", ".aiff", ".au", ".wave")
"""Endings of recordings that are looked for beside a text, in this order."""

SUFFIXES = FOREIGN | {*ENDINGS, ".aifc", ".caf", ".gsm", ".nist", ".rf64", ".snd", ".sph", ".voc", ".w64"}
"""Names of audio files, those that have to be converted included; others, such as licences, are left alone."""

FOREIGN_MAGIC = (b"\x1a\x45\xdf\xa3", b"#!AMR", b"\x30\x26\xb2\x75", b"\xff\xf1", b"\xff\xf9", b"wvpk", b"MAC ")
"""How they begin, whatever they are named: Matroska, AMR, WMA, AAC (two), WavPack, Monkey's Audio."""

PASSING = (errno.EMFILE, errno.ENFILE, errno.ENOMEM, errno.ESTALE, errno.ETIMEDOUT)
"""System errors that tell nothing about a file, but of the machine or of a network disk."""


def audio_under(folder: Path) -> list[Path]:
    """The audio files in a folder and in those below it, by name; those of `files_under`."""
    return sorted(path for path in files_under(folder) if path.suffix.lower() in SUFFIXES)


def duration_s(path: Path) -> float:
    """Seconds of audio in a file: by its header, or counted if the header has no length.

    Raises:
        AudioError: The file is missing, empty, truncated or no audio, as far as that is seen without decoding it.
    """
    seconds, _ = duration_and_channels(path)
    return seconds


def duration_and_channels(path: Path) -> tuple[float, int]:
    """Seconds of audio in a file, as `duration_s`, and number of channels of the file."""
    with opened(path) as (file, num_frames):
        most = 86_400 * file.samplerate  # a day: a small file can be made that decodes to years
        size = sum(map(len, blocks(file, most))) if num_frames is None else num_frames
        return size / file.samplerate, file.channels


def sample_rate_and_channels(path: Path) -> tuple[int, int]:
    """Sample rate in Hz and number of channels of a file, by its header.

    Raises:
        AudioError: As for `opened`.
    """
    with opened(path) as (file, _):
        return file.samplerate, file.channels


def refuse_no_file(path: Path) -> None:
    """Checks that there is a file that is not empty, without opening it.

    Raises:
        AudioError: There is none.
    """
    with _errors_of(path):
        _refuse_no_file(place_of(path).file)


@contextmanager
def opened(path: Path) -> Iterator[tuple[soundfile.SoundFile, int | None]]:
    """Opens an audio file, at the place that is meant, a path or what `data.place` says of parts of files.

    Yields it with its samples per channel from there, or None if these can only be counted.

    Raises:
        AudioError: The file is missing, empty, no audio, or truncated by its header; or it cannot be decoded; or it
            ends before the place, or lacks the channel.
        InputError: A disk or a store does not answer, or the machine has no room to open the file.
    """
    place = place_of(path)
    with _errors_of(path):
        if not isinstance(place.file, Address):
            _refuse_no_file(place.file)
        if (content := place.content()) == b"":
            raise AudioError("empty", f"the audio file {path} is empty")
        with place.file.open("rb") if content is None else io.BytesIO(content) as raw:
            source = Source(raw)
            _refuse_truncated(path, source)
            if content is None:  # libsndfile opens it once more, and does not tell if too many files are open
                os.close(os.dup(raw.fileno()))
            with _Stream(os.fsencode(place.file) if content is None else io.BytesIO(content)) as file:
                _refuse_strange(file, source)
                if file.format != "MP3" or mp3_tells_its_length(source):
                    yield file, _placed(file, file.frames if file.frames < UNKNOWN_LENGTH else None, place)
                    return
            with _SeemsLonger(raw) as longer, _Stream(longer) as file:
                longer.ends = True
                yield file, _placed(file, None, place)


@contextmanager
def _errors_of(path: Path) -> Iterator[None]:
    """Turns what can go wrong with a file into an `AudioError`."""
    try:
        yield
    except (FileNotFoundError, NotADirectoryError):
        raise AudioError("missing", f"there is no audio file {path}") from None
    except soundfile.LibsndfileError as error:
        raise _unreadable(path, error.error_string.rstrip(".")) from None
    except OSError as error:
        if error.errno in (errno.ENAMETOOLONG, errno.ELOOP):  # a name that no file has
            raise AudioError("missing", f"there is no audio file {path} ({error.strerror})") from None
        if error.errno in PASSING:  # else the audio would be left out, in caches for good
            raise InputError(
                f"{path} cannot be read",
                expected="a disk that answers, and a machine with room to open a file",
                received=error.strerror or error,
                action="check the disk, or raise the limit of open files (ulimit -n), or free memory; then start again",
            ) from None
        raise _unreadable(path, error.strerror or error) from None
    except (ValueError, TypeError, RuntimeError) as error:
        raise _unreadable(path, error) from None


class _Stream(soundfile.SoundFile):
    """A file that is read from its beginning to its end: some formats cannot be read otherwise."""

    def seekable(self) -> bool:
        return False


class _SeemsLonger(io.RawIOBase):
    """A file that appears to continue with zeros until `ends` is set.

    Of an mp3 without its length, libsndfile reads only as much as it estimates from the file's size and the
    bit rate of the first frame: a third, where the bit rate varies.
    """

    ends = False

    def __init__(self, file: BinaryIO):
        self._file = file
        self._place = 0

    def tell(self) -> int:
        return self._place

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        end = 40 * self._file.seek(0, os.SEEK_END) if whence == os.SEEK_END else 0  # bit rates are from 8 to 320 kbit/s
        self._place = offset + (self._place if whence == os.SEEK_CUR else end)
        return self._place

    def readinto(self, buffer) -> int:
        self._file.seek(self._place)
        content = self._file.read(len(buffer))
        if not self.ends:
            content = content.ljust(len(buffer), b"\0")
        buffer[: len(content)] = content
        self._place += len(content)
        return len(content)


def _placed(file: soundfile.SoundFile, num_frames: int | None, place: Place) -> int | None:
    """Goes to where the stretch begins that is meant; its number of samples per channel."""
    if place.channel is not None and place.channel >= file.channels:
        raise AudioError("without channel", f"{place.path}: the file has {file.channels} channels, counted from 0")
    if place.start_s is None or place.end_s is None:
        return num_frames
    first, end = round(place.start_s * file.samplerate), round(place.end_s * file.samplerate)
    if not first < end or (num_frames is not None and end > num_frames + BEYOND_S * file.samplerate):
        held = "" if num_frames is None else f", of {num_frames / file.samplerate:.3f} s"
        raise AudioError("outside its recording", f"{place.path} is not within its recording{held}")
    # Jumping in Opus, libsndfile lands some 6 ms away in many encoders' files; in mp3, it complains on standard error.
    exact = file.format != "MP3" and file.subtype != "OPUS" and soundfile.SoundFile.seekable(file)
    if num_frames is not None and exact:
        file.seek(min(first, num_frames))
    else:
        for _ in blocks(file, first):
            pass
    return end - first if num_frames is None else max(0, min(end, num_frames) - first)


def blocks(file: soundfile.SoundFile, num_frames: int | None) -> Iterator[np.ndarray]:
    """An open file from where it stands to its end, or so many samples of it, as (S, C) float32."""
    missing, most = UNKNOWN_LENGTH if num_frames is None else num_frames, BLOCK // file.channels
    while missing and len(block := file.read(min(most, missing), dtype="float32", always_2d=True)):
        missing -= len(block)
        yield block


def _refuse_no_file(path: Path) -> None:
    if isinstance(path, Address):
        size = path.size()
    else:
        status = path.stat()
        if not S_ISREG(status.st_mode):
            kind = "a folder" if path.is_dir() else "a device or a pipe"
            raise AudioError("unreadable", f"{path} is no file but {kind}")
        size = status.st_size
    if size == 0:
        raise AudioError("empty", f"the audio file {path} is empty")


def _refuse_truncated(path: Path, source: Source) -> None:
    announced = announced_size(source)
    if announced is not None and announced > source.size:
        whole = "its end is missing" if announced == math.inf else f"its header announces {announced:,}"
        raise AudioError("truncated", f"{path} is cut off: it has {source.size:,} bytes, and {whole}")


def _refuse_strange(file: soundfile.SoundFile, source: Source) -> None:
    if file.format == "RAW" and is_text(source):
        raise ValueError("it is text")
    if not RATES_HZ[0] <= file.samplerate <= RATES_HZ[1]:
        raise ValueError(f"a sample rate of {file.samplerate:,} Hz")
    if file.channels > MOST_CHANNELS:
        raise ValueError(f"{file.channels} channels")


def _unreadable(path: Path, reason: object) -> AudioError:
    return AudioError("unreadable", f"{path} cannot be read as audio ({reason}){_remedy(path)}")


def _remedy(path: Path) -> str:
    """Advice for a file of a format that libsndfile does not support."""
    with suppress(OSError, ValueError), path.open("rb") as file:
        head = file.read(16)
        if path.suffix.lower() in FOREIGN or head[4:8] == b"ftyp" or head.startswith(FOREIGN_MAGIC):
            given, made = shlex.quote(str(path)), shlex.quote(str(path.with_suffix(".wav")))
            return f"; convert it: ffmpeg -i {given} -ar 16000 -ac 1 {made}"
    return ""
