"""Utterances -> examples, what is known of them as arrays."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Self

import numpy as np

from speech_mtl.data.audio import num_samples_at
from speech_mtl.data.doubtful import damaged_letters, mixed_scripts
from speech_mtl.data.index import Manifest
from speech_mtl.data.store import Skipped, Waveforms, refuse_many
from speech_mtl.datatypes import Utterance
from speech_mtl.errors import InputError

if TYPE_CHECKING:
    from speech_mtl.targets.target import Target

FrameTimes = Callable[[int], np.ndarray]
"""Samples -> (E,) seconds at which the encoder frames made of them have their middle."""


class Unusable(ValueError):
    """An utterance cannot be learned from.

    Attributes:
        reason: In a few words, by which such utterances are counted.
        message: What exactly.
    """

    def __init__(self, reason: str, message: str):
        super().__init__(message)
        self.reason, self.message = reason, message


@dataclass(frozen=True)
class Column:
    """Labels of examples for one target: the rows of all of them, end to end; none where a label is unknown.

    Attributes:
        target: What the rows mean.
        rows: (M, ...).
        starts: (N + 1,) int64, where each example's rows start.
        frame_times_s: Where encoder frames lie.
        num_known: Number of examples with a known label.
    """

    target: "Target"
    rows: np.ndarray
    starts: np.ndarray
    frame_times_s: FrameTimes
    num_known: int

    @classmethod
    def of(cls, target: "Target", encoded: Iterable[Any], frame_times_s: FrameTimes) -> Self:
        """The column of what a target's `encode` gave for some utterances."""
        rows, starts, num_known = _end_to_end([target.rows(one) for one in (None, *encoded)])
        return cls(target, rows, starts, frame_times_s, num_known)

    def __getitem__(self, example: int) -> np.ndarray:
        """The rows of an example."""
        return self.rows[self.starts[example] : self.starts[example + 1]]

    def values(self, example: int, num_samples: int, speed: float = 1.0) -> np.ndarray:
        """Labels of an example, for the number of samples of its waveform and its speed."""
        return self.of_rows(self[example], num_samples, speed)

    def of_rows(self, rows: np.ndarray, num_samples: int, speed: float) -> np.ndarray:
        """The same of the rows of an example."""
        return self.target.values(rows, lambda: self.frame_times_s(num_samples) * speed)

    def taken(self, examples: np.ndarray) -> Self:
        """The column of some of the examples."""
        rows, starts, num_known = _end_to_end([self.rows[:0], *(self[i] for i in examples)])
        return replace(self, rows=rows, starts=starts, num_known=num_known)


def _end_to_end(pieces: Sequence[np.ndarray]) -> tuple[np.ndarray, np.ndarray, int]:
    """All pieces as one array, where each but the first starts, and how many are not empty, as the first is."""
    sizes = [len(piece) for piece in pieces]
    return np.concatenate(pieces), np.cumsum(sizes), int(np.count_nonzero(sizes))


@dataclass
class Examples:
    """The usable utterances of one manifest, as arrays: some 20 bytes an utterance beside its tokens.

    Attributes:
        store: Their waveforms.
        positions: (N,) int64, position of each example in the manifest and the store.
        targets: By target, what is known of each.
        skipped: Utterances of the manifest that are left out.
        num_unlabelled: Utterances that are left out because nothing that is to be learned is known of them.
        damaged: Transcripts in which letters seem to be lost: `file:line: word`.
        mixed: Words with letters of two scripts that look alike; see `doubtful.mixed_scripts`.
        made: What the network gets in place of waveforms, and their number of samples, by position and speed; None for
            the waveforms themselves.
        num_inputs: Samples -> numbers that the network gets for an utterance.
    """

    store: Waveforms
    positions: np.ndarray
    targets: dict[str, Column] = field(default_factory=dict)
    skipped: list[Skipped] = field(default_factory=list)
    num_unlabelled: int = 0
    damaged: list[str] = field(default_factory=list)
    mixed: list[str] = field(default_factory=list)
    made: Callable[[int, float], tuple[np.ndarray, int]] | None = None
    num_inputs: Callable[[int], int] = int

    def __len__(self) -> int:
        return len(self.positions)

    @property
    def num_samples(self) -> np.ndarray:
        """(N,) int64."""
        return self.store.num_samples[self.positions]

    def read(self, example: int) -> tuple[np.ndarray, dict[str, np.ndarray]]:
        """The waveform of an example, (S,) float32, of its `length`, and its rows by target."""
        return self.store[int(self.positions[example])], self.rows(example)

    def length(self, example: int, speed: float = 1.0) -> int:
        """Samples of an example at a speed, as they are known before it is read."""
        return num_samples_at(int(self.store.num_samples[self.positions[example]]), speed)

    def rows(self, example: int) -> dict[str, np.ndarray]:
        """The rows of an example, by target."""
        return {name: column[example] for name, column in self.targets.items()}


@dataclass(frozen=True)
class Reading:
    """Settings that turn utterances into examples.

    Attributes:
        language: Of the utterances, as the recipe calls it.
        targets: What is to be learned.
        num_encoder_frames: Samples -> encoder frames.
        frame_times_s: Samples -> where the encoder frames lie; needed for targets over frames.
        masking: Takes labels away; see `data.corrupted.LabelMasking`.
        complete: Whether utterances of which any label is unknown are left out.
        min_speed_samples: Smallest length that speed perturbation leaves, as a fraction of the true length.
        allow_skipped: Largest fraction of utterances that may be unusable.
    """

    language: str
    targets: Sequence["Target"]
    num_encoder_frames: Callable[[int], int]
    frame_times_s: FrameTimes = np.zeros
    masking: Callable[[Utterance], Utterance] = lambda utterance: utterance
    complete: bool = False
    min_speed_samples: float = 1.0
    allow_skipped: float = 0.01


def load_examples(manifest: Manifest, store: Waveforms, positions: np.ndarray, reading: Reading) -> Examples:
    """Encodes the labels of the utterances at these positions; skips utterances that are unusable.

    Unusable audio is judged where the store is opened, over the whole manifest; here only texts and labels are.

    Args:
        manifest: The index of the utterances.
        store: Its decoded audio.
        positions: Which utterances to take.
        reading: How.

    Raises:
        InputError: More utterances than allowed cannot be used, nothing is known of any, or a label is no label of its
            target.
    """
    positions = positions[store.num_samples[positions] > 0]
    kept: list[int] = []
    rows: list[list] = []
    skipped: list[Skipped] = []
    num_unlabelled, damaged, mixed = 0, [], []
    for position, utterance in zip(positions, map(reading.masking, manifest.at(positions)), strict=True):
        damaged += damaged_words(utterance)
        mixed += mixed_words(utterance, reading.language)
        try:
            row = encoded(utterance, int(store.num_samples[position]), reading)
        except Unusable as error:
            skipped.append(Skipped(utterance.source, error.reason, error.message))
            continue
        if not is_labelled(row, reading):
            num_unlabelled += 1
            continue
        kept.append(int(position))
        rows.append(row)
    refuse_many(manifest, skipped, len(positions), reading.allow_skipped)
    if not kept:
        raise nothing_known(manifest, num_unlabelled, reading.complete)
    columns = {
        target.name: Column.of(target, (row[i] for row in rows), reading.frame_times_s)
        for i, target in enumerate(reading.targets)
    }
    left_out = [*store.skipped.values(), *skipped]
    return Examples(store, np.array(kept), columns, left_out, num_unlabelled, damaged, mixed)


def damaged_words(utterance: Utterance) -> list[str]:
    """`file:line: word` of the first word of a transcript in which letters seem to be lost, if there is one."""
    return [f"{utterance.source}: {word!r}" for word in damaged_letters(utterance.text or "")[:1]]


def mixed_words(utterance: Utterance, language: str) -> list[str]:
    """`file:line: word ...` of the words of a transcript with letters of two scripts that look alike."""
    return [f"{utterance.source}: {one}" for one in mixed_scripts(utterance.text or "", language)]


def encoded(utterance: Utterance, num_samples: int, reading: Reading) -> list:
    """Encodes the labels of an utterance of so many samples for each target; None where a label is unknown.

    Raises:
        Unusable: It cannot be learned from.
        InputError: A label is none of its target.
    """
    num_frames, found = reading.num_encoder_frames(int(num_samples * reading.min_speed_samples)), []
    for target in reading.targets:
        found.append(target.encode(utterance, reading.language))
        needed = 1 if found[-1] is None else target.num_frames_needed(found[-1])
        if num_frames < needed:
            message = f"the {target.name} needs {needed} encoder frames, the audio has {num_frames}"
            raise Unusable("too short for its text", message)
    return found


def is_labelled(row: Sequence[Any], reading: Reading) -> bool:
    """Whether what `encoded` gave for an utterance is enough to learn from; targets of other languages do not count."""
    own = [target.is_for(reading.language) for target in reading.targets]
    known = [one is not None for one, is_own in zip(row, own, strict=True) if is_own]
    return all(known) if reading.complete else any(known)


def nothing_known(manifest: Manifest, num_unlabelled: int, complete: bool = False) -> InputError:
    """The error to raise where there is nothing to learn."""
    return InputError(
        f"{manifest}: nothing that is to be learned is known of any utterance",
        expected="utterances with all labels" if complete else "at least one transcript or label that is not null",
        received=f"{num_unlabelled} utterances without",
        action="add transcripts or labels"
        + (", or set data.require_all_labels=false" if complete else ", or leave the language out"),
    )
