"""SpecAugment: hides stretches of time and bands of frequency in training."""

import keras
from keras import ops


class SpecAugment(keras.layers.Layer):
    """Sets random bands of frames and of mel channels to zero, the mean of normalised features.

    Reference: Park et al. 2019, "SpecAugment", section 2. We differ in leaving out time warping, and in bounding the
    width of a time mask by a fraction of the utterance (Park et al. 2020, "SpecAugment on large scale datasets").

    Args:
        num_time_masks, num_frequency_masks: Masks per utterance.
        max_time_share: Largest width of a time mask, as a fraction of the utterance's frames.
        max_mels: Largest width of a frequency mask, in mel channels.
        random: Generator of the masks.
    """

    def __init__(
        self,
        num_time_masks: int,
        max_time_share: float,
        num_frequency_masks: int,
        max_mels: int,
        random: keras.random.SeedGenerator | None = None,
    ):
        super().__init__(name="spec_augment", trainable=False)
        self.num_time_masks, self.max_time_share = num_time_masks, max_time_share
        self.num_frequency_masks, self.max_mels = num_frequency_masks, max_mels
        self.random = random or keras.random.SeedGenerator(0)
        self.built = True

    def call(self, features, num_frames, training=False):
        """(B, T, F) features and (B,) true lengths -> (B, T, F)."""
        if not training or self.num_time_masks + self.num_frequency_masks == 0:
            return features
        frames = ops.cast(num_frames, "float32")[:, None]
        keep = 1.0
        if self.num_time_masks:
            keep = self._keep(features, 1, self.num_time_masks, frames, frames * self.max_time_share)[:, :, None]
        if self.num_frequency_masks:
            size = float(features.shape[2])
            keep = keep * self._keep(features, 2, self.num_frequency_masks, size, float(self.max_mels))[:, None, :]
        return features * keep

    def _keep(self, features, axis: int, num_masks: int, length, max_width):
        """(B, size of axis): 0 where a mask lies, 1 elsewhere. Masks start in [0, length - width]."""
        shape = ops.shape(features)
        draws = keras.random.uniform((2, shape[0], num_masks), seed=self.random)
        widths = ops.floor(draws[0] * (ops.floor(max_width) + 1.0))
        starts = ops.floor(draws[1] * (ops.maximum(length - widths, 0.0) + 1.0))
        ends = starts + widths
        positions = ops.cast(ops.arange(shape[axis]), "float32")[None, :, None]
        hidden = ops.logical_and(positions >= starts[:, None, :], positions < ends[:, None, :])
        return 1.0 - ops.cast(ops.any(hidden, axis=2), "float32")
