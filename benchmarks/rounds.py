"""Interleaved rounds: some steps of one, some of the next, again and again; only ratios within a round are believed."""

import statistics
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import NamedTuple

from benchmarks.stopwatch import MachineLoad, Seconds


class Speed(NamedTuple):
    """What something took, and how much was done, such as seconds of speech."""

    seconds: Seconds
    amount: float


Turn = Callable[[int], Speed]
"""Does what is compared so many times."""


@dataclass(frozen=True)
class Plan:
    """How long to measure.

    Attributes:
        warm_up: Times that each does it before the rounds, so that every shape has been seen.
        num_rounds: Rounds to make.
        round_s: Seconds that one contestant's part of a round should last.
        max_s: Seconds after which no new round begins, once there are `min_rounds`.
        min_rounds: Rounds to make in any case.
    """

    warm_up: int = 4
    num_rounds: int = 15
    round_s: float = 1.0
    max_s: float = 25.0
    min_rounds: int = 5


@dataclass
class Rounds:
    """What was measured: each contestant's speed by round, and the processors that others used."""

    speeds: dict[str, list[Speed]]
    others: float | None

    def summary(self, first: str, unit: str = "audio_s") -> dict:
        """Numbers for the result file, in units of what was done; ratios are `first`'s speed over each other's."""
        numbers: dict = {"rounds": len(self.speeds[first]), "others_busy_processors": self.others}
        for name, speeds in self.speeds.items():
            numbers[name] = {
                f"{unit}_per_s": spread([speed.amount / speed.seconds.wall for speed in speeds]),
                f"{unit}_per_cpu_s": spread([speed.amount / speed.seconds.cpu for speed in speeds]),
            }
        numbers["ratios"] = {name: self._ratio(first, name) for name in self.speeds if name != first}
        return numbers

    def _ratio(self, first: str, other: str) -> dict:
        pairs = list(zip(self.speeds[first], self.speeds[other], strict=True))
        return {
            "wall": spread([b.seconds.wall / a.seconds.wall * a.amount / b.amount for a, b in pairs]),
            "cpu": spread([b.seconds.cpu / a.seconds.cpu * a.amount / b.amount for a, b in pairs]),
        }


def interleave(turns: Mapping[str, Turn], plan: Plan) -> Rounds:
    """Lets all take turns, each as often in a turn as fills its time. Compilation and a first run are not measured."""
    times: dict[str, int] = {}
    for name, turn in turns.items():
        if plan.warm_up:
            turn(plan.warm_up)
        times[name] = max(1, round(plan.round_s / turn(1).seconds.wall))
    speeds: dict[str, list[Speed]] = {name: [] for name in turns}
    started, load = time.perf_counter(), MachineLoad()
    for done in range(plan.num_rounds):
        if done >= plan.min_rounds and time.perf_counter() - started > plan.max_s:
            break
        for name, turn in turns.items():
            speeds[name].append(turn(times[name]))
    own_s = sum(speed.seconds.cpu for list_ in speeds.values() for speed in list_)
    return Rounds(speeds, load.others(own_s))


def spread(values: list[float]) -> dict[str, float]:
    """Median, smallest and largest."""
    return {"median": _short(statistics.median(values)), "min": _short(min(values)), "max": _short(max(values))}


def _short(value: float) -> float:
    return float(f"{value:.4g}")
