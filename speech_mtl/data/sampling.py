"""Selects the utterances of a budget of speech, and plans which of them make up each batch.

Plans depend only on lengths and a seed: training can resume at any batch, and the same seed gives the same batches
for any number of threads.
"""

from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import count
from typing import Literal

import numpy as np

from speech_mtl.data.store import WaveformStore
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


def within_budget(
    store: WaveformStore,
    budget_s: float | None,
    sample_rate_hz: int,
    seed: int,
    without: np.ndarray | Sequence[int] | None = None,
) -> np.ndarray:
    """Positions of the utterances of a decoded manifest that make up a budget of speech; see `nested`.

    Args:
        store: The decoded manifest.
        budget_s: Seconds of speech; None for all.
        sample_rate_hz: Rate of the store.
        seed: Decides the order in which utterances are taken.
        without: Positions that are not to be among them.

    Raises:
        InputError: The budget is larger than what there is, by more than 1 %.
    """
    num_samples = store.num_samples.copy()
    if without is not None:
        num_samples[without] = 0
    if budget_s is None:
        return np.flatnonzero(num_samples)
    return nested(num_samples / sample_rate_hz, budget_s, seed, store.path.stem)


def nested(durations_s: np.ndarray, budget_s: float, seed: int, name: str) -> np.ndarray:
    """Positions of the utterances that make up a budget of speech: nested, so that a larger budget holds a smaller one.

    Args:
        durations_s: (N,) seconds of each utterance; 0 of one that cannot be used.
        budget_s: Seconds of speech.
        seed: Decides the order in which utterances are taken.
        name: What the utterances are called in messages.

    Raises:
        InputError: The budget is larger than what there is, by more than 1 %.
    """
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

    Batches are made in pools of `pool_batches`: utterances are sampled language by language by their fractions, each
    language's in a new random order every time all have been taken; the pool is cut into batches of `batch_s` seconds,
    how is up to `mixing`, and the batches shuffled.
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
    """`by_length`: see `cut`. `every_language`: see `cut_every_language`."""
    given_fractions: Mapping[int, float] = field(default_factory=dict)
    """Fractions of the speech in batches, by language; the others get the rest, in proportion to (amount) ** alpha."""
    ramp: Ramp | None = None
    """Set if the last batches hold only one language."""

    def fractions(self, number: int = 0) -> dict[int, float]:
        """Fractions of the speech in batches, by language, in the pool that begins with a batch."""
        others = {i: durations.sum() ** self.alpha for i, durations in self.durations_s.items()}
        others = {i: weight for i, weight in others.items() if i not in self.given_fractions}
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
        """The batches from number `start` on. Skipping costs no audio."""
        generator = np.random.default_rng(self.seed)
        queues = [_shuffled_forever(len(durations), generator) for durations in self.durations_s.values()]
        pool: deque[list[SampledExample]] = deque()
        for number in count():
            if not pool:
                pool = self._pool(number, generator, queues)
            batch = pool.popleft()
            if number >= start:
                yield batch

    def _pool(self, number: int, generator, queues) -> deque[list[SampledExample]]:
        """The batches of the pool that begins with batch `number`."""
        target_s, total_s = self.batch_s * self.pool_batches, 0.0
        languages, fractions = list(self.durations_s), np.array(list(self.fractions(number).values()))
        spoken_s = np.zeros(len(fractions))
        sampled: list[tuple[float, SampledExample]] = []
        while total_s < target_s:
            # The language furthest behind its fraction of the seconds (languages differ in length of utterances).
            place = int(np.argmax(fractions * (total_s + 1.0) - spoken_s + generator.uniform(0, 1.0, len(fractions))))
            language, example = languages[place], next(queues[place])
            speed = float(generator.choice(self.speeds))
            noisy = generator.uniform() < self.noise_probability
            snr_db = float(generator.uniform(*self.noise_snr_db))
            seed = int(generator.integers(2**31))
            duration_s = float(self.durations_s[language][example]) / speed
            sampled.append((duration_s, SampledExample(language, example, speed, snr_db if noisy else None, seed)))
            spoken_s[place] += duration_s
            total_s += duration_s
        batches = MIXINGS[self.mixing](sampled, self.batch_s)
        return deque(batches[i] for i in generator.permutation(len(batches)))


def _shuffled_forever(size: int, generator: np.random.Generator) -> Iterator[int]:
    while True:
        yield from generator.permutation(size).tolist()


def cut(sampled: list[tuple[float, SampledExample]], batch_s: float) -> list[list[SampledExample]]:
    """Sorts examples by length and cuts them into batches of at most `batch_s` seconds, padding included.

    There is little padding, but where languages differ in length, a batch has few of them.
    """
    return _filled(sorted(sampled, key=lambda pair: pair[0]), batch_s)


def cut_every_language(sampled: list[tuple[float, SampledExample]], batch_s: float) -> list[list[SampledExample]]:
    """Batches of at most `batch_s` seconds, padding included, each with the same fraction of every language.

    Examples are ordered by their rank in their own language, sorted by length: the fraction of its seconds that shorter
    ones have. Batches are cut from that order, so that short words come with short sentences. A language of fewer
    examples than there are batches is in some of them only.
    """
    by_language: dict[int, list[tuple[float, SampledExample]]] = {}
    for duration_s, example in sorted(sampled, key=lambda pair: pair[0]):
        by_language.setdefault(example.language, []).append((duration_s, example))
    placed = []
    for own in by_language.values():
        durations_s = np.array([duration_s for duration_s, _ in own])
        places = (np.cumsum(durations_s) - durations_s / 2) / durations_s.sum()
        placed += zip(places, own, strict=True)
    return _filled([pair for _, pair in sorted(placed, key=lambda both: both[0])], batch_s)


def _filled(ordered: list[tuple[float, SampledExample]], batch_s: float) -> list[list[SampledExample]]:
    """Cuts examples in the order given."""
    batches: list[list[SampledExample]] = []
    longest_s = 0.0
    for duration_s, example in ordered:
        longest_s = max(longest_s, duration_s)
        if not batches or longest_s * (len(batches[-1]) + 1) > batch_s:
            batches.append([])
            longest_s = duration_s
        batches[-1].append(example)
    return batches


MIXINGS = {"by_length": cut, "every_language": cut_every_language}
"""Ways to make batches of a pool, by the name that recipes give them."""


def plan_evaluation(language: int, durations_s: np.ndarray, batch_s: float) -> list[list[SampledExample]]:
    """Every example once, in batches of similar length."""
    return cut([(float(duration_s), SampledExample(language, i)) for i, duration_s in enumerate(durations_s)], batch_s)
