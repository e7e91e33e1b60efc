"""Files for TensorBoard: it reads them, and they do not name the machine."""

import socket
from pathlib import Path

import pytest
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from tensorboard.util.tensor_util import make_ndarray

from speech_mtl.run.observer import EventFile
from speech_mtl.run.train import train
from speech_mtl.settings.recipe import Recipe


def test_tensorboard_reads_what_all_starts_wrote(tmp_path: Path):
    for updates in ((1, 2), (3, 4)):
        file = EventFile(tmp_path / "tensorboard")
        for update in updates:
            file.add_scalar("dev/cer/zh-CN", 0.5 / update, update)
            file.flush()
    accumulator = EventAccumulator(str(tmp_path / "tensorboard"))
    accumulator.Reload()
    found = [(event.step, float(make_ndarray(event.tensor_proto))) for event in accumulator.Tensors("dev/cer/zh-CN")]
    assert found == [(update, pytest.approx(0.5 / update)) for update in (1, 2, 3, 4)]


def test_a_run_does_not_name_the_machine(
    tiny_recipe: Recipe, tmp_path: Path, untraced: None, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(socket, "gethostname", lambda: "janes-laptop")
    monkeypatch.setenv("HOME", str(tmp_path / "jane.doe"))
    monkeypatch.setenv("HOSTNAME", "janes-laptop")
    run = train(tiny_recipe, tmp_path / "run")
    files = [path for path in run.path.rglob("*") if path.is_file()]
    assert any("tfevents" in path.name for path in files)
    for path in files:
        for name in ("janes-laptop", "jane.doe"):
            assert name not in str(path.relative_to(tmp_path))
            assert name.encode() not in path.read_bytes(), path
