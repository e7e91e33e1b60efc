"""A process per contestant that lives as long as the benchmark, so that neither disturbs the other's threads."""

import multiprocessing
import time
import traceback
from multiprocessing.connection import Connection
from typing import Any, NamedTuple

from benchmarks import speech_like
from benchmarks.contestants import LEARNING_RATE, MAKERS, Case, Prepared
from benchmarks.speech_like import Shape


class FirstStep(NamedTuple):
    """Seconds from nothing to the end of the first step, and of the second with another shape."""

    import_s: float
    build_s: float
    first_step_s: float
    new_shape_s: float

    @property
    def total_s(self) -> float:
        """Seconds until the first step is done."""
        return self.import_s + self.build_s + self.first_step_s


class Speed(NamedTuple):
    """What some steps took."""

    wall_s: float
    cpu_s: float
    audio_s: float


class Worker:
    """Runs training steps in another process, on request.

    Args:
        name: Which of `MAKERS`.
        num_threads: Threads that its framework computes with.
    """

    def __init__(self, name: str, num_threads: int):
        context = multiprocessing.get_context("spawn")
        self._connection, other = context.Pipe()
        self._process = context.Process(target=_serve, args=(other, name, num_threads), daemon=True)
        self._process.start()
        other.close()

    def __enter__(self) -> "Worker":
        return self

    def __exit__(self, *_exception: object) -> None:
        self._connection.close()
        self._process.join()

    def first_step(self, case: Case, shapes: tuple[Shape, Shape]) -> FirstStep:
        """Builds a network and takes a step with each shape."""
        return self._ask("first_step", case, shapes)

    def steps(self, case: Case, shape: Shape, num_steps: int) -> Speed:
        """Times so many steps."""
        return self._ask("steps", case, shape, num_steps)

    def _ask(self, request: str, *arguments: Any) -> Any:
        self._connection.send((request, arguments))
        answer = self._connection.recv()
        if isinstance(answer, str):
            raise RuntimeError(f"The worker failed:\n{answer}")
        return answer


def _serve(connection: Connection, name: str, num_threads: int) -> None:
    server = _Server(name, num_threads)
    while True:
        try:
            request, arguments = connection.recv()
        except EOFError:
            return
        try:
            connection.send(getattr(server, request)(*arguments))
        except Exception:
            connection.send(traceback.format_exc())


class _Server:
    """The other end."""

    def __init__(self, name: str, num_threads: int):
        self.make, self.num_threads = MAKERS[name], num_threads
        self.prepared: dict[Case, Prepared] = {}
        self.batches: dict = {}

    def first_step(self, case: Case, shapes: tuple[Shape, Shape]) -> FirstStep:
        made = self.prepared[case] = self.make(case, self.num_threads)
        seconds = []
        for shape in shapes:
            batch = self._batches(case, shape)[0]
            started = time.perf_counter()
            made.step(batch, LEARNING_RATE)
            seconds.append(time.perf_counter() - started)
        return FirstStep(made.import_s, made.build_s, *seconds)

    def steps(self, case: Case, shape: Shape, num_steps: int) -> Speed:
        batches = self._batches(case, shape)
        chosen = [batches[i % len(batches)] for i in range(num_steps)]
        started, started_cpu = time.perf_counter(), time.process_time()
        for batch in chosen:
            self.prepared[case].step(batch, LEARNING_RATE)
        elapsed, elapsed_cpu = time.perf_counter() - started, time.process_time() - started_cpu
        return Speed(elapsed, elapsed_cpu, sum(map(speech_like.audio_s, chosen)))

    def _batches(self, case: Case, shape: Shape) -> list:
        key = case.num_languages, shape
        if key not in self.batches:
            self.batches[key] = speech_like.batches(shape, case.num_languages)
        return self.batches[key]
