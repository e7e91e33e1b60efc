"""Progress of a training, and its statistics since the last validation."""

import time
from dataclasses import dataclass, replace
from typing import Annotated

import numpy as np
from pydantic import Field

from speech_mtl.files import Finite, NotNegative
from speech_mtl.training.objective import Observed


@dataclass
class Progress:
    """Progress of training, which a checkpoint holds besides the `TrainState`."""

    update: NotNegative = 0
    best_error: Annotated[float, Field(ge=0)] = float("inf")
    best_update: NotNegative = 0
    looks_without_gain: NotNegative = 0
    wall_time_s: Annotated[Finite, Field(ge=0)] = 0.0
    waiting_s: Annotated[Finite, Field(ge=0)] = 0.0
    """Time that training waited for batches."""
    end: NotNegative | None = None
    """The update after which early stopping ends training, a cooldown later than it saw that the error no longer fell.

    None: that has not happened.
    """
    gain_error: Annotated[float, Field(ge=0)] = float("inf")
    """The error of the last validation that was a gain. It is above the best one where gains have a smallest size."""

    def last_update(self, num_updates: int) -> int:
        """The update after which training ends, as far as is known."""
        return num_updates if self.end is None else self.end

    def finished(self, num_updates: int) -> bool:
        """Whether nothing is left to do."""
        return self.update >= self.last_update(num_updates)

    def with_patience(self, patience: int) -> "Progress":
        """The same with another patience: training that stopped early resumes if it is larger."""
        return replace(self, end=self.end if self.looks_without_gain >= patience else None)

    def validated(
        self, error: float, num_updates: int, patience: int, cooldown: int, always: bool, min_improvement: float
    ) -> bool:
        """Counts a validation; returns whether its error is the best so far.

        Args:
            error: The error for early stopping.
            num_updates: Most updates.
            patience: Validations without a gain until the cooldown begins.
            cooldown: Updates from there to the end.
            always: Whether the last weights count as the best, whatever their error: never stops early.
            min_improvement: Fraction by which the error has to fall for a gain.
        """
        if better := always or error < self.best_error:
            self.best_error, self.best_update = error, self.update
        is_gain = always or error < (1 - min_improvement) * self.gain_error
        if is_gain:
            self.gain_error = error
        if self.end is None:
            self.looks_without_gain = 0 if is_gain else self.looks_without_gain + 1
            end = self.update + cooldown
            if self.looks_without_gain >= patience and end <= num_updates:
                self.end = end
        return better


class Interval:
    """Statistics since the last validation.

    Attributes:
        sums: (T,) loss of each task, summed over entries.
        counts: (T,) its entries.
        weight_sum: (T,) its weights, summed over updates.
        objectives: The weighted loss of each update.
        audio_s: Seconds of speech.
        training_s: Time of loading and steps, without the validation.
    """

    def __init__(self, num_tasks: int):
        self.sums, self.counts, self.weight_sum = (np.zeros(num_tasks) for _ in range(3))
        self.objectives: list[float] = []
        self.audio_s, self.training_s, self._begun = 0.0, 0.0, time.perf_counter()

    def add(self, observed: Observed, weights: np.ndarray, objective: float, audio_s: float) -> None:
        """Counts one update."""
        self.sums += observed.sums
        self.counts += observed.counts
        self.weight_sum += weights
        self.objectives.append(objective)
        self.audio_s += audio_s
        self.training_s = time.perf_counter() - self._begun

    def losses(self) -> list[float | None]:
        """Mean loss of each task per entry: nats per token, for transcripts; None for a task without entries."""
        pairs = zip(self.sums, self.counts, strict=True)
        return [float(total / count) if count else None for total, count in pairs]

    def weights(self) -> list[float]:
        """Mean weight of each task."""
        return (self.weight_sum / max(1, len(self.objectives))).tolist()
