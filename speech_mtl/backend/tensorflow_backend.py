"""The functions of the seam under TensorFlow.

No size of a batch is fixed, so that a function is traced once and not for each shape. XLA would compile for each shape.
"""

from collections.abc import Callable, Collection, Sequence
from functools import partial

import numpy as np
import tensorflow as tf
from keras import StatelessScope, ops

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
from speech_mtl.backend.tensorflow_workers import Workers, joined
from speech_mtl.datatypes import Array, Batch

USES_XLA = False

VECTOR, INTEGERS = tf.TensorSpec([None], tf.float32), tf.TensorSpec([None], tf.int32)
MATRIX = tf.TensorSpec([None, None], tf.float32)
STATE = tf.TensorSpec([2], tf.int64)

graph = partial(tf.function, jit_compile=False, autograph=False)
"""Traces a function. Only `_by_language` has control flow that must be rewritten before, which takes time."""

SEEDS_APART = 1_000_003
"""Between the seeds of two parts of a batch."""


def compile_step(
    model: Network,
    optimizer: Optimizer,
    objective: Loss,
    watched: Sequence[Variable],
    limits: Limits,
) -> TrainStep:
    """No size is fixed, so that nothing is padded to any `room`. Parts of a batch are computed side by side."""
    last, random, workers = [variable.value for variable in watched], model.random.state, Workers()

    @graph(input_signature=[_batch_spec(objective)])
    def count(batch: Batch):
        return objective.counts(batch, model.num_encoder_frames(batch.num_samples))

    @graph(input_signature=[_batch_spec(objective), VECTOR, MATRIX, STATE])
    def differentiate(batch: Batch, weights, counts, state):
        with StatelessScope([(random, state)]) as scope, tf.GradientTape(persistent=bool(last)) as tape:
            losses, _ = _losses(model, objective, batch)
            by_task = objective.by_task(losses, counts, batch.language_ids)
            total = tf.tensordot(weights, by_task, 1)
        values = [variable.value for variable in optimizer.weights]
        gradients = tape.gradient(total, values, unconnected_gradients=tf.UnconnectedGradients.ZERO)
        rows = _rows(tape, by_task, last) if last else tf.zeros([0, 0])
        return losses, (total, optimizer.flattened(gradients), rows), scope.get_current_value(random)

    @graph(input_signature=[VECTOR, MATRIX, VECTOR, STATE])
    def apply(gradient, rows, learning_rates, state):
        random.assign(state)
        return _update(optimizer, gradient, learning_rates), tf.matmul(rows, rows, transpose_b=True)

    def run(batch: Batch, rates: Rates, weights: np.ndarray, update: int) -> Pending:  # noqa: ARG001
        counts, state, weights = count(batch), random.value, weights.astype(np.float32)
        parts, rows_of_parts = workers.split(batch, model.features.num_inputs, limits)
        jobs = [(part, weights, counts, state_of(i, state)) for i, part in enumerate(parts)]
        losses, states, sums = [], [], []
        for own_losses, own_sums, own_state in workers.call(differentiate, jobs):
            losses.append(own_losses)
            states.append(own_state)
            sums = [first + second for first, second in zip(sums, own_sums, strict=True)] if sums else own_sums
        total, gradient, rows = sums
        norm, products = apply(gradient, rows, rate_vector(rates), states[0])
        order = np.argsort(rows_of_parts)
        return lambda: _read(np.concatenate(losses)[order], counts, total, norm, products)

    return TrainStep(run)


def state_of(part: int, state: Array) -> Array:
    """The random state of a part of a batch. The first part has that of the batch.

    Args:
        state: (2,) a seed and how often was drawn. Keras takes both modulo 2^31 - 2, so parts have seeds of their own:
            as many draws as lie between two parts may be few after that.
    """
    return state + np.array([part * SEEDS_APART, 0])


def compile_surgery_step(
    model: Network,
    optimizer: Optimizer,
    objective: Loss,
    combine: Combine,
    limits: Limits,  # noqa: ARG001
) -> TrainStep:
    """Each language goes through the network by itself."""
    inside, outside = shared_positions(model, optimizer.weights)
    ordered = [optimizer.weights[i] for i in (*inside, *outside)]
    shapes, sizes = [variable.shape for variable in ordered], [size_of(variable) for variable in ordered]
    num_shared = sum(sizes[: len(inside)])

    @graph(input_signature=[_batch_spec(objective), VECTOR], autograph=True)
    def differentiate(batch: Batch, weights):
        losses, counts, rows = _by_language(model, objective, batch, [variable.value for variable in ordered])
        total = tf.tensordot(weights, objective.by_task(losses, counts, batch.language_ids), 1)
        rows, heads = tf.split(rows * weights[:, None], [num_shared, -1], axis=1)
        return losses, counts, total, rows, tf.reduce_sum(heads, axis=0), tf.matmul(rows, rows, transpose_b=True)

    @graph
    def apply(rows, heads, coefficients, learning_rates):
        flat = tf.concat([tf.linalg.matvec(rows, coefficients, transpose_a=True), heads], axis=0)
        parts = [tf.reshape(part, shape) for part, shape in zip(tf.split(flat, sizes), shapes, strict=True)]
        by_position = dict(zip([*inside, *outside], parts, strict=True))
        gradients = [by_position[i] for i in range(len(by_position))]
        return _update(optimizer, optimizer.flattened(gradients), learning_rates)

    def run(batch: Batch, rates: Rates, weights: np.ndarray, update: int) -> Pending:
        losses, counts, total, rows, heads, products = differentiate(batch, weights.astype(np.float32))
        coefficients = tf.constant(combine(products.numpy(), update), tf.float32)
        norm = apply(rows, heads, coefficients, rate_vector(rates))
        return partial(_read, losses, counts, total, norm, products)

    return TrainStep(run)


def compile_products(model: Network, objective: Loss, limits: Limits) -> Products:  # noqa: ARG001
    """Each language goes through the network by itself."""

    @graph(input_signature=[_batch_spec(objective), VECTOR], autograph=True)
    def products(batch: Batch, weights):
        *_, rows = _by_language(model, objective, batch, [variable.value for variable in model.shared_weights])
        rows *= weights[:, None]
        return tf.matmul(rows, rows, transpose_b=True)

    return lambda batch, weights: products(batch, weights.astype(np.float32)).numpy()


def compile_forward(model: Network, languages: Collection[str] | None, targets: Collection[str] | None) -> Forward:
    """No size is fixed."""

    @graph(input_signature=[MATRIX, INTEGERS, INTEGERS])
    def compiled(*inputs):
        return model(*inputs, training=False, languages=languages, targets=targets)

    workers = Workers()

    def forward(_limits, *inputs):
        parts, rows = workers.split(Batch(*inputs), model.features.num_inputs)
        return joined(list(workers.call(compiled, [part[:3] for part in parts])), rows)

    return Forward(forward)


def compile_stream(model: Network, languages: Collection[str], targets: Collection[str]) -> Callable:
    """Traced twice: for the first stretch, which has no arrays, and for the others."""

    @graph
    def compiled(waveforms, num_samples, language_ids, arrays):
        past = model.past(arrays)
        inputs, asked = (waveforms, num_samples, language_ids), {"languages": languages, "targets": targets}
        return model(*inputs, training=False, **asked, past=past), past.kept

    return compiled


def ctc_loss(logits, num_frames, tokens, num_tokens):
    """The sparse kernel: without a GPU several times faster than the dense one behind `keras.ops.ctc_loss`."""
    real = num_tokens > 0
    # The kernel refuses rows without tokens: they get a token and a frame, and their loss is set to 0 afterwards.
    tokens = tf.where(real[:, None], tf.pad(tokens, [[0, 0], [0, 1]]), 1)
    mask = tf.sequence_mask(tf.where(real, num_tokens, 1), tf.shape(tokens)[1])
    labels = tf.SparseTensor(tf.where(mask), tf.boolean_mask(tokens, mask), tf.shape(tokens, out_type=tf.int64))
    # The blank of the kernel is the last class; ours is the first.
    rolled = tf.transpose(tf.roll(logits, -1, axis=2), (1, 0, 2))
    loss, _ = tf.raw_ops.CTCLoss(
        inputs=rolled,
        labels_indices=labels.indices,
        labels_values=labels.values - 1,
        sequence_length=tf.where(real, num_frames, 1),
        ctc_merge_repeated=True,
        ignore_longer_outputs_than_inputs=True,
    )
    return tf.where(real, loss, 0.0)


def stft(waveforms, window: int, hop: int, fft_size: int):
    """As Keras has it."""
    return ops.stft(waveforms, window, hop, fft_size, window="hann", center=False)


def own_rows(num_rows: int, size: int, limits: Limits) -> range:  # noqa: ARG001
    """All of them: there is one process."""
    return range(num_rows)


def recomputed(_function: Callable, _random: object) -> Callable:
    """Not offered: `tf.recompute_grad` does not see the random state move."""
    raise NotImplementedError("TensorFlow recomputes no activations here")


def _read(*found) -> StepResult:
    losses, counts, total, norm, products = map(np.asarray, found)
    return StepResult(losses, counts, float(total), float(norm), products)


@tf.autograph.experimental.do_not_convert
def _losses(model: Network, objective: Loss, batch: Batch):
    inputs, asked = batch[:3], {"languages": objective.trained, "targets": objective.columns}
    return objective.losses(model(*inputs, training=True, **asked), batch)


def _by_language(model: Network, objective: Loss, batch: Batch, values: list):
    """Losses and counts as of `Objective.losses`, and the (T, P) gradient of what each task adds to the objective.

    An utterance has one language, so each language goes through the network by itself: that costs one pass of the batch
    whatever the number of languages, and one more backwards for each other task.
    """
    num_columns, num_values = len(objective.columns), sum(value.shape.num_elements() for value in values)
    losses = counts = tf.zeros([tf.size(batch.language_ids), num_columns])
    of_languages = tf.TensorArray(tf.float32, len(objective.languages), element_shape=[num_values])
    others = tf.zeros([num_columns - 1, num_values])
    for language in tf.range(len(objective.languages)):
        rows = tf.zeros([num_columns, num_values])
        positions = tf.where(batch.language_ids == language)
        if tf.size(positions) > 0:
            with tf.GradientTape(persistent=True) as tape:
                own_losses, own_counts = _losses(model, objective, _of(model, batch, positions[:, 0]))
                sums = tf.reduce_sum(own_losses, axis=0)
            rows = _rows(tape, sums, values)
            losses = tf.tensor_scatter_nd_update(losses, positions, own_losses)
            counts = tf.tensor_scatter_nd_update(counts, positions, own_counts)
        of_languages = of_languages.write(language, rows[0])
        others += rows[1:]
    numbers = tf.maximum(tf.reduce_sum(counts, axis=0), 1.0)[:, None]
    return losses, counts, tf.concat([of_languages.stack() / numbers[0], others / numbers[1:]], axis=0)


def _of(model: Network, batch: Batch, positions) -> Batch:
    """As `Batch.of`, in a graph; tokens keep their padding."""
    part = tf.nest.map_structure(lambda array: tf.gather(array, positions), batch)
    return part._replace(waveforms=part.waveforms[:, : model.features.num_inputs(tf.reduce_max(part.num_samples))])


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


def _update(optimizer: Optimizer, gradient, learning_rates):
    """Sets weights and state to those after a step by a flat gradient; returns its norm."""
    weights, state = optimizer.weights, optimizer.variables
    new_weights, new_state, norm = optimizer.updated(
        [weight.value for weight in weights], gradient, [variable.value for variable in state], learning_rates
    )
    for variable, value in zip([*weights, *state], [*new_weights, *new_state], strict=True):
        variable.assign(value)
    return norm


def _batch_spec(objective: Loss) -> Batch:
    def spec(array: np.ndarray) -> tf.TensorSpec:
        return tf.TensorSpec([size or None for size in array.shape], array.dtype)

    return Batch(
        waveforms=MATRIX,
        num_samples=INTEGERS,
        language_ids=INTEGERS,
        targets={target.name: tf.nest.map_structure(spec, target.nothing()) for target in objective.targets},
    )
