import io
import math
import struct
from pathlib import Path

import numpy as np
import pytest
import soundfile

from speech_mtl.data import containers
from speech_mtl.data.containers import Source, announced_size, mp3_tells_its_length

SLACK = {"VOC": 1, "CAF": 1}
"""Bytes behind the sound: a terminator, or one that fills a chunk to an even length."""


def announced(content: bytes) -> float | None:
    return announced_size(Source(io.BytesIO(content)))


def taken(path: Path, **kwargs) -> bytes:
    samples = np.random.default_rng(0).uniform(-0.5, 0.5, (3001, kwargs.pop("channels", 1)))
    soundfile.write(path, samples, 16_000, **kwargs)
    return path.read_bytes()


KINDS = ["WAV", "WAVEX", "AIFF", "AU", "CAF", "RF64", "W64", "SVX", "VOC", "NIST"]
LAYOUTS = [
    (kind, endian, channels)
    for kind in KINDS
    for endian in ("FILE", "LITTLE", "BIG")
    if soundfile.check_format(kind, "PCM_16", endian)
    for channels in ((1,) if kind == "SVX" else (1, 2))
]


@pytest.mark.parametrize(("kind", "endian", "channels"), LAYOUTS)
def test_a_whole_file_ends_where_it_says(kind, endian, channels, tmp_path):
    content = taken(tmp_path / "a", format=kind, subtype="PCM_16", endian=endian, channels=channels)
    end = announced(content)
    assert end is not None
    assert 0 <= len(content) - end <= SLACK.get(kind, 0)
    assert announced(content[: len(content) // 2]) == end
    tag = b"ID3\x03\x00\x00\x00\x00\x02\x01" + bytes(257)
    assert announced(tag + content) == end


def riff(*chunks: tuple[bytes, bytes], kind: bytes = b"RIFF", order: str = "<") -> bytes:
    size = struct.Struct(f"{order}I")
    body = b"".join(name + size.pack(len(sound)) + sound + bytes(len(sound) % 2) for name, sound in chunks)
    return kind + size.pack(4 + len(body)) + b"WAVE" + body


def test_chunks_lie_at_even_places():
    before = ((b"fmt ", bytes(16)), (b"LIST", b"abc"), (b"data", bytes(100)))
    content = riff(*before, (b"id3 ", bytes(31)))
    assert announced(content) == len(riff(*before))
    assert announced(riff(*before, kind=b"RIFX", order=">")) == len(riff(*before))


def test_a_header_that_is_itself_cut():
    voc, nist = b"Creative Voice File\x1a", b"NIST_1A\n   1024\nsample_count"
    for content in (b".snd", b".snd\0\0\0\x18\0", voc, nist, b"OggS"):
        assert announced(content) == math.inf


@pytest.mark.parametrize("head", [b"\xf0\x7e", b"\x01\x04"])
def test_samples_without_a_header_are_whole_whatever_they_begin_with(head):
    assert announced(head + bytes(1000)) is None


def test_sphere_counts_samples_of_one_channel():
    fields = b"NIST_1A\n   1024\nsample_count -i 500\nchannel_count -i 2\nsample_n_bytes -i 2\nend_head\n"
    assert announced(fields.ljust(1024)) == 1024 + 500 * 2 * 2
    assert announced(fields.replace(b"sample_count", b"sample_krount").ljust(1024)) is None


def test_sphere_that_is_compressed_is_named_so():
    fields = b"NIST_1A\n   1024\nsample_count -i 500\nsample_coding -s26 pcm,embedded-shorten-v2.00\nend_head\n"
    with pytest.raises(ValueError, match=r"coded as pcm,embedded-shorten-v2\.00; decode it: sph2pipe"):
        announced(fields.ljust(1024) + bytes(100))
    plain = fields.replace(b"pcm,embedded-shorten-v2.00", b"pcm")
    assert announced(plain.ljust(1024) + bytes(100)) == 1024 + 500


def test_all_blocks_of_a_voc_file_count():
    head = b"Creative Voice File\x1a" + struct.pack("<3H", 26, 0x114, 0x111F)
    blocks = b"\x01\x0c\x00\x00" + bytes(12), b"\x05\x03\x00\x00abc", b"\x02\x14\x00\x00" + bytes(20)
    whole = head + b"".join(blocks) + b"\x00"
    assert announced(whole) == announced(whole[:-10]) == len(whole) - 1


def test_a_file_of_nothing_but_chunks_is_refused(monkeypatch):
    monkeypatch.setattr(containers, "MOST_CHUNKS", 100)
    with pytest.raises(ValueError, match="more than 100 chunks"):
        announced(riff(*[(b"LIST", b"")] * 200))
    page = b"OggS\0\2" + bytes(20) + b"\0"
    with pytest.raises(ValueError, match="more than 100 pages"):
        announced(page * 200)


@pytest.mark.parametrize(
    ("front", "told"),
    [
        (b"Xing\0\0\0\x0f\0\0\0\x8d", True),
        (b"Info\0\0\0\x01\0\0\0\x8d", True),
        (b"Xing\0\0\0\x0f\0\0\0\0", False),  # the writer could not go back to fill it in
        (b"Xing\0\0\0\x0e\0\0\0\x8d", False),  # the number is of bytes
        (b"VBRI\0\1\0\0\0\0" + b"\0\1\2\3" + b"\0\0\0\x8d", True),
        (b"", False),
    ],
)
def test_whether_an_mp3_tells_its_length(front, told):
    assert mp3_tells_its_length(Source(io.BytesIO(b"\xff\xfb\x90\x64" + bytes(32) + front + bytes(400)))) == told
