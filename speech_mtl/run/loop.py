"""The training loop: batch, step, log; now and then validate and save; stop when the error no longer falls."""

import time
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass, replace
from itertools import islice
from typing import Any, NamedTuple, TypeVar

import numpy as np

from speech_mtl.backend.step import Pending, Rates, StepResult, TrainStep
from speech_mtl.data.threads import ahead
from speech_mtl.datatypes import Batch
from speech_mtl.errors import InputError
from speech_mtl.run.checkpoint import Checkpoints
from speech_mtl.run.observer import Observer
from speech_mtl.run.training_speech import TrainingSpeech
from speech_mtl.settings.training import TrainingSettings
from speech_mtl.training.objective import Objective, Observed
from speech_mtl.training.progress import Interval, Progress
from speech_mtl.training.state import TrainState
from speech_mtl.training.weighting import Weighting

_Item = TypeVar("_Item")

MOST_NAMED = 8
"""Utterances that a message names."""


class Update(NamedTuple):
    """An update that has begun."""

    number: int
    """Number of updates before it."""
    batch: Batch
    rates: Rates
    weights: np.ndarray
    found: Pending


@dataclass(frozen=True)
class Training:
    """One training: the model's state, its data and its settings."""

    settings: TrainingSettings
    sample_rate_hz: int
    state: TrainState
    objective: Objective
    step: TrainStep
    rates: Callable[[int, int], Rates]
    """By update, and by the update after which training ends."""
    speech: TrainingSpeech
    validation: Callable[[int, int], tuple[float, dict]]
    """(update, last update as far as is known) -> the error for early stopping, and all metrics."""
    checkpoints: Checkpoints

    def run(self, progress: Progress, observer: Observer) -> None:
        """Trains from where `progress` stands until the end, and moves it on.

        What a step found is read after the next one has begun, so that the device need not wait; at once where the
        weights of the next one depend on it, or before the network is validated.

        Raises:
            InputError: The loss is no longer a number.
        """
        settings, clock = self.settings, time.perf_counter()
        begun: list[Update] = []
        interval = Interval(len(self.objective.names))
        while not progress.finished(settings.num_updates):
            end = progress.last_update(settings.num_updates)
            with closing(self.speech.batches(progress.update, end)) as batches:
                wanted = islice(batches, end - progress.update)
                for batch, placed in _timed(_placed(wanted, self.step.place), progress):
                    begun.append(self.begin(progress.update, end, batch, placed))
                    progress.update += 1
                    validate = progress.update % settings.evaluate_every == 0 or progress.update == end
                    while len(begun) > (0 if validate or self.state.weighting.observes else 1):
                        update = begun.pop(0)
                        found = self.finish(update, end, interval)
                        observer.on_update(update.number + 1, found, float(np.max(update.rates)))
                    if not validate:
                        continue

                    error, metrics = self.validation(progress.update, end)
                    better = progress.validated(
                        error,
                        settings.num_updates,
                        settings.patience,
                        settings.cooldown,
                        settings.select == "last",
                        settings.min_improvement,
                    )
                    clock, before = time.perf_counter(), clock
                    progress.wall_time_s += clock - before
                    if better:
                        with self.state.optimizer.averaged():
                            self.checkpoints.save_best(self.state.model, progress.update)
                    observer.on_validation(progress, interval, metrics, better)
                    self.checkpoints.save(self.state, progress)
                    interval = Interval(len(self.objective.names))
                    if progress.last_update(settings.num_updates) != end or progress.update == end:
                        break  # what comes now, if anything does, may be other speech
        observer.on_end(progress)

    def begin(self, number: int, end: int, batch: Batch, placed: Any) -> Update:
        """Weighs the tasks and begins a step with a batch, which `placed` is on the device."""
        rates, weights = self.rates(number, end), self.state.weighting.weights(number)
        return Update(number, batch, rates, weights, self.step.begin(placed, rates, weights, number))

    def finish(self, update: Update, end: int, interval: Interval) -> StepResult:
        """Waits for the result of a step, counts it, and passes it to the weighting."""
        found, batch = update.found(), update.batch
        self._refuse_non_finite(update.number, end, found)
        observed = observe(self.objective, self.state.weighting, found, batch, self.sample_rate_hz)
        interval.add(observed, update.weights, found.objective, float(batch.num_samples.sum()) / self.sample_rate_hz)
        return found

    def _refuse_non_finite(self, number: int, end: int, found: StepResult) -> None:
        bad = np.flatnonzero(~np.isfinite(found.losses).all(axis=1))
        if not len(bad) and np.isfinite(found.norm):
            return
        sources = self.speech.sources(number, end, bad[:MOST_NAMED].tolist()) if len(bad) else []
        named = f"; in {len(bad)} of {len(found.losses)} utterances: {', '.join(sources)}" if sources else ""
        losses = f"losses from {found.losses.min()} to {found.losses.max()}"
        raise InputError(
            f"The loss of update {number + 1} is no longer a number",
            expected="finite losses and gradients",
            received=f"{losses}, norm of the gradient {found.norm}{named}",
            action="check these utterances, or lower training.learning_rate; the last checkpoint is intact, and "
            "training resumes from there",
        )


def observe(
    objective: Objective, weighting: Weighting, found: StepResult, batch: Batch, sample_rate_hz: int
) -> Observed:
    """Computes what a step showed of each task, and passes it to the weighting."""
    observed = objective.observed(found.losses, found.counts, batch, sample_rate_hz)
    if weighting.watches_last_layer:
        observed = replace(observed, norms=objective.norms(found.products, observed))
    weighting.observe(observed)
    return observed


def _placed(batches: Iterator[_Item], place: Callable[[_Item], Any]) -> Iterator[tuple[_Item, Any]]:
    """Batches, and what they are on the device; the next one is copied there while a step runs."""
    return ahead(lambda batch: (batch, place(batch)), batches, num_threads=1, most=1)


def _timed(batches: Iterator[_Item], progress: Progress) -> Iterator[_Item]:
    """The same batches; counts how long they are waited for."""
    while True:
        asked = time.perf_counter()
        batch = next(batches)
        progress.waiting_s += time.perf_counter() - asked
        yield batch
