"""The Conformer: feed-forward, attention and convolution modules, blocks of them, and the encoder."""

import keras
import numpy as np
from keras import ops

from speech_mtl.backend import uses_xla
from speech_mtl.models.encoder import BlockEncoder
from speech_mtl.models.language_layers import LanguageParts
from speech_mtl.models.layers import Dropout, FrameContext, LayerNorm, LoraDelta, attend, no_delta, product
from speech_mtl.models.past import Past, zeros_before


class FeedForward(keras.layers.Layer):
    """Position-wise feed-forward module: normalise, widen, SiLU, narrow.

    Reference: Gulati et al. 2020, "Conformer", section 2.3. We differ in dropping activations only at the end: random
    numbers for the wide layer cost a third of the module's time.
    """

    def __init__(self, dim: int, expansion: int, dropout: Dropout, name: str):
        super().__init__(name=name)
        self.norm = LayerNorm(name="norm")
        self.widen = keras.layers.Dense(dim * expansion, activation="silu", name="widen")
        self.narrow = keras.layers.Dense(dim, name="narrow")
        self.dropout = dropout

    def build(self, shape):
        self.norm.build(shape)
        self.widen.build(shape)
        self.narrow.build((*shape[:-1], self.widen.units))

    def call(self, inputs, training=False):
        return self.dropout(self.narrow(self.widen(self.norm(inputs))), training=training)


class RotaryAttention(keras.layers.Layer):
    """Multi-head self-attention over the true frames, with rotary position embeddings.

    References: Gulati et al. 2020, section 2.1; Su et al. 2021, "RoFormer", section 3.2. We differ from the Conformer
    paper in using rotary instead of Transformer-XL's relative positions: as good in published comparisons, and cheaper.

    Args:
        dim: D.
        dropout: What is dropped of the outputs.
        delta: Makes LoRA deltas for the two products with shared matrices.
    """

    def __init__(self, dim: int, num_heads: int, dropout: Dropout, name: str, delta: LoraDelta = no_delta):
        super().__init__(name=name)
        self.dim = dim
        self.num_heads = num_heads
        self.norm = LayerNorm(name="norm")
        self.project = keras.layers.Dense(3 * dim, name="project")
        self.out = keras.layers.Dense(dim, name="out")
        self.dropout = dropout
        self.add_to_project = delta(dim, 3 * dim, "add_to_project")
        self.add_to_out = delta(dim, dim, "add_to_out")

    def build(self, shape):
        for layer in (self.norm, self.project, self.out, self.add_to_project, self.add_to_out):
            if layer is not None:
                layer.build(shape)

    def call(self, inputs, context, training=False, past: Past | None = None):
        size = ops.shape(context.mask)[1]
        width = self.dim // self.num_heads
        projected = product(self.project, self.add_to_project, self.norm(inputs), context)
        projected = ops.reshape(projected, (-1, size, 3 * self.num_heads, width))
        if past is not None:
            projected = past.before(projected, past.num_left)
        queries_keys, values = ops.split(projected, [2 * self.num_heads], axis=2)
        queries, keys = ops.split(_rotate(queries_keys, *context.rotation), 2, axis=2)
        if past is not None:
            queries = queries[:, past.num_left :]
        attended = attend(queries, keys, values, context.attention_bias)
        return self.dropout(product(self.out, self.add_to_out, attended, context), training=training)


def rotary_angles(size, width: int):
    """(E, 1, width) cosines and sines of each frame's rotation; the first half of `width` pairs with the second."""
    frequencies = (10_000.0 ** (-np.arange(0, width, 2) / width)).astype("float32")
    angles = ops.cast(ops.arange(size), "float32")[:, None] * frequencies[None, :]
    angles = ops.tile(angles, (1, 2))[:, None]
    return ops.cos(angles), ops.sin(angles)


def _rotate(inputs, cosines, sines):
    first, second = ops.split(inputs, 2, axis=-1)
    return inputs * cosines + ops.concatenate([-second, first], axis=-1) * sines


class ConvolutionModule(keras.layers.Layer):
    """Gated pointwise and depthwise convolution over time.

    Reference: Gulati et al. 2020, section 2.2. We differ in layer instead of batch normalisation: batches mix languages
    and lengths, and nothing but the utterance itself should change its output.

    Args:
        dim: D.
        kernel_size: Frames that the convolution covers.
        dropout: What is dropped of the outputs.
        causal: Whether the frame itself is the last of them, and not in their middle.
    """

    def __init__(self, dim: int, kernel_size: int, dropout: Dropout, name: str, causal: bool = False):
        super().__init__(name=name)
        self.dim = dim
        self.num_before = kernel_size - 1 if causal else None
        self.norm = LayerNorm(name="norm")
        self.gate = keras.layers.Dense(2 * dim, name="gate")
        # Time runs along the height of a picture of width 1: TensorFlow on a CPU is slow along its width.
        self.depthwise = keras.layers.DepthwiseConv2D(
            (kernel_size, 1), padding="valid" if causal else "same", name="depthwise"
        )
        self.norm_inner = LayerNorm(name="norm_inner")
        self.out = keras.layers.Dense(dim, name="out")
        self.dropout = dropout

    def build(self, shape):
        for layer in (self.norm, self.gate, self.norm_inner, self.out):
            layer.build(shape)
        self.depthwise.build((None, None, 1, self.dim))

    def call(self, inputs, context, training=False, past: Past | None = None):
        hidden, gate = ops.split(self.gate(self.norm(inputs)), 2, axis=-1)
        hidden = ops.reshape(hidden * ops.sigmoid(gate), (-1, ops.shape(context.mask)[1], 1, self.dim))
        hidden = hidden * context.mask[:, :, None, None]  # else padding would leak in from the right
        if self.num_before is not None:
            before = zeros_before if past is None else past.before
            hidden = before(hidden, self.num_before)
        hidden = self.shifted(hidden) if uses_xla() else self.depthwise(hidden)
        hidden = ops.reshape(hidden, (-1, self.dim))
        hidden = ops.silu(self.norm_inner(hidden))
        return self.dropout(self.out(hidden), training=training)

    def shifted(self, frames):
        """The output of `depthwise` for (B, T, 1, D) frames, as a sum of products of shifted frames.

        XLA makes one loop of it; its own grouped convolution takes eleven times as long on a CPU.
        """
        kernel = self.depthwise.kernel.value[:, 0, :, 0]
        width = kernel.shape[0]
        around = ((width - 1) // 2, width // 2) if self.num_before is None else (0, 0)
        return _weighted_sums(ops.pad(frames, ((0, 0), around, (0, 0), (0, 0))), kernel) + self.depthwise.bias.value


@ops.custom_gradient
def _weighted_sums(frames, kernel):
    """The sum of the frames from each one on, weighted by (W, D): (B, T + W - 1, 1, D) -> (B, T, 1, D).

    Its gradient by the frames is such a sum, too; differentiated term by term it is a sum of W padded arrays, which
    takes several times as long on a CPU.
    """
    width, size = kernel.shape[0], frames.shape[1] - kernel.shape[0] + 1

    def sums(padded, weights, size):
        return sum(padded[:, i : i + size] * weights[i] for i in range(width))

    def gradient(*arguments, upstream=None):  # Keras passes it by name or last, depending on the backend
        upstream = arguments[-1] if upstream is None else upstream
        padded = ops.pad(upstream, ((0, 0), (width - 1, width - 1), (0, 0), (0, 0)))
        by_weight = [ops.sum(frames[:, i : i + size] * upstream, axis=(0, 1, 2)) for i in range(width)]
        return sums(padded, ops.flip(kernel, axis=0), frames.shape[1]), ops.stack(by_weight)

    return sums(frames, kernel, size), gradient


class ConformerBlock(keras.layers.Layer):
    """Half feed-forward, attention, convolution, half feed-forward, each residual; then layer normalisation.

    Reference: Gulati et al. 2020, section 2.4.

    Args, besides those of `Conformer`:
        dropout: What is dropped of each module's outputs.
        delta: Makes LoRA deltas for the two products with shared matrices of the attention.
        zero_branches: Whether the last matrix of each module is zero at the start, so that the block passes on what
            comes in: Goyal et al. 2017, "Accurate, large minibatch SGD", section 5.1, for the last scale of a residual
            branch; Zhang, Dauphin and Ma 2019, "Fixup initialization", section 3, for its last layer.
        causal: Whether the depthwise convolution covers no later frames.
    """

    def __init__(
        self,
        dim: int,
        num_heads: int,
        kernel_size: int,
        expansion: int,
        dropout: Dropout,
        name: str,
        delta: LoraDelta = no_delta,
        zero_branches: bool = True,
        causal: bool = False,
    ):
        super().__init__(name=name)
        self.zero_branches = zero_branches
        self.feed_forward_in = FeedForward(dim, expansion, dropout, name="feed_forward_in")
        self.attention = RotaryAttention(dim, num_heads, dropout, "attention", delta)
        self.convolution = ConvolutionModule(dim, kernel_size, dropout, "convolution", causal)
        self.feed_forward_out = self.last_layer = FeedForward(dim, expansion, dropout, name="feed_forward_out")
        self.norm = LayerNorm(name="norm")

    def build(self, shape):
        for layer in (self.feed_forward_in, self.attention, self.convolution, self.feed_forward_out, self.norm):
            layer.build(shape)
        if self.zero_branches:
            for last in (
                self.feed_forward_in.narrow,
                self.attention.out,
                self.convolution.out,
                self.feed_forward_out.narrow,
            ):
                last.kernel.assign(np.zeros(last.kernel.shape, "float32"))

    def call(self, inputs, context, training=False, past: Past | None = None):
        hidden = inputs + 0.5 * self.feed_forward_in(inputs, training=training)
        hidden = hidden + self.attention(hidden, context, training=training, past=past)
        hidden = hidden + self.convolution(hidden, context, training=training, past=past)
        hidden = hidden + 0.5 * self.feed_forward_out(hidden, training=training)
        return self.norm(hidden)


class Conformer(BlockEncoder):
    """Convolution-augmented Transformer.

    Reference: Gulati et al. 2020, "Conformer: Convolution-augmented Transformer for Speech Recognition". For what we do
    differently see `RotaryAttention` and `ConvolutionModule`.

    In chunks, a frame attends to its own chunk and to some before it, and convolutions cover no later frames: what
    comes after a chunk changes none of its frames, so that speech can be recognised while it goes on.

    References: Chen et al. 2021, "Developing real-time streaming Transformer Transducer for speech recognition on
    large-scale dataset", section 3 (attention by chunks, with a limited number of them to the left); Zhang et al. 2020,
    "Unified streaming and non-streaming two-pass end-to-end model for speech recognition", section 3 (causal
    convolutions). We differ from the latter in one chunk size for training and use.

    Args, besides those of `BlockEncoder`:
        num_heads: Attention heads; `dim` must be a multiple of twice their number.
        kernel_size: Encoder frames (40 ms each) that the depthwise convolution sees.
        expansion: Width of the feed-forward modules, as a multiple of `dim`.
        zero_branches: Whether the modules of a block add nothing at the start; see `ConformerBlock`.
        chunk_size: Encoder frames of a chunk; None: every frame depends on the whole utterance.
        left_chunks: Chunks before its own that a frame attends to.
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
        upsampling: int,
        chunk_size: int | None,
        left_chunks: int,
        random: keras.random.SeedGenerator | None = None,
        parts: LanguageParts | None = None,
        name: str = "encoder",
    ):
        self.num_heads, self.kernel_size, self.expansion = num_heads, kernel_size, expansion
        self.zero_branches = zero_branches
        self.chunk_size, self.left_chunks = chunk_size, left_chunks
        super().__init__(num_layers, dim, channels, dropout, random, parts, name, upsampling)

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
            causal=self.chunk_size is not None,
        )

    def context(self, mask, language_ids=None, past: Past | None = None) -> FrameContext:
        num_left = 0 if past is None else past.num_left
        attended = mask if past is None else past.before(mask, num_left)
        attention_bias = (attended[:, None, None, :] - 1.0) * np.float32(1e9)
        size = ops.shape(attended)[1]
        if self.chunk_size is not None:
            chunks = ops.arange(size) // self.chunk_size
            distances = chunks[num_left:, None] - chunks[None, :]
            is_near = ops.logical_and(distances >= 0, distances <= self.left_chunks)
            attention_bias = attention_bias + ops.where(is_near, np.float32(0), np.float32(-1e9))
        rotation = rotary_angles(size, self.dim // self.num_heads)
        return FrameContext(mask, attention_bias, rotation, language_ids)
