from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import soundfile

from speech_mtl.build import build_model
from speech_mtl.config import Recipe
from speech_mtl.data.tokenizer import CharacterTokenizer
from speech_mtl.datatypes import Hypothesis
from speech_mtl.errors import InputError
from speech_mtl.experiments.transcribe import label_texts, transcribe_files
from speech_mtl.runs import Run
from speech_mtl.tasks import Classes, FrameTags, Number


@pytest.fixture
def run(tiny_recipe: Recipe, tmp_path: Path, untraced: None) -> Run:
    run = Run(tmp_path / "run")
    run.start(tiny_recipe, {language: CharacterTokenizer.from_texts(["abcd"], language) for language in ("aa", "bb")})
    run.save_best(build_model(tiny_recipe, {"aa": 5, "bb": 5}), 1)
    return run


def test_files_of_any_rate_and_number_of_channels(run: Run, speak: Callable, tmp_path: Path):
    paths = [tmp_path / "a.wav", tmp_path / "b.ogg"]
    soundfile.write(paths[0], speak("abc"), 16_000)
    soundfile.write(paths[1], np.stack([speak("abc", 44_100)] * 2, axis=1), 44_100)
    found = list(transcribe_files(run, paths, "BB"))
    assert [(path, hypothesis.id, hypothesis.language) for path, hypothesis in found] == [
        (path, str(path), "bb") for path in paths
    ]
    assert all(set(hypothesis.text) <= set("abcd") for _, hypothesis in found)


def test_bad_files_are_found_before_the_first_is_recognised(run: Run, speak: Callable, tmp_path: Path):
    good = tmp_path / "good.wav"
    soundfile.write(good, speak("abc"), 16_000)
    contents = {
        "missing": None,
        "empty": b"",
        "unreadable": b"no audio at all",
        "truncated": good.read_bytes()[: len(good.read_bytes()) // 2],
    }
    for reason, content in contents.items():
        path = tmp_path / f"{reason}.wav"
        if content is not None:
            path.write_bytes(content)
        with pytest.raises(InputError, match=f"{reason}.wav cannot be transcribed: it is {reason}"):
            next(transcribe_files(run, [good, path], "aa"))
    waveforms = {"silent": np.zeros(16_000), "too short": np.ones(500), "too long": np.ones(16_000 * 31)}
    for reason, waveform in waveforms.items():
        path = tmp_path / "bad.wav"
        soundfile.write(path, waveform, 16_000)
        with pytest.raises(InputError, match=f"it is {reason}"):
            next(transcribe_files(run, [good, path], "aa"))


def test_a_language_without_an_output_layer_is_named_with_those_there_are(run: Run, tmp_path: Path):
    with pytest.raises(InputError, match="no output layer for the language 'zz'") as caught:
        next(transcribe_files(run, [tmp_path / "a.wav"], "zz"))
    assert caught.value.expected == "one of aa, bb"


def test_labels_are_told_as_words():
    tasks = {
        "emotion": Classes("emotion", "emotion", ["calm", "angry"]),
        "age": Number("age", "age", mean=30.0, deviation=10.0),
        "sounds": FrameTags("sounds", "sounds", ["voiced"]),
    }
    labels = {"emotion": np.array([0.1, 0.4]), "age": np.array([0.5]), "sounds": np.ones((7, 1))}
    assert label_texts(tasks, Hypothesis("x", "aa", "abc", -1.0, labels)) == ["emotion=angry", "age=35.0"]
