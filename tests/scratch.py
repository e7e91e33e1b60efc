"""A copy of the project in which something is changed, and pytest in it."""

import multiprocessing
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

import pytest

PRELOADED = ("pytest", "scipy.optimize", "scipy.special", "jiwer", "pydantic", "soundfile", "typer", "keras")
"""Imported once, in a process from which that of each test is forked: they take most of the time of a short test."""
ENVIRONMENT = {
    "KERAS_BACKEND": "tensorflow",
    "TF_CPP_MIN_LOG_LEVEL": "3",
    "TF_NUM_INTRAOP_THREADS": "2",
    "TF_NUM_INTEROP_THREADS": "1",
    "OMP_NUM_THREADS": "2",
    "PYTHONDONTWRITEBYTECODE": "",
}
"""Of the backend as `tests/conftest.py` sets it, before it is imported; and byte code is kept from test to test."""
LONGEST_S = 1200
"""Of pytest: a change that makes tests hang is seen, too."""


class Ended(NamedTuple):
    """How pytest ended.

    Attributes:
        code: Its exit code; None where it took longer than `LONGEST_S`.
        text: What it printed.
    """

    code: int | None
    text: str


@contextmanager
def scratch_copy(project: Path) -> Iterator[Path]:
    """A copy of the files that git has or would add, as they are now; it goes when the block ends."""
    listed = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    names = subprocess.run(listed, cwd=project, capture_output=True, text=True, check=True).stdout.split("\0")
    with tempfile.TemporaryDirectory(prefix="scratch-") as folder:
        for name in names:
            if name and (project / name).is_file():  # some may be removed, and git not know
                copied = Path(folder, name)
                copied.parent.mkdir(parents=True, exist_ok=True)
                shutil.copy(project / name, copied)
        yield Path(folder)


def run_tests(folder: Path, arguments: Sequence[str]) -> Ended:
    """Runs pytest in a copy.

    Args:
        folder: The copy.
        arguments: Test files, relative to the copy, and options.
    """
    os.environ |= ENVIRONMENT
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(list(PRELOADED))
    with tempfile.NamedTemporaryFile(mode="r", encoding="utf-8", errors="replace") as output:
        process = context.Process(target=_run_pytest, args=(folder, arguments, output.name))
        process.start()
        process.join(LONGEST_S)
        if process.is_alive():
            process.kill()
            process.join()
            return Ended(None, output.read())
        return Ended(process.exitcode, output.read())


def _run_pytest(folder: Path, arguments: Sequence[str], output: str) -> None:
    """Of a new process: ends with the exit code of pytest, or 70 if the tests imported another package."""
    sys.path.insert(0, str(folder))
    os.environ["PYTHONPATH"] = str(folder)
    os.chdir(folder)
    file = os.open(output, os.O_WRONLY)
    os.dup2(file, 1)
    os.dup2(file, 2)
    sys.stdout, sys.stderr = (os.fdopen(number, "w", encoding="utf-8", closefd=False) for number in (1, 2))
    options = ["-q", "--no-header", "-p", "no:cacheprovider", "-W", "ignore::pytest.PytestAssertRewriteWarning"]
    code = int(pytest.main([*options, *arguments]))
    package = sys.modules.get("speech_mtl")
    if package is not None and not Path(str(package.__file__)).resolve().is_relative_to(folder.resolve()):
        print(f"These tests import {package.__file__}: changes in the copy would not be seen")
        code = 70
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)  # threads of a backend need not end
