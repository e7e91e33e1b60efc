"""Waveform -> log-mel features, as a layer of the network."""

import keras
import numpy as np
from keras import ops


class MelFeatures(keras.layers.Layer):
    """Mel filterbank energies; subclasses say in `scaled` what becomes of them.

    Only frames that lie wholly inside the true samples are made (librosa's `center=False`), so that neither padding
    nor batch neighbours change a frame.

    Args:
        sample_rate_hz: Rate of the waveforms.
        num_mels: F, number of mel bands.
        window, hop: Length and step of the analysis window, in samples.
        fft_size: Length of the discrete Fourier transform, in samples.
    """

    def __init__(self, sample_rate_hz: int, num_mels: int, window: int, hop: int, fft_size: int, name: str):
        super().__init__(name=name, trainable=False)
        self.sample_rate_hz, self.num_mels = sample_rate_hz, num_mels
        self.window, self.hop, self.fft_size = window, hop, fft_size
        self.filters = mel_filters(sample_rate_hz, num_mels, fft_size)
        self.built = True

    def num_frames(self, num_samples):
        """Frames that lie inside `num_samples` samples (an int, or an array of them)."""
        return (num_samples - self.fft_size) // self.hop + 1

    def frame_time_s(self, frame):
        """Seconds at which a frame has its middle (for an int or an array)."""
        return (frame * self.hop + self.fft_size / 2) / self.sample_rate_hz

    def scaled(self, energies, mask, num_frames):
        """(B, T, F) energies, (B, T, 1) mask and (B,) true lengths -> (B, T, F) features."""
        raise NotImplementedError

    def call(self, waveforms, num_samples):
        """(B, S) waveforms and (B,) true lengths -> (B, T, F) features, zero beyond the true frames, and (B,) T."""
        real, imaginary = ops.stft(waveforms, self.window, self.hop, self.fft_size, window="hann", center=False)
        energies = ops.matmul(real * real + imaginary * imaginary, self.filters)
        num_frames = ops.maximum(self.num_frames(num_samples), 0)
        mask = frame_mask(num_frames, ops.shape(energies)[1])[:, :, None]
        return self.scaled(energies, mask, num_frames) * mask, num_frames


class LogMel(MelFeatures):
    """Log-mel energies, normalised to zero mean and unit variance over each utterance.

    Without the normalisation the values are those of `librosa.feature.melspectrogram(center=False)`, to which the floor
    is added before the logarithm.

    Args:
        sample_rate_hz: Rate of the waveforms.
        num_mels: F, number of mel bands.
        window_s, hop_s: Length and step of the analysis window, in seconds.
        fft_size: Length of the discrete Fourier transform, in samples.
        floor: Added to the energies; 1e-6 is about the level of 16-bit quantisation noise.
        normalize: Whether to normalise each utterance.
    """

    def __init__(
        self,
        sample_rate_hz: int = 16_000,
        num_mels: int = 80,
        window_s: float = 0.025,
        hop_s: float = 0.010,
        fft_size: int = 512,
        floor: float = 1e-6,
        normalize: bool = True,
        name: str = "features",
    ):
        window, hop = round(window_s * sample_rate_hz), round(hop_s * sample_rate_hz)
        super().__init__(sample_rate_hz, num_mels, window, hop, fft_size, name)
        self.floor, self.normalize = floor, normalize

    def scaled(self, energies, mask, num_frames):
        features = ops.log(energies + self.floor)
        if not self.normalize:
            return features
        count = ops.maximum(ops.cast(num_frames, "float32"), 1.0)[:, None, None]
        centred = (features - ops.sum(features * mask, axis=1, keepdims=True) / count) * mask
        variance = ops.sum(centred * centred, axis=1, keepdims=True) / count
        return centred * ops.rsqrt(variance + np.float32(1e-5))


def mel_filters(sample_rate_hz: int, num_mels: int, fft_size: int) -> np.ndarray:
    """Triangles of equal area, evenly spaced on the mel scale from 0 Hz to half the rate: (bins, F) float32.

    Those of `librosa.filters.mel`, which takes a second to import.

    Reference: Slaney 1998, "Auditory Toolbox", version 2: linear below 1000 Hz, logarithmic above.
    """
    hz_per_mel, first_hz, factor = 200 / 3, 1000.0, np.log(6.4) / 27
    first, highest_hz = first_hz / hz_per_mel, sample_rate_hz / 2
    top = highest_hz / hz_per_mel if highest_hz < first_hz else first + np.log(highest_hz / first_hz) / factor
    mels = np.linspace(0.0, top, num_mels + 2)
    edges_hz = np.where(mels < first, mels * hz_per_mel, first_hz * np.exp(factor * (mels - first)))
    lower, middle, upper = edges_hz[:-2], edges_hz[1:-1], edges_hz[2:]
    bins_hz = np.fft.rfftfreq(fft_size, 1 / sample_rate_hz)[:, None]
    rising, falling = (bins_hz - lower) / (middle - lower), (upper - bins_hz) / (upper - middle)
    triangles = np.maximum(0.0, np.minimum(rising, falling)).astype("float32")  # rounded here as librosa does
    return (triangles * (2 / (upper - lower))).astype("float32")


def frame_mask(num_frames, size):
    """(B,) true lengths -> (B, size) float32, 1 for true frames and 0 for padding."""
    return ops.cast(ops.arange(size)[None, :] < num_frames[:, None], "float32")
