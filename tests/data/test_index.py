"""Indexes of manifests: against the manifests themselves, and damaged, out of date and of other content."""

import codecs
import gzip
import json
import os
from pathlib import Path

import numpy as np
import pytest

from speech_mtl.data import index as index_module
from speech_mtl.data import manifest as manifest_module
from speech_mtl.data.index import open_manifest
from speech_mtl.data.manifest import read_manifest
from speech_mtl.errors import InputError
from speech_mtl.files import lines_or_errors

GOOD = {"id": "u1", "audio": "audio/u1.flac", "language": "cs", "text": "Příliš žluťoučký", "duration_s": 1.25}


def lines(path: Path, *records: dict) -> Path:
    path.write_text("".join(json.dumps(record) + "\n" for record in records), encoding="utf-8")
    return path


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


@pytest.mark.parametrize("form", ["as written", "with a mark", "of Windows", "without an end"])
def test_an_index_gives_what_the_manifest_says(form, tmp_path, spoken):
    content = spoken.read_bytes()
    forms = {"with a mark": codecs.BOM_UTF8 + content, "of Windows": content.replace(b"\n", b"\r\n")}
    spoken.write_bytes({**forms, "without an end": content[:-1]}.get(form, content))
    expected, manifest = list(read_manifest(spoken)), open_manifest(spoken, tmp_path / "cache")
    for opened in (manifest, open_manifest(spoken, tmp_path / "cache")):
        assert list(map(repr, opened.at(range(5)))) == list(map(repr, expected)), "repr, as nan is not itself"
        assert [u.id for u in opened.at([4, 1, 1])] == ["u4", "u1", "u1"]
        assert [u.id for u in opened.at(np.array([0, 3, 5, 9]))] == ["u0", "u3"], "there are none beyond the last"
        assert (len(opened), str(opened)) == (5, str(spoken))
        assert opened.durations_s.tolist() == [u.duration_s for u in expected]
        assert opened.transcribed.tolist() == [u.text is not None for u in expected]
        assert opened.languages == {"cs": 0, "sk": 1}
        assert len(set(opened.digests.tolist())) == 5


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


def test_copies_have_indexes_and_audio_of_their_own(tmp_path, spoken):
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
        return int(open_manifest(path, tmp_path / "cache").digests[0])

    same = [digest(), digest(audio="moved.wav"), digest(labels={"b": 2, "a": 1}), digest(duration_s=1.250001)]
    others = [
        *(digest(**{key: "other"}) for key in ("id", "language", "text", "speaker")),
        *(digest(text=None), digest(speaker=None), digest(labels={"a": 1}), digest(duration_s=1.251)),
    ]
    assert same == [1272332273838188969] * 4, "runs of earlier versions have written it down"
    assert len({same[0], *others}) == 9


DAMAGES = {
    "emptied": lambda _: b"",
    "cut short": lambda held: held[:-9],
    "cut to its beginning": lambda held: held[:300],
    "another language": lambda held: held.replace(b'"cs"', b'"sk"'),
    "another number": lambda held: held[:-700] + bytes([held[-700] ^ 1]) + held[-699:],
    "an object": lambda _: b"{}",
}


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_damaged_index_is_made_anew_with_a_message(damage, tmp_path, spoken, caplog):
    expected = list(map(repr, open_manifest(spoken, tmp_path / "cache").at(range(5))))
    (path,) = (tmp_path / "cache").iterdir()
    whole = path.read_bytes()
    damaged = DAMAGES[damage](whole)
    assert damaged != whole
    path.write_bytes(damaged)
    opened = open_manifest(spoken, tmp_path / "cache")
    assert list(map(repr, opened.at(range(5)))) == expected
    (message,) = caplog.messages
    assert "parsed anew" in message
    assert path.stem in message
    assert len(path.read_bytes()) == len(whole)


def test_an_index_of_another_manifest_is_not_used(tmp_path, spoken, caplog):
    other = lines(tmp_path / "other.jsonl", *(GOOD | {"id": f"v{i}"} for i in range(5)))
    for path, cache in ((spoken, "cache"), (other, "other")):
        open_manifest(path, tmp_path / cache)
    ((own,), (strange,)) = ((tmp_path / cache).iterdir() for cache in ("cache", "other"))
    own.write_bytes(strange.read_bytes())
    assert [u.id for u in open_manifest(spoken, tmp_path / "cache").at(range(5))] == ["u0", "u1", "u2", "u3", "u4"]
    assert "parsed anew" in caplog.text


@pytest.mark.parametrize("change", ["other letters", "cut short"])
def test_a_manifest_that_changes_after_it_was_opened(change, tmp_path, spoken):
    opened = open_manifest(spoken, tmp_path / "cache")
    content = spoken.read_bytes()
    spoken.write_bytes(content.replace(b"u4", b"v4") if change == "other letters" else content[:-9])
    assert [u.id for u in opened.at([3, 0])] == ["u3", "u0"]
    with pytest.raises(InputError, match=r"train\.jsonl:5 changed while it was read"):
        list(opened.at([0, 4]))
    assert not list((tmp_path / "cache").iterdir()), "nor is the index used again, were the times of the file the same"


def test_a_manifest_that_changes_while_it_is_parsed_is_refused(tmp_path, spoken, monkeypatch):
    def changing(path, *arguments):
        yield from lines_or_errors(path, *arguments)
        with path.open("a") as file:
            file.write(json.dumps(GOOD | {"id": "u9"}) + "\n")

    monkeypatch.setattr(manifest_module, "lines_or_errors", changing)
    with pytest.raises(InputError, match="changed while it was read"):
        open_manifest(spoken, tmp_path / "cache")
    assert not (tmp_path / "cache").exists()
    monkeypatch.undo()
    assert len(open_manifest(spoken, tmp_path / "cache")) == 6


def test_a_broken_manifest_leaves_no_index(tmp_path, spoken):
    with spoken.open("a") as file:
        file.write("{\n")
    with pytest.raises(InputError, match=r"train\.jsonl:6: not JSON"):
        open_manifest(spoken, tmp_path / "cache")
    with pytest.raises(InputError, match="There is no manifest"):
        open_manifest(tmp_path / "none.jsonl", tmp_path / "cache")
    with gzip.open(tmp_path / "train.jsonl.gz", "wb") as file:
        file.write(spoken.read_bytes())
    with pytest.raises(InputError, match=r"is compressed\n[^\0]*gunzip"):
        open_manifest(tmp_path / "train.jsonl.gz", tmp_path / "cache")
    assert not (tmp_path / "cache").exists()


@pytest.mark.parametrize(("encoding", "told"), [("utf-16", "iconv -f UTF-16 "), ("cp1250", "iconv -f CP1250 ")])
def test_a_manifest_in_another_encoding_is_refused(encoding, told, tmp_path):
    path = tmp_path / "train.jsonl"
    path.write_bytes((json.dumps(GOOD, ensure_ascii=False) + "\n").encode(encoding))
    with pytest.raises(InputError, match=r"train\.jsonl:1: not UTF-8") as caught:
        open_manifest(path, tmp_path / "cache")
    assert told in caught.value.action


def test_two_corpora_with_one_id_cannot_be_one_manifest_but_two(tmp_path):
    """Such as `cat a.jsonl b.jsonl > train.jsonl`."""
    one, other = ([GOOD | {"id": f"{name}{i}"} for i in range(3)] for name in "uv")
    other[1] = GOOD | {"id": "u2", "audio": "another.wav"}
    with pytest.raises(InputError, match=r"train\.jsonl:5: the id 'u2' comes twice\n.*unique within a manifest"):
        open_manifest(lines(tmp_path / "train.jsonl", *one, *other), tmp_path / "cache")
    for name, records in (("a", one), ("b", other)):
        assert len(open_manifest(lines(tmp_path / f"{name}.jsonl", *records), tmp_path / "cache")) == 3


def test_ids_are_unique_and_those_of_one_hash_are_compared_exactly(tmp_path, monkeypatch):
    """As if all ids had one of three hashes."""
    monkeypatch.setattr(index_module, "hash", lambda name: int(name[1:]) % 3, raising=False)
    records = [GOOD | {"id": f"u{i}"} for i in range(20)]
    assert len(open_manifest(lines(tmp_path / "train.jsonl", *records), tmp_path / "cache")) == 20
    records[17] = records[5]
    with pytest.raises(InputError, match=r"train\.jsonl:18: the id 'u5' comes twice"):
        open_manifest(lines(tmp_path / "train.jsonl", *records), tmp_path / "cache")
