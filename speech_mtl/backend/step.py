"""Interfaces of compiled steps, for all backends."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np

from speech_mtl.datatypes import Array, Batch, Outputs

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
            combines gradients, of what tasks add to the objective at a loss weight of 1 in the weights that are watched
            for one that watches some; else empty.
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


@dataclass(frozen=True)
class Limits:
    """What limits the memory of a step, in numbers that the network gets: samples, unless features are made before.

    Attributes:
        room: Of the largest batch, padding included, if known: JAX then compiles for fewer shapes.
        part: Those, padding included, that are computed at once: a larger batch is computed in parts one after
            another, whose gradients are added. None: any.
        lengths: To which JAX pads utterances, if they are few; else to common sizes.
        tokens: Not numbers but tokens, of the longest sequence, if known: JAX then pads sequences to no more.
    """

    room: int = 0
    part: int | None = None
    lengths: tuple[int, ...] = ()
    tokens: int = 0

    @classmethod
    def of_seconds(
        cls,
        sample_rate_hz: int,
        num_inputs: Callable[[int], int],
        room_s: float,
        part_s: float | None = None,
        lengths_s: Sequence[float] = (),
        tokens: int = 0,
    ) -> "Limits":
        """Those of speech of so many seconds; `num_inputs`: samples -> numbers that the network gets."""
        part = None if part_s is None else max(1, num_inputs(int(part_s * sample_rate_hz)))
        lengths = tuple(num_inputs(round(length_s * sample_rate_hz)) for length_s in lengths_s)
        return cls(num_inputs(int(room_s * sample_rate_hz)), part, lengths, tokens)

    def num_parts(self, num_rows: int, size: int) -> int:
        """In how many parts a batch of rows of so many numbers is computed; each has a row at least."""
        return 1 if self.part is None else -(-num_rows // max(1, self.part // size))


UNLIMITED = Limits()


@dataclass(frozen=True)
class TrainStep:
    """A compiled step.

    Attributes:
        begin: Begins it: (placed batch, learning rates, weights of the tasks (T,), number of the update).
        place: Pads a batch and copies it to the device, in any thread.
        shapes: Those of the batches so far for which XLA has compiled it.
    """

    begin: Callable[[Any, Rates, np.ndarray, int], Pending]
    place: Callable[[Batch], Any] = lambda batch: batch
    shapes: set[tuple[int, ...]] = field(default_factory=set)

    def __call__(self, batch: Batch, rates: Rates, weights: np.ndarray, update: int) -> Pending:
        """Places a batch and begins the step."""
        return self.begin(self.place(batch), rates, weights, update)


Combine = Callable[[np.ndarray, int], np.ndarray]
"""((T, T) inner products of the tasks' weighted gradients, number of the update) -> (T,) how often each counts."""

Products = Callable[[Batch, np.ndarray], np.ndarray]
"""(batch, weights of the tasks (T,)) -> (T, T) inner products of their weighted gradients in the shared weights."""


@dataclass(frozen=True)
class Forward:
    """A compiled network that is not trained.

    Attributes:
        run: (limits, waveforms, num_samples, language_ids) -> the fields of `Outputs`, of any arrays.
        shapes: Those of the batches so far for which XLA has compiled it.
    """

    run: Callable[..., tuple[Mapping[str, Array], Array]]
    shapes: set[tuple[int, ...]] = field(default_factory=set)

    def __call__(
        self, waveforms: Array, num_samples: Array, language_ids: Array, limits: Limits = UNLIMITED
    ) -> Outputs:
        """`Outputs` of numpy's arrays."""
        return as_numpy(*self.run(limits, waveforms, num_samples, language_ids))


def as_numpy(values: Mapping[str, Array], num_frames: Array) -> Outputs:
    """`Outputs` of the backend's arrays as those of numpy."""
    from keras import ops

    arrays = {name: ops.convert_to_numpy(array) for name, array in values.items()}
    return Outputs(arrays, ops.convert_to_numpy(num_frames))


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
