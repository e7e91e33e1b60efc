"""One of several processes that run a command together; `cli.launching` starts it and tells it its place."""

import os
import sys
import threading

from speech_mtl.backend.processes import ProcessLost
from speech_mtl.cli import app
from speech_mtl.cli.console import run
from speech_mtl.cli.launching import LOST


def main() -> None:
    """Runs the command; ends at once if it fails, without waiting for the others to end in order."""
    threading.Thread(target=_end_with_launcher, daemon=True).start()
    try:
        run(_command)
    except SystemExit as end:
        if end.code:
            _end(end.code if isinstance(end.code, int) else 1)


def _command() -> None:
    try:
        app()
    except ProcessLost as error:
        sys.stderr.write(f"{error.received}\n")  # an error of its own device reads alike to us
        _end(LOST)  # the launcher reports which one it was


def _end_with_launcher() -> None:
    """Waits for the end of standard input, which the launcher holds open as long as it lives."""
    os.read(sys.stdin.fileno(), 1)
    os._exit(1)


def _end(code: int) -> None:
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)


if __name__ == "__main__":
    main()
