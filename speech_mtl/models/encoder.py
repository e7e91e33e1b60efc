"""Base classes of encoders, shared by all languages except for language-specific layers."""

from functools import partial
from typing import Any

import keras
from keras import ops

from speech_mtl.backend import recomputed
from speech_mtl.datatypes import TOP
from speech_mtl.models.features import frame_mask
from speech_mtl.models.heads import Part, named
from speech_mtl.models.language_layers import LanguageParts, PerLanguage
from speech_mtl.models.layers import ConvSubsampling, Dropout, FrameContext, Projection, Upsampling
from speech_mtl.models.past import Past


class Encoder(keras.layers.Layer):
    """Base of encoders: features -> frames at taps, the layers that heads can use."""

    max_frames: int | None = None
    """Encoder frames of the longest utterance that can be encoded; None: any."""

    chunk_size: int | None = None
    """Encoder frames of a chunk, if no frame depends on what comes after its own; None: on the whole utterance."""

    recompute: bool = False
    """Whether training keeps only what goes into each block, and computes the rest again for the gradient."""

    left_chunks: int = 0
    """Chunks before its own that a frame attends to."""

    upsampling: Upsampling | None = None
    """What makes several frames for heads of each of its own; None: they get these."""

    @property
    def widths(self) -> dict[str, int]:
        """Its taps, with the width D of the frames there; `top` is one of them."""
        raise NotImplementedError

    def num_frames(self, num_frames):
        """Encoder frames made of so many feature frames (an int or an array)."""
        raise NotImplementedError

    @property
    def frame_centres(self) -> tuple[float, int]:
        """Feature frame at which encoder frame 0 has its middle, and how many feature frames on each next one has."""
        raise NotImplementedError

    @property
    def last_layer(self) -> keras.layers.Layer:
        """The last layer that all targets share, for methods that use the gradients there.

        Raises:
            ValueError: Nothing is shared.
        """
        raise NotImplementedError

    def depths(self) -> list[list[keras.Variable]]:
        """The weights that all targets share and that can be trained, from the bottom to the top."""
        raise NotImplementedError

    @property
    def shared_weights(self) -> list[keras.Variable]:
        """All of `depths`."""
        return [variable for depth in self.depths() for variable in depth]

    def weights_of(self, _language: str) -> list[keras.Variable]:
        """Weights of language-specific layers."""
        return []

    def keep_only(self, language: str) -> None:
        """Runs nothing that other languages have for themselves: every utterance is taken for one of this language."""

    def weights_by_part(self) -> dict[str, Part]:
        """Weights by part; see `MultilingualModel.parts`."""
        raise NotImplementedError

    def call(self, features, num_frames, language_ids=None, training=False, taps=(TOP,), past: Past | None = None):
        """(B, T, F) features, (B,) true lengths, (B,) languages -> (B, E, D) frames by tap, (B,) their true number.

        Languages may be None where everything is shared. What lies above the highest tap is not run. With a `past`, the
        features are those of whole chunks of a stream, as many in each call.
        """
        raise NotImplementedError


class BlockEncoder(Encoder):
    """Subsampling over time, and blocks one above the other; each block is a tap, `block_0` the lowest.

    Args:
        dim: D, width of the encoder frames.
        channels: Width of the convolutional subsampling; 0: frames are projected, and none is left out.
        dropout: Fraction of activations dropped in training.
        random: Generator of the dropout; shared with the rest of the network, and saved with a run.
        parts: Makes what each language has for itself; nothing if None.
        upsampling: How many frames heads get of each of its own.
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
        upsampling: int = 1,
    ):
        super().__init__(name=name)
        self.dim = dim
        self.parts = parts or LanguageParts()
        self.dropout = Dropout(dropout, random or keras.random.SeedGenerator(0))
        self.channels = channels
        self.subsampling = self.parts.subsampling(self.make_subsampling)
        self.blocks = [self.parts.block(i, num_layers, partial(self.make_block, i)) for i in range(num_layers)]
        self.adapters = self.parts.adapters(dim, num_layers)
        self.upsampling = Upsampling(dim, upsampling) if upsampling > 1 else None

    def make_subsampling(self, name: str) -> Any:
        """Makes the layer from features to encoder frames; it has `num_frames`, `centres` and a `last_layer`.

        That is the last of its layers that has weights of some size.
        """
        return ConvSubsampling(self.dim, self.channels, name) if self.channels else Projection(self.dim, name)

    def make_block(self, number: int, name: str) -> keras.layers.Layer:
        """Makes a block, (B * E, D) -> (B * E, D), with a `last_layer`; `number` counts from the bottom."""
        raise NotImplementedError

    def num_frames(self, num_frames):
        return self.subsampling.num_frames(num_frames)

    @property
    def heights(self) -> dict[str, int]:
        """By tap, the number of the block that its frames come from."""
        return {f"block_{i}": i for i in range(len(self.blocks))} | {TOP: len(self.blocks) - 1}

    @property
    def widths(self) -> dict[str, int]:
        return dict.fromkeys(self.heights, self.dim)

    @property
    def frame_centres(self) -> tuple[float, int]:
        return self.subsampling.centres

    @property
    def layers_upwards(self) -> list[keras.layers.Layer]:
        """Its layers from the bottom to the top, without adapters and LoRA deltas."""
        return [self.subsampling, *self.blocks, *([self.upsampling] if self.upsampling else [])]

    @property
    def last_layer(self) -> keras.layers.Layer:
        shared: list[Any] = [layer for layer in self.layers_upwards if not isinstance(layer, PerLanguage)]
        if not shared:
            raise ValueError("The languages share no layer")
        return shared[-1].last_layer

    @property
    def shared_weights(self) -> list[keras.Variable]:
        own = {id(variable) for layer in self.parts.made for variable in layer.trainable_variables}
        return [variable for variable in self.trainable_variables if id(variable) not in own]

    def weights_of(self, language: str) -> list[keras.Variable]:
        return self.parts.weights_of(language)

    def keep_only(self, language: str) -> None:
        for layer in self.parts.made:
            layer.keep_only(language)

    def weights_by_part(self) -> dict[str, Part]:
        upsampling = [] if self.upsampling is None else self.upsampling.trainable_variables
        shared = [one for one in self.shared_weights if all(one is not other for other in upsampling)]
        own = {f"own/{language}": self.weights_of(language) for language in self.parts.languages}
        parts = {"encoder": shared, "upsampling": upsampling, **own}
        return {name: named(part, self) for name, part in parts.items() if part}

    def depths(self) -> list[list[keras.Variable]]:
        shared = {id(variable) for variable in self.shared_weights}
        layers = [layer.trainable_variables for layer in self.layers_upwards]
        return [[variable for variable in layer if id(variable) in shared] for layer in layers]

    def build(self, shape):
        self.subsampling.build(shape)
        for layer in (*self.layers_upwards[1:], *self.adapters):
            layer.build((None, self.dim))

    def context(self, mask, language_ids=None, past: Past | None = None) -> FrameContext:  # noqa: ARG002
        """Makes the blocks' context of a batch; `mask` (B, E) is 1 for true frames, 0 for padding."""
        return FrameContext(mask, language_ids=language_ids)

    def call(self, features, num_frames, language_ids=None, training=False, taps=(TOP,), past: Past | None = None):
        hidden = self.dropout(self.subsampled(features, num_frames, language_ids), training=training)
        num_frames = ops.maximum(self.num_frames(num_frames), 0)
        size = ops.shape(hidden)[1]
        context = self.context(frame_mask(num_frames, size), language_ids, past)
        streamed = {} if past is None else {"past": past}  # no argument of blocks of encoders without chunks
        hidden, found = ops.reshape(hidden, (-1, self.dim)), []
        for i, block in enumerate(self.blocks[: 1 + max(self.heights[tap] for tap in taps)]):
            run = partial(block, training=training, **streamed)
            hidden = (recomputed(run, self.dropout.seed) if training and self.recompute else run)(hidden, context)
            if self.adapters:
                hidden = self.adapters[i](hidden, context)
            found.append(hidden)
        return {tap: ops.reshape(found[self.heights[tap]], (-1, size, self.dim)) for tap in taps}, num_frames

    def subsampled(self, features, num_frames, language_ids):
        """(B, T, F) features and (B,) true lengths -> (B, E, D), before any block."""
        if isinstance(self.subsampling, PerLanguage):
            return self.subsampling(features, num_frames, language_ids)
        return self.subsampling(features, num_frames)
