"""What a compiled step needs, takes and gives, whatever the backend."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple, Protocol

import numpy as np

from speech_mtl.datatypes import Array, Batch, Logits

Variable = Any
"""A `keras.Variable`."""


class Network(Protocol):
    """What is trained; see `models.multitask.MultilingualModel`."""

    trainable_variables: list[Variable]
    non_trainable_variables: list[Variable]

    @property
    def shared_weights(self) -> list[Variable]:
        """Those that all tasks share."""
        ...

    def __call__(self, waveforms, num_samples, language_ids, training=False, column=None) -> Logits:
        """The logits of a batch."""
        ...

    def stateless_call(self, trainable, non_trainable, *inputs, **options) -> tuple[Logits, list]:
        """The same as a function of all weights; gives the variables that are not trained, too."""
        ...

    def num_encoder_frames(self, num_samples):
        """Encoder frames made of so many samples."""
        ...


class Loss(Protocol):
    """What is minimised; see `training.objective.Objective`."""

    @property
    def languages(self) -> tuple[str, ...]:
        """In the order of `language_ids`."""
        ...

    @property
    def tasks(self) -> tuple[Any, ...]:
        """All tasks but the transcripts."""
        ...

    def losses(self, logits: Logits, batch: Batch) -> tuple[Array, Array]:
        """(B, 1 + K) sums of losses, and (B, 1 + K) numbers of entries."""
        ...

    def by_task(self, losses, counts, language_ids) -> Array:
        """(T,) what each task adds at a weight of 1."""
        ...


class Optimizer(Protocol):
    """What a step needs of an optimiser; see `training.optimizer`."""

    @property
    def weights(self) -> Sequence[Variable]:
        """What it trains."""
        ...

    @property
    def variables(self) -> Sequence[Variable]:
        """Its own state."""
        ...

    def updated(self, weights, gradients, state, learning_rates) -> tuple[list, list, Array]:
        """A pure function: (new weights, new state, norm of the gradient); (G,) `learning_rates` of its groups."""
        ...


class StepResult(NamedTuple):
    """What a step found.

    Attributes:
        losses: (B, 1 + K), see `Loss.losses`.
        counts: (B, 1 + K), see `Loss.losses`.
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

TrainStep = Callable[[Batch, Rates, np.ndarray], StepResult]
"""(batch, learning rates, weights of the tasks (T,)) -> what it found."""

Combine = Callable[[np.ndarray], np.ndarray]
"""(T, T) inner products of the tasks' weighted gradients -> (T,) how often each goes into the step."""

Products = Callable[[Batch, np.ndarray], np.ndarray]
"""(batch, weights of the tasks (T,)) -> (T, T) inner products of their weighted gradients in the shared weights."""

Forward = Callable[..., tuple[Array, Array, Mapping[str, Array]]]
"""(waveforms, num_samples, language_ids, room=0) -> the fields of `Logits`, as arrays of the backend."""


def shared_positions(model: Network, weights: Sequence[Variable]) -> tuple[list[int], list[int]]:
    """Which of the weights all tasks share, and which not."""
    shared = {id(variable) for variable in model.shared_weights}
    inside = [i for i, variable in enumerate(weights) if id(variable) in shared]
    return inside, [i for i, variable in enumerate(weights) if id(variable) not in shared]


def rate_vector(rates: Rates) -> np.ndarray:
    """(G,) float32."""
    return np.atleast_1d(np.asarray(rates, np.float32))


def size_of(variable: Variable) -> int:
    """How many numbers it holds."""
    return int(np.prod(variable.shape))
