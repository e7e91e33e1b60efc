"""The power spectrum as a convolution, for programs whose own Fourier transform is slow or has few lengths."""

from collections.abc import Callable
from typing import Any

import numpy as np
from keras import ops

from speech_mtl.models.features import MelFeatures


def power_by_convolution(features: MelFeatures, waveforms, kept: Callable[[Any], Any] = lambda constant: constant):
    """`MelFeatures.power`: (B, S) waveforms -> (B, T, bins).

    Args:
        features: The layer with the window and lengths.
        waveforms: (B, S).
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
