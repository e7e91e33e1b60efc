"""The loop: batch, step, log; now and then look at the dev sets and save; stop when the dev error no longer falls."""

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

import numpy as np

from speech_mtl.datatypes import Batch
from speech_mtl.errors import InputError
from speech_mtl.training.gradients import TrainStep


@dataclass
class Progress:
    """How far training has come: what a checkpoint holds besides weights."""

    update: int = 0
    best_error: float = float("inf")
    best_update: int = 0
    looks_without_gain: int = 0
    wall_time_s: float = 0.0
    waiting_s: float = 0.0
    """Time that training waited for batches."""
    stopped: bool = False
    """Whether early stopping ended training."""

    def finished(self, num_updates: int) -> bool:
        """Whether nothing is left to do."""
        return self.stopped or self.update >= num_updates


@dataclass
class Interval:
    """What happened since the last look at the dev sets."""

    loss_sum: dict[int, float] = field(default_factory=dict)
    num_tokens: dict[int, int] = field(default_factory=dict)
    audio_s: float = 0.0
    training_s: float = 0.0
    """Time of loading and steps, without the look at the dev sets."""

    def add(self, batch: Batch, losses: np.ndarray, sample_rate_hz: int) -> None:
        """Counts one batch."""
        for language in np.unique(batch.language_ids).tolist():
            rows = batch.language_ids == language
            self.loss_sum[language] = self.loss_sum.get(language, 0.0) + float(losses[rows].sum())
            self.num_tokens[language] = self.num_tokens.get(language, 0) + int(batch.num_tokens[rows].sum())
        self.audio_s += float(batch.num_samples.sum()) / sample_rate_hz

    def losses(self) -> dict[int, float]:
        """Mean loss in nats per token, by language id."""
        return {language: self.loss_sum[language] / self.num_tokens[language] for language in sorted(self.loss_sum)}


@dataclass
class TrainingLoop:
    """Everything that training needs, as functions: it knows neither files nor screens.

    Attributes:
        step: One update.
        learning_rate: Learning rate by update.
        batches: Batches from a number on.
        evaluate: The dev error that early stopping looks at, and all figures to log.
        on_update: Called after each update with (update, mean loss per token, learning rate, norm of the gradient).
        on_interval: Called after each look at the dev sets with the progress, the interval, the figures, and whether
            the error is the best so far. Saves.
        num_updates: Most updates.
        evaluate_every: Updates between looks.
        patience: Looks without gain until training stops.
        sample_rate_hz: Rate of the waveforms.
        select_last: Whether the last weights count as the best, whatever their dev error: never stops early.
    """

    step: TrainStep
    learning_rate: Callable[[int], float]
    batches: Callable[[int], Iterator[Batch]]
    evaluate: Callable[[], tuple[float, dict]]
    on_update: Callable[[int, float, float, float], None]
    on_interval: Callable[[Progress, Interval, dict, bool], None]
    num_updates: int
    evaluate_every: int
    patience: int
    sample_rate_hz: int
    select_last: bool = False

    def run(self, progress: Progress) -> Progress:
        """Trains from where `progress` stands until the end; returns the final progress.

        Raises:
            InputError: The loss is no longer a number.
        """
        if progress.finished(self.num_updates):
            return progress
        interval, clock = Interval(), time.perf_counter()
        stream = self.batches(progress.update)
        while not progress.finished(self.num_updates):
            asked = time.perf_counter()
            batch = next(stream)
            progress.waiting_s += time.perf_counter() - asked
            rate = self.learning_rate(progress.update)
            losses, norm = self.step(batch, rate)
            progress.update += 1
            _refuse_non_finite(progress.update, losses, norm)
            interval.add(batch, losses, self.sample_rate_hz)
            interval.training_s += time.perf_counter() - asked
            self.on_update(progress.update, float(losses.sum() / max(1, batch.num_tokens.sum())), rate, norm)
            if progress.update % self.evaluate_every == 0 or progress.update == self.num_updates:
                better, figures = self._look(progress)
                now = time.perf_counter()
                progress.wall_time_s += now - clock
                self.on_interval(progress, interval, figures, better)
                interval, clock = Interval(), now
        stream.close()  # type: ignore[attr-defined]
        return progress

    def _look(self, progress: Progress) -> tuple[bool, dict]:
        error, figures = self.evaluate()
        better = self.select_last or error < progress.best_error
        if better:
            progress.best_error, progress.best_update, progress.looks_without_gain = error, progress.update, 0
        else:
            progress.looks_without_gain += 1
            progress.stopped = progress.looks_without_gain >= self.patience
        return better, figures


def _refuse_non_finite(update: int, losses: np.ndarray, norm: float) -> None:
    if np.isfinite(losses).all() and np.isfinite(norm):
        return
    raise InputError(
        f"The loss of update {update} is no longer a number",
        expected="finite losses and gradients",
        received=f"losses from {losses.min()} to {losses.max()}, norm of the gradient {norm}",
        action="lower training.learning_rate; the last checkpoint is unharmed, and training goes on from there",
    )
