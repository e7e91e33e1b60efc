"""Hugging Face datasets: local folders, audio kept as bytes (as on the hub), columns, what is missing."""

import csv
import errno
import io
import json
import os
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
from tiny_corpora import CORPORA, audiofolder, write_tone

from data_scripts import audiofolder as audiofolder_script
from data_scripts import loading, parquet
from data_scripts.audiofolder import CORPUS
from data_scripts.command_line import make_manifests
from speech_mtl.data.audio import read_audio
from speech_mtl.data.manifest import manifest_path, read_manifest
from speech_mtl.datatypes import SPLITS, Utterance
from speech_mtl.errors import InputError

pytestmark = pytest.mark.usefixtures("huggingface_cache")


def parquet_folder(folder: Path, *, declared: bool, form: str = "parquet") -> Path:
    """A dataset whose files hold the audio itself, as most on the hub; `declared` in the way of `datasets`, or bare."""
    import datasets
    import pyarrow
    from pyarrow import ipc, parquet

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
        path = folder / "data" / f"{split}-00000-of-00001.{form}"
        if form == "parquet":
            parquet.write_table(table, path)
            continue
        with ipc.new_stream(str(path), table.schema) as stream:  # as `save_to_disk` writes it
            stream.write_table(table)
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
@pytest.mark.parametrize("form", ["parquet", "arrow"])
def test_audio_in_parquet_and_arrow_files_stays_there(form: str, declared: bool, tmp_path: Path):
    corpus = parquet_folder(tmp_path / "corpus", declared=declared, form=form)
    summaries = make_manifests(CORPUS, corpus, tmp_path / "data", ["en"])
    assert [(summary.split, summary.num_utterances) for summary in summaries] == [("train", 2), ("dev", 2)]
    first, second = read_manifest(manifest_path(tmp_path / "data", "en", "train"))
    assert first.audio.name == f"train-00000-of-00001.{form}#row=0&column=audio"
    assert len(read_audio(second.audio, 16_000)) == 8000
    assert not (tmp_path / "data" / "en" / "audio").exists()
    assert not (tmp_path / "huggingface" / form).exists()  # nor is there a copy
    assert (first.speaker, second.speaker) == ("7", None)
    assert (first.duration_s, second.duration_s) == (0.5, 0.5)


@pytest.mark.parametrize("streaming", [True, False])
def test_audio_in_a_dataset_of_the_hub_is_written_to_files(
    streaming: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    """A folder stands for the hub, which cannot be reached."""
    corpus = parquet_folder(tmp_path / "corpus", declared=True)
    monkeypatch.setattr(loading, "local_folder", lambda _: None)
    monkeypatch.setattr(audiofolder_script, "local_folder", lambda _: None)
    options = {"streaming": streaming, "language_column": "lang"}
    make_manifests(CORPUS, corpus, tmp_path / "data", ["cs"], **options)  # pyright: ignore[reportArgumentType]
    ((one,),) = [list(read_manifest(manifest_path(tmp_path / "data", "cs", split))) for split in ["train"]]
    assert one.audio.resolve() == (tmp_path / "data" / "cs" / "audio" / "train" / "train-0000001").resolve()
    assert (one.id, one.text, one.duration_s) == ("train-0000001", "jedna", 0.5)
    assert "1 in en" in capsys.readouterr().err
    cached = [*(tmp_path / "huggingface").rglob("*.arrow")]
    assert bool(cached) != streaming


@pytest.mark.parametrize(("form", "told"), [("parquet", "a Parquet"), ("arrow", "an Arrow")])
def test_a_parquet_or_arrow_file_that_is_cut_short_is_refused_by_name(form: str, told: str, tmp_path: Path):
    corpus = parquet_folder(tmp_path / "corpus", declared=True, form=form)
    shard = corpus / "data" / f"train-00001-of-00001.{form}"
    shard.write_bytes((corpus / "data" / f"train-00000-of-00001.{form}").read_bytes()[:-20])
    with pytest.raises(InputError, match=rf"train-00001-of-00001\.{form} cannot be read as {told} file"):
        make_manifests(CORPUS, corpus, tmp_path / "data", ["en"])


def test_rows_of_one_language(tmp_path: Path):
    corpus = parquet_folder(tmp_path / "corpus", declared=True)
    make_manifests(CORPUS, corpus, tmp_path / "data", ["cs", "en"], language_column="lang")
    (czech,) = read_manifest(manifest_path(tmp_path / "data", "cs", "train"))
    (english,) = read_manifest(manifest_path(tmp_path / "data", "en", "train"))
    assert (czech.id, czech.text, english.id, english.text) == ("train-0000001", "jedna", "train-0000000", "one")
    with pytest.raises(
        InputError, match="no utterances in 'de'\nExpected: utterances in de\nReceived: utterances in cs, en"
    ):
        make_manifests(CORPUS, corpus, tmp_path / "data", ["de"], language_column="lang")


@pytest.mark.parametrize("option", ["text_column", "speaker_column", "language_column"])
def test_a_column_that_is_not_there(option: str, tmp_path: Path):
    corpus = audiofolder(tmp_path / "corpus")
    options: dict[str, Any] = {option: "nothing"}
    with pytest.raises(InputError, match="Received: the columns file_name, sentence, speaker"):
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


@pytest.mark.skipif(not (CORPORA / "audiofolder_words").is_dir(), reason="no ../shared/corpora")
def test_human_speech_in_several_languages(tmp_path: Path):
    summaries = make_manifests(CORPUS, CORPORA / "audiofolder_words", tmp_path / "data", ["fr", "gd", "ml", "pt"])
    totals = {split: sum(one.num_utterances for one in summaries if one.split == split) for split in SPLITS}
    assert totals == {"train": 1515 - 2, "dev": 222 - 1, "test": 491}, "three files of Malayalam have two texts each"
    assert sum(one.skipped.get("id comes twice", 0) for one in summaries) == 3
    assert [one.num_utterances for one in summaries if one.language == "fr"] == [649, 90, 205]


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


def folder_of(folder: Path, table: str, text: str, *audio: str) -> Path:
    """A corpus with one table, as written, and these audio files of half a second."""
    (folder / table).parent.mkdir(parents=True, exist_ok=True)
    (folder / table).write_text(text, encoding="utf-8")
    for name in audio:
        write_tone(folder / name, 0.5)
    return folder


def utterances_of(corpus: Path, data_dir: Path, split: str = "train", **options: Any) -> list[Utterance]:
    make_manifests(CORPUS, corpus, data_dir, ["de"], overwrite=True, **options)
    return list(read_manifest(manifest_path(data_dir, "de", split)))


def test_recordings_with_a_text_file_each(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    corpus = tmp_path / "corpus"
    for split, names in (("train", "ab"), ("dev", "c")):
        for name in names:
            write_tone(corpus / split / f"{name}.wav", 0.5)
            (corpus / split / f"{name}.txt").write_text(f"\ufeffsatz\n{name}\n", encoding="utf-8")
    write_tone(corpus / "train" / "without.wav", 0.5)
    (corpus / "README.txt").write_text("about", encoding="utf-8")
    found = utterances_of(corpus, tmp_path / "data", allow_skipped=0.5)
    assert [(one.id, one.text, one.audio.name) for one in found] == [
        ("train-a", "satz a", "a.wav"),
        ("train-b", "satz b", "b.wav"),
    ]
    assert "without.wav: skipped: there is no text file of its name" in " ".join(capsys.readouterr().err.split())
    (dev,) = read_manifest(manifest_path(tmp_path / "data", "de", "dev"))
    assert dev.text == "satz c"
    (corpus / "train" / "a.txt").write_bytes(b"stra\xdfe")
    with pytest.raises(InputError, match=r"a\.txt"):
        utterances_of(corpus, tmp_path / "data", allow_skipped=0.5)


GUESSED = ["null", "NA", "nan", "None", "007", "1e5", "1.50", "2020-01-01", "true", "1_000", "N/A", "-", "inf", "1,5"]
"""What pandas or Arrow would take for a gap, a number, a date or a truth value."""


@pytest.mark.parametrize("table", ["metadata.csv", "metadata.tsv", "metadata.jsonl"])
def test_no_type_is_guessed(table: str, tmp_path: Path):
    names = [f"{number}.wav" for number in range(len(GUESSED))]
    if table.endswith("jsonl"):
        rows = [
            json.dumps({"file_name": name, "text": x, "speaker": x}) for name, x in zip(names, GUESSED, strict=True)
        ]
    else:
        buffer = io.StringIO()
        writer = csv.writer(buffer, delimiter="," if table.endswith("csv") else "\t")
        writer.writerows([("file_name", "text", "speaker"), *zip(names, GUESSED, GUESSED, strict=True)])
        rows = buffer.getvalue().splitlines()
    corpus = folder_of(tmp_path / "corpus", table, "\n".join(rows), *names)
    found = utterances_of(corpus, tmp_path / "data")
    assert [utterance.text for utterance in found] == GUESSED
    assert [utterance.speaker for utterance in found] == GUESSED


def test_numbers_of_json_are_texts_as_they_are_written(tmp_path: Path):
    written = ["7", "7.0", "1e5", "1E+05", "-0", "12345678901234567890123", "true", "0.10"]
    names = [f"{number}.wav" for number in range(len(written))]
    rows = [f'{{"file_name": "{name}", "text": {x}, "speaker": {x}}}' for name, x in zip(names, written, strict=True)]
    corpus = folder_of(tmp_path / "corpus", "metadata.jsonl", "\n".join(rows), *names)
    found = utterances_of(corpus, tmp_path / "data")
    assert [(utterance.text, utterance.speaker) for utterance in found] == [(x, x) for x in written]


def test_null_of_json_is_unknown_and_null_in_quotes_a_word(tmp_path: Path):
    rows = '{"file_name": "a.wav", "text": null, "age": 7}\n{"file_name": "b.wav", "text": "null", "age": null}\n'
    corpus = folder_of(tmp_path / "corpus", "metadata.jsonl", rows, "a.wav", "b.wav")
    found = utterances_of(corpus, tmp_path / "data", label_columns="age")
    assert [(utterance.text, utterance.label("age")) for utterance in found] == [(None, 7), ("null", None)]


def test_labels_of_a_table_without_types(tmp_path: Path):
    """Numbers stay usable for tasks over numbers; what JSON does not call a number is a word."""
    rows = "file_name,text,age\n" + "".join(f"{i}.wav,ja,{x}\n" for i, x in enumerate(["33", "1.5", "007", "", "NA"]))
    corpus = folder_of(tmp_path / "corpus", "metadata.csv", rows, *(f"{i}.wav" for i in range(5)))
    found = utterances_of(corpus, tmp_path / "data", label_columns="Age")
    assert [utterance.labels.get("Age") for utterance in found] == [33, 1.5, "007", None, "NA"]


@pytest.mark.parametrize(
    "row", ['{"file_name": "b.wav", "text": ["a"]}', '{"file_name": "b.wav"', '{"text": "x"}', "[1]"]
)
def test_a_bad_line_is_named_and_the_others_are_kept(row: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    rows = f'{{"file_name": "a.wav", "text": "eins"}}\n{row}\n\n{{"file_name": "c.wav", "text": "drei"}}'
    corpus = folder_of(tmp_path / "corpus", "metadata.jsonl", rows, "a.wav", "b.wav", "c.wav")
    assert [utterance.text for utterance in utterances_of(corpus, tmp_path / "data")] == ["eins", "drei"]
    assert "metadata.jsonl:2: skipped: " in capsys.readouterr().err
    with pytest.raises(InputError, match="1 of 3 unusable"):
        utterances_of(corpus, tmp_path / "data", allow_skipped=0.0)


IDS = {
    "table in the split's folder": ("train/metadata.jsonl", ["a/1.wav", "b/1.wav"], ["train-a-1", "train-b-1"]),
    "table at the top": ("metadata.jsonl", ["a/1.wav", "b/1.wav"], ["a-1", "b-1"]),
    "suffixes": ("metadata.jsonl", ["a/1.wav", "a/1.flac", "2.wav"], ["a/1.wav", "a/1.flac", "2"]),
    "hyphens": ("metadata.jsonl", ["a/b-1.wav", "a-b/1.wav", "2.wav"], ["a/b-1.wav", "a-b/1.wav", "2"]),
    "dots": ("x/metadata.jsonl", ["./1.wav", "../y/1.wav", "y/..//2.wav"], ["x-1", "y-1", "x-2"]),
    "names of tests": ("metadata.jsonl", ["test_1.wav", "train.wav", "dev/1.wav"], None),
}


@pytest.mark.parametrize("case", IDS)
@pytest.mark.parametrize("way", ["plain", "dots", "link", "brackets"])
def test_ids_tell_files_apart_however_the_path_is_typed(case: str, way: str, tmp_path: Path):
    table, names, ids = IDS[case]
    names = names if ids else names[:2]
    rows = "\n".join(json.dumps({"file_name": name, "text": name}) for name in names)
    folder = tmp_path / ("my [corpus]*" if way == "brackets" else "corpus")
    (folder / "x" / "y").mkdir(parents=True)
    folder_of(folder, table, rows, *(f"{Path(table).parent}/{name}" for name in names))
    (tmp_path / "link").symlink_to(folder)
    typed = {"dots": tmp_path / "link" / ".." / folder.name, "link": tmp_path / "link"}.get(way, folder)
    found = utterances_of(typed, tmp_path / "data")
    assert [utterance.text for utterance in found] == names
    assert [utterance.id for utterance in found] == (ids or ["test_1", "train"])
    assert all(utterance.audio.samefile(folder / Path(table).parent / str(utterance.text)) for utterance in found)


@pytest.mark.parametrize(
    ("folder", "split"), [("dev", "dev"), ("valid", "dev"), ("Val", "dev"), ("my-test_set", "test")]
)
@pytest.mark.parametrize("at_the_top", [True, False])
def test_folders_tell_the_split(folder: str, split: str, at_the_top: bool, tmp_path: Path):
    names = {f"data/{folder}/test_1.wav": split, "data/train/x/dev.wav": "train"}
    corpus = tmp_path / "corpus"
    rows = {name: {"file_name": name if at_the_top else Path(name).name, "text": name} for name in names}
    for name, row in rows.items():
        table = corpus / "metadata.jsonl" if at_the_top else (corpus / name).with_name("metadata.jsonl")
        table.parent.mkdir(parents=True, exist_ok=True)
        with table.open("a", encoding="utf-8") as file:
            file.write(json.dumps(row) + "\n")
        write_tone(corpus / name, 0.5)
    make_manifests(CORPUS, corpus, tmp_path / "data", ["de"])
    for name, own in names.items():
        assert [u.text for u in read_manifest(manifest_path(tmp_path / "data", "de", own))] == [name]


def test_a_row_whose_folder_tells_no_split_is_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    rows = "file_name,text\ntrain/1.wav,eins\nextra/2.wav,zwei\n"
    corpus = folder_of(tmp_path / "corpus", "metadata.csv", rows, "train/1.wav", "extra/2.wav")
    assert [utterance.text for utterance in utterances_of(corpus, tmp_path / "data")] == ["eins"]
    assert "metadata.csv:3: skipped: neither its column" in capsys.readouterr().err


def test_a_split_that_is_a_link_and_a_link_that_leads_back(tmp_path: Path):
    folder_of(tmp_path / "elsewhere", "metadata.csv", "file_name,text\na.wav,ja\n", "a.wav")
    (tmp_path / "corpus").mkdir()
    (tmp_path / "corpus" / "train").symlink_to(tmp_path / "elsewhere")
    (tmp_path / "elsewhere" / "back").symlink_to(tmp_path / "corpus")
    with pytest.raises(InputError, match="audio outside the corpus"):
        utterances_of(tmp_path / "corpus", tmp_path / "data")
    found = utterances_of(tmp_path / "corpus", tmp_path / "data", audio_in=[tmp_path / "elsewhere"])
    assert [utterance.id for utterance in found] == ["train-a"]


@pytest.mark.parametrize("name", ["metadata.csv", "metadata.jsonl"])
def test_the_language_column_wins(name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    tags = ["fr", "FR", "pt-BR", "pt_br", "gd", "", "fr-CA"]
    rows = [{"file_name": f"{i}.wav", "text": "x", "Language": tag or None} for i, tag in enumerate(tags)]
    lines = [json.dumps(row) for row in rows]
    if name.endswith("csv"):
        lines = ["file_name,text,Language", *(f"{i}.wav,x,{tag}" for i, tag in enumerate(tags))]
    corpus = folder_of(tmp_path / "corpus", name, "\n".join(lines), *(f"{i}.wav" for i in range(len(tags))))
    make_manifests(CORPUS, corpus, tmp_path / "data", ["fr", "pt-BR"])
    for language, ids in {"fr": ["0", "1"], "pt-BR": ["2", "3"]}.items():
        assert [u.id for u in read_manifest(manifest_path(tmp_path / "data", language, "train"))] == ids
    told = capsys.readouterr().err
    assert "2 rows in fr; skipped: 1 in fr-CA, 1 in gd, 1 in no language, 1 in pt-BR, 1 in pt_br" in told
    with pytest.raises(
        InputError, match=r"no utterances in 'de'\nExpected: .*\nReceived: utterances in fr, fr-CA, gd, pt-br"
    ):
        make_manifests(CORPUS, corpus, tmp_path / "data", ["de"])
    with pytest.raises(InputError, match="Received: a corpus in fr, fr-CA, gd, pt-br"):
        make_manifests(CORPUS, corpus, tmp_path / "data")


@pytest.mark.parametrize(("tag", "language"), [("ga-IE", None), ("zh-CN", None), ("", "de")])
def test_the_only_language_of_the_column(tag: str, language: str | None, tmp_path: Path):
    corpus = folder_of(tmp_path / "corpus", "metadata.csv", f"file_name,text,language\na.wav,x,{tag}\n", "a.wav")
    (summary,) = make_manifests(CORPUS, corpus, tmp_path / "data", [language] if language else None)
    assert (summary.language, summary.num_utterances) == (tag or language, 1)


def test_a_folder_that_may_not_be_read_is_not_passed_over(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    corpus = audiofolder(tmp_path / "corpus").path
    scandir = os.scandir

    def forbidden(folder: str):
        if Path(folder).name == "validation":
            raise PermissionError(errno.EACCES, "Permission denied", folder)
        return scandir(folder)

    monkeypatch.setattr(os, "scandir", forbidden)
    with pytest.raises(PermissionError):
        make_manifests(CORPUS, corpus, tmp_path / "data", ["en"])


def test_two_tables_in_one_folder_are_refused(tmp_path: Path):
    folder_of(tmp_path, "metadata.csv", "file_name,text\n")
    folder_of(tmp_path, "metadata.jsonl", "")
    with pytest.raises(InputError, match="more than one table"):
        make_manifests(CORPUS, tmp_path, tmp_path / "data", ["de"])


@pytest.mark.parametrize("text", ["", "a.wav,eins\n", "name,text\na.wav,eins\n"])
def test_a_table_without_audio_column_is_refused(text: str, tmp_path: Path):
    folder_of(tmp_path, "metadata.csv", text, "a.wav")
    with pytest.raises(InputError, match="no column of audio files"):
        make_manifests(CORPUS, tmp_path, tmp_path / "data", ["de"])


def test_a_folder_of_parquet_with_brackets_in_its_name(tmp_path: Path):
    corpus = parquet_folder(tmp_path / "my [corpus]", declared=True)
    with pytest.raises(InputError, match="a path without"):
        make_manifests(CORPUS, corpus, tmp_path / "data", ["en"])


def parquet_columns(folder: Path, features: dict[str, Any], columns: dict[str, list]) -> Path:
    """A dataset of these columns besides the audio."""
    import datasets
    import pyarrow
    from pyarrow import parquet

    buffer = io.BytesIO()
    soundfile.write(buffer, np.full(8000, 0.1), 16000, format="FLAC")
    audio = [{"bytes": buffer.getvalue(), "path": "a.flac"} for _ in next(iter(columns.values()))]
    schema = datasets.Features({"audio": datasets.Audio(), **features}).arrow_schema
    (folder / "data").mkdir(parents=True)
    table = pyarrow.Table.from_pydict({"audio": audio, **columns}, schema=schema)
    parquet.write_table(table, folder / "data" / "train-00000-of-00001.parquet")
    return folder


def test_classes_of_a_dataset_are_their_names(tmp_path: Path):
    import datasets

    words, tags = datasets.ClassLabel(names=["ja", "nein"]), datasets.ClassLabel(names=["en", "de"])
    features = {"text": words, "language": tags, "speaker": datasets.Value("float64")}
    columns = {"text": [0, 1, 1], "language": [1, 1, 0], "speaker": [7.0, None, 8.0]}
    corpus = parquet_columns(tmp_path / "corpus", features, columns)
    found = utterances_of(corpus, tmp_path / "data")
    assert [(utterance.text, utterance.speaker) for utterance in found] == [("ja", "7"), ("nein", None)]


def test_a_class_that_is_missing_is_unknown(tmp_path: Path):
    import datasets

    features = {"text": datasets.Value("string"), "mood": datasets.ClassLabel(names=["joy", "grief"])}
    corpus = parquet_columns(tmp_path / "corpus", features, {"text": ["a", "b"], "mood": [1, -1]})
    found = utterances_of(corpus, tmp_path / "data", label_columns="mood")
    assert [utterance.label("mood") for utterance in found] == ["grief", None]


def test_all_splits_of_a_dataset_whose_names_tell_the_same_are_taken(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    corpus = parquet_folder(tmp_path / "corpus", declared=True)
    first = corpus / "data" / "train-00000-of-00001.parquet"
    files = {"train.clean": "a", "train.other": "b", "eval": "c", "invalidated": "d"}
    for name in files.values():
        (corpus / f"{name}.parquet").write_bytes(first.read_bytes())
    for path in (corpus / "data").iterdir():
        path.unlink()
    listed = "".join(f"  - split: {split}\n    path: {name}.parquet\n" for split, name in files.items())
    (corpus / "README.md").write_text(f"---\nconfigs:\n- config_name: default\n  data_files:\n{listed}---\n")
    summaries = make_manifests(CORPUS, corpus, tmp_path / "data", ["en"])
    assert [(summary.split, summary.num_utterances) for summary in summaries] == [("train", 4), ("test", 2)]
    found = list(read_manifest(manifest_path(tmp_path / "data", "en", "train")))
    assert {one.audio.name.partition("#")[0] for one in found} == {"a.parquet", "b.parquet"}
    assert "left out, for their names tell no split: invalidated" in " ".join(capsys.readouterr().err.split())


def test_a_parquet_file_of_no_split_beside_others_is_refused(tmp_path: Path):
    corpus = parquet_folder(tmp_path / "corpus", declared=True)
    first = corpus / "data" / "train-00000-of-00001.parquet"
    (corpus / "data" / "extra.parquet").write_bytes(first.read_bytes())
    with pytest.raises(InputError, match=r"extra\.parquet: of no split"):
        make_manifests(CORPUS, corpus, tmp_path / "data", ["en"])


def test_of_a_column_no_other_is_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    import datasets

    features = {
        "text": datasets.Value("string"),
        "language": datasets.Value("string"),
        "notes": datasets.Value("string"),
    }
    columns = {"text": ["a"], "language": ["de"], "notes": ["long"]}
    corpus = parquet_columns(tmp_path / "corpus", features, columns)
    read, original = [], parquet._columns
    monkeypatch.setattr(parquet, "_columns", lambda file, names: read.append(sorted(names)) or original(file, names))
    assert make_manifests(CORPUS, corpus, tmp_path / "data")[0].language == "de"
    assert [names for names in read if "notes" in names] == []


@pytest.mark.parametrize(("kind", "value"), [("float64", 1.0), ("bool", True), ("timestamp[s]", 0)])
def test_a_text_column_of_another_type_is_refused(kind: str, value: object, tmp_path: Path):
    import datasets

    corpus = parquet_columns(tmp_path / "corpus", {"text": datasets.Value(kind)}, {"text": [value]})
    with pytest.raises(InputError, match="the column 'text' holds no text"):
        make_manifests(CORPUS, corpus, tmp_path / "data", ["de"])


def test_a_column_tells_the_split(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    splits = ["train", "Validation", "test", "held-out", ""]
    rows = "file_name,text,split\n" + "".join(f"{i}.wav,{split or 'none'},{split}\n" for i, split in enumerate(splits))
    corpus = folder_of(tmp_path / "corpus", "metadata.csv", rows, *(f"{i}.wav" for i in range(5)))
    found = {
        split: [one.text for one in utterances_of(corpus, tmp_path / "data", split, allow_skipped=1)]
        for split in SPLITS
    }
    assert found == {"train": ["train"], "dev": ["Validation"], "test": ["test"]}
    said = capsys.readouterr().err
    assert "metadata.csv:5: skipped: neither its column" in said
    assert "metadata.csv:6: skipped: neither its column" in said


def test_a_table_of_no_split_beside_those_of_splits(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    for name in ("train", "TestSet", "development"):
        folder_of(tmp_path / "corpus" / name, "metadata.csv", f"file_name,text\na.wav,{name}\n", "a.wav")
    assert [one.text for one in utterances_of(tmp_path / "corpus", tmp_path / "data", allow_skipped=1)] == ["train"]
    assert "TestSet/metadata.csv:2: skipped: neither its column" in capsys.readouterr().err
    assert [one.text for one in read_manifest(manifest_path(tmp_path / "data", "de", "dev"))] == ["development"]


def test_a_split_that_is_a_link_to_another_is_read_as_both(tmp_path: Path):
    folder_of(tmp_path / "corpus" / "train", "metadata.csv", "file_name,text\na.wav,ja\n", "a.wav")
    (tmp_path / "corpus" / "test").symlink_to("train")
    assert [one.id for one in utterances_of(tmp_path / "corpus", tmp_path / "data")] == ["train-a"]
    assert [one.id for one in read_manifest(manifest_path(tmp_path / "data", "de", "test"))] == ["test-a"]


def test_tables_beside_parquet_files_are_refused(tmp_path: Path):
    corpus = parquet_folder(tmp_path / "corpus", declared=True)
    folder_of(corpus / "train", "metadata.csv", "file_name,text\na.wav,ja\n", "a.wav")
    with pytest.raises(InputError, match="tables of two kinds"):
        make_manifests(CORPUS, corpus, tmp_path / "data", ["de"])


def test_paths_that_differ_by_what_lies_above_have_ids_of_their_own(tmp_path: Path):
    rows = "file_name,text\na.wav,inside\n../a.wav,outside\n"
    corpus = folder_of(tmp_path / "corpus", "metadata.csv", rows, "a.wav")
    write_tone(tmp_path / "a.wav", 0.5)
    assert [(one.id, one.text) for one in utterances_of(corpus, tmp_path / "data", audio_in=[tmp_path])] == [
        ("a.wav", "inside"),
        ("../a.wav", "outside"),
    ]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"file_name,text\r0.wav,ja\r", "a carriage return alone(.|\n)*tr '"),
        (b"file_name;text\n0.wav;ja\n", "one name: file_name;text(.|\n)*put ','"),
        ("file_name,text\n0.wav,ja\n".encode("utf-32"), "iconv -f UTF-32 "),
        ("file_name,text\n0.wav,čí\n".encode("utf-16-le"), "iconv -f UTF-16LE "),
    ],
)
def test_a_table_of_another_form_is_refused_with_its_remedy(content: bytes, message: str, tmp_path: Path):
    corpus = folder_of(tmp_path / "corpus", "metadata.csv", "", "0.wav")
    (corpus / "metadata.csv").write_bytes(content)
    with pytest.raises(InputError, match=message):
        make_manifests(CORPUS, corpus, tmp_path / "data", ["de"])


def test_a_column_of_splits_in_a_parquet_file_is_not_passed_over(tmp_path: Path):
    import pyarrow
    from pyarrow import parquet

    corpus = folder_of(tmp_path / "corpus", "empty.txt", "", "0.wav", "1.wav")
    table = {"file_name": ["0.wav", "1.wav"], "text": ["ja", "nein"], "split": ["train", "test"]}
    parquet.write_table(pyarrow.table(table), corpus / "metadata.parquet")
    with pytest.raises(InputError, match="its column 'split' names rows of other splits"):
        make_manifests(CORPUS, corpus, tmp_path / "data", ["de"])
