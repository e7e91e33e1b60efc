"""What tests of experiments share: a run that has learnt something."""

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from speech_mtl.config import Recipe
from speech_mtl.experiments.train import train
from speech_mtl.runs import Run


@pytest.fixture(scope="session")
def _trained_once() -> dict[str, Run]:
    """By name, runs that several tests look at."""
    return {}


@pytest.fixture
def trained(
    _trained_once: dict[str, Run], tiny_recipe: Recipe, make_corpus: Callable, tmp_path_factory: pytest.TempPathFactory
) -> Run:
    """A run that has learnt the tones of two languages, which use the same tones for different letters."""
    if "run" not in _trained_once:
        folder = tmp_path_factory.mktemp("trained")
        recipe = tiny_recipe.overridden(
            {
                "target": None,
                "data.dir": str(make_corpus(num_train=30, num_dev=6, data_dir=folder / "data")),
                "data.cache_dir": str(folder / "cache"),
                "encoder.dim": 32,
                "training.num_updates": 120,
                "training.warmup_updates": 20,
                "training.evaluate_every": 60,
            }
        )
        _trained_once["run"] = train(recipe, folder / "run")
    return _trained_once["run"]


@pytest.fixture
def with_settings(trained: Run, tmp_path: Path) -> Callable[..., Run]:
    """`with_settings(name, changes)`: a copy of `trained` that says it was trained with other settings."""

    def make(name: str, changes: dict[str, Any]) -> Run:
        run = Run(tmp_path / name)
        shutil.copytree(trained.path, run.path)
        run.settings_path.write_text(trained.recipe().overridden(changes).to_yaml(), encoding="utf-8")
        return run

    return make
