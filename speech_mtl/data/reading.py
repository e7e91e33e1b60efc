"""Speech that is read whenever a batch needs it, for corpora that are too large to be decoded or encoded before.

Its lengths are those of the manifest, to which audio is cut, or filled with silence: batches are planned by them, and a
process knows no others of the rows that others read. What turns out unusable leaves a silent row without labels in its
batch, which adds nothing to the loss, so that batches stay what the plan says; it is named and counted, and too much of
it stops training.
"""

import logging
import math
from threading import Lock

import numpy as np

from speech_mtl.data.examples import Column, Examples, Reading, Unusable, encoded, nothing_known
from speech_mtl.data.index import Manifest
from speech_mtl.data.manifest import line_name, most_skipped
from speech_mtl.data.store import AudioLimits, Skipped, Waveforms, as_read, decode, too_many_unusable
from speech_mtl.datatypes import Utterance
from speech_mtl.errors import InputError

TOLERANCE_S = 0.1
"""Seconds by which durations in manifests may differ from the audio without a warning: rounding, codecs."""


class ReadWaveforms(Waveforms):
    """The waveforms of a manifest, read and decoded whenever one is asked for: the same as those of a `WaveformStore`.

    Utterances that are too short or too long by the manifest are skipped at once.

    Args:
        manifest: Names the audio.
        limits: Sample rate and accepted lengths.
    """

    def __init__(self, manifest: Manifest, limits: AudioLimits):
        self.manifest, self.limits = manifest, limits
        seconds = manifest.durations_s
        usable = (limits.min_duration_s <= seconds) & (seconds <= limits.max_duration_s)
        self.num_samples = np.where(usable, np.round(seconds * limits.sample_rate_hz), 0).astype(np.int64)
        self.digests = np.broadcast_to(np.uint64(0), len(manifest))
        self.skipped = {int(position): self._of_no_length(int(position)) for position in np.flatnonzero(~usable)}

    def _of_no_length(self, position: int) -> Skipped:
        seconds = float(self.manifest.durations_s[position])
        reason = "too short" if seconds < self.limits.min_duration_s else "too long"
        return Skipped(line_name(self.manifest.path, position), reason, f"it lasts {seconds:g} s by its manifest")

    def read(self, position: int) -> tuple[Utterance, np.ndarray | Skipped]:
        """An utterance, and its audio as it is stored, (S,) int16, or why it cannot be used."""
        (utterance,) = self.manifest.at([position])
        return utterance, decode(utterance, self.limits)

    def __getitem__(self, position: int) -> np.ndarray:
        _, samples = self.read(position)
        if isinstance(samples, Skipped):
            raise InputError(
                f"{samples.source}: its audio cannot be used",
                expected="audio that can be read",
                received=f"{samples.reason}: {samples.message}",
                action="fix the file, or take the line out of the manifest",
            )
        return as_read(samples)


class ReadExamples(Examples):
    """Examples whose audio and labels are read from their manifest when they are asked for.

    Unusable audio and texts are named in the log. They are too many where they are more than the fraction that is
    allowed of those read so far, and more than chance explains: by three standard deviations.

    Attributes:
        left_out: What turned out unusable so far; each utterance once.

    Args:
        store: The audio.
        positions: Which utterances to take; if all targets are made from transcripts, those without one are left out.
        reading: How.

    Raises:
        InputError: There is nothing to learn.
    """

    def __init__(self, store: ReadWaveforms, positions: np.ndarray, reading: Reading):
        transcribed, from_text = store.manifest.transcribed, all(target.from_text for target in reading.targets)
        kept = positions[transcribed[positions]] if from_text else positions
        if not len(kept):
            raise nothing_known(store.manifest, len(positions))
        num_transcribed = int(np.count_nonzero(transcribed[kept]))
        columns = {
            target.name: Column(
                target,
                target.rows(None),
                np.zeros(1, np.int64),
                reading.frame_times_s,
                num_transcribed if target.from_text else len(kept),
            )
            for target in reading.targets
        }
        super().__init__(store, kept, columns, [*store.skipped.values()], len(positions) - len(kept))
        self._waveforms, self._reading, self._lock = store, reading, Lock()
        self._is_read, self._num_read, self.left_out = np.zeros(len(kept), bool), 0, list[Skipped]()

    def read(self, example: int) -> tuple[np.ndarray, dict[str, np.ndarray]]:
        position, targets = int(self.positions[example]), self._reading.targets
        found = self._usable(position)
        self._count(example, found)
        samples, labels = (np.zeros(0, np.int16), [None] * len(targets)) if isinstance(found, Skipped) else found
        size, rows = self.length(example), zip(targets, labels, strict=True)
        fitted = np.pad(samples[:size], (0, max(0, size - len(samples))))
        return as_read(fitted), {target.name: target.rows(one) for target, one in rows}

    def _usable(self, position: int) -> tuple[np.ndarray, list] | Skipped:
        """The samples of an utterance and its encoded labels, or why it cannot be used."""
        utterance, samples = self._waveforms.read(position)
        if isinstance(samples, Skipped):
            return samples
        size = min(len(samples), int(self._waveforms.num_samples[position]))  # it may be cut
        try:
            return samples, encoded(self._reading.masking(utterance), size, self._reading)
        except Unusable as error:
            return Skipped(utterance.source, error.reason, error.message)

    def _count(self, example: int, found: tuple[np.ndarray, list] | Skipped) -> None:
        """Counts an example that is read for the first time, and names it in the log if it is left out or cut."""
        log = logging.getLogger(__name__)
        with self._lock:
            if self._is_read[example]:
                return
            self._is_read[example] = True
            self._num_read += 1
            if not isinstance(found, Skipped):
                cut_s = (len(found[0]) - self.length(example)) / self._waveforms.limits.sample_rate_hz
                if cut_s > TOLERANCE_S:
                    line = line_name(self._waveforms.manifest.path, int(self.positions[example]))
                    log.warning("%s: %.2f s beyond its manifest's duration are cut off", line, cut_s)
                return
            self.left_out.append(found)
            log.warning("%s: left out: %s: %s", found.source, found.reason, found.message)
            allowed = self._reading.allow_skipped
            by_chance = 3 * math.sqrt(allowed / self._num_read)
            if len(self.left_out) > most_skipped(self._num_read, allowed + by_chance):
                raise too_many_unusable(self._waveforms.manifest, self.left_out, self._num_read, allowed)
