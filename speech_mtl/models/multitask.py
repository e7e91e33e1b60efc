"""THE ARCHITECTURE: what all tasks share, and what each has for itself.

waveform -> log-mel -> SpecAugment -> encoder -+-> the output layer of the utterance's language -> logits of tokens
|____________________ shared by all tasks ____|+-> the head of each other task                  -> logits of labels
"""

from collections.abc import Mapping

import keras
import numpy as np

from speech_mtl.datatypes import Logits
from speech_mtl.models.augment import SpecAugment
from speech_mtl.models.features import LogMel
from speech_mtl.models.heads import LanguageHeads
from speech_mtl.models.task_heads import TaskHead, TaskHeads


class MultilingualModel(keras.Model):
    """One shared acoustic encoder that feeds a separate output layer for each language, and a head for each other task.

    Reference: Huang et al. 2013, "Cross-language knowledge transfer using multilingual deep neural network with shared
    hidden layers", figure 1.

    Args:
        features: Waveforms -> features.
        augment: Hides parts of the features in training.
        encoder: Features -> encoder frames.
        heads: Encoder frames -> logits.
        random: The generator that `augment` and `encoder` draw from.
        task_heads: Encoder frames -> what is said of tasks besides transcripts, by task.
    """

    def __init__(
        self,
        features: LogMel,
        augment: SpecAugment,
        encoder: keras.layers.Layer,
        heads: LanguageHeads,
        random: keras.random.SeedGenerator,
        task_heads: Mapping[str, TaskHead] | None = None,
    ):
        super().__init__(name="model")
        self.features = features
        self.augment = augment
        self.encoder = encoder
        self.heads = heads
        self.task_heads = TaskHeads(task_heads or {})
        self.random = random
        encoder.build((None, None, features.num_mels))
        heads.build()
        self.task_heads.build()
        self.built = True

    @property
    def languages(self) -> tuple[str, ...]:
        """The languages that have an output layer, in the order of `language_ids`."""
        return self.heads.languages

    def parts(self) -> dict[str, dict[str, keras.Variable]]:
        """All weights: by the part of the network, which is also the name of its file, and by their name in it."""
        heads = {f"heads/{head.name}": weights_by_name(head) for head in self.heads.heads}
        tasks = {f"tasks/{head.name}": weights_by_name(head) for head in self.task_heads.heads}
        return {"encoder": weights_by_name(self.encoder), **heads, **tasks}

    def depths(self) -> list[list[keras.Variable]]:
        """All weights by depth: the encoder's layers from the bottom to the top, then what belongs to one task."""
        encoder = [layer.trainable_variables for layer in self.encoder.layers_upwards]
        return [*encoder, [*self.heads.trainable_variables, *self.task_heads.trainable_variables]]

    def num_encoder_frames(self, num_samples):
        """Encoder frames made of so many samples (an int or an array)."""
        return self.encoder.num_frames(self.features.num_frames(num_samples))

    def frame_times_s(self, num_samples: int) -> np.ndarray:
        """(E,) seconds at which the encoder frames made of so many samples have their middle."""
        first, step = self.encoder.frame_centres
        return self.features.frame_time_s(first + step * np.arange(self.num_encoder_frames(num_samples)))

    def call(self, waveforms, num_samples, language_ids, training=False):
        """(B, S) waveforms, (B,) true lengths and (B,) languages -> `Logits`."""
        features, num_frames = self.features(waveforms, num_samples)
        features = self.augment(features, num_frames, training=training)
        frames, num_frames = self.encoder(features, num_frames, training=training)
        return Logits(self.heads(frames, language_ids), num_frames, self.task_heads(frames, num_frames))


def weights_by_name(layer: keras.layers.Layer) -> dict[str, keras.Variable]:
    """A layer's weights by their path below it."""
    return {variable.path.removeprefix(f"{layer.path}/"): variable for variable in layer.trainable_variables}
