from typing import Any

import keras
import numpy as np
import pytest
import scipy.special
from made_up_targets import transcripts

from speech_mtl.datatypes import TRANSCRIPT, Batch, Outputs, Tokens
from speech_mtl.targets.classes import Classes
from speech_mtl.targets.frame_multi_label import FrameMultiLabel
from speech_mtl.targets.multi_label import MultiLabel
from speech_mtl.targets.regression import Regression
from speech_mtl.training.objective import Objective, Observed

ops: Any = keras.ops  # whose annotations admit strings and None

NAN = float("nan")
TASKS = (
    Classes("mood", "mood", ["angry", "happy", "sad"], "refuse"),
    Regression("age", "age", 40.0, 10.0),
    MultiLabel("sounds", "sounds", ["music", "noise"], "refuse"),
)
OBJECTIVE = Objective(("aa", "bb"), (transcripts(), *TASKS))
WEIGHTS = np.array([0.5, 2.0, 1.5, 0.25, 3.0], "float32")
LABELS = {
    "mood": np.array([2, NAN, 0, NAN], "float32"),
    "age": np.array([NAN, 0.5, -1.0, 2.0], "float32"),
    "sounds": np.array([[1, NAN], [NAN, NAN], [0, 1], [NAN, 0]], "float32"),
}
TOKENS = Tokens(
    np.array([[1, 2, 2], [3, 0, 0], [0, 0, 0], [1, 1, 0]], "int32"),
    np.array([3, 1, 0, 2], "int32"),  # of the third, the transcript is unknown
)
BATCH = Batch(
    waveforms=np.zeros((4, 32_000), "float32"),
    num_samples=np.array([16_000, 32_000, 8_000, 24_000], "int32"),
    language_ids=np.array([0, 1, 0, 1], "int32"),
    targets={TRANSCRIPT: TOKENS} | LABELS,
)


def make_outputs() -> dict[str, np.ndarray]:
    """What a network might say of the batch."""
    generator = np.random.default_rng(0)
    shapes = {TRANSCRIPT: (4, 6, 4), "mood": (4, 3), "age": (4, 1), "sounds": (4, 2)}
    return {name: generator.normal(0, 2, shape).astype("float32") for name, shape in shapes.items()}


NUM_FRAMES = np.array([6, 4, 5, 3], "int32")


def logits_of(outputs: dict[str, Any]) -> Outputs:
    return Outputs(outputs, NUM_FRAMES)


def numpy_losses(
    outputs: dict[str, Any], batch: Batch = BATCH, objective: Objective = OBJECTIVE
) -> tuple[np.ndarray, np.ndarray]:
    return tuple(ops.convert_to_numpy(part) for part in objective.losses(logits_of(outputs), batch))


def by_task(outputs: dict[str, Any], batch: Batch = BATCH, objective: Objective = OBJECTIVE) -> np.ndarray:
    losses, counts = objective.losses(logits_of(outputs), batch)
    return ops.convert_to_numpy(objective.by_task(losses, counts, batch.language_ids))


@pytest.fixture
def gradient_of(value_and_gradients):
    """The weighted objective's gradient by each of the network's outputs."""

    def run(
        outputs: dict[str, np.ndarray], batch: Batch = BATCH, objective: Objective = OBJECTIVE
    ) -> dict[str, np.ndarray]:
        variables = {name: keras.Variable(array) for name, array in outputs.items()}

        def total():
            logits = logits_of({name: variable.value for name, variable in variables.items()})
            found = objective.by_task(*objective.losses(logits, batch), batch.language_ids)
            return ops.sum(found * WEIGHTS[: len(objective.names)])

        return dict(zip(variables, value_and_gradients(total, list(variables.values()))[1], strict=True))

    return run


def ctc_by_hand(logits: np.ndarray, tokens: list[int]) -> float:
    """The forward algorithm on plain probabilities; Graves et al. 2006, equations 5 to 8."""
    probabilities = scipy.special.softmax(logits.astype("float64"), axis=1)
    states = [0, *(state for token in tokens for state in (token, 0))]
    forward = np.zeros(len(states))
    forward[:2] = probabilities[0, states[:2]]
    for row in probabilities[1:]:
        before = forward
        forward = before.copy()
        forward[1:] += before[:-1]
        for i in range(2, len(states)):
            if states[i] != 0 and states[i] != states[i - 2]:
                forward[i] += before[i - 2]
        forward *= row[states]
    return -np.log(forward[-2:].sum())


def mean_loss_of_tags(outputs: np.ndarray, values: np.ndarray) -> float:
    known = ~np.isnan(values)
    probabilities = scipy.special.expit(outputs[known].astype("float64"))
    return -np.log(np.where(values[known] == 1, probabilities, 1 - probabilities)).mean()


def by_hand(outputs: dict[str, np.ndarray]) -> list[float]:
    """L_i of each task of the batch, with the labels written out."""
    ctc = [ctc_by_hand(outputs[TRANSCRIPT][i, : NUM_FRAMES[i]], t) for i, t in ((0, [1, 2, 2]), (1, [3]), (3, [1, 1]))]
    moods = np.log(scipy.special.softmax(outputs["mood"].astype("float64"), axis=1))
    ages = outputs["age"][:, 0].astype("float64")
    return [
        ctc[0] / 6,
        (ctc[1] + ctc[2]) / 6,
        -(moods[0, 2] + moods[2, 0]) / 2,
        ((ages[1] - 0.5) ** 2 + (ages[2] + 1) ** 2 + (ages[3] - 2) ** 2) / 3,
        mean_loss_of_tags(outputs["sounds"], LABELS["sounds"]),
    ]


def test_equals_a_computation_by_hand():
    outputs = make_outputs()
    assert OBJECTIVE.names == ("aa", "bb", "mood", "age", "sounds")
    np.testing.assert_allclose(by_task(outputs), by_hand(outputs), rtol=1e-5)


def test_transcripts_alone():
    outputs, objective = make_outputs(), Objective(("aa", "bb"), (transcripts(),))
    losses, counts = numpy_losses(outputs, objective=objective)
    assert losses.shape == counts.shape == (4, 1)
    np.testing.assert_allclose(by_task(outputs, objective=objective), by_hand(outputs)[:2], rtol=1e-5)


def test_losses_are_sums_of_each_utterance():
    losses, counts = numpy_losses(make_outputs())
    np.testing.assert_array_equal(counts, [[3, 1, 0, 1], [1, 0, 1, 0], [0, 1, 1, 2], [2, 0, 1, 1]])
    assert losses.shape == (4, 4)
    np.testing.assert_array_equal(losses > 0, counts > 0)
    np.testing.assert_array_equal(losses == 0, counts == 0)


def unknown_entries() -> dict[str, np.ndarray]:
    """Which outputs speak of what is unknown."""
    beyond = np.arange(6) >= NUM_FRAMES[:, None]
    beyond[2] = True
    return {
        TRANSCRIPT: np.broadcast_to(beyond[:, :, None], (4, 6, 4)),
        "mood": np.broadcast_to(np.isnan(LABELS["mood"])[:, None], (4, 3)),
        "age": np.isnan(LABELS["age"])[:, None],
        "sounds": np.isnan(LABELS["sounds"]),
    }


@pytest.mark.parametrize("junk", [0.0, -7.0, 1e30])
def test_what_is_unknown_has_no_part(junk, gradient_of):
    """Whatever is said of it: neither in the objective nor, to the last bit, in the gradient."""
    outputs = make_outputs()
    other = {name: np.where(entries, np.float32(junk), outputs[name]) for name, entries in unknown_entries().items()}
    assert all((other[name] != outputs[name]).any() for name in outputs)
    np.testing.assert_array_equal(by_task(other), by_task(outputs))
    expected, gradient = gradient_of(outputs), gradient_of(other)
    for name, entries in unknown_entries().items():
        np.testing.assert_array_equal(gradient[name], expected[name])
        assert (gradient[name][entries] == 0.0).all()
        assert (gradient[name][~entries] != 0.0).all()


def test_the_gradient_of_known_entries_equals_finite_differences(gradient_of):
    outputs = make_outputs()
    gradient = gradient_of(outputs)
    for name, index in (
        (TRANSCRIPT, (0, 2, 1)),
        (TRANSCRIPT, (3, 1, 0)),
        ("mood", (2, 1)),
        ("age", (3, 0)),
        ("sounds", (2, 0)),
    ):
        around = []
        for step in (1e-4, -1e-4):
            moved = {key: array.astype("float64") for key, array in outputs.items()}
            moved[name][index] += step
            around.append(np.dot(WEIGHTS, by_hand(moved)))
        assert gradient[name][index] == pytest.approx((around[0] - around[1]) / 2e-4, abs=1e-4)


@pytest.mark.parametrize("name", [TRANSCRIPT, "mood", "age", "sounds"])
def test_a_task_that_the_batch_has_nothing_of(name, gradient_of):
    outputs = make_outputs()
    nothing = np.full_like(LABELS[name], NAN) if name in LABELS else TOKENS._replace(sizes=np.zeros(4, "int32"))
    batch = BATCH._replace(targets={**BATCH.targets, name: nothing})
    absent = [0, 1] if name == TRANSCRIPT else [OBJECTIVE.names.index(name)]
    expected = by_task(outputs)
    assert (expected[absent] > 0).all()
    expected[absent] = 0.0
    np.testing.assert_array_equal(by_task(outputs, batch), expected)
    gradient, whole = gradient_of(outputs, batch), gradient_of(outputs)
    assert not gradient[name].any()
    for other in set(outputs) - {name}:
        np.testing.assert_array_equal(gradient[other], whole[other])


def test_a_language_that_is_not_in_the_batch():
    outputs = make_outputs()
    rows = [0, 2]
    batch = keras.tree.map_structure(lambda array: array[rows], BATCH)
    logits = Outputs({name: array[rows] for name, array in outputs.items()}, NUM_FRAMES[rows])
    found = ops.convert_to_numpy(OBJECTIVE.by_task(*OBJECTIVE.losses(logits, batch), batch.language_ids))
    assert found[1] == 0.0
    assert found[0] == pytest.approx(2 * by_task(outputs)[0], rel=1e-5), "its tokens are all of the batch's now"


def test_rows_that_are_padding_change_nothing():
    def filled(array: np.ndarray, value: float) -> np.ndarray:
        return np.concatenate([array, np.full_like(array[:2], value)])

    outputs = make_outputs()
    labels = {name: filled(array, NAN) for name, array in LABELS.items()}
    targets = {TRANSCRIPT: Tokens(*(filled(array, 0) for array in TOKENS)), **labels}
    batch = Batch(*(filled(array, 0) for array in BATCH[:3]), targets=targets)
    logits = Outputs({name: filled(array, 3.0) for name, array in outputs.items()}, filled(NUM_FRAMES, 0))
    losses, counts = OBJECTIVE.losses(logits, batch)
    assert not ops.convert_to_numpy(losses)[4:].any()
    assert not ops.convert_to_numpy(counts)[4:].any()
    found = ops.convert_to_numpy(OBJECTIVE.by_task(losses, counts, batch.language_ids))
    np.testing.assert_allclose(found, by_task(outputs), rtol=1e-6)
    both = [
        OBJECTIVE.observed(*numpy_losses(outputs), BATCH, 16_000),
        OBJECTIVE.observed(ops.convert_to_numpy(losses), ops.convert_to_numpy(counts), batch, 16_000),
    ]
    np.testing.assert_allclose(both[1].sums, both[0].sums, rtol=1e-6)
    np.testing.assert_array_equal(both[1].counts, both[0].counts)
    np.testing.assert_array_equal(both[1].seconds, both[0].seconds)


@pytest.mark.parametrize("size", [0, 3, 6, 9])
def test_labels_over_frames_that_are_shorter_or_longer_than_the_outputs(size, gradient_of):
    """Labels behind the last true frame do not count, nor do frames behind the last label."""
    generator = np.random.default_rng(0)
    objective = Objective(("aa", "bb"), (transcripts(), FrameMultiLabel("phones", "phones", ["a", "b", "c"], "refuse")))
    outputs = {TRANSCRIPT: make_outputs()[TRANSCRIPT], "phones": generator.normal(size=(4, 6, 3)).astype("float32")}
    labels = generator.integers(0, 2, (4, 9, 3)).astype("float32")
    labels[generator.uniform(size=labels.shape) < 0.3] = NAN
    labels = labels[:, :size]
    batch = BATCH._replace(targets={TRANSCRIPT: TOKENS, "phones": labels.copy()})
    labels[np.arange(size)[None, :] >= NUM_FRAMES[:, None]] = NAN
    common = min(size, 6)
    known = ~np.isnan(labels[:, :common])
    losses, counts = numpy_losses(outputs, batch, objective)
    np.testing.assert_array_equal(counts[:, 1], known.sum(axis=(1, 2)))
    for i in range(4):
        mean = mean_loss_of_tags(outputs["phones"][i, :common], labels[i, :common]) if known[i].any() else 0.0
        assert losses[i, 1] == pytest.approx(mean * known[i].sum(), rel=1e-5)
    expected = mean_loss_of_tags(outputs["phones"][:, :common], labels[:, :common]) if size else 0.0
    assert by_task(outputs, batch, objective)[2] == pytest.approx(expected, rel=1e-5)
    gradient = gradient_of(outputs, batch, objective)["phones"]
    assert (gradient[:, :common][known] != 0.0).all()
    assert not gradient[:, :common][~known].any()
    assert not gradient[:, common:].any()


def test_observed():
    losses, counts = numpy_losses(make_outputs())
    observed = OBJECTIVE.observed(losses, counts, BATCH, 16_000)
    own = by_hand(make_outputs())
    np.testing.assert_array_equal(observed.counts, [3, 3, 2, 3, 4])
    np.testing.assert_allclose(observed.sums, [own[0] * 6, own[1] * 6, own[2] * 2, own[3] * 3, own[4] * 4], rtol=1e-5)
    np.testing.assert_allclose(observed.losses, [own[0] * 2, own[1] * 2, *own[2:]], rtol=1e-5)
    np.testing.assert_array_equal(observed.seconds, [1.0, 3.5, 5.0, 5.0, 5.0])  # aa has 0.5 s without transcript
    assert observed.present.all()
    assert observed.norms is None


def test_observed_of_a_batch_that_lacks_tasks():
    batch = BATCH._replace(
        language_ids=np.zeros(4, "int32"), targets={**BATCH.targets, "age": np.full(4, NAN, "float32")}
    )
    observed = OBJECTIVE.observed(*numpy_losses(make_outputs(), batch), batch, 16_000)
    assert observed.present.tolist() == [True, False, True, False, True]
    assert observed.losses[[1, 3]].tolist() == [0.0, 0.0]
    assert observed.counts.tolist() == [6, 0, 2, 0, 4]
    assert observed.seconds.tolist()[:2] == [4.5, 0.0]


def test_a_language_adds_its_share_of_the_tokens_times_its_own_loss():
    outputs = make_outputs()
    observed = OBJECTIVE.observed(*numpy_losses(outputs), BATCH, 16_000)
    shares = np.append(observed.counts[:2] / 6, [1, 1, 1])
    np.testing.assert_allclose(by_task(outputs), shares * observed.losses, rtol=1e-5)


def test_norms_are_those_of_each_tasks_own_mean_loss():
    """The share of a language in the batch's tokens is taken out."""
    generator = np.random.default_rng(0)
    counts = np.array([30.0, 10.0, 2.0, 0.0, 4.0])
    own = generator.normal(size=(5, 7))  # gradients of L_i
    own[3] = 0.0
    added = own * np.array([0.75, 0.25, 1, 1, 1])[:, None]  # of what each adds to the objective
    observed = Observed(np.ones(5), counts, np.ones(5))
    norms = OBJECTIVE.norms(added @ added.T, observed)
    np.testing.assert_allclose(norms, np.linalg.norm(own, axis=1), rtol=1e-6)


def test_norms_of_what_is_absent_are_zero():
    """Also where rounding made a product negative."""
    products = np.diag([4.0, -1e-12, 9.0, 0.0, 1.0])
    observed = Observed(np.ones(5), np.array([8.0, 0.0, 1.0, 0.0, 2.0]), np.ones(5))
    assert OBJECTIVE.norms(products, observed).tolist() == [2.0, 0.0, 3.0, 0.0, 1.0]
    silent = Observed(np.zeros(5), np.zeros(5), np.zeros(5))
    assert OBJECTIVE.norms(np.zeros((5, 5)), silent).tolist() == [0.0] * 5
