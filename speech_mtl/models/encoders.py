"""Encoders: (B, T, F) features -> (B, E, D) encoder frames. Shared by all languages.

To add one, write a subclass of `BlockEncoder`, and a kind of `OneEncoderSettings` that names it.
"""

from typing import ClassVar

import keras
import numpy as np
from keras import ops

from speech_mtl.models.encoder import BlockEncoder
from speech_mtl.models.language_layers import LanguageParts
from speech_mtl.models.layers import (
    ConformerBlock,
    FrameContext,
    RecurrentBlock,
    rotary_angles,
)


class Conformer(BlockEncoder):
    """Convolution-augmented Transformer.

    Reference: Gulati et al. 2020, "Conformer: Convolution-augmented Transformer for Speech Recognition". For what we do
    differently see `RotaryAttention` and `ConvolutionModule`.

    Args:
        num_layers: Number of blocks.
        dim: D, width of the encoder frames.
        num_heads: Attention heads; `dim` must be a multiple of twice their number.
        kernel_size: Encoder frames (40 ms each) that the depthwise convolution sees.
        expansion: Width of the feed-forward modules, as a multiple of `dim`.
        channels: Width of the convolutional subsampling.
        dropout: Share of activations dropped in training.
        zero_branches: Whether the modules of a block add nothing at the start; see `ConformerBlock`.
        random: Where the dropout draws from; shared with the rest of the network, and saved with a run.
        parts: Makes what each language has for itself; nothing if None.
    """

    def __init__(
        self,
        num_layers: int,
        dim: int,
        num_heads: int,
        kernel_size: int,
        expansion: int,
        channels: int,
        dropout: float,
        zero_branches: bool,
        random: keras.random.SeedGenerator | None = None,
        parts: LanguageParts | None = None,
        name: str = "encoder",
    ):
        self.num_heads, self.kernel_size, self.expansion = num_heads, kernel_size, expansion
        self.zero_branches = zero_branches
        super().__init__(num_layers, dim, channels, dropout, random, parts, name)

    def make_block(self, number: int, name: str) -> ConformerBlock:  # noqa: ARG002
        return ConformerBlock(
            self.dim,
            self.num_heads,
            self.kernel_size,
            self.expansion,
            self.dropout,
            name,
            self.parts.low_rank,
            self.zero_branches,
        )

    def context(self, mask, language_ids=None) -> FrameContext:
        attention_bias = (mask[:, None, None, :] - 1.0) * np.float32(1e9)
        rotation = rotary_angles(ops.shape(mask)[1], self.dim // self.num_heads)
        return FrameContext(mask, attention_bias, rotation, language_ids)


class RecurrentEncoder(BlockEncoder):
    """Bidirectional LSTM or GRU layers over convolutional subsampling.

    Reference: Graves, Mohamed and Hinton 2013, "Speech recognition with deep recurrent neural networks", section 3.
    We differ in the convolutional subsampling in front and in layer normalisation between the layers.

    Args:
        num_layers: Number of bidirectional layers.
        dim: D, the width of both directions together.
        cell: `lstm` or `gru`.
        channels: Width of the convolutional subsampling.
        dropout: Share of activations dropped in training.
        random: Where the dropout draws from; shared with the rest of the network, and saved with a run.
        parts: Makes what each language has for itself; nothing if None.
    """

    CELLS: ClassVar = {"lstm": keras.layers.LSTM, "gru": keras.layers.GRU}

    def __init__(
        self,
        num_layers: int,
        dim: int,
        cell: str,
        channels: int,
        dropout: float,
        random: keras.random.SeedGenerator | None = None,
        parts: LanguageParts | None = None,
        name: str = "encoder",
    ):
        if dim % 2:
            raise ValueError(f"dim must be even, half of it for each direction. Received: dim={dim}")
        self.cell = cell
        super().__init__(num_layers, dim, channels, dropout, random, parts, name)

    def make_block(self, number: int, name: str) -> RecurrentBlock:
        cell = self.CELLS[self.cell](self.dim // 2, return_sequences=True, name=self.cell)
        # What comes from the subsampling has been dropped from already.
        return RecurrentBlock(cell, self.dim, self.dropout if number else None, name)
