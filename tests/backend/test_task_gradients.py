"""The gradients of several tasks: of each by itself, and combined in the encoder."""

from collections.abc import Callable
from typing import Any

import keras
import numpy as np
import pytest
from made_up_targets import model_of, transcripts
from made_up_targets import tokens as targets_of
from tiny_encoders import encoder_settings, feature_settings

from speech_mtl.backend import (
    compile_products,
    compile_step,
    compile_surgery_step,
)
from speech_mtl.backend.shapes import common_size
from speech_mtl.backend.step import UNLIMITED, Limits, shared_positions
from speech_mtl.data.collation import padded_rows
from speech_mtl.datatypes import TRANSCRIPT, Batch
from speech_mtl.models.multitask import MultilingualModel
from speech_mtl.settings.network import OneEncoderSettings
from speech_mtl.settings.recipe import Recipe
from speech_mtl.targets.classes import Classes
from speech_mtl.targets.frame_multi_label import FrameMultiLabel
from speech_mtl.targets.multi_label import MultiLabel
from speech_mtl.targets.regression import Regression
from speech_mtl.training.objective import Objective
from speech_mtl.training.optimizer import FlatAdamW

ops: Any = keras.ops  # whose annotations admit strings and None

NAN = float("nan")
TEXTS = ("abcd", "ddb", "cab", "ba")
NUM_TOKENS = {"aa": 5, "bb": 5}
RECIPE = Recipe.model_validate(
    {
        "name": "x",
        "languages": {"aa": {}, "bb": {}},
        "tasks": {
            "mood": {"kind": "classes"},
            "age": {"kind": "number", "pooling": "mean"},
            "sounds": {"kind": "tags"},
            "phones": {"kind": "frame_tags"},
        },
        "data": {"dir": "nowhere"},
        "features": {"num_mels": 20},
        "augment": {"spec_augment": {"num_time_masks": 0, "num_frequency_masks": 0}},  # no randomness: steps compare
        "encoder": {**encoder_settings("conformer"), "dropout": 0.0},
    }
)
TASKS = {
    "mood": Classes("mood", "mood", ["angry", "happy", "sad"], "refuse"),
    "age": Regression("age", "age", 40.0, 10.0),
    "sounds": MultiLabel("sounds", "sounds", ["music", "noise"], "refuse"),
    "phones": FrameMultiLabel("phones", "phones", ["nasal", "voiced"], "refuse"),
}
OBJECTIVE = Objective(("aa", "bb"), (transcripts(), *TASKS.values()))
WEIGHTS = np.array([0.5, 2.0, 1.5, 0.25, 3.0, 1.0])
ONES = np.ones(6)


@pytest.fixture(scope="module")
def batch(speak) -> Batch:
    waveforms, num_samples = padded_rows([speak(text) for text in TEXTS], np.float32)
    tokens, num_tokens = padded_rows([np.array(["abcd".index(c) + 1 for c in text]) for text in TEXTS], np.int32)
    num_tokens[3] = 0
    phones = np.random.default_rng(0).integers(0, 2, (4, 40, 2)).astype("float32")
    phones[:, :, 1][:, ::3] = NAN
    labels = {
        "mood": np.array([2, NAN, 0, 1], "float32"),
        "age": np.array([NAN, 0.5, -1.0, 2.0], "float32"),
        "sounds": np.array([[1, NAN], [NAN, NAN], [0, 1], [NAN, 0]], "float32"),
        "phones": phones,
    }
    return Batch(waveforms, num_samples, np.array([0, 0, 1, 1], "int32"), {**targets_of(tokens, num_tokens), **labels})


def make_model(recipe: Recipe = RECIPE) -> MultilingualModel:
    """With questions other than zeros in the attention poolings, so that nothing is symmetric."""
    model = model_of(recipe, NUM_TOKENS, TASKS)
    generator = np.random.default_rng(3)
    for variable in (variable for name in TASKS for variable in model.heads[name].trainable_variables):
        variable.assign(generator.normal(0, 0.3, variable.shape).astype("float32"))
    return model


def make_optimizer(model: MultilingualModel) -> FlatAdamW:
    """A large epsilon makes the first step a smooth function of the gradient; the usual one takes its sign."""
    optimizer = FlatAdamW(model.trainable_variables, None, weight_decay=0.0, clip_norm=1e9, average_decay=0.0)
    optimizer.epsilon = 1.0
    return optimizer


def arrays(variables: list) -> list[np.ndarray]:
    return [ops.convert_to_numpy(variable.value) for variable in variables]


@pytest.fixture(scope="module")
def gradients_of(value_and_gradients):
    """(T, P) gradient of each task's part of the objective, one backward pass after another."""

    def run(model: MultilingualModel, batch: Batch, variables: list, objective: Objective = OBJECTIVE) -> np.ndarray:
        def part(task: int):
            logits = model(*batch[:3], training=True)
            return objective.by_task(*objective.losses(logits, batch), batch.language_ids)[task]

        rows = []
        for task in range(len(objective.names)):
            _, gradients = value_and_gradients(lambda task=task: part(task), variables)
            rows.append(np.concatenate([gradient.ravel() for gradient in gradients]))
        return np.array(rows, "float64")

    return run


def assert_same_products(found: np.ndarray, rows: np.ndarray) -> None:
    """Products of gradients, in comparison with their lengths."""
    lengths = np.linalg.norm(rows, axis=1)
    assert found.shape == (len(rows), len(rows))
    np.testing.assert_allclose(found, rows @ rows.T, rtol=0, atol=1e-3 * lengths.max() ** 2)
    present = lengths > 0
    scale = np.outer(lengths, lengths)[np.ix_(present, present)]
    np.testing.assert_allclose(
        found[np.ix_(present, present)] / scale, (rows @ rows.T)[np.ix_(present, present)] / scale, rtol=0, atol=2e-3
    )
    assert not found[~present].any()


def test_products_are_those_of_the_weighted_tasks_gradients(batch, gradients_of, untraced):
    model = make_model()
    rows = gradients_of(model, batch, model.encoder.trainable_variables)
    assert (np.linalg.norm(rows, axis=1) > 1e-3).all()
    assert (rows @ rows.T < 0).any(), "some tasks conflict"
    products = compile_products(model, OBJECTIVE)
    assert_same_products(products(batch, WEIGHTS), WEIGHTS[:, None] * rows)
    without_age = batch._replace(targets={**batch.targets, "age": np.full(4, NAN, "float32")})
    rows[3] = 0.0
    assert_same_products(products(without_age, WEIGHTS), WEIGHTS[:, None] * rows)


def test_a_language_that_is_not_in_the_batch_has_no_gradient(batch, gradients_of, untraced):
    model = make_model()
    only = keras.tree.map_structure(lambda array: array[:2], batch)
    rows = gradients_of(model, only, model.encoder.trainable_variables)
    assert [bool(row.any()) for row in rows[:2]] == [True, False]
    assert_same_products(compile_products(model, OBJECTIVE)(only, ONES), rows)


def test_watching_the_last_layer(batch, gradients_of, untraced):
    """Products of what each task adds to the objective at a loss weight of 1; and the step is the same as without."""
    watching, plain = make_model(), make_model()
    rows = gradients_of(watching, batch, watching.encoder.last_layer.trainable_variables)
    assert (np.linalg.norm(rows, axis=1) > 1e-3).all()
    found = compile_step(
        watching, make_optimizer(watching), OBJECTIVE, watched=watching.encoder.last_layer.trainable_variables
    )(batch, 0.1, WEIGHTS, 3)()
    expected = compile_step(plain, make_optimizer(plain), OBJECTIVE)(batch, 0.1, WEIGHTS, 3)()
    assert_same_products(found.products, rows)
    assert expected.products.size == 0
    assert found.norm == pytest.approx(expected.norm, rel=1e-5)
    for one, other in zip(arrays(watching.trainable_variables), arrays(plain.trainable_variables), strict=True):
        np.testing.assert_allclose(one, other, atol=1e-6)


def assert_same_steps(batch: Batch, limits: Limits, threads: Callable[[int], None] = lambda _: None) -> None:
    """Two steps in turn: losses, objective, products and weights afterwards are those of whole batches."""
    models = whole, other = make_model(), make_model()
    steps = []
    for number, (model, own) in enumerate(zip(models, (UNLIMITED, limits), strict=True)):
        threads(number)
        last = model.encoder.last_layer.trainable_variables
        steps.append(compile_step(model, make_optimizer(model), OBJECTIVE, last, own))
    for update in range(2):
        expected, found = (step(batch, 0.1, WEIGHTS, update)() for step in steps)
        np.testing.assert_allclose(found.losses, expected.losses, rtol=1e-4, atol=1e-5)
        np.testing.assert_array_equal(found.counts, expected.counts)
        assert found.objective == pytest.approx(expected.objective, rel=1e-4)
        assert found.norm == pytest.approx(expected.norm, rel=1e-4)
        np.testing.assert_allclose(found.products, expected.products, atol=1e-3 * np.abs(expected.products).max())
    for one, same in zip(arrays(whole.trainable_variables), arrays(other.trainable_variables), strict=True):
        np.testing.assert_allclose(one, same, atol=1e-4)


@pytest.mark.parametrize("num_parts", [2, 3])
def test_parts_side_by_side_are_one_batch(num_parts, batch, monkeypatch):
    """Though each part has other tasks."""
    if keras.backend.backend() != "tensorflow":
        pytest.skip("parts are computed side by side under TensorFlow")

    def threads(number: int) -> None:
        monkeypatch.setenv("TF_NUM_INTRAOP_THREADS", "1")
        monkeypatch.setenv("TF_NUM_INTEROP_THREADS", str([1, num_parts][number]))

    assert_same_steps(batch, UNLIMITED, threads)


@pytest.mark.parametrize("num_rows", [1, 2, 3])
def test_parts_one_after_another_are_one_batch(num_rows, batch):
    """So many utterances are computed at once, of four."""
    assert_same_steps(batch, Limits(part=num_rows * common_size(batch.waveforms.shape[1])))


@pytest.mark.parametrize("kind", sorted(OneEncoderSettings.kinds()))
def test_every_task_has_a_gradient_in_the_last_layer(kind, batch, gradients_of):
    shallow, model = (
        make_model(
            RECIPE.overridden(
                {"encoder": {**encoder_settings(kind, n), "dropout": 0.0}, "features": feature_settings(kind)}
            )
        )
        for n in (1, 2)
    )
    last = model.encoder.last_layer.trainable_variables
    shared = {variable.path for variable in model.encoder.trainable_variables}
    assert {variable.path for variable in last} < shared
    lower = {variable.path for variable in shallow.encoder.trainable_variables}
    assert not lower.intersection(variable.path for variable in last), "it is among the layers that come last"
    tokens, num_tokens = batch.targets[TRANSCRIPT]
    short = batch._replace(  # recurrent layers take a while outside of compiled functions
        waveforms=batch.waveforms[:, :4000],
        num_samples=np.full(4, 4000, "int32"),
        targets={**batch.targets, **targets_of(tokens, np.minimum(num_tokens, 1))},
    )
    assert (np.linalg.norm(gradients_of(model, short, last), axis=1) > 1e-3).all()


def test_a_step_descends_the_weighted_objective(batch, gradients_of, untraced):
    """All that a step reports and does, from the gradients of the tasks by themselves."""
    model = make_model()
    before, variables = arrays(model.trainable_variables), model.trainable_variables
    rows = gradients_of(model, batch, variables)
    logits = model(*batch[:3], training=True)
    losses, counts = (ops.convert_to_numpy(part) for part in OBJECTIVE.losses(logits, batch))
    parts = ops.convert_to_numpy(OBJECTIVE.by_task(losses, counts, batch.language_ids))
    found = compile_step(model, make_optimizer(model), OBJECTIVE)(batch, 0.1, WEIGHTS, 3)()
    np.testing.assert_allclose(found.losses, losses, rtol=1e-4, atol=1e-6)
    np.testing.assert_array_equal(found.counts, counts)
    assert found.objective == pytest.approx(WEIGHTS @ parts, rel=1e-4)
    total = WEIGHTS @ rows
    assert found.norm == pytest.approx(np.linalg.norm(total), rel=1e-3)
    moved = np.concatenate([(new - old).ravel() for new, old in zip(arrays(variables), before, strict=True)])
    rate = np.sqrt(1 - 0.98) / (1 - 0.9)
    expected = -0.1 * rate * 0.1 * total / (np.sqrt(0.02) * np.abs(total) + 1.0)
    np.testing.assert_allclose(moved, expected, atol=1e-3 * np.abs(expected).max())


def test_shared_positions():
    model = make_model()
    inside, outside = shared_positions(model, model.trainable_variables)
    assert sorted([*inside, *outside]) == list(range(len(model.trainable_variables)))
    paths = [variable.path.split("/")[0] for variable in model.trainable_variables]
    assert {paths[i] for i in inside} == {"encoder"}
    assert {paths[i] for i in outside} == {"heads", "tasks"}


def test_coefficients_count_in_the_encoder_and_not_in_heads(batch, gradients_of, untraced):
    model = make_model()
    variables = model.trainable_variables
    before = arrays(variables)
    rows = gradients_of(model, batch, variables)
    inside, _ = shared_positions(model, variables)
    shared = np.concatenate([np.full(old.size, i in inside) for i, old in enumerate(before)])
    coefficients = np.array([1.0, -0.5, 0.0, 2.0, 0.0, 1.5])
    seen: list[np.ndarray] = []
    step = compile_surgery_step(
        model, make_optimizer(model), OBJECTIVE, lambda products, _: seen.append(products) or coefficients
    )
    found = step(batch, 0.1, WEIGHTS, 3)()
    assert_same_products(seen[0], WEIGHTS[:, None] * rows[:, shared])
    np.testing.assert_array_equal(found.products, seen[0])
    total = np.where(shared, (coefficients * WEIGHTS) @ rows, WEIGHTS @ rows)
    assert found.norm == pytest.approx(np.linalg.norm(total), rel=1e-3)
    moved = np.concatenate([(new - old).ravel() for new, old in zip(arrays(variables), before, strict=True)])
    rate = np.sqrt(1 - 0.98) / (1 - 0.9)
    expected = -0.1 * rate * 0.1 * total / (np.sqrt(0.02) * np.abs(total) + 1.0)
    np.testing.assert_allclose(moved, expected, atol=1e-3 * np.abs(expected).max())


def test_surgery_by_ones_is_the_plain_step(batch):
    """Compiled, over two batches of different shapes; the coefficients are asked for anew in each."""
    surgery, plain = make_model(), make_model()
    asked: list[np.ndarray] = []

    def ones(products: np.ndarray, update: int) -> np.ndarray:
        assert update == len(asked)
        asked.append(products)
        return ONES

    step = compile_surgery_step(surgery, make_optimizer(surgery), OBJECTIVE, ones)
    expected_step = compile_step(plain, make_optimizer(plain), OBJECTIVE)
    rows = [0, 2, 3]
    smaller = keras.tree.map_structure(lambda array: array[rows], batch)
    smaller = smaller._replace(waveforms=np.pad(smaller.waveforms, ((0, 0), (0, 1000))))
    for number, part in enumerate((batch, smaller)):
        before = arrays(surgery.trainable_variables)
        found, expected = (one(part, 0.3, WEIGHTS, number)() for one in (step, expected_step))
        np.testing.assert_allclose(found.losses, expected.losses, rtol=1e-3, atol=1e-5)
        np.testing.assert_array_equal(found.counts, expected.counts)
        assert found.objective == pytest.approx(expected.objective, rel=1e-3)
        assert found.norm == pytest.approx(expected.norm, rel=1e-3)
        weights = (arrays(model.trainable_variables) for model in (surgery, plain))
        for old, one, other in zip(before, *weights, strict=True):
            np.testing.assert_allclose(one, other, atol=1e-5)
            assert (one != old).any()
    assert len(asked) == 2
    assert (asked[0] != asked[1]).any()
