"""The loop: batch, step, log; now and then look at the dev sets and save; end when the dev error no longer falls."""

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import Annotated, NamedTuple

import numpy as np
from pydantic import Field

from speech_mtl.backend.step import Rates, StepResult, TrainStep
from speech_mtl.datatypes import Batch
from speech_mtl.errors import InputError
from speech_mtl.files import Finite, NotNegative
from speech_mtl.training.objective import Objective, Observed
from speech_mtl.training.weighting import Weighting

MOST_NAMED = 8
"""Utterances that a message names."""


@dataclass
class Progress:
    """How far training has come: what a checkpoint holds besides weights."""

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

    def last_update(self, num_updates: int) -> int:
        """The update after which training ends, as far as is known."""
        return num_updates if self.end is None else self.end

    def finished(self, num_updates: int) -> bool:
        """Whether nothing is left to do."""
        return self.update >= self.last_update(num_updates)

    def with_patience(self, patience: int) -> "Progress":
        """The same with another patience: training that stopped early goes on if it is larger."""
        return replace(self, end=self.end if self.looks_without_gain >= patience else None)


@dataclass
class Interval:
    """What happened since the last look at the dev sets.

    Attributes:
        sums: (T,) loss of each task, summed over entries.
        counts: (T,) its entries.
        weight_sum: (T,) its weights, summed over updates.
        num_updates: Updates.
        audio_s: Seconds of speech.
        training_s: Time of loading and steps, without the look at the dev sets.
    """

    num_tasks: int
    num_updates: int = 0
    audio_s: float = 0.0
    training_s: float = 0.0
    sums: np.ndarray = field(init=False)
    counts: np.ndarray = field(init=False)
    weight_sum: np.ndarray = field(init=False)

    def __post_init__(self):
        self.sums, self.counts, self.weight_sum = (np.zeros(self.num_tasks) for _ in range(3))

    def add(self, observed: Observed, weights: np.ndarray, audio_s: float) -> None:
        """Counts one update."""
        self.sums += observed.sums
        self.counts += observed.counts
        self.weight_sum += weights
        self.num_updates += 1
        self.audio_s += audio_s

    def losses(self) -> list[float | None]:
        """Mean loss of each task per entry: nats per token, for transcripts; None for a task of which nothing came."""
        pairs = zip(self.sums, self.counts, strict=True)
        return [float(total / count) if count else None for total, count in pairs]

    def weights(self) -> list[float]:
        """Mean weight of each task."""
        return (self.weight_sum / max(1, self.num_updates)).tolist()


class Update(NamedTuple):
    """One update: what the step found, what that shows of each task, and the weights they had."""

    found: StepResult
    observed: Observed
    weights: np.ndarray


def update_once(
    step: TrainStep,
    objective: Objective,
    weighting: Weighting,
    number: int,
    batch: Batch,
    learning_rates: Rates,
    sample_rate_hz: int,
) -> Update:
    """Weighs the tasks, makes a step, and tells the weighting what it showed; `number` counts updates from 0."""
    weights = weighting.weights(number)
    found = step(batch, learning_rates, weights)
    observed = objective.observed(found.losses, found.counts, batch, sample_rate_hz)
    if weighting.watches_last_layer:
        observed = replace(observed, norms=objective.norms(found.products, observed))
    if np.isfinite(found.losses).all():
        weighting.observe(observed)
    return Update(found, observed, weights)


@dataclass
class TrainingLoop:
    """Everything that training needs, as functions: it knows neither files nor screens.

    Attributes:
        step: One update.
        objective: What it minimises.
        weighting: Gives the weights of the tasks.
        learning_rates: By update, and by the update after which training ends.
        batches: Batches from a number on, by the progress so far.
        sources: Where the utterances in some rows of a batch come from, by the batch's number, for messages.
        evaluate: The dev error that early stopping looks at, and all figures to log.
        on_update: Called after each update with (update, objective, largest learning rate, norm of the gradient).
        on_interval: Called after each look at the dev sets with the progress, the interval, the figures, and whether
            the error is the best so far. Saves.
        num_updates: Most updates.
        evaluate_every: Updates between looks.
        patience: Looks without gain until the cooldown begins.
        cooldown_updates: Updates from there to the end.
        sample_rate_hz: Rate of the waveforms.
        select_last: Whether the last weights count as the best, whatever their dev error: never stops early.
    """

    step: TrainStep
    objective: Objective
    weighting: Weighting
    learning_rates: Callable[[int, int], Rates]
    batches: Callable[[int], Iterator[Batch]]
    sources: Callable[[int, Sequence[int]], list[str]]
    evaluate: Callable[[], tuple[float, dict]]
    on_update: Callable[[int, float, float, float], None]
    on_interval: Callable[[Progress, Interval, dict, bool], None]
    num_updates: int
    evaluate_every: int
    patience: int
    sample_rate_hz: int
    cooldown_updates: int = 0
    select_last: bool = False

    def run(self, progress: Progress) -> Progress:
        """Trains from where `progress` stands until the end; returns the final progress.

        Raises:
            InputError: The loss is no longer a number.
        """
        if progress.finished(self.num_updates):
            return progress
        interval, clock = self._interval(), time.perf_counter()
        end = progress.last_update(self.num_updates)
        stream = self.batches(progress.update)
        while progress.update < end:
            asked = time.perf_counter()
            batch = next(stream)
            progress.waiting_s += time.perf_counter() - asked
            rates = self.learning_rates(progress.update, end)
            found = self._update(progress, batch, rates, interval)
            interval.training_s += time.perf_counter() - asked
            self.on_update(progress.update, found.objective, float(np.max(rates)), found.norm)
            if progress.update % self.evaluate_every == 0 or progress.update == end:
                better, figures = self._look(progress)
                now = time.perf_counter()
                progress.wall_time_s += now - clock
                self.on_interval(progress, interval, figures, better)
                interval, clock = self._interval(), now
                if end != (end := progress.last_update(self.num_updates)):  # what comes now may be other speech
                    stream.close()  # type: ignore[attr-defined]
                    stream = self.batches(progress.update)
        stream.close()  # type: ignore[attr-defined]
        return progress

    def _interval(self) -> Interval:
        return Interval(len(self.objective.names))

    def _update(self, progress: Progress, batch: Batch, rates: Rates, interval: Interval) -> StepResult:
        tasks = self.objective, self.weighting
        update = update_once(self.step, *tasks, progress.update, batch, rates, self.sample_rate_hz)
        progress.update += 1
        self._refuse_non_finite(progress.update, update.found)
        interval.add(update.observed, update.weights, float(batch.num_samples.sum()) / self.sample_rate_hz)
        return update.found

    def _look(self, progress: Progress) -> tuple[bool, dict]:
        error, figures = self.evaluate()
        better = self.select_last or error < progress.best_error
        if better:
            progress.best_error, progress.best_update = error, progress.update
            progress.looks_without_gain = 0 if progress.end is None else progress.looks_without_gain
        elif progress.end is None:
            progress.looks_without_gain += 1
            end = progress.update + self.cooldown_updates
            if progress.looks_without_gain >= self.patience and end <= self.num_updates:
                progress.end = end
        return better, figures

    def _refuse_non_finite(self, update: int, found: StepResult) -> None:
        bad = np.flatnonzero(~np.isfinite(found.losses).all(axis=1))
        if not len(bad) and np.isfinite(found.norm):
            return
        sources = self.sources(update - 1, bad[:MOST_NAMED].tolist()) if len(bad) else []
        named = f"; in {len(bad)} of {len(found.losses)} utterances: {', '.join(sources)}" if sources else ""
        losses = f"losses from {found.losses.min()} to {found.losses.max()}"
        raise InputError(
            f"The loss of update {update} is no longer a number",
            expected="finite losses and gradients",
            received=f"{losses}, norm of the gradient {found.norm}{named}",
            action="look at these utterances, or lower training.learning_rate; the last checkpoint is unharmed, and "
            "training goes on from there",
        )
