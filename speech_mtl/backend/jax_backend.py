"""The functions of the seam under JAX, which compiles anew for every shape: batches are padded to a few."""

from collections.abc import Callable, Collection, Sequence
from functools import partial
from typing import Any, NamedTuple

import jax  # pyright: ignore[reportMissingImports]
import jax.numpy as jnp  # pyright: ignore[reportMissingImports]
import numpy as np
from keras import ops

from speech_mtl.backend import jax_ctc
from speech_mtl.backend.jax_processes import by_rows, of_all, of_this, over_rows, replicated, together
from speech_mtl.backend.jax_processes import own_rows as own_part
from speech_mtl.backend.shapes import common_shape, in_common_shape, padded
from speech_mtl.backend.step import (
    Combine,
    Forward,
    Limits,
    Loss,
    Network,
    Optimizer,
    Pending,
    Products,
    Rates,
    StepResult,
    TrainStep,
    Variable,
    rate_vector,
    shared_positions,
    size_of,
)
from speech_mtl.datatypes import Batch

USES_XLA = True

EXACT = "highest"
"""Precision of products of losses, and of whole gradients: on GPUs XLA otherwise rounds what it multiplies to TF32."""


def compile_step(
    model: Network, optimizer: Optimizer, objective: Loss, watched: Sequence[Variable], limits: Limits
) -> TrainStep:
    """Batches are padded to one of the shapes that a `room` has.

    The step takes over the memory of what it changes: no second set of weights and state is held. Until its results
    are assigned, which is at once, the variables are empty. Several processes compute it together, each its own rows.
    """
    network = _Network(model, optimizer.weights, objective, limits)
    last, num_watched = [network.positions[id(variable)] for variable in watched], sum(map(size_of, watched))

    @partial(jax.jit, donate_argnames=("values", "other", "state"), out_shardings=replicated())
    def step(values, fixed, other, state, batch, learning_rates, weights):
        counts = network.counts(batch)

        def of_part(other, part):
            by_task, pullback, (losses, other) = network.differentiated(values, fixed, other, part, counts)
            rows = _rows(pullback, last, jnp.ones_like(weights)) if last else jnp.zeros((0, 0))
            total = jnp.dot(weights, by_task, precision=EXACT)
            return other, losses, (total, optimizer.flattened(pullback(weights)[0]), rows)

        sizes = (), sum(value.size for value in values), (len(weights), num_watched) if last else (0, 0)
        zeros = tuple(map(jnp.zeros, sizes))
        other, losses, (total, gradient, rows) = _summed(of_part, other, zeros, batch, limits)
        values, state, norm = optimizer.updated(values, gradient, state, learning_rates)
        return (losses, counts, total, norm, _products(rows)), values, other, state

    def run(placed: _Placed, rates: Rates, weights: np.ndarray, update: int) -> Pending:  # noqa: ARG001
        values, fixed, other = map(of_all, network.values())
        state = of_all([v.value for v in optimizer.variables])
        arguments = placed.batch, rate_vector(rates), weights.astype(np.float32)
        with together():
            found, values, other, state = step(values, fixed, other, state, *arguments)
        network.assign(optimizer, values, other, state)
        return partial(_read, found, placed.num_rows)

    return TrainStep(run, network.placed, network.shapes)


def _summed(of_part: Callable, other, zeros, batch: Batch, limits: Limits):
    """What is computed of the parts of a batch one after another: the random state, losses by row, and sums from 0.

    Part p has the rows p, p + P ...: of several processes, each then has the same number of rows of each part.
    """
    num_rows, size = batch.waveforms.shape
    if (num_parts := limits.num_parts(num_rows // jax.process_count(), size)) == 1:
        return of_part(other, batch)
    parts = jax.tree.map(lambda one: one.reshape(-1, num_parts, *one.shape[1:]).swapaxes(0, 1), batch)

    def add(carried, part):
        other, sums = carried
        other, losses, found = of_part(other, part)
        return (other, jax.tree.map(jnp.add, sums, found)), losses

    (other, sums), losses = jax.lax.scan(add, (other, zeros), parts)
    return other, losses.swapaxes(0, 1).reshape(num_rows, -1), sums


def compile_surgery_step(
    model: Network, optimizer: Optimizer, objective: Loss, combine: Combine, limits: Limits
) -> TrainStep:
    """Each task costs a pass backwards."""
    network = _Network(model, optimizer.weights, objective, limits)
    inside, outside = shared_positions(model, optimizer.weights)
    ends = np.cumsum([size_of(optimizer.weights[i]) for i in inside])[:-1]

    @partial(jax.jit, out_shardings=replicated())
    def differentiate(values, fixed, other, batch, weights):
        counts = network.counts(batch)
        by_task, pullback, (losses, other) = network.differentiated(values, fixed, other, batch, counts)

        def add(heads, one):
            gradients = pullback(one * weights)[0]
            return [sums + gradients[i] for sums, i in zip(heads, outside, strict=True)], _flat(gradients, inside)

        zeros = [jnp.zeros_like(values[i]) for i in outside]
        heads, rows = jax.lax.scan(add, zeros, jnp.eye(len(weights)))
        total = jnp.dot(weights, by_task, precision=EXACT)
        return losses, counts, total, rows, heads, _products(rows), other

    @partial(jax.jit, donate_argnames=("values", "state"), out_shardings=replicated())
    def apply(values, state, rows, head_gradients, coefficients, learning_rates):
        pieces = jnp.split(jnp.matmul(coefficients, rows, precision=EXACT), ends)
        gradients = dict(zip([*inside, *outside], [*pieces, *head_gradients], strict=True))
        ordered = [gradients[i].reshape(value.shape) for i, value in enumerate(values)]
        return optimizer.updated(values, optimizer.flattened(ordered), state, learning_rates)

    def run(placed: _Placed, rates: Rates, weights: np.ndarray, update: int) -> Pending:
        values, fixed, other = map(of_all, network.values())
        state = of_all([v.value for v in optimizer.variables])
        with together():
            found = differentiate(values, fixed, other, placed.batch, weights.astype(np.float32))
            losses, counts, total, rows, head_gradients, products, other = found
            coefficients = np.asarray(combine(np.asarray(products), update), np.float32)
            values, state, norm = apply(values, state, rows, head_gradients, coefficients, rate_vector(rates))
        network.assign(optimizer, values, other, state)
        return partial(_read, (losses, counts, total, norm, products), placed.num_rows)

    return TrainStep(run, network.placed, network.shapes)


def compile_products(model: Network, objective: Loss, limits: Limits) -> Products:
    """Each task costs a pass backwards."""
    encoder = model.shared_weights
    network = _Network(model, encoder, objective, limits)

    @jax.jit
    def products(values, fixed, other, batch, weights):
        _, pullback, _ = network.differentiated(values, fixed, other, batch, network.counts(batch))
        return _products(_rows(pullback, list(range(len(encoder))), weights))

    def run(batch: Batch, weights: np.ndarray) -> np.ndarray:
        return np.asarray(products(*network.values(), network.padded(batch), weights.astype(np.float32)))

    return run


def compile_forward(model: Network, languages: Collection[str] | None, targets: Collection[str] | None) -> Forward:
    """Batches are padded to one of the shapes that a `room` has."""
    variables = [*model.trainable_variables, *model.non_trainable_variables]
    num_trainable, shapes = len(model.trainable_variables), set()

    @jax.jit
    def stateless(values, *inputs):
        weights = values[:num_trainable], values[num_trainable:]
        return model.stateless_call(*weights, *inputs, training=False, languages=languages, targets=targets)[0]

    def forward(limits, *inputs):
        rows, shape = len(inputs[0]), common_shape(inputs[0].shape, limits)
        shapes.add(shape)
        outputs = stateless([v.value for v in variables], *[padded(array, shape[: array.ndim]) for array in inputs])
        # Cut by numpy: XLA would compile the cut for each number of frames.
        num_frames = np.asarray(outputs.num_frames)[:rows]
        size = int(num_frames.max())
        values = {name: np.asarray(array)[:rows] for name, array in outputs.values.items()}
        return {name: array[:, :size] if array.ndim == 3 else array for name, array in values.items()}, num_frames

    return Forward(forward, shapes)


def compile_stream(model: Network, languages: Collection[str], targets: Collection[str]) -> Callable:
    """Compiled twice: for the first stretch, which has no arrays, and for the others."""
    trainable, fixed = model.trainable_variables, model.non_trainable_variables

    @jax.jit
    def stateless(weights, arrays, *inputs):
        past = model.past(arrays)
        asked = {"languages": languages, "targets": targets}
        return model.stateless_call(*weights, *inputs, training=False, **asked, past=past)[0], past.kept

    def compiled(waveforms, num_samples, language_ids, arrays):
        weights = [variable.value for variable in trainable], [variable.value for variable in fixed]
        return stateless(weights, arrays, waveforms, num_samples, language_ids)

    return compiled


def ctc_loss(logits, num_frames, tokens, num_tokens):
    """See `jax_ctc`; 0 for rows without tokens."""
    return jnp.where(num_tokens > 0, jax_ctc.ctc_loss(logits, num_frames, tokens, num_tokens), 0.0)


def stft(waveforms, window: int, hop: int, fft_size: int):
    """As Keras has it."""
    return over_rows(lambda own: ops.stft(own, window, hop, fft_size, window="hann", center=False))(waveforms)


def recomputed(function: Callable, random: Any) -> Callable:
    """`jax.checkpoint`, which the random state goes into and comes out of like an array."""

    def pure(state, *inputs):
        random.state.assign(state)
        return function(*inputs), random.state.value

    def run(*inputs):
        outputs, state = jax.checkpoint(pure)(random.state.value, *inputs)
        random.state.assign(state)
        return outputs

    return run


def own_rows(num_rows: int, size: int, limits: Limits) -> range:
    """Those of the padded batch, in its order; so random numbers are the same for any number of processes."""
    own = own_part(common_shape((num_rows, size), limits)[0])
    return range(min(own.start, num_rows), min(own.stop, num_rows))


class _Placed(NamedTuple):
    """A padded batch on the device, and how many of its rows are true."""

    batch: Batch
    num_rows: int


class _Network:
    """A network as a function of the weights that are trained, those that are not, and its random state.

    Attributes:
        shapes: Those of the batches that were padded.
        other: Weights that no training changes, and random states, each once.
    """

    def __init__(self, model: Network, trained: Sequence[Variable], objective: Loss, limits: Limits):
        self.model, self.objective, self.trained, self.limits = model, objective, trained, limits
        self.shapes: set[tuple[int, ...]] = set()
        self.positions = {id(variable): i for i, variable in enumerate(trained)}
        self.fixed = [v for v in model.trainable_variables if id(v) not in self.positions]
        listed = [id(variable) for variable in model.non_trainable_variables]  # Keras lists random states twice
        once = list(dict.fromkeys(listed))
        self.first, self.places = [listed.index(one) for one in once], [once.index(one) for one in listed]
        self.other = [model.non_trainable_variables[i] for i in self.first]

    def values(self) -> tuple[list, list, list]:
        """Values of the trained weights, the others, and the random state."""
        return tuple([v.value for v in variables] for variables in (self.trained, self.fixed, self.other))  # type: ignore[return-value]

    def padded(self, batch: Batch) -> Batch:
        """A batch in one of few shapes, which adds nothing to losses or gradients."""
        model = self.model
        found = in_common_shape(
            batch, self.limits, lambda size: model.num_encoder_frames(model.features.num_samples(size))
        )
        self.shapes.add(tuple(size for array in jax.tree.leaves(found) for size in array.shape))
        return found

    def placed(self, batch: Batch) -> _Placed:
        """A padded batch on the device, of several processes on that of each."""
        with together():
            return _Placed(by_rows(self.padded(batch)), len(batch.num_samples))

    def counts(self, batch: Batch):
        """(B, C) known entries of each utterance."""
        return self.objective.counts(batch, self.model.num_encoder_frames(batch.num_samples))

    def assign(self, optimizer: Optimizer, weights, other, state) -> None:
        """Sets all that a step changes."""
        variables = [*self.trained, *self.other, *optimizer.variables]
        for variable, value in zip(variables, of_this([*weights, *other, *state]), strict=True):
            variable.assign(value)

    def differentiated(self, values, fixed, other, batch: Batch, counts):
        """The terms of the tasks in the objective, their pullback to trained weights, and (losses, random state).

        The utterances may be a part of the batch, whose `counts` are those of all.
        """

        def outputs_of(trainable):
            asked = {"languages": self.objective.trained, "targets": self.objective.columns}
            states = [other[i] for i in self.places]
            outputs, new = self.model.stateless_call(trainable, states, *batch[:3], training=True, **asked)
            return outputs, [new[i] for i in self.first]

        def by_task(values):
            given = dict(zip(map(id, [*self.trained, *self.fixed]), [*values, *fixed], strict=True))
            outputs, new_other = outputs_of([given[id(v)] for v in self.model.trainable_variables])
            with jax.default_matmul_precision(EXACT):
                losses, _ = self.objective.losses(outputs, batch)
                return self.objective.by_task(losses, counts, batch.language_ids), (losses, new_other)

        return jax.vjp(by_task, values, has_aux=True)


def _rows(pullback, positions: list[int], weights):
    """(T, P) gradient of each weighted task by some of the trained weights, computed one after another."""
    return jax.lax.map(lambda one: _flat(pullback(one * weights)[0], positions), jnp.eye(len(weights)))


def _flat(gradients, positions: list[int]):
    """(P,) some of the gradients, end to end."""
    return jnp.concatenate([jnp.ravel(gradients[i]) for i in positions])


def _products(rows):
    return jnp.matmul(rows, rows.T, precision=EXACT)


def _read(found, num_rows: int) -> StepResult:
    with together():
        losses, counts, total, norm, products = (np.asarray(part) for part in found)
    return StepResult(losses[:num_rows], counts[:num_rows], float(total), float(norm), products)
