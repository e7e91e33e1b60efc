import datetime
import json
import re
from dataclasses import replace
from pathlib import Path

import pytest

from speech_mtl.data.manifest import Line, manifest_path, read_manifest, write_manifest
from speech_mtl.datatypes import Utterance
from speech_mtl.errors import InputError

GOOD = {"id": "u1", "audio": "audio/u1.flac", "language": "cs", "text": "Příliš žluťoučký", "duration_s": 1.25}


def lines(path: Path, *records: object) -> Path:
    """Writes records as JSON, and strings as they are."""
    path.write_text("".join((r if isinstance(r, str) else json.dumps(r)) + "\n" for r in records), encoding="utf-8")
    return path


def test_round_trip(tmp_path):
    path = manifest_path(tmp_path / "corpus", "zh-CN", "dev")
    assert path == tmp_path / "corpus" / "zh-CN" / "dev.jsonl"
    inside = Utterance(
        "a", tmp_path / "corpus" / "zh-CN" / "audio" / "a.mp3", "zh-CN", '你好，\u2028世界 "x"\n', 1.5, "s1"
    )
    outside = Utterance("b", tmp_path / "elsewhere" / "b.wav", "zh-CN", "", 2.25)
    assert write_manifest(path, iter([inside, outside])) == 2

    read = list(read_manifest(path))
    assert [u.source for u in read] == [f"{path}:1", f"{path}:2"]
    assert [replace(u, source="", audio=u.audio.resolve()) for u in read] == [inside, outside]
    assert [entry.name for entry in path.parent.iterdir()] == ["dev.jsonl"], "nothing temporary stays"

    stored = [json.loads(line)["audio"] for line in path.read_text(encoding="utf-8").split("\n")[:-1]]
    assert stored == ["audio/a.mp3", str(outside.audio)]


def test_a_corpus_can_be_moved(tmp_path):
    path = manifest_path(tmp_path / "old", "cs", "train")
    write_manifest(path, [Utterance("a", tmp_path / "old" / "shared_audio" / "a.wav", "cs", "x", 1.0)])
    (tmp_path / "old").rename(tmp_path / "new")
    (moved,) = read_manifest(manifest_path(tmp_path / "new", "cs", "train"))
    assert moved.audio.resolve() == tmp_path / "new" / "shared_audio" / "a.wav"


def test_a_failed_write_leaves_the_old_manifest(tmp_path):
    path = manifest_path(tmp_path, "cs", "train")
    write_manifest(path, [Utterance("a", tmp_path / "a.wav", "cs", "x", 1.0)])

    def failing():
        yield Utterance("b", tmp_path / "b.wav", "cs", "x", 1.0)
        raise OSError("the disk is full")

    with pytest.raises(OSError, match="the disk is full"):
        write_manifest(path, failing())
    assert [u.id for u in read_manifest(path)] == ["a"]
    assert [entry.name for entry in path.parent.iterdir()] == ["train.jsonl"]


UNREADABLE = {
    "duration of nothing": {"duration_s": 4e-5},
    "duration that is no number": {"duration_s": float("nan")},
    "half a letter": {"id": "a\ud800"},
    "half a letter in a label": {"labels": {"mood": "\udcff"}},
    "name that is not UTF-8": {"audio": Path("a\udce8.wav")},
    "label that is a date": {"labels": {"day": datetime.date(2020, 1, 1)}},
    "label that is no number": {"labels": {"age": float("inf")}},
}


@pytest.mark.parametrize("case", UNREADABLE)
def test_nothing_is_written_that_could_not_be_read(case, tmp_path):
    path = manifest_path(tmp_path, "cs", "train")
    good = Utterance("a", tmp_path / "a.wav", "cs", "x", 1.0, source="table.tsv:7")
    with pytest.raises(InputError, match=r"table\.tsv:7"):
        write_manifest(path, [good, replace(good, **({"id": "b"} | UNREADABLE[case]))])
    assert not list(path.parent.iterdir())


BAD_LINES = {
    "not JSON": '{"id": "u2",',
    "empty": "",
    "list": [1, 2],
    "word": '"word"',
    **{f"no {field}": {k: v for k, v in GOOD.items() if k != field} for field in GOOD},
    "id is a number": GOOD | {"id": 7},
    "text is a list": GOOD | {"id": "u2", "text": ["a"]},
    "labels are a list": GOOD | {"id": "u2", "labels": ["calm"]},
    "duration is text": GOOD | {"id": "u2", "duration_s": "1.25"},
    "duration is negative": GOOD | {"id": "u2", "duration_s": -1.0},
    "duration is zero": GOOD | {"id": "u2", "duration_s": 0},
    "duration is not a number": GOOD | {"id": "u2", "duration_s": float("nan")},
    "duration is infinite": GOOD | {"id": "u2", "duration_s": float("inf")},
    "duration is too much": GOOD | {"id": "u2", "duration_s": 1e12},
    "id is empty": GOOD | {"id": ""},
    "duration is true": GOOD | {"id": "u2", "duration_s": True},
    "speaker is a number": GOOD | {"id": "u2", "speaker": 3},
    "duplicate": GOOD,
}


@pytest.mark.parametrize("case", BAD_LINES)
def test_bad_line(case, tmp_path):
    path = lines(tmp_path / "train.jsonl", GOOD, GOOD | {"id": "u0", "speaker": None}, BAD_LINES[case])
    with pytest.raises(InputError) as caught:
        list(read_manifest(path))
    assert f"{path}:3" in caught.value.problem
    if case.startswith("no "):
        assert case.removeprefix("no ") in caught.value.problem
    if case == "duplicate":
        assert "u1" in caught.value.problem


def test_bytes_that_are_not_utf8(tmp_path):
    path = tmp_path / "train.jsonl"
    record = json.dumps(GOOD, ensure_ascii=False)
    path.write_bytes(record.encode() + b"\n" + record.encode("cp1250") + b"\n")
    with pytest.raises(InputError) as caught:
        list(read_manifest(path))
    assert f"{path}:2" in caught.value.problem
    assert "UTF-8" in caught.value.problem


def test_windows_line_ends(tmp_path):
    path = tmp_path / "train.jsonl"
    path.write_bytes(json.dumps(GOOD).encode() + b"\r\n")
    assert [u.text for u in read_manifest(path)] == [GOOD["text"]]


def test_missing_and_empty(tmp_path):
    with pytest.raises(InputError, match=r"no manifest .*train\.jsonl"):
        list(read_manifest(tmp_path / "train.jsonl"))
    with pytest.raises(InputError, match=r"train\.jsonl is empty"):
        list(read_manifest(lines(tmp_path / "train.jsonl")))


def test_an_empty_speaker_is_an_unknown_one(tmp_path):
    path = lines(tmp_path / "train.jsonl", GOOD | {"speaker": ""})
    assert [u.speaker for u in read_manifest(path)] == [None]


@pytest.mark.parametrize("twice", ['"text": "x", "text": "y"', '"text": "x", "labels": {"a": {"b": 1, "b": 2}}'])
def test_a_field_that_comes_twice_is_refused(twice, tmp_path):
    path = tmp_path / "train.jsonl"
    path.write_text(f'{{"id": "u", "audio": "a.wav", "language": "cs", "duration_s": 1, {twice}}}\n')
    with pytest.raises(InputError, match=r"train\.jsonl:1: the field '(text|b)' comes twice"):
        list(read_manifest(path))


def test_round_trip_of_labels_through_a_manifest(tmp_path):
    labels = {
        "mood": "šťastný",
        "age": 31.5,
        "sounds": {"music": 1, "cough": None},
        "none": None,
        "phones": {"end_s": [0.6, 1.0], "voiced": [0, 1]},
    }
    path = tmp_path / "corpus" / "cs" / "train.jsonl"
    whole = Utterance("u0", Path("a.wav"), "cs", "ahoj", 1.0, "s1")
    path.parent.mkdir(parents=True)
    write_manifest(
        path, [replace(whole, labels=labels, text=None), replace(whole, id="u1", speaker=None), replace(whole, id="u2")]
    )
    one, other, third = read_manifest(path)
    assert (one.text, one.labels, one.speaker) == (None, labels, "s1")
    assert (other.text, other.labels, other.speaker) == ("ahoj", {}, None)
    assert third.labels == {}
    records = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
    assert ["labels" in record for record in records] == [True, False, False]
    assert records[0]["text"] is None


def test_labels_in_manifests_are_objects(tmp_path):
    record = {"id": "u", "audio": "a.wav", "language": "cs", "text": None, "duration_s": 1.0}
    path = tmp_path / "train.jsonl"
    path.write_text(json.dumps(record | {"labels": None}), encoding="utf-8")
    (read,) = read_manifest(path)
    assert (read.text, read.labels) == (None, {})
    for wrong in (["sad"], "sad", 1, True):
        path.write_text(json.dumps(record | {"labels": wrong}), encoding="utf-8")
        with pytest.raises(InputError, match=r"train\.jsonl:1: the field 'labels' is not right\nExp.*an object"):
            list(read_manifest(path))


def test_the_page_on_data_lists_the_fields_of_a_line():
    page = (Path(__file__).parents[2] / "docs" / "data.md").read_text(encoding="utf-8")
    told = dict(re.findall(r"^\| `(\w+)` \| (yes|no) \|", page, re.MULTILINE))
    assert told == {name: "yes" if name in Line.__required_keys__ else "no" for name in Line.__annotations__}
