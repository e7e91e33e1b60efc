"""Heads of tasks, and what the package relies on in any pooling. It finds new ones in `POOLINGS` by itself."""

from typing import Any, get_args

import keras
import numpy as np
import pytest
import scipy.special

from speech_mtl.models.task_heads import POOLINGS, AttentionPooling, MeanPooling, TaskHead, TaskHeads
from speech_mtl.settings import tasks as settings

ops: Any = keras.ops  # whose annotations admit strings and None

DIM = 5
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
def frames() -> np.ndarray:
    """Three utterances, with noise behind their true frames."""
    return np.random.default_rng(0).normal(0, 2, (3, 7, DIM)).astype("float32")


def pooled(pooling: Any, frames: np.ndarray, num_frames: np.ndarray) -> np.ndarray:
    return ops.convert_to_numpy(pooling(frames, num_frames))


@every_pooling
def test_padding_changes_nothing(kind, frames):
    pooling = make_pooling(kind)
    expected = pooled(pooling, frames, NUM_FRAMES)
    assert expected.shape == (3, DIM)
    for junk in (0.0, 50.0):
        padded = np.full((3, 12, DIM), junk, "float32")
        for row, true, size in zip(padded, frames, NUM_FRAMES, strict=True):
            row[:size] = true[:size]
        np.testing.assert_allclose(pooled(pooling, padded, NUM_FRAMES), expected, rtol=1e-5, atol=1e-6)


@pytest.mark.filterwarnings("ignore:You are using a softmax over axis")  # Keras wonders at a single frame
@every_pooling
def test_neighbours_change_nothing(kind, frames):
    pooling = make_pooling(kind)
    expected = pooled(pooling, frames, NUM_FRAMES)
    for i, size in enumerate(NUM_FRAMES):
        alone = pooled(pooling, frames[i : i + 1, :size], NUM_FRAMES[i : i + 1])
        np.testing.assert_allclose(alone[0], expected[i], rtol=1e-5, atol=1e-6)


@every_pooling
def test_padding_has_no_gradient_and_every_true_frame_has_one(kind, frames, value_and_gradients):
    pooling, variable = make_pooling(kind), keras.Variable(frames)
    _, (gradient,) = value_and_gradients(lambda: ops.sum(pooling(variable.value, NUM_FRAMES) ** 2), [variable])
    for row, size in zip(gradient, NUM_FRAMES, strict=True):
        assert not row[size:].any()
        assert row[:size].any(axis=1).all()


@every_pooling
def test_a_row_that_is_padding_has_a_finite_gradient(kind, frames, value_and_gradients):
    """A row without true frames gives zeros."""
    pooling, variable = make_pooling(kind), keras.Variable(frames)
    num_frames = np.array([0, 7, 0], "int32")
    assert not pooled(pooling, frames, num_frames)[[0, 2]].any()
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
    choices = get_args(settings.PooledTaskSection.model_fields["pooling"].annotation)
    assert sorted(choices) == sorted(POOLINGS)
    assert settings.PooledTaskSection().pooling in POOLINGS


def test_mean_equals_numpy(frames):
    expected = [row[:size].mean(axis=0) for row, size in zip(frames, NUM_FRAMES, strict=True)]
    pooling = MeanPooling()
    np.testing.assert_allclose(pooled(pooling, frames, NUM_FRAMES), expected, rtol=1e-5, atol=1e-6)
    assert not pooling.trainable_variables


def test_attention_starts_as_the_mean(frames):
    pooling = AttentionPooling()
    pooling.build((None, None, DIM))
    expected = pooled(MeanPooling(), frames, NUM_FRAMES)
    np.testing.assert_allclose(pooled(pooling, frames, NUM_FRAMES), expected, rtol=1e-5, atol=1e-6)


def test_attention_learns_from_its_start(frames, value_and_gradients):
    pooling = AttentionPooling()
    pooling.build((None, None, DIM))
    (question,) = pooling.trainable_variables
    _, (gradient,) = value_and_gradients(lambda: ops.sum(pooling(frames, NUM_FRAMES)), [question])
    assert (gradient != 0).all()


def test_attention_is_a_mean_weighted_by_the_softmax_of_answers(frames):
    pooling = make_pooling("attention")
    (question,) = (ops.convert_to_numpy(variable.value) for variable in pooling.trainable_variables)
    assert question.shape == (DIM,)
    for found, row, size in zip(pooled(pooling, frames, NUM_FRAMES), frames, NUM_FRAMES, strict=True):
        weights = scipy.special.softmax((row[:size] @ question).astype("float64"))
        np.testing.assert_allclose(found, weights @ row[:size], rtol=1e-4, atol=1e-5)


@every_pooling
def test_a_head_is_pooling_and_an_output_layer(kind, frames):
    head = TaskHead(DIM, 3, kind, name="mood")
    head.build()
    randomized(head)
    kernel, bias = (ops.convert_to_numpy(v.value) for v in head.output_layer.trainable_variables)
    found = ops.convert_to_numpy(head(frames, NUM_FRAMES))
    assert found.shape == (3, 3)
    np.testing.assert_allclose(found, pooled(head.pooling, frames, NUM_FRAMES) @ kernel + bias, rtol=1e-4, atol=1e-5)


def test_a_head_over_frames_looks_at_each_by_itself(frames):
    head = TaskHead(DIM, 3, None, name="phones")
    head.build()
    randomized(head)
    kernel, bias = (ops.convert_to_numpy(v.value) for v in head.output_layer.trainable_variables)
    found = ops.convert_to_numpy(head(frames, NUM_FRAMES))
    assert found.shape == (3, 7, 3)
    np.testing.assert_allclose(found, frames @ kernel + bias, rtol=1e-4, atol=1e-5)


def test_heads_by_name(frames):
    """Each has weights of its own, under its own name."""
    heads = TaskHeads(
        {
            "mood": TaskHead(DIM, 4, "attention", name="mood"),
            "who": TaskHead(DIM, 2, "attention", name="who"),
            "age": TaskHead(DIM, 1, "mean", name="age"),
            "phones": TaskHead(DIM, 3, None, name="phones"),
        }
    )
    heads.build()
    found = {name: ops.convert_to_numpy(array) for name, array in heads(frames, NUM_FRAMES).items()}
    assert {name: array.shape for name, array in found.items()} == {
        "mood": (3, 4),
        "who": (3, 2),
        "age": (3, 1),
        "phones": (3, 7, 3),
    }
    shapes = {variable.path: tuple(variable.shape) for variable in heads.trainable_variables}
    assert shapes == {
        "tasks/mood/pooling/question": (DIM,),
        "tasks/mood/output/kernel": (DIM, 4),
        "tasks/mood/output/bias": (4,),
        "tasks/who/pooling/question": (DIM,),
        "tasks/who/output/kernel": (DIM, 2),
        "tasks/who/output/bias": (2,),
        "tasks/age/output/kernel": (DIM, 1),
        "tasks/age/output/bias": (1,),
        "tasks/phones/output/kernel": (DIM, 3),
        "tasks/phones/output/bias": (3,),
    }
    assert len(heads.trainable_variables) == len(shapes)


@every_pooling
def test_names_of_weights_are_unique_and_lie_below_the_task(kind):
    heads = TaskHeads({name: TaskHead(DIM, 2, kind, name=name) for name in ("one", "other")})
    heads.build()
    paths = [variable.path for variable in heads.trainable_variables]
    assert len(set(paths)) == len(paths)
    assert {path.split("/")[1] for path in paths} == {"one", "other"}
    assert all(path.startswith("tasks/") for path in paths)


def test_no_task():
    heads = TaskHeads({})
    heads.build()
    assert heads(np.zeros((1, 2, DIM), "float32"), np.array([2], "int32")) == {}
    assert heads.trainable_variables == []
