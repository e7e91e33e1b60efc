"""Encoders: (B, T, F) features -> (B, E, D) encoder frames. Shared by all languages.

To add one, write a subclass of `Encoder`, enter it in `ENCODERS`, and give it a settings class of the same `kind` in
`settings`. The conformance test `tests/models/test_encoders.py` finds it by itself.
"""

from collections.abc import Iterable
from functools import partial
from typing import Any, ClassVar

import keras
import numpy as np
from keras import ops

from speech_mtl.models.features import frame_mask
from speech_mtl.models.language_layers import LanguageParts, PerLanguage
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
        num_layers: Number of blocks.
        dim: D, width of the encoder frames.
        channels: Width of the convolutional subsampling.
        dropout: Share of activations dropped in training.
        random: Where the dropout draws from; shared with the rest of the network, and saved with a run.
        parts: Makes what each language has for itself; nothing if None.
    """

    def __init__(
        self,
        num_layers: int,
        dim: int,
        channels: int,
        dropout: float,
        random: keras.random.SeedGenerator | None,
        parts: LanguageParts | None,
        name: str,
    ):
        super().__init__(name=name)
        self.dim = dim
        self.parts = parts or LanguageParts()
        self.dropout = Dropout(dropout, random or keras.random.SeedGenerator(0))
        self.subsampling = self.parts.subsampling(lambda name: ConvSubsampling(dim, channels, name))
        self.blocks = [self.parts.block(i, num_layers, partial(self.make_block, i)) for i in range(num_layers)]
        self.adapters = self.parts.adapters(dim, num_layers)

    def make_block(self, number: int, name: str) -> keras.layers.Layer:
        """A block, which takes and gives (B * E, D), and has a `last_layer`; `number` counts from the bottom."""
        raise NotImplementedError

    def num_frames(self, num_frames):
        """Encoder frames made of so many feature frames (an int or an array)."""
        return self.subsampling.num_frames(num_frames)

    @property
    def frame_centres(self) -> tuple[int, int]:
        """Feature frame at which encoder frame 0 has its middle, and how many feature frames on each next one has."""
        return self.subsampling.centres

    @property
    def layers_upwards(self) -> list[keras.layers.Layer]:
        """What it is made of, from the bottom to the top, without what is added to that."""
        return [self.subsampling, *self.blocks]

    @property
    def last_layer(self) -> keras.layers.Layer:
        """The last of the layers that all tasks share, for methods that look at the gradients there.

        Raises:
            ValueError: Nothing is shared.
        """
        shared: list[Any] = [layer for layer in self.layers_upwards if not isinstance(layer, PerLanguage)]
        if not shared:
            raise ValueError("The languages share no layer")
        return shared[-1].last_layer

    @property
    def shared_weights(self) -> list[keras.Variable]:
        """Those that all languages and tasks share."""
        own = {id(variable) for layer in self.parts.made for variable in layer.trainable_variables}
        return [variable for variable in self.trainable_variables if id(variable) not in own]

    def weights_of(self, language: str) -> list[keras.Variable]:
        """What a language has for itself."""
        return self.parts.weights_of(language)

    def weights_by_part(self) -> dict[str, dict[str, keras.Variable]]:
        """See `MultilingualModel.parts`."""
        own = {f"own/{language}": self.weights_of(language) for language in self.parts.languages}
        return {name: named(part, self) for name, part in {"encoder": self.shared_weights, **own}.items() if part}

    def depths(self) -> list[list[keras.Variable]]:
        """The shared weights from the bottom to the top."""
        shared = {id(variable) for variable in self.shared_weights}
        layers = [layer.trainable_variables for layer in self.layers_upwards]
        return [[variable for variable in layer if id(variable) in shared] for layer in layers]

    def dim_of(self, _language: str) -> int:
        """Width of the encoder frames that a language is recognised from."""
        return self.dim

    def column_of(self, _language: str) -> int:
        """The column that a language was trained with; see `progressive`."""
        return 0

    def build(self, shape):
        self.subsampling.build(shape)
        for layer in (*self.blocks, *self.adapters):
            layer.build((None, self.dim))
        self.built = True

    def context(self, mask, language_ids=None) -> FrameContext:
        """What the blocks need to know of a batch; `mask` (B, E) is 1 for true frames, 0 for padding."""
        return FrameContext(mask, language_ids=language_ids)

    def call(self, features, num_frames, language_ids=None, training=False, column=None):  # noqa: ARG002
        """(B, T, F) features, (B,) true lengths, (B,) languages -> (B, E, D) encoder frames, (B,) their true number.

        Languages may be None where everything is shared; there is one `column` only.
        """
        hidden = self.dropout(self.subsampled(features, language_ids), training=training)
        num_frames = ops.maximum(self.num_frames(num_frames), 0)
        size = ops.shape(hidden)[1]
        context = self.context(frame_mask(num_frames, size), language_ids)
        hidden = ops.reshape(hidden, (-1, self.dim))
        for i, block in enumerate(self.blocks):
            hidden = block(hidden, context, training=training)
            if self.adapters:
                hidden = self.adapters[i](hidden, context)
        return ops.reshape(hidden, (-1, size, self.dim)), num_frames

    def subsampled(self, features, language_ids):
        """(B, T, F) features -> (B, E, D), before any block."""
        if isinstance(self.subsampling, PerLanguage):
            return self.subsampling(features, language_ids)
        return self.subsampling(features)


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
        parts: Makes what each language has for itself; nothing if None.
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
        parts: LanguageParts | None = None,
        name: str = "encoder",
    ):
        self.num_heads, self.kernel_size, self.expansion = num_heads, kernel_size, expansion
        super().__init__(num_layers, dim, channels, dropout, random, parts, name)

    def make_block(self, number: int, name: str) -> ConformerBlock:  # noqa: ARG002
        return ConformerBlock(
            self.dim, self.num_heads, self.kernel_size, self.expansion, self.dropout, name, self.parts.low_rank
        )

    def context(self, mask, language_ids=None) -> FrameContext:
        attention_bias = (mask[:, None, None, :] - 1.0) * np.float32(1e9)
        rotation = rotary_angles(ops.shape(mask)[1], self.dim // self.num_heads)
        return FrameContext(mask, attention_bias, rotation, language_ids)


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
        parts: Makes what each language has for itself; nothing if None.
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


ENCODERS = {"conformer": Conformer, "recurrent": RecurrentEncoder}
"""Every encoder, by the `kind` that recipes name it with."""


def named(variables: Iterable[keras.Variable], layer: keras.layers.Layer) -> dict[str, keras.Variable]:
    """Weights by their path below a layer."""
    return {variable.path.removeprefix(f"{layer.path}/"): variable for variable in variables}
