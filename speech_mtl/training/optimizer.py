"""Optimisers over all weights in one flat vector: one method per class.

One that treats each of a Conformer's 200 weights by itself adds thousands of nodes to the graph, which TensorFlow takes
seconds to trace and optimise before the first step; see `benchmarks/`. To add one, write a subclass of `FlatOptimizer`
with its `direction`, and a kind of `OptimizerSettings` that names it. `tests/training/test_optimizer.py` finds it by
itself.
"""

from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import ClassVar, NamedTuple

import keras
import numpy as np
from keras import ops

from speech_mtl.backend.step import size_of
from speech_mtl.datatypes import Array


class FlatOptimizer(ABC):
    """Base of optimisers: groups of weights with their own rates, clipping, decoupled weight decay, weight averaging.

    References: for the decay of weights, Loshchilov and Hutter 2019, "Decoupled weight decay regularization"; for the
    running mean, Polyak and Juditsky 1992, "Acceleration of stochastic approximation by averaging", with a decay as in
    Tarvainen and Valpola 2017, "Mean teachers", section 2. We differ in a decay that rises to it, so that the random
    weights of the start are soon forgotten.

    Args:
        variables: The weights to train. Their paths must be unique: the state is saved under them.
        groups: For each of them, the group whose learning rate it has; see `unfreezing`. None: one for all.
        weight_decay: Applied to matrices, not to biases and scales; multiplied by the learning rate.
        clip_norm: Largest norm of the gradient over all weights.
        average_decay: Of the running mean of the weights, an update: about the last 1 / (1 - decay) count. 0: none.
    """

    moments: ClassVar[tuple[str, ...]]
    """Names of the vectors that it keeps, zeros at first."""

    def __init__(
        self,
        variables: list[keras.Variable],
        groups: Sequence[int] | None,
        weight_decay: float,
        clip_norm: float,
        average_decay: float,
    ):
        self.weights = variables
        self.weight_decay, self.clip_norm, self.average_decay = weight_decay, clip_norm, average_decay
        self.sizes = [size_of(variable) for variable in variables]
        groups = groups or [0] * len(variables)
        kinds = [_Kind(group, len(variable.shape) > 1) for group, variable in zip(groups, variables, strict=True)]
        # Weights of a kind lie side by side: an array that tells the kind of each would be a constant of the graph, and
        # TensorFlow limits these to 2 GB.
        self._order = sorted(range(len(variables)), key=kinds.__getitem__)
        self._kinds = Counter[_Kind]()
        for i in self._order:
            self._kinds[kinds[i]] += self.sizes[i]
        self.vectors = {
            name: keras.Variable(np.zeros(sum(self.sizes), "float32"), trainable=False, name=name)
            for name in (*self.moments, *(["mean"] if average_decay else []))
        }
        self.step = keras.Variable(np.zeros((), "float32"), trainable=False, name="step")

    @abstractmethod
    def direction(self, step, gradient, moments) -> tuple[Array, list[Array]]:
        """A pure function: (what is taken off the weights at a learning rate of 1, new moments), all (P,).

        The decay of the weights comes on top.

        Args:
            step: The number of this step, from 1.
            gradient: After clipping.
            moments: In the order of their names.
        """

    @property
    def variables(self) -> list[keras.Variable]:
        """The optimiser's own state."""
        return [self.step, *self.vectors.values()]

    def named_state(self) -> dict[str, np.ndarray]:
        """The state by name of the weight it belongs to."""
        named = {"step": ops.convert_to_numpy(self.step.value)}
        for kind, vector in self.vectors.items():
            pieces = np.split(ops.convert_to_numpy(vector.value), self._ends())
            named |= {f"{kind}/{self.weights[i].path}": piece for i, piece in zip(self._order, pieces, strict=True)}
        return named

    def set_named_state(self, named: Mapping[str, np.ndarray]) -> None:
        """Sets the state by name, of the sizes that `named_state` gives.

        Raises:
            KeyError: A weight's state is missing.
        """
        self.step.assign(named["step"])
        for kind, vector in self.vectors.items():
            vector.assign(np.concatenate([named[f"{kind}/{self.weights[i].path}"] for i in self._order]))

    def updated(self, weights, gradient, state, learning_rates):
        """One step as a pure function: (new weights, new state, norm of the gradient before clipping).

        `gradient` (P,) is `flattened`; `learning_rates` (G,) are those of the groups. Where the rate is 0, weights do
        not change at all, and the gradient counts as 0.
        """
        step, moments, mean = state[0] + 1.0, state[1 : 1 + len(self.moments)], state[1 + len(self.moments) :]
        flat = self.flattened(weights)
        learning_rate = learning_rates[0]
        if any(kind.group for kind in self._kinds):
            rates = [ops.broadcast_to(learning_rates[kind.group], (size,)) for kind, size in self._kinds.items()]
            learning_rate = ops.concatenate(rates)
            gradient = ops.where(learning_rate > 0, gradient, 0.0)
        norm = ops.sqrt(ops.sum(gradient * gradient))
        gradient = gradient * ops.minimum(1.0, self.clip_norm / (norm + 1e-12))
        update, moments = self.direction(step, gradient, moments)
        flat = flat - learning_rate * (update + self.weight_decay * self._matrices(flat))
        if mean:
            decay = ops.minimum(self.average_decay, (step - 1.0) / (step + 9.0))
            mean = [decay * mean[0] + (1.0 - decay) * flat]
        return self._pieces(flat), [step, *moments, *mean], norm

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

    def _ends(self) -> list[int]:
        """Where the next weight begins in the long vector."""
        return np.cumsum([self.sizes[i] for i in self._order])[:-1].tolist()

    def _pieces(self, flat) -> list:
        """One long vector -> tensors of the weights' shapes, in the order of the weights."""
        pieces = dict(zip(self._order, ops.split(flat, self._ends()), strict=True))
        return [_shaped(pieces[i], variable.shape) for i, variable in enumerate(self.weights)]

    def _matrices(self, flat):
        """The long vector with 0 in place of biases and scales."""
        ends = zip(self._kinds.items(), np.cumsum([*self._kinds.values()]).tolist(), strict=True)
        parts = [flat[end - size : end] if kind.is_matrix else ops.zeros(size) for (kind, size), end in ends]
        return ops.concatenate(parts)

    def flattened(self, tensors):
        """Tensors of the weights' shapes, in the order of the weights -> one long vector (P,)."""
        return ops.concatenate([_shaped(tensors[i], (self.sizes[i],)) for i in self._order])


class _Kind(NamedTuple):
    """What weights are updated alike."""

    group: int
    is_matrix: bool


def _shaped(tensor, shape: Sequence[int]):
    """A tensor in another shape. Most weights are vectors already: each needless node of a graph is traced, too."""
    return tensor if tuple(tensor.shape) == tuple(shape) else ops.reshape(tensor, shape)


class FlatAdamW(FlatOptimizer):
    """Adam, with the weight decay of all.

    References: Kingma and Ba 2015, "Adam", algorithm 1; Loshchilov and Hutter 2019, algorithm 2.
    """

    moments: ClassVar = ("first", "second")
    beta_1, beta_2, epsilon = 0.9, 0.98, 1e-8
    """Decays of the moments, and what is added to the root of the second one."""

    def direction(self, step, gradient, moments):
        first, second = moments
        first = self.beta_1 * first + (1.0 - self.beta_1) * gradient
        second = self.beta_2 * second + (1.0 - self.beta_2) * gradient * gradient
        rate = ops.sqrt(1.0 - self.beta_2**step) / (1.0 - self.beta_1**step)
        return rate * first / (ops.sqrt(second) + self.epsilon), [first, second]
