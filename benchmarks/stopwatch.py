"""Seconds by the clock on the wall and seconds of processor, and how much of the machine others used meanwhile."""

import os
import time
from pathlib import Path
from typing import NamedTuple


class Seconds(NamedTuple):
    """How long something took.

    Attributes:
        wall: Seconds on the wall.
        cpu: Seconds of processor, over all threads of the process; hardly changes when others use the machine too.
    """

    wall: float
    cpu: float


class Stopwatch:
    """Runs from when it is made."""

    def __init__(self):
        self._started = self._now()

    def lap(self) -> Seconds:
        """Time since the last lap, or the start."""
        before, self._started = self._started, self._now()
        return Seconds(*(now - then for now, then in zip(self._started, before, strict=True)))

    @staticmethod
    def _now() -> Seconds:
        return Seconds(time.perf_counter(), time.process_time())


class MachineLoad:
    """How busy other processes keep the machine, from when this is made. Linux only; elsewhere nothing is known."""

    def __init__(self):
        self._busy, self._started = _busy_s(), time.perf_counter()

    def others(self, own_cpu_s: float) -> float | None:
        """Processors that others kept busy on average; `own_cpu_s` is what the benchmark itself used."""
        if self._busy is None:
            return None
        elapsed = time.perf_counter() - self._started
        return round(max(0.0, (_busy_s() or 0.0) - self._busy - own_cpu_s) / elapsed, 2)


def _busy_s() -> float | None:
    statistics = Path("/proc/stat")
    if not statistics.is_file():
        return None
    first_line = statistics.read_text(encoding="ascii").partition("\n")[0]
    user, nice, system, _idle, _waiting, irq, softirq, steal, *_guests = map(int, first_line.split()[1:])
    return (user + nice + system + irq + softirq + steal) / os.sysconf("SC_CLK_TCK")
