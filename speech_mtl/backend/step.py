"""Interfaces of compiled steps, for all backends."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from speech_mtl.datatypes import Array, Batch

Variable = Any
"""A `keras.Variable`."""

Network = Any
"""A `models.multitask.MultilingualModel`; it stands above this module."""

Loss = Any
"""A `training.objective.Objective`, likewise."""

Optimizer = Any
"""A `training.optimizer.FlatOptimizer`, likewise."""


class StepResult(NamedTuple):
    """The result of a step.

    Attributes:
        losses: (B, C), see `Objective.losses`.
        counts: (B, C), see `Objective.losses`.
        objective: The weighted sum that was minimised.
        norm: Of the whole gradient.
        products: (T, T) inner products of the tasks' gradients: of the weighted tasks in the encoder for a step that
            combines gradients, of L_i in the weights that are watched for one that watches some; else empty.
    """

    losses: np.ndarray
    counts: np.ndarray
    objective: float
    norm: float
    products: np.ndarray


Rates = float | np.ndarray
"""Learning rates: (G,) of the groups of weights, or one for all."""

Pending = Callable[[], StepResult]
"""Waits for a step that has begun, and returns its result."""

TrainStep = Callable[[Batch, Rates, np.ndarray, int], Pending]
"""Begins a step: (batch, learning rates, weights of the tasks (T,), number of the update)."""

Combine = Callable[[np.ndarray, int], np.ndarray]
"""((T, T) inner products of the tasks' weighted gradients, number of the update) -> (T,) how often each counts."""

Products = Callable[[Batch, np.ndarray], np.ndarray]
"""(batch, weights of the tasks (T,)) -> (T, T) inner products of their weighted gradients in the shared weights."""

Forward = Callable[..., tuple[Mapping[str, Array], Array]]
"""(waveforms, num_samples, language_ids, room=0) -> the fields of `Outputs`, as arrays of the backend."""


def shared_positions(model: Network, weights: Sequence[Variable]) -> tuple[list[int], list[int]]:
    """Positions of the shared and of the other weights."""
    shared = {id(variable) for variable in model.shared_weights}
    inside = [i for i, variable in enumerate(weights) if id(variable) in shared]
    return inside, [i for i, variable in enumerate(weights) if id(variable) not in shared]


def rows_by_part(num_samples: np.ndarray, num_parts: int) -> list[np.ndarray]:
    """The rows of a batch in at most so many parts, of utterances of similar length and about equal samples each."""
    order = np.argsort(num_samples, kind="stable")
    middles = np.cumsum(num_samples[order]) - num_samples[order] / 2
    parts = (middles * num_parts / num_samples.sum()).astype(int)
    return [order[parts == part] for part in np.unique(parts)]


def rate_vector(rates: Rates) -> np.ndarray:
    """(G,) float32."""
    return np.atleast_1d(np.asarray(rates, np.float32))


def size_of(variable: Variable) -> int:
    """How many numbers it holds."""
    return int(np.prod(variable.shape))
