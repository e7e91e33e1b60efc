import os
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import soundfile
from made_up_targets import model_of

from speech_mtl.data.segments import PAD_S
from speech_mtl.data.tokenizer import CharacterTokenizer
from speech_mtl.datatypes import Hypothesis
from speech_mtl.decoding.words import words
from speech_mtl.errors import InputError
from speech_mtl.run.checkpoint import Checkpoints
from speech_mtl.run.folder import Run
from speech_mtl.run.references import load_references, recognize
from speech_mtl.run.transcribe import Transcriber, audio_files, label_values, transcript_paths
from speech_mtl.settings.recipe import Recipe
from speech_mtl.targets.classes import Classes
from speech_mtl.targets.frame_multi_label import FrameMultiLabel
from speech_mtl.targets.regression import Regression

PAD = round(PAD_S * 16_000)


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
    transcriber = Transcriber(run.path)
    for path in paths:
        (hypothesis,) = transcriber.transcribe(path, "BB")
        assert (hypothesis.id, hypothesis.language) == (str(path), "bb")
        assert set(hypothesis.text) <= set("abcd")


def test_a_short_recording_is_recognised_as_evaluation_does(trained: Run):
    """As one utterance, whatever pauses it has: the very hypotheses of the test set."""
    transcriber, language = Transcriber(trained.path), "aa"
    references = load_references(trained.recipe(), language, "test", transcriber.recognizer)
    _, evaluated = recognize(transcriber.recognizer, language, references, trained.recipe().data)
    for utterance, expected in zip(references.split.utterances(), evaluated, strict=True):
        (found,) = transcriber.transcribe(utterance.audio, language, name=utterance.id)
        assert found.text
        assert replace(found, score=0, tokens=()) == replace(expected, score=0, tokens=())
        np.testing.assert_allclose([t[1:] for t in found.tokens], [t[1:] for t in expected.tokens], atol=2e-3)


@pytest.mark.usefixtures("loudness")
def test_a_long_recording_is_its_utterances_one_after_another(trained: Run, speak: Callable, tmp_path: Path):
    texts = ["abcd", "dcba", "bacd", "cadb"] * 4
    transcriber, pause = Transcriber(trained.path), 1e-3 * np.random.default_rng(0).standard_normal(24_000)
    spoken = [np.concatenate([pause[-PAD:], speak(text), pause[:PAD]]) for text in texts]
    single = [transcriber.transcribe(waveform, "aa")[0] for waveform in spoken]
    path, done = tmp_path / "long.flac", []
    parts = [part for text in texts for part in (pause, speak(text))]
    soundfile.write(path, np.concatenate([*parts, pause]), 16_000)
    found = transcriber.transcribe(path, "aa", progress=done.append)
    assert sum(done) == pytest.approx(soundfile.info(path).duration)
    assert [one.text for one in found] == [one.text for one in single]
    assert {one.id for one in found} == {str(path)}
    for one in found:
        (word,) = words(one)
        assert one.start_s <= word.start_s <= one.tokens[0].start_s
        assert one.tokens[-1].end_s <= word.end_s <= one.end_s
    start_s = 1.5 - PAD_S
    for one, alone in zip(found, single, strict=True):
        own, theirs = (np.array([token[1:3] for token in each.tokens]) for each in (one, alone))
        np.testing.assert_allclose(own, theirs + start_s, atol=0.09)
        start_s += 1.5 + len(speak("abcd")) / 16_000


@pytest.mark.usefixtures("loudness", "untraced")
def test_of_a_long_recording_no_more_is_held_than_is_recognised_at_a_time(run: Run, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("speech_mtl.run.recordings.GROUP_S", 10.0)
    read, held, blocks = 0, [], np.zeros((400, 16_000), "float32")
    blocks[::2] = np.random.default_rng(0).uniform(-0.5, 0.5, (200, 16_000))
    transcriber = Transcriber(run.path)

    def counted(*_):
        nonlocal read
        for block in blocks:
            read += len(block) / 16_000
            yield block

    def recognised(group, language, name):
        nonlocal read
        held.append(read)
        read = 0
        return []

    monkeypatch.setattr("speech_mtl.run.recordings._blocks", counted)
    monkeypatch.setattr(transcriber, "_recognized", recognised)
    assert transcriber.transcribe(Path("long.wav"), "aa") == []
    assert len(held) > 20
    assert max(held[1:]) < 20


def test_what_is_wrong_with_a_recording_is_told(run: Run, speak: Callable, tmp_path: Path):
    good, path, transcriber = tmp_path / "good.wav", tmp_path / "bad.wav", Transcriber(run.path)
    soundfile.write(good, speak("abc"), 16_000)
    contents = {
        "there is no audio file": None,
        "is empty": b"",
        "cannot be read as audio": b"no audio at all",
        "announces": good.read_bytes()[: len(good.read_bytes()) // 2],
    }
    for reason, content in contents.items():
        if content is not None:
            path.write_bytes(content)
        with pytest.raises(InputError, match="cannot be transcribed") as caught:
            transcriber.transcribe(path, "aa")
        assert reason in caught.value.received
    soundfile.write(path, np.ones(500), 16_000)
    with pytest.raises(InputError, match="cannot be transcribed") as caught:
        transcriber.transcribe(path, "aa")
    assert "less than 0.1 s" in caught.value.received
    assert transcriber.transcribe(good, "aa")[0].id == str(good)


def test_silence_has_no_hypothesis(run: Run, tmp_path: Path):
    soundfile.write(tmp_path / "silent.wav", np.zeros(16_000), 16_000)
    assert Transcriber(run.path).transcribe(tmp_path / "silent.wav", "aa") == []


def test_a_waveform_is_as_good_as_a_file(trained: Run, speak: Callable, tmp_path: Path):
    transcriber, waveform = Transcriber(trained.path), speak("abcd", 44_100)
    soundfile.write(tmp_path / "a.wav", waveform, 44_100, subtype="FLOAT")
    (one,), (other,) = (
        transcriber.transcribe(tmp_path / "a.wav", "aa", name="audio"),
        transcriber.transcribe(waveform, "aa", sample_rate_hz=44_100),
    )
    assert one == other
    assert transcriber.transcribe(speak("abcd").astype("float64"), "aa")[0].text == one.text


@pytest.mark.parametrize(
    ("waveform", "reason"),
    [
        (np.ones((16_000, 2), "float32"), r"float32 of shape \(16000, 2\)"),
        (np.ones(16_000, "int16"), "int16"),
        (np.full(16_000, 3e4, "float32"), "1 is full scale"),
        (np.full(16_000, np.nan, "float32"), "not numbers"),
        (np.zeros(0, "float32"), "less than"),
    ],
)
def test_a_waveform_that_is_none_is_refused(run: Run, waveform: np.ndarray, reason: str):
    with pytest.raises(InputError, match=reason):
        Transcriber(run.path).transcribe(waveform, "aa")


def test_a_sample_rate_that_none_has_is_refused(run: Run, speak: Callable):
    with pytest.raises(InputError, match="a sample rate of 16 Hz"):
        Transcriber(run.path).transcribe(speak("abc"), "aa", sample_rate_hz=16)


def test_names_that_no_disk_takes_are_told_too(run: Run, tmp_path: Path):
    transcriber = Transcriber(run.path)
    for name, reason in (("a" * 300, "too long"), ("a\0b", "null byte")):
        (path,) = audio_files([tmp_path / name])
        with pytest.raises(InputError, match=reason):
            transcriber.transcribe(path, "aa")


def test_a_name_that_is_not_utf8_is_a_name(run: Run, speak: Callable, tmp_path: Path):
    path = tmp_path / "speech" / os.fsdecode(b"\xff.wav")
    path.parent.mkdir()
    try:
        soundfile.write(os.fsencode(path), speak("abc"), 16_000)
    except soundfile.LibsndfileError:
        pytest.skip("this file system has no such names")
    (path,) = audio_files([path.parent])
    assert len(Transcriber(run.path).transcribe(path, "aa")) == 1


def test_a_language_that_is_not_given_is_detected_among_those_that_are(
    run: Run, speak: Callable, monkeypatch: pytest.MonkeyPatch
):
    transcriber, asked = Transcriber(run.path), []

    def detect(waveforms, languages):
        asked.append((len(waveforms), tuple(languages)))
        return {"bb": 0.9, "aa": 0.1}

    monkeypatch.setattr(transcriber.detector, "calibrate", lambda: None)
    monkeypatch.setattr(transcriber.detector, "detect", detect)
    assert transcriber.transcribe(speak("abc"))[0].language == "bb"
    assert transcriber.transcribe(speak("abc"), languages=["AA", "bb"])[0].language == "bb"
    assert transcriber.transcribe(speak("abc"), languages=["aa"])[0].language == "aa"
    assert asked == [(1, ("aa", "bb"))] * 2


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
        Transcriber(run.path).transcribe(tmp_path / "a.wav", "zz")
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
    parts = [Path("a.wav#start_s=5&end_s=7.5"), Path("a.wav#start_s=5&end_s=7.25"), Path("a.wav#channel=1")]
    assert list(transcript_paths(parts, out, "ctm").values()) == [out / f"{part}.ctm" for part in parts]
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
