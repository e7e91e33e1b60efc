"""The twin learns several languages, and its running mean of the weights is ours."""

import json
import sys

import pytest

from benchmarks import twin_training
from benchmarks.twin_gap import UNMASKED
from speech_mtl.run.build import build_optimizer
from speech_mtl.run.checkpoint import Checkpoints
from speech_mtl.run.folder import Run
from speech_mtl.run.train import train
from speech_mtl.training.objective import Objective
from speech_mtl.training.state import TrainState
from speech_mtl.training.weighting import Equal


def test_means_of_the_weights_are_ours(tiny_recipe, tmp_path, untraced):
    pytest.importorskip("torch", reason="the twin needs benchmarks/requirements.txt")
    from benchmarks.pytorch_twin import copy_weights

    recipe = tiny_recipe.overridden(
        {**UNMASKED, "training.average_decay": 0.3, "training.num_updates": 8, "training.clip_norm": 0.5}
    )
    train(recipe, tmp_path / "run")
    validations = list(twin_training.twin_training(recipe))
    assert [one["update"] for one, _ in validations] == [2, 4, 6, 8]

    prepared = twin_training.Prepared(recipe)
    ours, start = twin_training.new_twin(prepared), twin_training.new_twin(prepared).state_dict()
    optimizer = build_optimizer(prepared.model, recipe.training)
    objective = Objective(prepared.model.languages, tuple(prepared.targets.values()))
    Checkpoints(Run(tmp_path / "run")).load(TrainState(prepared.model, optimizer, Equal(objective)))
    with optimizer.averaged():
        copy_weights(ours, {variable.path: variable.numpy() for variable in prepared.model.trainable_variables})
    mean = validations[-1][1].state_dict()
    for name in dict(ours.named_parameters()):
        expected = ours.state_dict()[name]
        assert float((expected - mean[name]).norm()) < 0.05 * float((expected - start[name]).norm()), name


def test_the_command_logs_validations(tiny_recipe, tmp_path, monkeypatch):
    pytest.importorskip("torch", reason="the twin needs benchmarks/requirements.txt")
    (tmp_path / "recipe.yaml").write_text(tiny_recipe.to_yaml(), encoding="utf-8")
    given = [str(tmp_path), "training.num_updates=2", "--threads", "1", "--out", str(tmp_path / "out")]
    monkeypatch.setattr(sys, "argv", ["twin_training", *given])
    twin_training.main()
    (line,) = (tmp_path / "out/log.jsonl").read_text("utf-8").splitlines()
    assert json.loads(line)["update"] == 2
