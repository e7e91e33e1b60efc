"""Rows of new output layers that are copied from a run's, against a search for each token in the run's files."""

import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors.numpy import load_file, save_file
from tiny_encoders import encoder_settings, feature_settings

from speech_mtl.data.manifest import manifest_path
from speech_mtl.data.tokenizer import CharacterTokenizer, Tokenizer
from speech_mtl.datatypes import TRANSCRIPT
from speech_mtl.errors import InputError
from speech_mtl.models.multitask import MultilingualModel
from speech_mtl.run.build import build_model, build_targets
from speech_mtl.run.checkpoint import Checkpoints, load_recognizer
from speech_mtl.run.finetune import NewLanguage, finetuning_recipe
from speech_mtl.run.folder import Run
from speech_mtl.run.start import PartOrigin, start_from
from speech_mtl.run.train import train
from speech_mtl.settings.recipe import Recipe

OLD = {"aa": "a b", "bb": "bc", "dd": "d"}
"""The letters of an old run's languages."""

COPY = {"training.copy_output_rows": True}


def tokenizers_of(letters: Mapping[str, str]) -> dict[str, Tokenizer]:
    return {language: CharacterTokenizer.from_texts([own], language) for language, own in letters.items()}


def run_of(path: Path, recipe: Recipe, changes: Mapping[str, Any], letters: Mapping[str, str]) -> Run:
    """A run with random weights and biases."""
    recipe = with_languages(recipe, changes, letters)
    run, tokenizers = Run(path), tokenizers_of(letters)
    model = build_model(recipe, build_targets(recipe, tokenizers, {}))
    for head in model.heads[TRANSCRIPT].output_layers.values():
        head.bias.assign(np.random.default_rng(3).normal(size=head.num_tokens))
    run.start(recipe, tokenizers)
    Checkpoints(run).save_best(model, 1)
    return run


def with_languages(recipe: Recipe, changes: Mapping[str, Any], letters: Mapping[str, str]) -> Recipe:
    return recipe.overridden({"target": None, "languages": {language: {} for language in letters}, **changes})


def started(
    run: Run, changes: Mapping[str, Any], tokenizers: Mapping[str, Tokenizer], seed: int = 5
) -> tuple[MultilingualModel, dict[str, PartOrigin]]:
    changes = {"seed": seed, **changes, "init_from": str(run.path)}
    recipe = with_languages(run.recipe(), changes, dict.fromkeys(tokenizers, ""))
    targets = build_targets(recipe, tokenizers, {})
    model = build_model(recipe, targets)
    return model, {origin.part: origin for origin in start_from(run, recipe, model, targets)}


def weights(model: MultilingualModel, language: str) -> dict[str, np.ndarray]:
    return {key: np.array(variable) for key, variable in model.parts()[f"heads/{language}"].items()}


def searched(run: Run, token: str, key: str, languages: Sequence[str]) -> tuple[list[str], np.ndarray]:
    """The languages of a run that have a token, and the mean of its rows, NaN if there are none; from the files."""
    have, total = [], 0.0
    for language in languages:
        for number, other in enumerate(
            json.loads((run.path / f"tokenizers/{language}.json").read_text())["vocabulary"]
        ):
            if other == token:
                have.append(language)
                total = total + load_file(run.best_folder() / f"heads/{language}.safetensors")[key][number].astype(
                    float
                )
    return have, np.asarray(total / len(have) if have else np.nan)


def compared(run: Run, model: MultilingualModel, fresh: MultilingualModel, tokenizer: Tokenizer, languages: list[str]):
    """Checks each row; returns the languages from which each was copied."""
    copied = {}
    now, random = weights(model, tokenizer.language), weights(fresh, tokenizer.language)
    for row, token in enumerate(tokenizer.vocabulary):
        for key in ("kernel", "bias"):
            have, expected = searched(run, token, key, languages)
            if not have:
                np.testing.assert_array_equal(now[key][row], random[key][row])
            else:
                np.testing.assert_allclose(now[key][row], expected, rtol=1e-6, atol=1e-7)
                copied[token] = tuple(have)
    return copied


@pytest.mark.parametrize("kind", ["conformer", "recurrent", "whisper"])
def test_every_row_is_the_mean_of_those_of_its_token(kind: str, tiny_recipe: Recipe, tmp_path: Path):
    encoder = {"encoder": encoder_settings(kind, num_mels=80), "features": feature_settings(kind)}
    run = run_of(tmp_path / "run", tiny_recipe, encoder, OLD)
    tokenizers = tokenizers_of({"cc": "xc b", "dd": OLD["dd"]})
    model, origins = started(run, COPY, tokenizers)
    fresh, without = started(run, {"training.copy_output_rows": False}, tokenizers)
    copied = compared(run, model, fresh, tokenizers["cc"], list(OLD))
    assert copied == {"<blank>": ("aa", "bb", "dd"), " ": ("aa",), "b": ("aa", "bb"), "c": ("bb",)}
    assert origins["heads/cc"].rows == copied
    assert str(origins["heads/cc"]) == (
        "cc new: the run has no such language, 4 of 5 rows copied (<blank>, space, b, c)"
    )
    assert origins["heads/dd"].state == "kept"
    assert all(origin.rows is None for name, origin in origins.items() if name != "heads/cc")
    assert all(origin.rows is None for origin in without.values())
    for key, array in weights(fresh, "cc").items():
        assert not np.array_equal(array, weights(model, "cc")[key])


@pytest.mark.parametrize("letters", ["ba ", "abc ", "b"])
def test_a_language_that_the_run_has_keeps_its_own_rows(letters: str, tiny_recipe: Recipe, tmp_path: Path):
    run = run_of(tmp_path / "run", tiny_recipe, {}, OLD)
    tokenizer = CharacterTokenizer("aa", ("<blank>", *letters))
    model, origins = started(run, COPY, {"aa": tokenizer})
    rows = origins["heads/aa"].rows or {}
    assert rows == {token: ("bb",) if token == "c" else ("aa",) for token in tokenizer.vocabulary}
    for key, array in weights(model, "aa").items():
        for token, row in zip(tokenizer.vocabulary, array, strict=True):
            np.testing.assert_array_equal(row, searched(run, token, key, rows[token])[1].astype("float32"))


def test_a_new_output_layer_that_is_asked_for_gets_rows_too(tiny_recipe: Recipe, tmp_path: Path):
    run = run_of(tmp_path / "run", tiny_recipe, {}, OLD)
    _, origins = started(run, COPY | {"languages.aa.output_layer": "new"}, tokenizers_of({"aa": OLD["aa"]}))
    assert (origins["heads/aa"].state, len(origins["heads/aa"].rows or {})) == ("new", 4)


def columns(recipe: Recipe, *languages: list[str]) -> dict[str, Any]:
    encoder = recipe.encoder.model_dump(mode="json")
    found = [{"languages": own, "encoder": encoder} for own in languages]
    earlier = {f"languages.{language}.train": False for own in languages[:-1] for language in own}
    return {"encoder": {"kind": "progressive", "columns": found}, "init_from": "runs/before", **earlier}


def test_rows_come_from_output_layers_of_the_same_column_only(tiny_recipe: Recipe, tmp_path: Path):
    there = columns(tiny_recipe, ["aa"], ["bb", "dd"])
    run = run_of(tmp_path / "run", tiny_recipe, there, OLD)
    tokenizers = tokenizers_of({"aa": OLD["aa"], "cc": "xc b"})
    model, origins = started(run, COPY | columns(tiny_recipe, ["aa"], ["bb", "cc", "dd"]), tokenizers)
    fresh, _ = started(run, columns(tiny_recipe, ["aa"], ["bb", "cc", "dd"]), tokenizers)
    assert compared(run, model, fresh, tokenizers["cc"], ["bb", "dd"]) == origins["heads/cc"].rows
    assert origins["heads/cc"].rows == {"<blank>": ("bb", "dd"), "b": ("bb",), "c": ("bb",)}


@pytest.mark.parametrize("where", ["a new column", "layers of its own", "a subsampling of its own"])
def test_no_rows_where_layers_below_are_new(where: str, tiny_recipe: Recipe, tmp_path: Path):
    there = {"a new column": {}, "layers of its own": {"sharing.kind": "bottom"}}.get(where, {"sharing.kind": "middle"})
    run = run_of(tmp_path / "run", tiny_recipe.overridden({"encoder.num_layers": 3}), there, OLD)
    here = columns(run.recipe(), list(OLD), ["cc"]) if where == "a new column" else {}
    tokenizers = tokenizers_of({"cc": "xc b"} | (OLD if here else {}))
    model, origins = started(run, COPY | here, tokenizers)
    fresh, _ = started(run, here, tokenizers)
    for key, array in weights(fresh, "cc").items():
        np.testing.assert_array_equal(weights(model, "cc")[key], array)
    assert origins["heads/cc"].rows == {}
    assert str(origins["heads/cc"]).endswith("no rows copied, for layers below it are new")


@pytest.mark.parametrize("changes", [{"adapters": {"kind": "bottleneck"}}, {"sharing.kind": "nothing"}])
def test_layers_that_change_nothing_or_are_copies_do_not_matter(changes: dict, tiny_recipe: Recipe, tmp_path: Path):
    run = run_of(tmp_path / "run", tiny_recipe, {}, OLD)
    _, origins = started(run, COPY | changes, tokenizers_of({"cc": "b"}))
    assert origins["heads/cc"].rows == {"<blank>": ("aa", "bb", "dd"), "b": ("aa", "bb")}


def test_an_output_layer_that_does_not_fit_its_tokens_is_refused(tiny_recipe: Recipe, tmp_path: Path):
    run = run_of(tmp_path / "run", tiny_recipe, {}, OLD)
    path = run.best_folder() / "heads/bb.safetensors"
    save_file({key: array[:-1].copy() for key, array in load_file(path).items()}, path)
    with pytest.raises(InputError, match=r"heads/bb\.safetensors does not fit the network: bias"):
        started(run, COPY, tokenizers_of({"cc": "b"}))
    path.unlink()
    with pytest.raises(InputError, match=r"heads/bb\.safetensors cannot be read"):
        started(run, COPY, tokenizers_of({"cc": "b"}))


def test_finetuning_takes_the_setting_and_reports_the_rows(tiny_recipe: Recipe, make_corpus: Callable, tmp_path: Path):
    run = run_of(tmp_path / "run", tiny_recipe, {}, {"aa": "abcd", "bb": "abcd"})
    folder = make_corpus(("cc",), data_dir=tmp_path / "other")
    new = NewLanguage("cc", {split: manifest_path(folder, "cc", split) for split in ("train", "dev")})
    still = {"training.learning_rate": 1e-9, "training.final_learning_rate": 0.0, "training.num_updates": 1}
    after = train(finetuning_recipe(run, new, {**still, "training.evaluate_every": 1, **COPY}), tmp_path / "after")
    rows = next(row for row in json.loads(after.start_path.read_text()) if row["part"] == "heads/cc")["rows"]
    assert rows == {token: ["aa", "bb"] for token in ("<blank>", *"abcd")}
    for key, array in weights(load_recognizer(after).model, "cc").items():
        for token, row in zip(after.tokenizers()["cc"].vocabulary, array, strict=True):
            np.testing.assert_allclose(row, searched(run, token, key, ["aa", "bb"])[1], atol=1e-6)
