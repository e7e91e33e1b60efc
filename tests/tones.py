"""Speech of tones, which a tiny network can learn, and the recipe of such a network."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import soundfile
from tiny_encoders import encoder_settings

from speech_mtl.data.manifest import manifest_path, write_manifest
from speech_mtl.datatypes import SPLITS, Utterance
from speech_mtl.settings.recipe import Recipe

LETTERS = "abcd"
TONE_S, GAP_S = 0.16, 0.06


def spoken(text: str, sample_rate_hz: int = 16_000, shift: int = 0) -> np.ndarray:
    """Each letter is a tone of its own frequency, with a pause after it; `shift` gives a language its own letters."""
    time_s = np.arange(int(TONE_S * sample_rate_hz)) / sample_rate_hz
    fade = np.minimum(1.0, np.minimum(time_s, time_s[::-1]) / 0.01)
    gap = np.zeros(int(GAP_S * sample_rate_hz))
    pieces = [gap]
    for letter in text:
        frequency_hz = 350.0 * 1.8 ** ((LETTERS.index(letter) + shift) % len(LETTERS))
        pieces += [0.5 * fade * np.sin(2 * np.pi * frequency_hz * time_s), gap]
    noise = np.random.default_rng(len(text)).standard_normal(sum(map(len, pieces)))
    return (np.concatenate(pieces) + 1e-3 * noise).astype("float32")


def tone_corpus(
    languages: Sequence[str] = ("aa", "bb"),
    num_train: int = 12,
    num_dev: int = 3,
    num_test: int = 3,
    suffix: str = "flac",
    *,
    data_dir: Path,
    labels: Mapping[str, tuple[Any, Any]] | None = None,
) -> Path:
    """Writes a corpus into `data_dir`, and gives it back.

    `labels` gives each label the value of even utterances and that of odd ones.
    """
    for shift, language in enumerate(languages):
        generator = np.random.default_rng(shift)
        for split, size in zip(SPLITS, (num_train, num_dev, num_test), strict=True):
            utterances = []
            for number in range(size):
                text = "".join(generator.choice(list(LETTERS), size=generator.integers(3, 6)))
                if number == 0:
                    text = LETTERS  # so that every letter is in every vocabulary
                path = data_dir / language / "audio" / f"{split}-{number}.{suffix}"
                path.parent.mkdir(parents=True, exist_ok=True)
                waveform = spoken(text, shift=shift)
                soundfile.write(path, waveform, 16_000)
                name = f"{language}-{split}-{number}"
                known = {label: pair[number % 2] for label, pair in (labels or {}).items() if label != "speaker"}
                speaker, duration_s = f"s{number % 2}", len(waveform) / 16_000
                utterances.append(Utterance(name, path, language, text, duration_s, speaker, known))
            write_manifest(manifest_path(data_dir, language, split), utterances)
    return data_dir


def tone_recipe(data_dir: Path, cache_dir: Path) -> Recipe:
    """Two languages of tones, a Conformer that trains in seconds, and a few updates."""
    values: dict[str, Any] = {
        "name": "tiny",
        "target": "aa",
        "languages": {"aa": {}, "bb": {}},
        "data": {"dir": data_dir, "cache_dir": cache_dir, "batch_s": 8.0},
        "features": {"num_mels": 20},
        "augment": {"speeds": [1.0]},
        "encoder": {**encoder_settings("conformer"), "dropout": 0.0, "zero_branches": True},
        "training": {"num_updates": 4, "warmup_updates": 2, "evaluate_every": 2, "learning_rate": 1e-2},
        "compare": {"budgets_min": [0.1], "pretrain_updates": 2},
        "finetune": {"num_updates": 2},
    }
    return Recipe.model_validate(values)
