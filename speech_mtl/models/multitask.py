"""THE ARCHITECTURE: what all tasks share, and what each has for itself.

waveform -> log-mel -> SpecAugment -> encoder -+-> the output layer of the utterance's language -> logits of tokens
|____________________ shared by all tasks ____|+-> the head of each other task                  -> logits of labels
"""

from collections.abc import Mapping

import keras
import numpy as np

from speech_mtl.datatypes import Logits
from speech_mtl.models.augment import SpecAugment
from speech_mtl.models.encoder import Encoder, named
from speech_mtl.models.features import MelFeatures
from speech_mtl.models.heads import LanguageHeads
from speech_mtl.models.progressive import ProgressiveEncoder
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
        features: MelFeatures,
        augment: SpecAugment,
        encoder: Encoder | ProgressiveEncoder,
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

    @property
    def shared_weights(self) -> list[keras.Variable]:
        """Those of the encoder that all languages and tasks share, and that can be trained."""
        return self.encoder.shared_weights

    def parts(self) -> dict[str, dict[str, keras.Variable]]:
        """All weights: by the part of the network, which is also the name of its file, and by their name in it."""
        heads = {f"heads/{head.name}": head for head in self.heads.heads}
        heads |= {f"tasks/{head.name}": head for head in self.task_heads.heads}
        return self.encoder.weights_by_part() | {
            name: named(head.trainable_variables, head) for name, head in heads.items()
        }

    def weights_of(self, language: str) -> list[keras.Variable]:
        """What a language has for itself."""
        head = self.heads.heads[self.languages.index(language)]
        return [*self.encoder.weights_of(language), *head.trainable_variables]

    def depths(self) -> list[list[keras.Variable]]:
        """All weights that can be trained, by depth: shared layers from the bottom to the top, then all that is not."""
        own = [variable for language in self.languages for variable in self.weights_of(language)]
        return [*self.encoder.depths(), [*own, *self.task_heads.trainable_variables]]

    def column_of(self, language: str) -> int:
        """The column of a progressive network that a language was trained with; 0 for all of another network."""
        return self.encoder.column_of(language)

    def num_encoder_frames(self, num_samples):
        """Encoder frames made of so many samples (an int or an array)."""
        return self.encoder.num_frames(self.features.num_frames(num_samples))

    def frame_times_s(self, num_samples: int) -> np.ndarray:
        """(E,) seconds at which the encoder frames made of so many samples have their middle."""
        first, step = self.encoder.frame_centres
        return self.features.frame_time_s(first + step * np.arange(self.num_encoder_frames(num_samples)))

    def call(self, waveforms, num_samples, language_ids, training=False, column=None):
        """(B, S) waveforms, (B,) true lengths and (B,) languages -> `Logits`.

        `column` is that of the languages, where a progressive network has several; None: the last one.
        """
        features, num_frames = self.features(waveforms, num_samples)
        features = self.augment(features, num_frames, training=training)
        frames, num_frames = self.encoder(features, num_frames, language_ids, training=training, column=column)
        return Logits(self.heads(frames, language_ids), num_frames, self.task_heads(frames, num_frames))
