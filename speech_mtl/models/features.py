"""Waveform -> features, as a layer of the network: log-mel energies, or the normalised samples themselves."""

from typing import Literal

import keras
import numpy as np
from keras import ops

from speech_mtl.backend import stft
from speech_mtl.mel import band_edges_hz
from speech_mtl.models.past import Past, zeros_before


class Features(keras.layers.Layer):
    """Base of features: one frame for each window that lies wholly inside the true samples.

    Args:
        width: F, numbers in a frame.
        hop: From the start of one window to that of the next, in samples.
        fft_size: Length of a window and of its Fourier transform, in samples.
    """

    def __init__(self, sample_rate_hz: int, width: int, hop: int, fft_size: int):
        super().__init__(name="features", trainable=False)
        self.sample_rate_hz, self.width = sample_rate_hz, width
        self.frame_shape: tuple[int, ...] = (width,)
        """(F,), or the shape of what the numbers of a frame are made of, whose product is F."""
        self.hop, self.fft_size = hop, fft_size
        self.built = True

    def num_frames(self, num_samples):
        """Frames that lie inside `num_samples` samples (an int, or an array of them)."""
        return (num_samples - self.fft_size) // self.hop + 1

    def frame_time_s(self, frame):
        """Seconds at which a frame has its middle (for an int or an array)."""
        return (frame * self.hop + self.fft_size / 2) / self.sample_rate_hz

    def num_inputs(self, num_samples):
        """Numbers that the network gets for so many samples (an int or an array), of which a frame can be made."""
        return num_samples

    def num_samples(self, num_inputs):
        """The least samples for which the network gets so many numbers."""
        return num_inputs

    def prepare(self, waveform: np.ndarray) -> np.ndarray:
        """What the network gets for a waveform, (S,) float32: the waveform itself, unless features are made before."""
        return waveform

    def call(self, waveforms, num_samples, past: Past | None = None):
        """(B, S) waveforms and (B,) true lengths -> (B, T, F) features, zero beyond the true frames, and (B,) T.

        With a `past`, the waveforms are a stretch of a stream.
        """
        raise NotImplementedError


class Waveform(Features):
    """The samples themselves, (B, S, 1), for encoders that begin with convolutions over them.

    Args:
        normalize: Whether each utterance gets zero mean and unit variance, as `do_normalize` of Transformers'
            `Wav2Vec2FeatureExtractor`.
    """

    def __init__(self, sample_rate_hz: int, normalize: bool):
        super().__init__(sample_rate_hz, width=1, hop=1, fft_size=1)
        self.normalize = normalize

    def call(self, waveforms, num_samples, past: Past | None = None):  # noqa: ARG002
        samples = waveforms[:, :, None]
        if self.normalize:
            return standardized(samples, num_samples, 1e-7), num_samples
        return samples * frame_mask(num_samples, ops.shape(waveforms)[1])[:, :, None], num_samples


class MelFeatures(Features):
    """Mel filterbank energies; subclasses scale them in `scaled`.

    Only frames that lie wholly inside the true samples are made (librosa's `center=False`), so that neither padding
    nor batch neighbours change a frame.

    Args, besides those of `Features`:
        num_mels: F, number of mel bands.
        window: Length of the analysis window, in samples.
    """

    def __init__(self, sample_rate_hz: int, num_mels: int, window: int, hop: int, fft_size: int):
        super().__init__(sample_rate_hz, num_mels, hop, fft_size)
        self.num_mels, self.window = num_mels, window
        self.filters = mel_filters(sample_rate_hz, num_mels, fft_size)

    def scaled(self, energies, mask, num_frames, past: Past | None):
        """(B, T, F) energies, (B, T, 1) mask, (B,) true lengths, and the past of a stream -> (B, T, F) features."""
        raise NotImplementedError

    def call(self, waveforms, num_samples, past: Past | None = None):
        return self.of_energies(ops.matmul(self.power(waveforms), self.filters), num_samples, past)

    def power(self, waveforms):
        """(B, S) waveforms -> (B, T, bins) power spectrum, that of padding included."""
        real, imaginary = stft(waveforms, self.window, self.hop, self.fft_size)
        return real * real + imaginary * imaginary

    def of_energies(self, energies, num_samples, past: Past | None = None):
        """The features of (B, T, F) energies, however these were computed."""
        num_frames = ops.maximum(self.num_frames(num_samples), 0)
        mask = frame_mask(num_frames, ops.shape(energies)[1])[:, :, None]
        return self.scaled(energies, mask, num_frames, past) * mask, num_frames


class LogMel(MelFeatures):
    """Log-mel energies, normalised over each utterance, or over what came before in it.

    Without the normalisation the values are the logarithms of `librosa.feature.melspectrogram(center=False)`, with the
    floor.

    Taking out each band's mean takes out a constant channel (Atal 1974, "Effectiveness of linear prediction
    characteristics of the speech wave for automatic speaker identification and verification", for cepstra);
    taking out the variance too is that of Viikki and Laurila 1998, "Cepstral domain segmental feature vector
    normalization for noise robust speech recognition", over the whole utterance.

    Args, besides those of `MelFeatures`:
        window_s, hop_s: Length and step of the analysis window, in seconds.
        floor: Added to the energies; 1e-6 is about the level of 16-bit quantisation noise.
        normalize: `mean_variance` to zero mean and unit variance of each band, `mean` to zero mean and divided by
            `TYPICAL_DEVIATION`, `running_mean` the same with the mean of each frame and those before it (see
            `_running_mean`), `none` to leave the logarithms as they are. The last two depend on no later frames.
    """

    TYPICAL_DEVIATION = np.float32(3.0)
    """Approximate standard deviation of a band's log energies in speech, so that features have variance of about 1."""

    TYPICAL_MEAN = np.float32(-9.0)
    """About that of the log energies in speech."""

    WINDOW_S, TYPICAL_S = 6.0, 2.0
    """Of a running mean: over so many seconds; as long as there are fewer than the second, the rest is typical."""

    def __init__(
        self,
        sample_rate_hz: int,
        num_mels: int,
        window_s: float,
        hop_s: float,
        fft_size: int,
        floor: float,
        normalize: Literal["mean_variance", "mean", "running_mean", "none"],
    ):
        window, hop = round(window_s * sample_rate_hz), round(hop_s * sample_rate_hz)
        super().__init__(sample_rate_hz, num_mels, window, hop, fft_size)
        self.floor, self.normalize = floor, normalize

    def scaled(self, energies, mask, num_frames, past: Past | None):
        features = ops.log(energies + self.floor)
        if self.normalize == "none":
            return features
        if self.normalize == "running_mean":
            typical = (features - self.TYPICAL_MEAN) * mask
            return (typical - self._running_mean(typical, mask, past)) / self.TYPICAL_DEVIATION
        if self.normalize == "mean":
            return centred(features, num_frames) / self.TYPICAL_DEVIATION
        return standardized(features, num_frames, 1e-5)

    def _running_mean(self, frames, mask, past: Past | None):
        """Mean of each band over every frame and those before it in a window, (B, T, F).

        At the beginning, frames that are not there yet count as zeros, so that the first ones are not all zero.

        Reference: Povey et al. 2011, "The Kaldi speech recognition toolkit"; `OnlineCmvn` of its code, with its
        defaults. We differ in a constant in place of the mean of a training set.
        """
        window, typical = (
            round(seconds * self.sample_rate_hz / self.hop) for seconds in (self.WINDOW_S, self.TYPICAL_S)
        )
        known = ops.concatenate([frames, mask], axis=2)
        known = zeros_before(known, window) if past is None else past.before(known, window, past.num_features)
        sums = ops.cumsum(known, axis=1)
        sums = sums[:, window:] - sums[:, :-window]
        return sums[:, :, :-1] / ops.maximum(sums[:, :, -1:], np.float32(typical))


def mel_filters(sample_rate_hz: int, num_mels: int, fft_size: int) -> np.ndarray:
    """Triangular filters over the bins of a Fourier transform, from 0 to half the sample rate: (bins, F) float32.

    Bands are of equal width below 1 kHz, and each has an area of 1 Hz (Slaney 1998, "Auditory Toolbox version 2",
    `mfcc`). They are those of `librosa.filters.mel`, which takes a second to import. Arguments: see `MelFeatures`.
    """
    edges_hz = np.array(band_edges_hz(sample_rate_hz, num_mels))
    bins_hz = np.fft.rfftfreq(fft_size, 1 / sample_rate_hz)[:, None]
    rising = (bins_hz - edges_hz[:-2]) / np.diff(edges_hz)[:-1]
    falling = (edges_hz[2:] - bins_hz) / np.diff(edges_hz)[1:]
    triangles = np.maximum(0.0, np.minimum(rising, falling)).astype("float32")  # rounded here as librosa does
    return (triangles * (2.0 / (edges_hz[2:] - edges_hz[:-2]))).astype("float32")


def frame_mask(num_frames, size):
    """(B,) true lengths -> (B, size) float32, 1 for true frames and 0 for padding."""
    return ops.cast(ops.arange(size)[None, :] < num_frames[:, None], "float32")


def centred(frames, num_frames):
    """(B, T, F) frames less the mean of each channel over the (B,) true ones, zero beyond these."""
    mask = frame_mask(num_frames, ops.shape(frames)[1])[:, :, None]
    return (frames - _mean(frames * mask, num_frames)) * mask


def standardized(frames, num_frames, epsilon: float):
    """As `centred`, and divided by the root of the variance and `epsilon`."""
    deviations = centred(frames, num_frames)
    return deviations * ops.rsqrt(_mean(deviations * deviations, num_frames) + np.float32(epsilon))


def _mean(frames, num_frames):
    """(B, 1, F), of frames that are zero beyond the true ones."""
    return ops.sum(frames, axis=1, keepdims=True) / ops.maximum(ops.cast(num_frames, "float32"), 1.0)[:, None, None]
