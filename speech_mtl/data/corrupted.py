"""Corrupts training speech for controls, its audio or its transcripts: `LanguageSettings.replace`; and masks labels.

A corrupted language still adds updates, other lengths and transcripts, and another output layer. If the target
improves as much with it as with the true language, then the content of that language did not help.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

import numpy as np

from speech_mtl.data.examples import Column, Examples, Reading
from speech_mtl.data.index import Manifest
from speech_mtl.data.manifest import line_name
from speech_mtl.data.store import Skipped, Waveforms, refuse_many
from speech_mtl.datatypes import TRANSCRIPT, Utterance
from speech_mtl.files import digest_of

GROUP_SIZE = 20
"""Approximate number of utterances of similar duration that exchange their transcripts."""


class NoiseStore(Waveforms):
    """White noise of the length and the root-mean-square level of utterances; its peaks may exceed 1.

    The noise of a position is always the same: a network can learn it by heart, as it can speech.
    """

    def __init__(self, speech: Waveforms):
        self.num_samples, self.digests, self.skipped = speech.num_samples, speech.digests, speech.skipped
        self._speech = speech

    def __getitem__(self, position: int) -> np.ndarray:
        speech = self._speech[position]
        noise = np.random.default_rng(position).standard_normal(len(speech), dtype="float32")
        return noise * np.sqrt(np.mean(speech**2) / np.mean(noise**2))


def with_noise(examples: Examples) -> Examples:
    """Replaces the audio by noise. Speed and added noise apply to it, as they do to speech."""
    return replace(examples, store=NoiseStore(examples.store))


def with_shuffled_transcripts(manifest: Manifest, examples: Examples, reading: Reading, seed: int) -> Examples:
    """Exchanges the transcripts of utterances of similar duration.

    All targets that are made from a transcript move with it. Nobody keeps a transcript of the same tokens, and each
    fits its audio by the rule of `load_examples`. An utterance for which its group has no such transcript is left out,
    and so is a transcript that nobody can take.

    Args:
        manifest: Names what is left out.
        examples: Its usable utterances.
        reading: How they were read.
        seed: Decides who gets which transcript.

    Raises:
        InputError: More utterances than allowed get no transcript.
    """
    column, numbers = examples.targets[TRANSCRIPT], range(len(examples))
    shortest = [int(size * reading.min_speed_samples) for size in examples.num_samples]
    frames = np.array(list(map(reading.num_encoder_frames, shortest)))
    given, known = np.array(numbers), np.flatnonzero(np.diff(column.starts))
    of_text = [one for one in examples.targets.values() if one.target.from_text]
    needed = np.array([max(one.target.num_frames_needed(one[i]) for one in of_text) for i in known.tolist()])
    lengths, generator = examples.num_samples[known], np.random.default_rng(seed)
    exchanged = _exchanged(column.taken(known), needed, frames[known], lengths, generator)
    given[known] = np.where(exchanged >= 0, known[exchanged], -1)  # an unknown transcript stays unknown
    message = "no utterance of similar duration has another transcript that its audio is long enough for"
    lost = (line_name(manifest.path, position) for position in examples.positions[given < 0].tolist())
    skipped = [Skipped(line, "no other transcript fits", message) for line in lost]
    refuse_many(manifest, skipped, len(examples), reading.allow_skipped)
    kept = np.flatnonzero(given >= 0)
    return replace(
        examples,
        positions=examples.positions[kept],
        targets={
            name: one.taken(given[kept] if one.target.from_text else kept) for name, one in examples.targets.items()
        },
        skipped=[*examples.skipped, *skipped],
    )


def _exchanged(
    column: Column, needed: np.ndarray, frames: np.ndarray, lengths: np.ndarray, generator: np.random.Generator
) -> np.ndarray:
    """(N,) int64, whose transcript each utterance gets; -1 for none.

    Args:
        column: The transcripts.
        needed: (N,) frames that each needs.
        frames: (N,) that each utterance has.
        lengths: (N,) samples of each.
        generator: Decides who gets which.
    """
    transcripts, numbers = [column[i] for i in range(len(frames))], {}
    distinct = np.array([numbers.setdefault(tokens.tobytes(), len(numbers)) for tokens in transcripts])
    given = np.full(len(transcripts), -1)
    by_length = np.argsort(lengths, kind="stable")
    for group in np.array_split(by_length, max(1, round(len(transcripts) / GROUP_SIZE))):
        fits = (needed[group] <= frames[group, None]) & (distinct[group] != distinct[group, None])
        for taker, giver in _matched(fits, generator):
            given[group[taker]] = group[giver]
    return given


def _matched(fits: np.ndarray, generator: np.random.Generator) -> list[tuple[int, int]]:
    """A random matching of as many rows with columns as can be: where the choice is free it is the generator's.

    Args:
        fits: (N, N) bool, whether a row may have a column.
        generator: Decides between matchings.
    """
    from scipy.optimize import linear_sum_assignment

    # A pair that does not fit costs more than all random costs together.
    costs = generator.random(fits.shape) + np.where(fits, 0.0, len(fits))
    return [(row, column) for row, column in zip(*linear_sum_assignment(costs), strict=True) if fits[row, column]]


@dataclass(frozen=True)
class LabelMasking:
    """Masks a random part of the labels, to measure the cost of partial labels.

    Whether an utterance keeps a label depends on the seed, the label's name and the utterance's id, and nothing else.

    Attributes:
        kept: By label, the fraction that is kept; labels that are not named are all kept.
        seed: Another seed, other labels.
    """

    kept: Mapping[str, float] = field(default_factory=dict)
    seed: int = 0

    def __call__(self, utterance: Utterance) -> Utterance:
        """Returns the utterance with its kept labels."""
        lost = [name for name, kept in self.kept.items() if kept < 1 and self._uniform(name, utterance.id) >= kept]
        return utterance.without(lost) if lost else utterance

    def _uniform(self, name: str, utterance_id: str) -> float:
        return digest_of(f"{self.seed}/{name}/{utterance_id}".encode()) / 2**64
