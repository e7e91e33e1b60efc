"""Heads of the tasks besides transcripts: encoder frames -> what is said of the utterance, or of every frame."""

from collections.abc import Mapping

import keras
from keras import ops

from speech_mtl.models.features import frame_mask


class MeanPooling(keras.layers.Layer):
    """The mean of the true frames: (B, E, D) -> (B, D)."""

    def build(self, _shape):
        self.built = True

    def call(self, frames, num_frames):
        mask = frame_mask(num_frames, ops.shape(frames)[1])[:, :, None]
        return ops.sum(frames * mask, axis=1) / ops.maximum(ops.sum(mask, axis=1), 1.0)


class AttentionPooling(keras.layers.Layer):
    """The mean of the true frames, each weighed by how well it answers a learned question: (B, E, D) -> (B, D).

    Reference: Safari, India and Hernando 2020, "Self-attention encoding and pooling for speaker recognition", section
    2.2. We start from a question of zeros, which is the plain mean.
    """

    def build(self, shape):
        self.question = self.add_weight(shape=(shape[-1],), initializer="zeros", name="question")
        self.built = True

    def call(self, frames, num_frames):
        mask = frame_mask(num_frames, ops.shape(frames)[1])
        scores = ops.sum(frames * self.question, axis=-1) + (mask - 1.0) * 1e9
        weights = ops.softmax(scores, axis=-1) * mask  # a row that is padding has no true frame
        return ops.sum(frames * weights[:, :, None], axis=1)


POOLINGS = {"attention": AttentionPooling, "mean": MeanPooling}
"""How the frames of an utterance become one, by the name that recipes use."""


class TaskHead(keras.layers.Layer):
    """The head of one task: pooling, if the task is of whole utterances, and an output layer.

    Args:
        dim: D, width of the encoder frames.
        num_outputs: K.
        pooling: One of `POOLINGS`; None for a task over frames.
        name: Of the task.
    """

    def __init__(self, dim: int, num_outputs: int, pooling: str | None, name: str):
        super().__init__(name=name)
        self.dim = dim
        self.pooling = None if pooling is None else POOLINGS[pooling](name="pooling")
        self.output_layer = keras.layers.Dense(num_outputs, name="output")

    def build(self, _shape=None):
        if self.pooling is not None:
            self.pooling.build((None, None, self.dim))
        self.output_layer.build((None, self.dim))
        self.built = True

    def call(self, frames, num_frames):
        """(B, E, D) encoder frames and (B,) their true number -> (B, K), or (B, E, K) without pooling."""
        if self.pooling is None:
            size = ops.shape(frames)[1]
            flat = self.output_layer(ops.reshape(frames, (-1, self.dim)))
            return ops.reshape(flat, (-1, size, self.output_layer.units))
        return self.output_layer(self.pooling(frames, num_frames))


class TaskHeads(keras.layers.Layer):
    """The heads of all tasks besides transcripts, by name."""

    def __init__(self, heads: Mapping[str, TaskHead], name: str = "tasks"):
        super().__init__(name=name)
        self.heads = list(heads.values())

    def build(self, _shape=None):
        for head in self.heads:
            head.build()
        self.built = True

    def call(self, frames, num_frames):
        """Encoder frames -> by task, what its head says."""
        return {head.name: head(frames, num_frames) for head in self.heads}
