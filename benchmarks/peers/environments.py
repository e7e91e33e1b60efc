"""The environments of peers: made once with uv from pinned requirements, and kept outside git."""

import shutil
import subprocess
import sys
from pathlib import Path
from typing import NamedTuple

FOLDER = Path(__file__).parent
"""A folder for each peer: `requirements.txt`, whose first line names the Python, and `worker.py`."""


class Environment(NamedTuple):
    """Where a peer's worker runs.

    Attributes:
        about: What a reader has to know: the Python, the versions.
        python: Its Python; None if it cannot be made.
        reason: Why not; empty if it can.
    """

    about: dict[str, str]
    python: Path | None
    reason: str = ""


def make_environment(peer: str, root: Path) -> Environment:
    """Makes the environment of a peer in a folder of its name in `root`, unless it is there as its requirements are."""
    requirements = FOLDER / peer / "requirements.txt"
    pinned = requirements.read_text("utf-8")
    version, path = _python_version(pinned), root / peer
    about = {"python": version, **_versions(pinned)}
    python, stamp = path / "bin" / "python", path / "made-from.txt"
    if stamp.is_file() and stamp.read_text("utf-8") == pinned:
        return Environment(about, python)
    shutil.rmtree(path, ignore_errors=True)
    try:
        _uv("venv", "--no-python-downloads", "--python", version, str(path))
        _uv("pip", "install", "--python", str(python), "--no-deps", "--requirement", str(requirements))
    except (OSError, subprocess.CalledProcessError) as error:
        return Environment(about, None, _last_lines(error))
    stamp.write_text(pinned, "utf-8")
    return Environment(about, python)


def _uv(*arguments: str) -> None:
    beside = Path(sys.executable).parent / "uv"
    uv = str(beside) if beside.is_file() else "uv"
    # From the root of the disk: in this project's folders uv reads its pyproject.toml, which leaves packages out.
    subprocess.run(
        [uv, "--quiet", *arguments], check=True, capture_output=True, text=True, cwd=Path(sys.executable).anchor
    )


def _python_version(pinned: str) -> str:
    """Of the first line, `# Python 3.11`."""
    return pinned.partition("\n")[0].removeprefix("# Python ").strip()


def _versions(pinned: str) -> dict[str, str]:
    lines = [line.split("==") for line in pinned.splitlines() if "==" in line]
    return {name: version.partition(";")[0].strip() for name, version in lines}


def _last_lines(error: Exception) -> str:
    text = error.stderr if isinstance(error, subprocess.CalledProcessError) else str(error)
    return " ".join(text.split())[:300]
