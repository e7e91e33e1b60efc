"""Speech of earlier runs, against which dev and test speech is checked, too."""

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from recorded_screen import RecordedScreen

from speech_mtl.data.manifest import read_manifest, write_manifest
from speech_mtl.errors import InputError
from speech_mtl.run.folder import Run
from speech_mtl.run.held_out import earlier_runs, trained_on
from speech_mtl.run.train import train
from speech_mtl.screen import Screen
from speech_mtl.settings.recipe import Recipe
from speech_mtl.study.compare import compare
from speech_mtl.study.tune import tune


@pytest.fixture
def run(tiny_recipe: Recipe, tmp_path: Path, untraced: None) -> Run:
    return train(tiny_recipe.overridden({"training.num_updates": 1}), tmp_path / "run")


def names(recipe: Recipe, language: str) -> list[str]:
    return [utterance.id for utterance in read_manifest(recipe.manifest(language, "train"))]


def test_what_a_run_starts_from_and_its_teachers_are_earlier_runs(tiny_recipe: Recipe, run: Run):
    recipe = tiny_recipe.overridden(
        {"init_from": str(run.path), "languages.aa.pseudo_labels": {"teacher": str(run.path / "teacher")}}
    )
    assert [one.path for one in earlier_runs(recipe)] == [run.path, run.path / "teacher"]
    assert [one.path for one in earlier_runs(recipe, teachers=False)] == [run.path]
    found = trained_on(earlier_runs(recipe), recipe.data.cache_dir)
    assert {one.language: [u.id for u in one.utterances()] for one in found} == {
        language: names(recipe, language) for language in ("aa", "bb")
    }


def test_lines_that_have_changed_are_not_taken_for_those_that_were_learnt(tiny_recipe: Recipe, run: Run):
    path = tiny_recipe.manifest("aa", "train")
    first, *others = read_manifest(path)
    write_manifest(path, [replace(first, text="other"), *others[:-1]])
    (own, _) = trained_on([run], tiny_recipe.data.cache_dir)
    assert [utterance.id for utterance in own.utterances()] == [utterance.id for utterance in others[:-1]]
    write_manifest(path, [replace(first, id="new"), first, *others])
    (own, _) = trained_on([run], tiny_recipe.data.cache_dir)
    assert list(own.utterances()) == []


@pytest.mark.parametrize("key", ["aa", "cc train", "aa training", " train"])
def test_a_damaged_record_is_refused(tiny_recipe: Recipe, run: Run, key: str):
    record = json.loads(run.made_from_path.read_text(encoding="utf-8"))
    record["speech"] = {key: next(iter(record["speech"].values()))}
    run.made_from_path.write_text(json.dumps(record), encoding="utf-8")
    with pytest.raises(InputError, match="is damaged"):
        trained_on([run], tiny_recipe.data.cache_dir)


@pytest.mark.parametrize("command", ["train", "compare", "tune"])
def test_every_command_finds_speech_of_the_run_that_it_starts_from(
    tiny_recipe: Recipe, make_corpus: Callable, tmp_path: Path, untraced: None, command: str
):
    """The test set of `aa` is what that run was trained with; training itself uses other speech."""
    data = make_corpus(num_train=30, num_test=30, data_dir=tmp_path / "data")
    recipe = tiny_recipe.overridden({"data.dir": str(data), "data.allow_leaks": 0.9, "training.num_updates": 1})
    run = train(recipe, tmp_path / "run")
    manifests = {"train": str(recipe.manifest("aa", "test")), "test": str(recipe.manifest("aa", "train"))}
    recipe = recipe.overridden(
        {
            "init_from": str(run.path),
            "languages.aa.manifests": manifests,
            "compare.arms": ["alone"],
            "tune.weights": {"aa": [1.0, 2.0]},
        }
    )
    screen = RecordedScreen()
    started = {
        "train": lambda: train(recipe, tmp_path / "out", screen),
        "compare": lambda: compare(recipe, tmp_path / "out", screen),
        "tune": lambda: tune(recipe, tmp_path / "out", screen=Screen(quiet=True)),
    }[command]
    with pytest.raises(InputError, match=r"aa: 30 of 30 test utterances have audio that is in training"):
        started()
