"""Utterances -> examples, what is known of them as arrays -> batches."""

from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Self

import numpy as np

from speech_mtl.data.audio import add_noise, change_speed
from speech_mtl.data.augmentation import WaveformAugmentation, augmented
from speech_mtl.data.doubtful import damaged_letters, mixed_scripts
from speech_mtl.data.index import Manifest
from speech_mtl.data.sampling import SampledExample
from speech_mtl.data.store import Skipped, Waveforms, refuse_many
from speech_mtl.datatypes import Batch, Utterance
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
    """

    store: Waveforms
    positions: np.ndarray
    targets: dict[str, Column] = field(default_factory=dict)
    skipped: list[Skipped] = field(default_factory=list)
    num_unlabelled: int = 0
    damaged: list[str] = field(default_factory=list)
    mixed: list[str] = field(default_factory=list)
    made: Callable[[int, float], tuple[np.ndarray, int]] | None = None

    def __len__(self) -> int:
        return len(self.positions)

    @property
    def num_samples(self) -> np.ndarray:
        """(N,) int64."""
        return self.store.num_samples[self.positions]

    def read(self, example: int) -> tuple[np.ndarray, dict[str, np.ndarray]]:
        """The waveform of an example, (S,) float32, and its rows by target."""
        return self.store[int(self.positions[example])], self.rows(example)

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
        own = [target.is_for(reading.language) for target in reading.targets]
        known = [one is not None for one, is_own in zip(row, own, strict=True) if is_own]
        if not (all(known) if reading.complete else any(known)):
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


def nothing_known(manifest: Manifest, num_unlabelled: int, complete: bool = False) -> InputError:
    """The error to raise where there is nothing to learn."""
    return InputError(
        f"{manifest}: nothing that is to be learned is known of any utterance",
        expected="utterances with all labels" if complete else "at least one transcript or label that is not null",
        received=f"{num_unlabelled} utterances without",
        action="add transcripts or labels"
        + (", or set data.require_all_labels=false" if complete else ", or leave the language out"),
    )


def collate(
    sampled: Sequence[SampledExample],
    examples: Mapping[int, Examples],
    augmentations: Sequence[WaveformAugmentation] = (),
) -> Batch:
    """Reads and perturbs the waveforms of one batch, and pads them to one rectangle.

    Args:
        sampled: What is in the batch.
        examples: By language id.
        augmentations: In the order in which they are applied.
    """
    found = [_input(one, examples[one.language], augmentations) for one in sampled]
    padded, _ = padded_rows([waveform for waveform, *_ in found], np.float32)
    sizes = np.array([num_samples for _, num_samples, _ in found], dtype=np.int32)
    languages = np.array([one.language for one in sampled], dtype=np.int32)
    targets = {
        name: column.target.stacked([values[name] for *_, values in found])
        for name, column in examples[sampled[0].language].targets.items()
    }
    return Batch(padded, sizes, languages, targets)


def _input(
    one: SampledExample, examples: Examples, augmentations: Sequence[WaveformAugmentation]
) -> tuple[np.ndarray, int, dict[str, np.ndarray]]:
    """What the network gets for an example, its number of samples, and its values by target."""
    if examples.made is not None:
        given, num_samples = examples.made(int(examples.positions[one.example]), one.speed)
        rows = examples.rows(one.example)
    else:
        waveform, rows = examples.read(one.example)
        waveform = change_speed(waveform, one.speed)
        if one.snr_db is not None:
            waveform = add_noise(waveform, one.snr_db, np.random.default_rng(one.seed))
        given, num_samples = waveform, len(waveform)
        if augmentations:
            given = augmented(waveform, augmentations, one.seed)
    columns = examples.targets.items()
    return given, num_samples, {name: column.of_rows(rows[name], num_samples, one.speed) for name, column in columns}


def batches(
    plan: Iterable[list[SampledExample]],
    examples: Mapping[int, Examples],
    num_threads: int,
    augmentations: Sequence[WaveformAugmentation] = (),
) -> Iterator[Batch]:
    """Collates the batches of a plan ahead of time, in `num_threads` threads, and yields them in order."""
    ahead: deque[Future[Batch]] = deque()
    with ThreadPoolExecutor(num_threads) as pool:
        for sampled in plan:
            ahead.append(pool.submit(collate, sampled, examples, augmentations))
            if len(ahead) > 2 * num_threads:
                yield ahead.popleft().result()
        while ahead:
            yield ahead.popleft().result()


def padded_rows(rows: Sequence[np.ndarray], dtype: type):
    """Rows of different length -> one zero-padded matrix, and the (B,) int32 true lengths."""
    sizes = np.array([len(row) for row in rows], dtype=np.int32)
    matrix = np.zeros((len(rows), int(sizes.max(initial=0))), dtype=dtype)
    for target, row in zip(matrix, rows, strict=True):
        target[: len(row)] = row
    return matrix, sizes
