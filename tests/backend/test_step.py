from itertools import pairwise
from typing import Any

import keras
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from made_up_targets import model_of, objective_of
from made_up_targets import tokens as targets_of
from tiny_encoders import encoder_settings

from speech_mtl.backend import compile_forward, compile_step, ctc_loss
from speech_mtl.backend.shapes import common_size, in_common_shape
from speech_mtl.backend.step import Limits, StepResult, rows_by_part
from speech_mtl.data.collation import padded_rows
from speech_mtl.datatypes import TRANSCRIPT, Batch
from speech_mtl.decoding.greedy import Greedy
from speech_mtl.run.build import build_optimizer
from speech_mtl.settings.recipe import Recipe
from speech_mtl.training.objective import Objective

ops: Any = keras.ops  # whose annotations admit strings and None


TEXTS = ("abcd", "ddb", "cab")
NUM_TOKENS = {"aa": 5, "bb": 5}


RECIPE = Recipe.model_validate(
    {
        "name": "x",
        "languages": {"aa": {}, "bb": {}},
        "data": {"dir": "nowhere"},
        "features": {"num_mels": 20},
        "augment": {
            "spec_augment": {"num_time_masks": 1, "max_time_share": 0.05, "num_frequency_masks": 2, "max_mels": 2}
        },
        "encoder": {**encoder_settings("conformer"), "dropout": 0.05},
        "training": {"weight_decay": 0.0, "clip_norm": 5.0},
    }
)


class Training:
    """A fresh build of the recipe, its compiled step, and the losses and norms of its updates with equal weights."""

    def __init__(self):
        self.model = model_of(RECIPE, NUM_TOKENS)
        self.optimizer = build_optimizer(self.model, RECIPE.training)
        self.step = compile_step(self.model, self.optimizer, objective_of(self.model))
        self.curve: list[tuple[list[float], float]] = []

    def update(self, batch: Batch, rate: float = 1e-2) -> StepResult:
        found = self.step(batch, rate, np.ones(len(NUM_TOKENS)), len(self.curve))()
        self.curve.append((found.losses[:, 0].tolist(), found.norm))
        return found

    def weights(self) -> list[np.ndarray]:
        return [ops.convert_to_numpy(v.value) for v in self.model.trainable_variables]


@pytest.fixture(scope="module")
def batch(speak) -> Batch:
    """The same sounds are other letters in the other language."""
    waveforms, num_samples = padded_rows([speak(text) for text in TEXTS], np.float32)
    tokens, num_tokens = padded_rows([np.array(["abcd".index(c) + 1 for c in text]) for text in TEXTS], np.int32)
    tokens[2, : num_tokens[2]] = 5 - tokens[2, : num_tokens[2]]
    return Batch(waveforms, num_samples, np.array([0, 0, 1], "int32"), targets_of(tokens, num_tokens))


def longer(batch: Batch) -> Batch:
    """The same, with more padding."""
    ids, sizes = batch.targets[TRANSCRIPT]
    waveforms = np.pad(batch.waveforms, ((0, 0), (0, 1000)))
    return batch._replace(waveforms=waveforms, targets=targets_of(np.pad(ids, ((0, 0), (0, 2))), sizes))


def as_the_step_sees(batch: Batch) -> Batch:
    """The batch in the shape in which the backend draws random numbers for it."""
    if keras.backend.backend() != "jax":
        return batch
    return in_common_shape(batch)


def read(*_):
    raise AssertionError("a result was read")


def test_training(batch, monkeypatch, value_and_gradients):
    """In one test, since tracing a step takes seconds: objective, number of traces, same seed, and learning a batch."""
    traces = []
    losses = Objective.losses

    def noted(*arguments):  # AutoGraph cannot trace it as a lambda
        traces.append(1)
        return losses(*arguments)

    monkeypatch.setattr(Objective, "losses", noted)
    first = Training()
    model, random = first.model, first.model.random.state

    # The objective is the loss per token; eagerly, from the same random state, dropout and masks are the same.
    seen = as_the_step_sees(batch)

    def loss_per_token():
        outputs = model(*seen[:3], training=True)
        return ops.sum(ctc_loss(outputs.values[TRANSCRIPT], outputs.num_frames, *seen.targets[TRANSCRIPT])) / 10

    tokens, num_tokens = batch.targets[TRANSCRIPT]
    assert num_tokens.sum() == 10
    state = ops.convert_to_numpy(random.value)
    value, gradients = value_and_gradients(loss_per_token, model.trainable_variables)
    random.assign(state)
    before = first.weights()
    found = first.update(batch)
    assert found.losses.shape == found.counts.shape == (3, 1)
    assert found.counts[:, 0].tolist() == num_tokens.tolist()
    assert found.losses.sum() / 10 == pytest.approx(float(value), rel=1e-4)
    assert found.objective == pytest.approx(float(value), rel=1e-4)
    assert found.products.size == 0, "nobody asked for them"
    assert found.norm == pytest.approx(np.sqrt(sum((g.astype("float64") ** 2).sum() for g in gradients)), rel=1e-3)
    assert all((old != new).any() for old, new in zip(before, first.weights(), strict=True))

    # Another build with the same seed gives the same, to the last bit.
    for _ in range(7):
        first.update(batch)
    second = Training()
    for _ in range(8):
        second.update(batch)
    assert first.curve == second.curve
    for one, other in zip(first.weights(), second.weights(), strict=True):
        np.testing.assert_array_equal(one, other)
    np.testing.assert_array_equal(*(ops.convert_to_numpy(t.model.random.state.value) for t in (first, second)))

    # A step begins without waiting for what it computes.
    if keras.backend.backend() == "tensorflow":
        with monkeypatch.context() as patched:
            for name in ("numpy", "__array__"):
                patched.setattr(type(ops.zeros(1)), name, read)
            pending = first.step(batch, 1e-2, np.ones(len(NUM_TOKENS)), 8)
        assert pending().losses.shape == (3, 1)

    # It learns, in batches of several shapes, and is traced once a build.
    for update in range(180):
        first.update(longer(batch) if update % 2 else batch)
    first.update(keras.tree.map_structure(lambda array: array[:2], batch), 0.0)
    if keras.backend.backend() == "tensorflow":
        assert len(traces) == 2
    forward = compile_forward(model)
    values, num_frames = forward(*batch[:3])
    logits = values[TRANSCRIPT]
    learnt = ops.convert_to_numpy(ctc_loss(logits, num_frames, tokens, num_tokens))
    assert sum(first.curve[0][0]) > 15
    assert learnt.max() < 0.3
    assert isinstance(logits, np.ndarray)
    assert list(values) == [TRANSCRIPT]
    greedy, true = Greedy([], "aa"), zip(logits, num_frames, strict=True)
    decoded = [[token.number for token in greedy.decode(rows[:size]).tokens] for rows, size in true]
    assert decoded == [row[:size].tolist() for row, size in zip(tokens, num_tokens, strict=True)]

    # The compiled network is the network.
    eager = model(*batch[:3], training=False)
    np.testing.assert_allclose(logits, ops.convert_to_numpy(eager.values[TRANSCRIPT]), rtol=1e-3, atol=1e-3)
    np.testing.assert_array_equal(num_frames, ops.convert_to_numpy(eager.num_frames))


def side_by_side(monkeypatch: pytest.MonkeyPatch, number: int) -> None:
    """What is compiled afterwards has so many threads."""
    if keras.backend.backend() != "tensorflow":
        pytest.skip("parts are computed side by side under TensorFlow")
    monkeypatch.setenv("TF_NUM_INTRAOP_THREADS", "1")
    monkeypatch.setenv("TF_NUM_INTEROP_THREADS", str(number))


def test_parts_draw_other_random_numbers_and_the_same_each_time(batch, monkeypatch, untraced):
    """Three times the same utterance, in three parts."""
    same = batch.of(np.zeros(3, int))
    curves, states = [], []
    for number in (3, 3, 1):
        side_by_side(monkeypatch, number)
        training = Training()
        for _ in range(2):
            training.update(same)
        curves.append([losses for losses, _ in training.curve])
        states.append(ops.convert_to_numpy(training.model.random.state.value).tolist())
    assert curves[0] == curves[1]
    assert all(len(set(losses)) == 3 for losses in curves[0])
    assert states[0] == states[1] == states[2], "the state moves as for a whole batch"


@pytest.mark.skipif(keras.backend.backend() != "tensorflow", reason="parts are computed side by side under TensorFlow")
def test_no_part_draws_what_another_drew_at_another_place():
    from speech_mtl.backend.tensorflow_backend import state_of

    drawn = {}
    for part in range(3):
        generator = keras.random.SeedGenerator(seed=1)
        generator.state.assign(state_of(part, np.array([1, 1000])))
        drawn[part] = {float(keras.random.uniform((), seed=generator)) for _ in range(64)}
    assert all(len(numbers) == 64 for numbers in drawn.values())
    assert len(drawn[0] | drawn[1] | drawn[2]) == 3 * 64


def test_the_loss_of_parts_is_traced_once_and_in_full_float32(batch, monkeypatch):
    """Else GPUs multiply in TF32."""
    if keras.backend.backend() != "jax":
        pytest.skip("XLA computes the loss under JAX")
    import jax  # pyright: ignore[reportMissingImports]

    losses, precisions = Objective.losses, []

    def noted(*arguments):
        precisions.append(jax.config.jax_default_matmul_precision)
        return losses(*arguments)

    monkeypatch.setattr(Objective, "losses", noted)
    model = model_of(RECIPE, NUM_TOKENS)
    limits = Limits(part=common_size(batch.waveforms.shape[1]))
    step = compile_step(model, build_optimizer(model, RECIPE.training), objective_of(model), limits=limits)
    assert step(batch, 1e-2, np.ones(2), 0)().losses.shape == (3, 1)
    assert precisions == ["highest"]
    assert jax.config.jax_default_matmul_precision is None


@pytest.mark.parametrize("number", [2, 3, 8])
def test_a_batch_recognised_in_parts(number, batch, monkeypatch):
    side_by_side(monkeypatch, 1)
    model = model_of(RECIPE, NUM_TOKENS)
    expected = compile_forward(model)(*batch[:3])
    side_by_side(monkeypatch, number)
    found = compile_forward(model)(*batch[:3])
    np.testing.assert_array_equal(found.num_frames, expected.num_frames)
    for name, values in expected.values.items():
        assert found.values[name].shape == (len(values), max(expected.num_frames), values.shape[2])
        for one, other, size in zip(found.values[name], values, expected.num_frames, strict=True):
            np.testing.assert_allclose(one[:size], other[:size], rtol=1e-4, atol=1e-4)


@given(st.lists(st.integers(1, 1000), min_size=1, max_size=40), st.integers(1, 12))
def test_parts_hold_every_row_once_and_are_of_similar_length(sizes, num_parts):
    num_samples = np.array(sizes, "int32")
    parts = rows_by_part(num_samples, num_parts)
    assert sorted(np.concatenate(parts).tolist()) == list(range(len(sizes)))
    assert 1 <= len(parts) <= num_parts
    totals = [int(num_samples[part].sum()) for part in parts]
    assert max(totals) <= num_samples.sum() / num_parts + num_samples.max()
    assert all(num_samples[a].max() <= num_samples[b].min() for a, b in pairwise(parts))


@given(st.integers(1, 300), st.integers(1, 1000), st.integers(1, 100_000))
def test_parts_are_as_few_as_fit(num_rows, num_samples, part):
    number = Limits(part=part).num_parts(num_rows, num_samples)
    at_once = -(-num_rows // number)
    assert at_once == 1 or at_once * num_samples <= part
    assert number == 1 or -(-num_rows // (number - 1)) * num_samples > part
    assert Limits().num_parts(num_rows, num_samples) == 1


def test_padding_to_common_shapes_changes_no_loss(batch):
    padded, model = in_common_shape(batch), model_of(RECIPE, NUM_TOKENS)
    assert (len(batch.num_samples), len(padded.num_samples)) == (3, 3)
    padded = keras.tree.map_structure(lambda one: np.pad(one, [(0, 1)] + [(0, 0)] * (one.ndim - 1)), padded)

    def losses(of: Batch) -> np.ndarray:
        values, num_frames = model(*of[:3], training=False)
        return ops.convert_to_numpy(ctc_loss(values[TRANSCRIPT], num_frames, *of.targets[TRANSCRIPT]))

    assert padded.waveforms.shape[1] > batch.waveforms.shape[1]
    np.testing.assert_allclose(losses(padded), [*losses(batch), 0.0], rtol=1e-4)


def test_unknown_backend(monkeypatch):
    monkeypatch.setattr(keras.backend, "backend", lambda: "torch")
    nothing: Any = None
    with pytest.raises(NotImplementedError, match="torch"):
        compile_step(nothing, nothing, nothing)
