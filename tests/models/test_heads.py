from typing import Any, get_args

import keras
import numpy as np
import pytest
import scipy.special

from speech_mtl.models.heads import FORBIDDEN, POOLINGS, AttentionPooling, LanguageHeads, MeanPooling, PooledHead
from speech_mtl.settings.tasks import PooledTaskSection

ops: Any = keras.ops  # whose annotations admit strings and None


SIZES = {"cs": 4, "de": 9, "zh-CN": 6}
DIM = 5


def new_heads(sizes: dict[str, int] = SIZES, dim: int = DIM) -> LanguageHeads:
    own = {name: name for name in sizes}
    heads = LanguageHeads(list(sizes), sizes, own, dict.fromkeys(sizes, "top"), {"top": dim})
    heads.build(None)
    return heads


def make_heads(sizes: dict[str, int] = SIZES, dim: int = DIM) -> LanguageHeads:
    """Each head's weights depend on its name only."""
    heads = new_heads(sizes, dim)
    for head in heads.output_layers.values():
        generator = np.random.default_rng(list(head.name.encode()))
        head.kernel.assign(generator.normal(size=(head.num_tokens, dim)).astype("float32"))
        head.bias.assign(generator.normal(size=head.num_tokens).astype("float32"))
    return heads


@pytest.fixture(scope="module")
def frames() -> np.ndarray:
    return np.random.default_rng(0).normal(size=(4, 3, DIM)).astype("float32")


IDS = np.array([2, 0, 1, 0], "int32")


def logits_of(heads: LanguageHeads, frames: np.ndarray, ids: np.ndarray) -> np.ndarray:
    return ops.convert_to_numpy(heads({"top": frames}, None, ids))


def test_equals_one_product_an_utterance(frames):
    heads = make_heads()
    logits, layers = logits_of(heads, frames, IDS), list(heads.output_layers.values())
    assert logits.shape == (4, 3, 9)
    for i, language in enumerate(IDS):
        kernel, bias = (ops.convert_to_numpy(v.value) for v in layers[int(language)].trainable_variables)
        size = list(SIZES.values())[language]
        np.testing.assert_allclose(logits[i, :, :size], frames[i] @ kernel.T + bias, rtol=1e-5, atol=1e-6)
        np.testing.assert_allclose(logits[i, :, size:], FORBIDDEN, rtol=1e-6)


def test_of_one_language_it_is_its_part_of_the_logits(frames):
    heads = make_heads()
    for i, (language, size) in enumerate(SIZES.items()):
        expected = logits_of(heads, frames, np.full(4, i, "int32"))[:, :, :size]
        found = ops.convert_to_numpy(heads.of_one({"top": frames}, language))
        np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-6)


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
    variables = {v.path: v for head in heads.output_layers.values() for v in (head.kernel, head.bias)}

    def objective():
        return ops.sum(ops.log_softmax(heads({"top": frames}, None, ids), axis=-1)[:, :, :3] ** 2)

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
    ids = np.array([names.index(list(SIZES)[i]) for i in IDS], "int32")
    np.testing.assert_allclose(logits_of(other, frames, ids), logits_of(make_heads(), frames, IDS), rtol=1e-6)


def test_one_language(frames):
    heads = make_heads({"cs": 4})
    assert logits_of(heads, frames, np.zeros(4, "int32")).shape == (4, 3, 4)


def test_one_output_layer_is_as_among_others(frames):
    """Alone it is one product with all frames."""
    alone, among = make_heads({"de": 9}), make_heads()
    found, expected = (logits_of(heads, frames, np.full(4, i, "int32")) for heads, i in ((alone, 0), (among, 1)))
    np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-6)
    with pytest.raises(ValueError, match="at one tap"):
        alone({"block_0": frames}, None, np.zeros(4, "int32"))


def test_weights_have_the_names_of_their_languages():
    heads = make_heads()
    paths = [v.path for v in heads.trainable_variables]
    assert paths == [f"heads/{name}/{part}" for name in SIZES for part in ("kernel", "bias")]
    assert [tuple(v.shape) for v in heads.trainable_variables[2:4]] == [(9, DIM), (9,)]


def test_start_is_random_and_follows_the_seed():
    def start() -> np.ndarray:
        keras.utils.set_random_seed(3)
        heads = new_heads()
        return np.concatenate([ops.convert_to_numpy(head.kernel.value) for head in heads.output_layers.values()])

    np.testing.assert_array_equal(start(), start())
    assert len(np.unique(start())) > 80


def test_languages_that_share_an_output_layer(frames):
    """And one that has none: the rows of others are as without it."""
    layer_of = {"cs": "phones", "zh-CN": "phones"}
    heads = LanguageHeads(list(SIZES), {"phones": 7}, layer_of, {"phones": "top"}, {"top": DIM}, "phones")
    heads.build(None)
    kernel, bias = (ops.convert_to_numpy(v.value) for v in heads.trainable_variables)
    logits = logits_of(heads, frames, IDS)
    for i in (0, 1, 3):
        np.testing.assert_allclose(logits[i], frames[i] @ kernel.T + bias, rtol=1e-5, atol=1e-6)
    assert heads.taps(["de"]) == set()
    assert heads.taps(["cs"]) == {"top"}
    assert [heads.weights_of(name) for name in SIZES] == [[], [], []], "what several have is nobody's own"
    assert list(heads.parts()) == ["phones/phones"]


@pytest.mark.parametrize("tap", ["column_0", "column_1"])
def test_output_layers_at_several_taps(tap):
    """Each sees frames of its own width; those of one batch are at one tap."""
    taps, widths = {"cs": "column_0", "de": "column_1", "zh-CN": "column_0"}, {"column_0": 5, "column_1": 8}
    heads = LanguageHeads(list(SIZES), SIZES, {name: name for name in SIZES}, taps, widths)
    heads.build(None)
    frames = np.random.default_rng(0).normal(size=(2, 3, widths[tap])).astype("float32")
    own = [name for name in SIZES if taps[name] == tap]
    ids = np.array([list(SIZES).index(name) for name in (own[0], own[-1])], "int32")
    assert heads.taps(own) == {tap}
    logits = ops.convert_to_numpy(heads({tap: frames, "top": frames}, None, ids))
    assert logits.shape == (2, 3, 9)
    for row, name, one in zip(logits, (own[0], own[-1]), frames, strict=True):
        kernel, bias = (ops.convert_to_numpy(v.value) for v in heads.output_layers[name].trainable_variables)
        np.testing.assert_allclose(row[:, : SIZES[name]], one @ kernel.T + bias, rtol=1e-5, atol=1e-6)
        np.testing.assert_allclose(row[:, SIZES[name] :], FORBIDDEN, rtol=1e-6)
    with pytest.raises(ValueError, match="at one tap"):
        heads(dict.fromkeys(widths, frames), None, ids)


NUM_FRAMES = np.array([4, 7, 1], "int32")
every_pooling = pytest.mark.parametrize("kind", sorted(POOLINGS))


def randomized(layer: Any) -> Any:
    """A layer whose weights are all other than 0."""
    generator = np.random.default_rng(1)
    for variable in layer.trainable_variables:
        variable.assign(generator.normal(size=variable.shape).astype("float32"))
    return layer


def make_pooling(kind: str) -> Any:
    pooling = POOLINGS[kind](name="pooling")
    pooling.build((None, None, DIM))
    return randomized(pooling)


@pytest.fixture(scope="module")
def noisy() -> np.ndarray:
    """Three utterances, with noise behind their true frames."""
    return np.random.default_rng(0).normal(0, 2, (3, 7, DIM)).astype("float32")


def pooled(pooling: Any, frames: np.ndarray, num_frames: np.ndarray) -> np.ndarray:
    return ops.convert_to_numpy(pooling(frames, num_frames))


@every_pooling
def test_padding_changes_nothing(kind, noisy):
    pooling = make_pooling(kind)
    expected = pooled(pooling, noisy, NUM_FRAMES)
    assert expected.shape == (3, DIM)
    for junk in (0.0, 50.0):
        padded = np.full((3, 12, DIM), junk, "float32")
        for row, true, size in zip(padded, noisy, NUM_FRAMES, strict=True):
            row[:size] = true[:size]
        np.testing.assert_allclose(pooled(pooling, padded, NUM_FRAMES), expected, rtol=1e-5, atol=1e-6)


@pytest.mark.filterwarnings("ignore:You are using a softmax over axis")  # Keras wonders at a single frame
@every_pooling
def test_neighbours_change_nothing(kind, noisy):
    pooling = make_pooling(kind)
    expected = pooled(pooling, noisy, NUM_FRAMES)
    for i, size in enumerate(NUM_FRAMES):
        alone = pooled(pooling, noisy[i : i + 1, :size], NUM_FRAMES[i : i + 1])
        np.testing.assert_allclose(alone[0], expected[i], rtol=1e-5, atol=1e-6)


@every_pooling
def test_padding_has_no_gradient_and_every_true_frame_has_one(kind, noisy, value_and_gradients):
    pooling, variable = make_pooling(kind), keras.Variable(noisy)
    _, (gradient,) = value_and_gradients(lambda: ops.sum(pooling(variable.value, NUM_FRAMES) ** 2), [variable])
    for row, size in zip(gradient, NUM_FRAMES, strict=True):
        assert not row[size:].any()
        assert row[:size].any(axis=1).all()


@every_pooling
def test_a_row_that_is_padding_has_a_finite_gradient(kind, noisy, value_and_gradients):
    """A row without true frames gives zeros."""
    pooling, variable = make_pooling(kind), keras.Variable(noisy)
    num_frames = np.array([0, 7, 0], "int32")
    assert not pooled(pooling, noisy, num_frames)[[0, 2]].any()
    variables = [variable, *pooling.trainable_variables]
    _, gradients = value_and_gradients(lambda: ops.sum(pooling(variable.value, num_frames) ** 2), variables)
    assert all(np.isfinite(gradient).all() for gradient in gradients)
    assert not gradients[0][[0, 2]].any()


@every_pooling
def test_of_frames_that_are_alike_it_is_their_value(kind):
    """Whatever their number: a pooling is a weighted mean."""
    alike = np.tile(np.arange(DIM, dtype="float32"), (3, 7, 1))
    np.testing.assert_allclose(pooled(make_pooling(kind), alike, NUM_FRAMES), alike[:, 0], rtol=1e-5, atol=1e-6)


def test_poolings_are_those_of_the_settings():
    choices = get_args(PooledTaskSection.model_fields["pooling"].annotation)
    assert sorted(choices) == sorted(POOLINGS)
    assert PooledTaskSection().pooling in POOLINGS


def test_mean_equals_numpy(noisy):
    expected = [row[:size].mean(axis=0) for row, size in zip(noisy, NUM_FRAMES, strict=True)]
    pooling = MeanPooling()
    np.testing.assert_allclose(pooled(pooling, noisy, NUM_FRAMES), expected, rtol=1e-5, atol=1e-6)
    assert not pooling.trainable_variables


def test_attention_starts_as_the_mean(noisy):
    pooling = AttentionPooling()
    pooling.build((None, None, DIM))
    expected = pooled(MeanPooling(), noisy, NUM_FRAMES)
    np.testing.assert_allclose(pooled(pooling, noisy, NUM_FRAMES), expected, rtol=1e-5, atol=1e-6)


def test_attention_learns_from_its_start(noisy, value_and_gradients):
    pooling = AttentionPooling()
    pooling.build((None, None, DIM))
    (query,) = pooling.trainable_variables
    _, (gradient,) = value_and_gradients(lambda: ops.sum(pooling(noisy, NUM_FRAMES)), [query])
    assert (gradient != 0).all()


def test_attention_is_a_mean_weighted_by_the_softmax_of_answers(noisy):
    pooling = make_pooling("attention")
    (query,) = (ops.convert_to_numpy(variable.value) for variable in pooling.trainable_variables)
    assert query.shape == (DIM,)
    for found, row, size in zip(pooled(pooling, noisy, NUM_FRAMES), noisy, NUM_FRAMES, strict=True):
        weights = scipy.special.softmax((row[:size] @ query).astype("float64"))
        np.testing.assert_allclose(found, weights @ row[:size], rtol=1e-4, atol=1e-5)


@every_pooling
def test_a_head_is_pooling_and_an_output_layer(kind, noisy):
    head = PooledHead("top", DIM, 3, kind, name="mood")
    head.build(None)
    randomized(head)
    kernel, bias = (ops.convert_to_numpy(v.value) for v in head.output_layer.trainable_variables)
    found = ops.convert_to_numpy(head({"top": noisy}, NUM_FRAMES, None))
    assert found.shape == (3, 3)
    np.testing.assert_allclose(found, pooled(head.pooling, noisy, NUM_FRAMES) @ kernel + bias, rtol=1e-4, atol=1e-5)


def test_a_head_over_frames_uses_each_by_itself(noisy):
    head = PooledHead("top", DIM, 3, None, name="phones")
    head.build(None)
    randomized(head)
    kernel, bias = (ops.convert_to_numpy(v.value) for v in head.output_layer.trainable_variables)
    found = ops.convert_to_numpy(head({"top": noisy}, NUM_FRAMES, None))
    assert found.shape == (3, 7, 3)
    np.testing.assert_allclose(found, noisy @ kernel + bias, rtol=1e-4, atol=1e-5)


def test_weights_lie_below_the_target():
    with keras.name_scope("tasks"):
        head, plain = PooledHead("top", DIM, 4, "attention", "mood"), PooledHead("top", DIM, 3, None, "phones")
        head.build(None)
        plain.build(None)
    assert {v.path: tuple(v.shape) for one in (head, plain) for v in one.trainable_variables} == {
        "tasks/mood/pooling/question": (DIM,),
        "tasks/mood/output/kernel": (DIM, 4),
        "tasks/mood/output/bias": (4,),
        "tasks/phones/output/kernel": (DIM, 3),
        "tasks/phones/output/bias": (3,),
    }
    assert list(head.parts()) == ["tasks/mood"]
    assert list(head.parts()["tasks/mood"]) == ["pooling/question", "output/kernel", "output/bias"]


def test_a_head_takes_the_frames_of_its_tap(noisy):
    head = PooledHead("block_0", DIM, 3, "mean", name="mood")
    head.build(None)
    assert head.taps(["cs"]) == {"block_0"}
    found = head({"top": 0 * noisy, "block_0": noisy}, NUM_FRAMES, None)
    expected = head({"block_0": noisy}, NUM_FRAMES, None)
    np.testing.assert_array_equal(ops.convert_to_numpy(found), ops.convert_to_numpy(expected))
