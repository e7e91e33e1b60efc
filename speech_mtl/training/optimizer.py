"""AdamW over all weights laid end to end in one vector."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import keras
import numpy as np
from keras import ops


class FlatAdamW:
    """Adam with decoupled weight decay and clipping by the global norm, as a handful of operations on one long vector.

    An optimiser that treats each of a Conformer's 200 weights by itself adds thousands of nodes to the graph, which
    TensorFlow takes seconds to trace and optimise before the first step; see `benchmarks/`.

    References: Kingma and Ba 2015, "Adam", algorithm 1; Loshchilov and Hutter 2019, "Decoupled weight decay
    regularization", algorithm 2; for the running mean of the weights, Polyak and Juditsky 1992, "Acceleration of
    stochastic approximation by averaging", with a decay as in Tarvainen and Valpola 2017, "Mean teachers", section 2.
    We differ in a decay that rises to it, so that the random weights of the start are soon forgotten.

    Args:
        variables: The weights to train. Their paths must be unique: the state is saved under them.
        groups: For each of them, the group whose learning rate it has; see `unfreezing`. None: one for all.
        weight_decay: Applied to matrices, not to biases and gains; multiplied by the learning rate.
        clip_norm: Largest norm of the gradient over all weights.
        average_decay: Of the running mean of the weights, an update: about the last 1 / (1 - decay) count. 0: none.
    """

    def __init__(
        self,
        variables: list[keras.Variable],
        groups: Sequence[int] | None,
        weight_decay: float,
        clip_norm: float,
        average_decay: float,
        beta_1: float = 0.9,
        beta_2: float = 0.98,
        epsilon: float = 1e-8,
    ):
        self.weights = variables
        self.average_decay = average_decay
        self.weight_decay, self.clip_norm = weight_decay, clip_norm
        self.beta_1, self.beta_2, self.epsilon = beta_1, beta_2, epsilon
        self.sizes = [int(np.prod(variable.shape)) for variable in variables]
        self.decayed = np.concatenate(
            [np.full(size, len(v.shape) > 1, "float32") for v, size in zip(variables, self.sizes, strict=True)]
        )
        self.groups = np.repeat(np.array(groups or [0] * len(variables), "int32"), self.sizes)
        total = sum(self.sizes)
        self.vectors = {
            name: keras.Variable(np.zeros(total, "float32"), trainable=False, name=name)
            for name in ("first", "second", *(["mean"] if average_decay else []))
        }
        self.step = keras.Variable(np.zeros((), "float32"), trainable=False, name="step")

    @property
    def variables(self) -> list[keras.Variable]:
        """The optimiser's own state."""
        return [self.step, *self.vectors.values()]

    def named_state(self) -> dict[str, np.ndarray]:
        """The state by name of the weight it belongs to."""
        named = {"step": ops.convert_to_numpy(self.step.value)}
        for kind, vector in self.vectors.items():
            pieces = np.split(ops.convert_to_numpy(vector.value), np.cumsum(self.sizes)[:-1])
            named |= {f"{kind}/{v.path}": piece for v, piece in zip(self.weights, pieces, strict=True)}
        return named

    def set_named_state(self, named: dict[str, np.ndarray]) -> None:
        """Sets the state by name.

        Raises:
            KeyError: A weight's state is missing, or of another size.
        """
        for name, array in self.named_state().items():
            if np.size(named[name]) != array.size:
                raise KeyError(f"{name} of size {array.size}")
        self.step.assign(named["step"])
        for kind, vector in self.vectors.items():
            vector.assign(np.concatenate([named[f"{kind}/{variable.path}"] for variable in self.weights]))

    def updated(self, weights, gradients, state, learning_rates):
        """One step as a pure function: (new weights, new state, norm of the gradient before clipping).

        `learning_rates` (G,) are those of the groups. Where it is 0, weights do not change at all, and the
        gradient counts as 0.
        """
        step, first, second, *mean = state
        gradient = self._flatten(gradients)
        flat = self._flatten(weights)
        learning_rate = learning_rates[0]
        if self.groups.any():
            learning_rate = ops.take(learning_rates, self.groups)
            gradient = ops.where(learning_rate > 0, gradient, 0.0)
        norm = ops.sqrt(ops.sum(gradient * gradient))
        gradient = gradient * ops.minimum(1.0, self.clip_norm / (norm + 1e-12))
        step = step + 1.0
        first = self.beta_1 * first + (1.0 - self.beta_1) * gradient
        second = self.beta_2 * second + (1.0 - self.beta_2) * gradient * gradient
        rate = ops.sqrt(1.0 - self.beta_2**step) / (1.0 - self.beta_1**step)
        update = rate * first / (ops.sqrt(second) + self.epsilon)
        update = update + self.weight_decay * self.decayed * flat
        flat = flat - learning_rate * update
        if mean:
            decay = ops.minimum(self.average_decay, (step - 1.0) / (step + 9.0))
            mean = [decay * mean[0] + (1.0 - decay) * flat]
        return self._pieces(flat), [step, first, second, *mean], norm

    @contextmanager
    def averaged(self) -> Iterator[None]:
        """While the block runs, the weights are their running mean, if there is one; afterwards what they were."""
        if not self.average_decay:
            yield
            return
        before = [ops.copy(variable.value) for variable in self.weights]
        self._assign(self._pieces(self.vectors["mean"].value))
        try:
            yield
        finally:
            self._assign(before)

    def _assign(self, values) -> None:
        for variable, value in zip(self.weights, values, strict=True):
            variable.assign(value)

    def _pieces(self, flat) -> list:
        """One long vector -> tensors of the weights' shapes."""
        pieces = ops.split(flat, list(np.cumsum(self.sizes)[:-1]))
        return [ops.reshape(piece, variable.shape) for piece, variable in zip(pieces, self.weights, strict=True)]

    def _flatten(self, tensors):
        return ops.concatenate([ops.reshape(tensor, (-1,)) for tensor in tensors], axis=0)
