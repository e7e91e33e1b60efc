"""What needs gradients or a compiler, for the backend at hand."""

from collections.abc import Callable, Collection
from types import ModuleType

import keras
import numpy as np
from keras import ops

from speech_mtl.datatypes import Array, Batch, Outputs
from speech_mtl.models.multitask import MultilingualModel
from speech_mtl.training.objective import Objective
from speech_mtl.training.optimizer import FlatAdamW
from speech_mtl.training.step import Combine, TrainStep


def make_train_step(
    model: MultilingualModel,
    optimizer: FlatAdamW,
    objective: Objective,
    watch_last_layer: bool = False,
    room: int = 0,
) -> TrainStep:
    """Compiles a step: the objective, its gradient, and the update of weights and optimiser, in place.

    Args:
        model: The network.
        optimizer: Of its weights.
        objective: The tasks.
        watch_last_layer: Whether to look at each task's gradient in the last layer that all share.
        room: Samples of the largest batch, padding included, if known: JAX then compiles for fewer shapes.

    Raises:
        NotImplementedError: The Keras backend is neither TensorFlow nor JAX.
    """
    return _backend().make_train_step(model, optimizer, objective, watch_last_layer, room)


def make_combining_step(
    model: MultilingualModel, optimizer: FlatAdamW, objective: Objective, combine: Combine
) -> TrainStep:
    """Compiles a step that takes the tasks' gradients one by one, and combines them by what `combine` makes of them.

    Only in the encoder; heads follow the weighted sum. The gradients of all tasks are held at once, T times the network
    and whatever the batch. Under TensorFlow each language goes through the network by itself, which costs about as much
    as all of them together; each other task costs a pass backwards. Under JAX, whose shapes are fixed, each language
    costs such a pass, too.

    Raises:
        NotImplementedError: The Keras backend is neither TensorFlow nor JAX.
    """
    return _backend().make_combining_step(model, optimizer, objective, combine)


def make_products(model: MultilingualModel, objective: Objective) -> Callable[[Batch, np.ndarray], np.ndarray]:
    """Compiles (batch, weights) -> (T, T) inner products of the tasks' weighted gradients in the encoder.

    Raises:
        NotImplementedError: The Keras backend is neither TensorFlow nor JAX.
    """
    return _backend().make_products(model, objective)


def make_forward(
    model: MultilingualModel, languages: Collection[str] | None = None, targets: Collection[str] | None = None
) -> Callable[..., Outputs]:
    """Compiles the network without training: (waveforms, num_samples, language_ids, room=0) -> `Outputs` of arrays.

    The arrays are numpy's. For `room` see `make_train_step`.

    Args:
        model: The network.
        languages: Those that batches may have; None for all.
        targets: What is asked for; None for all.

    Raises:
        NotImplementedError: The Keras backend is neither TensorFlow nor JAX.
    """
    compiled = _backend().make_forward(model, languages, targets)

    def forward(waveforms: Array, num_samples: Array, language_ids: Array, room: int = 0) -> Outputs:
        values, num_frames = compiled(waveforms, num_samples, language_ids, room=room)
        arrays = {name: ops.convert_to_numpy(array) for name, array in values.items()}
        return Outputs(arrays, ops.convert_to_numpy(num_frames))

    return forward


def _backend() -> ModuleType:
    """The file that has the functions above for the backend."""
    backend = keras.backend.backend()
    if backend == "tensorflow":
        from speech_mtl.training import step_tensorflow

        return step_tensorflow
    if backend == "jax":
        from speech_mtl.training import step_jax

        return step_jax
    raise NotImplementedError(f"Training runs on the backends tensorflow and jax. Received: {backend}")
