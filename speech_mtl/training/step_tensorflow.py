"""The functions of `gradients` under TensorFlow.

No size of a batch is fixed, so that a function is traced once and not for each shape. XLA would compile for each shape.
"""

from collections.abc import Callable, Collection

import numpy as np
import tensorflow as tf

from speech_mtl.datatypes import Batch
from speech_mtl.models.multitask import MultilingualModel
from speech_mtl.training.objective import Objective
from speech_mtl.training.optimizer import FlatAdamW
from speech_mtl.training.step import Combine, Rates, StepResult, TrainStep, rate_vector, shared_positions

VECTOR = tf.TensorSpec([None], tf.float32)


def make_train_step(
    model: MultilingualModel,
    optimizer: FlatAdamW,
    objective: Objective,
    watch_last_layer: bool,
    room: int,  # noqa: ARG001
) -> TrainStep:
    """See `gradients.make_train_step`. No size is fixed, so that nothing is padded to any `room`."""
    last = [variable.value for variable in model.encoder.last_layer.trainable_variables] if watch_last_layer else []

    @tf.function(input_signature=[_batch_spec(objective), VECTOR, VECTOR], jit_compile=False)
    def step(batch: Batch, learning_rates, weights):
        with tf.GradientTape(persistent=watch_last_layer) as tape:
            losses, counts, by_task = _evaluated(model, objective, batch)
            total = tf.tensordot(weights, by_task, 1)
        values = [variable.value for variable in optimizer.weights]
        gradients = tape.gradient(total, values, unconnected_gradients=tf.UnconnectedGradients.ZERO)
        rows = _rows(tape, by_task, last) if last else tf.zeros([0, 0])
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
    ordered = [optimizer.weights[i] for i in (*inside, *outside)]
    shapes, sizes = [variable.shape for variable in ordered], [optimizer.sizes[i] for i in (*inside, *outside)]
    num_shared = sum(optimizer.sizes[i] for i in inside)

    @tf.function(input_signature=[_batch_spec(objective), VECTOR], jit_compile=False)
    def differentiate(batch: Batch, weights):
        losses, counts, rows = _by_language(model, objective, batch, [variable.value for variable in ordered])
        total = tf.tensordot(weights, objective.by_task(losses, counts, batch.language_ids), 1)
        rows, heads = tf.split(rows * weights[:, None], [num_shared, -1], axis=1)
        return losses, counts, total, rows, tf.reduce_sum(heads, axis=0), tf.matmul(rows, rows, transpose_b=True)

    @tf.function(jit_compile=False)
    def apply(rows, heads, coefficients, learning_rates):
        flat = tf.concat([tf.linalg.matvec(rows, coefficients, transpose_a=True), heads], axis=0)
        parts = [tf.reshape(part, shape) for part, shape in zip(tf.split(flat, sizes), shapes, strict=True)]
        by_position = dict(zip([*inside, *outside], parts, strict=True))
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
        *_, rows = _by_language(model, objective, batch, [variable.value for variable in model.shared_weights])
        rows *= weights[:, None]
        return tf.matmul(rows, rows, transpose_b=True)

    return lambda batch, weights: products(batch, weights.astype(np.float32)).numpy()


def make_forward(
    model: MultilingualModel, languages: Collection[str] | None, targets: Collection[str] | None
) -> Callable:
    """The network without training, compiled."""
    specs = _batch_spec(None)

    @tf.function(input_signature=[specs.waveforms, specs.num_samples, specs.language_ids], jit_compile=False)
    def compiled(*inputs):
        return model(*inputs, training=False, languages=languages, targets=targets)

    def forward(waveforms, num_samples, language_ids, room):  # noqa: ARG001
        return compiled(waveforms, num_samples, language_ids)

    return forward


def _evaluated(model: MultilingualModel, objective: Objective, batch: Batch):
    losses, counts = _losses(model, objective, batch)
    return losses, counts, objective.by_task(losses, counts, batch.language_ids)


def _losses(model: MultilingualModel, objective: Objective, batch: Batch):
    inputs, asked = batch[:3], {"languages": objective.trained, "targets": objective.columns}
    return objective.losses(model(*inputs, training=True, **asked), batch)


def _by_language(model: MultilingualModel, objective: Objective, batch: Batch, values: list):
    """Losses and counts as of `Objective.losses`, and the (T, P) gradient of what each task adds to the objective.

    An utterance has one language, so each language goes through the network by itself: that costs one pass of the batch
    whatever the number of languages, and one more backwards for each other task.
    """
    num_columns, num_values = len(objective.columns), sum(value.shape.num_elements() for value in values)
    split = objective.num_by_language
    losses = counts = tf.zeros([tf.size(batch.language_ids), num_columns])
    of_languages = tf.TensorArray(tf.float32, len(objective.languages), element_shape=[split, num_values])
    others = tf.zeros([num_columns - split, num_values])
    for language in tf.range(len(objective.languages)):
        rows = tf.zeros([num_columns, num_values])
        positions = tf.where(batch.language_ids == language)
        if tf.size(positions) > 0:
            with tf.GradientTape(persistent=True) as tape:
                own_losses, own_counts = _losses(model, objective, _of(batch, positions[:, 0]))
                sums = tf.reduce_sum(own_losses, axis=0)
            rows = _rows(tape, sums, values)
            losses = tf.tensor_scatter_nd_update(losses, positions, own_losses)
            counts = tf.tensor_scatter_nd_update(counts, positions, own_counts)
        of_languages = of_languages.write(language, rows[:split])
        others += rows[split:]
    numbers = tf.maximum(tf.reduce_sum(counts, axis=0), 1.0)[:, None]
    by_target = tf.transpose(of_languages.stack(), [1, 0, 2]) / numbers[:split, None]
    return losses, counts, tf.concat([tf.reshape(by_target, [-1, num_values]), others / numbers[split:]], axis=0)


def _of(batch: Batch, positions) -> Batch:
    """Some utterances of a batch, without padding that only others need."""
    part = tf.nest.map_structure(lambda array: tf.gather(array, positions), batch)
    return part._replace(waveforms=part.waveforms[:, : tf.reduce_max(part.num_samples)])


def _rows(tape: tf.GradientTape, outputs, values: list):
    """(T, P) gradient of each of T outputs by these values, computed one after another."""

    def row(task):
        gradients = tape.gradient(
            outputs,
            values,
            output_gradients=tf.one_hot(task, tf.size(outputs)),
            unconnected_gradients=tf.UnconnectedGradients.ZERO,
        )
        return tf.concat([tf.reshape(tf.convert_to_tensor(gradient), [-1]) for gradient in gradients], axis=0)

    return tf.map_fn(row, tf.range(tf.size(outputs)), fn_output_signature=tf.float32, parallel_iterations=1)


def _update(optimizer: FlatAdamW, gradients: list, learning_rates):
    """Sets weights and state to those after a step; returns the norm of the gradient."""
    weights, state = optimizer.weights, optimizer.variables
    new_weights, new_state, norm = optimizer.updated(
        [weight.value for weight in weights], gradients, [variable.value for variable in state], learning_rates
    )
    for variable, value in zip([*weights, *state], [*new_weights, *new_state], strict=True):
        variable.assign(value)
    return norm


def _batch_spec(objective: Objective | None) -> Batch:
    """Of no targets without an objective."""

    def spec(array: np.ndarray) -> tf.TensorSpec:
        return tf.TensorSpec([size or None for size in array.shape], array.dtype)

    targets = () if objective is None else objective.targets
    return Batch(
        waveforms=tf.TensorSpec([None, None], tf.float32),
        num_samples=tf.TensorSpec([None], tf.int32),
        language_ids=tf.TensorSpec([None], tf.int32),
        targets={target.name: tf.nest.map_structure(spec, target.nothing()) for target in targets},
    )
