"""From a trained run and speech of a language to the recipe that trains it."""

from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from made_up_targets import model_of

from speech_mtl.data.manifest import manifest_path
from speech_mtl.data.pinyin import PinyinTokenizer
from speech_mtl.data.tokenizer import load_tokenizer
from speech_mtl.errors import InputError
from speech_mtl.run.build import build_optimizer
from speech_mtl.run.checkpoint import load_recognizer
from speech_mtl.run.finetune import NewLanguage, finetuning_recipe
from speech_mtl.run.folder import Run
from speech_mtl.run.methods import METHODS
from speech_mtl.run.train import train
from speech_mtl.settings.recipe import Recipe
from speech_mtl.settings.training import FinetuneSettings
from speech_mtl.study.arms import ARMS

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
    old, new = load_recognizer(trained), load_recognizer(run)
    assert new.model.languages == ("aa", "bb", "cc")
    for name in ("heads/aa", "heads/bb"):
        for key, variable in old.model.parts()[name].items():
            np.testing.assert_array_equal(np.array(variable), np.array(new.model.parts()[name][key]))


def test_rehearsal_gives_old_languages_their_share(trained: Run, third: dict):
    recipe = recipe_for(trained, third, rehearse=0.3)
    assert recipe.trained_languages == ("aa", "bb", "cc")
    assert [settings.share for settings in recipe.languages.values()] == [0.15, 0.15, None]
    assert [settings.output_layer for settings in recipe.languages.values()] == ["keep", "keep", None]


def test_rehearsal_does_not_end_with_the_cooldown(with_settings: Callable, third: dict):
    ramp = {"data.ramp_to_target": True, "training.cooldown_updates": 50, "target": "aa"}
    run = with_settings("ramped", ramp)  # the cooldown is longer than the fine-tuning
    assert not recipe_for(run, third, rehearse=0.2).data.ramp_to_target
    asked = {"data.ramp_to_target": True, "training.cooldown_updates": 1}
    assert recipe_for(run, third, asked, rehearse=0.2).data.ramp_to_target


def test_tokenizers_of_the_run_are_read_once(trained: Run, third: dict, tmp_path: Path, monkeypatch):
    recipe, reads = recipe_for(trained, third), Counter()
    monkeypatch.setattr(
        "speech_mtl.run.folder.load_tokenizer",
        lambda path, *more: reads.update([path.name]) or load_tokenizer(path, *more),
    )
    monkeypatch.setattr("speech_mtl.run.train.start_from", lambda *_: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        train(recipe, tmp_path / "run")
    assert reads == {"aa.json": 1, "bb.json": 1}


def test_a_second_generation_starts_from_the_first(trained: Run, third: dict, make_corpus: Callable, tmp_path: Path):
    first = train(recipe_for(trained, third), tmp_path / "first")
    folder = make_corpus(("dd",), data_dir=tmp_path / "fourth")
    new = NewLanguage("dd", {split: manifest_path(folder, "dd", split) for split in ("train", "dev")})
    second = train(finetuning_recipe(first, new, FEW_UPDATES), tmp_path / "second")
    assert second.recipe().init_from == first.path
    assert list(load_recognizer(second).tokenizers) == ["aa", "bb", "cc", "dd"]


@pytest.mark.parametrize(
    ("language", "settings", "problem", "action"),
    [
        ("aa", {}, "has an output layer for aa already", "--replace-head"),
        ("AAR", {}, "has an output layer for aa already", "--replace-head"),
        ("a_a", {}, "Malformed language tag", "ISO 639"),
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


@pytest.mark.parametrize(("given", "updates"), [({}, (1200, 2400)), ({"num_updates": 7}, (7, 14))])
def test_more_speech_takes_more_updates_and_a_column_twice_as_many(given: dict, updates: tuple[int, int]):
    own = FinetuneSettings(**given)
    for new_encoder, number in zip((False, True), updates, strict=True):
        little, below, above = (own.schedule(minutes, new_encoder) for minutes in (1, 59.9, 60))
        assert little == below
        assert below["training.num_updates"] == number
        assert above["training.num_updates"] == (number if given else 2 * number)


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize(
    "own",
    [
        {},
        {"num_updates": 30, "learning_rate": 0.02, "frozen_factor": 3.0, "warmup_updates": 9},
        {"unfreezing": {"kind": "layerwise", "decay": 0.5}, "column": {"num_updates": 40, "learning_rate": 0.03}},
    ],
)
def test_the_command_and_the_arms_train_alike(with_settings: Callable, third: dict, method: str, own: dict):
    run = with_settings("run", {"finetune": own, "training.unfreezing": {"kind": "heads"}})
    taught = finetuning_recipe(run, NewLanguage("cc", third, method=method))
    arm = ARMS["pretrain_finetune" if method == "finetune" else method](run.recipe().overridden({"target": "aa"}))[-1]
    assert taught.training == arm.recipe.training
    typed = finetuning_recipe(
        run, NewLanguage("cc", third, method=method), {f"finetune.{k}": v for k, v in own.items()}
    )
    assert typed.training == taught.training


@pytest.mark.parametrize(
    ("method", "changes", "warmup"),
    [
        ("finetune", {"training.num_updates": 1200}, 200),
        ("finetune", {"training.num_updates": 50}, 12),
        ("adapters", {"training.num_updates": 250}, 62),
        ("finetune", {"training.num_updates": 250, "training.warmup_updates": 100}, 100),
        ("progressive", {"training.num_updates": 2400}, 200),
        ("progressive", {"training.num_updates": 240}, 60),
    ],
)
def test_warm_up_follows_the_updates(trained: Run, third: dict, method: str, changes: dict, warmup: int):
    assert recipe_for(trained, third, changes, method=method).training.warmup == warmup


@pytest.mark.parametrize(
    ("method", "overrides", "rate"),
    [
        ("finetune", {}, 1e-3),
        ("finetune", {"training.unfreezing": {"kind": "heads"}}, 1e-2),
        ("finetune", {"training.unfreezing": {"kind": "heads_first"}}, 1e-3),
        ("adapters", {}, 1e-2),
        ("low_rank", {}, 1e-2),
        ("adapters", {"training.learning_rate": 3e-3}, 3e-3),
    ],
)
def test_the_rate_is_higher_where_the_encoder_stays(
    trained: Run, third: dict, method: str, overrides: dict, rate: float
):
    assert recipe_for(trained, third, overrides, method=method).training.learning_rate == pytest.approx(rate)


# --- Runs of other settings


def test_a_column_beside_a_run_whose_encoder_was_frozen_is_trained(with_settings: Callable, third: dict):
    run = with_settings("frozen", {"training.unfreezing": {"kind": "heads"}})
    recipe = recipe_for(run, third, method="progressive")
    model = model_of(recipe, {"aa": 5, "bb": 5, "cc": 5})
    optimizer = build_optimizer(model, recipe.training, recipe.trained_languages)
    column = {id(variable) for variable in model.parts()["columns/1"].values()}
    assert column <= {id(variable) for variable in optimizer.weights}


def test_another_way_of_unfreezing_can_be_asked_for_after_any(with_settings: Callable, third: dict):
    run = with_settings("layerwise", {"training.unfreezing": {"kind": "layerwise", "decay": 0.5}})
    recipe = recipe_for(run, third, {"training.unfreezing.kind": "gradual"})
    assert recipe.training.unfreezing.model_dump() == {"kind": "gradual", "num_updates": 100}


def test_a_language_that_is_there_keeps_its_kind_of_tokens(with_settings: Callable, third: dict):
    run = with_settings("pinyin", {"languages.aa.tokenizer": {"kind": "pinyin"}})
    PinyinTokenizer.from_texts(["abcd"], "aa").save(run.path / "tokenizers" / "aa.json", "pinyin")

    def kind(language: str, **settings: Any) -> str:
        new = NewLanguage(language, third if language == "cc" else {}, **settings)
        return finetuning_recipe(run, new, FEW_UPDATES).languages[language].tokenizer.kind

    assert kind("aa", output_layer="new") == kind("aa", output_layer="keep") == "pinyin"
    assert kind("aa", output_layer="keep", tokenizer="pinyin") == "pinyin"
    assert kind("aa", output_layer="new", tokenizer="character") == "character"
    assert (kind("cc"), kind("cc", tokenizer="pinyin")) == ("character", "pinyin")
    with pytest.raises(InputError, match="one of other tokens") as caught:
        kind("aa", output_layer="keep", tokenizer="character")
    assert caught.value.expected == "--tokenizer pinyin with --keep-head"


ADAPTED = {"adapters": {"kind": "bottleneck"}}
COLUMNS = {
    "encoder": {"kind": "progressive", "columns": [{"languages": ["aa"]}, {"languages": ["bb"]}]},
    "languages.aa.train": False,
    "init_from": "runs/before",
}


@pytest.mark.parametrize(
    ("changes", "language", "asked", "problem", "way_out"),
    [
        (COLUMNS, "cc", {}, "its columns learn no other language", "--method progressive"),
        (COLUMNS, "cc", {"method": "adapters"}, "its columns learn no other language", "--method progressive"),
        (COLUMNS, "bb", {"method": "low_rank"}, "its columns learn no other language", "--method progressive"),
        (COLUMNS, "aa", {"output_layer": "keep"}, "its columns learn no other language", "--method progressive"),
        (COLUMNS, "bb", {"output_layer": "keep", "rehearse": 0.2}, "is in the training speech", "leave --rehearse out"),
        ({}, "cc", {"method": "progressive", "rehearse": 0.2}, "is in the training speech", "leave --rehearse out"),
        ({}, "aa", {"method": "progressive"}, "a column is for a new language", "leave --method out"),
        (ADAPTED, "cc", {"method": "progressive"}, "layers of each language's own", "another --method"),
        (ADAPTED, "cc", {"method": "low_rank"}, "adapters of another kind", "--method adapters"),
        ({"adapters": {"kind": "low_rank"}}, "cc", {"method": "adapters"}, "of another kind", "--method low_rank"),
    ],
)
def test_what_a_run_cannot_learn_that_way(with_settings: Callable, third, changes, language, asked, problem, way_out):
    with pytest.raises(InputError, match=problem) as caught:
        finetuning_recipe(with_settings("run", changes), NewLanguage(language, third, **asked))
    assert way_out in caught.value.action
    assert "--" in caught.value.received


def test_the_last_column_can_learn_more_of_its_own_language(with_settings: Callable):
    recipe = finetuning_recipe(with_settings("run", COLUMNS), NewLanguage("bb", output_layer="keep"), FEW_UPDATES)
    assert recipe.trained_languages == ("bb",)
