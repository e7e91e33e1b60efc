import os
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import soundfile
from made_up_targets import model_of

from speech_mtl.data.tokenizer import CharacterTokenizer
from speech_mtl.datatypes import Hypothesis
from speech_mtl.errors import InputError
from speech_mtl.run.checkpoint import Checkpoints
from speech_mtl.run.folder import Run
from speech_mtl.run.transcribe import audio_files, label_values, transcribe_files, transcript_paths
from speech_mtl.settings.recipe import Recipe
from speech_mtl.targets.classes import Classes
from speech_mtl.targets.frame_multi_label import FrameMultiLabel
from speech_mtl.targets.regression import Regression


@pytest.fixture
def run(tiny_recipe: Recipe, tmp_path: Path, untraced: None) -> Run:
    run = Run(tmp_path / "run")
    run.start(tiny_recipe, {language: CharacterTokenizer.from_texts(["abcd"], language) for language in ("aa", "bb")})
    Checkpoints(run).save_best(model_of(tiny_recipe, {"aa": 5, "bb": 5}), 1)
    return run


def test_files_of_any_rate_and_number_of_channels(run: Run, speak: Callable, tmp_path: Path):
    paths = [tmp_path / "a.wav", tmp_path / "b.ogg"]
    soundfile.write(paths[0], speak("abc"), 16_000)
    soundfile.write(paths[1], np.stack([speak("abc", 44_100)] * 2, axis=1), 44_100)
    found = list(transcribe_files(run, paths, "BB"))
    assert [path for path, _ in found] == paths
    for path, hypothesis in found:
        assert isinstance(hypothesis, Hypothesis)
        assert (hypothesis.id, hypothesis.language) == (str(path), "bb")
        assert set(hypothesis.text) <= set("abcd")


def test_a_bad_file_is_told_in_its_place_and_the_others_are_recognised(run: Run, speak: Callable, tmp_path: Path):
    good = tmp_path / "good.wav"
    soundfile.write(good, speak("abc"), 16_000)
    contents = {
        "there is no audio file": None,
        "is empty": b"",
        "cannot be read as audio": b"no audio at all",
        "announces": good.read_bytes()[: len(good.read_bytes()) // 2],
    }
    waveforms = {"is silent": np.zeros(16_000), "less than 0.1 s": np.ones(500), "more than 30 s": np.ones(16_000 * 31)}
    given = [good]
    for number, content in enumerate(contents.values()):
        given += [tmp_path / f"{number}.wav", good]
        if content is not None:
            given[-2].write_bytes(content)
    for number, waveform in enumerate(waveforms.values(), len(contents)):
        given += [tmp_path / f"{number}.wav", good]
        soundfile.write(given[-2], waveform, 16_000)
    paths, told = zip(*transcribe_files(run, given, "aa"), strict=True)
    assert list(paths) == given
    assert len({hypothesis.text for hypothesis in told[::2] if isinstance(hypothesis, Hypothesis)}) == 1
    for error, path, reason in zip(told[1::2], given[1::2], [*contents, *waveforms], strict=True):
        assert isinstance(error, InputError)
        assert error.problem == f"{path} cannot be transcribed"
        assert reason in error.received


def test_names_that_no_disk_takes_are_told_too(run: Run, tmp_path: Path):
    for name, reason in (("a" * 300, "too long"), ("a\0b", "null byte")):
        ((_, error),) = transcribe_files(run, audio_files([tmp_path / name]), "aa")
        assert isinstance(error, InputError)
        assert reason in error.received


def test_a_name_that_is_not_utf8_is_a_name(run: Run, speak: Callable, tmp_path: Path):
    path = tmp_path / "speech" / os.fsdecode(b"\xff.wav")
    path.parent.mkdir()
    try:
        soundfile.write(os.fsencode(path), speak("abc"), 16_000)
    except soundfile.LibsndfileError:
        pytest.skip("this file system has no such names")
    ((_, found),) = transcribe_files(run, audio_files([path.parent]), "aa")
    assert isinstance(found, Hypothesis)


def test_files_are_read_one_after_another(run: Run, speak: Callable, tmp_path: Path):
    """However many there are, none is held: the next is asked for when the last has been told."""
    soundfile.write(tmp_path / "a.wav", speak("abc"), 16_000)
    asked = []
    told = transcribe_files(run, (asked.append(i) or tmp_path / "a.wav" for i in range(10_000)), "aa")
    next(told)
    next(told)
    assert asked == [0, 1]


def test_folders_and_patterns_are_the_files_they_hold(tmp_path: Path):
    names = [
        "b [1]/2.MP3",
        "b [1]/1.wav",
        "b [1]/.hidden.wav",
        "b [1]/notes.txt",
        "b [1]/deep/3.m4a",
        "1.wav",
        "[1].wav",
    ]
    for name in (*names, "none/notes.txt"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    given = [tmp_path / name for name in ("1.wav", "b [1]", "[1].wav", "*.wav", "none", "*.flac", "1.wav")]
    found = [str(path.relative_to(tmp_path)) for path in audio_files(given)]
    under = ["b [1]/1.wav", "b [1]/2.MP3", "b [1]/deep/3.m4a"]
    assert found == ["1.wav", *under, "[1].wav", "1.wav", "[1].wav", "none", "*.flac", "1.wav"]


def test_a_language_without_an_output_layer_is_named_with_those_there_are(run: Run, tmp_path: Path):
    with pytest.raises(InputError, match="no output layer for the language 'zz'") as caught:
        next(transcribe_files(run, [tmp_path / "a.wav"], "zz"))
    assert caught.value.expected == "one of aa, bb"


def test_labels_are_told_as_words():
    tasks = {
        "emotion": Classes("emotion", "emotion", ["calm", "angry"], "refuse"),
        "age": Regression("age", "age", mean=30.0, deviation=10.0),
        "sounds": FrameMultiLabel("sounds", "sounds", ["voiced"], "refuse"),
    }
    labels = {"emotion": np.array([0.1, 0.4]), "age": np.array([0.5]), "sounds": np.ones((7, 1))}
    assert label_values(tasks, Hypothesis("x", "aa", "abc", -1.0, labels)) == {"emotion": "angry", "age": 35.0}


def test_transcripts_lie_in_their_folder_as_the_files_do_in_theirs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.chdir(tmp_path)
    out = Path("out")
    one = [Path("a/x.y.wav"), tmp_path / "a" / "z.wav", Path("a/../a/z.wav")]
    assert transcript_paths(one, out, "srt") == dict(
        zip(one, [out / "x.y.srt", out / "z.srt", out / "z.srt"], strict=True)
    )
    several = [Path("a/1.wav"), Path("b/c/1.wav"), Path("b/1.wav")]
    assert list(transcript_paths(several, out, "txt").values()) == [out / "a/1.txt", out / "b/c/1.txt", out / "b/1.txt"]
    assert transcript_paths([], out, "txt") == {}
    odd = [Path("a" * 300 + ".wav"), Path("a\0b.wav"), Path("*.wav"), Path("/"), Path()]
    assert len(transcript_paths(odd, out, "txt")) == len(odd)


@pytest.mark.parametrize("names", [("x.wav", "x.mp3"), ("X.wav", "x.mp3"), ("\u00e9.wav", "e\u0301.flac")])
def test_transcripts_of_two_files_never_take_one_place(names: tuple[str, str]):
    with pytest.raises(InputError, match="would replace another") as caught:
        transcript_paths(list(map(Path, names)), Path("out"), "srt")
    assert f"is that of {names[0]}" in caught.value.received


def test_transcripts_that_are_there_are_not_replaced(tmp_path: Path):
    (tmp_path / "x.srt").write_text("fixed by hand")
    with pytest.raises(InputError, match="would replace another") as caught:
        transcript_paths([Path("x.wav")], tmp_path, "srt")
    assert "x.srt, which is there already" in caught.value.received
    assert list(transcript_paths([Path("x.wav")], tmp_path, "vtt").values()) == [tmp_path / "x.vtt"]
