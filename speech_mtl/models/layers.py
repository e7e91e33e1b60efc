"""The pieces that encoders are made of.

Inside a block, frames of all utterances lie in one matrix (N, D) with N = B * E: products and normalisations need no
more, and matrices make a far smaller graph than tensors of rank 3. Only attention and convolution, where frames meet,
see (B, E, D). Padding never leaks into true frames.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import keras
import numpy as np
from keras import ops

from speech_mtl.backend import uses_xla


class FrameContext(NamedTuple):
    """What a block needs to know of a batch besides its frames.

    Attributes:
        mask: (B, E), 1 for true frames, 0 for padding.
        attention_bias: (B, 1, 1, E), 0 for true frames, -1e9 for padding; None where no block attends.
        rotation: See `rotary_angles`; None where no block attends.
        language_ids: (B,); None where everything is shared.
    """

    mask: Any
    attention_bias: Any = None
    rotation: Any = None
    language_ids: Any = None


class Dropout(keras.layers.Layer):
    """Dropout whose random state is shared by all layers of a network, so that a step draws from one generator."""

    def __init__(self, rate: float, seed: keras.random.SeedGenerator):
        super().__init__(name="dropout")
        self.rate = rate
        self.seed = seed
        self.built = True

    def call(self, inputs, training=False):
        if not training or self.rate == 0.0:
            return inputs
        return keras.random.dropout(inputs, self.rate, seed=self.seed)


Addition = Callable[[int, int, str], Any]
"""(width of inputs, width of outputs, name) -> a layer that makes of (inputs, context) what is added to a product."""


def nothing_added(_dim: int, _out_dim: int, _name: str) -> None:
    """An `Addition` of nothing."""


class LayerNorm(keras.layers.Layer):
    """Layer normalisation of (N, D) or (B, E, D) frames, with its gradient in closed form.

    The same function as `keras.layers.LayerNormalization`, in a third of the graph nodes and memory passes: there are
    six in every Conformer block.

    Reference: Ba, Kiros and Hinton 2016, "Layer normalization", section 3.
    """

    def __init__(self, name: str, epsilon: float = 1e-5):
        super().__init__(name=name)
        self.epsilon = np.float32(epsilon)

    def build(self, shape):
        self.gain = self.add_weight(shape=(shape[-1],), initializer="ones", name="gain")
        self.bias = self.add_weight(shape=(shape[-1],), initializer="zeros", name="bias")
        self.built = True

    def call(self, inputs):
        return _layer_norm(inputs, self.gain.value, self.bias.value, self.epsilon)


def _layer_norm(inputs, gain, bias, epsilon):
    @ops.custom_gradient
    def normalize(inputs, gain, bias):
        centred = inputs - ops.mean(inputs, axis=-1, keepdims=True)
        scale = ops.rsqrt(ops.mean(centred * centred, axis=-1, keepdims=True) + epsilon)
        normal = centred * scale

        def gradient(*arguments, upstream=None):  # Keras passes it by name or last, depending on the backend
            upstream = arguments[-1] if upstream is None else upstream
            inner = upstream * gain
            along = ops.mean(inner * normal, axis=-1, keepdims=True)
            to_inputs = scale * (inner - ops.mean(inner, axis=-1, keepdims=True) - normal * along)
            rows = tuple(range(len(upstream.shape) - 1))
            return to_inputs, ops.sum(upstream * normal, axis=rows), ops.sum(upstream, axis=rows)

        return normal * gain + bias, gradient

    return normalize(inputs, gain, bias)


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
        self.built = True

    def call(self, inputs, training=False):
        return self.dropout(self.narrow(self.widen(self.norm(inputs))), training=training)


class RotaryAttention(keras.layers.Layer):
    """Multi-head self-attention over the true frames, with rotary position embeddings.

    References: Gulati et al. 2020, section 2.1; Su et al. 2021, "RoFormer", section 3.2. We differ from the Conformer
    paper in using rotary instead of Transformer-XL's relative positions: as good in published comparisons, and cheaper.

    Args:
        dim: D.
        num_heads: Attention heads.
        dropout: What is dropped of the outputs.
        addition: Makes what is added to the two products with shared matrices.
    """

    def __init__(self, dim: int, num_heads: int, dropout: Dropout, name: str, addition: Addition = nothing_added):
        super().__init__(name=name)
        if dim % (2 * num_heads):
            raise ValueError(f"dim must be a multiple of 2 * num_heads. Received: dim={dim}, num_heads={num_heads}")
        self.dim = dim
        self.num_heads = num_heads
        self.norm = LayerNorm(name="norm")
        self.project = keras.layers.Dense(3 * dim, name="project")
        self.out = keras.layers.Dense(dim, name="out")
        self.dropout = dropout
        self.add_to_project = addition(dim, 3 * dim, "add_to_project")
        self.add_to_out = addition(dim, dim, "add_to_out")

    def build(self, shape):
        for layer in (self.norm, self.project, self.out, self.add_to_project, self.add_to_out):
            if layer is not None:
                layer.build(shape)
        self.built = True

    def call(self, inputs, context, training=False):
        size = ops.shape(context.mask)[1]
        width = self.dim // self.num_heads
        normal = self.norm(inputs)
        projected = self.project(normal)
        if self.add_to_project is not None:
            projected = projected + self.add_to_project(normal, context)
        projected = ops.reshape(projected, (-1, size, 3 * self.num_heads, width))
        projected = ops.transpose(projected, (0, 2, 1, 3))
        queries_keys, values = ops.split(projected, [2 * self.num_heads], axis=1)
        queries, keys = ops.split(_rotate(queries_keys, *context.rotation), 2, axis=1)
        scores = ops.matmul(queries, ops.transpose(keys, (0, 1, 3, 2))) * np.float32(width**-0.5)
        attended = ops.matmul(ops.softmax(scores + context.attention_bias, axis=-1), values)
        attended = ops.reshape(ops.transpose(attended, (0, 2, 1, 3)), (-1, self.dim))
        outputs = self.out(attended)
        if self.add_to_out is not None:
            outputs = outputs + self.add_to_out(attended, context)
        return self.dropout(outputs, training=training)


def rotary_angles(size, width: int):
    """Cosines and sines, each (E, width), of each frame's rotation; the first half of `width` pairs with the second."""
    frequencies = (10_000.0 ** (-np.arange(0, width, 2) / width)).astype("float32")
    angles = ops.cast(ops.arange(size), "float32")[:, None] * frequencies[None, :]
    return ops.tile(ops.cos(angles), (1, 2)), ops.tile(ops.sin(angles), (1, 2))


def _rotate(inputs, cosines, sines):
    first, second = ops.split(inputs, 2, axis=-1)
    return inputs * cosines + ops.concatenate([-second, first], axis=-1) * sines


class ConvolutionModule(keras.layers.Layer):
    """Gated pointwise and depthwise convolution over time.

    Reference: Gulati et al. 2020, section 2.2. We differ in layer instead of batch normalisation: batches mix languages
    and lengths, and nothing but the utterance itself should change its output.
    """

    def __init__(self, dim: int, kernel_size: int, dropout: Dropout, name: str):
        super().__init__(name=name)
        self.dim = dim
        self.norm = LayerNorm(name="norm")
        self.gate = keras.layers.Dense(2 * dim, name="gate")
        # Time runs along the height of a picture of width 1: TensorFlow on a CPU is slow along its width.
        self.depthwise = keras.layers.DepthwiseConv2D((kernel_size, 1), padding="same", name="depthwise")
        self.norm_inner = LayerNorm(name="norm_inner")
        self.out = keras.layers.Dense(dim, name="out")
        self.dropout = dropout

    def build(self, shape):
        for layer in (self.norm, self.gate, self.norm_inner, self.out):
            layer.build(shape)
        self.depthwise.build((None, None, 1, self.dim))
        self.built = True

    def call(self, inputs, context, training=False):
        hidden, gate = ops.split(self.gate(self.norm(inputs)), 2, axis=-1)
        hidden = ops.reshape(hidden * ops.sigmoid(gate), (-1, ops.shape(context.mask)[1], 1, self.dim))
        hidden = hidden * context.mask[:, :, None, None]  # else padding would leak in from the right
        hidden = self.shifted(hidden) if uses_xla() else self.depthwise(hidden)
        hidden = ops.reshape(hidden, (-1, self.dim))
        hidden = ops.silu(self.norm_inner(hidden))
        return self.dropout(self.out(hidden), training=training)

    def shifted(self, frames):
        """What `depthwise` makes of (B, E, 1, D) frames, as a sum of products of shifted frames.

        XLA makes one loop of it; its own grouped convolution takes eleven times as long on a CPU.
        """
        kernel, size = self.depthwise.kernel.value[:, 0, :, 0], ops.shape(frames)[1]
        width = kernel.shape[0]
        padded = ops.pad(frames, ((0, 0), ((width - 1) // 2, width // 2), (0, 0), (0, 0)))
        return sum((padded[:, i : i + size] * kernel[i] for i in range(width)), self.depthwise.bias.value)


class ConformerBlock(keras.layers.Layer):
    """Half feed-forward, attention, convolution, half feed-forward, each residual; then layer normalisation.

    Reference: Gulati et al. 2020, section 2.4.

    Args:
        dim: D.
        num_heads: Attention heads.
        kernel_size: Frames that the depthwise convolution sees.
        expansion: Width of the feed-forward modules, as a multiple of `dim`.
        dropout: What is dropped of each module's outputs.
        addition: Makes what is added to the two products with shared matrices of the attention.
        zero_branches: Whether the last matrix of each module is zero at the start, so that the block passes on what
            comes in: Goyal et al. 2017, "Accurate, large minibatch SGD", section 5.1, for the last gain of a residual
            branch; Zhang, Dauphin and Ma 2019, "Fixup initialization", section 3, for its last layer.
    """

    def __init__(
        self,
        dim: int,
        num_heads: int,
        kernel_size: int,
        expansion: int,
        dropout: Dropout,
        name: str,
        addition: Addition = nothing_added,
        zero_branches: bool = True,
    ):
        super().__init__(name=name)
        self.zero_branches = zero_branches
        self.feed_forward_in = FeedForward(dim, expansion, dropout, name="feed_forward_in")
        self.attention = RotaryAttention(dim, num_heads, dropout, "attention", addition)
        self.convolution = ConvolutionModule(dim, kernel_size, dropout, name="convolution")
        self.feed_forward_out = FeedForward(dim, expansion, dropout, name="feed_forward_out")
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
        self.built = True

    @property
    def last_layer(self) -> keras.layers.Layer:
        """The last of its layers that has weights of some size."""
        return self.feed_forward_out

    def call(self, inputs, context, training=False):
        hidden = inputs + 0.5 * self.feed_forward_in(inputs, training=training)
        hidden = hidden + self.attention(hidden, context, training=training)
        hidden = hidden + self.convolution(hidden, context, training=training)
        hidden = hidden + 0.5 * self.feed_forward_out(hidden, training=training)
        return self.norm(hidden)


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
        self.bidirectional = keras.layers.Bidirectional(cell, name="bidirectional")
        self.norm = LayerNorm(name="norm")

    def build(self, _shape):
        self.bidirectional.build((None, None, self.dim))
        self.norm.build((None, self.dim))
        self.built = True

    @property
    def last_layer(self) -> keras.layers.Layer:
        """The last of its layers that has weights of some size."""
        return self.bidirectional

    def call(self, inputs, context, training=False):
        hidden = self.dropout(inputs, training=training) if self.dropout else inputs
        hidden = ops.reshape(hidden, (-1, ops.shape(context.mask)[1], self.dim))
        hidden = self.bidirectional(hidden, mask=ops.cast(context.mask, "bool"), training=training)
        hidden = hidden * context.mask[:, :, None]  # the product carries no Keras mask, of which `norm` would warn
        return self.norm(ops.reshape(hidden, (-1, self.dim)))


class ConvSubsampling(keras.layers.Layer):
    """Two 3x3 convolutions with stride 2 in time and frequency: (B, T, F) -> (B, E, D) with E about T / 4.

    Without padding, so that a frame inside the true length never sees a frame beyond it.

    Args:
        dim: D.
        channels: Width of the two convolutions; their cost grows with its square.
    """

    def __init__(self, dim: int, channels: int, name: str = "subsampling"):
        super().__init__(name=name)
        self.convolutions = [
            keras.layers.Conv2D(channels, 3, strides=2, activation="relu", name=f"convolution_{i}") for i in range(2)
        ]
        self.project = keras.layers.Dense(dim, name="project")

    @staticmethod
    def num_frames(num_frames):
        """Encoder frames made of so many feature frames (an int or an array)."""
        for _ in range(2):
            num_frames = (num_frames - 1) // 2
        return num_frames

    @property
    def last_layer(self) -> keras.layers.Layer:
        """The last of its layers that has weights of some size."""
        return self.project

    centres = (3, 4)
    """Frame e is made of the feature frames 4 e to 4 e + 6, and has its middle at 3 + 4 e."""

    reach = 3
    """Feature frames on either side of its middle that a frame is made of."""

    def build(self, shape):
        shape = (*shape, 1)
        for convolution in self.convolutions:
            convolution.build(shape)
            shape = convolution.compute_output_shape(shape)
        self.flat = shape[2] * shape[3]
        self.project.build((shape[0], shape[1], self.flat))
        self.built = True

    def call(self, features, num_frames=None):  # noqa: ARG002
        """True frames are made of true ones only, wherever these end."""
        hidden = features[..., None]
        for convolution in self.convolutions:
            hidden = convolution(hidden)
        return self.project(ops.reshape(hidden, (-1, ops.shape(hidden)[1], self.flat)))
