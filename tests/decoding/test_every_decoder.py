"""Every decoder, found by itself."""

from itertools import groupby, product

import numpy as np
import pytest
from scipy.special import log_softmax, logsumexp

from speech_mtl.datatypes import BLANK
from speech_mtl.decoding.decoder import Decoded, Decoder
from speech_mtl.run.build import build_decoder
from speech_mtl.settings.decoding import DecodingSettings
from speech_mtl.settings.recipe import Recipe

VOCABULARY = ("<blank>", "a", "b")


@pytest.fixture(params=DecodingSettings.kinds())
def decoder(request: pytest.FixtureRequest) -> Decoder:
    settings = {"name": "x", "languages": {"aa": {}}, "data": {"dir": "d"}, "decoding": {"kind": request.param}}
    made = build_decoder(Recipe.model_validate(settings).decoding)(VOCABULARY, "aa")
    assert type(made) is DecodingSettings.kinds()[request.param].member()
    return made


def labelling(path: tuple[int, ...]) -> tuple[int, ...]:
    return tuple(token for token, _ in groupby(path) if token != BLANK)


def test_finds_what_is_more_probable_than_all_else_together(decoder: Decoder):
    """By brute force over all paths; where one path has more than half, best path and best labelling are one."""
    generator, num_clear = np.random.default_rng(0), 0
    for _ in range(60):
        values = log_softmax(generator.normal(0, 4, (5, 3)), axis=1)
        paths = {path: float(values[range(5), path].sum()) for path in product(range(3), repeat=5)}
        assert logsumexp(list(paths.values())) == pytest.approx(0, abs=1e-9)
        best = max(paths, key=lambda path: paths[path])
        if paths[best] > np.log(0.5):
            num_clear += 1
            assert tuple(token.number for token in decoder.decode(values).tokens) == labelling(best)
    assert num_clear > 10


def test_tokens_come_in_order_with_frames_and_log_probabilities(decoder: Decoder):
    generator = np.random.default_rng(1)
    for size in range(1, 40):
        values = log_softmax(generator.normal(0, 3, (size, 3)).astype("float32"), axis=1)
        found, end = decoder.decode(values), -1
        for token in found.tokens:
            assert BLANK < token.number < len(VOCABULARY)
            assert end < token.first <= token.last < size
            assert token.log_probability <= 0
            assert [type(value) for value in token] == [int, int, int, float]
            end = token.last
        assert found.score <= 0
        assert type(found.score) is float


def test_no_frames_have_no_tokens(decoder: Decoder):
    assert decoder.decode(np.zeros((0, 3), "float32")) == Decoded((), 0.0)


def test_only_blanks_have_no_tokens(decoder: Decoder):
    values = log_softmax(np.tile([30.0, 0.0, 0.0], (7, 1)), axis=1)
    assert decoder.decode(values).tokens == ()


def test_settled_tokens_stay(decoder: Decoder):
    """All but the last one, whatever follows; of the last one, its first frame."""
    generator = np.random.default_rng(3)
    values = log_softmax(generator.normal(0, 2, (40, 3)), axis=1)
    whole = decoder.decode(values).tokens
    settled = [decoder.decode(values[:size]).tokens for size in range(41)]
    if decoder.is_settled:
        assert all(whole[: len(found) - 1] == found[:-1] for found in settled if found)
        assert all([token[:2] for token in whole][: len(found)] == [token[:2] for token in found] for found in settled)


def test_nothing_is_left_of_the_utterance_before(decoder: Decoder):
    generator = np.random.default_rng(2)
    first, second = (log_softmax(generator.normal(0, 3, (9, 3)), axis=1) for _ in range(2))
    found = decoder.decode(first)
    decoder.decode(second)
    assert decoder.decode(first) == found
