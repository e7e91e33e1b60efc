"""Interleaved rounds: some steps of one, some of the next, again and again; only ratios within a round are believed."""

import statistics
import time
from collections.abc import Mapping
from dataclasses import dataclass

from benchmarks.contestants import Case
from benchmarks.speech_like import Shape
from benchmarks.stopwatch import MachineLoad
from benchmarks.workers import Speed, Worker


@dataclass(frozen=True)
class Plan:
    """How long to measure.

    Attributes:
        num_rounds: Rounds to make.
        round_s: Seconds that one contestant's part of a round should last.
        max_s: Seconds after which no new round begins, once there are `min_rounds`.
        min_rounds: Rounds to make in any case.
    """

    num_rounds: int = 15
    round_s: float = 1.0
    max_s: float = 25.0
    min_rounds: int = 5


@dataclass
class Rounds:
    """What was measured: each contestant's speed by round, and the processors that others used."""

    speeds: dict[str, list[Speed]]
    others: float | None

    def summary(self, first: str) -> dict:
        """Figures for the result file; ratios are `first`'s speed over each other's."""
        numbers: dict = {"rounds": len(self.speeds[first]), "others_busy_processors": self.others}
        for name, speeds in self.speeds.items():
            numbers[name] = {
                "audio_s_per_s": spread([speed.audio_s / speed.seconds.wall for speed in speeds]),
                "audio_s_per_cpu_s": spread([speed.audio_s / speed.seconds.cpu for speed in speeds]),
            }
        numbers["ratios"] = {name: self._ratio(first, name) for name in self.speeds if name != first}
        return numbers

    def _ratio(self, first: str, other: str) -> dict:
        pairs = list(zip(self.speeds[first], self.speeds[other], strict=True))
        return {
            "wall": spread([b.seconds.wall / a.seconds.wall * a.audio_s / b.audio_s for a, b in pairs]),
            "cpu": spread([b.seconds.cpu / a.seconds.cpu * a.audio_s / b.audio_s for a, b in pairs]),
        }


def interleave(workers: Mapping[str, tuple[Worker, Case]], shape: Shape, plan: Plan) -> Rounds:
    """Lets the workers take turns. Compilation and a first run are not measured."""
    slowest = 0.0
    for worker, case in workers.values():
        worker.steps(case, shape, 4)  # every batch once, so that every shape has been seen
        slowest = max(slowest, worker.steps(case, shape, 2).seconds.wall / 2)
    num_steps = max(1, round(plan.round_s / slowest))
    speeds: dict[str, list[Speed]] = {name: [] for name in workers}
    started, load = time.perf_counter(), MachineLoad()
    for done in range(plan.num_rounds):
        if done >= plan.min_rounds and time.perf_counter() - started > plan.max_s:
            break
        for name, (worker, case) in workers.items():
            speeds[name].append(worker.steps(case, shape, num_steps))
    own_s = sum(speed.seconds.cpu for list_ in speeds.values() for speed in list_)
    return Rounds(speeds, load.others(own_s))


def spread(values: list[float]) -> dict[str, float]:
    """Median, smallest and largest."""
    return {"median": _short(statistics.median(values)), "min": _short(min(values)), "max": _short(max(values))}


def _short(value: float) -> float:
    return float(f"{value:.4g}")
