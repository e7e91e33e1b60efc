"""Runs what depends on one another, as many at a time as an engine takes; what fails does not stop the rest."""

from collections.abc import Callable, Mapping
from concurrent.futures import FIRST_COMPLETED, Future, wait
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass

from speech_mtl.errors import InputError
from speech_mtl.study.engines import Engine

TICK_S = 2.0
"""Seconds between two looks at how far the runs are."""


@dataclass(frozen=True)
class Job:
    """A call that may start once another has ended.

    Attributes:
        function: What to call; a function of a module, so that another process can find it.
        arguments: Its arguments.
        after: Name of the job that has to end well before; None for none.
    """

    function: Callable
    arguments: tuple
    after: str | None = None


def run_jobs(
    jobs: Mapping[str, Job],
    engine: Engine,
    on_start: Callable[[str], None],
    on_end: Callable[[str, BaseException | None], None],
    on_tick: Callable[[], None] = lambda: None,
) -> None:
    """Runs all jobs in their order, as far as they do not wait for others.

    A job whose predecessor failed is not run; it ends with an `InputError` that says so.

    Args:
        jobs: By name.
        engine: Where they run.
        on_start: Called with the name before a job starts.
        on_end: Called with the name, and with the exception if it failed.
        on_tick: Called every few seconds while jobs run elsewhere.
    """
    waiting, running, ended = dict(jobs), dict[Future, str](), dict[str, BaseException | None]()

    def end(name: str, error: BaseException | None) -> None:
        ended[name] = error
        on_end(name, error)

    while waiting or running:
        for name, before in [(name, job.after) for name, job in waiting.items() if job.after in ended]:
            if before is not None and ended[before] is not None:
                del waiting[name]
                end(name, _predecessor_failed(name, before))
        ready = [n for n, job in waiting.items() if job.after is None or ended.get(job.after, job) is None]
        for name in ready[: engine.num_jobs - len(running)]:
            job = waiting.pop(name)
            on_start(name)
            running[engine.submit(job.function, *job.arguments)] = name
        done, _ = wait(running, timeout=TICK_S, return_when=FIRST_COMPLETED)
        for future in done:
            name = running.pop(future)
            end(name, _named(name, future.exception()))
        on_tick()


def _predecessor_failed(name: str, before: str) -> InputError:
    return InputError(
        f"{name} was not run",
        expected=f"the run {before}, from which it starts",
        received=f"{before} failed",
        action=f"mend what stopped {before}, and run the same command again",
    )


def _named(name: str, error: BaseException | None) -> BaseException | None:
    """An ended process says nothing about itself: this does."""
    if not isinstance(error, BrokenProcessPool):
        return error
    return InputError(
        f"The process that ran {name} was ended from outside",
        expected="a process that runs to its end",
        received="killed, as the system does when memory runs out",
        action="run the same command again, it goes on from the last checkpoint; with fewer --jobs if memory ran out",
    )
