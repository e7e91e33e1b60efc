"""Minutes until pretraining reaches a validation error: this tree, an earlier one, and the twin in plain PyTorch.

    CORPORA=FOLDER recipes/human/prepare.sh
    python -m benchmarks.time_to_error EARLIER_CLONE [--seeds 0 1 2] [--out benchmarks/time_to_error.json]

All pretrain on the auxiliary languages of `recipes/human`: the same network, batches, optimiser, schedule and
validation, with all processors. They take turns of some seconds, in which the others are stopped; only own turns count,
from the start of the process, so that loading, compiling and validating count, too. Audio is decoded before. A training
ends at the lowest of the errors.
"""

import argparse
import json
import os
import signal
import statistics
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from benchmarks.provenance import ROOT, Table, commit_of, provenance, report
from benchmarks.rounds import spread

RECIPE = "recipes/human"
SETTINGS = (
    "target=null",
    "languages={de: {}, en: {}}",
    "training.num_updates=2400",
    "training.evaluate_every=75",
    "training.patience=1000",
)
BELOW = (0.5, 0.45, 0.4)
TURN_S, LOOK_S = 15.0, 0.2
NOW, BEFORE, TWIN = "now", "before", "PyTorch"


def main() -> None:
    """Trains all, and writes and prints the minutes."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("earlier", type=Path, help="a clone of the project at an earlier commit, after `make setup`")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--runs", type=Path, default=Path("runs/time_to_error"))
    parser.add_argument("--out", type=Path, default=ROOT / "benchmarks" / "time_to_error.json", help="result file")
    given = parser.parse_args()
    result = provenance("time_to_error") | {
        "about": "Pretraining on 80 minutes of German and 62 of English sentences, one speaker each.",
        "before": commit_of(given.earlier),
        "recipe": RECIPE,
        "settings": SETTINGS,
        "rows": [],
    }
    commands = _commands(given.earlier.resolve())
    subprocess.run(_filled(commands[NOW], given.runs / "decoding", given.runs, "training.num_updates=1"), check=True)
    for seed in given.seeds:
        trainings = [_started(name, command, seed, given.runs) for name, command in commands.items()]
        _take_turns(trainings)
        for one in trainings:
            result["rows"].append({"name": one.name, "seed": seed, "validations": one.validations})
            print(f"{one.name}, seed {seed}: {one.validations[-1]}", flush=True)
        report(given.out, result, table(result["rows"]))


def _commands(earlier: Path) -> dict[str, list[str]]:
    """By name, the start of a command that trains a recipe."""
    program = "import sys; sys.path.insert(0, sys.argv.pop(1)); from speech_mtl.cli import main; main()"

    def train(python: str, tree: Path) -> list[str]:
        return [python, "-P", "-c", program, str(tree), "train"]  # -P: not the package of the working folder

    return {
        NOW: train(sys.executable, ROOT),
        BEFORE: train(str(earlier / ".venv/bin/python"), earlier),
        TWIN: [sys.executable, "-m", "benchmarks.twin_training", "--threads", str(os.cpu_count() or 1)],
    }


def _filled(command: Sequence[str], folder: Path, runs: Path, *settings: str) -> list[str]:
    """A command that trains the recipe into a folder."""
    return [*command, RECIPE, *SETTINGS, *settings, f"data.cache_dir={runs / 'cache'}", "--out", str(folder)]


@dataclass
class _Training:
    """A process that trains.

    Attributes:
        log: A line for each validation.
        active_s: Seconds of its turns.
        validations: The update, the error and the seconds of each.
    """

    name: str
    process: subprocess.Popen
    log: Path
    active_s: float = 0.0
    validations: list[dict] = field(default_factory=list)

    def take_turn(self) -> None:
        """Runs until the turn or the training is over."""
        os.killpg(self.process.pid, signal.SIGCONT)
        began = time.perf_counter()
        while (passed := time.perf_counter() - began) < TURN_S and not self.is_over():
            time.sleep(LOOK_S)
            self._look(self.active_s + time.perf_counter() - began)
        self.active_s += passed
        os.killpg(self.process.pid, signal.SIGKILL if self.is_over() else signal.SIGSTOP)

    def is_over(self) -> bool:
        """Whether it has the lowest error.

        Raises:
            SystemExit: It has ended without.
        """
        if self.validations and self.validations[-1]["error"] < min(BELOW):
            return True
        if self.process.poll() is not None:
            raise SystemExit(f"{self.name} has ended before its error was below {min(BELOW)}; see {self.log.parent}")
        return False

    def _look(self, seconds: float) -> None:
        lines = self.log.read_text(encoding="utf-8").splitlines(keepends=True) if self.log.is_file() else []
        for line in lines[len(self.validations) :]:
            if line.endswith("\n"):
                update, error = _validation(json.loads(line))
                self.validations.append({"update": update, "error": error, "s": round(seconds, 1)})


def _validation(record: Mapping) -> tuple[int, float]:
    """The update and the error of a line of either log."""
    return record["update"], record.get("dev_error") or statistics.mean(record["dev_cer"].values())


def _started(name: str, command: Sequence[str], seed: int, runs: Path) -> _Training:
    """Begins a training, and stops it at once."""
    folder = runs / f"{name}-{seed}"
    if folder.exists():
        raise SystemExit(f"{folder} is there already; remove it, so that its training begins at the beginning")
    with (runs / f"{name}-{seed}.out").open("w") as output:
        process = subprocess.Popen(
            _filled(command, folder, runs, f"seed={seed}"),
            stdout=output,
            stderr=output,
            start_new_session=True,
            env=os.environ | {"PYTHONDONTWRITEBYTECODE": ""},
        )
    os.killpg(process.pid, signal.SIGSTOP)
    return _Training(name, process, folder / "log.jsonl")


def _take_turns(trainings: Sequence[_Training]) -> None:
    """Lets all train until each is over."""
    try:
        while waiting := [one for one in trainings if not one.is_over()]:
            for one in waiting:
                one.take_turn()
    finally:
        for one in trainings:
            if one.process.poll() is None:
                os.killpg(one.process.pid, signal.SIGKILL)
                one.process.wait()


def reached(validations: Sequence[Mapping], below: float) -> Mapping:
    """The first validation with a lower error."""
    return next(one for one in validations if one["error"] < below)


def table(rows: Sequence[Mapping]) -> Table:
    """Updates and minutes until each error, and the ratio of minutes to those of this tree, by seed."""
    lines = []
    for below in BELOW:
        found = {(row["name"], row["seed"]): reached(row["validations"], below) for row in rows}
        for name in dict.fromkeys(row["name"] for row in rows):
            own = {seed: one for (who, seed), one in found.items() if who == name}
            ratios = spread([one["s"] / found[NOW, seed]["s"] for seed, one in own.items()])
            updates, minutes = ([one[key] for one in own.values()] for key in ("update", "s"))
            lines.append(
                [
                    f"{below:.0%}",
                    name,
                    " ".join(map(str, updates)),
                    " ".join(f"{seconds / 60:.1f}" for seconds in minutes),
                    "{median:.2f} ({min:.2f}-{max:.2f})".format(**ratios),
                ]
            )
    heads = "Below", "Training", "Updates, by seed", "Minutes, by seed", "Minutes, as a multiple of those of now"
    return Table("Until the validation error was below", heads, lines, num_text_columns=2)


if __name__ == "__main__":
    main()
