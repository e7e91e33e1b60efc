"""Recurrent layers in both directions, and the encoder of them."""

from typing import ClassVar

import keras
from keras import ops

from speech_mtl.models.encoder import BlockEncoder
from speech_mtl.models.language_layers import LanguageParts
from speech_mtl.models.layers import Dropout, LayerNorm


class RecurrentBlock(keras.layers.Layer):
    """A recurrent layer in both directions; then layer normalisation.

    Args:
        cell: A Keras layer of half the width for one direction; the other gets a copy.
        dim: D, the width of both directions together.
        dropout: What is dropped of the inputs; None for nothing.
    """

    def __init__(self, cell: keras.layers.Layer, dim: int, dropout: Dropout | None, name: str):
        super().__init__(name=name)
        self.dim = dim
        self.dropout = dropout
        self.bidirectional = self.last_layer = keras.layers.Bidirectional(cell, name="bidirectional")
        self.norm = LayerNorm(name="norm")

    def build(self, _shape):
        self.bidirectional.build((None, None, self.dim))
        self.norm.build((None, self.dim))

    def call(self, inputs, context, training=False):
        hidden = self.dropout(inputs, training=training) if self.dropout else inputs
        hidden = ops.reshape(hidden, (-1, ops.shape(context.mask)[1], self.dim))
        hidden = self.bidirectional(hidden, mask=ops.cast(context.mask, "bool"), training=training)
        hidden = hidden * context.mask[:, :, None]  # the product carries no Keras mask, of which `norm` would warn
        return self.norm(ops.reshape(hidden, (-1, self.dim)))


class RecurrentEncoder(BlockEncoder):
    """Bidirectional LSTM or GRU layers over convolutional subsampling.

    Reference: Graves, Mohamed and Hinton 2013, "Speech recognition with deep recurrent neural networks", section 3.
    We differ in the convolutional subsampling in front and in layer normalisation between the layers.

    Args, besides those of `BlockEncoder`:
        dim: D, the width of both directions together: an even number.
        cell: `lstm` or `gru`.
    """

    CELLS: ClassVar = {"lstm": keras.layers.LSTM, "gru": keras.layers.GRU}

    def __init__(
        self,
        num_layers: int,
        dim: int,
        cell: str,
        channels: int,
        dropout: float,
        upsampling: int,
        random: keras.random.SeedGenerator | None = None,
        parts: LanguageParts | None = None,
        name: str = "encoder",
    ):
        self.cell = cell
        super().__init__(num_layers, dim, channels, dropout, random, parts, name, upsampling)

    def make_block(self, number: int, name: str) -> RecurrentBlock:
        cell = self.CELLS[self.cell](self.dim // 2, return_sequences=True, name=self.cell)
        # What comes from the subsampling has been dropped from already.
        return RecurrentBlock(cell, self.dim, self.dropout if number else None, name)
