"""Waveform -> log-mel features, as a layer of the network."""

import keras
import numpy as np
from keras import ops


class LogMel(keras.layers.Layer):
    """Log-mel filterbank energies, normalised to zero mean and unit variance over each utterance.

    Only frames that lie wholly inside the true samples are made (librosa's `center=False`), so that neither padding
    nor batch neighbours change a frame. Without the normalisation the values are those of
    `librosa.feature.melspectrogram(center=False)`, to which the floor is added before the logarithm.

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
        super().__init__(name=name, trainable=False)
        self.sample_rate_hz = sample_rate_hz
        import librosa  # slow to import, and only needed where a network is built

        self.num_mels = num_mels
        self.window = round(window_s * sample_rate_hz)
        self.hop = round(hop_s * sample_rate_hz)
        self.fft_size = fft_size
        self.floor = floor
        self.normalize = normalize
        self.filters = librosa.filters.mel(sr=sample_rate_hz, n_fft=fft_size, n_mels=num_mels).T.astype("float32")
        self.built = True

    def num_frames(self, num_samples):
        """Frames that lie inside `num_samples` samples (an int, or an array of them)."""
        return (num_samples - self.fft_size) // self.hop + 1

    def frame_time_s(self, frame):
        """Seconds at which a frame has its middle (for an int or an array)."""
        return (frame * self.hop + self.fft_size / 2) / self.sample_rate_hz

    def call(self, waveforms, num_samples):
        """(B, S) waveforms and (B,) true lengths -> (B, T, F) features, zero beyond the true frames, and (B,) T."""
        real, imaginary = ops.stft(waveforms, self.window, self.hop, self.fft_size, window="hann", center=False)
        energies = ops.matmul(real * real + imaginary * imaginary, self.filters)
        features = ops.log(energies + self.floor)
        num_frames = ops.maximum(self.num_frames(num_samples), 0)
        mask = frame_mask(num_frames, ops.shape(features)[1])[:, :, None]
        if self.normalize:
            count = ops.maximum(ops.cast(num_frames, "float32"), 1.0)[:, None, None]
            centred = (features - ops.sum(features * mask, axis=1, keepdims=True) / count) * mask
            variance = ops.sum(centred * centred, axis=1, keepdims=True) / count
            features = centred * ops.rsqrt(variance + np.float32(1e-5))
        return features * mask, num_frames


def frame_mask(num_frames, size):
    """(B,) true lengths -> (B, size) float32, 1 for true frames and 0 for padding."""
    return ops.cast(ops.arange(size)[None, :] < num_frames[:, None], "float32")
