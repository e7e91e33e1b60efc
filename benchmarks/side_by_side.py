"""Many trainings side by side on one machine, and their dev errors as they go.

python -m benchmarks.side_by_side LIST [--jobs 15] [--out benchmarks/NAME-OF-LIST.json] [--runs runs/NAME-OF-LIST]

Small networks leave a GPU idle between launches; several processes fill it. Where there is none, each has an equal
share of the processors. LIST is a YAML file:

    recipe: recipes/human
    seeds: [0, 1]
    settings: {training.num_updates: 1800}    # of all trainings
    below: [0.45, 0.4]                        # dev errors: how long each takes to get there; may be missing
    trainings:
      baseline: {}                            # a name, and what else is set
      mean: {features.normalize: mean}
      after_mean: {init_from: mean}           # starts when `mean` of the same seed has ended well
      after_other: {init_from: runs/other}    # starts from a run outside of the list

LIST may also be the folder of a recipe: then `speech-mtl compare` runs so, into the folder of the runs.

Each is one `speech-mtl train` in a process of its own, in the order of the list, the first seed of all of them first.
Started again, finished ones are not trained again, and others resume from their checkpoints. Rows are written while
trainings run, so that nothing is lost where the time ends. Only dev errors are used.
"""

import argparse
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import accumulate, product
from multiprocessing import get_context
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, model_validator
from ruamel.yaml import YAML

from benchmarks.provenance import ROOT, Table, provenance, report
from speech_mtl.backend import thread_variables
from speech_mtl.files import write_text
from speech_mtl.settings.dotted import parsed_overrides
from speech_mtl.settings.recipe import Recipe
from speech_mtl.settings.recipe_file import RECIPE, load_recipe
from speech_mtl.settings.section import Seed

TICK_S = 2.0
"""Seconds between two checks of the processes."""
ON_DEMAND = {"XLA_PYTHON_CLIENT_PREALLOCATE": "false"}
"""Keeps JAX from taking most of the GPU's memory for one process."""
UPDATES = (300, 600, 1200, 1800, 2400, 3600)
"""Updates whose dev errors the table shows."""
PLATEAU = 0.9
"""Dev error above which a network has learnt nothing yet."""


class Experiments(BaseModel):
    """The content of LIST."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    about: str
    """What is compared, on which speech: it stands above the table."""
    recipe: Path
    seeds: tuple[Seed, ...] = (0,)
    settings: dict[str, Any] = Field(default_factory=dict)
    below: tuple[float, ...] = ()
    trainings: dict[str, dict[str, Any]]

    @model_validator(mode="after")
    def _starts_are_there(self):
        names = list(self.trainings)
        for name, changes in self.trainings.items():
            if (after := _after(changes)) and after not in names[: names.index(name)]:
                raise ValueError(
                    f"{name}: init_from must be a training further up or the folder of a run, not {after!r}"
                )
        return self


def _after(changes: Mapping[str, Any]) -> str | None:
    """The training of the list that another starts from; a run outside of it is named by a path of several parts."""
    start = changes.get("init_from")
    return None if start is None or len(Path(start).parts) > 1 else start


@dataclass
class Training:
    """One training: what is set, where it runs, and how it stands.

    Attributes:
        name: Of the list.
        seed: Of the run.
        recipe: All settings.
        run: Its folder.
        after: Of whose run it starts.
        state: `waiting`, `running`, `finished`, `failed` or `stopped`.
    """

    name: str
    seed: int
    recipe: Recipe
    run: Path
    after: str | None = None
    state: str = "waiting"
    process: subprocess.Popen | None = field(default=None, repr=False)

    @property
    def log_path(self) -> Path:
        """What its process prints."""
        return self.run.with_name(f"{self.run.name}.log")

    @property
    def settings_path(self) -> Path:
        """Its recipe, all settings written out."""
        return self.run.with_name(f"{self.run.name}.yaml")

    def command(self) -> list[str]:
        """What trains."""
        train = [sys.executable, "-m", "speech_mtl", "train"]
        return [*train, str(self.settings_path), "--out", str(self.run), "--quiet"]

    def start(self, environment: Mapping[str, str]) -> None:
        """Begins, or resumes."""
        self.run.parent.mkdir(parents=True, exist_ok=True)
        write_text(self.settings_path, self.recipe.to_yaml())
        with self.log_path.open("ab") as log:
            self.process = subprocess.Popen(self.command(), stdout=log, stderr=log, env={**os.environ, **environment})
        self.state = "running"

    def check(self) -> None:
        """Sees whether it has ended."""
        if self.process is not None and self.state == "running" and (code := self.process.poll()) is not None:
            self.state = "failed" if code else "finished"

    def stop(self) -> None:
        """Ends it where it stands; its last checkpoint is whole."""
        if self.process is not None and self.state == "running":
            self.process.terminate()
            try:
                self.process.wait(5)
            except subprocess.TimeoutExpired:
                self.process.kill()
            self.state = "stopped"

    def row(self) -> dict:
        """its entry in the result file."""
        logged = list(_validations(self.run / "log.jsonl"))
        audio_used_s = accumulate(one["audio_s"] for one in logged)
        validations = [
            {
                "update": one["update"],
                "dev_error": _mean(one["dev_cer"].values()),
                "audio_s": round(audio_s, 1),
                "wall_time_s": one["wall_time_s"],
            }
            for one, audio_s in zip(logged, audio_used_s, strict=True)
        ]
        row = {"name": self.name, "seed": self.seed, "state": self.state, "looks": validations}
        if self.state == "failed":
            began = self.process is not None
            row["message"] = self.log_path.read_text("utf-8")[-1000:] if began else f"{self.after} failed"
        return row


def main() -> None:
    """Trains what LIST names, and writes and prints the dev errors."""
    about = "Many trainings side by side, and their dev errors."
    parser = argparse.ArgumentParser(prog="python -m benchmarks.side_by_side", description=about)
    parser.add_argument("list", type=Path)
    parser.add_argument("--jobs", type=int, default=15, help="trainings at a time")
    parser.add_argument("--out", type=Path, help="result file; benchmarks/NAME-OF-LIST.json if not given")
    parser.add_argument("--runs", type=Path, help="folder of the runs; runs/NAME-OF-LIST if not given")
    parser.add_argument("--max-s", type=float, default=float("inf"), help="seconds after which all are stopped")
    parser.add_argument("settings", nargs="*", help="key=value of all trainings, in addition to the list")
    arguments = parser.parse_intermixed_args()
    ends = time.monotonic() + arguments.max_s
    out = arguments.out or ROOT / "benchmarks" / f"{arguments.list.stem}.json"
    runs = arguments.runs or Path("runs") / arguments.list.stem
    if (arguments.list / RECIPE).is_file():
        sys.exit(compare(arguments.list, runs, arguments.jobs, arguments.max_s, arguments.settings))
    trainings, listed = planned(arguments.list, runs, arguments.settings), _experiments(arguments.list)
    result = provenance(f"side_by_side {arguments.list}")
    result |= {"about": listed.about, "accelerator": accelerator(), "jobs": arguments.jobs}

    def write() -> None:
        write_text(out, json.dumps(result | {"rows": [one.row() for one in trainings]}, indent=1) + "\n")

    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    decoding = get_context("spawn").Process(target=decode, args=[[one.recipe for one in trainings]])
    decoding.start()
    decoding.join()
    try:
        with shared_gpu() as shared:
            environment = shared | _shares(arguments.jobs, runs)
            run(trainings, arguments.jobs, environment, ends - time.monotonic(), write)
    finally:
        for one in trainings:
            one.stop()
        rows = [one.row() for one in trainings]
        report(out, result | {"rows": rows}, table(rows), *([time_table(rows, listed.below)] if listed.below else []))


def compare(recipe: Path, runs: Path, jobs: int, max_s: float, settings: Sequence[str] = ()) -> int:
    """Runs a comparison, so many of its runs at a time, until it has ended or the time has; returns its exit status."""
    command = [sys.executable, "-m", "speech_mtl", "compare", str(recipe), *settings]
    with shared_gpu() as shared:
        environment = {**os.environ, **_shares(jobs, runs), **shared}
        process = subprocess.Popen([*command, "--jobs", str(jobs), "--out", str(runs)], env=environment)
        try:
            return process.wait(None if max_s == float("inf") else max_s)
        except subprocess.TimeoutExpired:
            process.send_signal(signal.SIGINT)  # what is trained is saved, and the same command resumes
            return process.wait()


def planned(path: Path, runs: Path, settings: Sequence[str] = ()) -> list[Training]:
    """The trainings of a list in the order in which they begin."""
    listed = _experiments(path)
    recipe, typed = load_recipe(listed.recipe), parsed_overrides(settings)
    trainings = []
    for seed in listed.seeds:
        for name, changes in listed.trainings.items():
            after, given = _after(changes), {**listed.settings, **changes, "seed": seed}
            if after is not None:
                given["init_from"] = str(runs / f"{after}-{seed}")
            own = recipe.overridden({**given, **typed}, where=f"{path}: {name}")
            trainings.append(Training(name, seed, own, runs / f"{name}-{seed}", after))
    return trainings


def _experiments(path: Path) -> Experiments:
    return Experiments.model_validate(YAML(typ="safe", pure=True).load(path))


def decode(recipes: Iterable[Recipe]) -> None:
    """Decodes all speech that is used, so that trainings side by side do not do it once each."""
    os.environ["JAX_PLATFORMS"] = "cpu"  # the GPU's memory is for the trainings
    from speech_mtl.backend import load_backend

    load_backend()
    from speech_mtl.run.speech import open_split

    opened = set()
    for recipe in recipes:
        own = recipe.overridden({"data.num_threads": os.cpu_count()})
        for language, split in product(recipe.trained_languages, ("train", "dev")):
            part = recipe.manifest(language, split), recipe.budget_s(language, split)
            if part not in opened:
                open_split(own, language, split)
            opened.add(part)


def run(
    trainings: Sequence[Training], jobs: int, environment: Mapping[str, str], max_s: float, write: Callable[[], None]
) -> None:
    """Runs so many at a time until all have ended or the time has.

    Args:
        trainings: In the order in which they begin.
        jobs: At a time.
        environment: Of their processes.
        max_s: Seconds after which no more is waited for.
        write: Called now and then, for what has come so far.
    """
    began = time.monotonic()
    by_name = {(one.name, one.seed): one for one in trainings}
    while time.monotonic() - began < max_s:
        for one in trainings:
            one.check()
        waiting = [one for one in trainings if one.state == "waiting"]
        running = [one for one in trainings if one.state == "running"]
        for one in waiting:
            before = by_name[one.after, one.seed] if one.after else None
            if before is not None and before.state == "failed":
                one.state = "failed"
            elif len(running) < jobs and (before is None or before.state == "finished"):
                one.start(environment)
                running.append(one)
        write()
        if not waiting and not running:
            return
        time.sleep(TICK_S)


@contextmanager
def shared_gpu() -> Iterator[dict[str, str]]:
    """Lets processes compute on one NVIDIA GPU at the same time; gives the environment in which they do.

    Without the multi-process service, their kernels take turns. Where it is not there or does not work, nothing is
    changed.
    """
    control = shutil.which("nvidia-cuda-mps-control")
    if control is None:
        yield {}
        return
    with tempfile.TemporaryDirectory(prefix="mps") as folder:
        environment = {"CUDA_MPS_PIPE_DIRECTORY": folder, "CUDA_MPS_LOG_DIRECTORY": folder}
        try:
            commands = [control, "-d"], [sys.executable, "-c", COMPUTE]
            works = all(_ends_well(command, environment) for command in commands)
            print(f"The multi-process service of the GPU {'is on' if works else 'does not work here'}", flush=True)
            yield environment if works else {}
        finally:
            _ends_well([control], environment, b"quit\n")


def _ends_well(command: Sequence[str], environment: Mapping[str, str], given: bytes | None = None) -> bool:
    """Whether a program ends without an error, and within a minute."""
    try:
        subprocess.run(command, input=given, env={**os.environ, **ON_DEMAND, **environment}, timeout=60, check=True)
    except (OSError, subprocess.SubprocessError):
        return False
    return True


COMPUTE = "import jax; assert jax.default_backend() == 'gpu'; jax.numpy.ones(3).sum().block_until_ready()"
"""A program that ends well if JAX can compute on the GPU."""


def accelerator() -> str | None:
    """Name of the GPU, if there is one."""
    try:
        command = ["nvidia-smi", "--query-gpu=name", "--format=csv,noheader"]
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip() or None
    except (OSError, subprocess.CalledProcessError):
        return None


def _shares(jobs: int, runs: Path) -> dict[str, str]:
    """What each process may have, and a folder in which they find what another one has compiled."""
    return {
        **ON_DEMAND,
        "XLA_PYTHON_CLIENT_MEM_FRACTION": f"{0.8 / jobs:.3f}",
        "JAX_COMPILATION_CACHE_DIR": str((runs / "compiled").absolute()),
        "JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS": "0.5",
        "OMP_NUM_THREADS": "1",
        **thread_variables(max(1, (os.cpu_count() or 1) // jobs)),
    }


def table(rows: Sequence[Mapping[str, Any]]) -> Table:
    """Dev errors at some updates: mean over the seeds that came so far (smallest-largest)."""
    errors = [{validation["update"]: validation["dev_error"] for validation in row["looks"]} for row in rows]
    updates = [update for update in UPDATES if any(update in own for own in errors)]
    lines = []
    for name in dict.fromkeys(row["name"] for row in rows):
        own = [one for one, row in zip(errors, rows, strict=True) if row["name"] == name]
        cells = [_cell([one[update] for one in own if update in one]) for update in updates]
        left = (min((update for update, error in one.items() if error < PLATEAU), default="-") for one in own)
        lines.append([name, *cells, ", ".join(map(str, left)), ", ".join(str(max(one, default=0)) for one in own)])
    title = f"Dev error in % after so many updates; first validation below {PLATEAU:.0%} and last update, by seed"
    return Table(title, ("Training", *map(str, updates), f"below {PLATEAU:.0%}", "updates"), lines)


def time_table(rows: Sequence[Mapping[str, Any]], below: Sequence[float]) -> Table:
    """Effort until the first validation below each dev error: means over the seeds; of a seed that got there."""
    lines = []
    for name, error in product(dict.fromkeys(row["name"] for row in rows), below):
        own = [row["looks"] for row in rows if row["name"] == name]
        there = [
            next((validation for validation in validations if validation["dev_error"] < error), None)
            for validations in own
        ]
        found = [validation for validation in there if validation]
        spent = (
            [_mean(validation[key] for validation in found) for key in ("update", "audio_s", "wall_time_s")]
            if found
            else []
        )
        cells = [f"{spent[0]:.0f}", f"{spent[1] / 60:.0f}", f"{spent[2] / 60:.1f}"] if spent else ["-"] * 3
        lines.append([name, f"{error:.0%}", *cells, f"{len(found)} of {len(own)}"])
    title = "Until the dev error was below"
    return Table(title, ("Training", "below", "updates", "minutes of audio", "minutes", "seeds that got there"), lines)


def _cell(errors: Sequence[float]) -> str:
    if not errors:
        return ""
    mean = f"{100 * _mean(errors):.1f}"
    return mean if len(errors) == 1 else f"{mean} ({100 * min(errors):.1f}-{100 * max(errors):.1f})"


def _mean(values: Iterable[float]) -> float:
    values = list(values)
    return sum(values) / len(values)


def _validations(path: Path) -> Iterator[dict]:
    """The validations in the log of a run, which may be written to just now."""
    for line in path.read_text(encoding="utf-8").splitlines(keepends=True) if path.is_file() else []:
        if line.endswith("\n"):
            yield json.loads(line)


if __name__ == "__main__":
    main()
