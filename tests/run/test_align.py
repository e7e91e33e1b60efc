import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import soundfile

from speech_mtl.data.manifest import read_manifest, write_manifest
from speech_mtl.data.pinyin import PinyinTokenizer
from speech_mtl.data.syllables import SyllablePartsTokenizer
from speech_mtl.data.tokenizer import BLANK_TOKEN, CharacterTokenizer
from speech_mtl.datatypes import Utterance
from speech_mtl.decoding.words import words
from speech_mtl.errors import InputError
from speech_mtl.run.align import POOR_FIT, Aligned, Spoken, Stretch, _as_written, _joined, _pieces, align_files, spoken
from speech_mtl.run.folder import Run


def aligned(run: Run, pairs: list[Spoken], language: str = "bb") -> list[Aligned]:
    told = [found for _, found in align_files(run, pairs, language)]
    assert all(isinstance(one, Aligned) for one in told), told
    return [one for one in told if isinstance(one, Aligned)]


@pytest.fixture
def recording(trained: Run) -> Spoken:
    """The first utterance in `bb` that is long enough."""
    recipe = trained.recipe()
    utterance = next(one for one in read_manifest(recipe.manifest("bb", "test")) if len(one.text or "") > 3)
    return Spoken(utterance.audio, utterance.text or "")


def test_words_lie_where_they_are_spoken(trained: Run, recording: Spoken):
    (found,) = aligned(trained, [recording])
    assert found.hypotheses[0].text == recording.text
    assert found.hypotheses[0].id == str(recording.audio)
    assert found.hypotheses[0].end_s == pytest.approx(soundfile.info(recording.audio).duration)
    assert "".join(token.text for token in found.hypotheses[0].tokens) == recording.text
    for place, token in enumerate(found.hypotheses[0].tokens):  # a pause of 0.06 s, then tones of 0.16 s and pauses
        middle_s = (token.start_s + token.end_s) / 2
        assert middle_s == pytest.approx(0.06 + 0.22 * place + 0.08, abs=0.13)
    (word,) = words(found.hypotheses[0])
    assert 0 <= word.start_s < word.end_s <= found.hypotheses[0].end_s


def test_a_text_that_is_not_spoken_fits_worse(trained: Run, recording: Spoken):
    other = str(recording.text).translate(str.maketrans("abcd", "badc"))
    right, wrong = aligned(trained, [recording, recording._replace(text=other)])
    assert 0 <= right.misfit < wrong.misfit
    assert wrong.misfit > POOR_FIT


@pytest.fixture
def long(
    speak: Callable, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, loudness: None
) -> tuple[Path, list[str], list[float]]:
    """A recording beyond `data.max_duration_s`: its file, and texts with the times at which they begin.

    They have no spaces, which the run has not learnt.
    """
    monkeypatch.setattr(CharacterTokenizer, "spaced", False)
    texts, pause = ["abcd", "dcba", "bacd", "cadb"] * 4, 1e-3 * np.random.default_rng(0).standard_normal(24_000)
    parts, starts_s, at = [], [], 0
    for text in texts:
        parts += [pause, speak(text)]
        starts_s.append((at + len(pause)) / 16_000)
        at += len(pause) + len(parts[-1])
    path = tmp_path / "long.wav"
    soundfile.write(path, np.concatenate([*parts, pause]), 16_000)
    return path, texts, starts_s


def test_a_long_recording_is_aligned_as_a_whole_with_a_hypothesis_for_each_segment(
    trained: Run, long: tuple[Path, list[str], list[float]], tmp_path: Path
):
    path, texts, starts_s = long
    (found,) = aligned(trained, [Spoken(path, "".join(texts))], "aa")
    assert [one.text for one in found.hypotheses] == texts
    waveform, pairs = soundfile.read(path)[0], []
    for one in found.hypotheses:
        pairs.append(Spoken(tmp_path / f"{one.start_s}.wav", one.text))
        own = waveform[round(one.start_s * 16_000) : round(one.end_s * 16_000)]
        soundfile.write(pairs[-1].audio, own, 16_000)
    singles = aligned(trained, pairs, "aa")
    for one, start_s, single in zip(found.hypotheses, starts_s, singles, strict=True):
        letters = words(one)
        assert [token.text for token in one.tokens] == list(one.text) == [letter.text for letter in letters]
        assert one.start_s <= letters[0].start_s < letters[-1].end_s <= one.end_s
        assert one.start_s == pytest.approx(start_s - 0.25, abs=0.1)
        own, alone = (np.array([token[1:3] for token in each.tokens]) for each in (one, single.hypotheses[0]))
        np.testing.assert_allclose(own, alone + one.start_s, atol=0.09)


def test_doubtful_stretches_that_are_near_are_one():
    given = [Stretch(0, 4), Stretch(8, 9), Stretch(14, 20)]
    assert _joined(given) == [Stretch(0, 9), Stretch(14, 20)]


def test_pieces_of_a_text_know_their_first_token():
    german = CharacterTokenizer("de", (BLANK_TOKEN,))
    assert _pieces("Er  sagte:\n\u201eNa!\u201c", german) == [(0, "Er"), (3, "sagte:"), (9, "\u201eNa!\u201c")]
    assert _pieces("Die Godula-Schichten", german) == [(0, "Die"), (4, "Godula-Schichten")]
    assert _pieces("\u4f60\u597d\u3002", CharacterTokenizer("zh-CN", (BLANK_TOKEN,))) == [(0, "\u4f60"), (1, "\u597d")]
    parts = SyllablePartsTokenizer("am", (BLANK_TOKEN,))
    after_a_mark = [(0, "\u135f"), (2, "\u120b\u120d"), (6, "\u1208")]
    assert _pieces("\u135f \u120b\u120d \u1208", parts) == after_a_mark, "a mark is no letter"
    marks = "\u0e01\u0e31\u0e19"  # the second letter is a mark upon the first
    assert _pieces(marks, CharacterTokenizer("th", (BLANK_TOKEN,))) == [(i, marks[i]) for i in range(3)]


def test_what_cannot_be_aligned_is_told_in_its_place(trained: Run, recording: Spoken, tmp_path: Path):
    empty = tmp_path / "empty.txt"
    empty.write_text(" \n", encoding="utf-8")
    soundfile.write(tmp_path / "silent.wav", np.zeros(16_000), 16_000)
    (tmp_path / "not_utf8.txt").write_bytes(b"\xff\xfeab")
    bad = {
        "Unknown characters in a text of bb: 'z' (U+007A": replace_text(recording, "abz"),
        "too long for the audio": replace_text(recording, "abcd" * 100),
        "There is no text to align": replace_text(recording, empty),
        "There is no file": replace_text(recording, tmp_path / "missing.txt"),
        "not UTF-8": replace_text(recording, tmp_path / "not_utf8.txt"),
        "The audio cannot be used": Spoken(tmp_path / "silent.wav", "ab"),
    }
    given = [pair for one in bad.values() for pair in (one, recording)]
    told = list(align_files(trained, given, "bb"))
    assert [path for path, _ in told] == [pair.audio for pair in given]
    assert all(isinstance(found, Aligned) for _, found in told[1::2])
    for problem, (_, error) in zip(bad, told[::2], strict=True):
        assert isinstance(error, InputError)
        assert problem in error.problem


def replace_text(pair: Spoken, text: str | Path) -> Spoken:
    return pair._replace(text=text)


def test_a_language_without_an_output_layer_is_named_with_those_there_are(trained: Run, recording: Spoken):
    with pytest.raises(InputError, match="no output layer for the language 'zz'"):
        next(align_files(trained, [recording], "zz"))


def test_texts_follow_their_audio_or_lie_beside_it_or_in_a_manifest(tmp_path: Path):
    folder = tmp_path / "folder"
    folder.mkdir()
    for name in ("b.wav", "a.flac", "a.txt"):
        (folder / name).touch()
    manifest = tmp_path / "data" / "bb" / "test.jsonl"
    utterance = Utterance("x", folder / "b.wav", "bb", "abc", 1.0)
    write_manifest(manifest, [utterance, replace(utterance, id="y", text=None)])
    given = [Path("x.wav"), Path("said.txt"), Path("y.mp3"), folder, manifest, Path("z.wav"), Path("z.TXT")]
    found = spoken(given)
    assert [(pair.audio.name, pair.text) for pair in found] == [
        ("x.wav", Path("said.txt")),
        ("y.mp3", Path("y.txt")),
        ("a.flac", folder / "a.txt"),
        ("b.wav", folder / "b.txt"),
        ("b.wav", "abc"),
        ("b.wav", ""),
        ("z.wav", Path("z.TXT")),
    ]


@pytest.mark.parametrize("given", [["a.txt"], ["a.txt", "a.wav"], ["a.wav", "a.txt", "b.txt"], [".", "a.txt"]])
def test_a_text_without_audio_before_it_is_refused(given: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    (tmp_path / "a.wav").touch()
    monkeypatch.chdir(tmp_path)
    with pytest.raises(InputError, match="does not follow its audio"):
        spoken(list(map(Path, given)))


@pytest.mark.parametrize("folder", [".", "empty"])
def test_a_folder_without_audio_is_refused(folder: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    (tmp_path / "empty").mkdir()
    monkeypatch.chdir(tmp_path)
    with pytest.raises(InputError, match=rf"^{re.escape(folder)} holds no audio files"):
        spoken([Path(folder)])


def test_texts_stay_as_they_are_written_where_normalisation_changes_case_and_punctuation_alone():
    german, english = CharacterTokenizer("de", (BLANK_TOKEN,)), CharacterTokenizer("en", (BLANK_TOKEN,))
    assert _as_written("Er  sagte:\n\u201eNa \u2013 ja!\u201c", german) == "Er sagte: \u201eNa ja!\u201c"
    assert _as_written("Die Godula-Schichten", german) == "Die Godula-Schichten"
    assert _as_written("5\u00b2 o'clock", english) == english.normalize("5\u00b2 o'clock") == "52 o'clock"
    assert _as_written("\u4f60\u597d", PinyinTokenizer("zh-CN", (BLANK_TOKEN,))) == "ni3 hao3"
    assert _as_written("\u4f60\u597d\u3002", CharacterTokenizer("zh-CN", (BLANK_TOKEN,))) == "\u4f60\u597d"
