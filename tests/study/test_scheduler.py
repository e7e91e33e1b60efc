"""What runs when, on every engine: order, failures, and processes that are killed."""

import os
import signal
import subprocess
import sys
import time
import weakref
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from importlib.util import find_spec
from pathlib import Path
from threading import Lock

import pytest

from speech_mtl.errors import InputError
from speech_mtl.study.engines import ENGINES, Engine, ThisProcess, open_engine, threads_per_job
from speech_mtl.study.scheduler import Job, run_jobs


def note(folder: Path, name: str) -> str:
    """Leaves a file that says when, and in which process."""
    (folder / name).write_text(f"{time.time()} {os.getpid()}")
    return name


def wait_for(folder: Path, name: str, other: str) -> None:
    """Ends well only if another job runs at the same time."""
    note(folder, name)
    for _ in range(600):
        if (folder / other).exists():
            return
        time.sleep(0.1)
    raise TimeoutError(other)


def refuse(message: str) -> None:
    raise InputError(message, expected="e", received="r", action="a")


def fail() -> None:
    raise ZeroDivisionError("ours")


def die() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def threads() -> str:
    return os.environ["OMP_NUM_THREADS"]


class Recorded:
    """Runs jobs and keeps what was told about them."""

    def __init__(self, engine: Engine, jobs: dict[str, Job]):
        self.started: list[str] = []
        self.ended: dict[str, BaseException | None] = {}
        run_jobs(jobs, engine, self.started.append, self.ended.__setitem__)


CASES = [("local", 1), ("local", 2)] + ([("ray", 2)] if find_spec("ray") else [])


@pytest.fixture(scope="module", params=CASES, ids=lambda case: f"{case[0]}-{case[1]}")
def engine(request: pytest.FixtureRequest) -> Iterator[Engine]:
    with pytest.MonkeyPatch.context() as patched:
        patched.setenv("PYTHONPATH", str(Path(__file__).parent))  # Ray's workers have to find this file
        with open_engine(*request.param) as opened:
            yield opened


def test_every_engine_is_tried_here():
    assert {name for name, _ in CASES} | {"ray"} == set(ENGINES)


def test_all_tasks_run_once_and_after_those_they_wait_for(engine: Engine, tmp_path: Path):
    jobs = {
        "late": Job(note, (tmp_path, "late"), after=("early",)),
        "other": Job(note, (tmp_path, "other")),
        "early": Job(note, (tmp_path, "early")),
        "last": Job(note, (tmp_path, "last"), after=("late",)),
    }
    recorded = Recorded(engine, jobs)
    assert sorted(recorded.started) == sorted(jobs)
    assert recorded.ended == dict.fromkeys(jobs)
    times = {name: float((tmp_path / name).read_text().split()[0]) for name in jobs}
    assert times["early"] < times["late"] < times["last"]


def test_a_failure_stops_only_what_starts_from_it(engine: Engine, tmp_path: Path):
    recorded = Recorded(
        engine,
        {
            "bad": Job(refuse, ("no speech",)),
            "ours": Job(fail, ()),
            "after": Job(note, (tmp_path, "after"), after=("bad",)),
            "after that": Job(note, (tmp_path, "after that"), after=("after",)),
            "good": Job(note, (tmp_path, "good")),
        },
    )
    assert recorded.ended["good"] is None
    assert [path.name for path in tmp_path.iterdir()] == ["good"]
    bad, ours = recorded.ended["bad"], recorded.ended["ours"]
    assert isinstance(bad, InputError)
    assert (bad.problem, bad.expected, bad.received, bad.action) == ("no speech", "e", "r", "a")
    assert isinstance(ours, ZeroDivisionError)
    for name, before in (("after", "bad"), ("after that", "after")):
        assert f"the run {before}" in str(recorded.ended[name])
    assert "after" not in recorded.started


def test_two_jobs_run_at_the_same_time(engine: Engine, tmp_path: Path):
    if engine.num_jobs < 2:
        pytest.skip("one job at a time")
    jobs = {"a": Job(wait_for, (tmp_path, "a", "b")), "b": Job(wait_for, (tmp_path, "b", "a"))}
    assert Recorded(engine, jobs).ended == {"a": None, "b": None}
    assert (tmp_path / "a").read_text().split()[1] != (tmp_path / "b").read_text().split()[1]


def test_a_killed_process_takes_down_one_task_only(tmp_path: Path):
    with open_engine("local", 2) as engine:
        jobs = {"dies": Job(die, ()), **{n: Job(note, (tmp_path, n)) for n in "abcd"}}
        recorded = Recorded(engine, jobs)
    assert "The process that ran dies was ended from outside" in str(recorded.ended.pop("dies"))
    assert recorded.ended == dict.fromkeys("abcd")


class Network:
    """What a failed run has in its memory."""


kept: list[weakref.ref] = []


def fail_with_a_network() -> None:
    network = Network()
    kept.append(weakref.ref(network))
    try:
        fail()
    except ZeroDivisionError as error:
        raise RuntimeError from error


def test_a_failed_run_leaves_its_network_to_nobody():
    recorded = Recorded(ThisProcess(), {"fails": Job(fail_with_a_network, ())})
    assert isinstance(recorded.ended["fails"], RuntimeError)
    assert kept.pop()() is None


def sleep_long(folder: Path, name: str) -> None:
    note(folder, name)
    time.sleep(600)


MAIN = """
import os, signal
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from test_scheduler import open_engine, sleep_long

shutdown, shut = ProcessPoolExecutor.shutdown, []

def interrupted(pool, **options):
    if not shut:
        shut.append(pool)
        os.kill(os.getpid(), signal.SIGINT)
    shutdown(pool, **options)

if __name__ == "__main__":
    ProcessPoolExecutor.shutdown = interrupted
    with open_engine("local", 3) as engine:
        futures = [engine.submit(sleep_long, Path(__file__).parent, name) for name in "abc"]
        futures[0].result()
"""


def kill(first: subprocess.Popen) -> None:
    first.kill()


def press_ctrl_c(first: subprocess.Popen) -> None:
    """As a terminal does: all processes of the group get it. `MAIN` gets another one while it ends the others."""
    os.killpg(first.pid, signal.SIGINT)


@pytest.mark.parametrize("end", [kill, press_ctrl_c])
def test_processes_end_when_the_first_one_is_ended(tmp_path: Path, end: Callable):
    """Else a run would continue unseen, and its folder stay locked."""
    (tmp_path / "main.py").write_text(MAIN)
    variables = os.environ | {"PYTHONPATH": str(Path(__file__).parent)}
    first = subprocess.Popen([sys.executable, tmp_path / "main.py"], env=variables, start_new_session=True)
    notes = [tmp_path / name for name in "abc"]
    wait_until(lambda: all(path.exists() and " " in path.read_text() for path in notes))
    others = [int(path.read_text().split()[1]) for path in notes]
    end(first)
    try:
        first.wait(20)
        wait_until(lambda: not any(map(alive, others)))
    finally:
        for other in filter(alive, [first.pid, *others]):
            os.kill(other, signal.SIGKILL)


def wait_until(condition: Callable[[], bool]) -> None:
    for _ in range(600):
        if condition():
            return
        time.sleep(0.1)
    raise TimeoutError


def alive(process: int) -> bool:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    return True


def test_each_job_has_its_share_of_the_processors():
    with open_engine("local", 2) as engine:
        assert engine.submit(threads).result() == str(threads_per_job(2))
    assert threads_per_job(1) >= threads_per_job(2) >= threads_per_job(10_000) == 1


def test_no_more_jobs_than_allowed_and_no_fewer():
    class Threads:
        num_jobs = 3
        under_way = most = 0

        def __init__(self):
            self.pool, self.lock = ThreadPoolExecutor(10), Lock()

        def submit(self, function: Callable, /, *arguments: object) -> Future:
            return self.pool.submit(self.counted, function, *arguments)

        def counted(self, function: Callable, *arguments: object) -> None:
            with self.lock:
                self.under_way += 1
                self.most = max(self.most, self.under_way)
            function(*arguments)
            with self.lock:
                self.under_way -= 1

        def close(self) -> None:
            self.pool.shutdown()

    engine = Threads()
    assert Recorded(engine, {str(i): Job(time.sleep, (0.05,)) for i in range(12)}).ended == dict.fromkeys(
        map(str, range(12))
    )
    assert engine.most == 3


@pytest.mark.parametrize(("name", "jobs"), [("slurm", 1), ("local", 0)])
def test_an_engine_that_is_not_there_is_refused(name: str, jobs: int):
    with pytest.raises(InputError, match=r"no engine|--jobs"), open_engine(name, jobs):
        pass


def test_ray_that_is_not_installed_is_asked_for(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(InputError, match="needs the package 'ray'"), open_engine("ray", 2):
        pass
