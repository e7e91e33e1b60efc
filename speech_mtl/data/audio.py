"""Audio files -> waveforms: reading, resampling, checking, and what is done to them in training."""

import math
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import soundfile
import soxr

from speech_mtl.data.audio_file import BEYOND_S, blocks, opened
from speech_mtl.data.place import AudioError, place_of
from speech_mtl.errors import InputError

SILENCE = 1e-4
"""A waveform whose loudest sample is below this (-80 dB) is silent."""

LOUDEST = 2.0
"""Lossy formats decode to a little more than 1, which is full scale; samples beyond this have another scale."""

LOUDEST_FLOAT = 1.25
"""The same of files of floats, in which nothing but resampling goes beyond 1: what is louder would be cut off."""

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
    for block in blocks(file, num_frames):
        refuse_scale(block, path, loudest)
        held += len(block)
        yield block.mean(axis=1) if channel is None else block[:, channel]
    rate, is_stretch = file.samplerate, place_of(path).end_s is not None
    if num_frames is not None and num_frames - held > (BEYOND_S * rate if is_stretch else 0):
        raise AudioError("truncated", f"{path} announces {num_frames / rate:.2f} s but holds {held / rate:.2f} s")


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


def num_samples_at(num_samples: int, speed: float) -> int:
    """Length of what `change_speed` makes of so many samples."""
    return math.floor(num_samples / speed + 0.5)


def add_noise(waveform: np.ndarray, snr_db: float, generator: np.random.Generator) -> np.ndarray:
    """Adds white noise at a signal-to-noise ratio in dB."""
    power = float(np.mean(waveform**2)) / 10 ** (snr_db / 10)
    return waveform + generator.standard_normal(len(waveform), dtype="float32") * np.float32(np.sqrt(power))
