import contextlib
import os
import random
import re
import resource
import shlex
import struct
from pathlib import Path

import numpy as np
import pytest
import soundfile
from tone_files import loudest_hz, refusal, tone, written

from speech_mtl.data.audio import read_audio
from speech_mtl.data.audio_file import duration_s
from speech_mtl.data.place import AudioError
from speech_mtl.errors import InputError


def test_missing(tmp_path):
    with pytest.raises(AudioError, match=r"no audio file .*a\.wav") as caught:
        read_audio(tmp_path / "a.wav", 16_000)
    assert caught.value.reason == "missing"


def test_empty(tmp_path):
    (tmp_path / "a.wav").touch()
    with pytest.raises(AudioError) as caught:
        read_audio(tmp_path / "a.wav", 16_000)
    assert caught.value.reason == "empty"


def writable() -> list[tuple[str, str]]:
    """All formats and encodings that libsndfile writes, except those that only seem to be."""
    broken = {("AIFF", "DWVW_12"), ("MP3", "MPEG_LAYER_I"), ("MP3", "MPEG_LAYER_II"), ("WAV", "MPEG_LAYER_III")}
    kinds = [(kind, code) for kind in soundfile.available_formats() for code in soundfile.available_subtypes(kind)]
    return [pair for pair in kinds if pair[0] != "RAW" and pair not in broken]


NO_LENGTH = {"AVR", "IRCAM", "MAT4", "MAT5", "MPC2K", "PAF", "PVF", "SD2", "SDS", "WVE", "XI"}
"""Formats whose headers do not tell the length, or that no speech corpus has."""


@pytest.mark.parametrize(("kind", "code"), writable())
def test_whole_files_are_read_and_cut_ones_are_not(kind, code, tmp_path):
    path = tmp_path / f"a.{kind.lower()}"
    samples = tone(440, 0.8) + np.random.default_rng(0).uniform(-0.01, 0.01, 12_800)
    soundfile.write(path, samples, 8_000 if kind == "WVE" else 16_000, format=kind, subtype=code)
    with soundfile.SoundFile(path) as file:
        rate = file.samplerate
    waveform = read_audio(path, rate)
    assert 12_800 <= len(waveform) <= 13_900, "encodings in blocks fill the last one"
    assert duration_s(path) == len(waveform) / rate
    assert loudest_hz(waveform, rate) == pytest.approx(440 * rate / 16_000, abs=3)
    whole, got = path.read_bytes(), []
    sizes = {*range(1, min(len(whole), 600), 37), *(len(whole) * i // 20 for i in range(1, 20)), len(whole) - 1}
    for size in sorted(sizes - {0}):
        path.write_bytes(whole[:size])
        with contextlib.suppress(AudioError):
            got.append(len(read_audio(path, rate)))
    if kind not in NO_LENGTH:
        assert set(got) <= {len(waveform)}, "only bytes of no sound may be missing"


def replaced(content: bytes, changes: dict[int, bytes]) -> bytes:
    result = bytearray(content)
    for place, value in changes.items():
        result[place : place + len(value)] = value
    return bytes(result)


def without_length(path: Path, kind: str, marker: int) -> None:
    """Makes the header that a program writes into a pipe, before it knows how much will come."""
    content = path.read_bytes()
    if kind == "WAV":
        changes = {4: struct.pack("<I", marker), content.index(b"data") + 4: struct.pack("<I", marker)}
    elif kind == "AU":
        changes = {8: struct.pack(">I", marker)}
    elif kind == "AIFF":
        size, frames = struct.pack(">I", marker), struct.pack(">I", marker // 2)
        changes = {4: size, content.index(b"SSND") + 4: size, content.index(b"COMM") + 10: frames}
    elif kind == "W64":
        changes = {16: struct.pack("<Q", marker), content.index(b"data") + 16: struct.pack("<Q", marker)}
    elif kind == "RF64":
        changes = {content.index(b"ds64") + 8: struct.pack("<3Q", marker, marker, marker)}
    else:
        changes = {21: bytes([content[21] & 0xF0, 0, 0, 0, 0])}  # FLAC: 36 bits
    path.write_bytes(replaced(content, changes))


@pytest.mark.parametrize(
    ("kind", "marker"),
    [
        *[("WAV", marker) for marker in (0xFFFFFFFF, 0x7FFFFFFF, 0x7FFFF000, 0x80000000)],
        *[("AIFF", marker) for marker in (0x7F000008, 0xFFFFFFFF)],
        *[("W64", marker) for marker in (2**64 - 1, 2**63 - 1, 0)],
        *[("RF64", marker) for marker in (2**63 - 1, 0xFFFFFFFF)],
        ("AU", 0xFFFFFFFF),
        ("FLAC", 0),
    ],
)
def test_a_stream_that_says_no_length_is_read_to_its_end(kind, marker, tmp_path):
    path = written(tmp_path / "a", tone(500), format=kind, subtype="PCM_16")
    without_length(path, kind, marker)
    assert len(read_audio(path, 16_000)) == 16_000
    assert duration_s(path) == 1.0


@pytest.mark.parametrize("junk", [b"\x00", b"TAG" + bytes(range(125))])
@pytest.mark.parametrize("kind", ["WAV", "AIFF", "CAF", "RF64", "AU", "FLAC", "OGG", "MP3"])
def test_what_lies_around_the_audio_is_no_matter(kind, junk, tmp_path):
    path = written(tmp_path / "a", tone(500), format=kind)
    expected = read_audio(path, 16_000)
    content = path.read_bytes()
    path.write_bytes(content + junk)
    np.testing.assert_array_equal(read_audio(path, 16_000), expected)
    if kind in ("WAV", "FLAC", "MP3"):
        path.write_bytes(b"ID3\x03\x00\x00\x00\x00\x02\x00" + bytes(256) + content)
        np.testing.assert_array_equal(read_audio(path, 16_000), expected)


def test_a_chunk_before_the_samples_does_not_hide_that_they_are_cut(tmp_path):
    """Such as the history of a broadcast file, or a picture."""
    path = written(tmp_path / "a.wav", tone(500))
    content = path.read_bytes()
    path.write_bytes(content[:36] + b"bext" + struct.pack("<I", 30_000) + b"x" * 30_000 + content[36:])
    assert len(read_audio(path, 16_000)) == 16_000
    path.write_bytes(path.read_bytes()[:-16_000])
    assert refusal(path) == "truncated"


def test_ogg_that_ends_between_two_pages_is_truncated(tmp_path):
    path = written(tmp_path / "a.ogg", np.random.default_rng(0).uniform(-0.5, 0.5, 160_000))
    content = path.read_bytes()
    places = [match.start() for match in re.finditer(b"OggS", content)]
    assert len(places) > 4
    for place in places[1:]:
        path.write_bytes(content[:place])
        assert refusal(path) == "truncated"


def test_ogg_streams_one_after_the_other_are_refused(tmp_path):
    """libsndfile reads the first one only."""
    first, second = written(tmp_path / "a.ogg", tone(500)), written(tmp_path / "b.ogg", tone(700))
    first.write_bytes(first.read_bytes() + second.read_bytes())
    with pytest.raises(AudioError, match="several Ogg streams"):
        read_audio(first, 16_000)


@pytest.mark.parametrize("mode", ["CONSTANT", "VARIABLE"])
def test_an_mp3_that_tells_no_length_is_read_to_its_end(mode, tmp_path):
    """libsndfile takes the bit rate of the first frame for that of all."""
    loud = np.random.default_rng(0).uniform(-0.9, 0.9, 40_000)
    samples = np.concatenate([np.zeros(8_000), loud, np.zeros(32_000)])
    path = written(tmp_path / "a.mp3", samples, bitrate_mode=mode, compression_level=0.5)
    content = path.read_bytes()
    assert re.search(b"Xing|Info", content[:100])
    path.write_bytes(content[content.index(content[:2], 100) :])
    assert len(read_audio(path, 16_000)) == pytest.approx(len(samples), abs=3 * 1152)
    assert duration_s(path) == pytest.approx(5.0, abs=3 * 1152 / 16_000)


@pytest.mark.parametrize("suffix", [".wav", ".au", ".snd", ".gsm", ".vox"])
def test_text_is_no_audio_whatever_its_name(suffix, tmp_path):
    path = tmp_path / f"a{suffix}"
    path.write_text("<html><title>404 not found</title></html>" * 50)
    assert refusal(path) == "unreadable"


@pytest.mark.parametrize(
    ("name", "head"),
    [("a b.m4a", b"nothing"), ("a.webm", b"nothing"), ("a.wav", b"\0\0\0\x20ftypM4A "), ("a.mp3", b"\xff\xf1\x50\x80")],
)
def test_formats_that_libsndfile_does_not_open_get_a_converter(name, head, tmp_path):
    path = tmp_path / name
    path.write_bytes(head + bytes(range(256)) * 8)
    given, made = shlex.quote(str(path)), shlex.quote(str(path.with_suffix(".wav")))
    with pytest.raises(AudioError) as caught:
        read_audio(path, 16_000)
    assert caught.value.reason == "unreadable"
    assert f"ffmpeg -i {given} -ar 16000 -ac 1 {made}" in str(caught.value)


def test_what_is_no_file(tmp_path):
    os.mkfifo(tmp_path / "pipe.wav")
    (tmp_path / "loop.wav").symlink_to(tmp_path / "loop.wav")
    (tmp_path / "file").touch()
    for path in (tmp_path, tmp_path / "pipe.wav", Path("/dev/null"), Path("/dev/zero")):
        assert refusal(path) == "unreadable"
    for name in ("a\0.wav", "\ud800.wav"):
        assert refusal(tmp_path / name) == "unreadable"
    for name in ("file/a.wav", "loop.wav", "x" * 300):
        assert refusal(tmp_path / name) == "missing"


@pytest.mark.parametrize("left", [0, 1])
def test_too_many_open_files_are_no_bad_audio(left, tmp_path):
    """It is opened twice."""
    path = written(tmp_path / "a.wav", tone(500))
    limits = resource.getrlimit(resource.RLIMIT_NOFILE)
    with contextlib.ExitStack() as stack:
        stack.callback(resource.setrlimit, resource.RLIMIT_NOFILE, limits)
        resource.setrlimit(resource.RLIMIT_NOFILE, (100, limits[1]))
        held = []
        with contextlib.suppress(OSError):
            while True:
                held.append(stack.enter_context(Path(os.devnull).open()))
        for file in held[:left]:
            file.close()
        with pytest.raises(InputError, match=r"a\.wav cannot be read\n(?s:.*)Too many open files"):
            read_audio(path, 16_000)
    assert len(read_audio(path, 16_000)) == 16_000


def test_a_name_that_is_not_utf8(tmp_path):
    path = Path(os.fsdecode(os.fsencode(tmp_path) + b"/caf\xe9.wav"))
    try:
        path.touch()
    except OSError:
        pytest.skip("the file system refuses such names")
    soundfile.write(os.fsencode(path), tone(500), 16_000, format="WAV")
    assert len(read_audio(path, 16_000)) == 16_000


@pytest.mark.parametrize(
    ("place", "value"),
    [(22, struct.pack("<H", 1000)), (24, struct.pack("<I", 0)), (24, struct.pack("<I", 2**31)), (24, b"\1\0\0\0")],
)
def test_impossible_headers(place, value, tmp_path):
    path = written(tmp_path / "a.wav", tone(500))
    path.write_bytes(replaced(path.read_bytes(), {place: value}))
    assert refusal(path) == "unreadable"


def test_what_is_announced_does_not_fill_the_memory(tmp_path):
    """A FLAC file of silence is a thousandth of its samples, and may say that it is short, or nothing at all."""
    path = written(tmp_path / "a.flac", np.zeros(16_000 * 600))
    without_length(path, "FLAC", 0)
    assert path.stat().st_size < 100_000
    with pytest.raises(AudioError, match="more than 30 s") as caught:
        read_audio(path, 16_000, max_duration_s=30.0)
    assert caught.value.reason == "too long"


HOSTILE = ["WAV", "AIFF", "AU", "CAF", "FLAC", "MP3", "OGG", "RF64", "SVX", "VOC", "W64", "NIST"]


@pytest.mark.parametrize("kind", HOSTILE)
def test_damaged_headers_give_samples_or_a_reason(kind, tmp_path):
    path = written(tmp_path / "a", tone(500, 0.2), format=kind)
    content, generator = path.read_bytes(), random.Random(kind)
    for _ in range(150):
        changed = bytearray(content)
        for _ in range(generator.choice((1, 2, 4, 8))):
            place = generator.randrange(min(len(content), generator.choice((48, 128, 400))))
            changed[place] = generator.choice((0, 127, 128, 255, generator.randrange(256)))
        path.write_bytes(changed[: generator.choice((len(content), generator.randrange(len(content))))])
        for read in (lambda: read_audio(path, 16_000, max_duration_s=30.0), lambda: duration_s(path)):
            with contextlib.suppress(AudioError):
                read()
