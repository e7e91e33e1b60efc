"""What a result file says about how it came about, and how it is written."""

import json
import os
import platform
import subprocess
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path

from speech_mtl.files import write_text

ROOT = Path(__file__).parent.parent
PACKAGES = ("keras", "numpy", "tensorflow", "torch")


def provenance(command: str) -> dict:
    """Command, commit, versions and machine."""
    return {
        "command": command,
        "date": datetime.now(UTC).date().isoformat(),
        "commit": _git("rev-parse", "HEAD"),
        "uncommitted_changes": bool(_git("status", "--porcelain", "--", "speech_mtl", "benchmarks/*.py")),
        "versions": {"python": platform.python_version()} | {package: _version(package) for package in PACKAGES},
        "cpu": _cpu(),
        "processors": os.cpu_count(),
    }


def write_result(path: Path, result: dict) -> None:
    """Writes a result file."""
    write_text(path, json.dumps(result, indent=1) + "\n")


def _version(package: str) -> str:
    names = {"tensorflow": ("tensorflow", "tensorflow-cpu")}.get(package, (package,))
    for name in names:
        try:
            return version(name)
        except ModuleNotFoundError:
            continue
    return "not installed"


def _git(*arguments: str) -> str:
    return subprocess.run(["git", *arguments], cwd=ROOT, capture_output=True, text=True, check=True).stdout.strip()


def _cpu() -> str:
    information = Path("/proc/cpuinfo")
    if information.is_file():
        for line in information.read_text(encoding="utf-8").splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor()
