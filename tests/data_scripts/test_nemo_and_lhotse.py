"""Manifests of NeMo and lhotse: what is read as it is meant, and what is left out and counted."""

import gzip
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
from tiny_corpora import lhotse, nemo, voxpopuli

from data_scripts.command_line import make_manifests
from data_scripts.lhotse import CORPUS as LHOTSE
from data_scripts.nemo import CORPUS as NEMO
from data_scripts.voxpopuli import CORPUS as VOXPOPULI
from speech_mtl.data.audio import read_audio
from speech_mtl.data.manifest import manifest_path, read_manifest
from speech_mtl.datatypes import Utterance
from speech_mtl.errors import InputError


@pytest.fixture
def corpus(tmp_path: Path) -> Path:
    """A folder with a stereo recording of 4 s whose channels differ."""
    folder = tmp_path / "corpus"
    folder.mkdir()
    sound = np.stack([np.full(64_000, 0.1), np.full(64_000, 0.5)], axis=1)
    sound[32_000:] *= -1
    soundfile.write(folder / "a.wav", sound, 16_000)
    return folder


def write(path: Path, lines: list[dict[str, Any]]) -> None:
    text = "".join(json.dumps(line) + "\n" for line in lines)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(gzip.compress(text.encode()) if path.suffix == ".gz" else text.encode())


def made(kind: Any, corpus: Path, language: str = "de") -> tuple[dict[str, Utterance], dict[str, int]]:
    """The training utterances by text, and what was skipped."""
    data_dir = corpus.parent / "data"
    summary, *_ = make_manifests(kind, corpus, data_dir, [language], allow_skipped=0.99, overwrite=True)
    utterances = read_manifest(manifest_path(data_dir, language, "train"))
    return {str(one.text): one for one in utterances}, summary.skipped


def test_nemo_offsets_are_stretches_and_paths_count_from_the_manifest(corpus: Path):
    line = {"audio_filepath": "../a.wav", "duration": 1.0}
    lines = [
        {**line, "offset": 0.0, "text": "first", "speaker": 7},
        {**line, "offset": 2.5, "text": "second", "lang": "de"},
        {"audio_filepath": "a.wav", "duration": 4.0, "text": "whole"},
        {"audio_filepath": str(corpus / "a.wav"), "text": "absolute"},
    ]
    write(corpus / "own" / "train_manifest.json", lines[:1] + lines[2:])
    found, skipped = made(NEMO, corpus)
    assert not skipped
    assert {text: one.duration_s for text, one in found.items()} == {"first": 1, "whole": 4, "absolute": 4}
    assert found["first"].speaker == "7"
    write(corpus / "own" / "train_manifest.json", lines)
    found, skipped = made(NEMO, corpus)  # some name their language
    assert list(found) == ["second"]
    assert read_audio(found["second"].audio, 16_000).max() < 0


def test_nemo_lines_that_cannot_be_used(corpus: Path):
    write(
        corpus / "manifest.json",
        [
            {"audio_filepath": "a.wav", "text": "good"},
            {"audio_filepath": "a.wav", "text": "x", "offset": 1.0},
            {"audio_filepath": "a.wav", "text": "x", "offset": 3.5, "duration": 1.0},
            {"audio_filepath": "a.wav", "text": "x", "offset": -1.0, "duration": 1.0},
            {"audio_filepath": "a.wav", "text": "x", "duration": "long"},
            {"audio_filepath": "gone.wav", "text": "x"},
            {"audio_filepath": "b.wav", "text": "x", "shard_id": 3},
        ],
    )
    found, skipped = made(NEMO, corpus)
    assert list(found) == ["good"]
    assert skipped == {
        "offset without duration": 1,
        "audio outside its recording": 2,
        "not a line of its kind": 1,
        "audio missing": 1,
        "shard missing": 1,
    }


def test_nemo_repeats_a_member_of_a_tar_for_its_stretches(tmp_path: Path):
    corpus = nemo(tmp_path / "corpus").path
    own = {"shard_id": 0, "duration": 0.5, "text": "later", "audio_filepath": "test-sub1.wav", "offset": 1.0}
    gone = {**own, "audio_filepath": "none.wav"}
    with (corpus / "test_manifest.json").open("a", encoding="utf-8") as file:
        file.write(json.dumps(own) + "\n" + json.dumps(gone) + "\n")
    summaries = make_manifests(NEMO, corpus, tmp_path / "data", ["de"])
    assert summaries[2].skipped == {"not in its shard": 1}
    *_, last = read_manifest(manifest_path(tmp_path / "data", "de", "test"))
    whole = next(iter(read_manifest(manifest_path(tmp_path / "data", "de", "test"))))
    np.testing.assert_array_equal(read_audio(last.audio, 16_000), read_audio(whole.audio, 16_000)[16_000:24_000])


def test_nemo_translations_are_no_transcripts(corpus: Path):
    line = {"audio_filepath": "a.wav", "duration": 4.0, "source_lang": "en"}
    lines = [{**line, "text": "hello", "target_lang": "de"}, {**line, "text": "good", "target_lang": "EN"}]
    write(corpus / "train.json", lines)
    assert [*made(NEMO, corpus, "en")[0]] == ["good"]
    write(corpus / "train.json", [lines[0], {**lines[1], "target_lang": "de", "source_lang": "de"}])
    found, skipped = made(NEMO, corpus)
    assert (list(found), skipped) == (["good"], {"a translation": 1})


def test_nemo_a_line_without_a_name_of_audio(corpus: Path, monkeypatch: pytest.MonkeyPatch):
    line = {"audio_filepath": "", "text": "x", "offset": 0.0, "duration": 1.0}
    write(corpus / "train.json", [{"audio_filepath": "a.wav", "text": "good"}, line, {**line, "audio_filepath": "/"}])
    monkeypatch.chdir(corpus)
    (summary,) = make_manifests(NEMO, ".", corpus.parent / "data", ["de"], allow_skipped=0.99)
    assert summary.skipped == {"no audio file": 2}


def test_nemo_copies_of_the_lines_of_each_tar_are_left_out(tmp_path: Path):
    corpus = nemo(tmp_path / "corpus").path
    lines = [json.loads(line) for line in (corpus / "test_manifest.json").read_text(encoding="utf-8").splitlines()]
    for line in lines:
        write(corpus / "sharded_manifests" / f"test_manifest_{line['shard_id']}.json", [line])
    assert [one.num_utterances for one in make_manifests(NEMO, corpus, tmp_path / "one", ["de"])] == [3, 1, 2]
    (corpus / "more").mkdir()
    for path in sorted(corpus.glob("audio_*.tar")):
        path.rename(corpus / "more" / path.name)
    (corpus / "sharded_manifests").rename(corpus / "more" / "sharded_manifests")
    (corpus / "test_manifest.json").unlink()
    assert [one.num_utterances for one in make_manifests(NEMO, corpus, tmp_path / "two", ["de"])] == [3, 1, 2]


def test_nemo_a_member_of_another_ending_than_its_line(tmp_path: Path):
    corpus = nemo(tmp_path / "corpus").path
    manifest = corpus / "test_manifest.json"
    manifest.write_text(manifest.read_text(encoding="utf-8").replace("test.wav", "test.flac"), encoding="utf-8")
    assert make_manifests(NEMO, corpus, tmp_path / "data", ["de"])[2].num_utterances == 2


@pytest.mark.parametrize("name", ["an4.{}.json", "{}/v1.0.jsonl", "an4-v1.{}.jsonl.gz"])
def test_all_of_a_name_tells_the_split(name: str, corpus: Path):
    for split in ("train", "test"):
        write(corpus / name.format(split), [{"audio_filepath": str(corpus / "a.wav"), "text": split}])
    assert [*made(NEMO, corpus)[0]] == ["train"]
    assert manifest_path(corpus.parent / "data", "de", "test").exists()


def test_hidden_files_and_others_of_like_names_are_left_out_and_links_followed(corpus: Path, tmp_path: Path):
    line = {"audio_filepath": str(corpus / "a.wav"), "text": "x"}
    write(corpus / "train.json", [line])
    for name in (".ipynb_checkpoints/train.json", "__MACOSX/train.json", "train.json.bak", "train.json~"):
        write(corpus / name, [{**line, "text": "old"}])
    write(tmp_path / "elsewhere" / "train.json", [{**line, "audio_filepath": "b.wav", "text": "linked"}])
    soundfile.write(tmp_path / "elsewhere" / "b.wav", np.full(8000, 0.1), 16_000)
    (corpus / "more").symlink_to(tmp_path / "elsewhere")
    (tmp_path / "elsewhere" / "back").symlink_to(corpus)
    found, skipped = made(NEMO, corpus)
    assert (list(found), skipped) == (["x"], {"audio outside the corpus": 1})
    data_dir = tmp_path / "linked"
    (summary,) = make_manifests(NEMO, corpus, data_dir, ["de"], audio_in=[tmp_path / "elsewhere"])
    assert (summary.num_utterances, summary.skipped) == (2, {})


def recording(**changes: Any) -> dict[str, Any]:
    source = {"type": "file", "channels": [0, 1], "source": "a.wav"}
    return {"id": "a", "sources": [source], "sampling_rate": 16_000, "num_samples": 64_000, "duration": 4.0, **changes}


def supervision(text: str, start: float, duration: float, **others: Any) -> dict[str, Any]:
    own = {"id": text, "recording_id": "a", "start": start, "duration": duration, "channel": 0, "text": text}
    return {**own, **others}


def test_lhotse_channels_and_stretches(corpus: Path):
    supervisions = [
        supervision("left", 0.0, 1.0, gender="Female", speaker="ann"),
        supervision("right", 1.5, 1.0, channel=1),  # 2.5 s in the recording
        supervision("both", 0.5, 0.5, channel=[0, 1]),
    ]
    cut = {"id": "c", "start": 1.0, "duration": 3.0, "channel": 0, "type": "MultiCut", "recording": recording()}
    write(corpus / "x_cuts_train-clean.jsonl.gz", [{**cut, "supervisions": supervisions}])
    found, skipped = made(LHOTSE, corpus)
    assert not skipped
    levels = {text: float(np.median(read_audio(one.audio, 16_000))) for text, one in found.items()}
    assert levels == pytest.approx({"left": 0.1, "right": -0.5, "both": 0.3}, abs=1e-3)
    assert (found["left"].labels, found["left"].speaker) == ({"gender": "f"}, "ann")


def test_lhotse_recordings_and_supervisions(corpus: Path):
    mono = recording(sources=[{"type": "file", "channels": [1], "source": "a.wav"}])
    write(corpus / "x_recordings_train.jsonl.gz", [mono])
    one = supervision("whole", 0.0, 4.0, channel=1, language="German")
    other = supervision("other", 0.0, 4.0, channel=1, language="en")
    write(corpus / "x_supervisions_train.jsonl.gz", [one, other, supervision("x", 0.0, 1.0, recording_id="b")])
    found, skipped = made(LHOTSE, corpus)
    assert list(found) == ["whole"]
    assert found["whole"].audio.samefile(corpus / "a.wav")
    assert skipped == {"without recording": 1}


def of_file(name: str) -> dict[str, Any]:
    return recording(sources=[{"type": "file", "channels": [0], "source": name}])


def test_lhotse_recordings_of_one_id_are_those_of_the_split(corpus: Path):
    for split in ("dev", "train"):
        soundfile.write(corpus / f"{split}.wav", np.full(64_000, 0.1), 16_000)
        write(corpus / f"x_recordings_{split}.jsonl", [of_file(f"{split}.wav")])
        write(corpus / f"x_supervisions_{split}.jsonl", [supervision(split, 0.0, 4.0)])
    write(corpus / "x_supervisions_test.jsonl", [supervision("test", 0.0, 4.0)])
    with pytest.raises(InputError, match="too many utterances") as caught:
        made(LHOTSE, corpus)
    assert "1 without recording" in caught.value.received  # that of another split is another one
    (corpus / "x_supervisions_test.jsonl").unlink()
    assert made(LHOTSE, corpus)[0]["train"].audio.name == "train.wav"
    (dev,) = read_manifest(manifest_path(corpus.parent / "data", "de", "dev"))
    assert dev.audio.name == "dev.wav"


def test_lhotse_several_recordings_of_one_id_and_split(corpus: Path):
    soundfile.write(corpus / "b.wav", np.full(64_000, 0.1), 16_000)
    write(corpus / "recordings.jsonl", [of_file("a.wav"), of_file("b.wav"), {**of_file("b.wav"), "id": "b"}])
    write(corpus / "more_recordings.jsonl", [{**of_file("b.wav"), "id": "b"}])
    write(corpus / "supervisions.jsonl", [supervision("x", 0.0, 4.0), supervision("y", 0.0, 4.0, recording_id="b")])
    found, skipped = made(LHOTSE, corpus)
    assert (list(found), skipped) == (["y"], {"more than one recording": 1})


def test_lhotse_a_bad_line_of_recordings_counts_once(corpus: Path):
    bad = {"id": "b", "sources": [], "sampling_rate": 1}
    write(corpus / "recordings.jsonl", [of_file("a.wav"), bad])
    for split in ("train", "dev"):
        write(corpus / f"supervisions_{split}.jsonl", [supervision(split, 0.0, 4.0)])
    summaries = make_manifests(LHOTSE, corpus, corpus.parent / "data", ["de"], allow_skipped=0.5)
    assert [(one.split, one.skipped) for one in summaries] == [
        ("train", {"not a line of its kind": 1}),
        ("dev", {}),
    ]


def test_lhotse_lines_that_would_have_to_be_computed(corpus: Path):
    def cut(number: int, **changes: Any) -> dict[str, Any]:
        own = {"id": str(number), "start": 0.0, "duration": 1.0, "channel": 0, "type": "MonoCut"}
        return {**own, "recording": recording(), "supervisions": [supervision(f"t{number}", 0.0, 1.0)], **changes}

    def of(**source: Any) -> dict[str, Any]:
        return recording(sources=[{"type": "file", "channels": [0], "source": "a.wav", **source}])

    lines = [
        cut(0),
        cut(1, type="MixedCut"),
        cut(2, supervisions=[]),
        cut(3, recording=None),
        cut(4, recording=recording(transforms=[{"name": "Speed", "kwargs": {"factor": 1.1}}])),
        cut(5, recording=of(type="command", source=f"touch {corpus / 'mark'}")),
        cut(6, recording=of(type="url", source="https://example.org/a.wav")),
        cut(7, supervisions=[supervision("t7", 3.5, 1.0)]),
        cut(8, recording="a"),
        cut(9, supervisions=[supervision("t9", 0.0, 1.0, channel=5)]),
    ]
    write(corpus / "cuts.jsonl", lines)
    found, skipped = made(LHOTSE, corpus)
    assert list(found) == ["t0"]
    assert skipped == {
        "not one recording": 1,
        "without supervision": 1,
        "without recording": 1,
        "transformed recording": 1,
        "not a file": 3,
        "audio outside its recording": 1,
        "not a line of its kind": 1,
    }
    assert not (corpus / "mark").exists()


@pytest.mark.parametrize("kind", [NEMO, LHOTSE])
def test_a_manifest_beside_others_whose_name_tells_no_split(kind: Any, tmp_path: Path):
    tiny = {NEMO: nemo, LHOTSE: lhotse}[kind](tmp_path / "corpus")
    first = next(path for path in tiny.path.glob("*train*.json*"))
    first.with_name(first.name.replace("train", "extra")).write_bytes(first.read_bytes())
    summaries = make_manifests(kind, tiny.path, tmp_path / "data", [tiny.language], allow_skipped=0.5)
    assert [one.skipped for one in summaries] == [{"no split": 1}, {}, {}]


@pytest.mark.parametrize("kind", [NEMO, LHOTSE])
def test_a_damaged_gzip_or_another_folder(kind: Any, corpus: Path):
    with pytest.raises(InputError, match="no such manifests"):
        made(kind, corpus)
    if kind is LHOTSE:
        whole = gzip.compress(json.dumps({"supervisions": [], "start": 0, "x": "y" * 99}).encode() * 9000)
        (corpus / "cuts.jsonl.gz").write_bytes(whole[: len(whole) // 2])
        with pytest.raises(InputError):
            made(kind, corpus)


def test_voxpopuli_languages_speakers_and_texts(tmp_path: Path):
    corpus = voxpopuli(tmp_path / "corpus").path
    for path in (corpus, corpus / "transcribed_data", corpus / "transcribed_data" / "cs"):
        assert make_manifests(VOXPOPULI, path, tmp_path / path.name)[0].language == "cs"
        found = list(read_manifest(manifest_path(tmp_path / path.name, "cs", "train")))
        assert [(one.speaker, one.text) for one in found] == [
            (None, "věta číslo jedna"),
            ("124", "Věta číslo 1."),
            ("124", "Věta číslo 1."),
        ]
        assert {one.label("gender") for one in found} == {"f"}
    with pytest.raises(InputError, match="no utterances in 'pl'"):
        make_manifests(VOXPOPULI, corpus, tmp_path / "data", ["pl"])
