"""Reports training to the screen, TensorBoard and the run's log."""

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from uuid import uuid4

import numpy as np
from tensorboard.compat.proto.event_pb2 import Event
from tensorboard.plugins.scalar.summary_v2 import scalar_pb
from tensorboard.summary.writer.record_writer import RecordWriter

from speech_mtl.backend.step import StepResult
from speech_mtl.run.folder import Run
from speech_mtl.run.plateau import USUAL, plateau_text
from speech_mtl.run.provenance import commit
from speech_mtl.run.validation import error_name, error_text, mean_of
from speech_mtl.screen import Screen
from speech_mtl.settings.recipe import Recipe
from speech_mtl.targets.target import ScoredTarget
from speech_mtl.training.progress import Interval, Progress


class Observer:
    """Receives the events of training. This one reports nothing: of several processes, only the first reports."""

    def on_update(self, update: int, found: StepResult, rate: float) -> None:
        """An update is done; `rate` is the largest learning rate."""

    def on_validation(self, progress: Progress, interval: Interval, metrics: dict, better: bool) -> None:
        """A validation is done; nothing of it is saved yet but the best weights."""

    def on_end(self, progress: Progress) -> None:
        """Training has ended."""


@dataclass
class RunObserver(Observer):
    """Reports them to the screen, TensorBoard and the run's log.

    Attributes:
        names: Of the tasks, in the order of their weights.
        tasks: Those that have labels.
        show: The bar; see `Screen.training`.
    """

    run: Run
    recipe: Recipe
    names: tuple[str, ...]
    tasks: Mapping[str, ScoredTarget]
    screen: Screen
    show: Callable
    warned: bool = field(default=False, init=False)

    def __post_init__(self):
        self.commit, self.events = commit(), EventFile(self.run.path / "tensorboard")

    def on_update(self, update: int, found: StepResult, rate: float) -> None:
        """Shows an update, and keeps it for TensorBoard."""
        self.show(update, loss=found.objective, rate=rate)
        for name, value in (("loss", found.objective), ("learning_rate", rate), ("gradient_norm", found.norm)):
            self.events.add_scalar(f"train/{name}", value, update)

    def on_validation(self, progress: Progress, interval: Interval, metrics: dict, better: bool) -> None:
        """Logs a validation."""
        losses = {
            name: round(loss, 5) for name, loss in zip(self.names, interval.losses(), strict=True) if loss is not None
        }
        trained = (*self.recipe.trained_languages, *self.recipe.tasks)
        weights = {
            n: round(weight, 5) for n, weight in zip(self.names, interval.weights(), strict=True) if n in trained
        }
        record = {
            "update": progress.update,
            "train_loss": losses,
            **({"weight": weights} if len(weights) > 1 else {}),
            **metrics,
            "best_dev_error": progress.best_error,
            "losses": [round(objective, 6) for objective in interval.objectives],
            "audio_s": round(interval.audio_s, 2),
            "audio_s_per_s": round(interval.audio_s / interval.training_s, 1),
            "waiting_share": round(progress.waiting_s / progress.wall_time_s, 4),
            "wall_time_s": round(progress.wall_time_s, 1),
            "commit": self.commit,
        }
        self._write_events(progress.update, metrics, losses, weights)
        best = f"best {error_name(self.recipe)}: {error_text(self.recipe, progress.best_error)}"
        self.show(progress.update, best=best, audio_s_per_s=record["audio_s_per_s"])
        self._say(progress.update, metrics, float(np.mean(record["losses"])), better)
        self._warn_of_plateau(progress.update, metrics.get("on_plateau", []))
        self.run.append_log(record)

    def on_end(self, progress: Progress) -> None:
        """Reports why training has ended."""
        self.events.flush()
        why = "all updates done" if progress.end is None else "no better error"
        self.screen.say(
            f"Finished after {progress.update} updates ({why}); best {error_name(self.recipe)}: "
            f"{error_text(self.recipe, progress.best_error)}, at update {progress.best_update}."
        )

    def _write_events(self, update: int, metrics: dict, losses: dict[str, float], weights: dict[str, float]) -> None:
        series = {f"dev/cer/{language}": cer for language, cer in metrics["dev_cer"].items()}
        errors = metrics.get("dev_error", {}).items()
        series |= {f"dev/error/{name}": error for name, error in errors if error is not None}
        for name, loss in losses.items():
            series |= {f"train/loss/{name}": loss, f"train/weight/{name}": weights[name]}
        for name, value in series.items():
            self.events.add_scalar(name, value, update)
        self.events.flush()

    def _say(self, update: int, metrics: dict, loss: float, better: bool) -> None:
        cers = metrics["dev_cer"]
        others = "".join(
            f"; {self.tasks[name].metric} of {name}: {self.tasks[name].score(value):.3g}"
            for name, value in metrics.get("dev_error", {}).items()
            if value is not None
        )
        self.screen.say(
            f"update {update}: training loss {loss:.2f}; validation character error rate, "
            f"{mean_of(list(cers))}: {np.mean(list(cers.values())):.1%}{others}"
            + ("; the best so far" if better else "")
        )

    def _warn_of_plateau(self, update: int, languages: list[str]) -> None:
        """Warns once, when warm-up is over and most trainings have left it, that the output is still only blanks."""
        training = self.recipe.training
        late = max(training.warmup, min(USUAL, training.num_updates // 2))
        if languages and not self.warned and update >= late:
            self.screen.warn(f"update {update}: {plateau_text(languages, self.recipe)}")
            self.warned = True


class EventFile:
    """Scalars by update for TensorBoard, written when `flush` is called; every start of a training has its own file.

    The writer that comes with TensorBoard puts the machine's name into that of the file.
    """

    def __init__(self, folder: Path):
        folder.mkdir(parents=True, exist_ok=True)
        self.path = folder / f"events.out.tfevents.{time.time():.6f}.{uuid4().hex[:8]}"
        self._events = [Event(wall_time=time.time(), file_version="brain.Event:2")]

    def add_scalar(self, tag: str, value: float, step: int) -> None:
        """Adds a value of the series `tag`."""
        self._events.append(Event(wall_time=time.time(), step=step, summary=scalar_pb(tag, value)))

    def flush(self) -> None:
        """Writes what was added."""
        with self.path.open("ab") as file:
            records = RecordWriter(file)
            for event in self._events:
                records.write(event.SerializeToString())
        self._events.clear()
