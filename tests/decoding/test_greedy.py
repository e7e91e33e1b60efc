from itertools import product

import numpy as np
import pytest
from scipy.special import log_softmax

from speech_mtl.decoding.decoder import Decoded, DecodedToken
from speech_mtl.decoding.greedy import Greedy

GREEDY = Greedy(["<blank>", "a", "b", "c"], "aa")


def numbers(found: Decoded) -> list[int]:
    return [token.number for token in found.tokens]


def frames(path: list[int], num_tokens: int = 4) -> np.ndarray:
    """(E, V) log-probabilities whose best path is the given one."""
    return log_softmax(np.eye(num_tokens)[path] * 5.0, axis=1)


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ([0, 0, 0], []),
        ([1, 1, 1], [(1, 0, 2)]),
        ([1, 0, 1], [(1, 0, 0), (1, 2, 2)]),
        ([1, 1, 0, 0, 1, 2, 2, 3], [(1, 0, 1), (1, 4, 4), (2, 5, 6), (3, 7, 7)]),
        ([0, 3, 3, 0], [(3, 1, 2)]),
        ([2], [(2, 0, 0)]),
        ([3, 2, 3], [(3, 0, 0), (2, 1, 1), (3, 2, 2)]),
    ],
)
def test_by_hand(path: list[int], expected: list[tuple[int, int, int]]):
    found = GREEDY.decode(frames(path))
    each = pytest.approx(5 - np.log(np.exp(5) + 3), rel=1e-9)
    assert [token[:3] for token in found.tokens] == expected
    assert all(token.log_probability == each for token in found.tokens)
    assert found.score == each


def naive(log_probabilities: np.ndarray) -> Decoded:
    """Frame by frame."""
    tokens: list[DecodedToken] = []
    own: list[float] = []
    last = 0
    for frame, row in enumerate(log_probabilities):
        best = max(range(len(row)), key=lambda token: row[token])
        if best != 0:
            own = [*own, row[best]] if best == last else [row[best]]
            tokens = tokens[:-1] if best == last else tokens
            tokens.append(DecodedToken(best, frame + 1 - len(own), frame, float(np.mean(own))))
        last = best
    return Decoded(tuple(tokens), float(np.mean([max(row) for row in log_probabilities])))


def test_equals_a_loop_over_frames():
    generator = np.random.default_rng(0)
    for size in generator.integers(1, 31, 50):
        values = log_softmax(generator.normal(0, 2, (size, 3)), axis=1)
        found, expected = GREEDY.decode(values), naive(values)
        assert [token[:3] for token in found.tokens] == [token[:3] for token in expected.tokens]
        assert [token[3] for token in found.tokens] == pytest.approx([token[3] for token in expected.tokens])
        assert found.score == pytest.approx(expected.score)


def test_no_path_is_better():
    """Of all paths through 5 frames of 3 tokens."""
    generator = np.random.default_rng(1)
    for _ in range(20):
        values = log_softmax(generator.normal(0, 2, (5, 3)), axis=1)
        best = max(product(range(3), repeat=5), key=lambda path: sum(values[range(5), path]))
        found = GREEDY.decode(values)
        assert found.score == pytest.approx(values[range(5), best].mean())
        covered = {frame: token.number for token in found.tokens for frame in range(token.first, token.last + 1)}
        assert tuple(covered.get(frame, 0) for frame in range(5)) == best
