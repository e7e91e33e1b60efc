"""Hugging Face datasets: local folders, audio kept as bytes (as on the hub), columns, what is missing."""

import io
import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
from tiny_corpora import CORPORA, audiofolder

from data_scripts.audiofolder import CORPUS
from data_scripts.command_line import make_manifests
from speech_mtl.data.manifest import manifest_path, read_manifest
from speech_mtl.errors import InputError

pytestmark = pytest.mark.usefixtures("huggingface_cache")


def parquet_folder(folder: Path, *, declared: bool) -> Path:
    """A dataset whose files hold the audio itself, as most on the hub; `declared` in the way of `datasets`, or bare."""
    import datasets
    import pyarrow
    from pyarrow import parquet

    buffer = io.BytesIO()
    soundfile.write(buffer, np.full(8000, 0.1), 16000, format="FLAC")
    columns = {
        "audio": [{"bytes": buffer.getvalue(), "path": path} for path in ("a.flac", None)],
        "transcription": ["one", "jedna"],
        "lang": ["en", "cs"],
        "speaker_id": [7, None],
    }
    text, number = datasets.Value("string"), datasets.Value("int64")
    features = {"audio": datasets.Audio(), "transcription": text, "lang": text, "speaker_id": number}
    schema = datasets.Features(features).arrow_schema if declared else None
    (folder / "data").mkdir(parents=True)
    for split in ("train", "validation"):
        table = pyarrow.Table.from_pydict(columns, schema=schema)
        parquet.write_table(table, folder / "data" / f"{split}-00000-of-00001.parquet")
    return folder


def test_a_local_folder_is_read_where_it_lies(tmp_path: Path):
    corpus = audiofolder(tmp_path / "corpus")
    make_manifests(CORPUS, corpus.path, tmp_path / "data", ["en"])
    (utterance,) = read_manifest(manifest_path(tmp_path / "data", "en", "dev"))
    assert utterance.audio == corpus.path / "validation" / "0.wav"
    assert (utterance.id, utterance.text, utterance.speaker) == ("validation-0", "Sentence 0.", "ann")


def test_changed_metadata_is_seen(tmp_path: Path):
    corpus = audiofolder(tmp_path / "corpus")
    make_manifests(CORPUS, corpus.path, tmp_path / "data", ["en"])
    metadata = corpus.path / "validation" / "metadata.jsonl"
    metadata.write_text(metadata.read_text(encoding="utf-8").replace("Sentence", "Phrase"), encoding="utf-8")
    make_manifests(CORPUS, corpus.path, tmp_path / "data", ["en"], overwrite=True)
    (utterance,) = read_manifest(manifest_path(tmp_path / "data", "en", "dev"))
    assert utterance.text == "Phrase 0."


@pytest.mark.parametrize("declared", [True, False])
def test_audio_in_the_dataset_is_written_to_files(declared: bool, tmp_path: Path):
    corpus = parquet_folder(tmp_path / "corpus", declared=declared)
    summaries = make_manifests(CORPUS, corpus, tmp_path / "data", ["en"])
    assert [(summary.split, summary.num_utterances) for summary in summaries] == [("train", 2), ("dev", 2)]
    first, second = read_manifest(manifest_path(tmp_path / "data", "en", "train"))
    assert first.audio.resolve() == (tmp_path / "data" / "en" / "audio" / "train" / "train-0000000.flac").resolve()
    assert (first.speaker, second.speaker) == ("7", None)
    assert (first.duration_s, second.duration_s) == (0.5, 0.5)


def test_rows_of_one_language(tmp_path: Path):
    corpus = parquet_folder(tmp_path / "corpus", declared=True)
    make_manifests(CORPUS, corpus, tmp_path / "data", ["cs", "en"], language_column="lang")
    (czech,) = read_manifest(manifest_path(tmp_path / "data", "cs", "train"))
    (english,) = read_manifest(manifest_path(tmp_path / "data", "en", "train"))
    assert (czech.id, czech.text, english.id, english.text) == ("train-0000001", "jedna", "train-0000000", "one")
    with pytest.raises(InputError, match="no utterances"):
        make_manifests(CORPUS, corpus, tmp_path / "data", ["de"], language_column="lang")


@pytest.mark.parametrize("option", ["text_column", "speaker_column", "language_column"])
def test_a_column_that_is_not_there(option: str, tmp_path: Path):
    corpus = audiofolder(tmp_path / "corpus")
    options: dict[str, Any] = {option: "nothing"}
    with pytest.raises(InputError, match="Received: the columns audio, sentence, speaker"):
        make_manifests(CORPUS, corpus.path, tmp_path / "data", ["en"], **options)


def test_a_folder_without_audio_is_refused(tmp_path: Path):
    (tmp_path / "corpus").mkdir()
    with pytest.raises(InputError, match="Hugging Face datasets cannot load"):
        make_manifests(CORPUS, tmp_path / "corpus", tmp_path / "data", ["en"])


def test_a_dataset_that_cannot_be_reached(tmp_path: Path):
    with pytest.raises(InputError, match="cannot load nobody/nothing"):
        make_manifests(CORPUS, "nobody/nothing", tmp_path / "data", ["en"])


def test_datasets_is_not_installed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setitem(sys.modules, "datasets", None)
    with pytest.raises(InputError, match=r"pip install 'speech-mtl\[corpora\]'"):
        make_manifests(CORPUS, tmp_path, tmp_path / "data", ["en"])


@pytest.mark.skipif(not (CORPORA / "audiofolder_en").is_dir(), reason="no ../shared/corpora")
def test_human_speech(tmp_path: Path):
    summaries = make_manifests(CORPUS, CORPORA / "audiofolder_en", tmp_path / "data", ["en"])
    assert [summary.num_utterances for summary in summaries] == [1236, 60, 120]
    assert summaries[0].duration_s / 3600 == pytest.approx(1.0, abs=0.05)


def labelled(folder: Path, lines: list[dict]) -> Path:
    for split in ("train", "validation", "test"):
        (folder / split).mkdir(parents=True)
        for number in range(len(lines)):
            soundfile.write(folder / split / f"{number}.wav", np.full(8000, 0.1), 16000)
        text = "".join(json.dumps({"file_name": f"{i}.wav"} | line) + "\n" for i, line in enumerate(lines))
        (folder / split / "metadata.jsonl").write_text(text, encoding="utf-8")
    return folder


def test_columns_become_labels(tmp_path: Path):
    lines = [
        {"text": "one", "emotion": "calm", "age": 33, "events": {"music": 1, "cough": None}},
        {"text": None, "emotion": "angry", "age": None, "events": {"music": None, "cough": 0}},
        {"text": "three", "emotion": None, "age": None, "events": None},
    ]
    corpus = labelled(tmp_path / "corpus", lines)
    make_manifests(CORPUS, str(corpus), tmp_path / "data", ["en"], label_columns="emotion, age,events")
    utterances = list(read_manifest(manifest_path(tmp_path / "data", "en", "train")))
    assert [utterance.text for utterance in utterances] == ["one", None, "three"], "a label makes up for a transcript"
    assert [utterance.label("emotion") for utterance in utterances] == ["calm", "angry", None]
    assert [utterance.label("age") for utterance in utterances] == [33, None, None]
    assert utterances[0].label("events") == {"music": 1, "cough": None}


def test_a_label_that_is_no_column(tmp_path: Path):
    corpus = labelled(tmp_path / "corpus", [{"text": "one"}])
    with pytest.raises(InputError, match="no label column"):
        make_manifests(CORPUS, str(corpus), tmp_path / "data", ["en"], label_columns="mood")
