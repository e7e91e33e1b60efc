"""Several processes train one run together, under JAX: they give the losses of one, and none outlives another."""

import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest
from tones import tone_corpus, tone_recipe

from speech_mtl.backend.processes import VARIABLE
from speech_mtl.run.folder import Run

pytest.importorskip("jax", reason="needs the extra `jax`")
pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="finds processes in /proc")

LONGEST_S = 900
"""Of a command, on a machine that does other things besides."""

CHEAP = "--xla_backend_optimization_level=0 --xla_llvm_disable_expensive_passes=true"
"""Flags of XLA: compiling takes most of the time of these tests."""

CHANGES = {
    "encoder": {"kind": "recurrent", "num_layers": 1, "dim": 8, "channels": 4, "dropout": 0.1},
    "data.batch_s": 6.5,
    "data.allow_leaks": 1.0,
    "data.min_duration_s": 0.8,
    "data.max_duration_s": 1.0,
    "data.allow_skipped": 0.99,
    "augment.noise_probability": 0.5,
    "training": {"num_updates": 6, "warmup_updates": 0, "cooldown_updates": 1, "evaluate_every": 2},
}
"""Everything random is on. All batches have one shape, 8 rows when padded, as 1 and 2 processes can divide."""


class Place(NamedTuple):
    """Where the recipe and the runs of these tests are, and the environment of commands."""

    folder: Path
    environment: dict[str, str]

    def start(self, *arguments: str) -> subprocess.Popen:
        command = [sys.executable, "-m", "speech_mtl", "train", str(self.folder / "recipe.yaml"), *arguments]
        return subprocess.Popen(command, env=self.environment, stdout=-1, stderr=-1, text=True)

    def run(self, *arguments: str) -> tuple[int, str]:
        """Trains, and gives the exit code and what was written to standard error."""
        with self.start(*arguments) as process:
            try:
                _, err = process.communicate(timeout=LONGEST_S)
            finally:
                process.kill()
        return process.returncode, err


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Place:
    """What is compiled is kept for all tests of this file."""
    folder = tmp_path_factory.mktemp("processes")
    recipe = tone_recipe(tone_corpus(data_dir=folder / "data"), folder / "cache").overridden(CHANGES)
    (folder / "recipe.yaml").write_text(recipe.to_yaml(), encoding="utf-8")
    kept = {
        "XLA_FLAGS": CHEAP,
        "JAX_COMPILATION_CACHE_DIR": str(folder / "compiled"),
        "JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS": "0",
    }
    return Place(folder, {**os.environ, **kept, "KERAS_BACKEND": "jax", "JAX_PLATFORMS": "cpu"})


def losses(path: Path) -> list[float]:
    """Of every update."""
    return [loss for line in Run(path).log_path.read_text().splitlines() for loss in json.loads(line)["losses"]]


def processes_of(launcher: int) -> dict[int, int]:
    """Process ids by place."""
    found = {}
    for pid in Path(f"/proc/{launcher}/task/{launcher}/children").read_text().split():
        if told := re.search(VARIABLE.encode() + rb"=([^\0]+)", Path(f"/proc/{pid}/environ").read_bytes()):
            found[json.loads(told[1])["index"]] = int(pid)
    return found


class Killed(NamedTuple):
    """How a training of two processes ended, the second of which was killed."""

    path: Path
    code: int
    err: str
    pids: list[int]


@pytest.fixture(scope="module")
def killed(place: Place) -> Iterator[Killed]:
    path = place.folder / "two"
    launcher = place.start("training.num_updates=100000", "--processes", "2", "--out", str(path))
    try:
        until = time.monotonic() + LONGEST_S
        while not (path / "checkpoints" / "000006").exists() and launcher.poll() is None and time.monotonic() < until:
            time.sleep(0.05)
        pids = processes_of(launcher.pid) if launcher.poll() is None else {}
        if 1 in pids:
            os.kill(pids[1], signal.SIGKILL)
        _, err = launcher.communicate(timeout=60)
        yield Killed(path, launcher.returncode, err, list(pids.values()))
    finally:
        launcher.kill()


def test_two_processes_give_the_losses_of_one(place: Place, killed: Killed):
    """With dropout, masks and noise on: random numbers depend on the batch, and not on who has which rows."""
    code, err = place.run("--out", str(place.folder / "one"))
    assert code == 0, err
    one, two = losses(place.folder / "one"), losses(killed.path)
    assert len(one) == 6
    assert one[0] != pytest.approx(one[4], rel=1e-2)
    assert two[:5] == pytest.approx(one[:5], rel=1e-5)


def test_a_killed_process_ends_the_others_with_a_message(killed: Killed):
    assert killed.code == 2, killed.err
    message = killed.err[killed.err.index("Error: ") :]
    assert message.startswith("Error: Process 1 of 2 was lost, and the others were ended\n")
    assert "the signal SIGKILL" in message
    assert "resumes from the last checkpoint" in message
    assert "Traceback" not in killed.err
    assert len(killed.pids) == 2
    assert not [pid for pid in killed.pids if Path(f"/proc/{pid}").exists()]


def test_only_the_first_process_writes(killed: Killed):
    assert killed.err.count("output layers") == 1
    assert len(list((killed.path / "tensorboard").iterdir())) == 1
    updates = [json.loads(line)["update"] for line in Run(killed.path).log_path.read_text().splitlines()]
    assert updates == sorted(set(updates))


def test_training_resumes_with_another_number_of_processes(place: Place, killed: Killed):
    done = Run(killed.path).progress().update
    code, err = place.run(f"training.num_updates={done + 2}", "--out", str(killed.path))
    assert code == 0, err
    assert f"Resuming from update {done}." in err
    assert Run(killed.path).progress().update == done + 2
    assert len(losses(killed.path)) == done + 2
