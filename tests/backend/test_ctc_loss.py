from itertools import product
from typing import Any

import keras
import numpy as np
import pytest

from speech_mtl.backend import ctc_loss

ops: Any = keras.ops  # whose annotations admit strings and None


def brute_force(logits: np.ndarray, tokens: list[int]) -> float:
    """-log of the summed probability of every path (E,) that collapses to the tokens."""
    logits = logits.astype("float64")
    log_probabilities = logits - np.log(np.exp(logits).sum(axis=1, keepdims=True))
    total = 0.0
    for path in product(range(logits.shape[1]), repeat=len(logits)):
        merged = [token for i, token in enumerate(path) if i == 0 or token != path[i - 1]]
        if [token for token in merged if token != 0] == tokens:
            total += np.exp(sum(row[token] for row, token in zip(log_probabilities, path, strict=True)))
    return -np.log(total)


def losses_of(logits, num_frames, tokens, num_tokens) -> np.ndarray:
    arrays = [np.array(array, "int32") for array in (num_frames, tokens, num_tokens)]
    return ops.convert_to_numpy(ctc_loss(logits.astype("float32"), *arrays))


@pytest.fixture
def random_case():
    """Five utterances of true lengths that differ, all long enough for their tokens."""
    generator = np.random.default_rng(0)
    logits = generator.normal(0, 2, (5, 20, 7)).astype("float32")
    tokens = generator.integers(1, 7, (5, 6)).astype("int32")
    tokens[1] = 3  # repeats need a blank in between
    num_frames = np.array([20, 17, 12, 15, 4], "int32")
    num_tokens = np.array([6, 6, 3, 1, 2], "int32")
    return logits, num_frames, tokens, num_tokens


@pytest.fixture
def gradient_of(value_and_gradients):
    """The gradient of the summed, weighted loss by the logits."""

    def run(logits, num_frames, tokens, num_tokens) -> np.ndarray:
        variable = keras.Variable(logits)
        weights = np.arange(1, len(logits) + 1, dtype="float32")

        def objective():
            return ops.sum(ctc_loss(variable.value, num_frames, tokens, num_tokens) * weights)

        return value_and_gradients(objective, [variable])[1][0]

    return run


@pytest.mark.parametrize(
    ("tokens", "num_frames"),
    [([1], 1), ([1], 4), ([1, 2], 2), ([1, 2], 5), ([2, 2], 3), ([2, 2], 5), ([1, 1, 2], 5), ([1, 2, 1], 6), ([2], 6)],
)
def test_equals_the_sum_over_all_paths(tokens, num_frames):
    logits = np.random.default_rng(num_frames).normal(0, 2, (1, num_frames, 3))
    loss = losses_of(logits, [num_frames], [tokens], [len(tokens)])
    assert loss.shape == (1,)
    assert loss[0] == pytest.approx(brute_force(logits[0], tokens), rel=1e-5)


def test_equals_keras_row_by_row(random_case):
    """`keras.ops.ctc_loss` on each utterance by itself, cut to its true lengths."""
    losses = losses_of(*random_case)
    for i, (logits, num_frames, tokens, num_tokens) in enumerate(zip(*random_case, strict=True)):
        expected = ops.ctc_loss(
            tokens[None, :num_tokens],
            logits[None, :num_frames],
            np.array([num_tokens]),
            np.array([num_frames]),
            mask_index=0,
        )
        np.testing.assert_allclose(losses[i], ops.convert_to_numpy(expected)[0], rtol=1e-5)


def test_equals_torch_in_value_and_gradient(random_case, gradient_of):
    torch = pytest.importorskip("torch")
    logits, num_frames, tokens, num_tokens = random_case
    leaf = torch.tensor(logits, requires_grad=True)
    expected = torch.nn.functional.ctc_loss(
        leaf.log_softmax(dim=2).transpose(0, 1),
        torch.tensor(tokens),
        torch.tensor(num_frames),
        torch.tensor(num_tokens),
        blank=0,
        reduction="none",
    )
    np.testing.assert_allclose(losses_of(*random_case), expected.detach().numpy(), rtol=1e-5)
    (expected * torch.arange(1.0, 6.0)).sum().backward()
    np.testing.assert_allclose(gradient_of(*random_case), leaf.grad.numpy(), rtol=1e-3, atol=1e-4)


def test_gradient_equals_finite_differences(gradient_of):
    logits = np.random.default_rng(0).normal(0, 1, (1, 4, 3)).astype("float32")
    gradient = gradient_of(logits, np.array([4], "int32"), np.array([[1, 2]], "int32"), np.array([2], "int32"))
    for index in np.ndindex(4, 3):
        step = np.zeros((4, 3))
        step[index] = 1e-4
        slope = (brute_force(logits[0] + step, [1, 2]) - brute_force(logits[0] - step, [1, 2])) / 2e-4
        assert gradient[0][index] == pytest.approx(slope, abs=1e-4)


def test_padding_changes_nothing(random_case, gradient_of):
    """More frames with any logits, more tokens of any value, and more vocabulary with logits of -1e9."""
    logits, num_frames, tokens, num_tokens = random_case
    generator = np.random.default_rng(1)
    padded = generator.normal(0, 5, (5, 29, 11)).astype("float32")
    padded[:, :20, :7] = logits
    for row, size in zip(padded, num_frames, strict=True):
        row[size:, :7] = generator.normal(0, 5, (29 - size, 7))
    padded[:, :, 7:] = -1e9
    padded_tokens = generator.integers(0, 7, (5, 10)).astype("int32")
    for row, true, size in zip(padded_tokens, tokens, num_tokens, strict=True):
        row[:size] = true[:size]
    case = padded, num_frames, padded_tokens, num_tokens
    np.testing.assert_allclose(losses_of(*case), losses_of(*random_case), rtol=1e-5)
    gradient, expected = gradient_of(*case), gradient_of(*random_case)
    np.testing.assert_allclose(gradient[:, :20, :7], expected, atol=1e-5)
    assert not gradient[:, 20:].any()
    assert not gradient[:, :, 7:].any()
    for row, size in zip(expected, num_frames, strict=True):
        assert not row[size:].any()
        assert row[:size].any()


def test_rows_without_tokens_add_nothing(random_case, gradient_of):
    logits, num_frames, tokens, num_tokens = random_case
    num_tokens, num_frames = num_tokens.copy(), num_frames.copy()
    num_tokens[[1, 4]] = 0
    num_frames[4] = 0
    case = logits, num_frames, tokens, num_tokens
    losses, gradient = losses_of(*case), gradient_of(*case)
    assert losses[[1, 4]].tolist() == [0.0, 0.0]
    assert not gradient[[1, 4]].any()
    kept = [0, 2, 3]
    np.testing.assert_allclose(losses[kept], losses_of(*random_case)[kept], rtol=1e-6)
    np.testing.assert_allclose(gradient[kept], gradient_of(*random_case)[kept], atol=1e-6)


@pytest.mark.parametrize("num_columns", [0, 3])
def test_a_batch_without_any_tokens(num_columns, gradient_of):
    logits = np.random.default_rng(0).normal(size=(2, 4, 3)).astype("float32")
    case = logits, np.array([4, 0], "int32"), np.zeros((2, num_columns), "int32"), np.zeros(2, "int32")
    assert losses_of(*case).tolist() == [0.0, 0.0]
    assert not gradient_of(*case).any()


def test_large_logits_stay_finite(random_case, gradient_of):
    logits, *rest = random_case
    case = (logits * 8, *rest)
    assert np.isfinite(losses_of(*case)).all()
    assert np.isfinite(gradient_of(*case)).all()
