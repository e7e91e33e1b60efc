"""What a run leaves on disk besides its weights, and how it is read."""

import json
from pathlib import Path

import pytest

from speech_mtl.data.tokenizer import CharacterTokenizer
from speech_mtl.errors import InputError
from speech_mtl.files import write_text
from speech_mtl.run.folder import FORMAT, LEAVE_OUT, Run
from speech_mtl.run.weights import COPY_AGAIN
from speech_mtl.settings.recipe import Recipe

TOKENIZERS = {"aa": CharacterTokenizer.from_texts(["abc"], "aa"), "bb": CharacterTokenizer.from_texts(["xy"], "bb")}


@pytest.fixture
def run(tiny_recipe: Recipe, tmp_path: Path) -> Run:
    run = Run(tmp_path / "run")
    run.start(tiny_recipe, TOKENIZERS)
    return run


def test_the_log_says_which_commits_trained(run: Run):
    assert run.commits() == set()
    for update, commit in enumerate(("one", "one", "two")):
        run.append_log({"update": update, "commit": commit})
    assert run.commits() == {"one", "two"}
    run.append_log({"update": 3})  # as an early version wrote it
    assert run.commits() == {"one", "two", None}


def test_a_second_process_is_kept_from_a_run_that_is_being_trained(run: Run):
    with run.lock(), pytest.raises(InputError, match="Another process trains in") as caught, Run(run.path).lock():
        pass
    assert "--out" in caught.value.action
    with Run(run.path).lock():
        pass


@pytest.mark.parametrize(("update", "kept"), [(0, []), (2, [2]), (3, [2]), (4, [2, 4]), (6, [2, 4, 6]), (8, [2, 4, 6])])
def test_what_was_logged_after_the_checkpoint_is_taken_off(run: Run, update: int, kept: list[int]):
    for logged in (2, 4, 6):
        run.append_log({"update": logged, "text": "é"})
    with run.log_path.open("ab") as file:
        file.write('{"update": 2, "text": "é'.encode()[:-1])  # cut off, within a character
    run.trim_log(update)
    assert [json.loads(line)["update"] for line in run.log_path.read_text(encoding="utf-8").splitlines()] == kept


def test_a_whole_log_is_not_written_anew(run: Run):
    run.trim_log(3)
    assert not run.log_path.exists()
    run.append_log({"update": 2})
    before = run.log_path.stat()
    run.trim_log(2)
    assert run.log_path.stat().st_ino == before.st_ino


BAD_SIDE_FILES = {
    "labels.json": ['{"aa": [1]}', '{"aa": [1, -2]}', '{"aa": ["1", 2]}', "[]", "{"],
    "parameters.json": [
        '{"total": 1}',
        '{"total": -1, "trained": 1, "own": {}}',
        '{"total": 1, "trained": 1, "own": 3}',
    ],
    "tasks/mood.json": [
        '{"kind": "classes", "name": "mood", "label": "mood"}',
        '{"kind": "classes", "name": "mood", "label": "mood", "classes": "ab", "unseen": "refuse"}',
        '{"kind": "classes", "name": "mood", "label": "mood", "classes": ["a", 7], "unseen": "refuse"}',
        '{"kind": "number", "name": "mood", "label": "mood", "mean": NaN, "deviation": 1}',
        '{"kind": "number", "name": "mood", "label": "mood", "mean": 1, "deviation": 0}',
        '{"kind": "number", "name": "age", "label": "mood", "mean": 1, "deviation": 1}',
        '{"kind": "moods", "name": "mood"}',
        '{"kind": ["number"]}',
        "[1]",
    ],
}


@pytest.mark.parametrize("name", BAD_SIDE_FILES)
def test_damaged_side_files_are_input_errors(run: Run, tiny_recipe: Recipe, name: str):
    run.start(tiny_recipe.overridden({"tasks": {"mood": {}}}), TOKENIZERS)
    read = {"labels.json": run.labels, "parameters.json": run.parameters, "tasks/mood.json": run.scored}[name]
    for content in BAD_SIDE_FILES[name]:
        write_text(run.path / name, content)
        with pytest.raises(InputError, match=name) as caught:
            read()
        assert caught.value.action in (COPY_AGAIN, LEAVE_OUT)


def test_what_is_no_run_says_so(tmp_path: Path):
    with pytest.raises(InputError, match="is not a run") as caught:
        Run(tmp_path / "nothing").recipe()
    assert caught.value.received == "no such folder"


def test_a_run_of_another_version_is_refused(run: Run):
    assert json.loads(run.format_path.read_text())["format"] == FORMAT
    run.format_path.write_text('{"format": 99, "speech_mtl": "7.5"}')
    with pytest.raises(InputError, match="is of another version") as caught:
        run.recipe()
    assert caught.value.received == f"{run.format_path}: format 99, written by speech-mtl 7.5"
    run.format_path.write_text("{")
    with pytest.raises(InputError, match=r"format\.json:1: not JSON"):
        run.recipe()
    run.format_path.unlink()
    with pytest.raises(InputError, match=r"format\.json"):
        run.recipe()


def test_settings_of_comparisons_are_not_read(run: Run, tiny_recipe: Recipe):
    text = run.settings_path.read_text()
    earlier = text.replace("compare:\n", "compare:\n  no_longer_there: 1000\n")
    assert earlier != text
    run.settings_path.write_text(earlier)
    assert run.recipe() == tiny_recipe.overridden({"compare": {}, "tune": {}})


def test_settings_and_tokenizers_come_back(run: Run, tiny_recipe: Recipe):
    assert run.recipe() == tiny_recipe.overridden({"compare": {}, "tune": {}})
    assert {language: t.vocabulary for language, t in run.tokenizers().items()} == {
        language: t.vocabulary for language, t in TOKENIZERS.items()
    }
