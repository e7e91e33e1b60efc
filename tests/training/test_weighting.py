"""What the package relies on in any weighting, which it finds by itself; and each by its paper."""

from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np
import pytest
import safetensors.numpy
from made_up_targets import transcripts
from usual import usual

from speech_mtl.errors import InputError
from speech_mtl.settings.training import (
    CtcDroSettings,
    DynamicWeightAverageSettings,
    GradNormSettings,
    UncertaintyWeightingSettings,
    WeightingSettings,
)
from speech_mtl.targets.classes import Classes
from speech_mtl.targets.regression import Regression
from speech_mtl.training.objective import Objective, Observed
from speech_mtl.training.weighting import Fixed, RandomWeights, Weighting

KINDS = WeightingSettings.kinds()
Uncertainty = partial(usual, UncertaintyWeightingSettings)
DynamicWeightAverage = partial(usual, DynamicWeightAverageSettings)
GradNorm = partial(usual, GradNormSettings)
CtcDro = partial(usual, CtcDroSettings)
MOOD, AGE = Classes("mood", "mood", ["sad", "happy"], "refuse"), Regression("age", "age", 40.0, 10.0)
OBJECTIVE = Objective(("aa", "bb"), (transcripts(), MOOD, AGE))
TWO = Objective(("aa",), (transcripts(["aa"]), MOOD))
ARGUMENTS: dict[str, dict[str, Any]] = {
    "fixed": {"weights": {"bb": 0.5, "age": 2.0}},
    "dynamic_weight_average": {"period": 4},
    "gradnorm": {"start_updates": 5},
    "ctc_dro": {"step_size": 1e-3},
}
"""What a strategy needs, or needs to change within a few updates."""

every_kind = pytest.mark.parametrize("kind", sorted(KINDS))


def make(kind: str, seed: int = 0) -> Weighting:
    return usual(KINDS[kind], OBJECTIVE, **ARGUMENTS.get(kind, {}), seed=seed)


def seen(sums: Sequence[float], counts: Sequence[float] | None = None, **arrays: Sequence[float]) -> Observed:
    """What a batch showed; one entry and one second of each task if not said otherwise."""
    ones = np.ones(len(sums))
    fields = {name: np.array(array, float) for name, array in arrays.items()}
    seconds = fields.pop("seconds", ones)
    return Observed(np.array(sums, float), ones if counts is None else np.array(counts, float), seconds, **fields)


def made_up_batches(size: int = 4, number: int = 30) -> list[Observed]:
    """Of every third, a task is absent; of one, all are."""
    generator = np.random.default_rng(0)
    batches = []
    for i in range(number):
        counts = generator.integers(1, 40, size).astype(float)
        if i % 3 == 0:
            counts[i // 3 % size] = 0
        if i == 7:
            counts[:] = 0
        there = counts > 0
        sums = counts * generator.uniform(0.2, 4.0, size) * 0.97**i
        batches.append(Observed(sums, counts, there * 5.0, there * generator.uniform(0.1, 3.0, size)))
    return batches


def run(weighting: Weighting, batches: list[Observed], start: int = 0) -> np.ndarray:
    """(N + 1, T) weights of the updates from `start` on, and of the one after the last batch."""
    found = []
    for update, batch in enumerate(batches[start:], start):
        found.append(weighting.weights(update).copy())
        weighting.observe(batch)
    return np.array([*found, weighting.weights(len(batches))])


@every_kind
def test_weights_are_finite_and_not_negative(kind):
    weights = run(make(kind), made_up_batches())
    assert weights.shape == (31, 4)
    assert np.isfinite(weights).all()
    assert (weights >= 0).all()
    assert (weights.max(axis=0) > 0).all()


@every_kind
def test_a_batch_of_nothing_changes_nothing(kind):
    """It neither moves the weights of an update nor makes them unusable."""
    weighting = make(kind)
    run(weighting, made_up_batches(number=10))
    before = weighting.weights(10).copy()
    weighting.observe(Observed(np.zeros(4), np.zeros(4), np.zeros(4), np.zeros(4)))
    np.testing.assert_array_equal(weighting.weights(10), before)


@every_kind
def test_asking_for_weights_changes_nothing(kind):
    asked, expected = make(kind), run(make(kind), made_up_batches())
    for update, batch in enumerate(made_up_batches()):
        for _ in range(2):
            np.testing.assert_array_equal(asked.weights(update), expected[update])
        asked.weights(update + 5)
        asked.observe(batch)


@every_kind
@pytest.mark.parametrize("start", [0, 1, 8, 13])
def test_resumes_from_its_state(kind, start):
    """A copy restored from a file has the same weights ever after."""
    batches, weighting = made_up_batches(), make(kind)
    run(weighting, batches[:start])
    saved = safetensors.numpy.save({name: np.asarray(array, order="C") for name, array in weighting.state().items()})
    expected = run(weighting, batches, start)
    again = make(kind)
    again.set_state(safetensors.numpy.load(saved))
    np.testing.assert_array_equal(run(again, batches, start), expected)


@every_kind
def test_what_depends_on_batches_has_a_state(kind):
    moved = make(kind)
    run(moved, made_up_batches())
    assert bool(moved.state()) == moved.observes == (moved.weights(30) != make(kind).weights(30)).any()


@every_kind
def test_what_training_has_nothing_of_has_no_part(kind):
    """The others have the weights that they have without it."""
    tasks = (*OBJECTIVE.targets, Regression("size", "size", 40.0, 10.0))
    partly = usual(KINDS[kind], Objective(("aa", "xx", "bb"), tasks, known=OBJECTIVE.names), **ARGUMENTS.get(kind, {}))
    batches = made_up_batches()
    found = run(partly, [Observed(*(np.insert(array, [1, 4], 0.0) for array in vars(one).values())) for one in batches])
    np.testing.assert_allclose(found[:, [0, 2, 3, 4]], run(make(kind), batches), rtol=1e-12)


@every_kind
def test_same_seed_same_weights(kind):
    one, again = (run(make(kind, seed=3), made_up_batches()) for _ in range(2))
    np.testing.assert_array_equal(one, again)


@every_kind
def test_who_reads_the_norms_of_gradients_says_so(kind):
    """They cost a gradient for each task in every update."""
    without = [replace(batch, norms=None) for batch in made_up_batches()]
    same = np.array_equal(run(make(kind), without), run(make(kind), made_up_batches()))
    assert KINDS[kind].member().watches_last_layer == (not same)


def test_equal():
    assert make("equal").weights(5).tolist() == [1.0] * 4


def test_fixed():
    assert make("fixed").weights(0).tolist() == [1.0, 0.5, 1.0, 2.0]
    assert Fixed(OBJECTIVE, {}).weights(0).tolist() == [1.0] * 4
    assert Fixed(OBJECTIVE, dict.fromkeys(OBJECTIVE.names[1:], 0.0)).weights(0).tolist() == [1.0, 0.0, 0.0, 0.0]


def test_fixed_refuses_what_cannot_be_meant():
    with pytest.raises(InputError, match="nothing to learn"):
        Fixed(OBJECTIVE, dict.fromkeys(OBJECTIVE.names, 0.0))


def test_uncertainty_descends_the_objective_of_the_paper():
    """Kendall et al. 2018: sum of exp(-s) L + s / 2, half of the first term for a regression; two steps of descent."""
    factors = np.array([1.0, 1.0, 1.0, 0.5])

    def objective(log_variances: np.ndarray, losses: np.ndarray) -> float:
        return float((factors * np.exp(-log_variances) * losses + log_variances / 2).sum())

    weighting = Uncertainty(OBJECTIVE, learning_rate=0.3, min_weight=1e-9, max_weight=1e9)
    log_variances = np.zeros(4)
    np.testing.assert_array_equal(weighting.weights(0), factors)
    for sums, counts in (([4, 9, 0.2, 3], [2, 3, 2, 1]), ([1, 1, 1, 8], [1, 4, 1, 2])):
        losses = np.array(sums) / counts
        slopes = [
            (objective(log_variances + step, losses) - objective(log_variances - step, losses)) / 2e-6
            for step in 1e-6 * np.eye(4)
        ]
        log_variances = log_variances - 0.3 * np.array(slopes)
        weighting.observe(seen(sums, counts))
        np.testing.assert_allclose(weighting.weights(1), factors * np.exp(-log_variances), rtol=1e-6)


def test_uncertainty_ends_at_its_optimum():
    """A weight of 1 / (2 L), for a regression too."""
    weighting, losses = Uncertainty(OBJECTIVE, learning_rate=0.2, min_weight=1e-9, max_weight=1e9), [0.3, 2.0, 0.7, 1.6]
    for _ in range(300):
        weighting.observe(seen(losses))
    np.testing.assert_allclose(weighting.weights(300), 1 / (2 * np.array(losses)), rtol=1e-6)


def test_uncertainty_is_clipped():
    weighting = Uncertainty(TWO, learning_rate=0.5, min_weight=0.2, max_weight=3.0)
    for _ in range(100):
        weighting.observe(seen([1e-3, 1e3]))
    np.testing.assert_allclose(weighting.weights(100), [3.0, 0.2])


def test_uncertainty_leaves_absent_tasks_alone():
    weighting = Uncertainty(TWO)
    weighting.observe(seen([3.0, 3.0]))
    before = weighting.weights(1)
    weighting.observe(seen([3.0, 0.0], [1, 0]))
    assert weighting.weights(2)[1] == before[1]
    assert weighting.weights(2)[0] < before[0]


def test_dynamic_weight_average():
    """Liu et al. 2019, equation 7: K exp(w / T) / sum of exp(w / T), w = L(t - 1) / L(t - 2), w = 1 for t = 1, 2."""
    temperature, period = 0.7, 3
    weighting = DynamicWeightAverage(TWO, temperature=temperature, period=period)
    counts = np.array([[[2, 1], [2, 5], [8, 3]]] * 4)
    sums = np.random.default_rng(0).uniform(1, 30, counts.shape)
    means = sums.sum(axis=1) / counts.sum(axis=1)
    for t in range(1, 5):
        rates = np.ones(2) if t <= 2 else means[t - 2] / means[t - 3]
        powers = np.exp(rates / temperature)
        for batch in range(period):
            found = weighting.weights((t - 1) * period + batch)
            np.testing.assert_allclose(found, 2 * powers / powers.sum(), rtol=1e-9)
            weighting.observe(seen(sums[t - 1, batch].tolist(), counts[t - 1, batch].tolist()))
        assert np.ptp(powers) > 0.05 or t <= 2


def test_dynamic_weight_average_at_high_temperature_is_equal():
    weights = {}
    for temperature in (0.5, 1e6):
        weighting = DynamicWeightAverage(TWO, temperature=temperature, period=1)
        weighting.observe(seen([1.0, 4.0]))
        weighting.observe(seen([2.0, 2.0]))
        weights[temperature] = weighting.weights(2)
    np.testing.assert_allclose(weights[1e6], [1.0, 1.0], atol=1e-5)
    assert weights[0.5][0] > 1.8, "of a loss that grew"


def test_dynamic_weight_average_takes_absent_tasks_as_unchanged():
    """What was last known of them counts, before it is known at all and in periods without them."""
    weighting = DynamicWeightAverage(TWO, temperature=1.0, period=1)
    for sums, counts, rates in (
        ([4.0, 0.0], [1, 0], [1.0, 1.0]),
        ([2.0, 0.0], [1, 0], [0.5, 1.0]),
        ([1.0, 3.0], [1, 1], [0.5, 1.0]),
        ([1.0, 0.0], [1, 0], [1.0, 1.0]),
        ([1.0, 6.0], [1, 1], [1.0, 2.0]),
    ):
        weighting.observe(seen(sums, counts))
        powers = np.exp(rates)
        np.testing.assert_allclose(weighting.weights(1), 2 * powers / powers.sum())


def distance_to_targets(weights: np.ndarray, norms: np.ndarray, targets: np.ndarray) -> float:
    """Chen et al. 2018, equation 2."""
    return float(np.abs(weights * norms - targets).sum())


def gradnorm_targets(weights: np.ndarray, norms: np.ndarray, ratios: np.ndarray, alpha: float) -> np.ndarray:
    """Mean of the weighted gradients' norms, times the relative inverse training rates to the power of alpha."""
    return np.mean(weights * norms) * (ratios / np.mean(ratios)) ** alpha


def test_gradnorm_is_the_algorithm_of_the_paper():
    """L(0) from the first batches, then steps along a numerical derivative, renormalised to the number of tasks."""
    alpha, rate = 1.5, 0.1
    weighting = GradNorm(TWO, alpha=alpha, learning_rate=rate, start_updates=2)
    weighting.observe(seen([8.0, 6.0], [2, 1], norms=[1.0, 9.0]))
    weighting.observe(seen([4.0, 3.0], [1, 2], norms=[1.0, 9.0]))
    assert weighting.weights(2).tolist() == [1.0, 1.0], "measuring where the losses start"
    first, weights = np.array([12 / 3, 9 / 3]), np.ones(2)
    for losses, norms in (([3.0, 0.5], [0.7, 1.1]), ([1.0, 2.8], [0.5, 2.0]), ([2.0, 1.5], [3.0, 0.1])):
        targets = gradnorm_targets(weights, np.array(norms), np.array(losses) / first, alpha)
        slopes = [
            (
                distance_to_targets(weights + step, np.array(norms), targets)
                - distance_to_targets(weights - step, np.array(norms), targets)
            )
            / 2e-6
            for step in 1e-6 * np.eye(2)
        ]
        moved = weights - rate * np.array(slopes)
        weights = 2 * moved / moved.sum()
        weighting.observe(seen((3 * np.array(losses)).tolist(), [3, 3], norms=norms))
        np.testing.assert_allclose(weighting.weights(3), weights, rtol=1e-6)
        assert np.ptp(weights) > 0.01


def test_gradnorm_evens_out_gradients():
    """Of two tasks that learn alike, that of the larger gradient loses until the weighted gradients are alike."""
    weighting = GradNorm(TWO, learning_rate=0.01, start_updates=1)
    for _ in range(500):
        weighting.observe(seen([1.0, 1.0], norms=[1.0, 3.0]))
    np.testing.assert_allclose(weighting.weights(500), [1.5, 0.5], atol=0.05)


def test_gradnorm_helps_what_learns_slowly():
    """As seen from where each loss started, however large it is."""
    for alpha, expected in ((0.0, [1.0, 1.0]), (1.0, [2 / 3, 4 / 3])):
        weighting = GradNorm(TWO, alpha=alpha, learning_rate=0.005, start_updates=1)
        weighting.observe(seen([200.0, 2.0], norms=[1.0, 1.0]))
        for _ in range(500):
            weighting.observe(seen([50.0, 1.0], norms=[1.0, 1.0]))
        np.testing.assert_allclose(weighting.weights(500), expected, atol=0.03)


def test_gradnorm_leaves_absent_tasks_out():
    """Neither their gradient nor their loss has a part in the mean, and between themselves their weights stay."""
    batch = seen([1.0, 1.5, 0.0, 0.0], [1, 1, 0, 0], norms=[1.0, 3.0, 0.0, 0.0])
    weighting = GradNorm(OBJECTIVE, learning_rate=0.1, start_updates=1)
    weighting.observe(seen([2.0, 2.0, 5.0, 5.0], norms=[1.0, 1.0, 1.0, 1.0]))
    weighting.observe(batch)
    weights = weighting.weights(2)
    assert weights.sum() == pytest.approx(4)
    assert weights[2] == weights[3]
    targets = gradnorm_targets(np.ones(2), np.array([1.0, 3.0]), np.array([0.5, 0.75]), 1.5)
    moved = np.array([1.0, 1.0]) - 0.1 * np.sign([1.0 - targets[0], 3.0 - targets[1]]) * np.array([1.0, 3.0])
    assert weights[0] / weights[1] == pytest.approx(moved[0] / moved[1])
    before = weights.copy()
    weighting.observe(seen([1.0, 0.0, 0.0, 0.0], [1, 0, 0, 0], norms=[1.0, 0.0, 0.0, 0.0]))
    np.testing.assert_array_equal(weighting.weights(3), before, "one task alone has nothing to be compared with")
    weighting.observe(replace(batch, norms=None))
    np.testing.assert_array_equal(weighting.weights(3), before)


def test_gradnorm_weighs_what_appears_late():
    """Measured over the first batches that have it, with a weight of 1; the others do not wait for it."""
    three = Objective(("aa", "bb"), (transcripts(), MOOD))
    weighting = GradNorm(three, learning_rate=0.005, start_updates=3)
    for _ in range(100):
        weighting.observe(seen([1.0, 1.0, 0.0], [1, 1, 0], norms=[1.0, 3.0, 0.0]))
    before = weighting.weights(100)
    assert before[0] > 1.2 > 1.0 == before[2]
    for _ in range(3):
        weighting.observe(seen([1.0, 1.0, 8.0], norms=[1.0, 3.0, 1.0]))
    assert weighting.weights(103)[2] == 1.0
    for _ in range(300):
        weighting.observe(seen([0.5, 0.5, 8.0], norms=[1.0, 1.0, 1.0]))
    assert weighting.weights(403)[2] > 1.5 > 1.0 > max(weighting.weights(403)[:2])


def test_random_weights():
    """A softmax of standard normal draws, times T: 1 on average, and log-ratios of variance 2."""
    draws = np.array([RandomWeights(OBJECTIVE, seed=1).weights(update) for update in range(4000)])
    np.testing.assert_allclose(draws.sum(axis=1), 4.0)
    np.testing.assert_allclose(draws.mean(axis=0), 1.0, atol=4 * draws.std() / np.sqrt(len(draws)))
    ratios = np.log(draws[:, 0] / draws[:, 1])
    assert ratios.mean() == pytest.approx(0.0, abs=4 * np.sqrt(2 / 4000))
    assert ratios.var() == pytest.approx(2.0, rel=0.1)
    assert abs(np.corrcoef(ratios[1:], ratios[:-1])[0, 1]) < 4 / np.sqrt(4000), "anew in every update"
    others = np.array([RandomWeights(OBJECTIVE, seed=2).weights(update) for update in range(4000)])
    assert abs(np.corrcoef(ratios, np.log(others[:, 0] / others[:, 1]))[0, 1]) < 4 / np.sqrt(4000), "and for every seed"


def test_ctc_dro_is_the_algorithm_of_the_paper():
    """Bartelds et al. 2025, algorithm 1, on the loss of `duration_s` seconds of each language's speech."""
    eta, alpha = 0.02, 0.3
    weighting = CtcDro(OBJECTIVE, step_size=eta, smoothing=alpha, duration_s=10.0)
    shares = np.array([0.5, 0.5])
    assert weighting.weights(0).tolist() == [1.0, 1.0, 1.0, 1.0]
    for sums, seconds in (([60.0, 20.0], [20.0, 5.0]), ([10.0, 30.0], [10.0, 10.0])):
        losses = [10.0 * total / length for total, length in zip(sums, seconds, strict=True)]
        grown = [q * np.exp(eta * loss / (q + alpha)) for q, loss in zip(shares, losses, strict=True)]
        shares = np.array(grown) / sum(grown)
        weighting.observe(seen([*sums, 5.0, 7.0], [9, 2, 1, 1], seconds=[*seconds, 25.0, 25.0]))
        np.testing.assert_allclose(weighting.weights(1), [*(2 * shares), 1.0, 1.0], rtol=1e-9)
        assert np.ptp(shares) > 0.01


def test_ctc_dro_waits_for_all_languages():
    gathered, whole = CtcDro(OBJECTIVE, step_size=0.01), CtcDro(OBJECTIVE, step_size=0.01)
    for _ in range(2):
        gathered.observe(seen([6.0, 0.0, 9.0, 9.0], [3, 0, 1, 1], seconds=[2.0, 0.0, 2.0, 2.0]))
        assert gathered.weights(1).tolist() == [1.0] * 4
    for _ in range(2):  # and then anew
        gathered.observe(seen([1.0, 8.0, 9.0, 9.0], [3, 2, 1, 1], seconds=[1.0, 2.0, 2.0, 2.0]))
        gathered.observe(seen([1.0, 0.0, 9.0, 9.0], [3, 0, 1, 1], seconds=[1.0, 0.0, 2.0, 2.0]))
    whole.observe(seen([13.0, 8.0, 0.0, 0.0], [9, 2, 1, 1], seconds=[5.0, 2.0, 0.0, 0.0]))
    whole.observe(seen([2.0, 8.0, 0.0, 0.0], [6, 2, 1, 1], seconds=[2.0, 2.0, 0.0, 0.0]))
    np.testing.assert_allclose(gathered.weights(5), whole.weights(2), rtol=1e-9)
    assert whole.weights(2)[1] > 1.01


def test_ctc_dro_without_transcripts():
    weighting = CtcDro(Objective(("aa", "bb"), OBJECTIVE.targets, known=("mood", "age")))
    weighting.observe(seen([0.0, 0.0, 9.0, 9.0], [0, 0, 1, 1], seconds=[0.0, 0.0, 2.0, 2.0]))
    assert weighting.weights(1).tolist() == [1.0] * 4


def test_ctc_dro_resumes_where_languages_that_are_not_learned_had_a_share():
    """As they had in states of earlier versions."""
    weighting = CtcDro(Objective(("aa", "bb", "cc"), (transcripts(["aa", "bb", "cc"]),), known=("aa", "cc")))
    weighting.set_state({"shares": np.full(3, 1 / 3), "sums": np.zeros(3), "seconds": np.zeros(3)})
    weighting.observe(seen([60.0, 0.0, 10.0], [3, 0, 1], seconds=[2.0, 0.0, 2.0]))
    weights = weighting.weights(1)
    assert weights[0] > 1.0 > weights[2]
    assert weights[[0, 2]].sum() == pytest.approx(2.0)


def test_ctc_dro_uses_the_loss_of_a_second():
    """Twice as much of the same speech changes nothing; twice the `duration_s` doubles the step."""
    short, long = CtcDro(OBJECTIVE, duration_s=50.0), CtcDro(OBJECTIVE, duration_s=50.0)
    short.observe(seen([60.0, 10.0, 0, 0], seconds=[2.0, 1.0, 0, 0]))
    long.observe(seen([120.0, 40.0, 0, 0], seconds=[4.0, 4.0, 0, 0]))
    np.testing.assert_allclose(short.weights(1), long.weights(1), rtol=1e-12)
    double, step = CtcDro(OBJECTIVE, duration_s=100.0), CtcDro(OBJECTIVE, step_size=2e-4)
    for weighting in (double, step):
        weighting.observe(seen([60.0, 10.0, 0, 0], seconds=[2.0, 1.0, 0, 0]))
    np.testing.assert_allclose(double.weights(1), step.weights(1), rtol=1e-12)
    assert double.weights(1)[0] > short.weights(1)[0] > 1.0


def test_ctc_dro_ends_where_smoothed_shares_are_proportional_to_losses():
    losses = np.array([2.0, 3.0, 4.0])
    weighting = CtcDro(
        Objective(("aa", "bb", "cc"), (transcripts(["aa", "bb", "cc"]),)), step_size=0.05, smoothing=0.5, duration_s=1.0
    )
    for _ in range(2000):
        weighting.observe(seen(losses.tolist()))
    smoothed = weighting.weights(2000) / 3 + 0.5
    np.testing.assert_allclose(smoothed / smoothed.sum(), losses / losses.sum(), rtol=1e-6)


def test_ctc_dro_with_large_losses():
    weighting = CtcDro(OBJECTIVE, step_size=1.0)
    for _ in range(5):
        weighting.observe(seen([1e6, 1e5, 1.0, 1.0]))
    np.testing.assert_allclose(weighting.weights(5), [2.0, 0.0, 1.0, 1.0], atol=1e-9)
