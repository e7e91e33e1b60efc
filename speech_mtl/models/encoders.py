"""Encoders: (B, T, F) features -> (B, E, D) encoder frames. Shared by all languages.

To add one, write a class with `dim`, `num_frames`, `frame_centres`, `last_layer` and `call(features, num_frames,
training)`, enter it in `ENCODERS`, and give it a settings class of the same `kind` in `settings`. The conformance test
`tests/models/test_encoders.py` finds it by itself.
"""

from typing import ClassVar

import keras
import numpy as np
from keras import ops

from speech_mtl.models.features import frame_mask
from speech_mtl.models.layers import ConformerBlock, ConvSubsampling, Dropout, LayerNorm, rotary_angles


class Conformer(keras.layers.Layer):
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
        name: str = "encoder",
    ):
        super().__init__(name=name)
        self.dim = dim
        self.head_width = dim // num_heads
        self.dropout = Dropout(dropout, random or keras.random.SeedGenerator(0))
        self.subsampling = ConvSubsampling(dim, channels)
        self.blocks = [
            ConformerBlock(dim, num_heads, kernel_size, expansion, self.dropout, name=f"block_{i}")
            for i in range(num_layers)
        ]

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
        return self.blocks[-1].feed_forward_out

    def build(self, shape):
        self.subsampling.build(shape)
        for block in self.blocks:
            block.build((None, self.dim))
        self.built = True

    def call(self, features, num_frames, training=False):
        """(B, T, F) features and (B,) true lengths -> (B, E, D) encoder frames and (B,) their true number."""
        hidden = self.dropout(self.subsampling(features), training=training)
        num_frames = ops.maximum(self.num_frames(num_frames), 0)
        mask = frame_mask(num_frames, ops.shape(hidden)[1])
        attention_bias = (mask[:, None, None, :] - 1.0) * np.float32(1e9)
        size = ops.shape(hidden)[1]
        rotation = rotary_angles(size, self.head_width)
        hidden = ops.reshape(hidden, (-1, self.dim))
        for block in self.blocks:
            hidden = block(hidden, mask[:, :, None], attention_bias, rotation, training=training)
        return ops.reshape(hidden, (-1, size, self.dim)), num_frames


class RecurrentEncoder(keras.layers.Layer):
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
        name: str = "encoder",
    ):
        super().__init__(name=name)
        if dim % 2:
            raise ValueError(f"dim must be even, half of it for each direction. Received: dim={dim}")
        self.dim = dim
        self.dropout = Dropout(dropout, random or keras.random.SeedGenerator(0))
        self.subsampling = ConvSubsampling(dim, channels)
        self.layers = [
            keras.layers.Bidirectional(
                self.CELLS[cell](dim // 2, return_sequences=True, name=cell), name=f"bidirectional_{i}"
            )
            for i in range(num_layers)
        ]
        self.norms = [LayerNorm(name=f"norm_{i}") for i in range(num_layers)]

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
        return self.layers[-1]

    def build(self, shape):
        self.subsampling.build(shape)
        for layer in (*self.layers, *self.norms):
            layer.build((None, None, self.dim))
        self.built = True

    def call(self, features, num_frames, training=False):
        """(B, T, F) features and (B,) true lengths -> (B, E, D) encoder frames and (B,) their true number."""
        hidden = self.subsampling(features)
        num_frames = ops.maximum(self.num_frames(num_frames), 0)
        mask = frame_mask(num_frames, ops.shape(hidden)[1])
        for layer, norm in zip(self.layers, self.norms, strict=True):
            hidden = self.dropout(hidden, training=training)
            hidden = layer(hidden, mask=ops.cast(mask, "bool"), training=training)
            hidden = norm(hidden * mask[:, :, None])  # the product carries no Keras mask, of which `norm` would warn
        return hidden, num_frames


ENCODERS = {"conformer": Conformer, "recurrent": RecurrentEncoder}
"""Every encoder, by the `kind` that recipes name it with."""
