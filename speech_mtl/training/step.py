"""What a training step takes and gives, whatever the backend."""

from collections.abc import Callable, Sequence
from typing import NamedTuple

import keras
import numpy as np

from speech_mtl.datatypes import Batch
from speech_mtl.models.multitask import MultilingualModel


class StepResult(NamedTuple):
    """What a step found.

    Attributes:
        losses: (B, C), see `Objective.losses`.
        counts: (B, C), see `Objective.losses`.
        objective: The weighted sum that was minimised.
        norm: Of the whole gradient.
        products: (T, T) inner products of the tasks' gradients: of the weighted tasks in the encoder for a step that
            combines gradients, of L_i in the last shared layer for one that watches it; else empty.
    """

    losses: np.ndarray
    counts: np.ndarray
    objective: float
    norm: float
    products: np.ndarray


Rates = float | np.ndarray
"""Learning rates: (G,) of the groups of weights, or one for all."""

TrainStep = Callable[[Batch, Rates, np.ndarray], StepResult]
"""(batch, learning rates, weights of the tasks (T,)) -> what it found."""

Combine = Callable[[np.ndarray], np.ndarray]
"""(T, T) inner products of the tasks' weighted gradients -> (T,) how often each goes into the step."""


def shared_positions(model: MultilingualModel, weights: Sequence[keras.Variable]) -> tuple[list[int], list[int]]:
    """Which of the weights all tasks share, and which not."""
    shared = {id(variable) for variable in model.shared_weights}
    inside = [i for i, variable in enumerate(weights) if id(variable) in shared]
    return inside, [i for i, variable in enumerate(weights) if id(variable) not in shared]


def rate_vector(rates: Rates) -> np.ndarray:
    """(G,) float32."""
    return np.atleast_1d(np.asarray(rates, np.float32))
