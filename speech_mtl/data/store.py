"""Decoded audio on disk: every file that is used is decoded, resampled and checked once, then read from a memory map.

Decoding an mp3 takes longer than a small network's training step on it, and a run reads every utterance dozens of
times. The operating system, not this process, holds the pages that are read.
"""

import hashlib
import json
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

import numpy as np

from speech_mtl.data.audio import AudioError, read_audio
from speech_mtl.datatypes import Utterance
from speech_mtl.files import replacing, write_text

FULL_SCALE = np.float32(32767.0)
"""What a sample of 1.0 is stored as."""

FORMAT = 3
"""Raised when the files' layout or the decoding changes, so that old caches are not used."""


@dataclass(frozen=True, slots=True)
class Skipped:
    """An utterance that is left out, and why."""

    source: str
    reason: str
    message: str


@dataclass(frozen=True, slots=True)
class AudioLimits:
    """What is decoded to, and which lengths are accepted."""

    sample_rate_hz: int
    min_duration_s: float
    max_duration_s: float


class WaveformStore:
    """Waveforms of the utterances of one manifest, in the manifest's order.

    Attributes:
        num_samples: (N,) int64, length of each utterance; 0 for one that is skipped or was not to be decoded.
        digests: (N,) uint64, of the samples of each: equal where the audio is, whatever its files are called; 0 where
            there is none.
        skipped: The skipped ones, by position.
    """

    def __init__(self, path: Path):
        index = json.loads(path.with_suffix(".json").read_text(encoding="utf-8"))
        self.num_samples = np.array(index["num_samples"], dtype=np.int64)
        self.digests = np.array(index["digests"], dtype=np.uint64)
        self.starts = np.concatenate([[0], np.cumsum(self.num_samples)[:-1]]).astype(np.int64)
        self.skipped = {int(position): Skipped(**skip) for position, skip in index["skipped"].items()}
        self.path = path
        total = int(self.num_samples.sum())
        self._samples = np.memmap(path, dtype=np.int16, mode="r", shape=(total,)) if total else np.zeros(0, np.int16)

    def __getitem__(self, position: int) -> np.ndarray:
        """(S,) float32 in [-1, 1]."""
        start = self.starts[position]
        return self._samples[start : start + self.num_samples[position]].astype("float32") / FULL_SCALE


def open_store(
    cache_dir: Path,
    name: str,
    utterances: Callable[[], Iterable[Utterance]],
    limits: AudioLimits,
    num_threads: int = 2,
    progress: Callable[[Iterable[Utterance]], Iterable[Utterance]] = iter,
    positions: np.ndarray | None = None,
) -> WaveformStore:
    """Opens the store of a manifest's audio, or of a part of it, and fills it first where it does not exist yet.

    Args:
        cache_dir: Folder of all stores.
        name: Start of the file's name; the rest is a digest of the audio files' names, sizes and times, and the limits.
        utterances: Gives the manifest's utterances, each time anew.
        limits: Sample rate and accepted lengths.
        num_threads: Files decoded at a time.
        progress: Wraps the utterances while they are decoded, to show a bar.
        positions: Which of the utterances to decode; None for all.
    """
    wanted = None if positions is None else frozenset(positions.tolist())
    path = cache_dir / f"{name}-{_digest(utterances(), limits, wanted)}.pcm"
    if not (path.is_file() and path.with_suffix(".json").is_file()):
        _fill(path, progress(utterances()), limits, num_threads, wanted)
    return WaveformStore(path)


def _digest(utterances: Iterable[Utterance], limits: AudioLimits, wanted: frozenset[int] | None) -> str:
    digest = hashlib.sha256(repr((FORMAT, limits)).encode())
    for position, utterance in enumerate(utterances):
        if wanted is not None and position not in wanted:
            digest.update(b"not wanted")
            continue
        try:
            status = utterance.audio.stat()
            state = (status.st_size, status.st_mtime_ns)
        except OSError:
            state = None
        digest.update(repr((str(utterance.audio), state)).encode())
    return digest.hexdigest()[:16]


def _fill(
    path: Path,
    utterances: Iterable[Utterance],
    limits: AudioLimits,
    num_threads: int,
    wanted: frozenset[int] | None,
) -> None:
    num_samples: list[int] = []
    digests: list[int] = []
    skipped: dict[int, dict] = {}
    with replacing(path) as temporary, temporary.open("wb") as file:
        for utterance, result in _decoded(utterances, limits, num_threads, wanted):
            if isinstance(result, AudioError):
                skip = {"source": utterance.source, "reason": result.reason, "message": str(result)}
                skipped[len(num_samples)] = skip
                num_samples.append(0)
                digests.append(0)
            else:
                file.write(result.tobytes())
                num_samples.append(len(result))
                digests.append(_sample_digest(result))
    index = {"num_samples": num_samples, "digests": digests, "skipped": skipped}
    write_text(path.with_suffix(".json"), json.dumps(index))


def _sample_digest(samples: np.ndarray) -> int:
    return int.from_bytes(hashlib.blake2b(samples.tobytes(), digest_size=8).digest()) if len(samples) else 0


def _decoded(
    utterances: Iterable[Utterance], limits: AudioLimits, num_threads: int, wanted: frozenset[int] | None
) -> Iterator[tuple[Utterance, np.ndarray | AudioError]]:
    """Decodes a few hundred files ahead, in order: memory does not grow with the corpus. Others come out empty."""

    def decode(position: int, utterance: Utterance) -> np.ndarray | AudioError:
        if wanted is not None and position not in wanted:
            return np.zeros(0, np.int16)
        try:
            waveform = read_audio(utterance.audio, limits.sample_rate_hz, limits.min_duration_s, limits.max_duration_s)
        except AudioError as error:
            return error
        return np.round(waveform * FULL_SCALE).astype(np.int16)

    remaining = enumerate(utterances)
    with ThreadPoolExecutor(num_threads) as pool:
        while window := list(islice(remaining, 256)):
            positions, own = zip(*window, strict=True)
            yield from zip(own, pool.map(decode, positions, own), strict=True)
