"""A process per contestant that lives as long as the benchmark, so that neither disturbs the other's threads."""

import json
import multiprocessing
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from contextlib import suppress
from dataclasses import asdict
from pathlib import Path
from typing import Any, Self

from benchmarks.contestants import Case
from benchmarks.provenance import ROOT
from benchmarks.rounds import Speed, Turn
from benchmarks.speech_like import Shape
from benchmarks.stopwatch import Seconds


class WorkerError(RuntimeError):
    """A worker failed; with the traceback, or what it wrote last."""


class Worker:
    """Does things in another process, on request; see `benchmarks.protocol`.

    Args:
        module: What runs there, from the root of the repository.
        num_threads: Threads that it computes with.
        python: The Python of its environment; None: this one.

    Attributes:
        about: What it last told of what it does.
        peak_mib: The most memory that it has had, in MiB.
    """

    def __init__(self, module: str, num_threads: int, python: Path | None = None):
        self.num_threads, self.about, self.peak_mib = num_threads, {}, None
        self._log = tempfile.TemporaryFile("w+", encoding="utf-8", errors="replace")  # noqa: SIM115
        # Byte code is written, also where the environment forbids it: without, each start takes seconds more.
        settings = {"CUDA_VISIBLE_DEVICES": "", "TF_CPP_MIN_LOG_LEVEL": "2", "PYTHONDONTWRITEBYTECODE": ""}
        threads = dict.fromkeys(("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS"), str(num_threads))
        self._process = subprocess.Popen(
            [python or sys.executable, "-m", module],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._log,
            cwd=ROOT,
            env=os.environ | threads | settings,
            text=True,
        )

    @classmethod
    def of_steps(cls, num_threads: int) -> Self:
        """One for training steps in this environment; see `steps`."""
        return cls("benchmarks.step_worker", num_threads)

    def steps(self, name: str, case: Case, shape: Shape) -> Turn:
        """Steps of one of `contestants.MAKERS`."""
        return self.turn(name, {"case": asdict(case), "shape": asdict(shape)})

    def close(self) -> None:
        """Ends the process."""
        with self._log, self._process as process:
            process.kill()

    def turn(self, case: str, given: dict[str, Any]) -> Turn:
        """What does a case so many times."""
        return lambda times: self.does(case, given, times)

    def does(self, case: str, given: dict[str, Any], times: int) -> Speed:
        """Does a case so many times, with what is given; prepares it if it has not yet.

        Raises:
            WorkerError: It failed, or has ended.
        """
        self.ask(case, given, times)
        return self.answer()

    def ask(self, case: str, given: dict[str, Any], times: int) -> None:
        """Asks for that, and does not wait for the answer."""
        request = {"case": case, "given": given | {"num_threads": self.num_threads}, "times": times}
        with suppress(BrokenPipeError):  # it has ended: `answer` tells
            print(json.dumps(request), file=self._process.stdin, flush=True)

    def answer(self) -> Speed:
        """What it took.

        Raises:
            WorkerError: It failed, or has ended.
        """
        line = self._process.stdout.readline() if self._process.stdout else ""
        if not line:
            self._log.seek(0)
            raise WorkerError(f"it ended with exit code {self._process.wait()}: {self._log.read()[-2000:]}")
        answer = json.loads(line)
        if "error" in answer:
            raise WorkerError(answer["error"])
        self.about, self.peak_mib = answer["about"], answer["peak_mib"]
        return Speed(Seconds(answer["wall"], answer["cpu"]), answer["amount"])


def in_new_process(function: Callable, *arguments: Any) -> Any:
    """Calls a function in a process that is started for it, and ends with it."""
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(1, mp_context=context, max_tasks_per_child=1) as pool:
        return pool.submit(function, *arguments).result()
