"""Heads: encoder frames -> outputs for tokens, for the utterance, or for every frame."""

from collections.abc import Iterable, Mapping, Sequence

import keras
import numpy as np
from keras import ops

from speech_mtl.models.features import frame_mask

FORBIDDEN = np.float32(-1e9)
"""Logit of a token beyond an utterance's own vocabulary."""

Part = dict[str, keras.Variable]
"""Weights by their name in a file."""


def named(variables: Iterable[keras.Variable], layer: keras.layers.Layer) -> Part:
    """Weights by their path below a layer."""
    return {variable.path.removeprefix(f"{layer.path}/"): variable for variable in variables}


class Head(keras.layers.Layer):
    """Base of heads: (frames by tap of the encoder, num_frames, language_ids) -> outputs."""

    def taps(self, languages: Iterable[str]) -> set[str]:
        """The taps that it needs for utterances of these languages."""
        raise NotImplementedError

    def weights_of(self, _language: str) -> list[keras.Variable]:
        """Weights of language-specific layers."""
        return []

    def parts(self) -> dict[str, Part]:
        """Its weights by the name of their file."""
        return {self.path: named(self.trainable_variables, self)}


class OutputLayer(keras.layers.Layer):
    """D -> V logits. Its weights are (V, D) and (V,)."""

    def __init__(self, dim: int, num_tokens: int, name: str):
        super().__init__(name=name)
        self.dim = dim
        self.num_tokens = num_tokens

    def build(self, _shape=None):
        self.kernel = self.add_weight(shape=(self.num_tokens, self.dim), initializer="glorot_uniform", name="kernel")
        self.bias = self.add_weight(shape=(self.num_tokens,), initializer="zeros", name="bias")


class LanguageHeads(Head):
    """Multiplies every encoder frame by the output layer of its own utterance's language, and by no other.

    The rows of all output layers are laid end to end, and each utterance gathers the rows of its language: the cost is
    that of B matrix products with the largest vocabulary, whatever the number of languages.

    Reference: Huang et al. 2013, "Cross-language knowledge transfer using multilingual deep neural network with shared
    hidden layers", section 2. We differ in CTC tokens instead of senones, and in batches that mix languages.

    Args:
        languages: In the order of `language_ids`.
        num_tokens: By output layer, the size of its vocabulary, blank included.
        layer_of: By language, its output layer; several may share one. What the outputs of others are has no meaning.
        tap_of: By output layer, where in the encoder it is. Those of one batch must be at one tap.
        widths: By tap, the width D of its frames.
    """

    def __init__(
        self,
        languages: Sequence[str],
        num_tokens: Mapping[str, int],
        layer_of: Mapping[str, str],
        tap_of: Mapping[str, str],
        widths: Mapping[str, int],
        name: str = "heads",
    ):
        super().__init__(name=name)
        self.layer_of, self.tap_of = dict(layer_of), dict(tap_of)
        self.output_layers = {one: OutputLayer(widths[tap_of[one]], size, one) for one, size in num_tokens.items()}
        tokens = np.arange(max(num_tokens.values()))
        self.rows, self.offsets = {}, {}
        for tap in dict.fromkeys(tap_of[one] for one in num_tokens):
            own = self.at(tap)
            sizes = np.array([one.num_tokens for one in own])
            starts = np.cumsum(sizes) - sizes
            names = [one.name for one in own]
            places = [names.index(one) if (one := self.layer_of.get(name)) in names else 0 for name in languages]
            # (L, V): which of the rows laid end to end is token v of language l; and whether there is such a token.
            ends = np.minimum(tokens, sizes[places, None] - 1)
            self.rows[tap] = (starts[places, None] + ends).astype("int32")
            self.offsets[tap] = np.where(tokens < sizes[places, None], np.float32(0), FORBIDDEN).astype("float32")

    def at(self, tap: str) -> list[OutputLayer]:
        """The output layers at a tap."""
        return [layer for name, layer in self.output_layers.items() if self.tap_of[name] == tap]

    def build(self, _shape=None):
        for layer in self.output_layers.values():
            layer.build()

    def taps(self, languages: Iterable[str]) -> set[str]:
        return {self.tap_of[self.layer_of[language]] for language in languages if language in self.layer_of}

    def weights_of(self, language: str) -> list[keras.Variable]:
        own = self.output_layers.get(language)
        return own.trainable_variables if own is not None and self.layer_of.get(language) == language else []

    def parts(self) -> dict[str, Part]:
        return {layer.path: named(layer.trainable_variables, layer) for layer in self.output_layers.values()}

    def of(self, language: str) -> tuple[str, OutputLayer]:
        """The output layer of a language, and its tap."""
        name = self.layer_of[language]
        return self.tap_of[name], self.output_layers[name]

    def of_one(self, frames, language: str):
        """(B, E, D) frames by tap -> (B, E, V) logits of a language that all utterances have, and of no other."""
        return self._of_layer(frames, self.of(language)[1])

    def call(self, frames, _num_frames, language_ids):
        """(B, E, D) frames by tap and (B,) languages -> (B, E, V) logits, -1e9 for tokens the language has not."""
        taps = [tap for tap in self.rows if tap in frames]
        if len(taps) != 1:
            raise ValueError(f"The languages of a batch must be at one tap of the encoder. Received: {taps}")
        layers = self.at(taps[0])
        if len(self.output_layers) == 1:  # that of all languages: one product costs less than one an utterance
            return self._of_layer(frames, layers[0])
        kernels = ops.concatenate([layer.kernel.value for layer in layers], axis=0)
        biases = ops.concatenate([layer.bias for layer in layers], axis=0)
        rows = ops.take(self.rows[taps[0]], language_ids, axis=0)
        offsets = ops.take(self.offsets[taps[0]], language_ids, axis=0) + ops.take(biases, rows, axis=0)
        kernels = ops.transpose(ops.take(kernels, rows, axis=0), (0, 2, 1))
        return ops.matmul(frames[taps[0]], kernels) + offsets[:, None, :]

    def _of_layer(self, frames, layer: OutputLayer):
        return ops.matmul(frames[self.tap_of[layer.name]], ops.transpose(layer.kernel.value)) + layer.bias


class MeanPooling(keras.layers.Layer):
    """The mean of the true frames: (B, E, D) -> (B, D)."""

    def call(self, frames, num_frames):
        mask = frame_mask(num_frames, ops.shape(frames)[1])[:, :, None]
        return ops.sum(frames * mask, axis=1) / ops.maximum(ops.sum(mask, axis=1), 1.0)


class AttentionPooling(keras.layers.Layer):
    """The mean of the true frames, weighted by attention to a learned query: (B, E, D) -> (B, D).

    Reference: Safari, India and Hernando 2020, "Self-attention encoding and pooling for speaker recognition", section
    2.2. We start from a query of zeros, which is the plain mean.
    """

    def build(self, shape):
        self.query = self.add_weight(shape=(shape[-1],), initializer="zeros", name="question")

    def call(self, frames, num_frames):
        mask = frame_mask(num_frames, ops.shape(frames)[1])
        scores = ops.sum(frames * self.query, axis=-1) + (mask - 1.0) * 1e9
        weights = ops.softmax(scores, axis=-1) * mask  # a row that is padding has no true frame
        return ops.sum(frames * weights[:, :, None], axis=1)


POOLINGS = {"attention": AttentionPooling, "mean": MeanPooling}
"""How the frames of an utterance become one, by the name that recipes use."""


class PooledHead(Head):
    """Pooling, for a target of whole utterances, and an output layer.

    Args:
        tap: Where in the encoder it is.
        dim: D, width of the encoder frames there.
        num_outputs: K.
        pooling: One of `POOLINGS`; None for a target over frames.
        name: Of the target.
    """

    def __init__(self, tap: str, dim: int, num_outputs: int, pooling: str | None, name: str):
        super().__init__(name=name)
        self.tap, self.dim = tap, dim
        self.pooling = None if pooling is None else POOLINGS[pooling](name="pooling")
        self.output_layer = keras.layers.Dense(num_outputs, name="output")

    def taps(self, languages: Iterable[str]) -> set[str]:  # noqa: ARG002
        return {self.tap}

    def build(self, _shape=None):
        if self.pooling is not None:
            self.pooling.build((None, None, self.dim))
        self.output_layer.build((None, self.dim))

    def call(self, frames, num_frames, _language_ids):
        """(B, E, D) frames by tap and (B,) their true number -> (B, K), or (B, E, K) without pooling."""
        own = frames[self.tap]
        if self.pooling is None:
            size = ops.shape(own)[1]
            flat = self.output_layer(ops.reshape(own, (-1, self.dim)))
            return ops.reshape(flat, (-1, size, self.output_layer.units))
        return self.output_layer(self.pooling(own, num_frames))
