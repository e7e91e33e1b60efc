"""Evaluation of a run whose weights are random: what is counted and written does not depend on them."""

import json
from dataclasses import replace
from pathlib import Path

import pytest
from heard import Heard

from speech_mtl.config import Recipe
from speech_mtl.data.manifest import manifest_path, read_manifest, write_manifest
from speech_mtl.errors import InputError
from speech_mtl.run.build import build_model, build_targets
from speech_mtl.run.evaluate import (
    LONGEST_NAME,
    evaluate,
    evaluate_manifest,
    held_out_name,
    hypotheses_path,
    load_references,
)
from speech_mtl.run.folder import Run
from speech_mtl.run.speech import make_tokenizer, open_split
from speech_mtl.targets.classes import Classes
from speech_mtl.targets.tags import Tags


@pytest.fixture
def run(tiny_recipe: Recipe, tmp_path: Path, untraced: None) -> Run:
    seconds = sum(u.duration_s for u in read_manifest(manifest_path(tiny_recipe.data.dir, "aa", "train")))
    recipe = tiny_recipe.overridden({"languages.aa.budget_s": seconds / 2})
    splits = [open_split(recipe, language, "train") for language in recipe.languages]
    tokenizers = {split.language: make_tokenizer(recipe, split) for split in splits}
    run = Run(tmp_path / "run")
    run.start(recipe, tokenizers)
    run.save_best(build_model(recipe, build_targets(recipe, tokenizers, {})), 1)
    return run


def test_every_language_and_split_has_a_row_and_its_hypotheses(run: Run):
    rows = evaluate(run)
    found = [(row["language"], row["split"]) for row in rows]
    assert found == [("aa", "dev"), ("aa", "test"), ("bb", "dev"), ("bb", "test")]
    assert json.loads((run.path / "evaluation.json").read_text()) == rows
    for row in rows:
        language, split = row["language"], row["split"]
        path = run.path / "hypotheses" / f"{language}-{split}.jsonl"
        records = [json.loads(line) for line in path.read_text().splitlines()]
        utterances = list(read_manifest(manifest_path(run.recipe().data.dir, language, split)))
        assert [(record["id"], record["reference"]) for record in records] == [(u.id, u.text) for u in utterances]
        assert row["num_utterances"] == len(utterances)


def test_the_training_split_is_that_of_the_budget(run: Run):
    (row,) = evaluate(run, ["train"], ["aa"])
    split = open_split(run.recipe(), "aa", "train")
    texts = [u.text for i, u in enumerate(read_manifest(split.manifest)) if i in set(split.positions)]
    assert row["num_utterances"] == len(texts) < 12
    records = [json.loads(line) for line in (run.path / "hypotheses" / "aa-train.jsonl").read_text().splitlines()]
    assert [record["reference"] for record in records] == texts


def test_characters_that_training_did_not_see_count_as_errors(run: Run):
    path = manifest_path(run.recipe().data.dir, "aa", "test")
    lines = [json.loads(line) | {"text": "ñandú žluť"} for line in path.read_text().splitlines()]
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))
    (row,) = evaluate(run, ["test"], ["aa"])
    assert row["num_reference_characters"] == 3 * len("ñandú žluť")
    assert (row["wer"], row["num_reference_words"]) == (1.0, 6)


@pytest.mark.parametrize(
    ("splits", "languages", "message"),
    [
        (["test"], ["aa", "xx"], "no output layer for the language 'xx'"),
        (["tset"], None, "There is no split 'tset'"),
    ],
)
def test_what_is_not_there_is_refused_before_anything_is_recognised(run: Run, splits, languages, message: str):
    with pytest.raises(InputError, match=message):
        evaluate(run, splits, languages)
    assert not (run.path / "hypotheses").exists()


def test_labels_that_training_has_not_are_counted(run: Run):
    """Apart from those that are unknown, and beside what else a label says."""
    labels: list[dict] = [
        {"mood": "calm", "sounds": {"music": 1, "bark": 1}},
        {"mood": "sad", "sounds": {"music": None, "bark": None}},
        {"mood": None, "sounds": {"bark": 0}},
    ]
    path = manifest_path(run.recipe().data.dir, "aa", "dev")
    write_manifest(path, [replace(u, labels=own) for u, own in zip(read_manifest(path), labels, strict=True)])
    recognizer = run.load()
    tasks = [Classes("mood", "mood", ["glad", "sad"], "unknown"), Tags("sounds", "sounds", ["music"], "unknown")]
    recognizer.tasks = {task.name: task for task in tasks}
    references = load_references(run.recipe(), "aa", "dev", recognizer)
    assert references.num_unseen == {"mood": 1, "sounds": 2}
    assert {name: column.num_known for name, column in references.examples.targets.items()} == {
        "mood": 1,
        "sounds": 1,
    }


def test_an_empty_test_set_and_one_without_text_are_refused(run: Run):
    path = manifest_path(run.recipe().data.dir, "aa", "test")
    lines = [json.loads(line) | {"text": " - "} for line in path.read_text().splitlines()]
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))
    recognizer = run.load()
    with pytest.raises(InputError, match="no transcript has any text"):
        load_references(run.recipe(), "aa", "test", recognizer)
    path.write_text("")
    with pytest.raises(InputError, match="is empty"):
        load_references(run.recipe(), "aa", "test", recognizer)


def test_another_manifest_is_evaluated_and_own_results_stay(run: Run, tmp_path: Path):
    evaluate(run)
    before = {path: path.read_bytes() for path in run.path.rglob("*") if path.is_file()}
    source = manifest_path(run.recipe().data.dir, "aa", "test")
    held_out = [replace(u, audio=u.audio.resolve()) for u in read_manifest(source)][:2]
    for name, shown in (("held out.jsonl", "held_out"), ("test.jsonl", "more-test")):
        manifest = tmp_path / "more" / name
        write_manifest(manifest, held_out)
        row, found = evaluate_manifest(run, manifest, "aa")
        assert (row["language"], row["split"], found, row["num_utterances"]) == ("aa", shown, shown, 2)
        assert json.loads((run.path / f"evaluation-{shown}.json").read_text()) == [row]
        lines = (run.path / "hypotheses" / f"aa_{shown}.jsonl").read_text().splitlines()
        assert [json.loads(line)["id"] for line in lines] == [utterance.id for utterance in held_out]
    assert {path: path.read_bytes() for path in before} == before
    with pytest.raises(InputError, match="has several languages") as caught:
        evaluate_manifest(run, tmp_path / "more" / "test.jsonl")
    assert "aa, bb" in caught.value.expected


@pytest.mark.parametrize(
    ("path", "name"), [("a/held.jsonl", "held"), ("a/x y/dev.jsonl", "x_y-dev"), ("a/\u017eena.jsonl", "\u017eena")]
)
def test_a_manifest_has_the_name_of_its_file_but_never_that_of_a_split(path: str, name: str):
    assert held_out_name(Path(path)) == name


def test_names_of_manifests_are_short_and_stay_apart(run: Run):
    names = [held_out_name(Path("\u017e" * 120 + end)) for end in ("a.jsonl", "b.jsonl")]
    assert len(set(names)) == 2
    assert all(len(name.encode()) <= LONGEST_NAME for name in names)
    assert hypotheses_path(run, "zh", "CN-test") != hypotheses_path(run, "zh-CN", "test")


def test_an_unfinished_run_is_told(run: Run):
    screen = Heard()
    evaluate(run, ["dev"], ["aa"], screen)
    assert screen.lines[0].startswith(f"warning {run.path} is not finished: update 0 of 4")
