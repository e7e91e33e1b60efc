"""THE ARCHITECTURE: the shared encoder, and the heads of targets.

waveform -> log-mel -> SpecAugment -> encoder -+-> the output layer of the utterance's language -> logits of tokens
|___________________ shared by all targets ___|+-> the head of each other target                -> its outputs
"""

from bisect import bisect_left
from collections.abc import Collection, Mapping, Sequence
from contextlib import nullcontext
from typing import Any

import keras
import numpy as np

from speech_mtl.datatypes import TRANSCRIPT, Outputs
from speech_mtl.models.augment import SpecAugment
from speech_mtl.models.encoder import Encoder
from speech_mtl.models.features import Features
from speech_mtl.models.heads import Head
from speech_mtl.models.past import Past


class MultilingualModel(keras.Model):
    """One shared acoustic encoder that feeds a separate output layer for each language, and a head for each other task.

    Reference: Huang et al. 2013, "Cross-language knowledge transfer using multilingual deep neural network with shared
    hidden layers", figure 1.

    Heads may get several frames of each of the encoder's (`Encoder.upsampling`), which are what E counts: CTC outputs
    one token a frame at most, for which 40 ms are too long in fast speech. As many frames in the blocks would cost as
    many times the computation.

    Args:
        features: Waveforms -> features.
        augment: Hides parts of the features in training.
        encoder: Features -> encoder frames at its taps.
        heads: By target, encoder frames -> its outputs.
        random: The generator of `augment` and `encoder`.
        languages: In the order of `language_ids`.
    """

    def __init__(
        self,
        features: Features,
        augment: SpecAugment,
        encoder: Encoder,
        heads: Mapping[str, Head],
        random: keras.random.SeedGenerator,
        languages: Collection[str],
    ):
        super().__init__(name="model")
        self.features = features
        self.augment = augment
        self.encoder = encoder
        self.heads = dict(heads)
        self.random = random
        self.languages = tuple(languages)
        encoder.build((None, None, *features.frame_shape))
        for target, head in heads.items():  # their files lie in heads/ and tasks/
            with nullcontext() if target == TRANSCRIPT else keras.name_scope("tasks"):
                head.build(None)
        self.built = True

    @property
    def shared_weights(self) -> list[keras.Variable]:
        """Trainable weights of the encoder that all languages and tasks share."""
        return self.encoder.shared_weights

    def parts(self) -> dict[str, dict[str, keras.Variable]]:
        """All weights: by the part of the network, which is also the name of its file, and by their name in it."""
        heads = (head.parts() for head in self.heads.values())
        return {name: part for parts in (self.encoder.weights_by_part(), *heads) for name, part in parts.items()}

    def weights_of(self, language: str) -> list[keras.Variable]:
        """Weights of language-specific layers."""
        owners = [self.encoder, *self.heads.values()]
        return [variable for owner in owners for variable in owner.weights_of(language)]

    def depths(self) -> list[list[keras.Variable]]:
        """All weights that can be trained, by depth: shared layers from the bottom to the top, then all that is not."""
        own = [variable for language in self.languages for variable in self.encoder.weights_of(language)]
        return [*self.encoder.depths(), own + [v for head in self.heads.values() for v in head.trainable_variables]]

    def taps(self, languages: Collection[str], targets: Collection[str]) -> tuple[str, ...]:
        """The taps of the encoder that these targets need for utterances of these languages, sorted."""
        return tuple(sorted(set().union(*(self.heads[target].taps(languages) for target in targets))))

    def num_encoder_frames(self, num_samples):
        """Encoder frames made of so many samples (an int or an array)."""
        return self.encoder.num_frames(self.features.num_frames(num_samples)) * self._times

    @property
    def min_samples(self) -> int:
        """Samples of the shortest waveform that makes an encoder frame."""
        return bisect_left(range(10**6), 1, key=self.num_encoder_frames)

    @property
    def frame_centres(self) -> tuple[float, float]:
        """Feature frame at which encoder frame 0 has its middle, and how many feature frames on each next one has."""
        first, step = self.encoder.frame_centres
        return first - (step - step / self._times) / 2, step / self._times

    @property
    def _times(self) -> int:
        return 1 if self.encoder.upsampling is None else self.encoder.upsampling.times

    @property
    def frame_step_s(self) -> float:
        """Seconds from one encoder frame to the next."""
        return self.frame_centres[1] * self.features.hop / self.features.sample_rate_hz

    def frame_times_s(self, num_samples: int) -> np.ndarray:
        """(E,) seconds at which the encoder frames made of so many samples have their middle."""
        first, step = self.frame_centres
        return self.features.frame_time_s(first + step * np.arange(self.num_encoder_frames(num_samples)))

    def stretch(self) -> tuple[int, int]:
        """Samples of a stretch of a stream, which holds one chunk, and from its start to that of the next.

        Raises:
            ValueError: The encoder has no chunks.
        """
        if self.encoder.chunk_size is None:
            raise ValueError("The encoder has no chunks")
        first, step = self.encoder.frame_centres
        # The first window of encoder frame 0 is that of sample 0, and its reach on the other side is as far.
        num_features = (self.encoder.chunk_size - 1) * step + round(2 * first) + 1
        size = (num_features - 1) * self.features.hop + self.features.fft_size
        return size, self.encoder.chunk_size * step * self.features.hop

    def past(self, arrays: Sequence[Any] | None) -> Past:
        """The frames before a stretch of a stream, made of `Past.kept` of the one before it; None at the start."""
        size = self.encoder.chunk_size or 0
        return Past(arrays, size * self.encoder.frame_centres[1], size * self.encoder.left_chunks)

    def frames(self, features, num_frames, language_ids, taps, training=False, past: Past | None = None):
        """(B, T, F) features, (B,) true lengths, (B,) languages -> (B, E, D) frames by tap, (B,) their true number."""
        found, num_frames = self.encoder(features, num_frames, language_ids, training=training, taps=taps, past=past)
        upsampling = self.encoder.upsampling  # without a walrus, which AutoGraph cannot trace
        if upsampling is None:
            return found, num_frames
        return {tap: upsampling(frames) for tap, frames in found.items()}, num_frames * upsampling.times

    def call(
        self,
        waveforms,
        num_samples,
        language_ids,
        training=False,
        languages=None,
        targets=None,
        past: Past | None = None,
    ):
        """(B, S) waveforms, (B,) true lengths and (B,) languages -> `Outputs`.

        No more of the encoder is run than is asked for: by `languages`, those that the batch may have, and `targets`.
        None: all. With a `past`, the waveforms are a stretch of a stream; see `stretch`.
        """
        targets = tuple(self.heads) if targets is None else targets
        taps = self.taps(self.languages if languages is None else languages, targets)
        features, num_frames = self.features(waveforms, num_samples, past=past)
        features = self.augment(features, num_frames, training=training)
        frames, num_frames = self.frames(features, num_frames, language_ids, taps, training, past)
        return Outputs({name: self.heads[name](frames, num_frames, language_ids) for name in targets}, num_frames)


class SharedFrames(keras.Model):
    """The encoder frames of a network whose encoder has no language-specific layers, for the output layers of several
    languages.

    Args:
        model: The network, whose weights these are.
    """

    def __init__(self, model: MultilingualModel):
        super().__init__(name="frames")
        self.model, self.features, self.built = model, model.features, True

    def call(self, waveforms, num_samples, language_ids, training=False, languages=(), targets=()):
        """As `MultilingualModel.call`, but the values of `Outputs` are (B, E, D) frames by the taps that it needs."""
        taps = self.model.taps(languages, targets)
        features, num_frames = self.model.features(waveforms, num_samples)
        return Outputs(*self.model.frames(features, num_frames, language_ids, taps, training))
