"""Layers with random weights, and what tests compare with them in numpy."""

from typing import Any

import keras
import numpy as np

from speech_mtl.models.layers import Dropout, LayerNorm

ops: Any = keras.ops  # whose annotations admit strings and None


def no_dropout() -> Dropout:
    return Dropout(0.0, keras.random.SeedGenerator(0))


def randomise(layer: keras.layers.Layer, seed: int = 0) -> None:
    """Gives every weight other values than zeros and ones."""
    generator = np.random.default_rng(seed)
    for variable in layer.trainable_variables:
        variable.assign(generator.normal(0.3, 0.4, variable.shape).astype("float32"))


def value(variable: keras.Variable) -> np.ndarray:
    return ops.convert_to_numpy(variable.value)


def numpy_norm(inputs: np.ndarray, norm: LayerNorm) -> np.ndarray:
    centred = inputs - inputs.mean(axis=-1, keepdims=True)
    return centred / np.sqrt(inputs.var(axis=-1, keepdims=True) + 1e-5) * value(norm.scale) + value(norm.bias)
