import io
import os
from pathlib import Path

import numpy as np
import pytest
import soundfile

from speech_mtl.data.audio_folder import open_folder
from speech_mtl.data.store import AudioLimits, WaveformStore
from speech_mtl.errors import InputError

LIMITS = AudioLimits(16_000, 0.1, 3600.0)


@pytest.fixture
def folder(tmp_path) -> Path:
    """Two recordings, one of them in a folder; beside them what is no recording."""
    folder = tmp_path / "noises"
    (folder / "street" / ".trash").mkdir(parents=True)
    generator = np.random.default_rng(0)
    for name, seconds, rate in (("rain.wav", 1.0, 16_000), ("street/car.FLAC", 0.5, 8000)):
        soundfile.write(
            folder / name, generator.uniform(-0.5, 0.5, int(seconds * rate)), rate, format=name[-4:].strip(".")
        )
    (folder / "LICENSE.txt").write_text("free\n", encoding="utf-8")
    (folder / "street" / ".trash" / "old.wav").write_text("no audio", encoding="utf-8")
    return folder


def half_a_wav() -> bytes:
    file = io.BytesIO()
    soundfile.write(file, np.ones(1000) / 2, 16_000, format="WAV")
    return file.getvalue()[:1000]


def opened(folder: Path, allow_skipped: float = 0.01) -> WaveformStore:
    return open_folder(folder, folder.parent / "cache", LIMITS, allow_skipped)


def test_recordings_are_decoded_once(folder):
    store = opened(folder)
    assert store.num_samples.tolist() == [16_000, 8000]
    written = store.path.stat().st_mtime_ns
    again = opened(folder)
    assert again.path == store.path
    assert again.path.stat().st_mtime_ns == written
    np.testing.assert_array_equal(again.stretch(1, 100, 50), store[1][100:150])


def test_a_new_recording_is_found(folder):
    before = opened(folder)
    soundfile.write(folder / "sea.wav", np.random.default_rng(1).uniform(-0.5, 0.5, 4800), 16_000)
    after = opened(folder)
    assert after.num_samples.tolist() == [16_000, 4800, 8000]
    assert after.path != before.path


@pytest.mark.parametrize(
    ("name", "content", "reason"),
    [
        ("broken.wav", half_a_wav(), "truncated"),
        ("empty.mp3", b"", "empty"),
        ("text.flac", b"no audio at all\n" * 20, "unreadable"),
        ("phone.m4a", b"\0\0\0\x20ftypM4A " + bytes(64), "ffmpeg"),
    ],
)
def test_what_cannot_be_read_is_counted_and_refused(folder, name, content, reason):
    for i in range(2):
        (folder / f"{i}{name}").write_bytes(content)
    with pytest.raises(InputError, match="2 of 4") as caught:
        opened(folder)
    assert str(folder) in caught.value.problem
    assert reason in caught.value.received
    assert name in caught.value.received
    assert np.count_nonzero(opened(folder, allow_skipped=0.5).num_samples) == 2


def test_silence_and_what_is_too_short_is_refused(folder):
    soundfile.write(folder / "silent.wav", np.zeros(16_000), 16_000)
    soundfile.write(folder / "short.wav", np.ones(100) / 2, 16_000)
    with pytest.raises(InputError, match="2 of 4") as caught:
        opened(folder)
    assert "1 silent" in caught.value.received
    assert "1 too short" in caught.value.received


@pytest.mark.skipif(os.name == "nt", reason="a name in bytes")
def test_a_name_that_is_not_utf8_is_refused(folder):
    for i in range(2):
        Path(os.fsdecode(os.fsencode(folder) + b"/%d\xff.wav" % i)).write_bytes((folder / "rain.wav").read_bytes())
    with pytest.raises(InputError, match="2 of 4") as caught:
        opened(folder)
    assert "not in UTF-8" in caught.value.received


def test_no_folder_and_no_recordings(folder):
    with pytest.raises(InputError, match="There is no folder") as caught:
        opened(folder / "nothing")
    assert caught.value.received == "nothing at that path"
    with pytest.raises(InputError, match="There is no folder") as caught:
        opened(folder / "rain.wav")
    assert caught.value.received == "a file"
    (folder / "lists").mkdir()
    (folder / "lists" / "a.txt").write_text("rain\n", encoding="utf-8")
    with pytest.raises(InputError, match="holds no recordings"):
        opened(folder / "lists")
