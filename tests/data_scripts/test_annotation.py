"""Folders of ELAN's and Praat's files, beyond what holds for every script."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
from tiny_corpora import SAMPLE_RATE_HZ, write_recording

from data_scripts import elan, praat
from data_scripts.command_line import make_manifests
from speech_mtl.data.audio import read_audio
from speech_mtl.data.manifest import read_manifest
from speech_mtl.datatypes import Utterance
from speech_mtl.errors import InputError
from speech_mtl.screen import Screen

SPANS_S = [0.5, 0.7]


@pytest.fixture
def write_eaf(tmp_path: Path) -> Callable[..., Path]:
    """`write_eaf(tiers, name, media)`: an ELAN file; by tier, (start in ms, end in ms, text) and the participant."""
    pympi = pytest.importorskip("pympi.Elan")

    def write(tiers: dict[str, list], name: str = "a.eaf", media: tuple[str, str] | None = None, **participants: str):
        eaf = pympi.Eaf()
        eaf.remove_tier("default")
        for tier, annotations in tiers.items():
            eaf.add_tier(tier, part=participants.get(tier))
            for annotation in annotations:
                eaf.add_annotation(tier, *annotation)
        if media:
            eaf.add_linked_file(media[0], media[1], "audio/x-wav")
        path = tmp_path / "corpus" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        eaf.to_file(path)
        return path

    return write


@pytest.fixture
def write_grid(tmp_path: Path) -> Callable[..., Path]:
    """`write_grid(tiers, name, form)`: a TextGrid of 1.9 s; by tier, (start in s, end in s, text)."""
    textgrid = pytest.importorskip("praatio.textgrid")

    def write(tiers: dict[str, list], name: str = "a.TextGrid", form: str = "long_textgrid") -> Path:
        grid = textgrid.Textgrid(0, 1.9)
        for tier, entries in tiers.items():
            grid.addTier(textgrid.IntervalTier(tier, entries, 0, 1.9))
        path = tmp_path / "corpus" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        grid.save(str(path), form, includeBlankSpaces=True)
        return path

    return write


@pytest.fixture
def recording(tmp_path: Path) -> list[tuple[float, float]]:
    """`corpus/a.wav`: where its two tones begin and end."""
    return write_recording(tmp_path / "corpus" / "a.wav", SPANS_S)


def made(script: Any, tmp_path: Path, **options: Any) -> list[Utterance]:
    make_manifests(script.CORPUS, tmp_path / "corpus", tmp_path / "data", ["cs"], screen=Screen(quiet=True), **options)
    return list(read_manifest(tmp_path / "data" / "cs" / "train.jsonl"))


def test_annotations_cut_the_recording_at_their_times(tmp_path: Path, write_grid: Callable, recording: list):
    write_grid({"text": [(*recording[0], "ano"), (*recording[1], "ne")]})
    whole, _ = soundfile.read(tmp_path / "corpus" / "a.wav")
    for utterance, (start_s, end_s) in zip(made(praat, tmp_path), recording, strict=True):
        samples, rate = read_audio(utterance.audio, SAMPLE_RATE_HZ), SAMPLE_RATE_HZ
        expected = whole[round(start_s * rate) : round(end_s * rate)]
        np.testing.assert_allclose(samples, expected, atol=1e-4)
        assert np.abs(samples[:200]).max() > 0.1  # it begins with the tone


def test_a_tier_that_is_not_there_is_named_with_those_there_are(tmp_path: Path, write_eaf: Callable, recording: list):
    write_eaf({"words@Ann": [(0, 500, "a")], "gloss": [(0, 500, "b")]})
    with pytest.raises(InputError, match="no tier 'words'") as caught:
        made(elan, tmp_path, tier=["words"])
    assert caught.value.expected == "one of 'words@Ann', 'gloss'"


def test_participants_are_speakers_and_else_what_the_pattern_leaves(
    tmp_path: Path, write_eaf: Callable, recording: list
):
    tiers = {"words@Ann": [(0, 500, "a")], "words@B 2": [(500, 900, "b")], "gloss": [(0, 500, "c")]}
    write_eaf(tiers, **{"words@Ann": "Anna"})
    found = made(elan, tmp_path, tier=["words@*"])
    assert [(utterance.text, utterance.speaker) for utterance in found] == [("a", "Anna"), ("b", "B 2")]


def test_several_tiers_and_patterns(tmp_path: Path, write_grid: Callable, recording: list):
    write_grid({"Ann - words": [(0, 0.5, "a")], "Ben": [(0.2, 0.9, "b")], "phones": [(0, 0.5, "c")]})
    found = made(praat, tmp_path, tier=["* - words", "Ben"])
    assert [(utterance.text, utterance.speaker) for utterance in found] == [("a", "Ann"), ("b", None)]
    assert len({utterance.id for utterance in found}) == len({utterance.audio for utterance in found}) == 2


@pytest.mark.parametrize("encoding", ["utf-8", "utf-16"])
@pytest.mark.parametrize("form", ["long_textgrid", "short_textgrid"])
def test_every_form_of_textgrid_is_read(
    tmp_path: Path, write_grid: Callable, recording: list, form: str, encoding: str
):
    path = write_grid({"text": [(0.25, 0.75, 'říkal "ano"')]}, form=form)
    path.write_text(path.read_text(encoding="utf-8"), encoding=encoding)
    ((utterance),) = made(praat, tmp_path)
    assert (utterance.text, utterance.duration_s) == ('říkal "ano"', 0.5)


def test_parts_of_an_annotation_without_times_are_its_text(tmp_path: Path, write_eaf: Callable, recording: list):
    """Words that divide a sentence symbolically, whose translations refer to them in turn."""
    pympi = pytest.importorskip("pympi.Elan")
    path = write_eaf({"sentence": [(800, 1200, "x"), (100, 600, "y")]})
    eaf = pympi.Eaf(str(path))
    eaf.add_linguistic_type("divided", "Symbolic_Subdivision", timealignable=False)
    eaf.add_linguistic_type("one", "Symbolic_Association", timealignable=False)
    eaf.add_tier("words", "divided", "sentence")
    eaf.add_tier("translation", "one", "words")
    for name, parent, text in (("w1", "a2", "dobrý"), ("w2", "a2", "den"), ("w3", "a1", "ano")):
        eaf.tiers["words"][1][name] = ({"a1": "a3", "a2": "a2"}[parent], text, None, None)
        eaf.tiers["translation"][1][f"t{name}"] = (name, text.upper(), None, None)
        eaf.annotations |= {name: "words", f"t{name}": "translation"}
    own = dict(eaf.tiers["sentence"][0])
    assert list(own) == ["a2", "a3"]
    eaf.to_file(path)
    for tier, change in (("words", str), ("translation", str.upper)):
        tiers = {one.name: one for one in elan.read(path).tiers}
        assert tiers[tier].annotations == [(0.8, 1.2, change("dobrý den")), (0.1, 0.6, change("ano"))]
    assert [one.text for one in next(one for one in elan.read(path).tiers if one.name == "sentence").annotations] == [
        "y",
        "x",
    ]


def test_recordings_are_found_by_the_relative_path_then_by_name_and_never_outside(tmp_path: Path, write_eaf: Callable):
    corpus = tmp_path / "corpus"
    for name in ("sound/real take.wav", "b.wav", "c.flac", "../outside.wav"):
        write_recording(corpus / name, SPANS_S)
    media = {
        "elan/1.eaf": ("file:///gone/b.wav", "../sound/real take.wav"),
        "elan/2.eaf": ("file:///gone/x.wav", "../sound/real%20take.wav"),
        "3.eaf": ("file:///C:/Users/someone/b.wav", "./gone.wav"),
        "c.eaf": None,
    }
    for name, one in media.items():
        write_eaf({"text": [(0, 250 + 50 * len(name), name)]}, name, one)
    found = {utterance.text: utterance for utterance in made(elan, tmp_path)}
    assert found.keys() == media.keys()
    write_eaf({"text": [(0, 500, "x")]}, "bad.eaf", ("file://" + str(tmp_path / "outside.wav"), "../outside.wav"))
    for path in (tmp_path / "data").rglob("*.jsonl"):
        path.unlink()
    with pytest.raises(InputError, match="too many utterances cannot be used") as caught:
        made(elan, tmp_path, allow_skipped=0.0)
    assert "1 of 5 unusable (1 audio missing)" in caught.value.received.replace(",", "")


def test_the_time_at_which_a_recording_begins_counts(tmp_path: Path, write_eaf: Callable, recording: list):
    path = write_eaf({"text": [(0, 500, "x")]}, "b.eaf", ("file:///gone/a.wav", "./a.wav"))
    content = path.read_text(encoding="utf-8")
    path.write_text(content.replace("<MEDIA_DESCRIPTOR ", '<MEDIA_DESCRIPTOR TIME_ORIGIN="250" '), encoding="utf-8")
    ((utterance),) = made(elan, tmp_path)
    assert utterance.audio.name == "a.wav#start_s=0.25&end_s=0.75"


def test_a_recording_whose_ending_is_in_capitals(tmp_path: Path, write_grid: Callable, recording: list):
    (tmp_path / "corpus" / "a.wav").rename(tmp_path / "corpus" / "a.WAV")
    write_grid({"text": [(0, 0.5, "x")]})
    assert len(made(praat, tmp_path)) == 1


def test_another_folder_may_hold_recordings_and_linked_files(tmp_path: Path, write_eaf: Callable):
    write_recording(tmp_path / "sound" / "b.wav", SPANS_S)
    write_eaf({"text": [(0, 500, "named")]}, "a.eaf", ("file:///gone/b.wav", "../sound/b.wav"))
    path = write_eaf({"text": [(0, 500, "linked")]}, "b.eaf")
    path.rename(tmp_path / "sound" / "b.eaf")
    (tmp_path / "corpus" / "more").symlink_to(tmp_path / "sound")
    found = made(elan, tmp_path, audio_in=[tmp_path / "sound"])
    assert {one.text for one in found} == {"named", "linked"}


def test_a_link_to_a_recording_elsewhere_is_named_as_such(tmp_path: Path, write_grid: Callable, recording: list):
    (tmp_path / "corpus" / "a.wav").rename(tmp_path / "a.wav")
    (tmp_path / "corpus" / "a.wav").symlink_to(tmp_path / "a.wav")
    write_grid({"text": [(0, 0.5, "x")]})
    with pytest.raises(InputError, match="too many") as caught:
        made(praat, tmp_path)
    assert "1 audio outside the corpus" in caught.value.received


def test_two_tiers_of_one_name_are_refused(tmp_path: Path, write_grid: Callable, recording: list):
    path = write_grid({"text": [(0, 0.5, "x")], "other": [(0.5, 1, "y")]})
    path.write_text(path.read_text(encoding="utf-8").replace("other", "text"), encoding="utf-8")
    with pytest.raises(InputError, match=r"a\.TextGrid cannot be read"):
        made(praat, tmp_path)


def test_what_cannot_be_cut_is_skipped_and_counted(tmp_path: Path, write_eaf: Callable, recording: list):
    length_ms = round(1000 * soundfile.info(tmp_path / "corpus" / "a.wav").duration)
    write_eaf({"text": [(0, 500, "a"), (500, length_ms + 40, "b"), (600, length_ms + 60, "c"), (9000, 9500, "d")]})
    path = write_eaf({"text": [(0, 500, "e"), (600, 700, "")]}, "b.eaf", ("file:///a.wav", "./a.wav"))
    path.write_text(path.read_text(encoding="utf-8").replace(' TIME_VALUE="500"', ""), encoding="utf-8")
    write_eaf({"other": [(0, 500, "f")]}, "c.eaf")
    write_eaf({"text": [(0, 500, "g")]}, "d.eaf")
    (summary,) = make_manifests(
        elan.CORPUS, tmp_path / "corpus", tmp_path / "data", ["cs"], allow_skipped=1.0, screen=Screen(quiet=True)
    )
    assert summary.num_utterances == 2
    assert summary.skipped == {"audio outside its recording": 2, "without times": 1, "no tier": 1, "audio missing": 1}


def test_folders_tell_the_split_of_all_files_or_of_none(tmp_path: Path, write_grid: Callable):
    for name in ("train/a", "dev/b", "misc/c"):
        write_recording(tmp_path / "corpus" / f"{name}.wav", SPANS_S)
        write_grid({"text": [(0, 0.5, name)]}, f"{name}.TextGrid")
    summaries = make_manifests(
        praat.CORPUS, tmp_path / "corpus", tmp_path / "data", ["cs"], allow_skipped=1.0, screen=Screen(quiet=True)
    )
    assert [(one.split, one.num_utterances, one.skipped) for one in summaries] == [
        ("train", 1, {"no split": 1}),
        ("dev", 1, {}),
    ]


@pytest.mark.parametrize("script", [elan, praat])
@pytest.mark.parametrize("content", [b"", b"no such format", b"\xff\xfe\x00", b"<ANNOTATION_DOCUMENT/>"])
def test_damaged_files_are_refused_by_name(tmp_path: Path, recording: list, script: Any, content: bytes):
    pytest.importorskip({elan: "pympi", praat: "praatio"}[script])
    path = tmp_path / "corpus" / f"a{'.eaf' if script is elan else '.TextGrid'}"
    path.write_bytes(content)
    with pytest.raises(InputError, match="cannot be read") as caught:
        made(script, tmp_path)
    assert str(path) in caught.value.problem


def test_a_folder_without_annotation_files(tmp_path: Path, recording: list):
    with pytest.raises(InputError, match="no annotation files"):
        made(praat, tmp_path)
    assert not (tmp_path / "data").exists()
