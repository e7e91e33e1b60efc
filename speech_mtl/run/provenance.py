"""Provenance of results: commands, commit, versions, machine."""

import hashlib
import os
import platform
import re
import shlex
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from speech_mtl.files import NotNegative
from speech_mtl.scoring.rows import Amount

PACKAGES = ("speech-mtl", "keras", "tensorflow", "jax", "numpy", "soundfile", "jiwer")
_ALSO_CALLED = {"tensorflow": ("tensorflow-cpu",)}


@dataclass(frozen=True, slots=True)
class Provenance:
    """The origin of results.

    Attributes:
        commands: What was typed, one line a command.
        commit: Of the code that wrote the results, with `-dirty` where it was changed; None outside a repository.
        versions: Of Python and the packages that matter.
        hardware: Processor, number of cores, memory.
        finished: ISO date and time.
        wall_time_s: All training together.
        trained_by: How many of the runs each commit trained, or helped to train.
    """

    commands: list[str]
    commit: str | None
    versions: dict[str, str]
    hardware: str
    finished: str
    wall_time_s: Amount
    trained_by: dict[str, NotNegative] = field(default_factory=dict)


def provenance(wall_time_s: float, trained_by: Mapping[str, int], earlier_commands: Sequence[str] = ()) -> Provenance:
    """Makes the provenance of results that this command finishes, possibly after earlier ones."""
    commands = list(dict.fromkeys([*earlier_commands, command()]))
    finished = datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC")
    return Provenance(
        commands, commit(), versions(PACKAGES), hardware(), finished, round(wall_time_s, 1), dict(trained_by)
    )


def command() -> str:
    """The command line, without the folder of the program, and made `portable`."""
    name = "speech-mtl" if "speech_mtl" in sys.argv[0] else Path(sys.argv[0]).name
    return portable(shlex.join([name, *sys.argv[1:]]))


def portable(text: str) -> str:
    """A text without the paths of the current folder and of the user's own: reports are sent to others."""
    for folder, instead in ((Path.cwd(), "."), (Path.home(), "~")):
        for path in {str(folder), str(folder.resolve())} - {"/"}:
            text = re.sub(rf"(?<![\w/.~-]){re.escape(path)}(?![\w.-])", instead, text)
    return re.sub(r"(?<![\w/.~-])\./(?=[\w.~-])", "", text)


def versions(packages: Sequence[str]) -> dict[str, str]:
    """Versions of Python and of the installed packages."""
    found = {"python": platform.python_version()}
    for package in packages:
        for name in (package, *_ALSO_CALLED.get(package, ())):
            try:
                found[package] = version(name)
                break
            except PackageNotFoundError:
                continue
    return found


def commit() -> str | None:
    """Commit of the running code; with `-dirty` if it was changed since, None outside a repository of its own."""
    path = Path(__file__)
    git = ["git", "-C", str(path.parent)]
    tracked = [*git, "ls-files", "--error-unmatch", path.name]  # not so where it is installed inside another project
    described = [*git, "describe", "--always", "--abbrev=12", "--dirty", "--exclude=*"]
    try:
        subprocess.run(tracked, capture_output=True, check=True)
        return subprocess.run(described, capture_output=True, text=True, check=True).stdout.strip() or None
    except (OSError, subprocess.CalledProcessError):
        return None


@cache
def code_digest(folders: Sequence[str] = (".",)) -> str:
    """Digest of the package's source or of some of its folders, independent of where it is installed."""
    package, digest = Path(__file__).parents[1], hashlib.sha256()
    for path in sorted(path for folder in folders for path in (package / folder).rglob("*.py")):
        digest.update(path.relative_to(package).as_posix().encode() + b"\0" + path.read_bytes())
    return digest.hexdigest()[:16]


def hardware() -> str:
    """Processor, number of cores and memory."""
    memory = ""
    if hasattr(os, "sysconf") and "SC_PHYS_PAGES" in os.sysconf_names:
        memory = f", {os.sysconf('SC_PHYS_PAGES') * os.sysconf('SC_PAGE_SIZE') / 2**30:.0f} GiB"
    return f"{processor()}, {os.cpu_count()} cores{memory}"


def processor() -> str:
    """Name of the processor."""
    information = Path("/proc/cpuinfo")
    if information.is_file():
        for line in information.read_text(encoding="utf-8").splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor()
