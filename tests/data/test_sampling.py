import time
from collections import Counter
from dataclasses import replace
from itertools import islice
from typing import Any

import numpy as np
import pytest

from speech_mtl.data.mixing import padded_lengths
from speech_mtl.data.sampling import (
    Ramp,
    SampledExample,
    TrainingPlan,
    parts_to_decode,
    plan_evaluation,
    within_budget,
)
from speech_mtl.errors import InputError

# --- budgets


@pytest.fixture
def seconds() -> np.ndarray:
    """100 utterances of 1 to 5 s; every tenth is skipped."""
    durations_s = np.random.default_rng(0).uniform(1, 5, 100)
    durations_s[::10] = 0
    return durations_s


def test_budgets_are_nested_and_close(seconds):
    smaller: set[int] = set()
    for budget_s in (20, 21, 60, 120, 200):
        chosen = within_budget(seconds, budget_s, 5, "x")
        assert np.all(np.diff(chosen) > 0), "in the manifest's order, each once"
        assert smaller <= set(chosen.tolist())
        smaller = set(chosen.tolist())
        assert budget_s - 5 < seconds[chosen].sum() <= budget_s
        assert (seconds[chosen] > 0).all()


@pytest.mark.parametrize(
    ("budget_s", "hours"),
    [(60, [1, 2, 4]), (3270, [1, 2, 4]), (3300, [2, 4]), (6500, [2, 4]), (13_000, [4]), (14_000, []), (99_999, [])],
)
def test_parts_hold_the_budget_and_are_few(budget_s: float, hours: list[int]):
    durations_s = np.random.default_rng(0).uniform(1, 9, 4000)  # 5.6 hours
    parts = list(parts_to_decode(durations_s, np.ones(4000, bool), budget_s, 0, seed=5))
    sizes_s = [durations_s[part].sum() for part in parts]
    assert all(hour * 3600 <= size_s < hour * 3600 + 9 for hour, size_s in zip(hours, sizes_s, strict=True))
    assert all(set(within_budget(durations_s, budget_s, 5, "x")) < set(part) for part in parts)


def test_parts_hold_the_budget_in_transcribed_speech_and_what_is_wanted_besides():
    durations_s = np.random.default_rng(0).uniform(1, 9, 4000)  # 5.6 hours, a quarter of it transcribed
    transcribed = np.arange(4000) % 4 == 0
    for budget_s, more_s in ((600, 0), (1500, 0), (600, 6000), (3600, 3600)):
        for part in parts_to_decode(durations_s, transcribed, budget_s, more_s, seed=5):
            assert durations_s[part][transcribed[part]].sum() >= 1.1 * budget_s
            assert durations_s[part].sum() >= 1.1 * (budget_s + more_s)
    first, *_ = parts_to_decode(durations_s, transcribed, 1500, 0, seed=5)
    assert 2 * 3600 <= durations_s[first].sum() < 2 * 3600 + 9, "1 hour holds 15 transcribed minutes"


def test_budget_seed(seconds):
    one, again, other = (within_budget(seconds, 60, seed, "x").tolist() for seed in (1, 1, 2))
    assert one == again
    assert one != other


def test_a_budget_is_spread_over_the_manifest(seconds):
    chosen = within_budget(seconds, 100, 0, "x")
    assert chosen.max() > 80
    assert chosen.min() < 20


def test_no_budget_is_all_that_is_usable(seconds):
    np.testing.assert_array_equal(within_budget(seconds, None, 0, "x"), np.flatnonzero(seconds))


def test_budget_above_what_there_is(seconds):
    total_s = seconds.sum()
    assert len(within_budget(seconds, total_s * 1.005, 0, "cs-train")) == 90, "up to 1 % more is all there is"
    with pytest.raises(InputError, match="cs-train") as caught:
        within_budget(seconds, total_s * 1.05, 0, "cs-train")
    assert f"{total_s / 60:.1f} minutes" in caught.value.expected


# --- plans


def plan_of(sizes: tuple[int, ...], **kwargs: Any) -> TrainingPlan:
    """Languages of so many utterances, each of 1 to 4 s."""
    generator = np.random.default_rng(0)
    durations = {i: generator.uniform(1, 4, size) for i, size in enumerate(sizes)}
    return TrainingPlan(durations, **({"batch_s": 20.0, "alpha": 0.5, "seed": 0} | kwargs))


def first(plan: TrainingPlan, number: int, start: int = 0) -> list[list[SampledExample]]:
    return list(islice(plan.batches(start), number))


def test_same_seed_same_plan():
    settings = {"speeds": (0.9, 1.0, 1.1), "noise_probability": 0.5}
    one = first(plan_of((30, 10), **settings), 100)
    assert one == first(plan_of((30, 10), **settings), 100)
    assert one != first(plan_of((30, 10), **settings, seed=1), 100)


@pytest.mark.parametrize("start", [1, 31, 77])
def test_starting_later_is_skipping(start):
    plan = plan_of((30, 10), speeds=(0.9, 1.1), noise_probability=0.5)
    assert first(plan, 10, start) == first(plan, start + 10)[start:]


def test_all_are_used_before_any_comes_twice():
    """With utterances of 1 s and pools of one batch, 3 of them and 9, batches stand in the order of sampling."""
    plan = TrainingPlan({0: np.ones(7), 1: np.ones(5)}, 12.0, 1.0, 0, pool_batches=1, given_fractions={0: 0.25})
    sampled: list[list[int]] = [[], []]
    for batch in first(plan, 60):
        for example in batch:
            sampled[example.language].append(example.example)
    for examples, size in zip(sampled, (7, 5), strict=True):
        rounds = [tuple(examples[i : i + size]) for i in range(0, len(examples) - size + 1, size)]
        assert len(rounds) > 8
        assert all(sorted(one) == list(range(size)) for one in rounds)
        assert len(set(rounds)) > 4, "in a new order each time"


def test_large_pools_hold_every_example_equally_often():
    plan = plan_of((60, 40), alpha=0.5, speeds=(0.9, 1.1), mixing="every_language", pool_batches=4)
    numbers = Counter((one.language, one.example) for batch in first(plan, 500) for one in batch)
    for language, size in enumerate((60, 40)):
        own = [numbers[language, example] for example in range(size)]
        assert min(own) > 5
        assert max(own) - min(own) <= 2, "of the last pool, some batches are not there yet"


def test_a_late_batch_of_many_utterances_is_there_at_once():
    """Nothing is held of them but arrays, and no batch before is made."""
    plan = plan_of((1_000_000, 500), batch_s=60.0, speeds=(0.9, 1.0, 1.1))
    began = time.process_time()
    late = first(plan, 3, 4000)
    assert time.process_time() - began < 3
    assert len({one.example for batch in late for one in batch}) > 30
    assert late == first(plan, 3, 4000)


@pytest.mark.parametrize("alpha", [0.0, 0.5, 1.0])
def test_shares_of_seconds(alpha):
    plan = plan_of((160, 40, 10), alpha=alpha, speeds=(0.9, 1.0, 1.1))
    seconds = np.zeros(3)
    for example in (example for batch in first(plan, 400) for example in batch):
        seconds[example.language] += plan.durations_s[example.language][example.example] / example.speed
    amounts = np.array([durations.sum() for durations in plan.durations_s.values()])
    np.testing.assert_allclose(seconds / seconds.sum(), amounts**alpha / (amounts**alpha).sum(), atol=0.02)


def test_given_fractions_leave_the_rest_to_the_others():
    plan = plan_of((160, 40, 10), alpha=1.0, given_fractions={1: 0.1})
    amounts = [durations.sum() for durations in plan.durations_s.values()]
    large = 0.9 * amounts[0] / (amounts[0] + amounts[2])
    assert list(plan.fractions().values()) == pytest.approx([large, 0.1, 0.9 - large])
    seconds = np.zeros(3)
    for example in (example for batch in first(plan, 400) for example in batch):
        seconds[example.language] += plan.durations_s[example.language][example.example]
    np.testing.assert_allclose(seconds / seconds.sum(), list(plan.fractions().values()), atol=0.02)


@pytest.mark.parametrize(
    ("number", "pool_batches", "passed"),
    [(0, 8, 0.0), (96, 8, 0.0), (100, 10, 0.1), (150, 10, 0.6), (190, 10, 1.0), (195, 32, 1.0), (300, 10, 1.0)],
)
def test_a_ramp_rises_in_a_straight_line_to_its_end(number: int, pool_batches: int, passed: float):
    """What counts is where a pool ends; one that begins before the ramp has none of it."""
    assert Ramp(1, begins=100, ends=200).passed(number, pool_batches) == pytest.approx(passed)


@pytest.mark.parametrize("mixing", ["by_length", "every_language"])
def test_a_ramp_ends_with_one_language_alone(mixing):
    plain = plan_of((160, 40), alpha=1.0, pool_batches=4, mixing=mixing)
    plan = replace(plain, ramp=Ramp(1, begins=100, ends=200))
    assert first(plan, 100) == first(plain, 100), "nothing changes before it begins"
    assert first(plan, 20, 150) == first(plan, 170)[150:]
    seconds = np.zeros((250, 2))
    for number, batch in enumerate(first(plan, 250)):
        for example in batch:
            seconds[number, example.language] += plan.durations_s[example.language][example.example]
    assert not seconds[200:, 0].any()
    start = plain.fractions()[1]
    for begins in (100, 125, 150, 175):  # the line is ahead by up to a pool
        own = seconds[begins : begins + 25].sum(axis=0)
        assert own[1] / own.sum() == pytest.approx(start + (1 - start) * (begins + 14.5 - 100) / 100, abs=0.08)


def test_languages_that_are_not_trained_have_no_place_in_batches():
    plan = TrainingPlan({2: np.ones(7), 5: np.ones(5)}, batch_s=10.0, alpha=1.0, seed=0)
    assert {example.language for batch in first(plan, 20) for example in batch} == {2, 5}


def test_shares_hold_where_lengths_differ():
    """Equal shares are of seconds and not of utterances."""
    plan = TrainingPlan({0: np.full(50, 1.0), 1: np.full(50, 5.0)}, batch_s=30.0, alpha=0.0, seed=0)
    numbers = Counter(example.language for batch in first(plan, 200) for example in batch)
    assert numbers[0] / numbers[1] == pytest.approx(5, rel=0.05)


def test_batches_mix_languages_and_keep_to_their_size():
    plan = plan_of((60, 60), speeds=(0.8, 1.0))
    batches = first(plan, 200)
    padded = []
    for batch in batches:
        longest = max(plan.durations_s[example.language][example.example] / example.speed for example in batch)
        padded.append(longest * len(batch))
    assert max(padded) <= 20.0
    assert np.mean(padded) > 15.0, "and are well filled"
    assert np.mean([len({example.language for example in batch}) for batch in batches]) > 1.8
    true = [sum(plan.durations_s[d.language][d.example] / d.speed for d in batch) for batch in batches]
    assert sum(true) / sum(padded) > 0.9, "with little padding"


def words_and_sentences(**kwargs: Any) -> TrainingPlan:
    """A language of words of about a second, and two of sentences of three to six."""
    generator = np.random.default_rng(0)
    ranges = [(0.8, 2.0, 200), (2.7, 6.3, 80), (1.9, 4.1, 80)]
    durations = {i: generator.uniform(low, high, size) for i, (low, high, size) in enumerate(ranges)}
    return TrainingPlan(durations, **({"batch_s": 60.0, "alpha": 0.5, "seed": 0} | kwargs))


def share_of(language: int, plan: TrainingPlan, batch: list[SampledExample]) -> float:
    """Of the seconds of a batch."""
    seconds = np.zeros(len(plan.durations_s))
    for example in batch:
        seconds[example.language] += plan.durations_s[example.language][example.example] / example.speed
    return seconds[language] / seconds.sum()


def test_every_batch_holds_every_language_at_its_share():
    plan = words_and_sentences(mixing="every_language", speeds=(0.9, 1.0, 1.1))
    batches = first(plan, 200)
    for language, share in plan.fractions().items():
        found = [share_of(language, plan, batch) for batch in batches]
        assert np.mean(found) == pytest.approx(share, rel=0.05)
        assert np.quantile(found, 0.05) > 0.6 * share
        assert np.quantile(found, 0.95) < 1.4 * share
    padded = [len(b) * max(plan.durations_s[d.language][d.example] / d.speed for d in b) for b in batches]
    assert max(padded) <= 60.0
    assert np.mean(padded) > 50.0
    without = [share_of(0, plan, batch) for batch in first(words_and_sentences(), 200)]
    assert np.mean(np.array(without) == 0) > 0.5, "sorted by length, words are by themselves"


def test_long_and_short_batches_are_shuffled():
    lengths = [len(batch) for batch in first(plan_of((100, 100)), 32)]
    assert lengths != sorted(lengths)
    assert lengths != sorted(lengths, reverse=True)


@pytest.mark.parametrize("mixing", ["by_length", "every_language"])
def test_batches_are_padded_to_few_lengths(mixing):
    """None is larger than asked for when its examples are padded to the next length, and few are not full."""
    plan = replace(plan_of((300, 300)), mixing=mixing)
    lengths_s = padded_lengths(np.concatenate(list(plan.durations_s.values())), 4)
    batches, full = first(replace(plan, lengths_s=lengths_s), 300), []
    for batch in batches:
        longest = max(plan.durations_s[one.language][one.example] for one in batch)
        length = min(length for length in lengths_s if length >= longest)
        assert len(batch) == 1 or len(batch) * length <= plan.batch_s
        full.append(len(batch) == max(1, int(plan.batch_s / length)))
    if mixing == "by_length":
        assert np.mean(full) > 0.7


def test_speeds_and_noise():
    plan = plan_of((50,), speeds=(0.9, 1.0, 1.1), noise_probability=0.3, noise_snr_db=(5.0, 15.0))
    sampled = [example for batch in first(plan, 300) for example in batch]
    speeds = Counter(example.speed for example in sampled)
    assert set(speeds) == {0.9, 1.0, 1.1}
    assert min(speeds.values()) > 0.25 * len(sampled)
    noises = [example.snr_db for example in sampled if example.snr_db is not None]
    assert len(noises) / len(sampled) == pytest.approx(0.3, abs=0.04)
    assert 5.0 <= min(noises) < 6.0
    assert 14.0 < max(noises) <= 15.0
    assert len({example.seed for example in sampled}) > 0.99 * len(sampled)


def test_calm_by_default():
    assert all(
        example.speed == 1.0 and example.snr_db is None for batch in first(plan_of((20, 20)), 50) for example in batch
    )


def test_evaluation_takes_each_once():
    durations = np.random.default_rng(0).uniform(1, 8, 60)
    plan = plan_evaluation(3, durations, 20.0)
    sampled = [example for batch in plan for example in batch]
    assert sorted(example.example for example in sampled) == list(range(60))
    assert {(example.language, example.speed, example.snr_db) for example in sampled} == {(3, 1.0, None)}
    assert all(max(durations[example.example] for example in batch) * len(batch) <= 20.0 for batch in plan)
