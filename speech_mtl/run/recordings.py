"""A recording of any length -> segments, by groups that are recognised together, in bounded memory."""

from collections.abc import Callable, Iterable, Iterator
from itertools import chain
from pathlib import Path

import numpy as np

from speech_mtl.data.audio import checked, refuse_scale, resampled, stream_audio
from speech_mtl.data.audio_file import RATES_HZ
from speech_mtl.data.place import AudioError
from speech_mtl.data.segments import Segment, segments
from speech_mtl.settings.data import DataSettings

LONGEST_S = 20.0
"""No segment of a long recording is longer: few corpora have utterances beyond."""

GROUP_S = 120.0
"""Speech of a recording that is recognised at a time, in batches of like length; so much is held."""


def segment_groups(
    audio: Path | np.ndarray,
    name: str,
    data: DataSettings,
    min_samples: int,
    *,
    sample_rate_hz: int | None = None,
    progress: Callable[[float], object] = lambda _: None,
) -> Iterator[list[Segment]]:
    """Cuts a recording into segments while it is read.

    A recording up to `data.max_duration_s` is one segment, if it is not silent. A longer one is cut at its pauses; see
    `data.segments`.

    Args:
        audio: An audio file, or a waveform (S,) of floats in [-1, 1].
        name: Its name in messages.
        data: The run's settings of data.
        min_samples: Segments of a long recording with fewer are left out.
        sample_rate_hz: Rate of a waveform; the run's if None.
        progress: Called now and then with the seconds that were done since.

    Yields:
        Segments in the order of time, `GROUP_S` seconds or a little more together.

    Raises:
        AudioError: The audio cannot be used.
    """
    rate, group, held = data.sample_rate_hz, [], 0
    counted = _counted(_blocks(audio, name, rate, sample_rate_hz), rate, progress)
    for segment in _segments(counted, name, data, min_samples):
        group.append(segment)
        held += len(segment.waveform)
        if held >= GROUP_S * rate:
            yield group
            group, held = [], 0
    if group:
        yield group


def _blocks(audio: Path | np.ndarray, name: str, rate: int, sample_rate_hz: int | None) -> Iterator[np.ndarray]:
    """A recording at a rate; (S,) float32 each.

    Raises:
        AudioError: It cannot be used.
    """
    if isinstance(audio, Path):
        if audio.is_dir():
            raise AudioError("missing", "the folder holds no audio file")
        return stream_audio(audio, rate)
    if audio.ndim != 1 or not np.issubdtype(audio.dtype, np.floating):
        shape = f"{audio.dtype} of shape {audio.shape}"
        raise AudioError("unreadable", f"{shape}, where floats of one channel, (S,), from -1 to 1 are wanted")
    from_hz = rate if sample_rate_hz is None else sample_rate_hz
    if not RATES_HZ[0] <= from_hz <= RATES_HZ[1]:
        raise AudioError("unreadable", f"a sample rate of {from_hz:,} Hz")
    waveform = np.ascontiguousarray(audio, dtype="float32")
    if len(waveform):
        refuse_scale(waveform, Path(name))
    return resampled([waveform], from_hz, rate)


def _segments(blocks: Iterator[np.ndarray], name: str, data: DataSettings, min_samples: int) -> Iterator[Segment]:
    """The parts that are recognised: the recording as it is, or its segments with speech if it is long."""
    head, held = [], 0
    for block in blocks:
        head.append(block)
        held += len(block)
        if held > data.max_duration_s * data.sample_rate_hz:
            whole = (np.clip(block, -1.0, 1.0) for block in chain(head, blocks))
            found = segments(whole, data.sample_rate_hz, min(LONGEST_S, data.max_duration_s))
            yield from (one for one in found if len(one.waveform) >= min_samples)
            return
    waveform = np.concatenate(head or [np.zeros(0, "float32")])
    try:
        waveform = checked(waveform, Path(name), data.sample_rate_hz, data.min_duration_s, data.max_duration_s)
    except AudioError as error:
        if error.reason == "silent":
            return
        raise
    yield Segment(0.0, waveform, whole=True)


def _counted(blocks: Iterable[np.ndarray], rate_hz: int, progress: Callable[[float], object]) -> Iterator[np.ndarray]:
    """The blocks; each counts as done when the next one is wanted."""
    for block in blocks:
        yield block
        progress(len(block) / rate_hz)
