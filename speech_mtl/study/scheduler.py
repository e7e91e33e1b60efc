"""Runs what depends on one another, as many at a time as an engine takes; what fails does not stop the rest."""

from collections.abc import Callable, Mapping
from concurrent.futures import FIRST_COMPLETED, Future, wait
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from typing import TypeVar

from speech_mtl.errors import InputError
from speech_mtl.study.engines import Engine

TICK_S = 2.0
"""Seconds between two checks of the runs' progress."""


@dataclass(frozen=True)
class Job:
    """A call that may start once others have ended.

    Attributes:
        function: What to call; a function of a module, so that another process can find it.
        arguments: Its arguments.
        after: Names of the jobs that have to end well before.
    """

    function: Callable
    arguments: tuple
    after: tuple[str, ...] = ()


Name = TypeVar("Name")


def keep_busy(
    engine: Engine,
    next_job: Callable[[], tuple[Name, Job] | None],
    on_end: Callable[[Name, BaseException | None], None],
    on_tick: Callable[[], None] = lambda: None,
) -> None:
    """Runs jobs, as many at a time as the engine takes, until none is left and all have ended.

    Args:
        engine: Where they run.
        next_job: Gives a job that can start now, with its name; None where there is none, until another has ended.
        on_end: Called with the name, and with the exception if the job failed.
        on_tick: Called every few seconds while jobs run elsewhere.
    """
    running: dict[Future, Name] = {}
    while True:
        while len(running) < engine.num_jobs and (found := next_job()):
            name, job = found
            running[engine.submit(job.function, *job.arguments)] = name
        if not running:
            return
        done, _ = wait(running, timeout=TICK_S, return_when=FIRST_COMPLETED)
        for future in done:
            error = future.exception()
            name = running.pop(future)
            on_end(name, _named(name, getattr(error, "cause", None) or error))  # `cause`: Ray wraps what was raised
        on_tick()


def run_jobs(
    jobs: Mapping[str, Job],
    engine: Engine,
    on_start: Callable[[str], None],
    on_end: Callable[[str, BaseException | None], None],
    on_tick: Callable[[], None] = lambda: None,
) -> None:
    """Runs all jobs in their order, as far as they do not wait for others; see `keep_busy`.

    A job whose predecessor failed is not run; it ends with an `InputError` that names that job.
    """
    waiting, ended = dict(jobs), dict[str, BaseException | None]()

    def end(name: str, error: BaseException | None) -> None:
        ended[name] = error
        on_end(name, error)

    def ready() -> str | None:
        return next((name for name, job in waiting.items() if ended.keys() >= set(job.after)), None)

    def next_job() -> tuple[str, Job] | None:
        while (name := ready()) is not None:
            job = waiting.pop(name)
            failed = next((before for before in job.after if ended[before] is not None), None)
            if failed is None:
                on_start(name)
                return name, job
            end(name, _predecessor_failed(name, failed))
        return None

    keep_busy(engine, next_job, end, on_tick)


def _predecessor_failed(name: str, before: str) -> InputError:
    return InputError(
        f"{name} was not run",
        expected=f"the run {before}, from which it starts",
        received=f"{before} failed",
        action=f"fix what stopped {before}, and run the same command again",
    )


class Killed(InputError):
    """The process of a job was ended from outside; what it saved is whole."""


def _named(name: object, error: BaseException | None) -> BaseException | None:
    """Makes an error for a process that ended without one."""
    if not isinstance(error, BrokenProcessPool):
        return error
    return Killed(
        f"The process that ran {name} was ended from outside",
        expected="a process that runs to its end",
        received="killed, as the system does when memory runs out",
        action="run the same command again to resume from the last checkpoint; with fewer --jobs if memory ran out",
    )
