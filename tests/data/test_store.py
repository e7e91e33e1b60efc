import errno
import json
import os
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any
from unittest.mock import MagicMock

import numpy as np
import pytest
import soundfile

from speech_mtl.data import store as store_module
from speech_mtl.data.audio import read_audio
from speech_mtl.data.store import AudioLimits, Skipped, open_store, refuse_many
from speech_mtl.datatypes import Utterance
from speech_mtl.errors import InputError

LIMITS = AudioLimits(16_000, 0.1, 30.0)


@pytest.fixture
def utterances(tmp_path) -> list[Utterance]:
    """Five files: 16-bit, another rate, a full-scale one, one that is missing, one that is silent."""
    generator = np.random.default_rng(0)
    paths = [tmp_path / f"{i}.wav" for i in range(5)]
    soundfile.write(paths[0], generator.uniform(-0.9, 0.9, 8000), 16_000)
    soundfile.write(paths[1], generator.uniform(-0.3, 0.3, 4410), 22_050)
    soundfile.write(paths[2], np.sign(generator.uniform(-1, 1, 3000)), 16_000, subtype="FLOAT")
    soundfile.write(paths[4], np.zeros(8000), 16_000)
    seconds = (0.5, 0.2, 0.1875, 0.125, 0.5)
    return [
        Utterance(str(i), path, "cs", "x", duration_s, source=f"m.jsonl:{i + 1}")
        for i, (path, duration_s) in enumerate(zip(paths, seconds, strict=True))
    ]


@pytest.fixture
def counted(monkeypatch) -> list[Path]:
    """The files that have been decoded."""
    read: list[Path] = []

    def counting(path: Path, *arguments, **kwargs):
        read.append(path)
        return read_audio(path, *arguments, **kwargs)

    monkeypatch.setattr(store_module, "read_audio", counting)
    return read


def opened(tmp_path: Path, utterances: list[Utterance], limits: AudioLimits = LIMITS, **kwargs):
    return open_store(tmp_path / "cache", "cs-train", manifest_of(utterances), limits, **kwargs)


def manifest_of(utterances: list[Utterance]) -> Any:
    """In memory what a store needs of a manifest: names that no file can hold are tried, too."""
    manifest = MagicMock(at=lambda positions: (utterances[position] for position in positions))
    manifest.__len__.return_value = len(utterances)
    return manifest


def test_values(tmp_path, utterances):
    store = opened(tmp_path, utterances)
    assert store.path.name.startswith("cs-train-")
    for i in range(3):
        expected = read_audio(utterances[i].audio, 16_000)
        waveform = store[i]
        assert waveform.dtype == np.float32
        assert len(waveform) == store.num_samples[i] == len(expected)
        np.testing.assert_allclose(waveform, expected, atol=1.51 / 32768)
        assert np.abs(waveform).max() <= 1.0
        errors = waveform - expected
        assert np.sqrt(np.mean(errors**2)) < 1.05 / 32768
    np.testing.assert_array_equal(store.num_samples[3:], [0, 0])
    assert len(store[3]) == 0


def test_many_files_keep_their_order(tmp_path, speak):
    utterances = []
    for i in range(300):  # more than are decoded ahead
        path = tmp_path / f"{i}.wav"
        soundfile.write(path, np.full(1600 + i, 0.1 + i / 1000), 16_000)
        utterances.append(Utterance(str(i), path, "cs", "x", (1600 + i) / 16_000))
    store = opened(tmp_path, utterances, num_threads=3)
    np.testing.assert_array_equal(store.num_samples, 1600 + np.arange(300))
    for i in (0, 1, 255, 256, 299):
        np.testing.assert_allclose(store[i], 0.1 + i / 1000, atol=1.51 / 32768)


def test_decodes_once(tmp_path, utterances, counted):
    first = opened(tmp_path, utterances)
    assert sorted(counted) == [u.audio for u in utterances]
    counted.clear()
    second = opened(tmp_path, utterances)
    assert counted == []
    assert second.path == first.path
    np.testing.assert_array_equal(second.num_samples, first.num_samples)
    np.testing.assert_array_equal(second[1], first[1])
    assert second.skipped == first.skipped


def test_skipped_are_kept_with_their_reasons(tmp_path, utterances):
    opened(tmp_path, utterances)
    skipped = opened(tmp_path, utterances).skipped
    assert sorted(skipped) == [3, 4]
    assert isinstance(skipped[3], Skipped)
    assert (skipped[3].source, skipped[3].reason) == ("m.jsonl:4", "missing")
    assert (skipped[4].source, skipped[4].reason) == ("m.jsonl:5", "silent")
    assert str(utterances[4].audio) in skipped[4].message


def test_what_a_disk_that_does_not_answer_leaves_out_is_not_kept(tmp_path, utterances, monkeypatch):
    read = Path.open

    def failing(self: Path, *arguments: Any, **kwargs: Any) -> Any:
        if self.suffix == ".wav":
            raise OSError(errno.ESTALE, "Stale file handle", str(self))
        return read(self, *arguments, **kwargs)

    with monkeypatch.context() as patched:
        patched.setattr(Path, "open", failing)
        with pytest.raises(InputError, match=r"\.wav cannot be read\n(?s:.*)Stale file handle"):
            opened(tmp_path, utterances)
    assert sorted(opened(tmp_path, utterances).skipped) == [3, 4]


def test_nothing_but_skipped(tmp_path, utterances):
    store = opened(tmp_path, utterances[3:])
    assert len(store.skipped) == 2
    assert opened(tmp_path, utterances[3:]).num_samples.sum() == 0


def test_a_part_is_decoded_and_nothing_else(tmp_path, utterances, counted):
    whole = opened(tmp_path, utterances)
    counted.clear()
    part = opened(tmp_path, utterances, positions=np.array([4, 1]))
    assert sorted(counted) == [utterances[1].audio, utterances[4].audio]
    assert part.path != whole.path
    np.testing.assert_array_equal(part.num_samples, [0, whole.num_samples[1], 0, 0, 0])
    np.testing.assert_array_equal(part[1], whole[1])
    assert part.skipped == {4: whole.skipped[4]}
    assert opened(tmp_path, utterances, positions=np.array([1, 4])).path == part.path
    assert opened(tmp_path, utterances, positions=np.array([2, 4])).path != part.path


@pytest.mark.parametrize("later_ns", [0, 1_000_000])
def test_changed_audio_is_decoded_anew(tmp_path, utterances, counted, later_ns: int):
    """Also where its size stays, and its date is set back."""
    first = opened(tmp_path, utterances)
    status = utterances[0].audio.stat()
    soundfile.write(utterances[0].audio, np.full(8000, 0.25), 16_000)  # as long as before
    os.utime(utterances[0].audio, ns=(status.st_atime_ns, status.st_mtime_ns + later_ns))
    counted.clear()
    second = opened(tmp_path, utterances)
    assert second.path != first.path
    assert len(counted) == 5
    np.testing.assert_allclose(second[0], 0.25, atol=1.51 / 32768)


def test_a_file_that_appears_is_decoded(tmp_path, utterances):
    opened(tmp_path, utterances)
    soundfile.write(utterances[3].audio, np.full(2000, 0.25), 16_000)
    assert opened(tmp_path, utterances).num_samples[3] == 2000


@pytest.mark.parametrize(
    "limits", [AudioLimits(8_000, 0.1, 30.0), AudioLimits(16_000, 0.3, 30.0), AudioLimits(16_000, 0.1, 0.4)]
)
def test_other_limits_are_another_store(limits, tmp_path, utterances):
    first, second = opened(tmp_path, utterances), opened(tmp_path, utterances, limits)
    assert first.path != second.path
    assert first.num_samples.tolist() != second.num_samples.tolist()


def test_a_store_that_broke_off_is_not_used(tmp_path, utterances, monkeypatch):
    def breaking(path: Path, *arguments):
        if path == utterances[2].audio:
            raise KeyboardInterrupt
        return read_audio(path, *arguments)

    with monkeypatch.context() as patch:
        patch.setattr(store_module, "read_audio", breaking)
        with pytest.raises(KeyboardInterrupt):
            opened(tmp_path, utterances)
    assert list((tmp_path / "cache").iterdir()) == []
    assert opened(tmp_path, utterances).num_samples[2] == 3000


def test_samples_without_their_index_are_not_used(tmp_path, utterances, counted):
    path = opened(tmp_path, utterances).path
    path.with_suffix(".json").unlink()
    path.write_bytes(b"rubbish")
    counted.clear()
    store = opened(tmp_path, utterances)
    assert len(counted) == 5
    np.testing.assert_allclose(store[0], read_audio(utterances[0].audio, 16_000), atol=1.51 / 32768)
    assert json.loads(path.with_suffix(".json").read_text())["num_samples"] == store.num_samples.tolist()


def test_progress_sees_every_utterance_once(tmp_path, utterances):
    seen: list[int] = []

    def progress(positions):
        for position in positions:
            seen.append(position)
            yield position

    opened(tmp_path, utterances, progress=progress)
    opened(tmp_path, utterances, progress=progress)
    assert seen == [0, 1, 2, 3, 4]


@pytest.mark.parametrize(
    ("said_s", "reason"),
    [
        (0.5, None),
        (0.79, None),
        (0.81, "shorter than in its manifest"),
        (6.0, "shorter than in its manifest"),
        (0.21, None),
        (0.19, "longer than in its manifest"),
    ],
)
def test_audio_is_as_long_as_in_its_manifest(said_s, reason, tmp_path, utterances):
    store = opened(tmp_path, [replace(utterances[0], duration_s=said_s)])
    assert [skip.reason for skip in store.skipped.values()] == ([reason] if reason else [])
    assert store.num_samples[0] == (0 if reason else 8000)
    assert opened(tmp_path, utterances[:1]).num_samples[0] == 8000, "the duration is part of what a cache is known by"


def test_a_tenth_of_a_long_one_may_be_missing(tmp_path):
    soundfile.write(tmp_path / "a.wav", np.full(160_000, 0.5), 16_000)
    utterances = [Utterance("u", tmp_path / "a.wav", "cs", "x", said_s) for said_s in (11.1, 11.2, 9.1, 9.0)]
    assert sorted(opened(tmp_path, utterances).skipped) == [1, 3]


SKIP = {"source": "m.jsonl:4", "reason": "missing", "message": "there is none"}


def other(**changes) -> Callable[[bytes], bytes]:
    """Gives an index other values."""
    return lambda index: json.dumps(json.loads(index) | changes).encode()


DAMAGED_SAMPLES: dict[str, Callable[[bytes], bytes]] = {
    "cut short": lambda samples: samples[:1000],
    "emptied": lambda _: b"",
    "longer": lambda samples: samples + b"xx",
    "of zeros": lambda samples: bytes(len(samples)),
    "one bit": lambda samples: samples[:-1] + bytes([samples[-1] ^ 1]),
}
DAMAGED_INDEXES: dict[str, Callable[[bytes], bytes]] = {
    "emptied": lambda _: b"",
    "cut": lambda index: index[:-20],
    "not UTF-8": lambda index: b"\xff" + index,
    "a list": lambda _: b"[]",
    "negative": other(num_samples=[8000, -3200, 3000, 0, 0]),
    "beyond 64 bits": other(num_samples=[8000, 10**30, 3000, 0, 0]),
    "not whole": other(num_samples=[8000.5, 3200, 3000, 0, 0]),
    "in quotes": other(num_samples=[8000, 3200, 3000, 0, "0"]),
    "true": other(num_samples=[8000, 3200, 3000, False, 0]),
    "no list": other(num_samples=14_200),
    "other lengths": other(num_samples=[8001, 3200, 3000, 0, 0]),
    "fewer": other(num_samples=[8000, 3200, 3000]),
    "out of range": other(skipped={"7": SKIP}),
    "negative place": other(skipped={"-1": SKIP}),
    "no place": other(skipped={"x": SKIP}),
    "skipped that has samples": other(skipped={"0": SKIP}),
    "without a reason": other(skipped={"3": {"source": "m.jsonl:4"}}),
}


@pytest.mark.parametrize(
    ("suffix", "damage"),
    [
        *[pytest.param(".pcm", damage, id=name) for name, damage in DAMAGED_SAMPLES.items()],
        *[pytest.param(".json", damage, id=f"index {name}") for name, damage in DAMAGED_INDEXES.items()],
    ],
)
def test_a_damaged_cache_is_made_anew_with_a_message(suffix, damage, tmp_path, utterances, caplog):
    whole = opened(tmp_path, utterances)
    expected = [whole[i] for i in range(5)]
    path = whole.path.with_suffix(suffix)
    path.write_bytes(damage(path.read_bytes()))
    store = opened(tmp_path, utterances)
    (message,) = caplog.messages
    assert whole.path.stem in message
    assert "decoded anew" in message
    for i in range(5):
        np.testing.assert_array_equal(store[i], expected[i])
    assert sorted(store.skipped) == [3, 4]
    caplog.clear()
    opened(tmp_path, utterances)
    assert caplog.messages == []


def test_a_cache_that_is_cut_short_while_it_is_read(tmp_path, utterances):
    store = opened(tmp_path, utterances)
    with store.path.open("r+b") as file:
        file.truncate(1000)
    with pytest.raises(InputError, match="damaged"):
        store[1]


def test_a_cache_that_is_made_anew_while_it_is_read(tmp_path, utterances):
    store = opened(tmp_path, utterances)
    expected = store[1]
    store.path.with_suffix(".json").write_text("{}")
    opened(tmp_path, utterances)
    np.testing.assert_array_equal(store[1], expected)
    store.path.unlink()
    np.testing.assert_array_equal(store[1], expected)


def test_audio_that_changes_while_it_is_decoded_is_not_kept(tmp_path, utterances, monkeypatch):
    def changing(path: Path, *arguments):
        if path == utterances[2].audio:
            soundfile.write(utterances[0].audio, np.full(7000, 0.25), 16_000)
        return read_audio(path, *arguments)

    with monkeypatch.context() as patch:
        patch.setattr(store_module, "read_audio", changing)
        with pytest.raises(InputError, match="changed while they were decoded"):
            opened(tmp_path, utterances, num_threads=1)
    assert list((tmp_path / "cache").iterdir()) == []
    assert opened(tmp_path, utterances).num_samples[0] == 7000


def test_two_writers_at_a_time_leave_one_whole_cache(tmp_path, utterances, monkeypatch):
    """As two containers that share a disk and the numbers of their processes."""
    monkeypatch.setattr(os, "getpid", lambda: 7)
    both = threading.Barrier(2, timeout=10)

    def meeting(path: Path, *arguments):
        if path == utterances[1].audio:
            both.wait()
        return read_audio(path, *arguments)

    monkeypatch.setattr(store_module, "read_audio", meeting)
    with ThreadPoolExecutor(2) as pool:
        stores = list(pool.map(lambda _: opened(tmp_path, utterances), range(2)))
    for store in (*stores, opened(tmp_path, utterances)):
        for i in range(3):
            np.testing.assert_allclose(store[i], read_audio(utterances[i].audio, 16_000), atol=1.51 / 32768)
    assert len(list((tmp_path / "cache").iterdir())) == 2


@pytest.mark.parametrize("name", ["../../x-train", "/etc/x", "a\0b", "x" * 1000, "."])
def test_the_name_of_a_cache_stays_in_its_folder(name, tmp_path, utterances):
    store = open_store(tmp_path / "a" / "cache", name, manifest_of(utterances), LIMITS)
    assert store.path.parent == tmp_path / "a" / "cache"


def test_names_that_no_file_can_have_are_skipped(tmp_path, utterances):
    strange = [replace(utterances[0], audio=Path(name)) for name in ("a\0.wav", "x" * 300, "\ud800.wav")]
    assert [skip.reason for skip in opened(tmp_path, strange).skipped.values()] == [
        "unreadable",
        "missing",
        "unreadable",
    ]


@pytest.mark.parametrize(
    ("num_skipped", "num_read", "allowed", "refused"),
    [
        (0, 10, 0.01, False),
        (1, 2, 0.001, False),
        (1, 2, 0.0, True),
        (1, 1000, 0.0, True),
        (0, 1000, 0.0, False),
        (1, 1, 0.5, True),
        (2, 150, 0.01, True),
        (2, 200, 0.01, False),
        (3, 200, 0.01, True),
        (3, 200, 0.02, False),
        (5, 5, 0.99, True),
    ],
)
def test_refuse_many(num_skipped, num_read, allowed, refused):
    skipped = [Skipped(f"m.jsonl:{i}", "silent", "x") for i in range(num_skipped)]
    manifest: Any = "m.jsonl"
    if not refused:
        refuse_many(manifest, skipped, num_read, allowed)
        return
    with pytest.raises(InputError, match=rf"m\.jsonl: {num_skipped} of {num_read}") as caught:
        refuse_many(manifest, skipped, num_read, allowed)
    assert f"{num_skipped} silent" in caught.value.received
