"""SharedPhones as a target: an inventory of all languages, in training, in its file, and in fine-tuning."""

import json
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from letter_phones import phones_task

from speech_mtl.datatypes import Utterance
from speech_mtl.errors import InputError
from speech_mtl.run.checkpoint import load_recognizer
from speech_mtl.run.evaluate import evaluate
from speech_mtl.run.folder import Run
from speech_mtl.run.train import train
from speech_mtl.run.weights import load_part
from speech_mtl.settings.recipe import Recipe
from speech_mtl.targets.shared_phones import SharedPhones

PART = "tasks/phones/shared"


@pytest.fixture
def lexicons(tmp_path: Path) -> dict[str, Path | None]:
    """Two languages that share one phone."""
    files = {"aa": "uno\tu n o\ndue\td u e\n", "bb": "one\tw a n\n"}
    for language, content in files.items():
        (tmp_path / f"{language}.txt").write_text(content, "utf-8")
    return {language: tmp_path / f"{language}.txt" for language in files}


def utterance(text: str | None, language: str = "aa") -> Utterance:
    return Utterance("u", Path("a.wav"), language, text, 1.0)


def speech(*pairs: tuple[str, str | None]) -> Iterator[tuple[str, Utterance]]:
    return ((language, utterance(text, language)) for language, text in pairs)


@pytest.fixture
def phones(lexicons: dict[str, Path | None]) -> SharedPhones:
    return SharedPhones.from_speech("phones", speech(("aa", "Uno uno"), ("aa", None), ("bb", "one")), lexicons=lexicons)


def test_the_inventory_is_that_of_all_training_texts(phones: SharedPhones):
    assert phones.vocabulary == ["<blank>", "a", "n", "o", "u", "w"]
    assert phones.describe() == "5 phones of 2 languages"
    assert phones.espeak_version is None
    assert np.array(phones.encode(utterance("uno"), "aa")).tolist() == [4, 2, 3]
    assert np.array(phones.encode(utterance("one"), "bb")).tolist() == [5, 1, 2]


def test_what_has_no_phones_is_unknown(phones: SharedPhones):
    for text, language, is_out in [
        (None, "aa", False),
        ("tre", "aa", False),  # not in the lexicon
        ("uno", "cc", False),
        ("due", "aa", True),  # training has no such phone
    ]:
        assert phones.encode(utterance(text), language) is None
        assert phones.is_out_of_vocabulary(utterance(text), language) == is_out


def test_errors_are_edits_of_collapsed_frames(phones: SharedPhones):
    outputs = np.eye(6)[[0, 4, 4, 0, 4, 2, 0]]
    path = phones.kept(outputs)
    assert phones.decode(path) == "u u n"
    assert phones.errors(path, np.array([4, 2, 3])) == (2.0, 3.0)
    assert phones.errors(path, np.array([4, 4, 2])) == (0.0, 3.0)


def test_round_trip_through_json(phones: SharedPhones):
    again = SharedPhones(**json.loads(json.dumps(phones.to_json())))
    assert again.to_json() == phones.to_json()
    assert np.array(again.encode(utterance("one"), "bb")).tolist() == [5, 1, 2]


def test_a_language_may_come_twice(lexicons: dict[str, Path | None]):
    """As in manifests of several folders."""
    parts = speech(("aa", "due"), ("bb", "one"), ("aa", "uno"))
    made = SharedPhones.from_speech("phones", parts, lexicons=lexicons)
    assert made.vocabulary == ["<blank>", "a", "d", "e", "n", "o", "u", "w"]
    assert made.describe() == "7 phones of 2 languages"


def test_a_language_without_phones_by_choice(lexicons: dict[str, Path | None]):
    made = SharedPhones.from_speech("p", speech(("aa", "uno"), ("bb", "one")), lexicons=lexicons | {"bb": None})
    assert made.vocabulary == ["<blank>", "n", "o", "u"]
    assert not made.is_for("bb")
    head = made.head({"top": 8}, ["aa", "bb"])
    assert head.taps(["bb"]) == {"top"}, "the phones of its speech can be predicted"


def test_languages_that_cannot_be_read_are_named(lexicons: dict[str, Path | None]):
    with pytest.raises(InputError, match="no transcript of aa, bb can be read as phones"):
        SharedPhones.from_speech("p", speech(("aa", "tre"), ("bb", "two")), lexicons=lexicons)
    pytest.importorskip("espeakng_loader", reason="the optional extra `phones` is not installed")
    unspoken = speech(("ast", "uno"), ("cs", "den"), ("br", "unan"), ("ast", "due"))
    with pytest.raises(InputError, match="does not speak ast, br\n") as caught:
        SharedPhones.from_speech("p", unspoken, lexicons=lexicons)
    assert "tasks.p.lexicons.ast" in caught.value.action


def test_another_espeak(phones: SharedPhones):
    pytest.importorskip("espeakng_loader", reason="the optional extra `phones` is not installed")
    other = SharedPhones("phones", phones.vocabulary, ["de"], {}, "1.48.15")
    with pytest.raises(InputError, match="read by another espeak-ng"):
        other.encode(utterance("uno"), "de")


@pytest.fixture
def with_phones(tiny_recipe: Recipe, tmp_path: Path) -> Recipe:
    return tiny_recipe.overridden(
        {
            "encoder.num_layers": 2,
            "training.num_updates": 12,
            "training.evaluate_every": 6,
            "tasks": {"phones": phones_task(tiny_recipe, tmp_path)},
        }
    )


def test_training_evaluation_and_fine_tuning(with_phones: Recipe, tmp_path: Path, untraced: None):
    run = train(with_phones, tmp_path / "run")
    first, last = (json.loads(line) for line in run.log_path.read_text("utf-8").splitlines())
    assert last["train_loss"]["phones"] < first["train_loss"]["phones"]
    assert 0 < last["dev_error"]["phones"] <= 1
    assert (run.best_folder() / "tasks" / "phones" / "shared.safetensors").is_file()
    rows = evaluate(run, ["dev"], compare_with_training=False)
    assert {row["language"] for row in rows} == {"aa", "bb"}
    assert "phone error rate" in (run.path / "evaluation.md").read_text("utf-8")
    _fewer_languages_keep_all_phones(run, with_phones, tmp_path)


def test_further_phones_are_added_to_those_of_the_first_run(with_phones: Recipe, tmp_path: Path, untraced: None):
    few = {"training.num_updates": 1, "training.evaluate_every": 1, "training.final_learning_rate": 1e-12}
    first = train(with_phones.overridden({"languages": {"aa": {}}, "target": None, **few}), tmp_path / "first")
    changes = {"languages": {"bb": {}}, "target": None, "init_from": str(first.path), "training.learning_rate": 1e-11}
    second = train(with_phones.overridden({**changes, **few}), tmp_path / "second")
    old, new = (run.scored()["phones"].to_json()["vocabulary"] for run in (first, second))
    assert set(old) < set(new)
    (origin,) = [one for one in json.loads(second.start_path.read_text("utf-8")) if one["part"] == PART]
    assert (origin["state"], origin["reason"]) == ("new", "the run has fewer phones")
    assert sorted(origin["rows"]) == sorted(old)
    kernels = [load_part(run.best_folder() / f"{PART}.safetensors")["kernel"] for run in (first, second)]
    np.testing.assert_allclose(kernels[1][[new.index(phone) for phone in old]], kernels[0], atol=1e-5)


def _fewer_languages_keep_all_phones(run: Run, recipe: Recipe, tmp_path: Path) -> None:
    changes = {"languages": {"aa": {}}, "target": "aa", "init_from": str(run.path)}
    again = train(recipe.overridden(changes), tmp_path / "again")
    task = again.scored()["phones"]
    assert isinstance(task, SharedPhones)
    assert task.to_json()["vocabulary"] == run.scored()["phones"].to_json()["vocabulary"]
    origins = {one["part"]: one["state"] for one in json.loads(again.start_path.read_text("utf-8"))}
    assert origins[PART] == "kept"
    dropped = train(recipe.overridden({**changes, "tasks": {}}), tmp_path / "dropped")
    assert list(load_recognizer(dropped).tasks) == []
