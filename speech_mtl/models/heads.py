"""One output layer per language, at a cost that does not grow with the number of languages."""

from collections.abc import Mapping

import keras
import numpy as np
from keras import ops

FORBIDDEN = np.float32(-1e9)
"""Logit of a token beyond an utterance's own vocabulary."""


class Head(keras.layers.Layer):
    """The output layer of one language: D -> V logits. Its weights are (V, D) and (V,)."""

    def __init__(self, dim: int, num_tokens: int, name: str):
        super().__init__(name=name)
        self.dim = dim
        self.num_tokens = num_tokens

    def build(self, _shape=None):
        self.kernel = self.add_weight(shape=(self.num_tokens, self.dim), initializer="glorot_uniform", name="kernel")
        self.bias = self.add_weight(shape=(self.num_tokens,), initializer="zeros", name="bias")
        self.built = True


class LanguageHeads(keras.layers.Layer):
    """Multiplies every encoder frame by the output layer of its own utterance's language, and by no other.

    The rows of all heads are laid end to end, and each utterance gathers the rows of its language: the cost is that of
    B matrix products with the largest vocabulary, whatever the number of languages.

    Reference: Huang et al. 2013, "Cross-language knowledge transfer using multilingual deep neural network with shared
    hidden layers", section 2. We differ in CTC tokens instead of senones, and in batches that mix languages.

    Args:
        dim: D, width of the encoder frames; by language where they differ.
        num_tokens: Size of the vocabulary of each language, blank included. Its order is that of `language_ids`.
    """

    def __init__(self, dim: int | Mapping[str, int], num_tokens: Mapping[str, int], name: str = "heads"):
        super().__init__(name=name)
        self.languages = tuple(num_tokens)
        dims = dict.fromkeys(num_tokens, dim) if isinstance(dim, int) else dim
        self.heads = [Head(dims[language], size, language) for language, size in num_tokens.items()]
        sizes = np.array(list(num_tokens.values()))
        starts = np.concatenate([[0], np.cumsum(sizes)[:-1]])
        columns = np.arange(sizes.max())
        # (L, V): which row of the heads laid end to end is token v of language l; and whether there is such a token.
        self.rows = (starts[:, None] + np.minimum(columns[None, :], sizes[:, None] - 1)).astype("int32")
        self.offsets = np.where(columns[None, :] < sizes[:, None], np.float32(0), FORBIDDEN).astype("float32")

    def build(self, _shape=None):
        for head in self.heads:
            head.build()
        self.built = True

    def call(self, frames, language_ids):
        """(B, E, D) encoder frames and (B,) languages -> (B, E, V) logits, -1e9 for tokens the language has not."""
        kernels = ops.concatenate([_fitted(head.kernel.value, frames.shape[-1]) for head in self.heads], axis=0)
        biases = ops.concatenate([head.bias for head in self.heads], axis=0)
        rows = ops.take(self.rows, language_ids, axis=0)
        offsets = ops.take(self.offsets, language_ids, axis=0) + ops.take(biases, rows, axis=0)
        kernels = ops.transpose(ops.take(kernels, rows, axis=0), (0, 2, 1))
        return ops.matmul(frames, kernels) + offsets[:, None, :]


def _fitted(kernel, dim: int):
    """A head's weights for frames of width `dim`. A head for frames of another width is not one of this batch's."""
    width = kernel.shape[-1]
    return kernel if width == dim else ops.pad(kernel[:, :dim], ((0, 0), (0, max(0, dim - width))))
