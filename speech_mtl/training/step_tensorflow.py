"""The functions of `gradients` under TensorFlow.

No size of a batch is fixed, so that a function is traced once and not for each shape. XLA would compile for each shape.
"""

from collections.abc import Callable

import numpy as np
import tensorflow as tf

from speech_mtl.datatypes import Batch
from speech_mtl.models.multitask import MultilingualModel
from speech_mtl.training.objective import Objective
from speech_mtl.training.optimizer import FlatAdamW
from speech_mtl.training.step import Combine, Rates, StepResult, TrainStep, rate_vector, shared_positions

VECTOR = tf.TensorSpec([None], tf.float32)


def make_train_step(
    model: MultilingualModel, optimizer: FlatAdamW, objective: Objective, watch_last_layer: bool
) -> TrainStep:
    """See `gradients.make_train_step`."""
    last = [variable.value for variable in model.encoder.last_layer.trainable_variables] if watch_last_layer else []

    @tf.function(input_signature=[_batch_spec(objective), VECTOR, VECTOR], jit_compile=False)
    def step(batch: Batch, learning_rates, weights):
        with tf.GradientTape(persistent=watch_last_layer) as tape:
            losses, counts, by_task = _evaluated(model, objective, batch)
            total = tf.tensordot(weights, by_task, 1)
        values = [variable.value for variable in optimizer.weights]
        gradients = tape.gradient(total, values, unconnected_gradients=tf.UnconnectedGradients.ZERO)
        rows = _rows(tape, by_task, last, tf.ones_like(weights)) if last else tf.zeros([0, 0])
        norm = _update(optimizer, gradients, learning_rates)
        return losses, counts, total, norm, tf.matmul(rows, rows, transpose_b=True)

    def run(batch: Batch, rates: Rates, weights: np.ndarray) -> StepResult:
        found = step(batch, rate_vector(rates), weights.astype(np.float32))
        losses, counts, total, norm, products = (part.numpy() for part in found)
        return StepResult(losses, counts, float(total), float(norm), products)

    return run


def make_combining_step(
    model: MultilingualModel, optimizer: FlatAdamW, objective: Objective, combine: Combine
) -> TrainStep:
    """See `gradients.make_combining_step`."""
    inside, outside = shared_positions(model, optimizer.weights)
    shapes = [optimizer.weights[i].shape for i in inside]
    sizes = [optimizer.sizes[i] for i in inside]

    @tf.function(input_signature=[_batch_spec(objective), VECTOR], jit_compile=False)
    def differentiate(batch: Batch, weights):
        with tf.GradientTape(persistent=True) as tape:
            losses, counts, by_task = _evaluated(model, objective, batch)
            total = tf.tensordot(weights, by_task, 1)
        values = [variable.value for variable in optimizer.weights]
        rows = _rows(tape, by_task, [values[i] for i in inside], weights)
        heads = tape.gradient(total, [values[i] for i in outside], unconnected_gradients=tf.UnconnectedGradients.ZERO)
        return losses, counts, total, rows, heads, tf.matmul(rows, rows, transpose_b=True)

    @tf.function(jit_compile=False)
    def apply(rows, heads, coefficients, learning_rates):
        pieces = tf.split(tf.linalg.matvec(rows, coefficients, transpose_a=True), sizes)
        encoder = [tf.reshape(piece, shape) for piece, shape in zip(pieces, shapes, strict=True)]
        by_position = dict(zip([*inside, *outside], [*encoder, *heads], strict=True))
        return _update(optimizer, [by_position[i] for i in range(len(by_position))], learning_rates)

    def run(batch: Batch, rates: Rates, weights: np.ndarray) -> StepResult:
        losses, counts, total, rows, heads, products = differentiate(batch, weights.astype(np.float32))
        found = products.numpy()
        coefficients = tf.constant(combine(found), tf.float32)
        norm = apply(rows, heads, coefficients, rate_vector(rates))
        return StepResult(losses.numpy(), counts.numpy(), float(total), float(norm), found)

    return run


def make_products(model: MultilingualModel, objective: Objective) -> Callable[[Batch, np.ndarray], np.ndarray]:
    """See `gradients.make_products`."""

    @tf.function(input_signature=[_batch_spec(objective), VECTOR], jit_compile=False)
    def products(batch: Batch, weights):
        with tf.GradientTape(persistent=True) as tape:
            *_, by_task = _evaluated(model, objective, batch)
        rows = _rows(tape, by_task, [v.value for v in model.shared_weights], weights)
        return tf.matmul(rows, rows, transpose_b=True)

    return lambda batch, weights: products(batch, weights.astype(np.float32)).numpy()


def make_forward(model: MultilingualModel, column: int | None) -> Callable:
    """The network without training, compiled."""
    specs = _batch_spec(Objective(model.languages))
    return tf.function(
        lambda *inputs: model(*inputs, training=False, column=column),
        input_signature=[specs.waveforms, specs.num_samples, specs.language_ids],
        jit_compile=False,
    )


def _evaluated(model: MultilingualModel, objective: Objective, batch: Batch):
    logits = model(batch.waveforms, batch.num_samples, batch.language_ids, training=True)
    losses, counts = objective.losses(logits, batch)
    return losses, counts, objective.by_task(losses, counts, batch.language_ids)


def _rows(tape: tf.GradientTape, by_task, values: list, weights):
    """(T, P) gradient of each weighted task by these values, computed one after another."""

    def row(task):
        gradients = tape.gradient(
            by_task,
            values,
            output_gradients=tf.one_hot(task, tf.size(weights)) * weights,
            unconnected_gradients=tf.UnconnectedGradients.ZERO,
        )
        return tf.concat([tf.reshape(tf.convert_to_tensor(gradient), [-1]) for gradient in gradients], axis=0)

    return tf.map_fn(row, tf.range(tf.size(weights)), fn_output_signature=tf.float32, parallel_iterations=1)


def _update(optimizer: FlatAdamW, gradients: list, learning_rates):
    """Sets weights and state to those after a step; returns the norm of the gradient."""
    weights, state = optimizer.weights, optimizer.variables
    new_weights, new_state, norm = optimizer.updated(
        [weight.value for weight in weights], gradients, [variable.value for variable in state], learning_rates
    )
    for variable, value in zip([*weights, *state], [*new_weights, *new_state], strict=True):
        variable.assign(value)
    return norm


def _batch_spec(objective: Objective) -> Batch:
    labels = {
        task.name: tf.TensorSpec([None, *([None] if task.over_frames else []), *task.shape], tf.float32)
        for task in objective.tasks
    }
    return Batch(
        waveforms=tf.TensorSpec([None, None], tf.float32),
        num_samples=tf.TensorSpec([None], tf.int32),
        language_ids=tf.TensorSpec([None], tf.int32),
        tokens=tf.TensorSpec([None, None], tf.int32),
        num_tokens=tf.TensorSpec([None], tf.int32),
        labels=labels,
    )
