"""The table of what a new column listens to: of the best weights, and there after any stop."""

from collections.abc import Callable
from pathlib import Path

import numpy as np

from speech_mtl.contents import write_contents
from speech_mtl.data.manifest import manifest_path
from speech_mtl.experiments.finetune import NewLanguage, finetuning_recipe
from speech_mtl.experiments.laterals import laterals_path, saved_laterals
from speech_mtl.experiments.train import train
from speech_mtl.runs import Run
from speech_mtl.weights import load_part, save_part

FEW_UPDATES = {"training.num_updates": 2, "training.evaluate_every": 2}


def test_a_run_that_was_stopped_before_the_table_gets_it_when_it_is_opened_again(
    trained: Run, make_corpus: Callable, tmp_path: Path, untraced: None
):
    folder = make_corpus(("cc",), data_dir=tmp_path / "other")
    new = NewLanguage("cc", {s: manifest_path(folder, "cc", s) for s in ("train", "dev")}, method="progressive")
    recipe = finetuning_recipe(trained, new, FEW_UPDATES)
    run = train(recipe, tmp_path / "run")
    rows = saved_laterals(run)
    assert [row["into"] for row in rows] == ["block 1", "output"]
    assert [(row["language"], row["column"], row["column_languages"]) for row in rows] == [("cc", 0, ["aa", "bb"])] * 2
    assert all(row["share"] > 0 for row in rows)

    laterals_path(run).unlink()
    path = run.best_folder() / "laterals" / "1.safetensors"
    weights = load_part(path)
    save_part(path, {name: array * (not name.startswith("lateral_1_0/up")) for name, array in weights.items()})
    assert any(np.any(array) for name, array in weights.items() if name.startswith("lateral_1_0/up"))
    write_contents(run.best_folder(), run.path, run.recipe())
    train(recipe, run.path)
    silent, heard = saved_laterals(run)
    assert (silent["share"], silent["into"]) == (0, "block 1")
    assert heard["share"] > 0
