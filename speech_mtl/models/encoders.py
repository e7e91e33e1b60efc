"""Encoders: (B, T, F) features -> (B, E, D) encoder frames. Shared by all languages.

To add one, write a subclass of `Encoder`, enter it in `ENCODERS`, and give it a settings class of the same `kind` in
`settings`. The conformance test `tests/models/test_encoders.py` finds it by itself.
"""

from collections.abc import Sequence
from typing import Any, ClassVar

import keras
import numpy as np
from keras import ops

from speech_mtl.models.features import frame_mask
from speech_mtl.models.layers import (
    ConformerBlock,
    ConvSubsampling,
    Dropout,
    FrameContext,
    RecurrentBlock,
    rotary_angles,
)


class Encoder(keras.layers.Layer):
    """What all encoders are: convolutional subsampling, and blocks one above the other.

    Args:
        dim: D, width of the encoder frames.
        channels: Width of the convolutional subsampling.
        dropout: Share of activations dropped in training.
        random: Where the dropout draws from; shared with the rest of the network, and saved with a run.
    """

    blocks: Sequence[Any]
    """From the bottom to the top; each takes and gives (B * E, D), and has a `last_layer`."""

    def __init__(
        self, dim: int, channels: int, dropout: float, random: keras.random.SeedGenerator | None, name: str = "encoder"
    ):
        super().__init__(name=name)
        self.dim = dim
        self.dropout = Dropout(dropout, random or keras.random.SeedGenerator(0))
        self.subsampling = ConvSubsampling(dim, channels)

    def num_frames(self, num_frames):
        """Encoder frames made of so many feature frames (an int or an array)."""
        return self.subsampling.num_frames(num_frames)

    @property
    def frame_centres(self) -> tuple[int, int]:
        """Feature frame at which encoder frame 0 has its middle, and how many feature frames on each next one has."""
        return self.subsampling.centres

    @property
    def last_layer(self) -> keras.layers.Layer:
        """The last of the layers that all tasks share, for methods that look at the gradients there."""
        return self.blocks[-1].last_layer

    @property
    def layers_upwards(self) -> list[keras.layers.Layer]:
        """What it is made of, from the bottom to the top."""
        return [self.subsampling, *self.blocks]

    def build(self, shape):
        self.subsampling.build(shape)
        for block in self.blocks:
            block.build((None, self.dim))
        self.built = True

    def context(self, mask) -> FrameContext:
        """What the blocks need to know of a batch; `mask` (B, E) is 1 for true frames, 0 for padding."""
        return FrameContext(mask)

    def call(self, features, num_frames, training=False):
        """(B, T, F) features and (B,) true lengths -> (B, E, D) encoder frames and (B,) their true number."""
        hidden = self.dropout(self.subsampling(features), training=training)
        num_frames = ops.maximum(self.num_frames(num_frames), 0)
        size = ops.shape(hidden)[1]
        context = self.context(frame_mask(num_frames, size))
        hidden = ops.reshape(hidden, (-1, self.dim))
        for block in self.blocks:
            hidden = block(hidden, context, training=training)
        return ops.reshape(hidden, (-1, size, self.dim)), num_frames


class Conformer(Encoder):
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
        random: Where the dropout draws from; shared with the rest of the network, and saved with a run.
    """

    def __init__(
        self,
        num_layers: int = 6,
        dim: int = 144,
        num_heads: int = 4,
        kernel_size: int = 15,
        expansion: int = 4,
        channels: int = 16,
        dropout: float = 0.1,
        random: keras.random.SeedGenerator | None = None,
    ):
        super().__init__(dim, channels, dropout, random)
        self.head_width = dim // num_heads
        self.blocks = [
            ConformerBlock(dim, num_heads, kernel_size, expansion, self.dropout, name=f"block_{i}")
            for i in range(num_layers)
        ]

    def context(self, mask) -> FrameContext:
        attention_bias = (mask[:, None, None, :] - 1.0) * np.float32(1e9)
        return FrameContext(mask, attention_bias, rotary_angles(ops.shape(mask)[1], self.head_width))


class RecurrentEncoder(Encoder):
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
    """

    CELLS: ClassVar = {"lstm": keras.layers.LSTM, "gru": keras.layers.GRU}

    def __init__(
        self,
        num_layers: int = 3,
        dim: int = 256,
        cell: str = "lstm",
        channels: int = 16,
        dropout: float = 0.1,
        random: keras.random.SeedGenerator | None = None,
    ):
        super().__init__(dim, channels, dropout, random)
        if dim % 2:
            raise ValueError(f"dim must be even, half of it for each direction. Received: dim={dim}")
        self.blocks = [
            RecurrentBlock(
                self.CELLS[cell](dim // 2, return_sequences=True, name=cell),
                dim,
                self.dropout if i else None,  # what comes from below has been dropped from already
                name=f"block_{i}",
            )
            for i in range(num_layers)
        ]


ENCODERS = {"conformer": Conformer, "recurrent": RecurrentEncoder}
"""Every encoder, by the `kind` that recipes name it with."""
