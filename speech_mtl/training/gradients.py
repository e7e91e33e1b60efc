"""One training step, compiled. THE ONLY FILE that knows which backend computes gradients."""

from collections.abc import Callable

import keras
import numpy as np
from keras import ops

from speech_mtl.datatypes import Batch, Logits
from speech_mtl.models.multitask import MultilingualModel
from speech_mtl.training.losses import ctc_loss
from speech_mtl.training.optimizer import FlatAdamW

TrainStep = Callable[[Batch, float], tuple[np.ndarray, float]]
"""(batch, learning rate) -> (loss of each utterance in nats (B,), norm of the gradient)."""


def make_train_step(model: MultilingualModel, optimizer: FlatAdamW) -> TrainStep:
    """Compiles a step: the loss, its gradients, and the update of weights and optimiser, in place.

    The objective is the loss per token of the batch, so that a long utterance weighs as much as its tokens.

    Raises:
        NotImplementedError: The Keras backend is neither TensorFlow nor JAX.
    """
    backend = keras.backend.backend()
    if backend == "tensorflow":
        return _tensorflow_step(model, optimizer)
    if backend == "jax":
        return _jax_step(model, optimizer)
    raise NotImplementedError(f"Training runs on the backends tensorflow and jax. Received: {backend}")


def _objective(logits, batch: Batch):
    losses = ctc_loss(logits.values, logits.num_frames, batch.tokens, batch.num_tokens)
    return ops.sum(losses) / ops.cast(ops.maximum(ops.sum(batch.num_tokens), 1), "float32"), losses


def _tensorflow_step(model: MultilingualModel, optimizer: FlatAdamW) -> TrainStep:
    import tensorflow as tf

    weights, state = optimizer.weights, optimizer.variables

    # No size is fixed, so that the function is traced once and not for each shape. XLA would compile for each shape.
    @tf.function(input_signature=[_tensorflow_signature(), tf.TensorSpec([], tf.float32)], jit_compile=False)
    def step(batch: Batch, learning_rate):
        with tf.GradientTape() as tape:
            logits = model(batch.waveforms, batch.num_samples, batch.language_ids, training=True)
            objective, losses = _objective(logits, batch)
        values = [weight.value for weight in weights]
        gradients = tape.gradient(objective, values, unconnected_gradients=tf.UnconnectedGradients.ZERO)
        new_weights, new_state, norm = optimizer.updated(
            values, gradients, [variable.value for variable in state], learning_rate
        )
        for variable, value in zip([*weights, *state], [*new_weights, *new_state], strict=True):
            variable.assign(value)
        return losses, norm

    def run(batch: Batch, learning_rate: float) -> tuple[np.ndarray, float]:
        losses, norm = step(batch, np.float32(learning_rate))
        return losses.numpy(), float(norm)

    return run


def _tensorflow_signature() -> Batch:
    import tensorflow as tf

    return Batch(
        waveforms=tf.TensorSpec([None, None], tf.float32),
        num_samples=tf.TensorSpec([None], tf.int32),
        language_ids=tf.TensorSpec([None], tf.int32),
        tokens=tf.TensorSpec([None, None], tf.int32),
        num_tokens=tf.TensorSpec([None], tf.int32),
    )


def _jax_step(model: MultilingualModel, optimizer: FlatAdamW) -> TrainStep:
    import jax  # pyright: ignore[reportMissingImports]

    weights, state = optimizer.weights, optimizer.variables
    positions = {id(weight): i for i, weight in enumerate(weights)}
    other = model.non_trainable_variables

    def objective(values, frozen, other_values, batch):
        trainable = [
            values[positions[id(v)]] if id(v) in positions else frozen[i]
            for i, v in enumerate(model.trainable_variables)
        ]
        inputs = (batch.waveforms, batch.num_samples, batch.language_ids)
        logits, other_values = model.stateless_call(trainable, other_values, *inputs, training=True)
        total, losses = _objective(logits, batch)
        return total, (losses, other_values)

    @jax.jit
    def step(values, frozen, other_values, state_values, batch, learning_rate):
        gradient_of = jax.grad(objective, has_aux=True)
        gradients, (losses, other_values) = gradient_of(values, frozen, other_values, batch)
        values, state_values, norm = optimizer.updated(values, gradients, state_values, learning_rate)
        return values, state_values, other_values, losses, norm

    def run(batch: Batch, learning_rate: float) -> tuple[np.ndarray, float]:
        num_rows, batch = len(batch.num_samples), Batch(*in_common_shapes(*batch))
        frozen = {i: v.value for i, v in enumerate(model.trainable_variables) if id(v) not in positions}
        values, state_values, other_values, losses, norm = step(
            [v.value for v in weights],
            frozen,
            [v.value for v in other],
            [v.value for v in state],
            batch,
            np.float32(learning_rate),
        )
        for variable, value in zip([*weights, *state, *other], [*values, *state_values, *other_values], strict=True):
            variable.assign(value)
        return np.asarray(losses)[:num_rows], float(norm)

    return run


def in_common_shapes(*arrays: np.ndarray) -> list[np.ndarray]:
    """Pads arrays with zeros so that a few shapes stand for all: JAX compiles anew for each shape, for many seconds.

    Sizes become the next of 1, 2, 3, 4, 6, 8, 12, 16, 24 ... Padding changes neither losses nor gradients.
    """
    return [np.pad(array, [(0, _common_size(size) - size) for size in array.shape]) for array in arrays]


def _common_size(size: int) -> int:
    power = 1 << max(0, size - 1).bit_length()
    return power * 3 // 4 if size <= power * 3 // 4 and power >= 4 else power


def make_forward(model: MultilingualModel) -> Callable:
    """Compiles the network without training: (waveforms, num_samples, language_ids) -> `Logits` of arrays."""
    if keras.backend.backend() == "tensorflow":
        import tensorflow as tf

        specs = _tensorflow_signature()
        compiled = tf.function(
            lambda *inputs: model(*inputs, training=False),
            input_signature=[specs.waveforms, specs.num_samples, specs.language_ids],
            jit_compile=False,
        )
    elif keras.backend.backend() == "jax":
        import jax  # pyright: ignore[reportMissingImports]

        variables = [*model.trainable_variables, *model.non_trainable_variables]
        num_trainable = len(model.trainable_variables)

        @jax.jit
        def stateless(values, *inputs):
            return model.stateless_call(values[:num_trainable], values[num_trainable:], *inputs, training=False)[0]

        def compiled(*inputs):
            padded = stateless([variable.value for variable in variables], *in_common_shapes(*inputs))
            values, num_frames = (part[: len(inputs[0])] for part in padded)
            return values[:, : int(num_frames.max())], num_frames
    else:
        raise NotImplementedError(f"Received the backend {keras.backend.backend()}")

    def forward(waveforms, num_samples, language_ids):
        logits = compiled(waveforms, num_samples, language_ids)
        return Logits(*(ops.convert_to_numpy(part) for part in logits))

    return forward
