"""A process per contestant that lives as long as the benchmark, so that neither disturbs the other's threads."""

import multiprocessing
import traceback
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from multiprocessing.connection import Connection
from typing import Any, NamedTuple

from benchmarks import speech_like
from benchmarks.contestants import LEARNING_RATE, MAKERS, Case, Step
from benchmarks.speech_like import Shape
from benchmarks.stopwatch import Seconds, Stopwatch


class Speed(NamedTuple):
    """What some steps took."""

    seconds: Seconds
    audio_s: float


class Worker:
    """Takes training steps in another process, on request.

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

    def close(self) -> None:
        """Ends the process."""
        self._connection.close()
        self._process.join()

    def steps(self, case: Case, shape: Shape, num_steps: int) -> Speed:
        """Times so many steps; builds the network if it is not there yet.

        Raises:
            RuntimeError: With the traceback of the other process.
        """
        self._connection.send((case, shape, num_steps))
        answer = self._connection.recv()
        if isinstance(answer, str):
            raise RuntimeError(f"The worker failed:\n{answer}")
        return answer


def _serve(connection: Connection, name: str, num_threads: int) -> None:
    made: dict[Case, Step] = {}
    batches: dict[tuple[int, Shape], list] = {}
    while True:
        try:
            case, shape, num_steps = connection.recv()
        except EOFError:
            return
        try:
            if case not in made:
                made[case] = MAKERS[name](case, num_threads).step
            key = case.num_languages, shape
            if key not in batches:
                batches[key] = speech_like.batches(shape, case.num_languages)
            connection.send(_timed(made[case], batches[key], num_steps))
        except Exception:
            connection.send(traceback.format_exc())


def _timed(step: Step, batches: list, num_steps: int) -> Speed:
    chosen = [batches[i % len(batches)] for i in range(num_steps)]
    stopwatch = Stopwatch()
    for batch in chosen:
        step(batch, LEARNING_RATE)
    return Speed(stopwatch.lap(), sum(map(speech_like.audio_s, chosen)))


def in_new_process(function: Callable, *arguments: Any) -> Any:
    """Calls a function in a process that is started for it, and ends with it."""
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(1, mp_context=context, max_tasks_per_child=1) as pool:
        return pool.submit(function, *arguments).result()
