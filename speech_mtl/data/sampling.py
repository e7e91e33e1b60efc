"""Selects the utterances of a budget of speech, and plans which of them make up each batch.

Plans depend only on lengths and a seed: training can resume at any batch, and the same seed gives the same batches
for any number of threads. Of an utterance they hold some numbers in arrays, and no objects.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from itertools import count
from typing import Literal

import numpy as np

from speech_mtl.data.mixing import MIXINGS, by_length, into_batches
from speech_mtl.errors import InputError

SMALLEST_PART_S = 3600.0
"""Least amount of a manifest that is decoded: enough to judge whether its audio is usable."""


def parts_to_decode(
    durations_s: np.ndarray, transcribed: np.ndarray, budget_s: float, more_s: float, seed: int
) -> Iterator[np.ndarray]:
    """Yields ever larger parts of a manifest to decode, until one holds a budget of speech.

    Parts are 1, 2, 4, ... hours, so that several budgets share one. The first holds a tenth more than the budget, of
    which some may be unusable.

    Args:
        durations_s: (N,) by the manifest.
        transcribed: (N,) bool, which utterances have a transcript.
        budget_s: Seconds of transcribed speech.
        more_s: Seconds of speech besides, whether transcribed or not.
        seed: That of `within_budget`.

    Yields:
        Positions in the manifest. Where it has no such parts, all of it is to be decoded.
    """
    order = _sampling_order(len(durations_s), seed)
    ends_s = np.cumsum(durations_s[order])
    transcribed_s = np.cumsum((durations_s * transcribed)[order])
    part_s = SMALLEST_PART_S
    while part_s < ends_s[-1]:
        last = int(np.searchsorted(ends_s, part_s))
        if part_s >= 1.1 * (budget_s + more_s) and transcribed_s[last] >= 1.1 * budget_s:
            yield order[: last + 1]
        part_s *= 2


def _sampling_order(num_utterances: int, seed: int) -> np.ndarray:
    """The order in which a budget takes a manifest's utterances."""
    return np.random.default_rng(seed).permutation(num_utterances)


def within_budget(durations_s: np.ndarray, budget_s: float | None, seed: int, name: str) -> np.ndarray:
    """Positions of the utterances that make up a budget of speech: nested, so that a larger budget holds a smaller one.

    Args:
        durations_s: (N,) seconds of each utterance; 0 of one that is not to be used.
        budget_s: Seconds of speech; None for all.
        seed: Decides the order in which utterances are taken.
        name: What the utterances are called in messages.

    Raises:
        InputError: The budget is larger than what there is, by more than 1 %.
    """
    if budget_s is None:
        return np.flatnonzero(durations_s)
    order = _sampling_order(len(durations_s), seed)
    order = order[durations_s[order] > 0]
    seconds = np.cumsum(durations_s[order])
    there_s = seconds[-1] if len(seconds) else 0.0
    if budget_s > there_s * 1.01:
        raise InputError(
            f"A budget of {budget_s / 60:g} minutes is more than there is in {name}",
            expected=f"at most {there_s / 60:.1f} minutes",
            received=f"{budget_s / 60:g} minutes",
            action="lower budget_s, or compare.budgets_min in a comparison",
        )
    return np.sort(order[: int(np.searchsorted(seconds, budget_s, side="right"))])


@dataclass(frozen=True)
class SampledExample:
    """An example of a batch, with its augmentation."""

    language: int
    example: int
    speed: float = 1.0
    snr_db: float | None = None
    seed: int = 0


@dataclass(frozen=True)
class Ramp:
    """Batches over which a language's fraction of the speech rises to 1, from number `begins` to number `ends`.

    Joint training that ends as fine-tuning. Reference: Choi et al. 2023, "Order matters in the presence of dataset
    imbalance for multilingual learning". We differ: they pretrain on rich tasks and change to a mixture at once; here
    all are trained together, and the fraction of one of them rises linearly to 1.
    """

    language: int
    begins: int
    ends: int

    def passed(self, number: int, pool_batches: int) -> float:
        """Fraction of the ramp before the end of the pool that begins with a batch; 0 before the ramp begins."""
        if number < self.begins:
            return 0.0
        return min(1.0, (number + pool_batches - self.begins) / max(1, self.ends - self.begins))


@dataclass(frozen=True)
class TrainingPlan:
    """Endless training batches: which examples, at which speed and with which noise, make up batch number n.

    Batches are made in pools of `batch_s` * `pool_batches` seconds of speech, before changes of speed. A language has
    its fraction of each: the next ones in its order, which is another whenever all have been taken. The pool is cut
    into batches of `batch_s` seconds, how is up to `mixing`, and the batches shuffled.
    """

    durations_s: Mapping[int, np.ndarray]
    """(N,) seconds of each example, by language."""
    batch_s: float
    alpha: float
    seed: int
    speeds: tuple[float, ...] = (1.0,)
    noise_probability: float = 0.0
    noise_snr_db: tuple[float, float] = (10.0, 30.0)
    pool_batches: int = 32
    mixing: Literal["by_length", "every_language"] = "by_length"
    """One of `mixing.MIXINGS`."""
    given_fractions: Mapping[int, float] = field(default_factory=dict)
    """Fractions of the speech in batches, by language; the others get the rest, in proportion to (amount) ** alpha."""
    ramp: Ramp | None = None
    """Set if the last batches hold only one language."""
    lengths_s: tuple[float, ...] = ()
    """Lengths to which batches are padded; see `padded_lengths`. Empty: to that of its longest example."""

    @cached_property
    def _amounts_s(self) -> dict[int, float]:
        return {language: float(durations_s.sum()) for language, durations_s in self.durations_s.items()}

    def fractions(self, number: int = 0) -> dict[int, float]:
        """Fractions of the speech in batches, by language, in the pool that begins with a batch."""
        others = {i: own_s**self.alpha for i, own_s in self._amounts_s.items() if i not in self.given_fractions}
        left = 1.0 - sum(self.given_fractions.values())
        fractions = {
            i: self.given_fractions[i] if i in self.given_fractions else left * others[i] / sum(others.values())
            for i in self.durations_s
        }
        if self.ramp is None:
            return fractions
        passed = self.ramp.passed(number, self.pool_batches)
        return {i: (1 - passed) * fraction + passed * (i == self.ramp.language) for i, fraction in fractions.items()}

    def batches(self, start: int = 0) -> Iterator[list[SampledExample]]:
        """The batches from number `start` on. Earlier ones cost a fraction of a millisecond each, and no audio."""
        orders, number = {i: _Order(own, (self.seed, 1, i)) for i, own in self.durations_s.items()}, 0
        for pool in count():
            make, rows = self._pool(pool, number, orders)
            for own in rows[max(0, start - number) :]:
                yield [make(row) for row in own.tolist()]
            number += len(rows)

    def _pool(
        self, pool: int, number: int, orders: "Mapping[int, _Order]"
    ) -> tuple[Callable[[int], SampledExample], list[np.ndarray]]:
        """What makes the examples of the pool that begins with batch `number` by their rows; the rows of each batch."""
        generator, pool_s = np.random.default_rng((self.seed, 0, pool)), self.batch_s * self.pool_batches
        taken = {i: orders[i].next(fraction * pool_s) for i, fraction in self.fractions(number).items()}
        examples = np.concatenate(list(taken.values()))
        languages = np.repeat(list(taken), [len(own) for own in taken.values()])
        speeds = generator.choice(self.speeds, len(examples))
        noisy = generator.random(len(examples)) < self.noise_probability
        snr_db = generator.uniform(*self.noise_snr_db, len(examples))
        seeds = generator.integers(2**31, size=len(examples))
        durations_s = np.concatenate([self.durations_s[i][own] for i, own in taken.items()]) / speeds
        order = MIXINGS[self.mixing](durations_s, languages)
        batches = into_batches(order, durations_s, self.batch_s, self.lengths_s)

        def make(row: int) -> SampledExample:
            noise_db = float(snr_db[row]) if noisy[row] else None
            return SampledExample(
                int(languages[row]), int(examples[row]), float(speeds[row]), noise_db, int(seeds[row])
            )

        return make, [batches[i] for i in generator.permutation(len(batches))]


class _Order:
    """The examples of a language in random order, all of them before any comes again.

    Args:
        durations_s: (N,) of the examples.
        key: What the random numbers depend on.
    """

    def __init__(self, durations_s: np.ndarray, key: tuple[int, ...]):
        self._durations_s, self._key, self._total_s = durations_s, key, float(durations_s.sum())
        self._epoch, self._place, self._until_s = -1, 0, 0.0
        self._shuffle()

    def next(self, seconds: float) -> np.ndarray:
        """The examples that begin within the next so many seconds: exact in the long run."""
        self._until_s += seconds
        pieces = [self._until()]
        while self._until_s > self._total_s:
            self._until_s -= self._total_s
            self._shuffle()
            pieces.append(self._until())
        return np.concatenate(pieces)

    def _until(self) -> np.ndarray:
        first, self._place = self._place, int(np.searchsorted(self._starts_s, self._until_s))
        return self._examples[first : self._place]

    def _shuffle(self) -> None:
        self._epoch, self._place = self._epoch + 1, 0
        kind = np.int32 if len(self._durations_s) < 2**31 else np.int64
        generator = np.random.default_rng((*self._key, self._epoch))
        self._examples = np.arange(len(self._durations_s), dtype=kind)
        generator.shuffle(self._examples)
        self._starts_s = np.zeros(len(self._examples))
        np.cumsum(self._durations_s[self._examples[:-1]], out=self._starts_s[1:])


def plan_evaluation(
    language: int, durations_s: np.ndarray, batch_s: float, lengths_s: Sequence[float] = ()
) -> list[list[SampledExample]]:
    """Every example once, in batches of similar length; see `mixing.into_batches`."""
    batches = into_batches(by_length(durations_s), durations_s, batch_s, lengths_s)
    return [[SampledExample(language, example) for example in own.tolist()] for own in batches]
