"""What a network takes over from a trained run, by name, and what it does not."""

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from made_up_targets import model_of
from recorded_screen import RecordedScreen

from speech_mtl.data.manifest import read_manifest, write_manifest
from speech_mtl.data.tokenizer import CharacterTokenizer, Tokenizer, load_tokenizer
from speech_mtl.datatypes import TRANSCRIPT
from speech_mtl.decoding.greedy import Greedy
from speech_mtl.decoding.recognizer import Recognizer
from speech_mtl.errors import InputError
from speech_mtl.models.multitask import MultilingualModel
from speech_mtl.run.build import build_model, build_targets
from speech_mtl.run.checkpoint import Checkpoints, load_recognizer
from speech_mtl.run.folder import Run
from speech_mtl.run.references import load_references, recognize
from speech_mtl.run.start import PartOrigin, start_from
from speech_mtl.run.train import train
from speech_mtl.settings.recipe import Recipe
from speech_mtl.targets.target import LabelTarget


def recognised(run: Run, recognizer: Recognizer, language: str) -> list[tuple[str, float]]:
    recipe = run.recipe()
    references = load_references(recipe, language, "dev", recognizer)
    return [(h.text, round(h.score, 4)) for h in recognize(recognizer, language, references, recipe.data)[1]]


def started(run: Run, recipe: Recipe, tokenizers: dict[str, Tokenizer]) -> tuple[MultilingualModel, list[PartOrigin]]:
    """A fresh network after it took over what it can, and where its parts come from."""
    recipe = recipe.overridden({"languages": {language: {} for language in tokenizers}, "target": None, "seed": 5})
    targets = build_targets(recipe, tokenizers, {})
    model = build_model(recipe, targets)
    return model, start_from(run, recipe, model, targets)


def told(origins: list[PartOrigin]) -> dict[str, str]:
    return {origin.part: origin.state for origin in origins}


@pytest.mark.parametrize("languages", [["bb", "aa"], ["aa", "cc", "bb"], ["bb"]])
def test_heads_are_found_by_name_whatever_the_order(trained: Run, untraced: None, languages: list[str]):
    tokenizers = trained.tokenizers() | {"cc": CharacterTokenizer.from_texts(["xyz"], "cc")}
    tokenizers = {language: tokenizers[language] for language in languages}
    model, origins = started(trained, trained.recipe(), tokenizers)
    expected = {"encoder": "kept", **{f"heads/{name}": "new" if name == "cc" else "kept" for name in languages}}
    left = {} if "aa" in languages else {"heads/aa": "left out"}
    assert told(origins) == expected | left
    recognizer, original = Recognizer(model, tokenizers, 16_000, Greedy), load_recognizer(trained)
    for language in {"aa", "bb"}.intersection(languages):
        assert recognised(trained, recognizer, language) == recognised(trained, original, language)


def test_every_weight_of_both_runs_is_in_the_report(trained: Run):
    tokenizers = {"bb": trained.tokenizers()["bb"], "cc": CharacterTokenizer.from_texts(["xyz"], "cc")}
    model, origins = started(trained, trained.recipe(), tokenizers)
    listed = {(origin.part, name): shape for origin in origins for name, shape in origin.weights.items()}
    for part, variables in {**load_recognizer(trained).model.parts(), **model.parts()}.items():
        for name, variable in variables.items():
            assert listed.pop((part, name)) == tuple(variable.shape)
    assert not listed


def test_a_head_for_another_vocabulary_is_new(trained: Run):
    other = CharacterTokenizer.from_texts(["abcde"], "aa")
    recipe = trained.recipe().overridden({"training.copy_output_rows": False})
    model, origins = started(trained, recipe, {"aa": other, "bb": trained.tokenizers()["bb"]})
    assert told(origins) == {"encoder": "kept", "heads/aa": "new", "heads/bb": "kept"}
    assert origins[1].reason == "the run's vocabulary is another"
    fresh = model_of(trained.recipe().overridden({"seed": 5}), {"aa": len(other), "bb": 5})
    np.testing.assert_array_equal(
        model.heads[TRANSCRIPT].output_layers["aa"].kernel, fresh.heads[TRANSCRIPT].output_layers["aa"].kernel
    )


def test_a_head_for_as_many_other_tokens_is_new(trained: Run):
    there = trained.tokenizers()["aa"].vocabulary
    recipe = trained.recipe().overridden({"training.copy_output_rows": False})
    for tokens in (["a", "b", "c", "z"], list(reversed(there[1:]))):
        other = CharacterTokenizer("aa", (there[0], *tokens))
        assert len(other) == len(there)
        model, origins = started(trained, recipe, {"aa": other, "bb": trained.tokenizers()["bb"]})
        assert told(origins) == {"encoder": "kept", "heads/aa": "new", "heads/bb": "kept"}
        fresh = model_of(trained.recipe().overridden({"seed": 5}), {"aa": len(other), "bb": 5})
        np.testing.assert_array_equal(
            model.heads[TRANSCRIPT].output_layers["aa"].kernel, fresh.heads[TRANSCRIPT].output_layers["aa"].kernel
        )


def test_a_language_by_another_tag_is_not_taken_for_a_new_one(trained: Run):
    tokenizers = trained.tokenizers()
    with pytest.raises(InputError, match="has the language aar, but calls it aa"):
        started(trained, trained.recipe(), {"aar": tokenizers["aa"], "bb": tokenizers["bb"]})


def test_a_recipe_may_ask_for_a_new_head(trained: Run):
    recipe = trained.recipe().overridden({"languages.aa.output_layer": "new", "init_from": str(trained.path)})
    targets = build_targets(recipe, trained.tokenizers(), {})
    origins = start_from(trained, recipe, build_model(recipe, targets), targets)
    assert told(origins) == {"encoder": "kept", "heads/aa": "new", "heads/bb": "kept"}


@pytest.mark.parametrize(
    ("changes", "named"),
    [
        ({"encoder.dim": 16}, "encoder.dim"),
        ({"encoder.kernel_size": 3}, "encoder.kernel_size"),
        ({"features.num_mels": 30}, "features.num_mels"),
        ({"data.sample_rate_hz": 8000}, "data.sample_rate_hz"),
        ({"encoder": {"kind": "recurrent", "num_layers": 1, "dim": 32}}, "encoder.kind"),
    ],
)
def test_other_features_and_encoders_are_refused_by_name(trained: Run, tmp_path: Path, changes: dict, named: str):
    recipe = trained.recipe().overridden({**changes, "init_from": str(trained.path)})
    with pytest.raises(InputError, match="was trained with other settings") as caught:
        train(recipe, tmp_path / "run")
    assert named in caught.value.problem
    assert str(trained.settings_path) in caught.value.action
    assert not (tmp_path / "run").exists()


def test_new_heads_take_no_further_reading_of_the_run(trained: Run, monkeypatch: pytest.MonkeyPatch):
    reads, counts = [], []
    monkeypatch.setattr(
        "speech_mtl.run.folder.load_tokenizer", lambda path, *more: reads.append(path) or load_tokenizer(path, *more)
    )
    for languages in (["cc"], ["cc", "dd", "ee"]):
        reads.clear()
        started(trained, trained.recipe(), {one: CharacterTokenizer.from_texts(["abx"], one) for one in languages})
        counts.append(len(reads))
    assert counts[0] == counts[1] > 0


# --- Layers that each language has for itself


def start_with(run: Run, changes: dict) -> tuple[MultilingualModel, dict[str, PartOrigin]]:
    recipe = run.recipe().overridden({"seed": 5, **changes})
    targets = build_targets(recipe, run.tokenizers(), {})
    model = build_model(recipe, targets)
    return model, {origin.part: origin for origin in start_from(run, recipe, model, targets)}


def test_own_layers_begin_as_copies_of_shared_ones(trained: Run):
    model, origins = start_with(trained, {"sharing": {"kind": "nothing"}})
    assert {name: origin.state for name, origin in origins.items()} == dict.fromkeys(model.parts(), "kept")
    assert "encoder" not in origins
    assert origins["own/aa"].reason == "copies of layers that the run shares"
    assert str(origins["own/aa"]).startswith("own layers of aa kept: copies")
    shared = load_recognizer(trained).model.parts()["encoder"]
    for name, variable in model.parts()["own/bb"].items():
        np.testing.assert_array_equal(np.array(variable), np.array(shared[name.replace("/bb/", "/", 1)]))
    recognizer = Recognizer(model, trained.tokenizers(), 16_000, Greedy)
    assert recognised(trained, recognizer, "bb") == recognised(trained, load_recognizer(trained), "bb")


@pytest.mark.parametrize("adapters", [{"kind": "bottleneck"}, {"kind": "low_rank"}])
def test_adapters_are_new_and_at_first_change_nothing(trained: Run, adapters: dict):
    model, origins = start_with(trained, {"adapters": adapters})
    assert {name: origin.state for name, origin in origins.items() if name.startswith("own/")} == {
        "own/aa": "new",
        "own/bb": "new",
    }
    recognizer = Recognizer(model, trained.tokenizers(), 16_000, Greedy)
    assert recognised(trained, recognizer, "aa") == recognised(trained, load_recognizer(trained), "aa")


def test_upsampling_is_new_and_at_first_repeats_frames(trained: Run):
    model, origins = start_with(trained, {"encoder.upsampling": 2})
    states = {name: origin.state for name, origin in origins.items()}
    assert states == {"encoder": "kept", "upsampling": "new", "heads/aa": "kept", "heads/bb": "kept"}
    original = load_recognizer(trained)
    waveforms = [np.random.default_rng(0).normal(size=9000).astype(np.float32)]
    found, expected = (
        one.log_probabilities(waveforms, "aa")[0]
        for one in (Recognizer(model, trained.tokenizers(), 16_000, Greedy), original)
    )
    np.testing.assert_allclose(found, np.repeat(expected, 2, axis=0), atol=1e-5)


def test_upsampling_that_a_run_has_is_kept(trained: Run, tmp_path: Path):
    run = untrained(trained, tmp_path / "run", {"encoder.upsampling": 2})
    assert start_with(run, {})[1]["upsampling"].state == "kept"
    for times in (1, 3):
        with pytest.raises(InputError, match="was trained with other settings") as caught:
            start_with(run, {"encoder.upsampling": times})
        assert caught.value.expected == "encoder.upsampling: 2"


def test_trained_adapters_leave_the_shared_encoder_and_others_as_they_are(trained: Run, tmp_path: Path):
    changes = {"adapters": {"kind": "bottleneck", "size": 4}, "training.unfreezing": {"kind": "heads"}}
    run = train(kept_beside(trained, **changes), tmp_path / "run")
    before, after = load_recognizer(trained).model.parts(), load_recognizer(run).model.parts()
    for name in ("encoder", "heads/aa"):
        assert all(np.array_equal(before[name][key], after[name][key]) for key in before[name])
    assert not any(np.any(variable) for key, variable in after["own/aa"].items() if key.endswith("/up"))
    assert all(np.any(variable) for key, variable in after["own/bb"].items() if key.endswith("/up"))
    assert recognised(trained, load_recognizer(run), "aa") == recognised(trained, load_recognizer(trained), "aa")
    _, origins = start_with(run, {"adapters": changes["adapters"]})
    assert all(origin.state == "kept" for origin in origins.values())


def untrained(trained: Run, path: Path, changes: dict) -> Run:
    """A run of other settings, with random weights."""
    recipe = trained.recipe().overridden({"init_from": str(trained.path), **changes})
    run, tokenizers = Run(path), trained.tokenizers()
    model = build_model(recipe, build_targets(recipe, tokenizers, run_tasks(recipe)))
    run.start(recipe, tokenizers, run_tasks(recipe))
    Checkpoints(run).save_best(model, 1)
    return run


def run_tasks(recipe: Recipe) -> dict[str, LabelTarget]:
    """The tasks of a recipe, each of two classes or tags."""
    told = {name: "classes" if own.kind == "classes" else "tags" for name, own in recipe.tasks.items()}
    return {
        name: recipe.tasks[name].member()(**{"name": name, "label": name, key: ["a", "b"], "unseen": "refuse"})
        for name, key in told.items()
    }


def in_columns(trained: Run, *dims: int) -> dict:
    """Settings of a progressive network of which the last column is that of `bb`, the first one that of `aa`."""
    languages = [["aa"], ["more"], ["bb"]] if len(dims) == 3 else [["aa"], ["bb"]]
    encoder = trained.recipe().encoder.model_dump()
    columns = [{"languages": own, "encoder": {**encoder, "dim": dim}} for own, dim in zip(languages, dims, strict=True)]
    return {"encoder": {"kind": "progressive", "columns": columns}, "languages.aa.train": False}


ADAPTED = {"adapters": {"kind": "bottleneck", "languages": ["bb"]}}


@pytest.mark.parametrize(
    ("changes", "part"),
    [
        ({}, "encoder"),
        ({}, "heads/aa"),
        ({"sharing.kind": "nothing"}, "own/aa"),
        ({"encoder.upsampling": 2}, "upsampling"),
        (ADAPTED, "own/bb"),
        ("columns", "columns/0"),
        ("columns", "columns/1"),
        ("columns", "laterals/1"),
    ],
)
def test_a_part_that_is_missing_is_refused(trained: Run, tmp_path: Path, changes, part: str):
    run = untrained(trained, tmp_path / "run", in_columns(trained, 16, 16) if changes == "columns" else changes)
    assert start_with(run, {})[1][part].state == "kept"
    (run.best_folder() / f"{part}.safetensors").unlink()
    with pytest.raises(InputError, match=f"{part}.safetensors cannot be read"):
        start_with(run, {})


def test_what_a_run_has_not_is_new(trained: Run, tmp_path: Path):
    adapted = untrained(trained, tmp_path / "adapted", ADAPTED)
    _, origins = start_with(adapted, {"adapters.languages": None})
    assert {name: origins[name].state for name in ("own/aa", "own/bb")} == {"own/aa": "new", "own/bb": "kept"}
    isolated = in_columns(trained, 16, 16)
    isolated["encoder"]["columns"][1]["lateral_from"] = []
    _, origins = start_with(untrained(trained, tmp_path / "isolated", isolated), in_columns(trained, 16, 16))
    assert (origins["columns/1"].state, origins["laterals/1"].state) == ("kept", "new")


def test_an_earlier_column_of_another_width_is_named(trained: Run, tmp_path: Path):
    run = untrained(trained, tmp_path / "run", in_columns(trained, 16, 16, 16))
    for place in range(3):
        dims = [16, 16, 16]
        dims[place] = 32
        with pytest.raises(InputError, match="was trained with other settings") as caught:
            start_with(run, in_columns(trained, *dims))
        assert caught.value.expected == f"encoder.columns.{place}.encoder.dim: 16"


def test_own_layers_cannot_become_shared_ones(trained: Run, tmp_path: Path):
    run = untrained(trained, tmp_path / "run", {"sharing.kind": "nothing"})
    with pytest.raises(InputError, match="was trained with other settings") as caught:
        start_with(run, {"sharing.kind": "whole_encoder"})
    assert caught.value.expected == "sharing.kind: nothing"


@pytest.mark.parametrize(
    ("there", "here", "reason"),
    [
        ({"kind": "classes"}, {"kind": "classes"}, ""),
        ({"kind": "classes"}, {"kind": "classes", "pooling": "mean"}, "the run's head is another"),
        ({"kind": "classes"}, {"kind": "classes", "at": "block_0"}, "the run's head is another"),
        ({"kind": "tags"}, {"kind": "frame_tags"}, "the run's head is another"),
        ({"kind": "classes"}, {"kind": "tags"}, "the run's labels are others"),
    ],
)
def test_a_task_head_is_kept_where_kind_pooling_and_labels_are_the_same(
    trained: Run, tmp_path: Path, there: dict, here: dict, reason: str
):
    run = untrained(trained, tmp_path / "run", {"tasks": {"loud": there}})
    recipe = run.recipe().overridden({"tasks": {"loud": here}})
    targets = build_targets(recipe, run.tokenizers(), run_tasks(recipe))
    model = build_model(recipe, targets)
    (origin,) = (one for one in start_from(run, recipe, model, targets) if one.part == "tasks/loud")
    assert (origin.state, origin.reason) == ("new" if reason else "kept", reason)


# --- Languages that are there and are not trained


def kept_beside(trained: Run, **changes: object) -> Recipe:
    """A recipe that trains `bb` from the run, and keeps `aa` as it is."""
    return trained.recipe().overridden(
        {
            "languages.aa.train": False,
            "target": "bb",
            "init_from": str(trained.path),
            "training.num_updates": 2,
            "training.evaluate_every": 2,
            **changes,
        }
    )


def test_a_language_that_is_not_trained_keeps_its_head_to_the_bit(trained: Run, tmp_path: Path):
    run = train(kept_beside(trained), tmp_path / "run")
    before, after = load_recognizer(trained).model.parts(), load_recognizer(run).model.parts()
    for name, same in (("heads/aa", True), ("heads/bb", False), ("encoder", False)):
        pairs = [(np.array(before[name][key]), np.array(after[name][key])) for key in before[name]]
        assert all(np.array_equal(*pair) for pair in pairs) == same, name
    assert load_recognizer(run).model.languages == ("aa", "bb")
    (record,) = map(json.loads, run.log_path.read_text().splitlines())
    assert record["train_loss"].keys() == {"bb"}
    assert "weight" not in record, "there is one task"


def test_with_heads_only_the_encoder_stays_to_the_bit(trained: Run, tmp_path: Path):
    run = train(kept_beside(trained, **{"training.unfreezing": {"kind": "heads"}}), tmp_path / "run")
    before, after = load_recognizer(trained).model.parts(), load_recognizer(run).model.parts()
    for name, same in (("heads/aa", True), ("heads/bb", False), ("encoder", True)):
        pairs = [(np.array(before[name][key]), np.array(after[name][key])) for key in before[name]]
        assert all(np.array_equal(*pair) for pair in pairs) == same, name


def test_the_report_on_weights_is_a_file_of_the_run(trained: Run, tmp_path: Path):
    screen = RecordedScreen()
    run = train(kept_beside(trained), tmp_path / "run", screen)
    assert any("encoder kept; aa kept; bb kept" in line for line in screen.lines)
    assert told([PartOrigin(**row) for row in json.loads(run.start_path.read_text())]) == {
        "encoder": "kept",
        "heads/aa": "kept",
        "heads/bb": "kept",
    }


def test_keeping_an_output_layer_that_the_run_has_not_is_refused(trained: Run, make_corpus: Callable, tmp_path: Path):
    recipe = trained.recipe().overridden(
        {
            "data.dir": str(make_corpus(("cc",))),
            "languages": {"cc": {"output_layer": "keep"}},
            "init_from": str(trained.path),
        }
    )
    with pytest.raises(InputError, match="no output layer for the language 'cc'"):
        train(recipe, tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_letters_that_a_kept_output_layer_lacks_are_named(trained: Run, tmp_path: Path):
    there = trained.recipe().manifest("aa", "train")
    utterances = list(read_manifest(there))
    changed = [replace(one, text="añb") if i < 2 else one for i, one in enumerate(utterances)]
    path = tmp_path / "data" / "aa" / "train.jsonl"
    write_manifest(path, changed)
    settings = {"manifests": {"train": str(path)}, "output_layer": "keep"}
    recipe = kept_beside(trained, **{"languages": {"aa": settings}, "target": "aa"})
    with pytest.raises(InputError, match="the output layer that aa keeps has no token") as caught:
        train(recipe, tmp_path / "run")
    assert str(path) in caught.value.problem
    assert caught.value.received == "'ñ' in 2 transcripts"
    assert not (tmp_path / "run").exists()
