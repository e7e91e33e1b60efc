from typing import Any

import keras
import numpy as np
import pytest

from speech_mtl.models.heads import FORBIDDEN, LanguageHeads

ops: Any = keras.ops  # whose annotations admit strings and None


SIZES = {"cs": 4, "de": 9, "zh-CN": 6}
DIM = 5


def make_heads(sizes: dict[str, int] = SIZES, dim: int = DIM) -> LanguageHeads:
    """Each head's weights depend on its name only."""
    heads = LanguageHeads(dim, sizes)
    heads.build()
    for head in heads.heads:
        generator = np.random.default_rng(list(head.name.encode()))
        head.kernel.assign(generator.normal(size=(head.num_tokens, dim)).astype("float32"))
        head.bias.assign(generator.normal(size=head.num_tokens).astype("float32"))
    return heads


@pytest.fixture(scope="module")
def frames() -> np.ndarray:
    return np.random.default_rng(0).normal(size=(4, 3, DIM)).astype("float32")


IDS = np.array([2, 0, 1, 0], "int32")


def logits_of(heads: LanguageHeads, frames: np.ndarray, ids: np.ndarray) -> np.ndarray:
    return ops.convert_to_numpy(heads(frames, ids))


def test_equals_one_product_an_utterance(frames):
    heads = make_heads()
    logits = logits_of(heads, frames, IDS)
    assert logits.shape == (4, 3, 9)
    for i, language in enumerate(IDS):
        kernel, bias = (ops.convert_to_numpy(v.value) for v in heads.heads[int(language)].trainable_variables)
        size = list(SIZES.values())[language]
        np.testing.assert_allclose(logits[i, :, :size], frames[i] @ kernel.T + bias, rtol=1e-5, atol=1e-6)
        np.testing.assert_allclose(logits[i, :, size:], FORBIDDEN, rtol=1e-6)


def test_foreign_tokens_have_no_probability(frames):
    logits = logits_of(make_heads(), frames, IDS)
    probabilities = ops.convert_to_numpy(ops.softmax(logits, axis=-1))
    for row, language in zip(probabilities, IDS, strict=True):
        size = list(SIZES.values())[language]
        assert not row[:, size:].any()
        np.testing.assert_allclose(row[:, :size].sum(axis=1), 1, rtol=1e-5)
    assert np.isfinite(logits).all()


def test_other_heads_have_no_gradient(frames, value_and_gradients):
    heads = make_heads()
    ids = np.array([2, 0, 2, 0], "int32")
    variables = {v.path: v for head in heads.heads for v in (head.kernel, head.bias)}

    def objective():
        return ops.sum(ops.log_softmax(heads(frames, ids), axis=-1)[:, :, :3] ** 2)

    _, gradients = value_and_gradients(objective, list(variables.values()))
    for path, gradient in zip(variables, gradients, strict=True):
        if "/de/" in path:
            assert not gradient.any(), "exactly zero"
        else:
            assert (np.abs(gradient).reshape(len(gradient), -1).max(axis=1) > 1e-6).all(), path
    assert sum("/de/" in path for path in variables) == 2


def test_adding_a_language_changes_no_other(frames):
    before = logits_of(make_heads(), frames, IDS)
    after = logits_of(make_heads({**SIZES, "fr": 12}), frames, IDS)
    np.testing.assert_allclose(after[:, :, :9], before, rtol=1e-6)
    np.testing.assert_allclose(after[:, :, 9:], FORBIDDEN, rtol=1e-6)


def test_order_of_languages_does_not_matter(frames):
    names = ["zh-CN", "cs", "de"]
    other = make_heads({name: SIZES[name] for name in names})
    assert other.languages == tuple(names)
    ids = np.array([names.index(list(SIZES)[i]) for i in IDS], "int32")
    np.testing.assert_allclose(logits_of(other, frames, ids), logits_of(make_heads(), frames, IDS), rtol=1e-6)


def test_one_language(frames):
    heads = make_heads({"cs": 4})
    assert logits_of(heads, frames, np.zeros(4, "int32")).shape == (4, 3, 4)


def test_weights_have_the_names_of_their_languages():
    heads = make_heads()
    paths = [v.path for v in heads.trainable_variables]
    assert paths == [f"heads/{name}/{part}" for name in SIZES for part in ("kernel", "bias")]
    assert [tuple(v.shape) for v in heads.trainable_variables[2:4]] == [(9, DIM), (9,)]


def test_start_is_random_and_follows_the_seed():
    def start() -> np.ndarray:
        keras.utils.set_random_seed(3)
        heads = LanguageHeads(DIM, SIZES)
        heads.build()
        return np.concatenate([ops.convert_to_numpy(head.kernel.value) for head in heads.heads])

    np.testing.assert_array_equal(start(), start())
    assert len(np.unique(start())) > 80
