from typing import Any

import keras
import numpy as np
import pytest
from random_weights import no_dropout, numpy_norm, randomise, value
from usual import usual

from speech_mtl.models.conformer import ConformerBlock, ConvolutionModule, FeedForward, RotaryAttention, rotary_angles
from speech_mtl.models.layers import FrameContext
from speech_mtl.settings.network import ConformerSettings

ops: Any = keras.ops  # whose annotations admit strings and None


def rotated(vector: np.ndarray, position: int) -> np.ndarray:
    """RoFormer, equation 15, with the pairs (i, i + width / 2): each is turned by its own angle times the position."""
    half = len(vector) // 2
    result = np.zeros(len(vector))
    for i in range(half):
        angle = position / 10_000 ** (2 * i / len(vector))
        result[i] = vector[i] * np.cos(angle) - vector[i + half] * np.sin(angle)
        result[i + half] = vector[i + half] * np.cos(angle) + vector[i] * np.sin(angle)
    return result


def numpy_attention(layer: RotaryAttention, inputs: np.ndarray, sizes: list[int]) -> np.ndarray:
    """(B, E, D) -> (B, E, D), with loops over utterances, heads and frames."""
    batch, size, dim = inputs.shape
    width = dim // layer.num_heads
    projected = numpy_norm(inputs, layer.norm) @ value(layer.project.kernel) + value(layer.project.bias)
    attended = np.zeros((batch, size, dim))
    for b in range(batch):
        for h in range(layer.num_heads):
            queries, keys, values = (
                projected[b, :, part * dim + h * width : part * dim + (h + 1) * width] for part in range(3)
            )
            for i in range(size):
                scores = [rotated(queries[i], i) @ rotated(keys[j], j) / np.sqrt(width) for j in range(sizes[b])]
                weights = np.exp(scores) / np.exp(scores).sum()
                attended[b, i, h * width : (h + 1) * width] = weights @ values[: sizes[b]]
    return attended @ value(layer.out.kernel) + value(layer.out.bias)


def conformer_context(mask: np.ndarray, width: int) -> FrameContext:
    bias = ((mask[:, None, None, :] - 1) * 1e9).astype("float32")
    return FrameContext(mask.astype("float32"), bias, rotary_angles(mask.shape[1], width))


def attention(layer: RotaryAttention, inputs: np.ndarray, mask: np.ndarray) -> np.ndarray:
    batch, size, dim = inputs.shape
    flat = inputs.reshape(-1, dim).astype("float32")
    output = layer(flat, conformer_context(mask, dim // layer.num_heads))
    return ops.convert_to_numpy(output).reshape(batch, size, dim)


@pytest.fixture(scope="module")
def rotary() -> RotaryAttention:
    layer = RotaryAttention(8, 2, no_dropout(), name="attention")
    layer.build((None, 8))
    randomise(layer)
    return layer


def test_attention_equals_loops(rotary):
    inputs = np.random.default_rng(1).normal(size=(2, 6, 8))
    mask = np.array([[1, 1, 1, 1, 1, 1], [1, 1, 1, 1, 0, 0]])
    ours, theirs = attention(rotary, inputs, mask), numpy_attention(rotary, inputs, [6, 4])
    np.testing.assert_allclose(ours[0], theirs[0], rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(ours[1, :4], theirs[1, :4], rtol=1e-4, atol=1e-5)


def test_attention_sees_only_relative_positions(rotary):
    """Moved to later frames, with masked ones in front, a sequence gives the same."""
    inputs = np.random.default_rng(1).normal(size=(1, 6, 8))
    plain = attention(rotary, inputs, np.ones((1, 6)))
    for shift in (1, 5):
        moved = np.concatenate([np.full((1, shift, 8), 3.0), inputs], axis=1)
        mask = np.concatenate([np.zeros((1, shift)), np.ones((1, 6))], axis=1)
        np.testing.assert_allclose(attention(rotary, moved, mask)[:, shift:], plain, rtol=1e-4, atol=1e-5)
    permuted = attention(rotary, inputs[:, ::-1], np.ones((1, 6)))[:, ::-1]
    assert np.abs(permuted - plain).max() > 1e-2, "but the order of frames does matter"


def test_attention_by_chunks_equals_loops():
    """A frame attends to its own chunk and two before it."""
    encoder = usual(ConformerSettings, num_layers=1, dim=8, num_heads=2, chunk_size=2, left_chunks=2, parts=None)
    mask = np.array([[1] * 9, [1] * 5 + [0] * 4], "float32")
    bias = np.broadcast_to(ops.convert_to_numpy(encoder.context(mask).attention_bias), (2, 1, 9, 9))
    for b, i, j in np.ndindex(2, 9, 9):
        assert (bias[b, 0, i, j] == 0) == (mask[b, j] == 1 and 0 <= i // 2 - j // 2 <= 2), (b, i, j)
    assert bias[bias != 0].max() <= -1e9


def test_feed_forward_equals_formula():
    layer = FeedForward(6, 3, no_dropout(), name="feed_forward")
    layer.build((None, 6))
    randomise(layer)
    inputs = np.random.default_rng(1).normal(size=(5, 6)).astype("float32")
    wide = numpy_norm(inputs, layer.norm) @ value(layer.widen.kernel) + value(layer.widen.bias)
    assert wide.shape == (5, 18)
    expected = wide / (1 + np.exp(-wide)) @ value(layer.narrow.kernel) + value(layer.narrow.bias)
    np.testing.assert_allclose(ops.convert_to_numpy(layer(inputs)), expected, rtol=1e-4, atol=1e-5)


def test_convolution_equals_loops():
    layer = ConvolutionModule(4, 3, no_dropout(), name="convolution")
    layer.build((None, 4))
    randomise(layer)
    inputs = np.random.default_rng(1).normal(size=(2, 5, 4)).astype("float32")
    mask = np.array([[1, 1, 1, 1, 1], [1, 1, 1, 0, 0]], "float32")
    gated = numpy_norm(inputs, layer.norm) @ value(layer.gate.kernel) + value(layer.gate.bias)
    gated = gated[:, :, :4] / (1 + np.exp(-gated[:, :, 4:])) * mask[:, :, None]
    padded = np.pad(gated, ((0, 0), (1, 1), (0, 0)))
    kernel = value(layer.depthwise.kernel)[:, 0, :, 0]
    convolved = np.stack([(padded[:, i : i + 3] * kernel).sum(axis=1) for i in range(5)], axis=1)
    normal = numpy_norm(convolved + value(layer.depthwise.bias), layer.norm_inner)
    expected = normal / (1 + np.exp(-normal)) @ value(layer.out.kernel) + value(layer.out.bias)
    ours = ops.convert_to_numpy(layer(inputs.reshape(-1, 4), FrameContext(mask))).reshape(2, 5, 4)
    np.testing.assert_allclose(ours, expected, rtol=1e-4, atol=1e-5)


def test_block_is_the_sum_of_its_modules():
    block = ConformerBlock(8, 2, 3, 2, no_dropout(), name="block")
    block.build((None, 8))
    randomise(block)
    inputs = np.random.default_rng(1).normal(size=(10, 8)).astype("float32")
    context = conformer_context(np.ones((2, 5)), 4)
    hidden = inputs + block.feed_forward_in(inputs) / 2
    hidden = hidden + block.attention(hidden, context)
    hidden = hidden + block.convolution(hidden, context)
    hidden = hidden + block.feed_forward_out(hidden) / 2
    expected = numpy_norm(ops.convert_to_numpy(hidden), block.norm)
    ours = ops.convert_to_numpy(block(inputs, context))
    np.testing.assert_allclose(ours, expected, rtol=1e-4, atol=1e-4)


def test_a_block_of_zero_branches_starts_as_the_normalisation_alone():
    size, dim = 6, 8
    block = ConformerBlock(dim, 2, 3, 2, no_dropout(), "block", zero_branches=True)
    block.build((None, dim))
    inputs = np.random.default_rng(0).normal(1, 2, (2 * size, dim)).astype("float32")
    mask = np.ones((2, size), "float32")
    context = FrameContext(mask, np.zeros((2, 1, 1, size), "float32"), rotary_angles(size, dim // 2))
    theirs = keras.layers.LayerNormalization(epsilon=1e-5)
    np.testing.assert_allclose(
        ops.convert_to_numpy(block(inputs, context)), ops.convert_to_numpy(theirs(inputs)), rtol=1e-4, atol=1e-5
    )
    zero = [v.path for v in block.trainable_variables if "kernel" in v.path and not value(v).any()]
    assert len(zero) == 4, "nothing else starts at zero, so that gradients reach all after a step"


def test_a_causal_convolution_equals_loops():
    layer = ConvolutionModule(4, 3, no_dropout(), "convolution", causal=True)
    layer.build((None, 4))
    randomise(layer)
    inputs = np.random.default_rng(1).normal(size=(1, 5, 4)).astype("float32")
    gated = numpy_norm(inputs, layer.norm) @ value(layer.gate.kernel) + value(layer.gate.bias)
    padded = np.pad(gated[:, :, :4] / (1 + np.exp(-gated[:, :, 4:])), ((0, 0), (2, 0), (0, 0)))
    kernel = value(layer.depthwise.kernel)[:, 0, :, 0]
    convolved = np.stack([(padded[:, i : i + 3] * kernel).sum(axis=1) for i in range(5)], axis=1)
    normal = numpy_norm(convolved + value(layer.depthwise.bias), layer.norm_inner)
    expected = normal / (1 + np.exp(-normal)) @ value(layer.out.kernel) + value(layer.out.bias)
    ours = layer(inputs.reshape(-1, 4), FrameContext(np.ones((1, 5), "float32")))
    np.testing.assert_allclose(ops.convert_to_numpy(ours).reshape(1, 5, 4), expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("causal", [False, True])
@pytest.mark.parametrize("kernel_size", [1, 3, 4, 15])
def test_shifted_frames_make_the_depthwise_convolution(kernel_size, causal):
    module = ConvolutionModule(8, kernel_size, no_dropout(), "convolution", causal)
    module.build((None, 8))
    randomise(module)
    frames = np.random.default_rng(1).normal(size=(3, 17, 1, 8)).astype("float32")
    ours, theirs = module.shifted(frames), module.depthwise(frames)
    np.testing.assert_allclose(ops.convert_to_numpy(ours), ops.convert_to_numpy(theirs), rtol=1e-4, atol=1e-5)
