from typing import Any

import keras
import numpy as np
import pytest
from random_weights import no_dropout, randomise, value

from speech_mtl.models.layers import ConvSubsampling, Dropout, LayerNorm, Projection, Upsampling

ops: Any = keras.ops  # whose annotations admit strings and None


@pytest.mark.parametrize(("shape", "scale"), [((7, 12), 1.0), ((7, 12), 100.0), ((7, 12), 1e-3), ((2, 5, 12), 1.0)])
def test_layer_norm_equals_keras(shape, scale, value_and_gradients):
    generator = np.random.default_rng(0)
    inputs = keras.Variable((generator.normal(2, 3, shape) * scale).astype("float32"))
    upstream = generator.normal(size=shape).astype("float32")
    ours, theirs = LayerNorm(name="norm"), keras.layers.LayerNormalization(epsilon=1e-5)
    results = []
    for layer in (ours, theirs):
        layer.build((None, 12))
        randomise(layer)  # in both: first the scale, then the bias
        variables = [inputs, *layer.trainable_variables]
        results.append(value_and_gradients(lambda layer=layer: ops.sum(layer(inputs.value) * upstream), variables))
    np.testing.assert_allclose(
        ops.convert_to_numpy(ours(inputs.value)), ops.convert_to_numpy(theirs(inputs.value)), rtol=1e-4, atol=1e-5
    )
    for mine, other in zip(results[0][1], results[1][1], strict=True):
        assert mine.shape == other.shape
        assert np.abs(other).max() > 1e-4
        np.testing.assert_allclose(mine, other, rtol=1e-3, atol=1e-4 * np.abs(other).max())


def test_dropout():
    layer = Dropout(0.25, keras.random.SeedGenerator(0))
    ones = np.ones((100, 100), "float32")
    np.testing.assert_array_equal(ops.convert_to_numpy(layer(ones)), ones)
    first, second = (ops.convert_to_numpy(layer(ones, training=True)) for _ in range(2))
    assert (first == 0).mean() == pytest.approx(0.25, abs=0.02)
    assert first.mean() == pytest.approx(1.0, abs=0.03)
    assert (first != second).any()
    again = Dropout(0.25, keras.random.SeedGenerator(0))(ones, training=True)
    np.testing.assert_array_equal(ops.convert_to_numpy(again), first)
    np.testing.assert_array_equal(ops.convert_to_numpy(no_dropout()(ones, training=True)), ones)


def test_subsampling_equals_loops():
    layer = ConvSubsampling(5, 2)
    layer.build((None, None, 11))
    randomise(layer)
    features = np.random.default_rng(1).normal(size=(1, 13, 11)).astype("float32")
    hidden = features[0, :, :, None]
    for convolution in layer.convolutions:
        kernel, bias = value(convolution.kernel), value(convolution.bias)
        rows, columns = ((size - 3) // 2 + 1 for size in hidden.shape[:2])
        windows = [[hidden[2 * i : 2 * i + 3, 2 * j : 2 * j + 3] for j in range(columns)] for i in range(rows)]
        hidden = np.maximum(np.einsum("ijklc,klcd->ijd", np.array(windows), kernel) + bias, 0)
    expected = hidden.reshape(len(hidden), -1) @ value(layer.project.kernel) + value(layer.project.bias)
    assert len(expected) == ConvSubsampling.num_frames(13)
    np.testing.assert_allclose(ops.convert_to_numpy(layer(features))[0], expected, rtol=1e-3, atol=1e-4)


def test_upsampling_begins_as_repetition_and_equals_loops():
    layer, frames = Upsampling(4, 3), np.random.default_rng(0).normal(size=(2, 5, 4)).astype("float32")
    layer.build()
    np.testing.assert_array_equal(ops.convert_to_numpy(layer(frames)), np.repeat(frames, 3, axis=1))
    randomise(layer)
    kernel, bias = value(layer.project.kernel), value(layer.project.bias)
    expected = np.zeros((2, 15, 4))
    for row, frame, part in np.ndindex(2, 5, 3):
        own = slice(4 * part, 4 * part + 4)
        expected[row, 3 * frame + part] = frames[row, frame] @ kernel[:, own] + bias[own] + frames[row, frame]
    np.testing.assert_allclose(ops.convert_to_numpy(layer(frames)), expected, rtol=1e-4, atol=1e-4)


def test_weights_of_mixed_layers_are_float32():
    """In bfloat16, 100.1 and 100.4 are 100 and 100.5."""
    frames, found = np.random.default_rng(0).normal(size=(2, 7, 12)).astype("float32"), []
    before = keras.config.dtype_policy()
    for policy in ("float32", "mixed_bfloat16"):
        keras.config.set_dtype_policy(policy)
        try:
            layer = Projection(4)
            layer.build((None, None, 2, 6))
        finally:
            keras.config.set_dtype_policy(before)
        randomise(layer)
        assert layer.mix is not None
        layer.mix.assign([100.1, 100.4])
        outputs = layer(frames)
        found.append(ops.convert_to_numpy(ops.cast(outputs, "float32")))
    assert keras.backend.standardize_dtype(outputs.dtype) == "bfloat16"
    np.testing.assert_allclose(found[1], found[0], atol=0.02 * np.abs(found[0]).max())
