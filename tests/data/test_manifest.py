import datetime
import json
import os
import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from speech_mtl.data import manifest as manifest_module
from speech_mtl.data.manifest import Line, manifest_path, open_manifest, read_manifest, write_manifest
from speech_mtl.datatypes import Utterance
from speech_mtl.errors import InputError
from speech_mtl.files import lines_or_errors

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


# --- the index


@pytest.fixture
def spoken(tmp_path) -> Path:
    """Five utterances with all that a line can hold."""
    labels = ({}, {"mood": "sad", "speed": 1.5}, {"times": [[0.5, None]], "none": None}, {"odd": float("nan")}, {})
    records = [
        GOOD | {"id": f"u{i}", "text": text, "duration_s": 1.23456789 + i, "labels": own}
        for i, (text, own) in enumerate(zip(('a\u2028"\n', None, "č", "", "\x1c"), labels, strict=True))
    ]
    records[1] |= {"audio": "/elsewhere/b.wav", "speaker": "s", "language": "sk"}
    return lines(tmp_path / "train.jsonl", *records)


def test_an_index_gives_what_the_manifest_says(tmp_path, spoken):
    expected, manifest = list(read_manifest(spoken)), open_manifest(spoken, tmp_path / "cache")
    for opened in (manifest, open_manifest(spoken, tmp_path / "cache")):
        assert list(map(repr, opened.at(range(5)))) == list(map(repr, expected)), "repr, as nan is not itself"
        assert [u.id for u in opened.at([1, 4])] == ["u1", "u4"]
        assert [u.id for u in opened.at(np.array([0, 3, 5, 9]))] == ["u0", "u3"], "there are none beyond the last"
        assert (len(opened), str(opened)) == (5, str(spoken))
        assert opened.durations_s == [u.duration_s for u in expected]
        assert opened.languages == {"cs": 0, "sk": 1}
        assert len(set(opened.digests)) == 5


def test_a_manifest_is_parsed_once_for_each_content(tmp_path, spoken, monkeypatch):
    parsed: list[str] = []

    def counting(path, *arguments):
        for where, line in lines_or_errors(path, *arguments):
            parsed.append(where)
            yield where, line

    monkeypatch.setattr(manifest_module, "lines_or_errors", counting)
    for _ in range(3):
        list(open_manifest(spoken, tmp_path / "cache").at(range(5)))
    assert parsed == [f"{spoken}:{i + 1}" for i in range(5)]
    status = spoken.stat()
    spoken.write_text(spoken.read_text().replace("\\u010d", "\\u0161"))  # of the same size
    os.utime(spoken, ns=(status.st_atime_ns, status.st_mtime_ns))
    assert [u.text for u in open_manifest(spoken, tmp_path / "cache").at([2])] == ["š"]
    assert len(parsed) == 10


def test_copies_share_an_index_and_find_their_own_audio(tmp_path, spoken):
    copy = tmp_path / "elsewhere" / "dev.jsonl"
    copy.parent.mkdir()
    copy.write_bytes(spoken.read_bytes())
    for path in (spoken, copy):
        (utterance,) = open_manifest(path, tmp_path / "cache").at([0])
        assert utterance.audio == path.parent / "audio/u1.flac"
        assert utterance.source == f"{path}:1"
    assert len(list((tmp_path / "cache").iterdir())) == 2


def test_digests_are_of_what_is_said_and_not_of_where_the_audio_lies(tmp_path):
    def digest(**changes) -> int:
        path = lines(tmp_path / "train.jsonl", GOOD | {"speaker": "s", "labels": {"a": 1, "b": 2}} | changes)
        return open_manifest(path, tmp_path / "cache").digests[0]

    same = [digest(), digest(audio="moved.wav"), digest(labels={"b": 2, "a": 1}), digest(duration_s=1.250001)]
    others = [
        *(digest(**{key: "other"}) for key in ("id", "language", "text", "speaker")),
        *(digest(text=None), digest(speaker=None), digest(labels={"a": 1}), digest(duration_s=1.251)),
    ]
    assert same == [1272332273838188969] * 4, "runs of earlier versions have written it down"
    assert len({same[0], *others}) == 9


@pytest.mark.parametrize("suffix", [".index", ".json"])
@pytest.mark.parametrize(
    "damage", [lambda _: b"", lambda held: held[:-9], lambda held: held.replace(b"cs", b"sk"), lambda _: b"{}", None]
)
def test_a_damaged_index_is_made_anew_with_a_message(suffix, damage, tmp_path, spoken, caplog):
    expected = list(map(repr, open_manifest(spoken, tmp_path / "cache").at(range(5))))
    (path,) = (tmp_path / "cache").glob(f"*{suffix}")
    whole = path.read_bytes()
    path.write_bytes(damage(whole)) if damage else path.unlink()
    opened = open_manifest(spoken, tmp_path / "cache")
    assert list(map(repr, opened.at(range(5)))) == expected
    if damage or suffix == ".index":  # a part without a head is of a writer that was stopped
        (message,) = caplog.messages
        assert "parsed anew" in message
        assert path.stem in message
    assert path.read_bytes() == whole


def test_an_index_that_is_damaged_while_it_is_read(tmp_path, spoken):
    opened = open_manifest(spoken, tmp_path / "cache")
    (path,) = (tmp_path / "cache").glob("*.index")
    path.write_bytes(path.read_bytes()[:-9])
    assert [u.id for u in opened.at([0, 3])] == ["u0", "u3"]
    with pytest.raises(InputError, match=r"index .* is damaged"):
        list(opened.at([0, 4]))


def test_a_manifest_that_changes_while_it_is_parsed_is_refused(tmp_path, spoken, monkeypatch):
    def changing(path, *arguments):
        yield from lines_or_errors(path, *arguments)
        with path.open("a") as file:
            file.write(json.dumps(GOOD | {"id": "u9"}) + "\n")

    monkeypatch.setattr(manifest_module, "lines_or_errors", changing)
    with pytest.raises(InputError, match="changed while it was read"):
        open_manifest(spoken, tmp_path / "cache")
    assert list((tmp_path / "cache").iterdir()) == []
    monkeypatch.undo()
    assert len(open_manifest(spoken, tmp_path / "cache")) == 6


def test_a_broken_manifest_leaves_no_index(tmp_path, spoken):
    with spoken.open("a") as file:
        file.write("{\n")
    with pytest.raises(InputError, match=r"train\.jsonl:6: not JSON"):
        open_manifest(spoken, tmp_path / "cache")
    assert list((tmp_path / "cache").iterdir()) == []
    with pytest.raises(InputError, match="There is no manifest"):
        open_manifest(tmp_path / "none.jsonl", tmp_path / "other")
    assert not (tmp_path / "other").exists()


def test_the_page_on_data_lists_the_fields_of_a_line():
    page = (Path(__file__).parents[2] / "docs" / "data.md").read_text(encoding="utf-8")
    told = dict(re.findall(r"^\| `(\w+)` \| (yes|no) \|", page, re.MULTILINE))
    assert told == {name: "yes" if name in Line.__required_keys__ else "no" for name in Line.__annotations__}
