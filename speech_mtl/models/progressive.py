"""A column for each task one after another; later ones hear what earlier ones make, and change nothing there."""

from collections.abc import Mapping, Sequence
from typing import Any

import keras
from keras import ops

from speech_mtl.models.encoder import Encoder, named
from speech_mtl.models.features import frame_mask


class Lateral(keras.layers.Layer):
    """What a column gets from earlier ones before one of its blocks: the adapter `a` of progressive networks.

    From each earlier column j, U_j relu(V_j (alpha_j h_j) + b_j): a scalar that begins small, down to a few dimensions,
    and up to the width of the column.

    Reference: Rusu et al. 2016, "Progressive neural networks", section 2, equation 2. We differ in a V for each earlier
    column instead of one for all, so that it can be told which one is listened to, and each can be switched off; and in
    adding to the input of a whole block, because ours are residual.

    Args:
        dims: Width of each earlier column that is listened to.
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
        self.built = True

    def contributions(self, earlier: Sequence[Any]) -> dict[int, Any]:
        """By earlier column, the (B * E, D) that its (B * E, D_j) add."""
        return {
            j: up(down(alpha * earlier[j]))
            for j, alpha, down, up in zip(self.sources, self.alphas, self.down, self.up, strict=True)
        }


class ProgressiveEncoder(keras.layers.Layer):
    """Encoders side by side, of which only the last one is trained.

    All see the same features. Before each of its blocks, and at its output, a later column adds what it gets from the
    earlier ones at that height; gradients do not flow back into those. A language is heard with its column and those
    before it, so that what a language was recognised with stays as it was, to the bit.

    Reference: Rusu et al. 2016, section 2. We differ in a lateral connection into the lowest block, too, because each
    column subsamples the features for itself.

    Args:
        columns: The encoders. They must have as many blocks.
        languages: Of each column, in the order of `language_ids`.
        hears: For each column, the earlier ones that it listens to; those that are left out are switched off.
        lateral_size: To how many dimensions lateral connections reduce.

    Raises:
        ValueError: Columns of different height.
    """

    def __init__(
        self,
        columns: Sequence[Encoder],
        languages: Sequence[Sequence[str]],
        hears: Sequence[Sequence[int]],
        lateral_size: int,
    ):
        super().__init__(name="encoder")
        self.height = len(columns[0].blocks)
        if any(len(column.blocks) != self.height for column in columns):
            raise ValueError(f"Columns need as many blocks. Received: {[len(column.blocks) for column in columns]}")
        self.columns = list(columns)
        self.languages = [tuple(own) for own in languages]
        dims = [column.dim for column in columns]
        self.laterals = [
            [
                Lateral({j: dims[j] for j in heard}, dims[k], lateral_size, name=f"lateral_{k}_{i}")
                for i in range(self.height + 1)
            ]
            if heard
            else []
            for k, heard in enumerate(hears)
        ]

    @property
    def dim(self) -> int:
        """Width of the last column."""
        return self.columns[-1].dim

    @property
    def max_frames(self) -> int | None:
        """See `Encoder.max_frames`."""
        return min((column.max_frames for column in self.columns if column.max_frames is not None), default=None)

    def dim_of(self, language: str) -> int:
        """Width of the encoder frames that a language is recognised from."""
        return self.columns[self.column_of(language)].dim

    def column_of(self, language: str) -> int:
        """The column that a language was trained with."""
        return next(k for k, own in enumerate(self.languages) if language in own)

    def num_frames(self, num_frames):
        """Encoder frames made of so many feature frames (an int or an array)."""
        return self.columns[-1].num_frames(num_frames)

    @property
    def frame_centres(self) -> tuple[int, int]:
        """See `Encoder.frame_centres`."""
        return self.columns[-1].frame_centres

    @property
    def last_layer(self) -> keras.layers.Layer:
        """See `Encoder.last_layer`."""
        return self.columns[-1].last_layer

    @property
    def shared_weights(self) -> list[keras.Variable]:
        """What is trained of it: the last column, and what connects it to the others."""
        return [variable for depth in self.depths() for variable in depth]

    def weights_of(self, _language: str) -> list[keras.Variable]:
        """What a language has for itself: nothing, columns are of several."""
        return []

    def weights_by_part(self) -> dict[str, dict[str, keras.Variable]]:
        """See `MultilingualModel.parts`."""
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
        self.built = True

    def call(self, features, num_frames, language_ids=None, training=False, column=None):  # noqa: ARG002
        """As `Encoder.call`; `column` is the highest one that is run, whose frames come out. None: the last one."""
        hidden, num_frames, size = self._run(features, num_frames, training, column)
        return ops.reshape(hidden[-1], (-1, size, hidden[-1].shape[-1])), num_frames

    def _run(self, features, num_frames, training, column):
        num_features, num_frames = num_frames, ops.maximum(self.num_frames(num_frames), 0)
        columns = self.columns if column is None else self.columns[: column + 1]
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
        return hidden, num_frames, ops.shape(contexts[0].mask)[1]
