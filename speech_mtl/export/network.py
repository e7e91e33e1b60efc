"""A trained network for one language, as a function of waveforms alone, which is exported."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from keras import ops

from speech_mtl import __version__
from speech_mtl.data.tokenizer import Tokenizer
from speech_mtl.datatypes import TRANSCRIPT
from speech_mtl.errors import InputError
from speech_mtl.models.features import MelFeatures
from speech_mtl.models.multitask import MultilingualModel

TOLERANCE = 1e-3
"""By how much log-probabilities of an exported network differ from the original's, at most; int8 weights excepted."""


@dataclass(frozen=True)
class LanguageNetwork:
    """Features, encoder and the output layer of one language.

    Outputs need nothing that other languages have for themselves. The model recognises no other language afterwards.

    Raises:
        InputError: The features of the network are not mel bands, or its tokens do not spell the text.
    """

    model: MultilingualModel
    tokenizer: Tokenizer
    sample_rate_hz: int

    def __post_init__(self):
        if not isinstance(self.model.features, MelFeatures):
            raise InputError(
                "A network that takes samples cannot be written in another program's format",
                expected="features.kind: log_mel or whisper",
                received="those of a public encoder over samples",
                action="pack the run: speech-mtl export RUN --format run",
            )
        if self.tokenizer.joined is None:
            raise InputError(
                f"The tokens of {self.tokenizer.language} are phones, of which other programs make no words",
                expected="a language whose tokens spell its text, such as characters or parts of words",
                received=f"{len(self.tokenizer) - 1} phones",
                action="pack the run: speech-mtl export RUN --format run",
            )
        self.model.encoder.keep_only(self.tokenizer.language)

    @property
    def features(self) -> MelFeatures:
        """The layer that makes features of waveforms."""
        return self.model.features  # type: ignore[reportReturnType]

    def log_probabilities(self, power, filters, num_samples):
        """Log-probabilities of tokens.

        Power and filters come from the caller, as not every format can compute or keep them as we do.

        Args:
            power: (B, T, bins) as of `MelFeatures.power`.
            filters: (bins, F) as of `MelFeatures.filters`.
            num_samples: (B,) int32, true lengths of the waveforms.

        Returns:
            (B, E, V) log-probabilities, and (B,) true numbers of frames.
        """
        model, language = self.model, self.tokenizer.language
        taps = model.taps((language,), (TRANSCRIPT,))
        language_ids = ops.full_like(num_samples, model.languages.index(language))
        features, num_frames = model.features.of_energies(ops.matmul(power, filters), num_samples)
        frames, num_frames = model.frames(features, num_frames, language_ids, taps)
        heads: Any = model.heads[TRANSCRIPT]
        return ops.log_softmax(heads.of_one(frames, language), axis=-1), num_frames

    def metadata(self) -> dict[str, Any]:
        """Facts that a program needs to use the network, and that are not in it."""
        first_s = self.features.frame_time_s(self.model.frame_centres[0]) - self.model.frame_step_s / 2
        return {
            "speech_mtl": __version__,
            "language": self.tokenizer.language,
            "sample_rate_hz": self.sample_rate_hz,
            "vocab_size": len(self.tokenizer),
            "joined": dict(self.tokenizer.joined or {}),
            "frame_step_s": self.model.frame_step_s,
            "first_frame_start_s": max(first_s, 0.0),
            "min_samples": self.model.min_samples,
        }

    def tokens(self) -> str:
        """The vocabulary as icefall, WeNet and sherpa-onnx have it: a token and its number a line, `▁` for a space."""
        names = ["<blk>", *(token.replace(" ", "▁") for token in self.tokenizer.vocabulary[1:])]
        return "".join(f"{name} {number}\n" for number, name in enumerate(names))


def power_by_convolution(features: MelFeatures, waveforms, kept: Callable[[Any], Any] = lambda constant: constant):
    """`MelFeatures.power` as a convolution, for programs whose own Fourier transform is slow or has few lengths.

    Args:
        features: The layer with the window and lengths.
        waveforms: (B, S) -> (B, T, bins).
        kept: What is done to the kernel first.
    """
    samples, bins = np.arange(features.window), np.arange(features.fft_size // 2 + 1)
    hann = 0.5 - 0.5 * np.cos(2 * np.pi * samples / features.window)
    # The power is the same wherever the window lies in the transform's length.
    angles = 2 * np.pi * samples[:, None] * bins / features.fft_size
    kernel = hann[:, None] * np.concatenate([np.cos(angles), np.sin(angles)], axis=1)
    start = (features.fft_size - features.window) // 2
    end = start + features.window - features.fft_size
    inside = ops.expand_dims(waveforms[:, start : end or None], -1)
    parts = ops.conv(inside, kept(kernel[:, None].astype("float32")), strides=features.hop)
    real, imaginary = ops.split(parts, 2, axis=-1)
    return real * real + imaginary * imaginary
