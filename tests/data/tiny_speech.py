"""A few utterances on disk, decoded, for tests of examples and of batches."""

from pathlib import Path
from typing import Any

import numpy as np
import soundfile

from speech_mtl.data.examples import Examples, Reading, load_examples
from speech_mtl.data.index import Manifest, open_manifest
from speech_mtl.data.manifest import write_manifest
from speech_mtl.data.store import AudioLimits, WaveformStore, open_store
from speech_mtl.data.tokenizer import CharacterTokenizer
from speech_mtl.datatypes import TRANSCRIPT, Utterance
from speech_mtl.targets.ctc import Ctc

LIMITS = AudioLimits(16_000, 0.1, 30.0)
TOKENIZER = CharacterTokenizer.from_texts(["abcd"], "en")


def frames_of(num_samples: int) -> int:
    """An encoder of 25 frames a second."""
    return num_samples // 640


def opened(tmp_path: Path, utterances: list[tuple[str, float]]) -> tuple[Manifest, WaveformStore]:
    """A manifest of (text, seconds) with noise for audio, and its store; without audio where the seconds are 0."""
    generator = np.random.default_rng(0)
    path, records = tmp_path / "en" / "train.jsonl", []
    for i, (text, seconds) in enumerate(utterances):
        audio = tmp_path / "audio" / f"{i}.wav"
        audio.parent.mkdir(exist_ok=True)
        if seconds:
            soundfile.write(audio, generator.uniform(-0.5, 0.5, round(seconds * 16_000)), 16_000)
        records.append(Utterance(f"u{i}", audio, "en", text, seconds or 1.0))
    write_manifest(path, records)
    manifest = open_manifest(path, tmp_path / "cache")
    return manifest, open_store(tmp_path / "cache", "en-train", manifest, LIMITS)


def everything(store: Any) -> np.ndarray:
    return np.flatnonzero(store.num_samples)


def loaded(manifest: Manifest, store: WaveformStore, positions: np.ndarray | None = None, **settings: Any) -> Examples:
    """The examples at some positions, or at all."""
    reading = Reading("en", [Ctc(TRANSCRIPT, {"en": TOKENIZER})], frames_of, **settings)
    return load_examples(manifest, store, everything(store) if positions is None else positions, reading)
