"""What was used is known again wherever it lies, and every change of it is found."""

import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import soundfile

from speech_mtl.data.manifest import manifest_path
from speech_mtl.errors import InputError
from speech_mtl.run.changes import Now, taken_up
from speech_mtl.run.folder import Run
from speech_mtl.run.made_from import Source, recordings, sources, write_made_from
from speech_mtl.run.speech import open_augmentations, open_split
from speech_mtl.settings.recipe import Recipe

Speech = dict[str, Source]


@pytest.fixture
def recipe(tiny_recipe: Recipe) -> Recipe:
    """A budget of part of the speech."""
    return tiny_recipe.overridden({"languages": {"aa": {"budget_s": 3.6}}})


@pytest.fixture
def speech(recipe: Recipe) -> Speech:
    return sources([open_split(recipe, "aa", split) for split in ("train", "dev")])


def lines_of(path: Path) -> list[dict]:
    return [json.loads(line) for line in path.read_text().splitlines()]


def write(path: Path, lines: list[dict]) -> None:
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))


def used(recipe: Recipe) -> list[int]:
    return open_split(recipe, "aa", "train").positions.tolist()


def test_nothing_has_changed_where_nothing_has(recipe: Recipe, speech: Speech):
    now = Now()
    assert now.speech_changes(speech, recipe) == []
    assert now.notes == []


def test_the_record_survives_json(recipe: Recipe, speech: Speech):
    assert Now().speech_changes(json.loads(json.dumps(speech)), recipe) == []


@pytest.mark.parametrize("copy", [shutil.copy2, shutil.copyfile])
def test_a_corpus_may_move_and_get_other_dates(recipe: Recipe, speech: Speech, tmp_path: Path, copy: Callable):
    moved = shutil.copytree(recipe.data.dir, tmp_path / "moved", copy_function=copy)
    path = manifest_path(moved, "aa", "train")
    write(path, [line | {"audio": str((path.parent / line["audio"]).resolve())} for line in lines_of(path)])
    now = Now()
    assert now.speech_changes(speech, recipe.overridden({"data.dir": str(moved)})) == []
    assert now.notes == []


@pytest.mark.parametrize(
    "change", [{"text": "dcba"}, {"text": None}, {"id": "other"}, {"speaker": "x"}, {"labels": {"mood": "sad"}}]
)
def test_another_word_about_a_used_utterance_is_found(recipe: Recipe, speech: Speech, change: dict):
    path, position = manifest_path(recipe.data.dir, "aa", "train"), used(recipe)[1]
    lines, status = lines_of(path), path.stat()
    lines[position] |= change
    write(path, lines)
    os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))
    (found,) = Now().speech_changes(speech, recipe)
    counted = f"1 of {len(used(recipe))} used utterances (the first in line {position + 1})"
    assert found == f"{path}: text, id, speaker or labels of {counted} differ"


def test_other_words_about_utterances_that_were_not_used_are_only_noted(recipe: Recipe, speech: Speech):
    path = manifest_path(recipe.data.dir, "aa", "train")
    lines = [line if i in used(recipe) else line | {"text": "dcba"} for i, line in enumerate(lines_of(path))]
    write(path, lines)
    now = Now()
    assert now.speech_changes(speech, recipe) == []
    assert now.notes == [f"{path} has changed, in utterances that were not used"]


def test_more_or_fewer_utterances_are_found(recipe: Recipe, speech: Speech):
    path = manifest_path(recipe.data.dir, "aa", "dev")
    write(path, lines_of(path)[:-1])
    assert Now().speech_changes(speech, recipe) == [f"{path} has 2 utterances and had 3"]


def test_audio_of_other_content_is_found_and_of_the_same_content_is_not(recipe: Recipe, speech: Speech):
    path, position = manifest_path(recipe.data.dir, "aa", "train"), used(recipe)[0]
    audio = path.parent / lines_of(path)[position]["audio"]
    samples, rate = soundfile.read(audio, dtype="int16")
    soundfile.write(audio, samples, rate, format="WAV")  # the same samples in a file of another kind and size
    assert Now().speech_changes(speech, recipe) == []
    soundfile.write(audio, np.roll(samples, 7), rate, format="WAV")
    (found,) = Now().speech_changes(speech, recipe)
    assert f"the audio of 1 of {len(used(recipe))} used utterances (the first in line {position + 1}) differs" in found


def test_what_is_gone_is_noted(recipe: Recipe, speech: Speech):
    shutil.rmtree(recipe.data.dir / "aa" / "audio")
    manifest_path(recipe.data.dir, "aa", "dev").unlink()
    now = Now()
    assert now.speech_changes(speech, recipe) == []
    assert [note.split(":")[0] for note in now.notes] == [
        "not compared with the audio it was made from",
        "not compared with the speech it was made from",
    ]


@pytest.mark.parametrize(
    "damage", [{"lines": "xyz"}, {"audio": ""}, {"positions": "ffffffff"}, {"skipped": [99]}, {"lines": "00"}]
)
def test_a_damaged_record_is_refused(recipe: Recipe, speech: Speech, damage: dict):
    speech["aa train"] |= damage  # pyright: ignore[reportArgumentType]
    with pytest.raises(InputError, match="is damaged"):
        Now().speech_changes(speech, recipe)


def test_a_record_of_another_language_is_refused(recipe: Recipe, speech: Speech):
    with pytest.raises(InputError, match="is damaged"):
        Now().speech_changes({"cc train": speech["aa train"]}, recipe)


def test_a_teacher_with_other_weights_is_found(trained: Run, with_settings: Callable):
    teacher = with_settings("teacher", {})
    student = with_settings("student", {"languages.aa.pseudo_labels": {"teacher": str(teacher.path)}})
    recipe = student.recipe()
    write_made_from(student, recipe, [])
    assert Now().changes_since(student, recipe) == []
    part = next(teacher.best_folder().rglob("*.safetensors"))
    part.write_bytes(part.read_bytes() + b"x")
    (change,) = Now().changes_since(student, recipe)
    assert change == f"{teacher.path}, which made the pseudo-labels of aa, has other weights now"
    record = json.loads(student.made_from_path.read_text(encoding="utf-8"))
    del record["teachers"]
    student.made_from_path.write_text(json.dumps(record), encoding="utf-8")
    assert Now().changes_since(student, recipe) == [], "records of earlier versions name none"
    write_made_from(student, recipe, [])
    known = json.loads(student.made_from_path.read_text(encoding="utf-8"))["teachers"]
    shutil.rmtree(teacher.path)
    write_made_from(student, recipe, [])
    assert Now().changes_since(student, recipe) == []
    assert json.loads(student.made_from_path.read_text(encoding="utf-8"))["teachers"] == known


# --- recordings of augmentations


@pytest.fixture
def noisy(tiny_recipe: Recipe, tmp_path: Path) -> Recipe:
    """A recipe with two recordings of noise."""
    folder = tmp_path / "noises"
    folder.mkdir()
    for i in range(2):
        soundfile.write(folder / f"{i}.wav", np.random.default_rng(i).uniform(-0.5, 0.5, 4000), 16_000)
    noise = {"kind": "noise", "dir": str(folder), "probability": 0.5}
    return tiny_recipe.overridden({"augment.waveform": {"noise": noise, "line": {"kind": "codec", "probability": 0.5}}})


def test_recordings_may_move(noisy: Recipe, tmp_path: Path):
    recorded = recordings(open_augmentations(noisy))
    assert list(recorded) == ["noise"]
    assert Now().recording_changes(recorded, noisy) == []
    moved = shutil.copytree(tmp_path / "noises", tmp_path / "moved")
    assert Now().recording_changes(recorded, noisy.overridden({"augment.waveform.noise.dir": str(moved)})) == []


def test_other_recordings_are_found(noisy: Recipe, tmp_path: Path):
    recorded = recordings(open_augmentations(noisy))
    soundfile.write(tmp_path / "noises" / "1.wav", np.random.default_rng(9).uniform(-0.5, 0.5, 4000), 16_000)
    assert Now().recording_changes(recorded, noisy) == ["augment.waveform.noise has other recordings now"]


def test_recordings_that_are_gone_are_noted(noisy: Recipe, tmp_path: Path):
    recorded = recordings(open_augmentations(noisy))
    shutil.rmtree(tmp_path / "noises")
    now = Now()
    assert now.recording_changes(recorded, noisy) == []
    assert now.notes == ["not compared with the recordings of augment.waveform.noise: its folder is gone"]


def test_each_run_is_compared_with_the_audio_that_it_takes_of_a_manifest(tiny_recipe: Recipe):
    durations = sorted(line["duration_s"] for line in lines_of(manifest_path(tiny_recipe.data.dir, "aa", "train")))
    shorter = tiny_recipe.overridden({"data.max_duration_s": durations[len(durations) // 2], "data.allow_skipped": 0.9})
    made_from = [(one, sources([open_split(one, "aa", "train")])) for one in (tiny_recipe, shorter)]
    for path in tiny_recipe.data.dir.rglob("*.wav"):
        path.touch()
    now = Now()
    assert [now.speech_changes(speech, one) for one, speech in made_from] == [[], []]


def test_a_run_keeps_the_order_of_its_tasks(tiny_recipe: Recipe, tmp_path: Path):
    """Loss weights and random numbers are theirs by position."""
    tasks = {"mood": {}, "age": {"kind": "number"}}
    run = Run(tmp_path / "run")
    run.start(tiny_recipe.overridden({"tasks": tasks}), {})
    other = tiny_recipe.overridden({"tasks": dict(reversed(tasks.items()))})
    assert list(taken_up(run, other, Now(), accept_changes=False)[0].tasks) == ["mood", "age"]
