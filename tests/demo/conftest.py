"""A run that has learnt tones, loaded for the page."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import soundfile

from speech_mtl.demo.shown import LoadedRun, load_runs
from speech_mtl.run.folder import Run


@pytest.fixture(scope="session")
def _loaded_once() -> list[LoadedRun]:
    return []


@pytest.fixture
def loaded(_loaded_once: list[LoadedRun], trained: Run, untraced: None) -> LoadedRun:
    """Change only copies of it."""
    if not _loaded_once:
        _loaded_once += load_runs([trained], [])
    return _loaded_once[0]


@pytest.fixture
def wav(tmp_path: Path) -> Callable[..., bytes]:
    """`wav(waveform, sample_rate_hz=16_000)`: the bytes of an audio file."""

    def make(waveform: np.ndarray, sample_rate_hz: int = 16_000) -> bytes:
        path = tmp_path / "made.wav"
        soundfile.write(path, waveform, sample_rate_hz)
        content = path.read_bytes()
        path.unlink()
        return content

    return make
