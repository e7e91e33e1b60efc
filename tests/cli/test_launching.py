"""Processes that are started together, and how they end; what they do is made up here."""

import os
import sys
import time
from pathlib import Path

import pytest
import typer

from speech_mtl.cli.launching import LOST, Processes, launch, launched
from speech_mtl.errors import InputError

ACTS = """
import json, os, signal, sys, time
index = json.loads(os.environ["SPEECH_MTL_PROCESS"])["index"]
open(os.path.join(sys.argv[1], str(index)), "w").write(str(os.getpid()))
while len(os.listdir(sys.argv[1])) < int(sys.argv[2]):
    time.sleep(0.01)
print("told by", index, file=sys.stderr, flush=True)
exec(sys.argv[3 + index])
"""


def run(folder: Path, *acts: str) -> None:
    """Each process does its act when all have begun; the folder names them."""
    launch(Processes(len(acts)).places(), [sys.executable, "-c", ACTS, str(folder), str(len(acts)), *acts])


def test_all_end_well_and_warnings_of_others_are_shown(tmp_path: Path, capfd: pytest.CaptureFixture):
    run(tmp_path, "pass", "time.sleep(0.1)", "pass")
    assert sorted(capfd.readouterr().err.split("\n")) == ["", "told by 0", "told by 1", "told by 2"]


def test_a_killed_process_is_named_and_the_others_are_ended(tmp_path: Path):
    started = time.monotonic()
    with pytest.raises(InputError, match="Process 1 of 3 was lost") as caught:
        run(tmp_path, f"sys.exit({LOST})", "os.kill(os.getpid(), signal.SIGKILL)", "time.sleep(60)")
    assert caught.value.received == "the signal SIGKILL"
    assert time.monotonic() - started < 30
    for path in tmp_path.iterdir():
        with pytest.raises(ProcessLookupError):
            os.kill(int(path.read_text()), 0)


@pytest.mark.parametrize(("failing", "shown"), [(0, ["told by 0"]), (1, ["told by 0", "told by 1"])])
def test_what_failed_is_shown_and_not_what_lost_it(
    failing: int, shown: list[str], tmp_path: Path, capfd: pytest.CaptureFixture
):
    acts = [f"sys.exit({LOST})"] * 3
    acts[failing] = "time.sleep(0.5); sys.exit(2)"
    with pytest.raises(typer.Exit) as caught:
        run(tmp_path, *acts)
    assert caught.value.exit_code == 2
    assert sorted(capfd.readouterr().err.split("\n"))[1:] == shown


def test_a_process_that_is_lost_on_another_host(tmp_path: Path):
    with pytest.raises(InputError, match="Process 0 of 1 has lost a process on another host"):
        run(tmp_path, f"sys.exit({LOST})")


def test_without_options_nothing_is_started():
    assert not launched(Processes())


def test_places_on_one_machine_and_on_several():
    first, second = Processes(2).places()
    assert (first.index, second.index, second.count, second.device, second.is_local) == (0, 1, 2, 1, True)
    assert first.coordinator == second.coordinator
    assert first.coordinator.startswith("127.0.0.1:")
    places = Processes(2, hosts=3, host=1, coordinator="node0:7654").places()
    assert [(one.index, one.count, one.device, one.is_local) for one in places] == [(2, 6, 0, False), (3, 6, 1, False)]
    assert {one.coordinator for one in places} == {"node0:7654"}


@pytest.mark.parametrize(
    "asked",
    [
        Processes(1, hosts=2),
        Processes(1, hosts=2, coordinator="node0"),
        Processes(1, hosts=2, coordinator=":7654"),
        Processes(1, hosts=2, coordinator="node0:70000"),
        Processes(1, hosts=2, host=2, coordinator="node0:7654"),
        Processes(2, host=1),
        Processes(2, coordinator="node0:7654"),
    ],
)
def test_options_that_do_not_fit_together_are_refused(asked: Processes, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("KERAS_BACKEND", "jax")
    with pytest.raises(InputError, match="options for several hosts") as caught:
        launched(asked)
    assert f"--hosts {asked.hosts} --host {asked.host}" in caught.value.received


@pytest.mark.parametrize("backend", [None, "tensorflow"])
def test_another_backend_is_refused(backend: str | None, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.delenv("KERAS_BACKEND") if backend is None else monkeypatch.setenv("KERAS_BACKEND", backend)
    with pytest.raises(InputError, match="tensorflow trains in one process") as caught:
        launched(Processes(2))
    assert "KERAS_BACKEND=jax" in caught.value.action
