import numpy as np
import pytest

from speech_mtl.decoding.ctc import greedy


def naive(logits: np.ndarray, size: int) -> tuple[list[int], float]:
    """Frame by frame."""
    tokens, last, score = [], None, 0.0
    for row in logits[:size].astype("float64"):
        best = max(range(len(row)), key=lambda token: row[token])
        score += row[best] - np.log(sum(np.exp(value) for value in row))
        if best not in (last, 0):
            tokens.append(best)
        last = best
    return tokens, score / size if size else 0.0


def frames(path: list[int], num_tokens: int = 4) -> np.ndarray:
    """(1, E, V) logits whose best path is the given one."""
    return (np.eye(num_tokens)[path] * 5.0).astype("float32")[None]


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ([0, 0, 0], []),
        ([1, 1, 1], [1]),
        ([1, 0, 1], [1, 1]),
        ([1, 1, 0, 0, 1, 2, 2, 3], [1, 1, 2, 3]),
        ([0, 3, 3, 0], [3]),
        ([2], [2]),
        ([3, 2, 3], [3, 2, 3]),
    ],
)
def test_by_hand(path, expected):
    ((tokens, score),) = greedy(frames(path), np.array([len(path)]))
    assert tokens == expected
    assert score == pytest.approx(5 - np.log(np.exp(5) + 3), rel=1e-4)


def test_equals_naive_loop():
    generator = np.random.default_rng(0)
    logits = generator.normal(0, 2, (50, 30, 3)).astype("float32")
    sizes = generator.integers(0, 31, 50)
    sizes[0] = 0
    for i, (tokens, score) in enumerate(greedy(logits, sizes)):
        expected, expected_score = naive(logits[i], sizes[i])
        assert tokens == expected
        assert score == pytest.approx(expected_score, abs=1e-5)


def test_frames_beyond_the_true_length_are_not_read():
    logits = np.concatenate([frames([1, 2]), frames([3, 3])], axis=1)
    ((tokens, _),) = greedy(logits, np.array([2]))
    assert tokens == [1, 2]


def test_forbidden_tokens_and_large_logits():
    logits = np.concatenate([frames([1, 0, 2]) * 1e4, np.full((1, 3, 2), -1e9, "float32")], axis=2)
    ((tokens, score),) = greedy(logits, np.array([3]))
    assert tokens == [1, 2]
    assert score == pytest.approx(0.0, abs=1e-6)


def test_no_frames():
    assert greedy(frames([1]), np.array([0])) == [([], 0.0)]
