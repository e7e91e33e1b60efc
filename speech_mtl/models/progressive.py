"""Progressive networks: one column per task; later ones read earlier ones through lateral connections."""

from collections.abc import Mapping, Sequence
from typing import Any

import keras
from keras import ops

from speech_mtl.datatypes import TOP
from speech_mtl.models.encoder import BlockEncoder, Encoder
from speech_mtl.models.features import frame_mask
from speech_mtl.models.heads import Part, named


class Lateral(keras.layers.Layer):
    """Lateral input of a column from earlier ones before one of its blocks: adapter `a` of progressive networks.

    From each earlier column j, U_j relu(V_j (alpha_j h_j) + b_j): a scalar that begins small, down to a few dimensions,
    and up to the width of the column.

    Reference: Rusu et al. 2016, "Progressive neural networks", section 2, equation 2. We differ in a V for each earlier
    column instead of one for all, so that lateral inputs can be measured and switched off one by one; and in
    adding to the input of a whole block, because ours are residual.

    Args:
        dims: Width of each earlier column that it gets lateral input from.
        dim: Width of the column.
        size: To how many dimensions V reduces.
    """

    def __init__(self, dims: Mapping[int, int], dim: int, size: int, name: str):
        super().__init__(name=name)
        self.sources = tuple(dims)
        self.down = [keras.layers.Dense(size, activation="relu", name=f"down_{j}") for j in dims]
        self.up = [keras.layers.Dense(dim, use_bias=False, name=f"up_{j}") for j in dims]
        self.dims, self.size = tuple(dims.values()), size

    def build(self, _shape=None):
        small = keras.initializers.Constant(0.1)
        self.alphas = [self.add_weight(shape=(1,), initializer=small, name=f"alpha_{j}") for j in self.sources]
        for down, up, dim in zip(self.down, self.up, self.dims, strict=True):
            down.build((None, dim))
            up.build((None, self.size))

    def contributions(self, earlier: Sequence[Any]) -> dict[int, Any]:
        """By earlier column, the (B * E, D) that its (B * E, D_j) add."""
        return {
            j: up(down(alpha * earlier[j]))
            for j, alpha, down, up in zip(self.sources, self.alphas, self.down, self.up, strict=True)
        }


class ProgressiveEncoder(Encoder):
    """Encoders side by side, of which only the last one is trained; each column is a tap, `column_0` the first.

    All see the same features. Before each of its blocks, and at its output, a later column adds what it gets from the
    earlier ones at that height; gradients do not flow back into those. A head is at the column that its language was
    trained with, and no later one is run for it, so that what a language was recognised with stays as it was, to the
    bit.

    Reference: Rusu et al. 2016, section 2. We differ in a lateral connection into the lowest block, too, because each
    column subsamples the features for itself.

    Args:
        columns: The encoders, all with as many blocks.
        lateral_inputs: For each column, the earlier ones that it gets lateral input from.
        lateral_size: To how many dimensions lateral connections reduce.
    """

    def __init__(self, columns: Sequence[BlockEncoder], lateral_inputs: Sequence[Sequence[int]], lateral_size: int):
        super().__init__(name="encoder")
        self.height = len(columns[0].blocks)
        self.columns = list(columns)
        limits = [column.max_frames for column in columns if column.max_frames is not None]
        self.max_frames = min(limits, default=None)
        dims = [column.dim for column in columns]
        self.laterals = [
            [
                Lateral({j: dims[j] for j in sources}, dims[k], lateral_size, name=f"lateral_{k}_{i}")
                for i in range(self.height + 1)
            ]
            if sources
            else []
            for k, sources in enumerate(lateral_inputs)
        ]

    @property
    def numbers(self) -> dict[str, int]:
        """By tap, the column that its frames come from."""
        return {f"column_{k}": k for k in range(len(self.columns))} | {TOP: len(self.columns) - 1}

    @property
    def widths(self) -> dict[str, int]:
        return {tap: self.columns[k].dim for tap, k in self.numbers.items()}

    def num_frames(self, num_frames):
        return self.columns[-1].num_frames(num_frames)

    @property
    def frame_centres(self) -> tuple[float, int]:
        return self.columns[-1].frame_centres

    @property
    def last_layer(self) -> keras.layers.Layer:
        return self.columns[-1].last_layer

    def weights_by_part(self) -> dict[str, Part]:
        columns = {f"columns/{k}": named(own.trainable_variables, own) for k, own in enumerate(self.columns)}
        laterals = {
            f"laterals/{k}": named([v for lateral in own for v in lateral.trainable_variables], self)
            for k, own in enumerate(self.laterals)
            if own
        }
        return columns | laterals

    def depths(self) -> list[list[keras.Variable]]:
        """The last column's weights from the bottom to the top, each with the connection that leads to it."""
        layers = self.columns[-1].layers_upwards
        depths = [list(layer.trainable_variables) for layer in layers]
        for i, lateral in enumerate(self.laterals[-1]):
            depths[min(i + 1, len(depths) - 1)] += lateral.trainable_variables
        return depths

    def build(self, shape):
        for column in self.columns:
            column.build(shape)
        for lateral in (lateral for own in self.laterals for lateral in own):
            lateral.build()

    def call(self, features, num_frames, language_ids=None, training=False, taps=(TOP,), past=None):  # noqa: ARG002
        num_features, num_frames = num_frames, ops.maximum(self.num_frames(num_frames), 0)
        numbers = {tap: self.numbers[tap] for tap in taps}
        columns = self.columns[: 1 + max(numbers.values())]
        hidden, contexts, trained = [], [], []
        for k, own in enumerate(columns):
            trained.append(training and k == len(self.columns) - 1)
            frames = own.dropout(own.subsampled(features, num_features, None), training=trained[k])
            contexts.append(own.context(frame_mask(num_frames, ops.shape(frames)[1])))
            hidden.append(ops.reshape(frames, (-1, own.dim)))
        for i in range(self.height + 1):
            earlier = [ops.stop_gradient(frames) for frames in hidden]
            for k, own in enumerate(columns):
                if self.laterals[k]:
                    added = self.laterals[k][i].contributions(earlier)
                    hidden[k] = hidden[k] + sum(added.values())
                if i < self.height:
                    hidden[k] = own.blocks[i](hidden[k], contexts[k], training=trained[k])
        size = ops.shape(contexts[0].mask)[1]
        return {tap: ops.reshape(hidden[k], (-1, size, self.columns[k].dim)) for tap, k in numbers.items()}, num_frames
