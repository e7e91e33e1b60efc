"""Audio files -> waveforms: reading, resampling, checking, and what is done to them in training."""

import re
from pathlib import Path

import numpy as np
import soundfile
import soxr

SILENCE = 1e-4
"""A waveform whose loudest sample is below this (-80 dB) is silent."""


class AudioError(Exception):
    """One utterance whose audio cannot be used.

    Attributes:
        reason: A word or two by which such utterances are counted: `missing`, `unreadable`, `silent`, ...
    """

    def __init__(self, reason: str, message: str):
        self.reason = reason
        super().__init__(message)


def read_audio(path: Path, sample_rate_hz: int, min_duration_s: float = 0.0, max_duration_s: float = 1e9) -> np.ndarray:
    """Reads any file that libsndfile opens, as mono at the given rate: (S,) float32 in [-1, 1].

    Raises:
        AudioError: The file is missing, empty, truncated, no audio, silent, too short or too long.
    """
    if not path.is_file():
        raise AudioError("missing", f"there is no audio file {path}")
    if path.stat().st_size == 0:
        raise AudioError("empty", f"the audio file {path} is empty")
    try:
        with soundfile.SoundFile(path) as file:
            announced, rate = announced_frames(file), file.samplerate
            if file.frames > max_duration_s * rate * 1.5:  # refused before it fills the memory
                raise AudioError("too long", f"{path} lasts {file.frames / rate:.1f} s, more than {max_duration_s:g} s")
            samples = file.read(dtype="float32", always_2d=True)
    except (soundfile.SoundFileError, RuntimeError) as error:
        raise AudioError("unreadable", f"{path} cannot be read as audio ({error})") from None
    if len(samples) < 0.9 * announced:
        raise AudioError(
            "truncated", f"{path} announces {announced / rate:.1f} s but holds {len(samples) / rate:.1f} s"
        )
    waveform = samples.mean(axis=1) if samples.shape[1] > 1 else samples[:, 0]
    return checked(resampled(waveform, rate, sample_rate_hz), path, sample_rate_hz, min_duration_s, max_duration_s)


def announced_frames(file: soundfile.SoundFile) -> float:
    """Samples a channel by the file's header. In a truncated WAV libsndfile corrects them, and only its log tells."""
    corrected = re.search(r"^data : (\d+) \(should be (\d+)\)", file.extra_info, re.MULTILINE)
    if corrected is None or int(corrected[1]) > 0x7FFF0000:  # so large a number means that the length was not known
        return file.frames
    return file.frames * int(corrected[1]) / max(1, int(corrected[2]))


def resampled(waveform: np.ndarray, from_hz: int, to_hz: int) -> np.ndarray:
    """(S,) at one rate -> (S',) at another, through soxr."""
    if from_hz == to_hz or len(waveform) == 0:
        return waveform
    return soxr.resample(waveform, from_hz, to_hz).astype("float32")


def checked(
    waveform: np.ndarray, path: Path, sample_rate_hz: int, min_duration_s: float, max_duration_s: float
) -> np.ndarray:
    """The waveform, if it can be used.

    Raises:
        AudioError: It is too short, too long, silent, or not made of numbers.
    """
    duration_s = len(waveform) / sample_rate_hz
    if duration_s < min_duration_s or len(waveform) == 0:
        raise AudioError("too short", f"{path} lasts {duration_s:.2f} s, less than {min_duration_s:g} s")
    if duration_s > max_duration_s:
        raise AudioError("too long", f"{path} lasts {duration_s:.1f} s, more than {max_duration_s:g} s")
    peak = float(np.abs(waveform).max())
    if not np.isfinite(peak):
        raise AudioError("unreadable", f"{path} holds samples that are not numbers")
    if peak < SILENCE:
        raise AudioError("silent", f"{path} is silent: its loudest sample is {peak:.1e}")
    return np.clip(waveform, -1.0, 1.0)


def change_speed(waveform: np.ndarray, speed: float) -> np.ndarray:
    """Plays a waveform faster (speed > 1) or slower; pitch changes with it.

    Reference: Ko et al. 2015, "Audio augmentation for speech recognition", section 2.1.
    """
    if speed == 1.0:
        return waveform
    return soxr.resample(waveform, speed, 1.0, quality="LQ").astype("float32")


def add_noise(waveform: np.ndarray, snr_db: float, generator: np.random.Generator) -> np.ndarray:
    """Adds white noise at a signal-to-noise ratio in dB."""
    power = float(np.mean(waveform**2)) / 10 ** (snr_db / 10)
    return waveform + generator.standard_normal(len(waveform), dtype="float32") * np.float32(np.sqrt(power))
