"""Manifests with noise for audio, for tests of the commands about them."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import soundfile

SECONDS = 3.0


def line(number: int, text: str | None, speaker: str | None, **fields: Any) -> dict[str, Any]:
    """A record of which audio is made by `written`; fields that are given replace its own."""
    audio = f"../audio/{number}.wav"
    own = {"id": f"u{number}", "audio": audio, "language": "de", "text": text, "duration_s": SECONDS}
    return {**own, "speaker": speaker, **fields}


def written(path: Path, lines: Sequence[dict[str, Any] | bytes], rate: int = 16_000, channels: int = 1) -> Path:
    """Writes a manifest, and noise for the audio of its records that is not there: of a seed by its name."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(b"".join(one if isinstance(one, bytes) else json.dumps(one).encode() + b"\n" for one in lines))
    for one in (one for one in lines if isinstance(one, dict)):
        audio = path.parent / one["audio"]
        if audio.suffix == ".wav" and not audio.exists():
            audio.parent.mkdir(exist_ok=True)
            generator = np.random.default_rng(list(audio.name.encode()))
            shape = (round(SECONDS * rate), channels)
            soundfile.write(audio, generator.uniform(-0.5, 0.5, shape).astype("float32"), rate)
    return path


def good(first: int, number: int, speakers: str, words: str = "ja nein gut eins zwei drei vier", **fields: Any) -> list:
    """Records that nothing is wrong with, each with a text of its own."""
    found, names, named = [], words.split(), list(speakers)
    for i in range(first, first + number):
        text = " ".join([names[i % len(names)], *"abcdefghij"[: 1 + i % 9], "x" * (i % 13)])
        found.append(line(i, text, named[i % len(named)], **fields))
    return found
