"""Tones in files, and why a file is refused."""

from pathlib import Path

import numpy as np
import pytest
import soundfile

from speech_mtl.data.audio import read_audio
from speech_mtl.data.place import AudioError


def tone(frequency_hz: float, duration_s: float = 1.0, rate_hz: int = 16_000, level: float = 0.5) -> np.ndarray:
    return (level * np.sin(2 * np.pi * frequency_hz * np.arange(round(duration_s * rate_hz)) / rate_hz)).astype(
        "float32"
    )


def loudest_hz(waveform: np.ndarray, rate_hz: int = 16_000) -> float:
    spectrum = np.abs(np.fft.rfft(waveform * np.hanning(len(waveform))))
    return float(np.argmax(spectrum) * rate_hz / len(waveform))


def refusal(path: Path, **limits) -> str:
    """The reason for which a file is refused."""
    with pytest.raises(AudioError) as caught:
        read_audio(path, 16_000, **limits)
    return caught.value.reason


def written(path: Path, samples: np.ndarray, **kwargs) -> Path:
    soundfile.write(path, samples, 16_000, **kwargs)
    return path
