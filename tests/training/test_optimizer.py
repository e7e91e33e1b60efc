"""What training relies on in any optimiser, found by itself; and AdamW by its papers and by Keras."""

from collections.abc import Callable
from functools import partial
from itertools import pairwise
from typing import Any

import keras
import numpy as np
import pytest
from made_up_targets import model_of, objective_of, tokens
from usual import usual

from speech_mtl.backend import compile_step
from speech_mtl.backend.step import rate_vector
from speech_mtl.datatypes import Batch
from speech_mtl.run.build import build_optimizer
from speech_mtl.settings.recipe import Recipe
from speech_mtl.settings.training import OptimizerSettings
from speech_mtl.training.optimizer import FlatAdamW, FlatOptimizer

ops: Any = keras.ops  # whose annotations admit strings and None

KINDS = OptimizerSettings.kinds()
every_kind = pytest.mark.parametrize("kind", sorted(KINDS))
flat_adamw = partial(FlatAdamW, groups=None, weight_decay=0.01, clip_norm=1.0, average_decay=0.0)


def make(kind: str, weights: list[keras.Variable], groups: list[int] | None = None, **given: float) -> FlatOptimizer:
    plain = {"weight_decay": 0.01, "clip_norm": 1.0, "average_decay": 0.0}
    return usual(KINDS[kind], weights, groups, **{**plain, **given})


SHAPES = {"kernel": (4, 3), "bias": (3,), "convolution": (3, 2, 2), "gain": (5,)}
STEPS = 6


def make_weights() -> list[keras.Variable]:
    generator = np.random.default_rng(0)
    return [keras.Variable(generator.normal(size=shape).astype("float32"), name=name) for name, shape in SHAPES.items()]


def gradients_of(step: int, scale: float = 1.0) -> list[np.ndarray]:
    generator = np.random.default_rng(100 + step)
    return [(generator.normal(size=shape) * scale).astype("float32") for shape in SHAPES.values()]


def rate_of(step: int) -> float:
    return 0.05 / (step + 1)


def apply(optimizer: FlatOptimizer, gradients: list[np.ndarray], rate: float | np.ndarray) -> float:
    weights, state = optimizer.weights, optimizer.variables
    new, new_state, norm = optimizer.updated(
        [w.value for w in weights], optimizer.flattened(gradients), [s.value for s in state], rate_vector(rate)
    )
    for variable, value in zip([*weights, *state], [*new, *new_state], strict=True):
        variable.assign(value)
    return float(ops.convert_to_numpy(norm))


def values(weights: list[keras.Variable]) -> list[np.ndarray]:
    return [ops.convert_to_numpy(weight.value) for weight in weights]


@pytest.mark.parametrize("clip_norm", [1e9, 1.0])
def test_equals_keras(clip_norm):
    ours, theirs = make_weights(), make_weights()
    optimizer = flat_adamw(ours, weight_decay=0.1, clip_norm=clip_norm)
    reference = keras.optimizers.AdamW(
        0.05, weight_decay=0.1, beta_1=0.9, beta_2=0.98, epsilon=1e-8, global_clipnorm=clip_norm
    )
    reference.exclude_from_weight_decay(var_list=[theirs[1], theirs[3]])
    reference.build(theirs)
    for step in range(STEPS):
        apply(optimizer, gradients_of(step), rate_of(step))
        reference.learning_rate = rate_of(step)
        reference.apply([ops.convert_to_tensor(gradient) for gradient in gradients_of(step)])
        for mine, other in zip(values(ours), values(theirs), strict=True):
            np.testing.assert_allclose(mine, other, rtol=1e-5, atol=1e-6)


def test_equals_formula():
    """Loshchilov and Hutter 2019, algorithm 2, weight by weight in float64."""
    ours = make_weights()
    optimizer = flat_adamw(ours, weight_decay=0.1, clip_norm=2.0)
    optimizer.beta_1, optimizer.beta_2, optimizer.epsilon = 0.8, 0.95, 1e-3
    weights = [w.astype("float64") for w in values(ours)]
    first, second = ([np.zeros_like(w) for w in weights] for _ in range(2))
    for step in range(STEPS):
        gradients = gradients_of(step, scale=0.1 if step % 2 else 3.0)
        norm = np.sqrt(sum((gradient.astype("float64") ** 2).sum() for gradient in gradients))
        assert apply(optimizer, gradients, rate_of(step)) == pytest.approx(norm, rel=1e-5), "before clipping"
        factor = min(1.0, 2.0 / norm)
        assert (factor < 1) == (step % 2 == 0), "some steps are clipped and some are not"
        root = np.sqrt(1 - 0.95 ** (step + 1))
        for i, gradient in enumerate(gradients):
            clipped = gradient * factor
            first[i] = 0.8 * first[i] + 0.2 * clipped
            second[i] = 0.95 * second[i] + 0.05 * clipped**2
            change = first[i] / (1 - 0.8 ** (step + 1)) / (np.sqrt(second[i]) / root + 1e-3 / root)
            decay = 0.1 * weights[i] if weights[i].ndim > 1 else 0.0
            weights[i] = weights[i] - rate_of(step) * (change + decay)
        for mine, expected in zip(values(ours), weights, strict=True):
            np.testing.assert_allclose(mine, expected, rtol=1e-4, atol=1e-6)


@every_kind
def test_only_matrices_decay(kind: str):
    weights = make_weights()
    before = values(weights)
    apply(make(kind, weights, weight_decay=0.5), [np.zeros(shape, "float32") for shape in SHAPES.values()], 0.1)
    for name, old, new in zip(SHAPES, before, values(weights), strict=True):
        factor = 0.95 if name in ("kernel", "convolution") else 1.0
        np.testing.assert_allclose(new, old * factor, rtol=1e-6, err_msg=name)


@every_kind
def test_groups_have_learning_rates_of_their_own(kind: str):
    """As if each group had an optimiser of its own, where nothing is clipped."""
    ours, alone = make_weights(), make_weights()
    optimizer = make(kind, ours, [0, 1, 1, 0], weight_decay=0.1, clip_norm=1e9)
    apart = [make(kind, [alone[i] for i in group], weight_decay=0.1, clip_norm=1e9) for group in ((0, 3), (1, 2))]
    for step in range(STEPS):
        gradients = gradients_of(step)
        apply(optimizer, gradients, np.array([0.05, 0.01]))
        for one, group, rate in zip(apart, ((0, 3), (1, 2)), (0.05, 0.01), strict=True):
            apply(one, [gradients[i] for i in group], rate)
    for mine, other in zip(values(ours), values(alone), strict=True):
        np.testing.assert_allclose(mine, other, rtol=1e-6)


@every_kind
def test_a_group_whose_rate_is_0_does_not_change_and_has_no_part_in_the_norm(kind: str):
    weights = make_weights()
    before = values(weights)
    optimizer = make(kind, weights, [0, 1, 1, 0], weight_decay=0.5)
    gradients = gradients_of(0)
    norm = apply(optimizer, gradients, np.array([0.0, 0.1]))
    assert norm == pytest.approx(np.sqrt(sum((gradients[i] ** 2).sum() for i in (1, 2))), rel=1e-5)
    for i, (old, new) in enumerate(zip(before, values(weights), strict=True)):
        assert np.array_equal(old, new) == (i in (0, 3))
    apply(optimizer, gradients_of(1), np.array([0.1, 0.1]))
    assert not any(np.array_equal(old, new) for old, new in zip(before, values(weights), strict=True))


@pytest.mark.parametrize("groups", [None, [0, 1, 1, 0]])
def test_no_constant_of_the_compiled_update_is_as_large_as_the_network(groups):
    """TensorFlow refuses constants of more than 2 GB."""
    optimizer = flat_adamw(make_weights(), groups=groups, average_decay=0.5)

    weights, state = ([one.value for one in kind] for kind in (optimizer.weights, optimizer.variables))
    gradient, rates = optimizer.flattened(gradients_of(0)), np.full(2, 0.1, "float32")
    num_weights = sum(int(np.prod(shape)) for shape in SHAPES.values())
    assert max(sizes_of_constants(optimizer.updated, weights, gradient, state, rates), default=0) < num_weights


def sizes_of_constants(function: Callable, *arguments: Any) -> list[int]:
    """Numbers in each constant of a compiled function."""
    if keras.backend.backend() == "jax":
        import jax  # pyright: ignore[reportMissingImports]

        return [one.size for one in jax.make_jaxpr(function)(*arguments).consts]
    import tensorflow as tf

    arguments = tf.nest.map_structure(tf.convert_to_tensor, list(arguments))
    graph = tf.function(function, autograph=False).get_concrete_function(*arguments).graph
    return [int(np.prod(node.outputs[0].shape)) for node in graph.get_operations() if node.type == "Const"]


@every_kind
def test_state_goes_by_name(kind: str):
    """Saved from one order of weights and set in another, training continues alike."""
    first = make_weights()
    optimizer = make(kind, first)
    for step in range(3):
        apply(optimizer, gradients_of(step), rate_of(step))
    named = optimizer.named_state()
    assert set(named) == {"step", *(f"{moment}/{name}" for moment in optimizer.moments for name in SHAPES)}
    assert float(named["step"]) == 3

    order = [2, 0, 3, 1]
    second = [make_weights()[i] for i in order]
    for weight, i in zip(second, order, strict=True):
        weight.assign(values(first)[i])
    other = make(kind, second)
    other.set_named_state(named)
    for name, array in other.named_state().items():
        np.testing.assert_array_equal(array, named[name], err_msg=name)
    for step in range(3, STEPS):
        gradients = gradients_of(step)
        apply(optimizer, gradients, rate_of(step))
        apply(other, [gradients[i] for i in order], rate_of(step))
    for weight, i in zip(second, order, strict=True):
        np.testing.assert_allclose(ops.convert_to_numpy(weight.value), values(first)[i], rtol=1e-6)


@every_kind
def test_missing_state(kind: str):
    optimizer = make(kind, make_weights(), average_decay=0.5)
    for name in optimizer.named_state():
        named = optimizer.named_state()
        del named[name]
        with pytest.raises(KeyError, match=name):
            optimizer.set_named_state(named)


@every_kind
def test_finds_a_minimum(kind: str):
    weights = [keras.Variable(np.array([start], "float32"), name=name) for name, start in (("x", 5.0), ("y", -3.0))]
    optimizer = make(kind, weights, clip_norm=1e9)
    for _ in range(200):
        x, y = values(weights)
        apply(optimizer, [2 * (x - 1), 2 * (y - 2)], 0.1)
    np.testing.assert_allclose(np.concatenate(values(weights)), [1.0, 2.0], atol=0.02)


@pytest.mark.parametrize("decay", [0.2, 0.999])
def test_running_mean_equals_formula(decay):
    """Tarvainen and Valpola 2017, section 2, with a decay that rises as that of `tf.train.ExponentialMovingAverage`."""
    ours = make_weights()
    optimizer = flat_adamw(ours, clip_norm=1e9, average_decay=decay)
    mean = [np.zeros_like(weight) for weight in values(ours)]
    for step in range(STEPS):
        apply(optimizer, gradients_of(step), 0.05)
        own = min(decay, step / (10 + step))
        mean = [own * before + (1 - own) * now for before, now in zip(mean, values(ours), strict=True)]
    plain = values(ours)
    with optimizer.averaged():
        inside = values(ours)
    for found, expected, before, after in zip(inside, mean, plain, values(ours), strict=True):
        np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-6)
        assert np.abs(found - before).max() > 1e-3
        np.testing.assert_array_equal(after, before)


@every_kind
def test_running_mean_is_saved_with_the_state(kind: str):
    one, other = (make(kind, make_weights(), average_decay=0.5) for _ in range(2))
    apply(one, gradients_of(0), 0.1)
    other.set_named_state(one.named_state())
    with one.averaged(), other.averaged():
        for mine, theirs in zip(values(one.weights), values(other.weights), strict=True):
            np.testing.assert_array_equal(mine, theirs)
    with pytest.raises(KeyError, match="mean"):
        other.set_named_state(make(kind, make_weights()).named_state())


@every_kind
def test_a_recipe_chooses_it_and_it_trains_a_network(kind: str, tiny_recipe: Recipe, speak: Callable, untraced: None):
    recipe = tiny_recipe.overridden({"training.optimizer": {"kind": kind}, "training.average_decay": 0.5})
    model = model_of(recipe, {"aa": 5, "bb": 5})
    optimizer = build_optimizer(model, recipe.training)
    assert type(optimizer) is KINDS[kind].member()
    step, waveforms = compile_step(model, optimizer, objective_of(model)), np.stack([speak("ab"), speak("cd")])
    sizes = np.full(2, waveforms.shape[1], "int32")
    batch = Batch(waveforms, sizes, np.array([0, 1], "int32"), tokens([[1, 2], [3, 4]], [2, 2]))
    seen = [values(optimizer.weights)]
    for update in range(2):
        found = step(batch, 0.01, np.ones(2), update)()
        assert np.isfinite(found.losses).all()
        seen.append(values(optimizer.weights))
    for before, after in pairwise(seen):
        assert all(np.isfinite(one).all() for one in after)
        assert any((one != other).any() for one, other in zip(before, after, strict=True))
    assert float(optimizer.named_state()["step"]) == 2


class Momentum(FlatOptimizer):
    """Another optimiser is a class of this size."""

    moments = ("velocity",)

    def direction(self, step, gradient, moments):  # noqa: ARG002
        velocity = 0.9 * moments[0] + gradient
        return velocity, [velocity]


def test_another_member_needs_its_direction_only():
    ours, theirs = make_weights(), make_weights()
    optimizer = Momentum(ours, None, weight_decay=0.0, clip_norm=2.0, average_decay=0.0)
    reference = keras.optimizers.SGD(0.05, momentum=0.9, global_clipnorm=2.0)
    reference.build(theirs)
    for step in range(STEPS):
        apply(optimizer, gradients_of(step), 0.05)
        reference.apply([ops.convert_to_tensor(gradient) for gradient in gradients_of(step)])
        for mine, other in zip(values(ours), values(theirs), strict=True):
            np.testing.assert_allclose(mine, other, rtol=1e-5, atol=1e-6)
    assert set(optimizer.named_state()) == {"step", *(f"velocity/{weight.path}" for weight in ours)}
