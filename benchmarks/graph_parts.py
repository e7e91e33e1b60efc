"""The parts of a training step as TensorFlow graphs of their own: how large, how long to trace, how long to start."""

from collections.abc import Callable
from typing import Any

import keras
import numpy as np
import tensorflow as tf
from keras import ops

from benchmarks.contestants import LEARNING_RATE, Case
from benchmarks.stopwatch import Stopwatch
from speech_mtl.backend import ctc_loss
from speech_mtl.datatypes import BLANK, TRANSCRIPT, Batch
from speech_mtl.run.build import build_model, build_optimizer


def measured_parts(case: Case, batch: Batch) -> dict:
    """By part: `graph_nodes`, `trace_s` and `first_run_s`. Shapes are dynamic, as in training."""
    model = build_model(case.recipe, case.targets)
    outputs = model(*batch[:3], training=False)
    logits, num_frames = outputs.values[TRANSCRIPT], ops.convert_to_numpy(outputs.num_frames)
    labels = (num_frames, *batch.targets[TRANSCRIPT])
    network = _network_step(model)
    return {
        "network, forward and backward": _measured(network, *batch[:3]),
        "sparse CTC (ours)": _measured(_gradient_of(ctc_loss), logits, *labels),
        "dense CTC (keras.ops.ctc_loss)": _measured(_gradient_of(_dense_ctc), logits, *labels),
        "AdamW on one vector (ours)": _measured(*_flat_update(case, model)),
        "AdamW by variable (keras.optimizers)": _measured(*_keras_update(case, model)),
    }


def _measured(function: Callable, *arguments: Any) -> dict:
    signature = [tf.TensorSpec([None] * np.ndim(a), tf.as_dtype(np.asarray(a).dtype)) for a in arguments]
    compiled = tf.function(function, input_signature=signature, jit_compile=False, autograph=False)
    stopwatch = Stopwatch()
    graph = compiled.get_concrete_function().graph
    tracing = stopwatch.lap()
    compiled(*(tf.constant(argument) for argument in arguments))
    running = stopwatch.lap()
    return {"graph_nodes": _num_nodes(graph), "trace": tracing._asdict(), "first_run": running._asdict()}


def _num_nodes(graph) -> int:
    definition = graph.as_graph_def()
    return len(definition.node) + sum(len(function.node_def) for function in definition.library.function)


def _network_step(model: keras.Model) -> Callable:
    def step(*inputs):
        values = [variable.value for variable in model.trainable_variables]
        with tf.GradientTape() as tape:
            total = ops.sum(ops.maximum(model(*inputs, training=True).values[TRANSCRIPT], -1e3))
        return tape.gradient(total, values)

    return step


def _gradient_of(loss: Callable) -> Callable:
    def step(values, *labels):
        with tf.GradientTape() as tape:
            tape.watch(values)
            total = ops.sum(loss(values, *labels))
        return tape.gradient(total, values)

    return step


def _dense_ctc(logits, num_frames, tokens, num_tokens):
    return ops.ctc_loss(tokens, logits, num_tokens, num_frames, mask_index=BLANK)


def _flat_update(case: Case, model: keras.Model) -> tuple[Callable]:
    optimizer = build_optimizer(model, case.recipe.training)  # type: ignore[arg-type]

    def update():
        values = [weight.value for weight in optimizer.weights]
        state = [variable.value for variable in optimizer.variables]
        gradient = optimizer.flattened([0.1 * value for value in values])
        rates = np.full(1, LEARNING_RATE, np.float32)  # of the one group
        new_values, new_state, _ = optimizer.updated(values, gradient, state, rates)
        for variable, value in zip([*optimizer.weights, *optimizer.variables], [*new_values, *new_state], strict=True):
            variable.assign(value)

    return (update,)


def _keras_update(case: Case, model: keras.Model) -> tuple[Callable]:
    training = case.recipe.training
    optimizer = keras.optimizers.AdamW(
        LEARNING_RATE, weight_decay=training.weight_decay, beta_2=0.98, global_clipnorm=training.clip_norm
    )
    optimizer.build(model.trainable_variables)

    def update():
        optimizer.apply([0.1 * variable.value for variable in model.trainable_variables])

    return (update,)
