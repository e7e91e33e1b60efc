"""Evaluation of a run whose weights are random: what is counted and written does not depend on them."""

import json
import re
import shutil
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any, ClassVar

import pytest
from pydantic import BaseModel
from recorded_screen import RecordedScreen

from speech_mtl.data.manifest import manifest_path, read_manifest, write_manifest
from speech_mtl.decoding.decoder import Decoded
from speech_mtl.decoding.greedy import Greedy
from speech_mtl.errors import InputError
from speech_mtl.files import json_text, write_text
from speech_mtl.run.build import build_model, build_targets, decoding_with
from speech_mtl.run.checkpoint import Checkpoints, load_recognizer
from speech_mtl.run.evaluate import LONGEST_NAME, evaluate, evaluate_manifest, held_out_name
from speech_mtl.run.evaluated import SavedEvaluation, saved_evaluation
from speech_mtl.run.folder import Run
from speech_mtl.run.references import load_references
from speech_mtl.run.speech import open_split
from speech_mtl.run.targets import make_tokenizer
from speech_mtl.settings.recipe import Recipe
from speech_mtl.targets.classes import Classes
from speech_mtl.targets.multi_label import MultiLabel
from speech_mtl.training.progress import Progress


@pytest.fixture
def run(tiny_recipe: Recipe, tmp_path: Path, untraced: None) -> Run:
    seconds = sum(u.duration_s for u in read_manifest(manifest_path(tiny_recipe.data.dir, "aa", "train")))
    recipe = tiny_recipe.overridden({"languages.aa.budget_s": seconds / 2})
    splits = [open_split(recipe, language, "train") for language in recipe.languages]
    tokenizers = {split.language: make_tokenizer(recipe, split) for split in splits}
    run = Run(tmp_path / "run")
    run.start(recipe, tokenizers)
    Checkpoints(run).save_best(build_model(recipe, build_targets(recipe, tokenizers, {})), 1)
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
    texts = [u.text for i, u in enumerate(read_manifest(split.manifest.path)) if i in set(split.positions)]
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
    recognizer = load_recognizer(run)
    tasks = [Classes("mood", "mood", ["glad", "sad"], "unknown"), MultiLabel("sounds", "sounds", ["music"], "unknown")]
    recognizer.tasks = {task.name: task for task in tasks}
    references = load_references(run.recipe(), "aa", "dev", recognizer)
    assert references.num_out_of_vocabulary == {"mood": 1, "sounds": 2}
    assert {name: column.num_known for name, column in references.examples.targets.items()} == {
        "mood": 1,
        "sounds": 1,
    }


def test_an_empty_test_set_and_one_without_text_are_refused(run: Run):
    path = manifest_path(run.recipe().data.dir, "aa", "test")
    lines = [json.loads(line) | {"text": " - "} for line in path.read_text().splitlines()]
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))
    recognizer = load_recognizer(run)
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
        assert (row["language"], row["split"][:-9], row["num_utterances"]) == ("aa", shown, 2)
        assert found == f"aa_{row['split']}"
        assert json.loads((run.path / f"evaluation-{found}.json").read_text()) == [row]
        lines = (run.path / "hypotheses" / f"{found}.jsonl").read_text().splitlines()
        assert [json.loads(line)["id"] for line in lines] == [utterance.id for utterance in held_out]
    assert {path: path.read_bytes() for path in before} == before
    with pytest.raises(InputError, match="has several languages") as caught:
        evaluate_manifest(run, tmp_path / "more" / "test.jsonl")
    assert "aa, bb" in caught.value.expected


def test_manifests_of_one_name_and_languages_of_one_manifest_stay_apart(run: Run, tmp_path: Path):
    source = manifest_path(run.recipe().data.dir, "aa", "test")
    utterances = [replace(u, audio=u.audio.resolve()) for u in read_manifest(source)]
    found = []
    for place, size, language in (("a", 1, "aa"), ("b", 2, "aa"), ("b", 2, "bb")):
        manifest = tmp_path / place / "held.jsonl"
        write_manifest(manifest, [replace(u, language=language) for u in utterances[:size]])
        found.append(evaluate_manifest(run, manifest, language))
    for row, name in found:
        assert json.loads((run.path / f"evaluation-{name}.json").read_text()) == [row]
        assert len((run.path / "hypotheses" / f"{name}.jsonl").read_text().splitlines()) == row["num_utterances"]
        assert f"| {row['language']} | {row['split']} | {row['num_utterances']} |" in (
            run.path / f"evaluation-{name}.md"
        ).read_text().replace("\\", "")


@pytest.mark.parametrize(
    ("path", "name"), [("a/held.jsonl", "held"), ("a/x y/dev.jsonl", "x_y-dev"), ("a/\u017eena.jsonl", "\u017eena")]
)
def test_a_manifest_has_the_name_of_its_file_but_never_that_of_a_split(path: str, name: str):
    assert re.fullmatch(rf"{name}-[0-9a-f]{{8}}", held_out_name(Path(path)))
    assert held_out_name(Path(path).absolute()) == held_out_name(Path(path)) != held_out_name("other" / Path(path))


def test_names_of_manifests_are_short_and_stay_apart(run: Run):
    names = [held_out_name(Path("\u017e" * 120 + end)) for end in ("a.jsonl", "b.jsonl")]
    assert len(set(names)) == 2
    assert all(len(name.encode()) <= LONGEST_NAME + 9 for name in names)
    saved = SavedEvaluation(run)
    assert saved.hypotheses_path("zh", "CN-test") != saved.hypotheses_path("zh-CN", "test")


def test_an_unfinished_run_is_told(run: Run):
    for update, warnings in ((2, [f"warning {run.path} is not finished: update 2 of 4"]), (4, [])):
        path = run.checkpoints / f"{update:06d}" / "progress.json"
        write_text(path, json_text(asdict(Progress(update=update, best_error=0.5, best_update=1))))
        screen = RecordedScreen()
        evaluate(run, ["dev"], ["aa"], screen)
        found = [line.partition(";")[0] for line in screen.lines if "is not finished" in line]
        assert found == warnings


def test_rows_that_are_not_made_again_are_named(run: Run):
    evaluate(run, ["dev", "test"], compare_with_training=False)
    screen = RecordedScreen()
    evaluate(run, ["test"], ["aa"], screen, compare_with_training=False)
    assert any("evaluation.json held aa dev, bb dev, bb test, too" in line for line in screen.lines)


class Backwards(Greedy):
    """Another decoder: the tokens in the wrong order."""

    def __init__(self, vocabulary, language, strength: int):
        super().__init__(vocabulary, language)
        assert strength == 3

    def decode(self, log_probabilities):
        found = super().decode(log_probabilities)
        return Decoded(found.tokens[::-1], found.score)


class BackwardsSettings(BaseModel):
    """No `Section`: all of these that there are in a process are taken for settings."""

    takes_lm: ClassVar[bool] = False
    uses_lm: ClassVar[bool] = False
    kind: str = "backwards"
    strength: int = 3

    def member(self) -> type[Greedy]:
        return Backwards

    def arguments(self) -> dict[str, Any]:
        return {"strength": self.strength}


def test_another_decoder_is_told_and_its_results_are_never_those_of_the_usual_one(
    trained: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    run, splits = Run(tmp_path / "copy"), ("dev", "test")
    shutil.copytree(trained.path, run.path)
    assert saved_evaluation(run, splits) is None
    usual = evaluate(run, splits)
    assert saved_evaluation(run, splits) == usual
    assert "Decoding" not in (run.path / "evaluation.md").read_text()
    texts = [record["hypothesis"] for record in SavedEvaluation(run).hypotheses("aa", "test")]

    settings: Any = BackwardsSettings()
    other = evaluate(run, splits, decoding=settings)
    assert saved_evaluation(run, splits) is None, "they are of another decoder"
    assert other != usual
    assert [record["hypothesis"] for record in SavedEvaluation(run).hypotheses("aa", "test")] == [
        text[::-1] for text in texts
    ]
    assert (run.path / "evaluation.md").read_text().endswith("\n\nDecoding: kind=backwards, strength=3\n")
    asked = run.recipe().model_copy(update={"decoding": settings})
    monkeypatch.setattr(run, "recipe", lambda: asked)
    assert saved_evaluation(run, splits) == other
    asked = run.recipe().model_copy(update={"decoding": BackwardsSettings(strength=4)})
    assert saved_evaluation(run, splits) is None, "another setting of the same decoder"


def test_weights_that_are_saved_meanwhile_are_not_taken_for_those_that_recognised(
    run: Run, monkeypatch: pytest.MonkeyPatch
):
    """Another process trains: it replaces the best weights when all hypotheses are there."""
    evaluate(run, ["dev"])
    before = SavedEvaluation(run).evaluated_path.read_text(encoding="utf-8")

    def trained_meanwhile(*_: Any) -> None:
        targets = build_targets(run.recipe(), run.tokenizers(), {})
        Checkpoints(run).save_best(build_model(run.recipe().overridden({"seed": 7}), targets), 2)

    monkeypatch.setattr("speech_mtl.run.evaluate.save_calibrations", trained_meanwhile)
    evaluate(run, ["dev"])
    assert SavedEvaluation(run).evaluated_path.read_text(encoding="utf-8") == before
    assert saved_evaluation(run, ["dev"]) is None


def test_a_record_that_knows_no_decoder_is_not_trusted(trained: Run, tmp_path: Path):
    run = Run(tmp_path / "copy")
    shutil.copytree(trained.path, run.path)
    evaluate(run, ["dev"])
    record = json.loads(SavedEvaluation(run).evaluated_path.read_text())
    assert record.pop("decoder") == {"kind": "greedy"}
    SavedEvaluation(run).evaluated_path.write_text(json.dumps(record))
    assert saved_evaluation(run, ["dev"]) is None


def test_only_how_a_trained_run_decodes_can_be_changed(run: Run):
    assert decoding_with(run.recipe(), ["decoding.kind=greedy"]) == run.recipe().decoding
    assert decoding_with(run.recipe(), ["decoding={kind: greedy}"]) == run.recipe().decoding
    beam = run.recipe().overridden({"decoding": {"kind": "beam", "width": 7}})
    assert decoding_with(beam, ["decoding.kind=greedy"]) == run.recipe().decoding
    assert decoding_with(beam, ["decoding.num_best=2", "decoding.kind=beam"]).model_dump()["width"] == 7
    other = decoding_with(run.recipe(), ["decoding.num_best=2", "decoding.kind=beam"])
    assert other.model_dump() == beam.decoding.model_dump() | {"width": 50, "num_best": 2}
    for change, problem in (
        ("seed=1", "seed cannot be changed"),
        ("decodingx=1", "decodingx cannot be changed"),
        ("decoding.kind=none", r"decoding\.kind is not right"),
        ("decoding.width=8", r"unknown key 'decoding\.width'"),
        ("decoding.kind", "has no value"),
    ):
        with pytest.raises(InputError, match=problem):
            decoding_with(run.recipe(), [change])


def test_numbers_without_a_reading_are_not_scored_and_the_rule_is_recorded(run: Run):
    """The language has no speller: utterances with digits are left out, and named."""
    path = run.path / "tokenizers" / "aa.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"text": {"numerals": "spell"}}))
    (run.best_folder() / "contents.json").unlink()
    path = manifest_path(run.recipe().data.dir, "aa", "test")
    lines = [json.loads(line) for line in path.read_text().splitlines()]
    path.write_text("".join(json.dumps(one | ({"text": "a 5"} if not i else {})) + "\n" for i, one in enumerate(lines)))
    screen = RecordedScreen()
    (row,) = evaluate(run, ["test"], ["aa"], screen)
    assert row["num_utterances"] == len(lines) - 1
    assert row.get("normalizer") == "aa, numerals spelt, v3"
    assert any(f"{path}:1: left out: its errors are not counted: no library spells" in one for one in screen.lines)
