"""Decoded audio on disk: every file that is used is decoded, resampled and checked once, then read from there.

Decoding an mp3 takes longer than a small network's training step on it, and a run reads every utterance dozens of
times. The operating system, not this process, holds the pages that are read.
"""

import hashlib
import json
import logging
import os
import re
import weakref
import zlib
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
from typing_extensions import TypedDict

from speech_mtl.data.audio import read_audio
from speech_mtl.data.index import Manifest
from speech_mtl.data.manifest import too_many_skipped
from speech_mtl.data.place import AudioError, file_states
from speech_mtl.data.threads import ahead
from speech_mtl.datatypes import Utterance
from speech_mtl.errors import InputError, printable
from speech_mtl.files import Bits64, NotNegative, digest_of, read_json, replacing, write_text

FULL_SCALE = np.float32(32767.0)
"""Stored value of a sample of 1.0."""

FORMAT = 3
"""Raised when the files' layout or the decoding changes, so that old caches are not used."""

DURATION_TOLERANCE = (0.1, 0.3)
"""Fraction and seconds by which audio may differ from its manifest; it is refused only beyond both."""


START_AGAIN = "start again: the audio is then decoded anew"


@dataclass(frozen=True, slots=True)
class Skipped:
    """An utterance that is left out, and why."""

    source: str
    reason: str
    message: str


@dataclass(frozen=True, slots=True)
class AudioLimits:
    """Format of decoded audio, and accepted lengths."""

    sample_rate_hz: int
    min_duration_s: float
    max_duration_s: float


class _Index(TypedDict):
    """Index of the samples, which shows whether they belong to a manifest."""

    crc32: NotNegative
    num_samples: list[NotNegative]
    digests: list[Bits64]
    skipped: dict[NotNegative, Skipped]


class Waveforms:
    """Waveforms of the utterances of one manifest, in the manifest's order.

    Attributes:
        num_samples: (N,) int64, length of each utterance; 0 for one that is skipped or was not to be decoded.
        digests: (N,) uint64, of the samples of each: equal where the audio is, whatever its files are called; 0 where
            there is none.
        skipped: The skipped ones, by position.
    """

    num_samples: np.ndarray
    digests: np.ndarray
    skipped: dict[int, Skipped]

    def __getitem__(self, position: int) -> np.ndarray:
        """(S,) float32 in [-1, 1].

        Raises:
            InputError: It cannot be read any more.
        """
        raise NotImplementedError


class WaveformStore(Waveforms):
    """Waveforms that have been decoded; see `open_store`.

    Raises:
        InputError: The files are missing, damaged, or not of one another.
    """

    def __init__(self, path: Path):
        index = read_json(path.with_suffix(".json"), _Index, START_AGAIN)
        self.path, self.skipped = path, index["skipped"]
        # Not mapped to memory: a process that reads a mapped file is killed when somebody cuts that short.
        self._descriptor = _descriptor(path)
        weakref.finalize(self, os.close, self._descriptor)
        wanted, size = 2 * sum(index["num_samples"]), os.fstat(self._descriptor).st_size
        if size != wanted:
            raise _damaged(path, f"{wanted:,} bytes, by its index", f"{size:,} bytes")
        if self._crc32() != index["crc32"]:
            raise _damaged(path, "the checksum of its index", "other samples")
        if any(place >= len(index["num_samples"]) or index["num_samples"][place] for place in self.skipped):
            raise _damaged(path, "skipped utterances without samples", "an index that lists samples for them")
        if len(index["digests"]) != len(index["num_samples"]):
            raise _damaged(path, "a digest of each utterance", f"{len(index['digests'])} digests")
        self.num_samples = np.array(index["num_samples"], dtype=np.int64)
        self.digests = np.array(index["digests"], dtype=np.uint64)
        self.starts = np.concatenate([[0], np.cumsum(self.num_samples)[:-1]]).astype(np.int64)

    def __getitem__(self, position: int) -> np.ndarray:
        return self.stretch(position, 0, int(self.num_samples[position]))

    def stretch(self, position: int, start: int, size: int) -> np.ndarray:
        """So many samples of an utterance from one of them on, which it has: (size,) float32 in [-1, 1].

        Raises:
            InputError: Somebody cut the file short since it was opened.
        """
        num_bytes = 2 * size
        held = os.pread(self._descriptor, num_bytes, 2 * (int(self.starts[position]) + start))
        if len(held) < num_bytes:
            raise _damaged(self.path, "a file that stays as it is", "one that was cut short while it was read")
        return as_read(np.frombuffer(held, np.int16))

    def _crc32(self) -> int:
        crc32, place = 0, 0
        while block := os.pread(self._descriptor, 1 << 22, place):
            crc32, place = zlib.crc32(block, crc32), place + len(block)
        return crc32


def _descriptor(path: Path) -> int:
    try:
        return os.open(path, os.O_RDONLY)
    except FileNotFoundError:
        raise _damaged(path, "a file beside its index", "none") from None


def _damaged(path: Path, expected: str, received: str) -> InputError:
    return InputError(f"The cache {path} is damaged", expected=expected, received=received, action=START_AGAIN)


def open_store(
    cache_dir: Path,
    name: str,
    manifest: Manifest,
    limits: AudioLimits,
    num_threads: int = 2,
    progress: Callable[[Iterable[int]], Iterable[int]] = iter,
    positions: np.ndarray | None = None,
) -> WaveformStore:
    """Opens the store of a manifest's audio, or of a part of it; fills it first where there is none, or a damaged one.

    Args:
        cache_dir: Folder of all stores.
        name: Start of the file's name; the rest is a digest of all that decides what is in it: the audio files' names,
            sizes, times and durations by the manifest, and the limits.
        manifest: Names the audio files.
        limits: Sample rate and accepted lengths.
        num_threads: Files decoded at a time.
        progress: Wraps the positions of what is decoded, to show a bar.
        positions: Which of the utterances to decode; None for all.

    Raises:
        InputError: Audio files changed while they were decoded.
    """
    wanted = list(range(len(manifest))) if positions is None else np.unique(positions).tolist()
    digest = _digest(manifest, wanted, limits)
    path = cache_dir / f"{re.sub('[^0-9A-Za-z-]', '_', name)[:100]}-{digest}.pcm"
    if path.with_suffix(".json").exists():
        try:
            return WaveformStore(path)
        except InputError as error:
            logging.getLogger(__name__).warning("%s; the audio is decoded anew", error.problem)

    waveforms = ahead(lambda utterance: decode(utterance, limits), manifest.at(wanted), num_threads)
    decoded = zip(progress(wanted), waveforms, strict=True)
    _fill(path, len(manifest), decoded, lambda: _digest(manifest, wanted, limits) == digest)
    return WaveformStore(path)


def refuse_many(manifest: Manifest | Path, skipped: Sequence[Skipped], num_read: int, allowed: float) -> None:
    """Stops when too much of a manifest cannot be used; a single utterance never is too much, unless none is allowed.

    Raises:
        InputError: With the counts by reason and the first case of each.
    """
    if too_many_skipped(len(skipped), num_read, allowed):
        raise too_many_unusable(manifest, skipped, num_read, allowed)


def by_reason(skipped: Iterable[Skipped]) -> str:
    """How many are skipped, by reason, as text."""
    return ", ".join(f"{number} {reason}" for reason, number in Counter(one.reason for one in skipped).items())


def too_many_unusable(
    manifest: Manifest | Path, skipped: Sequence[Skipped], num_read: int, allowed: float
) -> InputError:
    """The error to raise where more of a manifest than allowed cannot be used: counts by reason, first case of each."""
    firsts: dict[str, Skipped] = {}
    for skip in skipped:
        firsts.setdefault(skip.reason, skip)
    counts = Counter(skip.reason for skip in skipped)
    listed = "; ".join(
        f"{counts[reason]} {reason} ({first.source}: {first.message})" for reason, first in firsts.items()
    )
    return InputError(
        f"{manifest}: {len(skipped)} of {num_read} utterances cannot be used",
        expected=f"at most {allowed:.0%} that cannot be used",
        received=listed,
        action="fix the files or the manifest, or raise data.allow_skipped to leave them out",
    )


def _digest(manifest: Manifest, wanted: Sequence[int], limits: AudioLimits) -> str:
    digest, following = hashlib.sha256(repr((FORMAT, limits)).encode()), 0
    state = file_states()
    for position, utterance in zip(wanted, manifest.at(wanted), strict=True):
        digest.update(b"not wanted" * (position - following))
        known = str(utterance.audio), state(utterance.audio), utterance.duration_s
        digest.update(repr(known).encode("utf-8", "surrogatepass"))
        following = position + 1
    digest.update(b"not wanted" * (len(manifest) - following))
    return digest.hexdigest()[:16]


def _fill(
    path: Path,
    size: int,
    decoded: Iterable[tuple[int, np.ndarray | Skipped]],
    unchanged: Callable[[], bool],
) -> None:
    """Writes what was decoded, of so many utterances, by their positions."""
    num_samples, digests = np.zeros(size, np.int64), np.zeros(size, np.uint64)
    skipped: dict[int, Skipped] = {}
    crc32 = 0
    with replacing(path) as temporary, temporary.open("wb") as file:
        for position, result in decoded:
            if isinstance(result, Skipped):
                skipped[position] = result
                continue
            file.write(samples := result.tobytes())
            crc32 = zlib.crc32(samples, crc32)
            num_samples[position] = len(result)
            digests[position] = digest_of(samples)
        if not unchanged():
            raise InputError(
                f"Audio files changed while they were decoded for {path}",
                expected="files that stay as they are",
                received="another size, time or duration of at least one of them",
                action="start again when nothing writes to them any more",
            )
    index = {"crc32": crc32, "num_samples": num_samples.tolist(), "digests": digests.tolist()}
    write_text(path.with_suffix(".json"), json.dumps({**index, "skipped": {i: asdict(s) for i, s in skipped.items()}}))


def decode(utterance: Utterance, limits: AudioLimits) -> np.ndarray | Skipped:
    """Decodes and checks the audio of an utterance: (S,) int16 as they are stored, or why it is left out."""
    try:
        waveform = read_audio(utterance.audio, limits.sample_rate_hz, limits.min_duration_s, limits.max_duration_s)
        _refuse_other_duration(utterance, len(waveform) / limits.sample_rate_hz)
    except AudioError as error:
        return Skipped(printable(utterance.source), error.reason, str(error))
    return np.round(waveform * FULL_SCALE).astype(np.int16)


def as_read(samples: np.ndarray) -> np.ndarray:
    """(S,) int16 as they are stored -> (S,) float32 in [-1, 1]."""
    return samples.astype("float32") / FULL_SCALE


def _refuse_other_duration(utterance: Utterance, duration_s: float) -> None:
    fraction, seconds = DURATION_TOLERANCE
    expected = utterance.duration_s
    if abs(duration_s - expected) > max(fraction * expected, seconds):
        relation = "shorter" if duration_s < expected else "longer"
        message = f"{utterance.audio} lasts {duration_s:.2f} s, and its manifest gives {expected:.2f} s"
        raise AudioError(f"{relation} than in its manifest", message)
