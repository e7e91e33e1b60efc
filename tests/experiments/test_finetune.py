"""From a trained run and speech of a language to the recipe that trains it."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from speech_mtl.config import Recipe
from speech_mtl.data.manifest import manifest_path
from speech_mtl.errors import InputError
from speech_mtl.experiments.finetune import NewLanguage, finetuning_recipe, schedule_for
from speech_mtl.experiments.train import train
from speech_mtl.runs import Run

FEW_UPDATES = {"training.num_updates": 2, "training.evaluate_every": 2}


@pytest.fixture
def third(make_corpus: Callable, tmp_path: Path) -> dict[str, Path]:
    """Manifests of a third language."""
    folder = make_corpus(("cc",), data_dir=tmp_path / "other")
    return {split: manifest_path(folder, "cc", split) for split in ("train", "dev", "test")}


def recipe_for(run: Run, manifests: dict[str, Path], changes: dict | None = None, **settings: Any) -> Recipe:
    return finetuning_recipe(run, NewLanguage("cc", manifests, **settings), FEW_UPDATES | (changes or {}))


def test_the_new_language_is_trained_and_the_others_stay(trained: Run, third: dict, tmp_path: Path):
    recipe = recipe_for(trained, third)
    assert (recipe.target, recipe.trained_languages) == ("cc", ("cc",))
    assert list(recipe.languages) == ["aa", "bb", "cc"]
    assert recipe.init_from == trained.path
    assert [recipe.manifest("cc", split) for split in ("train", "dev", "test")] == list(third.values())
    assert recipe.manifest("aa", "test") == trained.recipe().manifest("aa", "test")
    assert recipe.training.num_updates == 2, "what is asked for counts"
    run = train(recipe, tmp_path / "run")
    old, new = trained.load(), run.load()
    assert new.model.languages == ("aa", "bb", "cc")
    for name in ("heads/aa", "heads/bb"):
        for key, variable in old.model.parts()[name].items():
            np.testing.assert_array_equal(np.array(variable), np.array(new.model.parts()[name][key]))


def test_rehearsal_gives_old_languages_their_share(trained: Run, third: dict):
    recipe = recipe_for(trained, third, rehearse=0.3)
    assert recipe.trained_languages == ("aa", "bb", "cc")
    assert [settings.share for settings in recipe.languages.values()] == [0.15, 0.15, None]
    assert [settings.output_layer for settings in recipe.languages.values()] == ["keep", "keep", None]


def test_a_second_generation_starts_from_the_first(trained: Run, third: dict, make_corpus: Callable, tmp_path: Path):
    first = train(recipe_for(trained, third), tmp_path / "first")
    folder = make_corpus(("dd",), data_dir=tmp_path / "fourth")
    new = NewLanguage("dd", {split: manifest_path(folder, "dd", split) for split in ("train", "dev")})
    second = train(finetuning_recipe(first, new, FEW_UPDATES), tmp_path / "second")
    assert second.recipe().init_from == first.path
    assert list(second.load().tokenizers) == ["aa", "bb", "cc", "dd"]


@pytest.mark.parametrize(
    ("language", "settings", "problem", "action"),
    [
        ("aa", {}, "has an output layer for aa already", "--replace-head"),
        ("cc", {"output_layer": "keep"}, "no output layer for cc that could be kept", "--keep-head"),
    ],
)
def test_languages_that_are_there_or_not(trained: Run, third, language, settings, problem, action):
    with pytest.raises(InputError, match=problem) as caught:
        finetuning_recipe(trained, NewLanguage(language, third, **settings))
    assert action in caught.value.action


@pytest.mark.parametrize(("head", "state"), [("new", "new"), ("keep", "kept")])
def test_a_language_that_is_there_gets_a_new_head_or_keeps_its_own(trained: Run, tmp_path: Path, head: str, state: str):
    new = NewLanguage("aa", output_layer=head)
    run = train(finetuning_recipe(trained, new, FEW_UPDATES), tmp_path / "run")
    assert f'"heads/aa",\n  "state": "{state}"' in run.start_path.read_text()


def test_an_unfinished_folder_is_refused(trained: Run, third: dict, tiny_recipe: Recipe, tmp_path: Path):
    with pytest.raises(InputError, match="is not a run"):
        recipe_for(Run(tmp_path), third)
    begun = Run(tmp_path / "begun")
    begun.start(tiny_recipe, trained.tokenizers())
    with pytest.raises(InputError, match="has no trained weights yet"):
        recipe_for(begun, third)


def test_schedules_are_settings(tiny_recipe: Recipe):
    for minutes in (1, 10, 100, 1000):
        assert tiny_recipe.overridden(schedule_for(minutes)).training.num_updates > 1
