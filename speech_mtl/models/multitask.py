"""THE ARCHITECTURE: what all languages share, and what each has for itself.

waveform -> log-mel -> SpecAugment -> encoder -> the output layer of the utterance's language -> logits
|____________________ shared by all languages ________|
"""

import keras

from speech_mtl.datatypes import Logits
from speech_mtl.models.augment import SpecAugment
from speech_mtl.models.features import LogMel
from speech_mtl.models.heads import LanguageHeads


class MultilingualModel(keras.Model):
    """One shared acoustic encoder that feeds a separate output layer for each language.

    Reference: Huang et al. 2013, "Cross-language knowledge transfer using multilingual deep neural network with shared
    hidden layers", figure 1.

    Args:
        features: Waveforms -> features.
        augment: Hides parts of the features in training.
        encoder: Features -> encoder frames.
        heads: Encoder frames -> logits.
        random: The generator that `augment` and `encoder` draw from.
    """

    def __init__(
        self,
        features: LogMel,
        augment: SpecAugment,
        encoder: keras.layers.Layer,
        heads: LanguageHeads,
        random: keras.random.SeedGenerator,
    ):
        super().__init__(name="model")
        self.features = features
        self.augment = augment
        self.encoder = encoder
        self.heads = heads
        self.random = random
        encoder.build((None, None, features.num_mels))
        heads.build()
        self.built = True

    @property
    def languages(self) -> tuple[str, ...]:
        """The languages that have an output layer, in the order of `language_ids`."""
        return self.heads.languages

    def num_encoder_frames(self, num_samples):
        """Encoder frames made of so many samples (an int or an array)."""
        return self.encoder.num_frames(self.features.num_frames(num_samples))

    def call(self, waveforms, num_samples, language_ids, training=False):
        """(B, S) waveforms, (B,) true lengths and (B,) languages -> `Logits`, (B, E, V) and (B,)."""
        features, num_frames = self.features(waveforms, num_samples)
        features = self.augment(features, num_frames, training=training)
        frames, num_frames = self.encoder(features, num_frames, training=training)
        return Logits(self.heads(frames, language_ids), num_frames)
