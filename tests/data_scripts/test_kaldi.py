"""Kaldi data folders: entries brought together by id, labels of speakers, and what is left out or refused."""

import re
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import soundfile
from tiny_corpora import CORPORA, kaldi, write_tone

from data_scripts.command_line import make_manifests
from data_scripts.kaldi import CORPUS
from speech_mtl.data.audio import read_audio
from speech_mtl.data.manifest import manifest_path, read_manifest
from speech_mtl.datatypes import Utterance
from speech_mtl.errors import InputError

IDS = ("spk0-train", "spk1-train", "spk2-train")


@pytest.fixture
def corpus(tmp_path: Path) -> Path:
    return kaldi(tmp_path / "corpus").path


def changed(path: Path, change: Callable[[list[str]], list[str]]) -> None:
    path.write_bytes("".join(change(path.read_text(encoding="utf-8").splitlines(keepends=True))).encode())


def training(corpus: Path, data_dir: Path, **options: object) -> dict[str, Utterance]:
    """The training utterances by id."""
    summary, *_ = make_manifests(CORPUS, corpus, data_dir, ["sw"], **{"allow_skipped": 0.9, **options})  # pyright: ignore[reportArgumentType]
    found = {utterance.id: utterance for utterance in read_manifest(manifest_path(data_dir, "sw", "train"))}
    assert summary.num_utterances == len(found)
    return found


def test_entries_are_brought_together_by_id(corpus: Path, tmp_path: Path):
    found = training(corpus, tmp_path / "data", allow_skipped=0.0)
    told = [(one.id, one.text, one.speaker, one.labels, one.audio) for one in found.values()]
    assert told == [
        (id, f"sentensi namba {i}", f"spk{i}", {"age": 20 + i, "gender": "mfm"[i]}, corpus / f"audio/train/{i}.wav")
        for i, id in enumerate(IDS)
    ]


def test_splits_beside_the_audio_as_well_as_under_data(corpus: Path, tmp_path: Path):
    under_data = training(corpus, tmp_path / "data")
    for split in ("train", "dev", "test"):
        (corpus / "data" / split).rename(corpus / split)
    beside = training(corpus, tmp_path / "others")
    assert [(one.id, one.text, one.audio) for one in beside.values()] == [
        (one.id, one.text, one.audio) for one in under_data.values()
    ]


def test_a_text_is_the_rest_of_its_line_and_a_path_may_hold_blanks(corpus: Path, tmp_path: Path):
    (corpus / "audio/train/0.wav").rename(corpus / "audio/train/the first.wav")
    changed(corpus / "data/train/wav.scp", lambda lines: ["spk0-train\t audio/train/the first.wav \r\n", *lines[1:]])
    changed(corpus / "data/train/text", lambda lines: [*lines[:2], "\ufeff \n", "\n", "spk0-train  a\tb  c\u2028d\n"])
    found = training(corpus, tmp_path / "data")
    assert found["spk0-train"].text == "a\tb  c\u2028d"
    assert found["spk0-train"].audio == corpus / "audio/train/the first.wav"


LEFT_OUT = {
    "no text": ("text", [], "not in text", "wav.scp:2: .* 'spk1-train' is not in text"),
    "empty text": ("text", ["spk1-train\n"], "without text", "text:2: .* has no text"),
    "a blank for text": ("text", ["spk1-train \u3000 \n"], "without text", "text:2: .* has no text"),
    "no audio": ("wav.scp", [], "not in wav.scp", "text:2: .* 'spk1-train' is not in wav.scp"),
    "no path": ("wav.scp", ["spk1-train \n"], "without audio", "wav.scp:2: .* has no audio"),
    "no speaker": ("utt2spk", [], "not in utt2spk", "wav.scp:2: .* 'spk1-train' is not in utt2spk"),
    "an empty speaker": ("utt2spk", ["spk1-train\n"], "without speaker", "utt2spk:3: .* has no speaker"),
    "two speakers": ("utt2spk", ["spk1-train a b\n"], "more than one speaker", "utt2spk:3: .* speaker: a b"),
    "an old line end": ("text", ["spk1-train a\rspk9 b\n"], "carriage return in a line", r"text:2: .* return \\r"),
    "no such file": ("wav.scp", ["spk1-train audio/9.wav\n"], "audio missing", r"wav.scp:2: .*no audio file"),
    "a folder": ("wav.scp", ["spk1-train audio\n"], "audio unreadable", r"wav.scp:2: .*is no file but a folder"),
    "above": ("wav.scp", ["spk1-train ../x.wav\n"], "audio outside the corpus", "wav.scp:2: .*leads out"),
    "far above": ("wav.scp", ["spk1-train audio/../../x.wav\n"], "audio outside the corpus", "wav.scp:2: .*leads out"),
    "elsewhere": ("wav.scp", ["spk1-train /etc/x.wav\n"], "audio outside the corpus", "wav.scp:2: .*leads out"),
}


@pytest.mark.parametrize("case", LEFT_OUT)
def test_an_utterance_that_cannot_be_used_is_named_and_counted(
    case: str, corpus: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    write_tone(tmp_path / "x.wav", 0.5)
    table, lines, reason, said = LEFT_OUT[case]
    path = corpus / "data/train" / table

    def spoilt(written: list[str]) -> list[str]:
        place = next(i for i, line in enumerate(written) if line.startswith("spk1-train"))
        return [*written[:place], *lines, *written[place + 1 :]]

    changed(path, spoilt)
    summary, *_ = make_manifests(CORPUS, corpus, tmp_path / "data", ["sw"], allow_skipped=0.9)
    found = list(read_manifest(manifest_path(tmp_path / "data", "sw", "train")))
    assert [one.id for one in found] == ["spk0-train", "spk2-train"]
    assert [one.text for one in found] == ["sentensi namba 0", "sentensi namba 2"]
    assert summary.skipped == {reason: 1}
    assert re.search(said, re.sub(r"\s+", " ", capsys.readouterr().err))
    with pytest.raises(InputError, match="1 of 3 unusable"):
        make_manifests(CORPUS, corpus, tmp_path / "data", ["sw"], overwrite=True, allow_skipped=0.0)


@pytest.mark.parametrize("table", ["wav.scp", "text", "utt2spk", "spk2gender"])
def test_of_an_id_that_comes_twice_the_first_line_counts(
    table: str, corpus: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    path = corpus / "data/train" / table
    before = training(corpus, tmp_path / "before")
    first = path.read_text(encoding="utf-8").split()[0]
    changed(path, lambda lines: [*lines, f"{first} another\n"])
    summary, *_ = make_manifests(CORPUS, corpus, tmp_path / "data", ["sw"], allow_skipped=0.9)
    assert summary.skipped == {"id comes twice": 1}
    said = re.sub(r"\s+", " ", capsys.readouterr().err)
    assert f"{path}:4: skipped: the id {first!r} comes twice, first in {path}:1" in said
    after = list(read_manifest(manifest_path(tmp_path / "data", "sw", "train")))
    assert [(one.id, one.text, one.speaker, one.labels) for one in after] == [
        (one.id, one.text, one.speaker, one.labels) for one in before.values()
    ]


@pytest.mark.parametrize("table", ["wav.scp", "text", "utt2spk"])
def test_a_missing_file_is_refused(table: str, corpus: Path, tmp_path: Path):
    (corpus / "data/train" / table).unlink()
    with pytest.raises(InputError, match=rf"There is no file .*data/train/{re.escape(table)}"):
        training(corpus, tmp_path / "data")


@pytest.mark.parametrize(
    "written",
    [
        "touch {mark} |",
        "cat audio/train/1.wav|",
        "sox audio/train/1.wav -t wav - | touch {mark} |  ",
        "| touch {mark}",
        "-",
        "wavs.ark:1042",
        "wavs.ark:1042[0:99]",
    ],
)
def test_commands_and_archives_are_refused_and_not_run(written: str, corpus: Path, tmp_path: Path):
    line = f"spk1-train {written.format(mark=tmp_path / 'mark')}\n"
    changed(corpus / "data/train/wav.scp", lambda lines: [lines[0], line, lines[2]])
    with pytest.raises(InputError, match=r"data/train/wav\.scp:2: a command or a place in an archive") as caught:
        training(corpus, tmp_path / "data")
    assert "wav-copy" in caught.value.action
    assert not (tmp_path / "mark").exists()
    assert not manifest_path(tmp_path / "data", "sw", "train").exists()


@pytest.fixture
def segmented(corpus: Path) -> Path:
    """The training speech as one recording of 3 s, with a pause of 1 s at its start."""
    tone = 0.5 * np.sin(0.2 * np.arange(3 * 16_000))
    soundfile.write(corpus / "audio/all.flac", tone * (np.arange(len(tone)) >= 16_000), 16_000)
    (corpus / "data/train/wav.scp").write_text("recording audio/all.flac\n", encoding="utf-8")
    lines = [f"{id} recording {1 + i / 2} {1.5 + i / 2}\n" for i, id in enumerate(IDS)]
    (corpus / "data/train/segments").write_text("".join(lines), encoding="utf-8")
    return corpus


def test_segments_are_stretches_of_recordings(segmented: Path, tmp_path: Path):
    found = training(segmented, tmp_path / "data", allow_skipped=0.0)
    whole = read_audio(segmented / "audio/all.flac", 16_000)
    for i, id in enumerate(IDS):
        start_s = 1 + i / 2
        np.testing.assert_array_equal(
            read_audio(found[id].audio, 16_000), whole[int(start_s * 16_000) : int((start_s + 0.5) * 16_000)]
        )
        assert (found[id].duration_s, found[id].text, found[id].speaker) == (0.5, f"sentensi namba {i}", f"spk{i}")
        assert found[id].labels == {"age": 20 + i, "gender": "mfm"[i]}


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        ("spk1-train gone 1 2", "not in wav.scp"),
        ("spk1-train recording 1", "not a segment"),
        ("spk1-train recording one two", "not a segment"),
        ("spk1-train recording 1 nan", "audio outside its recording"),
        ("spk1-train recording 2 1", "audio outside its recording"),
        ("spk1-train recording -1 1", "audio outside its recording"),
        ("spk1-train recording 2 3.2", "audio outside its recording"),
        ("spk1-train recording 1 2 1", "audio without channel"),
        ("spk1-train", "without segment"),
    ],
)
def test_a_bad_segment_is_counted(line: str, reason: str, segmented: Path, tmp_path: Path):
    changed(segmented / "data/train/segments", lambda lines: [lines[0], line + "\n", lines[2]])
    summary, *_ = make_manifests(CORPUS, segmented, tmp_path / "data", ["sw"], allow_skipped=0.9)
    assert (summary.num_utterances, summary.skipped) == (2, {reason: 1})


def test_recordings_of_segments_come_from_no_command(segmented: Path, tmp_path: Path):
    (segmented / "data/train/wav.scp").write_text(f"recording touch {tmp_path / 'mark'} |\n", encoding="utf-8")
    with pytest.raises(InputError, match=r"wav\.scp:1: a command"):
        training(segmented, tmp_path / "data")
    assert not (tmp_path / "mark").exists()


def test_a_path_that_leads_into_the_corpus_again_is_taken(corpus: Path, tmp_path: Path):
    lines = [
        f"spk{i}-train {path}\n" for i, path in enumerate(["audio/x/../train/0.wav", corpus / "audio/train/1.wav"])
    ]
    changed(corpus / "data/train/wav.scp", lambda written: [*lines, written[2]])
    assert training(corpus, tmp_path / "data", allow_skipped=0.0)["spk0-train"].audio == corpus / "audio/train/0.wav"


def test_the_folder_above_is_asked_for(corpus: Path, tmp_path: Path):
    with pytest.raises(InputError, match=r"wav\.scp:1: a path that begins above the corpus") as caught:
        training(corpus / "data", tmp_path / "data")
    assert caught.value.action.endswith(str(corpus))


def test_another_folder_or_two_places_are_refused(corpus: Path, tmp_path: Path):
    with pytest.raises(InputError, match="no Kaldi data folders"):
        training(corpus / "data" / "train", tmp_path / "data")
    (corpus / "dev").mkdir()
    (corpus / "dev" / "wav.scp").touch()
    with pytest.raises(InputError, match="Kaldi data folders in two places"):
        training(corpus, tmp_path / "data")


def test_a_split_that_is_not_there_is_said(corpus: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    (corpus / "data/dev").rename(corpus / "data/valid")
    assert training(corpus, tmp_path / "data").keys() == set(IDS)
    assert "no split 'dev'" in capsys.readouterr().err


# --- Speakers and their labels


def test_speakers_of_whom_a_label_is_unknown_are_named(
    corpus: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    changed(corpus / "data/train/spk2gender", lambda lines: [*lines[:2], "spk2\n"])
    changed(corpus / "data/train/spk2age", lambda lines: [lines[0], "spk2 forty\n"])
    found = training(corpus, tmp_path / "data")
    assert [one.labels for one in found.values()] == [
        {"age": 20, "gender": "m"},
        {"age": None, "gender": "f"},
        {"age": "forty", "gender": None},
    ]
    said = re.sub(r"\s+", " ", capsys.readouterr().err)
    assert "spk2gender:3: skipped: the id 'spk2' has no gender" in said
    assert "spk2gender: no gender of 1 of 3 speakers: spk2" in said
    assert "spk2age: no age of 1 of 3 speakers: spk1" in said


def test_genders_have_one_name_each(corpus: Path, tmp_path: Path):
    changed(corpus / "data/train/spk2gender", lambda _: ["spk0 Male\n", "spk1 F\n", "spk2 x\n"])
    assert [one.labels["gender"] for one in training(corpus, tmp_path / "data").values()] == ["m", "f", "x"]


def test_without_their_files_there_are_no_labels(corpus: Path, tmp_path: Path):
    for name in ("spk2gender", "spk2age"):
        (corpus / "data/train" / name).unlink()
    assert [one.labels for one in training(corpus, tmp_path / "data").values()] == [{}] * 3


def test_utterances_that_are_their_own_speakers_have_none(
    corpus: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    changed(corpus / "data/train/utt2spk", lambda _: [f"{id} {id}\n" for id in IDS])
    changed(corpus / "data/train/spk2gender", lambda _: [f"{id} m\n" for id in IDS])
    found = training(corpus, tmp_path / "data")
    assert [(one.speaker, one.labels["gender"]) for one in found.values()] == [(None, "m")] * 3
    assert "the speakers count as unknown" in re.sub(r"\s+", " ", capsys.readouterr().err)


# --- Human speech

HUMAN = {  # utterances by split, speakers by split, minutes of training: as the corpora's table says
    "speechocean762": ("en", (1210, 180, 320), (110, 15, 32), 80),
    "alffa_amharic": ("am", (999, 90, 180), (17, 5, 10), 90),
}


@pytest.mark.parametrize("name", HUMAN)
def test_human_speech(name: str, tmp_path: Path):
    if not (CORPORA / name).is_dir():
        pytest.skip("no ../shared/corpora")
    language, utterances, speakers, minutes = HUMAN[name]
    summaries = make_manifests(CORPUS, CORPORA / name, tmp_path / "data", [language], allow_skipped=0.0)
    assert tuple(summary.num_utterances for summary in summaries) == utterances
    assert tuple(summary.num_speakers for summary in summaries) == speakers
    assert summaries[0].duration_s / 60 == pytest.approx(minutes, abs=1)
