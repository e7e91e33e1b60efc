"""Seconds that a newcomer waits: for setting up, for help, the tests and the demo, in a fresh clone of the last commit.

python -m benchmarks.commands [--out benchmarks/commands.json]

The machine has to be quiet: the times are those of the clock.
"""

import argparse
import subprocess
import tempfile
from pathlib import Path
from statistics import median
from time import perf_counter

from benchmarks.provenance import ROOT, Table, provenance, report

COMMANDS = {
    "setup": (["make", "setup"], 1, None),
    "--help": ([".venv/bin/speech-mtl", "--help"], 9, 0.5),
    "test": (["make", "test"], 1, 480.0),
    "demo": (["make", "demo"], 1, 360.0),
}
"""By name: the command, how often it is run, and the most seconds that it is to take; None for no limit."""


def main() -> None:
    """Measures, writes the result and prints it."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.commands", description=__doc__)
    parser.add_argument("--out", type=Path, default=ROOT / "benchmarks" / "commands.json")
    arguments = parser.parse_args()
    result = provenance("commands")
    with tempfile.TemporaryDirectory() as folder:
        clone = Path(folder) / "clone"
        subprocess.run(["git", "clone", "--quiet", str(ROOT), str(clone)], check=True)
        result["seconds"] = {name: _seconds(clone, *COMMANDS[name][:2]) for name in COMMANDS}
    report(arguments.out, result, _table(result["seconds"]))


def _seconds(clone: Path, command: list[str], times: int) -> list[float]:
    """How long each of some runs took.

    Raises:
        subprocess.CalledProcessError: One failed.
    """
    found = []
    for _ in range(times):
        start = perf_counter()
        subprocess.run(command, cwd=clone, check=True, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL)
        found.append(round(perf_counter() - start, 3))
    return found


def _table(seconds: dict[str, list[float]]) -> Table:
    heads = ("Command", "Runs", "Median s", "Shortest s", "Longest s", "At most s")
    lines = []
    for name, own in seconds.items():
        command, _, most = COMMANDS[name]
        called = " ".join(command).removeprefix(".venv/bin/")
        times = (f"{value:.3g}" for value in (median(own), min(own), max(own)))
        lines.append([f"`{called}`", str(len(own)), *times, "" if most is None else f"{most:g}"])
    return Table("Seconds by the clock in a fresh clone", heads, lines)


if __name__ == "__main__":
    main()
