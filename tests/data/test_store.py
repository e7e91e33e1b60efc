import json
import os
from pathlib import Path

import numpy as np
import pytest
import soundfile

from speech_mtl.data import store as store_module
from speech_mtl.data.audio import read_audio
from speech_mtl.data.store import AudioLimits, Skipped, open_store
from speech_mtl.datatypes import Utterance

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
    return [Utterance(str(i), path, "cs", "x", 1.0, source=f"m.jsonl:{i + 1}") for i, path in enumerate(paths)]


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
    return open_store(tmp_path / "cache", "cs-train", lambda: iter(utterances), limits, **kwargs)


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
        utterances.append(Utterance(str(i), path, "cs", "x", 1.0))
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


def test_changed_audio_is_decoded_anew(tmp_path, utterances, counted):
    first = opened(tmp_path, utterances)
    soundfile.write(utterances[0].audio, np.full(8000, 0.25), 16_000)  # as long as before
    status = utterances[0].audio.stat()
    os.utime(utterances[0].audio, ns=(status.st_atime_ns, status.st_mtime_ns + 1_000_000))
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
    seen: list[str] = []

    def progress(items):
        for item in items:
            seen.append(item.id)
            yield item

    opened(tmp_path, utterances, progress=progress)
    opened(tmp_path, utterances, progress=progress)
    assert seen == ["0", "1", "2", "3", "4"]
