import itertools
import math
import tracemalloc

import numpy as np
import pytest
from chance import within
from scipy import stats

from speech_mtl.scoring.resampling import (
    Blocks,
    blocks,
    error_intervals,
    percentile_interval,
    resampled_rates,
    resampled_sums,
    widening,
)


def paired_errors(generator, num_utterances=60):
    """(N, 3): errors of A, errors of B, reference lengths. B is better; what is hard for one is hard for the other."""
    lengths = generator.integers(3, 20, num_utterances)
    hard = generator.beta(2, 6, num_utterances)
    return np.stack([generator.binomial(lengths, hard), generator.binomial(lengths, 0.8 * hard), lengths], axis=1)


def test_blocks_are_speakers_if_several_are_known():
    drawn = blocks(["b", "a", "b", "c"], "1234")
    assert (drawn.unit, drawn.of.tolist(), drawn.num_unnamed) == ("speaker", [1, 0, 1, 2], 0)


def test_an_utterance_without_a_speaker_is_a_block_beside_the_speakers():
    drawn = blocks(["b", None, "b", "c", "", "a"], "123456")
    assert (drawn.unit, drawn.of.tolist(), drawn.num_unnamed) == ("speaker", [1, 3, 1, 2, 4, 0], 2)


@pytest.mark.parametrize("speakers", [["a", None, "b"], [None] * 3, ["a", "a", "b"], ["a", "", "b"]])
def test_blocks_are_utterances_otherwise(speakers):
    drawn = blocks(speakers, "123")
    assert (drawn.unit, drawn.of.tolist()) == ("utterance", [0, 1, 2])


def test_the_same_speakers_are_drawn_together_and_others_are_not():
    one, other = blocks(["b", "a", "c", "b"], "1234"), blocks(["a", "a", "b", "b", "c"], "56789")
    assert one.seed == other.seed
    assert one.seed != blocks(["a", "c", "d"], "123").seed
    assert blocks([None] * 2, ["1", "2"]).seed == blocks(["x"] * 2, ["1", "2"]).seed != blocks([None] * 2, "13").seed
    first, second = (
        resampled_sums(np.eye(3)[drawn.of], drawn.of, 200, drawn.seed) / np.bincount(drawn.of) for drawn in (one, other)
    )
    assert np.array_equal(first, second)


def test_replicates_are_distributed_as_all_resamples():
    columns = np.array([[0, 5], [3, 7], [1, 4], [9, 10], [2, 3], [1, 1]])
    block_of = np.array([0, 1, 2, 3, 2, 0])
    by_block = [columns[block_of == block].sum(axis=0) for block in range(4)]
    every = np.array([np.sum(drawn, axis=0) for drawn in itertools.product(by_block, repeat=4)], dtype=float)
    assert len(every) == 4**4
    drawn = resampled_sums(columns, block_of, 40_000)
    for column in range(2):
        error = every[:, column].std() / math.sqrt(len(drawn))
        assert within(drawn[:, column].mean(), every[:, column].mean(), error)
        squares = (every[:, column] - every[:, column].mean()) ** 2
        assert within(drawn[:, column].var(), squares.mean(), squares.std() / math.sqrt(len(drawn)))
    # The whole distribution of the rates, value by value.
    values, frequencies = np.unique(every[:, 0] / every[:, 1], return_counts=True)
    rates = drawn[:, 0] / drawn[:, 1]
    assert np.isin(rates, values).all()
    for value, share in zip(values, frequencies / len(every), strict=True):
        assert within(np.mean(rates == value), share, math.sqrt(share * (1 - share) / len(drawn)))
    low, high = np.quantile(rates, (0.1, 0.9))
    assert np.mean(every[:, 0] / every[:, 1] < low) <= 0.1 <= np.mean(every[:, 0] / every[:, 1] <= low)
    assert np.mean(every[:, 0] / every[:, 1] > high) <= 0.1 <= np.mean(every[:, 0] / every[:, 1] >= high)


def test_interval_is_that_of_scipy():
    columns = paired_errors(np.random.default_rng(3))

    def difference(a, b, lengths, axis=-1):
        return (b.sum(axis) - a.sum(axis)) / lengths.sum(axis)

    theirs = stats.bootstrap(
        columns.T, difference, paired=True, method="percentile", n_resamples=20_000, rng=np.random.default_rng(4)
    )
    sums = resampled_sums(columns, np.arange(len(columns)), 20_000)
    ours = (sums[:, 1] - sums[:, 0]) / sums[:, 2]
    # A quantile of 20,000 draws is uncertain by sqrt(0.025 0.975 / 20,000) in its level, by this in its value.
    error = math.sqrt(2 * 0.025 * 0.975 / 20_000) / stats.norm.pdf(1.96) * theirs.standard_error
    low, high = percentile_interval(ours)
    assert within(low, theirs.confidence_interval.low, error)
    assert within(high, theirs.confidence_interval.high, error)
    assert within(ours.std(), theirs.standard_error, theirs.standard_error / math.sqrt(20_000))


def test_columns_and_calls_are_paired():
    columns = paired_errors(np.random.default_rng(5))
    utterances = np.arange(len(columns))
    sums = resampled_sums(columns, utterances, 500)
    assert np.array_equal(resampled_sums(columns[:, [2, 0]], utterances, 500), sums[:, [2, 0]])
    assert np.array_equal(resampled_sums(columns, utterances, 200), sums[:200])
    assert not np.array_equal(resampled_sums(columns, utterances, 500, seed=1), sums)
    twice = resampled_sums(np.stack([columns[:, 0], 2 * columns[:, 0]], axis=1), utterances, 500)
    assert np.array_equal(twice[:, 1], 2 * twice[:, 0])
    assert np.ptp(twice[:, 0]) > 0


def test_a_block_is_drawn_whole_whatever_its_number():
    columns = np.array([[1, 0], [1, 0], [0, 10], [1, 0]])
    sums = resampled_sums(columns, np.array([7, 7, -2, 7]), 300)
    assert {tuple(row) for row in sums.tolist()} == {(6.0, 0.0), (3.0, 10.0), (0.0, 20.0)}


def test_sums_are_exact_beyond_single_precision():
    columns = np.full((3, 1), 2**30 + 1)
    assert (resampled_sums(columns, np.arange(3), 50) == 3 * (2**30 + 1)).all()


def test_memory_does_not_grow_with_replications():
    columns = paired_errors(np.random.default_rng(6), 500)

    def peak(num_replications):
        tracemalloc.start()
        result = resampled_sums(columns, np.arange(500), num_replications)
        _, most = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        return most - result.nbytes

    peak(10)
    few, many = peak(2_000), peak(20_000)
    assert many < few + 200_000  # 20,000 replications in one piece would take 80 MB
    assert few < 10_000_000


def coverage(simulate, true_rate, num_simulations, widen=False):
    """Share of simulated test sets whose interval holds the true rate."""
    generator, hits = np.random.default_rng(7), 0
    for number in range(num_simulations):
        columns, block_of = simulate(generator)
        sums = resampled_sums(columns, block_of, 500, seed=number)
        replicates, rate = sums[:, 0] / sums[:, 1], columns[:, 0].sum() / columns[:, 1].sum()
        if widen:
            replicates = rate + widening(Blocks("speaker", block_of, number), 500) * (replicates - rate)
        low, high = percentile_interval(replicates)
        hits += low <= true_rate <= high
    return hits / num_simulations


def test_interval_covers_the_true_rate():
    def simulate(generator):
        columns = paired_errors(generator, 100)
        return columns[:, [0, 2]], np.arange(100)

    assert within(coverage(simulate, 0.25, 300), 0.95, math.sqrt(0.95 * 0.05 / 300))


def test_interval_over_speakers_covers_where_that_over_utterances_does_not():
    speakers = np.repeat(np.arange(40), 15)

    def errors_of_speakers(generator):
        hard = generator.beta(2, 6, 40)[speakers]
        return np.stack([generator.binomial(10, hard), np.full(len(speakers), 10)], axis=1)

    of_speakers = coverage(lambda generator: (errors_of_speakers(generator), speakers), 0.25, 300)
    of_utterances = coverage(lambda generator: (errors_of_speakers(generator), np.arange(len(speakers))), 0.25, 300)
    expected = 1 - 2 * stats.t.sf(1.96 * math.sqrt(39 / 40), 39)  # of the mean of 40 resampled values
    assert within(of_speakers, expected, math.sqrt(expected * (1 - expected) / 300))
    assert of_utterances < 0.75


@pytest.mark.parametrize(("number", "without"), [(3, 0.75), (4, 0.8), (10, 0.9)])
def test_intervals_over_few_blocks_cover_once_they_are_widened(number, without):
    def simulate(generator):
        return np.stack([generator.normal(3, 1, number), np.ones(number)], axis=1), np.arange(number)

    narrow, wide = (coverage(simulate, 3.0, 600, widen=widen) for widen in (False, True))
    assert within(narrow, without, math.sqrt(0.2 * 0.8 / 600))
    assert within(wide, 0.95, math.sqrt(0.05 * 0.95 / 600))


def test_widened_means_have_the_interval_of_the_t_test():
    """SciPy's, from the mean of ten blocks and its standard error."""
    values = np.random.default_rng(8).normal(3, 1, 10)
    theirs = stats.t.interval(0.95, 9, values.mean(), stats.sem(values))
    columns, drawn = np.stack([values, np.ones(10)], axis=1), Blocks("speaker", np.arange(10), 0)
    sums = resampled_sums(columns, drawn.of, 40_000, drawn.seed)
    means = values.mean() + widening(drawn, 40_000) * (sums[:, 0] / sums[:, 1] - values.mean())
    assert percentile_interval(means) == pytest.approx(theirs, abs=0.1 * (theirs[1] - values.mean()))
    assert np.array_equal(widening(Blocks("utterance", np.zeros(3, int), 0), 5), np.ones(5))


def test_rates_are_paired_and_those_of_the_whole_set():
    columns = paired_errors(np.random.default_rng(10), 60)
    drawn = blocks([f"speaker {i % 12}" for i in range(60)], [str(i) for i in range(60)])
    lengths = np.stack([columns[:, 2]] * 2, axis=1)
    rates, replicates = resampled_rates(columns[:, :2], lengths, drawn, 300)
    assert rates == pytest.approx(columns[:, :2].sum(axis=0) / columns[:, 2].sum())
    alone = resampled_rates(columns[:, 1:2], lengths[:, :1], drawn, 300)[1]
    assert np.array_equal(alone[:, 0], replicates[:, 1])


def test_replicates_with_nothing_to_count_against_are_left_out_for_all():
    counted = np.array([[1.0, 1.0], [0.0, 1.0]])
    _, replicates = resampled_rates(np.ones((2, 2)), counted, Blocks("utterance", np.arange(2), 0), 400)
    assert within(len(replicates) / 400, 3 / 4, math.sqrt(3 / 16 / 400))


def spoken(wrong: list[list[int]]) -> tuple[list[str], list[str], list[str]]:
    """By speaker and utterance, how many of ten words are wrong -> references, hypotheses, speakers."""
    hypotheses = [" ".join(["b"] * n + ["a"] * (10 - n)) for own in wrong for n in own]
    speakers = [f"speaker {i}" for i, own in enumerate(wrong) for _ in own]
    return ["a " * 9 + "a"] * len(hypotheses), hypotheses, speakers


def test_intervals_of_a_test_set_are_those_of_the_t_test_over_its_speakers():
    """SciPy's, from the error rate of each speaker."""
    wrong = [[1, 2], [5, 4], [3, 3], [0, 2], [6, 3], [2, 2]]
    found = error_intervals(*spoken(wrong), spaced=True)
    rates = np.mean(wrong, axis=1) / 10
    theirs = stats.t.interval(0.95, len(wrong) - 1, rates.mean(), stats.sem(rates))
    assert found["wer"] == pytest.approx(theirs, abs=0.15 * (theirs[1] - rates.mean()))
    assert (found["num_speakers"], found["drawn"]) == (6, "speaker")
    of_characters = np.array(found["cer"]) * 19 / 10  # spaces are right
    assert of_characters == pytest.approx(found["wer"])


def test_a_test_set_of_two_speakers_has_intervals_over_utterances_and_unnamed_ones_do_not_count():
    references, hypotheses, speakers = spoken([[1, 2, 3], [5, 4, 1]])
    found = error_intervals(references, hypotheses, [*speakers[:-1], ""], spaced=True)
    assert (found["num_speakers"], found["drawn"]) == (2, "utterance")
    nameless = error_intervals(references, hypotheses, [None] * 6, spaced=True)
    assert nameless == found | {"num_speakers": 0}


def test_no_interval_where_nothing_can_vary_or_nothing_was_said():
    one = error_intervals(["a"], ["b"], ["x"], spaced=True)
    assert (one["wer"], one["cer"]) == (None, None)
    nothing = error_intervals(["", ""], ["a", ""], ["x", "x"], spaced=True)
    assert (nothing["wer"], nothing["cer"]) == (None, None)
