"""Layers that all encoders of blocks have.

Inside a block, frames of all utterances lie in one matrix (N, D) with N = B * E: products and normalisations need no
more, and matrices make a far smaller graph than tensors of rank 3. Only attention and convolution, where frames meet,
see (B, E, D). Padding never leaks into true frames.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import keras
import numpy as np
from keras import ops


class FrameContext(NamedTuple):
    """Context of a block: properties of a batch other than its frames.

    Attributes:
        mask: (B, E), 1 for true frames, 0 for padding.
        attention_bias: (B, 1, 1, E), 0 for true frames, -1e9 for padding; None where no block attends. In
            chunks (B, 1, E, P + E), by the frame that attends, -1e9 for chunks that it does not attend to, too; in a
            stream, P frames come before.
        rotation: See `conformer.rotary_angles`; None where no block attends.
        language_ids: (B,); None where everything is shared.
    """

    mask: Any
    attention_bias: Any = None
    rotation: Any = None
    language_ids: Any = None


def attend(queries, keys, values, bias):
    """Scaled dot-product attention of all heads: (B, E, H, W) each and a bias of the scores to frames (B * E, H * W).

    Reference: Vaswani et al. 2017, "Attention is all you need", section 3.2. The softmax is in float32.
    """
    num_heads, width = values.shape[2:]
    scores = ops.matmul(ops.transpose(queries, (0, 2, 1, 3)), ops.transpose(keys, (0, 2, 3, 1))) * width**-0.5
    scores = ops.cast(scores + bias, "float32")
    # Of one frame, as XLA knows it, Keras warns that the softmax is always 1.
    weights = ops.ones_like(scores) if scores.shape[-1] == 1 else ops.softmax(scores, axis=-1)
    attended = ops.matmul(ops.cast(weights, values.dtype), ops.transpose(values, (0, 2, 1, 3)))
    return ops.reshape(ops.transpose(attended, (0, 2, 1, 3)), (-1, num_heads * width))


class Dropout(keras.layers.Layer):
    """Dropout whose random state is shared by all layers of a network, so that a step uses one generator."""

    def __init__(self, rate: float, seed: keras.random.SeedGenerator):
        super().__init__(name="dropout")
        self.rate = rate
        self.seed = seed
        self.built = True

    def call(self, inputs, training=False):
        if not training or self.rate == 0.0:
            return inputs
        return keras.random.dropout(inputs, self.rate, seed=self.seed)


LoraDelta = Callable[[int, int, str], Any]
"""(width of inputs, width of outputs, name) -> a layer that makes of (inputs, context) the delta of a product."""


def no_delta(_dim: int, _out_dim: int, _name: str) -> None:
    """A `LoraDelta` that adds nothing."""


def product(shared: keras.layers.Dense, delta, inputs, context: FrameContext):
    """The shared product of the inputs, and what the LoRA delta of it adds, if there is one."""
    outputs = shared(inputs)
    return outputs if delta is None else outputs + delta(inputs, context)


class LayerNorm(keras.layers.Layer):
    """Layer normalisation of (N, D) or (B, E, D) frames, with its gradient in closed form.

    The same function as `keras.layers.LayerNormalization`, in a third of the graph nodes and memory passes: there are
    six in every Conformer block. In float32, whatever the frames come in.

    Reference: Ba, Kiros and Hinton 2016, "Layer normalization", section 3.
    """

    def build(self, shape):
        self.scale = self.add_weight(shape=(shape[-1],), initializer="ones", autocast=False, name="gain")
        self.bias = self.add_weight(shape=(shape[-1],), initializer="zeros", autocast=False, name="bias")

    def call(self, inputs):
        normal = _layer_norm(ops.cast(inputs, "float32"), self.scale.value, self.bias.value)
        return ops.cast(normal, self.compute_dtype)


def _layer_norm(inputs, scale, bias):
    @ops.custom_gradient
    def normalize(inputs, scale, bias):
        centred = inputs - ops.mean(inputs, axis=-1, keepdims=True)
        inverse = ops.rsqrt(ops.mean(centred * centred, axis=-1, keepdims=True) + np.float32(1e-5))
        normal = centred * inverse

        def gradient(*arguments, upstream=None):  # Keras passes it by name or last, depending on the backend
            upstream = arguments[-1] if upstream is None else upstream
            inner = upstream * scale
            along = ops.mean(inner * normal, axis=-1, keepdims=True)
            to_inputs = inverse * (inner - ops.mean(inner, axis=-1, keepdims=True) - normal * along)
            rows = tuple(range(len(upstream.shape) - 1))
            return to_inputs, ops.sum(upstream * normal, axis=rows), ops.sum(upstream, axis=rows)

        return normal * scale + bias, gradient

    return normalize(inputs, scale, bias)


class Upsampling(keras.layers.Layer):
    """Makes several frames of each, one after another: (B, E, D) -> (B, times * E, D).

    Each is the frame, to which a linear map of it is added. The maps begin at zero: CTC then gets every frame repeated,
    which it merges. With maps that begin at random, English of many speakers stayed on the plateau of blanks.

    Reference: Shi et al. 2016, "Real-time single image and video super-resolution using an efficient sub-pixel
    convolutional neural network", section 3.1. We differ in making frames instead of pixels, and in the start.

    Args:
        dim: D.
        times: Frames of each.
    """

    def __init__(self, dim: int, times: int, name: str = "upsampling"):
        super().__init__(name=name)
        self.dim, self.times = dim, times
        self.project = self.last_layer = keras.layers.Dense(times * dim, kernel_initializer="zeros", name="project")

    def build(self, _shape=None):
        self.project.build((None, None, self.dim))

    def call(self, frames):
        wide = self.project(frames) + ops.tile(frames, (1, 1, self.times))
        return ops.reshape(wide, (-1, ops.shape(frames)[1] * self.times, self.dim))


class Projection(keras.layers.Layer):
    """No subsampling: a linear projection of each feature frame, (B, T, F) -> (B, T, D).

    Of frames that are those of several layers end to end, (B, T, L * F), it first takes a weighted sum, with weights
    that are learnt and add up to 1, all alike at the start, and normalises it. Their softmax is in float32.

    Reference: Peters et al. 2018, "Deep contextualized word representations", section 3.2, for the sum; we leave out
    its scale, which the normalisation would take out.

    Args:
        dim: D.
    """

    centres = (0, 1)

    def __init__(self, dim: int, name: str = "subsampling"):
        super().__init__(name=name)
        self.norm = LayerNorm(name="norm")
        self.project = self.last_layer = keras.layers.Dense(dim, name="project")

    @staticmethod
    def num_frames(num_frames):
        """As many as there are feature frames."""
        return num_frames

    def build(self, shape):
        """Of the shape (B, T, F), or (B, T, L, F) for several layers."""
        self.parts = shape[2:-1]
        self.mix = None
        if self.parts:
            self.mix = self.add_weight(shape=self.parts, initializer="zeros", autocast=False, name="mix")
        self.norm.build((None, None, shape[-1]))
        self.project.build((None, None, shape[-1]))
        self.width = shape[-1]

    def call(self, features, num_frames=None):  # noqa: ARG002
        """Each frame by itself."""
        if self.mix is not None:
            layers = ops.reshape(features, (-1, ops.shape(features)[1], *self.parts, self.width))
            fractions = ops.cast(ops.softmax(self.mix.value), layers.dtype)
            features = ops.sum(layers * fractions[:, None], axis=2)
        return self.project(self.norm(features))


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
        self.project = self.last_layer = keras.layers.Dense(dim, name="project")

    @staticmethod
    def num_frames(num_frames):
        """Encoder frames made of so many feature frames (an int or an array)."""
        for _ in range(2):
            num_frames = (num_frames - 1) // 2
        return num_frames

    centres = (3, 4)
    """Frame e is made of the feature frames 4 e to 4 e + 6, and has its middle at 3 + 4 e."""

    def build(self, shape):
        shape = (*shape, 1)
        for convolution in self.convolutions:
            convolution.build(shape)
            shape = convolution.compute_output_shape(shape)
        self.flat = shape[2] * shape[3]
        self.project.build((shape[0], shape[1], self.flat))

    def call(self, features, num_frames=None):  # noqa: ARG002
        """True frames are made of true ones only, wherever these end."""
        hidden = ops.expand_dims(features, -1)
        for convolution in self.convolutions:
            hidden = convolution(hidden)
        return self.project(ops.reshape(hidden, (-1, ops.shape(hidden)[1], self.flat)))
