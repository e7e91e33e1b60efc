"""Tar archives of utterances: what is damaged or lacks its text or audio is named, and nothing is lost in silence."""

import io
import tarfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile

from data_scripts.command_line import make_manifests
from data_scripts.shards import read_shard
from data_scripts.webdataset import CORPUS
from speech_mtl.data.audio import read_audio
from speech_mtl.data.manifest import manifest_path, read_manifest
from speech_mtl.datatypes import Utterance
from speech_mtl.errors import InputError


@pytest.fixture(scope="module")
def tone() -> bytes:
    """A WAV file of half a second."""
    file = io.BytesIO()
    soundfile.write(file, np.full(8000, 0.1), 16_000, format="WAV")
    return file.getvalue()


def write_tar(path: Path, members: Mapping[str, bytes], links: Mapping[str, str] | None = None) -> Path:
    """Writes a tar; hard links by their names, with what they lead to."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with tarfile.open(path, "w") as tar:
        for name, content in members.items():
            member = tarfile.TarInfo(name)
            member.size = len(content)
            tar.addfile(member, io.BytesIO(content))
        for name, target in (links or {}).items():
            link = tarfile.TarInfo(name)
            link.type, link.linkname = tarfile.LNKTYPE, target
            tar.addfile(link)
    return path


def made(corpus: Path, **options: Any) -> tuple[dict[str, Utterance], dict[str, int]]:
    """The training utterances by id, and what was skipped."""
    data_dir = corpus.parent / "data"
    summary, *_ = make_manifests(CORPUS, corpus, data_dir, ["de"], allow_skipped=0.99, overwrite=True, **options)
    return {one.id: one for one in read_manifest(manifest_path(data_dir, "de", "train"))}, summary.skipped


@pytest.mark.parametrize("fault", ["cut between members", "cut in a member", "a damaged header", "without its end"])
def test_an_archive_that_does_not_end_as_a_tar_is_refused_by_name(fault: str, tone: bytes, tmp_path: Path):
    members = {f"{i}.{kind}": content for i in range(9) for kind, content in (("wav", tone), ("txt", b"text"))}
    shard = write_tar(tmp_path / "corpus" / "train-0.tar", members)
    with tarfile.open(shard) as tar:
        sixth, last = tar.getmembers()[6], tar.getmembers()[-1]
    whole = shard.read_bytes()
    damaged = {
        "cut between members": whole[: sixth.offset],
        "cut in a member": whole[: sixth.offset_data + 99],
        "a damaged header": whole[: sixth.offset] + b"x" * 512 + whole[sixth.offset_data :],
        "without its end": whole[: last.offset_data + 512],
    }
    shard.write_bytes(damaged[fault])
    with pytest.raises(InputError, match=r"train-0\.tar is cut short or damaged"):
        made(tmp_path / "corpus")


def test_an_empty_archive_is_whole(tmp_path: Path):
    assert read_shard(write_tar(tmp_path / "a.tar", {})) == ({}, True)


def test_hard_links_are_the_files_that_they_lead_to(tone: bytes, tmp_path: Path):
    members = {"./a.wav": tone, "a.txt": b"one", "b.txt": b"two"}
    write_tar(tmp_path / "corpus" / "train-0.tar", members, links={"b.wav": "./a.wav"})
    found, skipped = made(tmp_path / "corpus")
    assert not skipped
    assert [(id, one.text) for id, one in found.items()] == [("train-0/a", "one"), ("train-0/b", "two")]
    assert len(read_audio(found["train-0/b"].audio, 16_000)) == 8000


def test_texts_without_audio_are_counted_once(tone: bytes, tmp_path: Path):
    texts = {"b.pcm": tone, "b.txt": b"x", "c.json": b"{}", "c.txt": b"x", "d.json": b"{}"}
    write_tar(tmp_path / "corpus" / "train-0.tar", {"a.wav": tone, "a.txt": b"x", **texts})
    found, skipped = made(tmp_path / "corpus")
    assert (list(found), skipped) == (["train-0/a"], {"no audio": 3})


def test_fields_that_hold_no_text(tone: bytes, tmp_path: Path):
    fields = [b'["x"]', b'{"raw": "x"}', b"true", b"null", b"7"]
    members = {f"{i}.json": b'{"text": %s}' % field for i, field in enumerate(fields)}
    speaker = {"5.json": b'{"text": "x", "speaker": ["ann"]}'}
    sound = {f"{i}.wav": tone for i in range(6)}
    write_tar(tmp_path / "corpus" / "train-0.tar", {**members, **speaker, **sound})
    found, skipped = made(tmp_path / "corpus")
    assert {id: one.text for id, one in found.items()} == {"train-0/4": "7"}
    assert skipped == {"no text in a field": 4, "without text": 1}


def test_another_text_does_not_stand_in_for_a_field_that_was_asked_for(tone: bytes, tmp_path: Path):
    members = {"a.json": b'{"raw": "Raw."}', "b.json": b'{"row": "Raw."}', "a.txt": b"norm", "b.txt": b"norm"}
    write_tar(tmp_path / "corpus" / "train-0.tar", {**members, "a.wav": tone, "b.wav": tone})
    found, skipped = made(tmp_path / "corpus", text_field="raw")
    assert ({id: one.text for id, one in found.items()}, skipped) == ({"train-0/a": "Raw."}, {"without text": 1})
    found, skipped = made(tmp_path / "corpus")
    assert [one.text for one in found.values()] == ["norm", "norm"]


def test_archives_of_one_name_in_several_folders_have_ids_of_their_own(tone: bytes, tmp_path: Path):
    for folder in ("read", "told"):
        write_tar(tmp_path / "corpus" / "train" / folder / "0.tar", {"a.wav": tone, "a.txt": folder.encode()})
    found, skipped = made(tmp_path / "corpus")
    assert not skipped
    assert {id: one.text for id, one in found.items()} == {"train/read/0/a": "read", "train/told/0/a": "told"}


def test_an_archive_beside_others_whose_name_tells_no_split_is_counted(tone: bytes, tmp_path: Path):
    for name in ("extra-0.tar", "train-0.tar"):
        write_tar(tmp_path / "corpus" / name, {"a.wav": tone, "a.txt": b"x"})
    found, skipped = made(tmp_path / "corpus")
    assert (list(found), skipped) == (["train-0/a"], {"no split": 1})
