"""Engines that execute runs: in this process, in several processes, or on several machines through Ray.

An engine is what `Engine` says. To add one, write such a class and a line in `open_engine`.
"""

import logging
import os
import signal
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import closing, contextmanager
from multiprocessing import get_context, parent_process
from threading import Thread, current_thread, main_thread
from traceback import clear_frames
from typing import Protocol

from speech_mtl.backend import BACKENDS, num_processors, thread_variables
from speech_mtl.errors import InputError, refuse_missing

ENGINES = ("local", "ray")


class Engine(Protocol):
    """Runs functions, as many at a time as `num_jobs`."""

    num_jobs: int

    def submit(self, function: Callable, /, *arguments: object) -> Future:
        """Starts a call. Called only while fewer than `num_jobs` calls are under way."""
        ...

    def close(self) -> None:
        """Ends what was started for it. No call is under way, unless all are to be stopped."""
        ...


@contextmanager
def open_engine(name: str, num_jobs: int) -> Iterator[Engine]:
    """Opens an engine, and closes it when the block ends.

    Args:
        name: `local` or `ray`.
        num_jobs: Runs side by side.

    Raises:
        InputError: There is no such engine, it is not installed, or `num_jobs` is less than 1.
    """
    if name not in ENGINES or num_jobs < 1:
        raise InputError(
            f"There is no engine {name!r}" if name not in ENGINES else "--jobs is not right",
            expected="--engine " + " or ".join(ENGINES) + ", and --jobs 1 or more",
            received=f"--engine {name} --jobs {num_jobs}",
            action="change the option",
        )
    with _stopped_once():
        engine = RayEngine(num_jobs) if name == "ray" else ThisProcess() if num_jobs == 1 else OtherProcesses(num_jobs)
        with closing(engine):
            yield engine


@contextmanager
def _stopped_once() -> Iterator[None]:
    """Ctrl-C stops the block; a second one does not stop the ending of other processes, which would train on."""
    if current_thread() is not main_thread():
        yield  # only the main thread gets signals
        return

    def stop(*_: object) -> None:
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        raise KeyboardInterrupt

    former = signal.signal(signal.SIGINT, stop)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, former)


class ThisProcess:
    """Executes one run after another in this process."""

    num_jobs = 1

    def submit(self, function: Callable, /, *arguments: object) -> Future:
        """Calls the function, and returns when it has ended."""
        future: Future = Future()
        try:
            future.set_result(function(*arguments))
        except Exception as error:
            future.set_exception(_without_locals(error))
        return future

    def close(self) -> None:
        """Does nothing."""


def _without_locals(error: Exception) -> Exception:
    """The error without what its frames hold: a network that ran out of memory would keep it from the next run."""
    found: BaseException | None = error
    while found is not None:
        clear_frames(found.__traceback__)
        found = found.__cause__ or found.__context__
    return error


class OtherProcesses:
    """Runs side by side, each job in a process of its own, with an equal number of processors.

    One pool of one process for each job: when the system kills a process, the others continue.
    """

    def __init__(self, num_jobs: int):
        self.num_jobs = num_jobs
        self._threads = threads_per_job(num_jobs)
        self._last: dict[ProcessPoolExecutor, Future] = {}

    def submit(self, function: Callable, /, *arguments: object) -> Future:
        """Starts a call in an idle process, or in a new one."""
        pool = next((pool for pool, last in self._last.items() if _ended_by_itself(last)), None)
        if pool is None:  # spawned, not forked: a forked TensorFlow hangs
            pool = ProcessPoolExecutor(1, get_context("spawn"), prepare_worker, (self._threads,))
        self._last[pool] = future = pool.submit(function, *arguments)
        return future

    def close(self) -> None:
        """Ends the processes, also while they work: their runs can be resumed from the last checkpoint."""
        for pool in self._last:
            for process in list((pool._processes or {}).values()):
                process.kill()  # what a run has saved is whole at every moment
            pool.shutdown(wait=True, cancel_futures=True)


def _ended_by_itself(call: Future) -> bool:
    return call.done() and not isinstance(call.exception(), BrokenProcessPool)


class RayEngine:
    """Runs on the machines of a Ray cluster, or in worker processes of this one where no cluster is named.

    The cluster is that of the environment variable RAY_ADDRESS. All machines must see the run folders and the speech
    under the same paths.
    """

    def __init__(self, num_jobs: int):
        refuse_missing("ray", extra="ray", purpose="--engine ray")
        import ray

        self.num_jobs = num_jobs
        self._ray, threads = ray, threads_per_job(num_jobs)
        here: dict = (
            {} if os.environ.get("RAY_ADDRESS") else {"num_cpus": num_jobs * threads, "include_dashboard": False}
        )
        ray.init(log_to_driver=False, logging_level=logging.ERROR, **here)
        self._call = ray.remote(num_cpus=threads, max_retries=0)(_with_variables)
        self._variables = worker_variables(threads)

    def submit(self, function: Callable, /, *arguments: object) -> Future:
        """Hands a call to the cluster."""
        return self._call.remote(self._variables, function, *arguments).future()

    def close(self) -> None:
        """Leaves the cluster, and ends it if it was started here."""
        self._ray.shutdown()


def _with_variables(variables: dict[str, str], function: Callable, *arguments: object) -> object:
    """A call in a worker of Ray, which has not imported a backend yet."""
    os.environ.update(variables)
    return function(*arguments)


def threads_per_job(num_jobs: int) -> int:
    """Number of processors for each job, of those that this process may use."""
    return max(1, num_processors() // num_jobs)


def worker_variables(num_threads: int) -> dict[str, str]:
    """Environment variables of a worker: its backend, and the number of threads of TensorFlow and other libraries."""
    return {
        **thread_variables(num_threads),
        "OMP_NUM_THREADS": str(num_threads),
        "KERAS_BACKEND": os.environ.get("KERAS_BACKEND", BACKENDS[0]),
        # The first process of JAX would take most of a GPU's memory for itself.
        "XLA_PYTHON_CLIENT_PREALLOCATE": os.environ.get("XLA_PYTHON_CLIENT_PREALLOCATE", "false"),
    }


def prepare_worker(num_threads: int) -> None:
    """Prepares a new process, before it imports a backend."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches all processes: the first one ends the others
    os.environ.update(worker_variables(num_threads))
    Thread(target=_end_with_parent, daemon=True).start()


def _end_with_parent() -> None:
    """A run whose comparison was killed would train on unseen, and keep its folder locked."""
    parent = parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)
