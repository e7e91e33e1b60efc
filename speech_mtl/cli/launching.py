"""Starts the processes of one training, on this machine as one of several hosts or alone, and watches them.

Each runs the command that was typed (see `cli.process`). The first process of all writes to the terminal. What others
write is kept, and shown if one of them fails or warns.
"""

import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from typing import IO, TYPE_CHECKING

import typer

from speech_mtl.errors import InputError

if TYPE_CHECKING:
    from speech_mtl.backend.processes import Place

LOST = 75
"""Exit code of a process that has lost another one, and has nothing else to report."""

GRACE_S = 5.0
"""How long after a process has lost another one that may take to end."""


@dataclass(frozen=True)
class Processes:
    """The processes that are asked for.

    Attributes:
        each: How many a host starts.
        hosts: How many hosts there are.
        host: Which of them this one is, from 0.
        coordinator: `host:port` where they meet: the first host, and a free port there. None on one machine.
    """

    each: int = 1
    hosts: int = 1
    host: int = 0
    coordinator: str | None = None

    def check(self) -> None:
        """Checks that the options fit together.

        Raises:
            InputError: They do not.
        """
        name, _, port = (self.coordinator or "").rpartition(":")
        is_address = bool(name) and port.isdecimal() and 0 < int(port) < 2**16
        if self.host < self.hosts and (is_address if self.hosts > 1 else self.coordinator is None):
            return
        raise InputError(
            "The options for several hosts do not fit together",
            expected="on each host the same --hosts N and --coordinator FIRST-HOST:PORT, and its own --host from 0 to "
            "N - 1; or none of them on one machine",
            received=f"--hosts {self.hosts} --host {self.host}"
            + (f" --coordinator {self.coordinator}" if self.coordinator else ""),
            action="correct them; docs/processes.md has an example",
        )

    def places(self) -> "list[Place]":
        """Of the processes that this host starts."""
        from speech_mtl.backend.processes import Place

        coordinator, first = self.coordinator or f"127.0.0.1:{_free_port()}", self.host * self.each
        return [
            Place(first + device, self.hosts * self.each, coordinator, device, is_local=self.hosts == 1)
            for device in range(self.each)
        ]


def _refuse_other_backend() -> None:
    """Refuses backends that train in one process, without importing any."""
    if (name := os.environ.get("KERAS_BACKEND") or "tensorflow") != "jax":
        raise InputError(
            f"The Keras backend {name} trains in one process",
            expected="the backend jax for several",
            received=f"KERAS_BACKEND={name}",
            action="set KERAS_BACKEND=jax; if need be, pip install 'speech-mtl[jax]'",
        )


@dataclass(frozen=True)
class _Started:
    place: "Place"
    process: subprocess.Popen
    written: IO[bytes] | None
    """What it has written, if it is not the first one."""

    def text(self) -> str:
        if self.written is None:
            return ""
        self.written.seek(0)
        return self.written.read().decode("utf-8", "replace")


def launched(asked: Processes) -> bool:
    """Runs the command that was typed in several processes if that is asked for, and waits until they have ended.

    False in each of them, and where nothing is asked for: the command is to be done in this process.

    Raises:
        InputError: The options do not fit together, or the backend has no processes; or as for `launch`.
        typer.Exit: As for `launch`.
    """
    if asked == Processes():
        return False
    from speech_mtl.backend.processes import own_place

    if own_place() is not None:
        return False
    asked.check()
    _refuse_other_backend()
    launch(asked.places(), [sys.executable, "-m", "speech_mtl.cli.process", *sys.argv[1:]])
    return True


def launch(places: "Sequence[Place]", command: Sequence[str]) -> None:
    """Runs a command in a process for each place, and waits until all have ended; if one fails, the others are ended.

    Raises:
        InputError: One was ended from outside, or has lost one on another host.
        typer.Exit: One has failed, and has reported why.
    """
    with ExitStack() as stack:
        started = [_start(place, command, stack) for place in places]
        while any(one.process.poll() is None for one in started) and not any(one.process.poll() for one in started):
            time.sleep(0.1)
        if any(one.process.poll() for one in started):
            _report(_cause(started))
        for one in started:
            sys.stderr.write(one.text())


def _start(place: "Place", command: Sequence[str], stack: ExitStack) -> _Started:
    """Starts a process, which ends when the stack is left in any way."""
    written = None if place.index == 0 else stack.enter_context(tempfile.TemporaryFile())  # noqa: SIM115
    process = subprocess.Popen(
        command,
        env={**os.environ, **place.to_environment()},
        stdin=subprocess.PIPE,  # closed when this process ends in any way, see `cli.process`
        stdout=None if written is None else subprocess.DEVNULL,
        stderr=written,
        start_new_session=True,  # Ctrl-C reaches this process only
    )
    stack.callback(process.communicate)
    stack.callback(process.kill)
    return _Started(place, process, written)


def _cause(started: Sequence[_Started]) -> _Started:
    """The process whose end has ended the others: one that has not only lost another."""
    until = time.monotonic() + GRACE_S
    while True:
        failed = [one for one in started if one.process.poll()]
        own = [one for one in failed if one.process.returncode != LOST]
        if own or len(failed) == len(started) or time.monotonic() > until:
            return (own or failed)[0]
        time.sleep(0.1)


def _report(cause: _Started) -> None:
    code, place = cause.process.returncode, cause.place
    if code > 0:
        sys.stderr.write(cause.text())
    if code > 0 and code != LOST:
        raise typer.Exit(code)
    name = f"Process {place.index} of {place.count}"
    problem, received = f"{name} has lost a process on another host", "the error of the runtime that is shown above"
    if code != LOST:
        problem, received = f"{name} was lost, and the others were ended", f"the signal {signal.Signals(-code).name}"
    raise InputError(
        problem,
        expected="all processes until training has ended",
        received=received,
        action="find out why it ended, such as too little memory, and start the command again on every host: training "
        "resumes from the last checkpoint, with any number of processes",
    )


def _free_port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return found.getsockname()[1]
