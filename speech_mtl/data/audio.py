"""Audio files -> waveforms: reading, resampling, checking, and what is done to them in training."""

import errno
import io
import math
import os
import shlex
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from stat import S_ISREG
from typing import BinaryIO

import numpy as np
import soundfile
import soxr

from speech_mtl.data.containers import Source, announced_size, is_text, mp3_tells_its_length
from speech_mtl.data.place import AudioError, Place, place_of
from speech_mtl.errors import InputError

SILENCE = 1e-4
"""A waveform whose loudest sample is below this (-80 dB) is silent."""

LOUDEST = 2.0
"""Lossy formats decode to a little more than 1, which is full scale; samples beyond this have another scale."""

LOUDEST_FLOAT = 1.25
"""The same of files of floats, in which nothing but resampling goes beyond 1: what is louder would be cut off."""

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

FOREIGN_MAGIC = (b"\x1a\x45\xdf\xa3", b"#!AMR", b"\x30\x26\xb2\x75", b"\xff\xf1", b"\xff\xf9", b"wvpk", b"MAC ")
"""How they begin, whatever they are named: Matroska, AMR, WMA, AAC (two), WavPack, Monkey's Audio."""


SPEECH = "audio with speech, in a format that libsndfile reads"
"""What is expected of audio."""


@contextmanager
def usable(name: str, audio: object, problem: str, action: str, expected: str = SPEECH) -> Iterator[None]:
    """Turns what is wrong with audio in the block into an error that the user can fix.

    Args:
        name: What the user calls the audio.
        audio: Its path, in place of which the error has the name: it may be that of a copy.
        problem: What cannot be done.
        action: What the user can do.
        expected: What would have been right.

    Raises:
        InputError: The audio cannot be used.
    """
    try:
        yield
        return
    except AudioError as error:
        received = str(error).replace(str(audio), name) if isinstance(audio, Path) else str(error)
    except OSError as error:
        received = error.strerror or str(error)
    except UnicodeEncodeError:
        received = "its name is not in UTF-8: give it another one"
    raise InputError(problem, expected=expected, received=received, action=action)


def read_audio(
    path: Path, sample_rate_hz: int, min_duration_s: float = 0.0, max_duration_s: float = 3600.0
) -> np.ndarray:
    """Reads any file that libsndfile opens, as mono at the given rate: (S,) float32 in [-1, 1].

    Raises:
        AudioError: The file is missing, empty, truncated, no audio, silent, too short or too long, or its samples are
            far beyond full scale.
    """
    held, waveforms = 0, []
    for block in stream_audio(path, sample_rate_hz, max_duration_s):
        waveforms.append(block)
        held += len(block)
        if held > 1.5 * max_duration_s * sample_rate_hz:  # refused before it fills the memory
            raise AudioError("too long", f"{path} lasts more than {max_duration_s:g} s")
    waveform = np.concatenate(waveforms) if waveforms else np.zeros(0, "float32")
    return checked(waveform, path, sample_rate_hz, min_duration_s, max_duration_s)


def stream_audio(path: Path, sample_rate_hz: int, max_duration_s: float = math.inf) -> Iterator[np.ndarray]:
    """Reads any file that libsndfile opens, a block at a time, as mono at the given rate: (S,) float32 each.

    Faults of samples, and a missing end, are found when they are read.

    Args:
        path: The file.
        sample_rate_hz: Rate of the blocks.
        max_duration_s: A file whose header has half as much again is refused at once.

    Raises:
        AudioError: The file is missing, empty, truncated or no audio, or its samples are far beyond full scale.
    """
    with opened(path) as (file, num_frames):
        rate = file.samplerate
        if num_frames is not None and num_frames > 1.5 * max_duration_s * rate:
            raise AudioError("too long", f"{path} lasts {num_frames / rate:.1f} s, more than {max_duration_s:g} s")
        yield from resampled(_mono(path, file, num_frames), rate, sample_rate_hz)


def _mono(path: Path, file: soundfile.SoundFile, num_frames: int | None) -> Iterator[np.ndarray]:
    held, loudest = 0, LOUDEST_FLOAT if file.subtype in ("FLOAT", "DOUBLE") else LOUDEST
    channel = 0 if file.channels == 1 else place_of(path).channel
    for block in _blocks(file, num_frames):
        refuse_scale(block, path, loudest)
        held += len(block)
        yield block.mean(axis=1) if channel is None else block[:, channel]
    if num_frames is not None and held < num_frames:
        rate = file.samplerate
        raise AudioError("truncated", f"{path} announces {num_frames / rate:.2f} s but holds {held / rate:.2f} s")


def duration_s(path: Path) -> float:
    """Seconds of audio in a file: by its header, or counted if the header has no length.

    Raises:
        AudioError: The file is missing, empty, truncated or no audio, as far as that is seen without decoding it.
    """
    with opened(path) as (file, num_frames):
        if num_frames is not None:
            return num_frames / file.samplerate
        most = 86_400 * file.samplerate  # a day: a small file can be made that decodes to years
        return sum(len(block) for block in _blocks(file, most)) / file.samplerate


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
    """
    place = place_of(path)
    with _errors_of(path):
        _refuse_no_file(place.file)
        content = place.content()
        with place.file.open("rb") if content is None else io.BytesIO(content) as raw:
            source = Source(raw)
            _refuse_truncated(path, source)
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
        for _ in _blocks(file, first):
            pass
    return end - first if num_frames is None else max(0, min(end, num_frames) - first)


def _blocks(file: soundfile.SoundFile, num_frames: int | None) -> Iterator[np.ndarray]:
    """A file from its beginning to its end, or so many samples of it, as (S, C) float32."""
    missing, most = UNKNOWN_LENGTH if num_frames is None else num_frames, BLOCK // file.channels
    while missing and len(block := file.read(min(most, missing), dtype="float32", always_2d=True)):
        missing -= len(block)
        yield block


def _refuse_no_file(path: Path) -> None:
    status = path.stat()
    if not S_ISREG(status.st_mode):
        raise AudioError("unreadable", f"{path} is no file but {'a folder' if path.is_dir() else 'a device or a pipe'}")
    if status.st_size == 0:
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


def refuse_scale(block: np.ndarray, path: Path, loudest: float = LOUDEST_FLOAT) -> None:
    """Checks that samples are numbers of which 1 is full scale.

    Raises:
        AudioError: They are not.
    """
    peak = max(float(block.max()), -float(block.min()))
    if not math.isfinite(peak):
        raise AudioError("unreadable", f"{path} holds samples that are not numbers")
    if peak > loudest:
        message = f"{path} has samples of {peak:,.6g}, where 1 is full scale; divide all by their own, such as 32768"
        raise AudioError("out of range", message)


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


def resampled(blocks: Iterable[np.ndarray], from_hz: float, to_hz: float) -> Iterator[np.ndarray]:
    """Blocks of a waveform, (S,) float32 each, at another rate, through soxr: as if it were resampled as a whole."""
    if from_hz == to_hz:
        yield from blocks
        return
    stream = soxr.ResampleStream(from_hz, to_hz, num_channels=1)
    for block in blocks:
        yield stream.resample_chunk(block)
    yield stream.resample_chunk(np.zeros(0, "float32"), last=True)


def checked(
    waveform: np.ndarray, path: Path, sample_rate_hz: int, min_duration_s: float, max_duration_s: float
) -> np.ndarray:
    """The waveform, if it can be used.

    Raises:
        AudioError: It is too short, too long or silent.
    """
    refuse_duration(len(waveform) / sample_rate_hz, path, min_duration_s, max_duration_s)
    peak = float(np.abs(waveform).max())
    if peak < SILENCE:
        raise AudioError("silent", f"{path} is silent: its loudest sample is {peak:.1e}")
    return np.clip(waveform, -1.0, 1.0)


def refuse_duration(duration_s: float, path: Path, min_duration_s: float, max_duration_s: float) -> None:
    """Checks the length of an utterance.

    Raises:
        AudioError: It is too short or too long.
    """
    if duration_s < min_duration_s or duration_s == 0:
        raise AudioError("too short", f"{path} lasts {duration_s:.2f} s, less than {min_duration_s:g} s")
    if duration_s > max_duration_s:
        raise AudioError("too long", f"{path} lasts {duration_s:.1f} s, more than {max_duration_s:g} s")


def change_speed(waveform: np.ndarray, speed: float) -> np.ndarray:
    """Resamples a waveform to play faster (speed > 1) or slower; pitch changes with it.

    Reference: Ko et al. 2015, "Audio augmentation for speech recognition", section 2.1.
    """
    if speed == 1.0:
        return waveform
    return soxr.resample(waveform, speed, 1.0, quality="LQ").astype("float32")


def add_noise(waveform: np.ndarray, snr_db: float, generator: np.random.Generator) -> np.ndarray:
    """Adds white noise at a signal-to-noise ratio in dB."""
    power = float(np.mean(waveform**2)) / 10 ** (snr_db / 10)
    return waveform + generator.standard_normal(len(waveform), dtype="float32") * np.float32(np.sqrt(power))
