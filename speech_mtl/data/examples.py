"""Manifests -> examples: what of the speech is used, and what is known of it.

    open_manifest -> parts_to_decode -> open_store (decode, check) -> within_budget
        -> load_examples (encode for each target, filter, count what is left out)

`batching` makes batches of them.
"""

import hashlib
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

import numpy as np

from speech_mtl.data.columns import Column, FrameTimes
from speech_mtl.data.manifest import Manifest, most_skipped
from speech_mtl.data.store import Skipped, WaveformStore
from speech_mtl.data.text import damaged_letters
from speech_mtl.datatypes import Utterance
from speech_mtl.errors import InputError


@dataclass
class Examples:
    """The usable utterances of one manifest, as arrays: some 20 bytes an utterance beside its tokens.

    Attributes:
        store: Where the waveforms lie.
        positions: (N,) int64, position of each example in the manifest and the store.
        targets: By target, what is known of each.
        skipped: Utterances of the manifest that are left out.
        num_unlabelled: Utterances that are left out because nothing that is to be learned is known of them.
        damaged: Transcripts in which letters seem to be lost: `file:line: word`.
    """

    store: WaveformStore
    positions: np.ndarray
    targets: dict[str, Column] = field(default_factory=dict)
    skipped: list[Skipped] = field(default_factory=list)
    num_unlabelled: int = 0
    damaged: list[str] = field(default_factory=list)

    def __len__(self) -> int:
        return len(self.positions)

    @property
    def num_samples(self) -> np.ndarray:
        """(N,) int64."""
        return self.store.num_samples[self.positions]


@dataclass(frozen=True)
class Removal:
    """Takes a random part of labels away, as if they were unknown: how much do partial labels cost?

    Whether an utterance keeps a label depends on the seed, the label's name and the utterance's id, and nothing else.

    Attributes:
        kept: By label, the share that is kept; labels that are not named are all kept.
        seed: Another seed, other labels.
    """

    kept: Mapping[str, float] = field(default_factory=dict)
    seed: int = 0

    def __call__(self, utterance: Utterance) -> Utterance:
        """The utterance with what is left of its labels."""
        lost = [name for name, share in self.kept.items() if share < 1 and self._draw(name, utterance.id) >= share]
        return utterance.without(lost) if lost else utterance

    def _draw(self, name: str, utterance_id: str) -> float:
        key = f"{self.seed}/{name}/{utterance_id}".encode()
        return int.from_bytes(hashlib.blake2b(key, digest_size=8).digest(), "big") / 2**64


SMALLEST_PART_S = 3600.0
"""As much of a manifest is decoded at least: enough to judge by whether its audio can be used."""


def parts_to_decode(durations_s: np.ndarray, budget_s: float, seed: int) -> Iterator[np.ndarray]:
    """What to decode for a budget of speech: ever larger parts of a manifest, until one turns out to hold it.

    Parts are 1, 2, 4, ... hours, so that several budgets share one. The first holds a tenth more than the budget, of
    which some may be unusable.

    Args:
        durations_s: (N,) as the manifest says.
        budget_s: Seconds of speech.
        seed: That of `within_budget`.

    Yields:
        Positions in the manifest. Where it has no such parts, all of it is to be decoded.
    """
    order = _drawn(len(durations_s), seed)
    ends_s = np.cumsum(durations_s[order])
    part_s = SMALLEST_PART_S
    while part_s < ends_s[-1]:
        if part_s >= 1.1 * budget_s:
            yield order[: int(np.searchsorted(ends_s, part_s)) + 1]
        part_s *= 2


def _drawn(num_utterances: int, seed: int) -> np.ndarray:
    """The order in which a budget takes a manifest's utterances."""
    return np.random.default_rng(seed).permutation(num_utterances)


def within_budget(store: WaveformStore, budget_s: float | None, sample_rate_hz: int, seed: int) -> np.ndarray:
    """Positions of the utterances that make up a budget of speech: nested, so that a larger budget holds a smaller one.

    Args:
        store: The decoded manifest.
        budget_s: Seconds of speech; None for all.
        sample_rate_hz: Rate of the store.
        seed: Decides the order in which utterances are taken.

    Raises:
        InputError: The budget is larger than what there is, by more than 1 %.
    """
    usable = np.flatnonzero(store.num_samples)
    if budget_s is None:
        return usable
    order = _drawn(len(store.num_samples), seed)
    order = order[store.num_samples[order] > 0]
    seconds = np.cumsum(store.num_samples[order]) / sample_rate_hz
    if budget_s > seconds[-1] * 1.01:
        raise InputError(
            f"A budget of {budget_s / 60:g} minutes is more than there is in {store.path.stem}",
            expected=f"at most {seconds[-1] / 60:.1f} minutes",
            received=f"{budget_s / 60:g} minutes",
            action="lower budget_s, or compare.budgets_min in a comparison",
        )
    return np.sort(order[: int(np.searchsorted(seconds, budget_s, side="right"))])


class Unusable(ValueError):
    """An utterance cannot be learned from.

    Attributes:
        reason: In a few words, by which such utterances are counted.
        message: What exactly.
    """

    def __init__(self, reason: str, message: str):
        super().__init__(message)
        self.reason, self.message = reason, message


class Learnable(Protocol):
    """The part of a `targets.Target` that makes arrays of what is known of utterances."""

    name: str

    def is_for(self, language: str) -> bool: ...

    def encode(self, utterance: Utterance, language: str) -> Any: ...

    def num_frames_needed(self, encoded: Any) -> int: ...

    def column(self, encoded: Sequence[Any], frame_times_s: FrameTimes) -> Column: ...


@dataclass(frozen=True)
class Reading:
    """How utterances become examples.

    Attributes:
        language: Of the utterances, as the recipe calls it.
        targets: What is to be learned.
        num_encoder_frames: Samples -> encoder frames.
        frame_times_s: Samples -> where the encoder frames lie; needed for targets over frames.
        removal: Which labels are taken away.
        complete: Whether utterances of which any label is unknown are left out.
        min_speed_samples: Smallest length that speed perturbation leaves, as a share of the true length.
        allow_skipped: Largest share of utterances that may be unusable.
    """

    language: str
    targets: Sequence[Learnable]
    num_encoder_frames: Callable[[int], int]
    frame_times_s: FrameTimes = np.zeros
    removal: Removal = field(default_factory=Removal)
    complete: bool = False
    min_speed_samples: float = 1.0
    allow_skipped: float = 0.01


def load_examples(manifest: Manifest, store: WaveformStore, positions: np.ndarray, reading: Reading) -> Examples:
    """Encodes what is known of the utterances at these positions; leaves out what cannot be learned from.

    Unusable audio is judged where the store is opened, over the whole manifest; here only texts and labels are.

    Args:
        manifest: What is said of the utterances.
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
    num_unlabelled, damaged = 0, []
    for position, utterance in zip(positions, map(reading.removal, manifest.at(positions)), strict=True):
        damaged += damaged_words(utterance)
        try:
            row = _encoded(utterance, int(store.num_samples[position]), reading)
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
        raise _nothing_known(manifest, num_unlabelled, reading.complete)
    columns = {
        target.name: target.column([row[i] for row in rows], reading.frame_times_s)
        for i, target in enumerate(reading.targets)
    }
    return Examples(store, np.array(kept), columns, [*store.skipped.values(), *skipped], num_unlabelled, damaged)


def damaged_words(utterance: Utterance) -> list[str]:
    """`file:line: word` of the first word of a transcript in which letters seem to be lost, if there is one."""
    return [f"{utterance.source}: {word!r}" for word in damaged_letters(utterance.text or "")[:1]]


def _encoded(utterance: Utterance, num_samples: int, reading: Reading) -> list:
    """What is known of an utterance for each target; None where nothing is.

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


def _nothing_known(manifest: Manifest, num_unlabelled: int, complete: bool) -> InputError:
    return InputError(
        f"{manifest}: nothing that is to be learned is known of any utterance",
        expected="utterances with all labels" if complete else "at least one transcript or label that is not null",
        received=f"{num_unlabelled} utterances without",
        action="add transcripts or labels"
        + (", or set data.require_all_labels=false" if complete else ", or leave the language out"),
    )


def refuse_many(manifest: Manifest, skipped: Sequence[Skipped], num_read: int, allowed: float) -> None:
    """Stops when too much of a manifest cannot be used; a single utterance never is too much, unless none is allowed.

    Raises:
        InputError: With the counts by reason and the first case of each.
    """
    if len(skipped) <= most_skipped(num_read, allowed) and len(skipped) < num_read:
        return
    firsts: dict[str, Skipped] = {}
    for skip in skipped:
        firsts.setdefault(skip.reason, skip)
    counts = Counter(skip.reason for skip in skipped)
    listed = "; ".join(
        f"{counts[reason]} {reason} ({first.source}: {first.message})" for reason, first in firsts.items()
    )
    raise InputError(
        f"{manifest}: {len(skipped)} of {num_read} utterances cannot be used",
        expected=f"at most {allowed:.0%} that cannot be used",
        received=listed,
        action="mend the files or the manifest, or raise data.allow_skipped to go on without them",
    )
