import itertools
import tracemalloc

import numpy as np
import pytest
from scipy.special import log_softmax

from speech_mtl.decoding.decoder import Decoded
from speech_mtl.decoding.greedy import Greedy
from speech_mtl.decoding.viterbi import align
from speech_mtl.errors import InputError


def random_log_probabilities(num_frames: int, num_tokens: int, seed: int, sharpness: float = 2.0) -> np.ndarray:
    values = sharpness * np.random.default_rng(seed).standard_normal((num_frames, num_tokens))
    return log_softmax(values, axis=1)


def tokens_of(path: tuple[int, ...]) -> list[int]:
    return [token for token, _ in itertools.groupby(path) if token]


def best_paths(log_probabilities: np.ndarray) -> dict[tuple[int, ...], tuple[float, tuple[int, ...]]]:
    """By tokens, the best of all paths that give them, tried one after another."""
    best: dict[tuple[int, ...], tuple[float, tuple[int, ...]]] = {}
    for path in itertools.product(range(log_probabilities.shape[1]), repeat=len(log_probabilities)):
        score = float(log_probabilities[range(len(path)), path].sum())
        key = tuple(tokens_of(path))
        best[key] = max(best.get(key, (-np.inf, ())), (score, path))
    return best


@pytest.mark.parametrize("seed", range(4))
def test_of_all_paths_that_give_the_tokens_the_best_is_found(seed: int):
    log_probabilities = random_log_probabilities(6, 3, seed)
    best = best_paths(log_probabilities)
    assert len(best) == 41
    for tokens, (score, path) in best.items():
        found = align(log_probabilities, tokens)
        assert all(align(log_probabilities, tokens, stride) == found for stride in (1, 2, 4, 6, 7))
        assert found.score == pytest.approx(score / 6)
        assert [token.number for token in found.tokens] == list(tokens)
        frames = [frame for token in found.tokens for frame in range(token.first, token.last + 1)]
        assert frames == [frame for frame, number in enumerate(path) if number]
        for token in found.tokens:
            own = log_probabilities[token.first : token.last + 1, token.number]
            assert token.log_probability == pytest.approx(own.mean())


def test_what_greedy_finds_is_where_greedy_finds_it():
    log_probabilities = random_log_probabilities(200, 12, 7, sharpness=6.0)
    greedy = Greedy(["<blank>", *"abcdefghijk"], "en").decode(log_probabilities)
    found = align(log_probabilities, [token.number for token in greedy.tokens])
    assert found.score == pytest.approx(greedy.score)
    assert [token[:3] for token in found.tokens] == [token[:3] for token in greedy.tokens]


def test_more_tokens_than_an_array_of_bytes_counts():
    log_probabilities = random_log_probabilities(900, 5, 3)
    tokens = ([1, 2, 3, 4] * 100)[:400]
    found = align(log_probabilities, tokens)
    assert [token.number for token in found.tokens] == tokens
    edges = [frame for token in found.tokens for frame in (token.first, token.last)]
    assert edges == sorted(edges)


@pytest.mark.parametrize("num_tokens", [20, 140, 200])
def test_what_is_kept_of_every_few_frames_gives_the_path_of_all_that_is_kept(num_tokens: int):
    log_probabilities = random_log_probabilities(300, 12, num_tokens)
    tokens = (np.random.default_rng(1).permutation(num_tokens) % 11 + 1).tolist()
    expected = align(log_probabilities, tokens, stride=300)
    assert all(align(log_probabilities, tokens, stride) == expected for stride in (None, 1, 7, 50, 299))


def test_memory_is_not_that_of_all_places_in_all_frames():
    log_probabilities, tokens = random_log_probabilities(6000, 5, 0), [1, 2, 3, 4] * 500
    tracemalloc.start()
    align(log_probabilities, tokens)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 6000 * 4001 / 4


def test_frames_may_forbid_tokens():
    log_probabilities = random_log_probabilities(9, 3, 0)
    log_probabilities[4] = [0.0, -np.inf, -np.inf]
    found = align(log_probabilities, [1, 2, 1])
    assert all(not token.first <= 4 <= token.last for token in found.tokens)
    with pytest.raises(InputError, match="too long for the audio"):
        align(log_probabilities, [1, 2] * 4 + [1])


def test_a_text_fits_if_each_token_has_a_frame_and_repeated_ones_a_blank_between():
    log_probabilities = random_log_probabilities(4, 3, 0)
    assert [token.first for token in align(log_probabilities, [1, 2, 1, 2]).tokens] == [0, 1, 2, 3]
    assert [token.first for token in align(log_probabilities, [1, 1, 2]).tokens] == [0, 2, 3]
    for tokens in ([1, 2, 1, 2, 1], [1, 1, 2, 2]):
        with pytest.raises(InputError, match="too long for the audio") as caught:
            align(log_probabilities, tokens)
        assert "at most 4" in caught.value.expected


def test_no_tokens_are_all_blank():
    log_probabilities = random_log_probabilities(3, 2, 0)
    found = align(log_probabilities, [])
    assert (found.tokens, found.score) == ((), pytest.approx(log_probabilities[:, 0].mean()))
    assert align(np.empty((0, 2)), []) == Decoded((), 0.0)
