"""Settings and batches with the shapes of real speech, which all benchmarks share."""

from dataclasses import dataclass

import numpy as np

from speech_mtl.datatypes import TRANSCRIPT, Batch, Tokens
from speech_mtl.settings.recipe import Recipe

SAMPLE_RATE_HZ = 16_000

SIZES = {"default": {}, "small": {"num_layers": 5, "dim": 96}}
"""Encoder settings that differ from a recipe's defaults, by name of the model size."""


@dataclass(frozen=True)
class Shape:
    """What a batch holds."""

    num_utterances: int
    max_duration_s: float
    max_tokens: int

    def __str__(self) -> str:
        return f"{self.num_utterances} x {self.max_duration_s:g} s, {self.max_tokens} tokens"


SHAPES = (Shape(12, 5.0, 50), Shape(48, 1.25, 10))
"""Sentences and single words, a minute of speech each."""


def vocabularies(num_languages: int) -> dict[str, int]:
    """About 40 tokens for each of the languages."""
    return {f"x-language-{i}": 38 + i % 5 for i in range(num_languages)}


def recipe(size: str, num_languages: int) -> Recipe:
    """A recipe in which nothing but the encoder's size differs from the defaults."""
    values = {
        "name": f"benchmark-{size}",
        "languages": {language: {} for language in vocabularies(num_languages)},
        "data": {"dir": "nowhere"},
        "encoder": {"kind": "conformer", **SIZES[size]},
    }
    return Recipe.model_validate(values)


def batches(shape: Shape, num_languages: int, number: int = 4, seed: int = 0) -> list[Batch]:
    """Batches of this shape. Like sorted speech, utterances of a batch differ by up to a tenth in length."""
    generator = np.random.default_rng(seed)
    return [_batch(shape, num_languages, generator) for _ in range(number)]


def _batch(shape: Shape, num_languages: int, generator: np.random.Generator) -> Batch:
    size, longest = shape.num_utterances, round(shape.max_duration_s * SAMPLE_RATE_HZ)
    num_samples = generator.integers(round(0.9 * longest), longest, size, endpoint=True)
    num_tokens = generator.integers(round(0.8 * shape.max_tokens), shape.max_tokens, size, endpoint=True)
    waveforms = generator.standard_normal((size, num_samples.max())).astype(np.float32) * np.float32(0.1)
    tokens = generator.integers(1, 37, (size, num_tokens.max()))
    tokens[:, 1:] += tokens[:, 1:] == tokens[:, :-1]  # equal neighbours would need more frames
    tokens[np.arange(tokens.shape[1]) >= num_tokens[:, None]] = 0
    return Batch(
        waveforms=np.where(np.arange(waveforms.shape[1]) < num_samples[:, None], waveforms, np.float32(0)),
        num_samples=num_samples.astype(np.int32),
        language_ids=generator.integers(0, num_languages, size).astype(np.int32),
        targets={TRANSCRIPT: Tokens(tokens.astype(np.int32), num_tokens.astype(np.int32))},
    )


def audio_s(batch: Batch) -> float:
    """Seconds of speech in a batch, padding not counted."""
    return float(batch.num_samples.sum()) / SAMPLE_RATE_HZ
