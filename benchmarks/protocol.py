"""The worker's end: a line of JSON asks for something to be done some times, a line of JSON says what it took.

Workers run in the environments of peers, so this needs the standard library only. A request is

    {"case": "training step", "given": {...}, "times": 4}

and its answer {"wall": s, "cpu": s, "amount": ..., "about": {...}, "peak_mib": ...}, or {"error": traceback}. What a
case and its `given` need is made with the first request that names them, and is not timed.
"""

import json
import os
import sys
import time
import traceback
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import IO, Any, NamedTuple


class Prepared(NamedTuple):
    """Something that can be timed.

    Attributes:
        once: Does it; returns how much was done, in the unit of the case.
        about: What a reader of the result has to know.
    """

    once: Callable[[], float]
    about: dict[str, Any]


Makers = Mapping[str, Callable[[dict[str, Any]], Prepared]]
"""By case, what prepares it from what is given."""


def serve(makers: Makers) -> None:
    """Answers requests until there are no more."""
    answers, made = _answers(), {}
    for line in sys.stdin:
        try:
            answer = _answer(makers, made, json.loads(line))
        except Exception:
            answer = {"error": traceback.format_exc()}
        answers.write(json.dumps(answer) + "\n")
        answers.flush()


def _answer(makers: Makers, made: dict[str, Prepared], request: dict[str, Any]) -> dict[str, Any]:
    key = json.dumps([request["case"], request["given"]], sort_keys=True)
    if key not in made:
        made[key] = makers[request["case"]](request["given"])
    amount, busy_s, started = 0.0, processor_s(), time.perf_counter()
    for _ in range(request["times"]):
        amount += made[key].once()
    seconds = {"wall": time.perf_counter() - started, "cpu": processor_s() - busy_s}
    return {**seconds, "amount": amount, "about": made[key].about, "peak_mib": peak_mib()}


def _answers() -> IO[str]:
    """Where answers go. What libraries print goes to the standard error, so that it is not taken for one."""
    answers = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)
    return answers


def processor_s() -> float:
    """Seconds of processor that this process and its children have used so far."""
    ended = os.times()
    living = (_stat(int(folder.name)) for folder in Path("/proc").glob("[0-9]*"))
    ticks = sum(found[1] for found in living if found and found[0] == os.getpid())
    return time.process_time() + ended.children_user + ended.children_system + ticks / os.sysconf("SC_CLK_TCK")


def _stat(pid: int) -> tuple[int, int] | None:
    """The parent of a process and its ticks of processor; None if it has ended. Linux only, as `peak_mib`."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()
    except OSError:
        return None
    return int(fields[1]), int(fields[11]) + int(fields[12])


def peak_mib() -> float | None:
    """The most memory that this process has had, in MiB; its children are not counted."""
    status = Path("/proc/self/status")
    if not status.is_file():
        return None
    lines = dict(line.split(":", 1) for line in status.read_text(encoding="utf-8").splitlines())
    return int(lines["VmHWM"].split()[0]) / 1024
