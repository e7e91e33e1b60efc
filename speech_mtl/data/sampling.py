"""Which utterances make up a budget of speech, and which of these make which batch.

All of it is decided beforehand, from lengths and a seed and nothing else: training can go on at any batch, and the same
seed gives the same batches whatever the number of threads.
"""

from collections import deque
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from itertools import count
from typing import Literal

import numpy as np

from speech_mtl.data.store import WaveformStore
from speech_mtl.errors import InputError

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


@dataclass(frozen=True)
class Draw:
    """One example's part in a batch."""

    language: int
    example: int
    speed: float = 1.0
    snr_db: float | None = None
    seed: int = 0


@dataclass(frozen=True)
class Ramp:
    """Batches over which the share of a language rises to all of the speech, from number `begins` to number `ends`.

    Joint training that ends as fine-tuning. Reference: Choi et al. 2023, "Order matters in the presence of dataset
    imbalance for multilingual learning". We differ: they pretrain on rich tasks and change to a mixture at once; here
    all are trained together, and the share rises in a straight line to one of them alone.
    """

    language: int
    begins: int
    ends: int

    def passed(self, number: int, pool_batches: int) -> float:
        """How much of it lies behind the end of the pool that begins with a batch; nothing before it begins."""
        if number < self.begins:
            return 0.0
        return min(1.0, (number + pool_batches - self.begins) / max(1, self.ends - self.begins))


@dataclass(frozen=True)
class TrainingPlan:
    """Endless training batches: which examples, at which speed and with which noise, make up batch number n.

    Batches are made in pools of `pool_batches`: utterances are drawn language by language by their shares, each
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
    given_shares: Mapping[int, float] = field(default_factory=dict)
    """Of the speech in batches, by language; the others have the rest, in proportion to (amount) ** alpha."""
    ramp: Ramp | None = None
    """Where batches end with one language alone."""

    def shares(self, number: int = 0) -> dict[int, float]:
        """Of the speech in batches, by language, in the pool that begins with a batch."""
        others = {i: durations.sum() ** self.alpha for i, durations in self.durations_s.items()}
        others = {i: weight for i, weight in others.items() if i not in self.given_shares}
        left = 1.0 - sum(self.given_shares.values())
        shares = {
            i: self.given_shares[i] if i in self.given_shares else left * others[i] / sum(others.values())
            for i in self.durations_s
        }
        if self.ramp is None:
            return shares
        passed = self.ramp.passed(number, self.pool_batches)
        return {i: (1 - passed) * share + passed * (i == self.ramp.language) for i, share in shares.items()}

    def batches(self, start: int = 0) -> Iterator[list[Draw]]:
        """The batches from number `start` on. Skipping costs no audio."""
        generator = np.random.default_rng(self.seed)
        queues = [_shuffled_forever(len(durations), generator) for durations in self.durations_s.values()]
        pool: deque[list[Draw]] = deque()
        for number in count():
            if not pool:
                pool = self._pool(number, generator, queues)
            batch = pool.popleft()
            if number >= start:
                yield batch

    def _pool(self, number: int, generator, queues) -> deque[list[Draw]]:
        """The batches of the pool that begins with batch `number`."""
        target_s, total_s = self.batch_s * self.pool_batches, 0.0
        languages, shares = list(self.durations_s), np.array(list(self.shares(number).values()))
        spoken_s = np.zeros(len(shares))
        drawn: list[tuple[float, Draw]] = []
        while total_s < target_s:
            # The language that is furthest behind its share of seconds (not of utterances: languages differ in length).
            place = int(np.argmax(shares * (total_s + 1.0) - spoken_s + generator.uniform(0, 1.0, len(shares))))
            language, example = languages[place], next(queues[place])
            speed = float(generator.choice(self.speeds))
            noisy = generator.uniform() < self.noise_probability
            snr_db = float(generator.uniform(*self.noise_snr_db))
            seed = int(generator.integers(2**31))
            duration_s = float(self.durations_s[language][example]) / speed
            drawn.append((duration_s, Draw(language, example, speed, snr_db if noisy else None, seed)))
            spoken_s[place] += duration_s
            total_s += duration_s
        batches = MIXINGS[self.mixing](drawn, self.batch_s)
        return deque(batches[i] for i in generator.permutation(len(batches)))


def _shuffled_forever(size: int, generator: np.random.Generator) -> Iterator[int]:
    while True:
        yield from generator.permutation(size).tolist()


def cut(drawn: list[tuple[float, Draw]], batch_s: float) -> list[list[Draw]]:
    """Sorts draws by length and cuts them into batches of at most `batch_s` seconds, padding included.

    There is little padding, but where languages differ in length, a batch has few of them.
    """
    return _filled(sorted(drawn, key=lambda pair: pair[0]), batch_s)


def cut_every_language(drawn: list[tuple[float, Draw]], batch_s: float) -> list[list[Draw]]:
    """Batches of at most `batch_s` seconds, padding included, that each hold every language at its share of seconds.

    Draws are ordered by their place in their own language, sorted by length: the share of its seconds that shorter
    draws have. Batches are cut from that order, so that short words come with short sentences. A language of fewer
    draws than there are batches is in some of them only.
    """
    by_language: dict[int, list[tuple[float, Draw]]] = {}
    for duration_s, draw in sorted(drawn, key=lambda pair: pair[0]):
        by_language.setdefault(draw.language, []).append((duration_s, draw))
    placed = []
    for own in by_language.values():
        durations_s = np.array([duration_s for duration_s, _ in own])
        places = (np.cumsum(durations_s) - durations_s / 2) / durations_s.sum()
        placed += zip(places, own, strict=True)
    return _filled([pair for _, pair in sorted(placed, key=lambda both: both[0])], batch_s)


def _filled(ordered: list[tuple[float, Draw]], batch_s: float) -> list[list[Draw]]:
    """Cuts draws in the order given."""
    batches: list[list[Draw]] = []
    longest_s = 0.0
    for duration_s, draw in ordered:
        longest_s = max(longest_s, duration_s)
        if not batches or longest_s * (len(batches[-1]) + 1) > batch_s:
            batches.append([])
            longest_s = duration_s
        batches[-1].append(draw)
    return batches


MIXINGS = {"by_length": cut, "every_language": cut_every_language}
"""Ways to make batches of a pool, by the name that recipes give them."""


def plan_evaluation(language: int, durations_s: np.ndarray, batch_s: float) -> list[list[Draw]]:
    """Every example once, in batches of similar length."""
    return cut([(float(duration_s), Draw(language, i)) for i, duration_s in enumerate(durations_s)], batch_s)
