"""What the package relies on in any target of labels. It finds new ones by itself; each needs a `Case`."""

import json
from collections.abc import Iterable
from typing import Any

import keras
import numpy as np
import pytest
from target_cases import CASES, NAN, TIMES_S
from usual import usual

from speech_mtl.settings.tasks import ClassesTaskSettings, LabelTaskSection
from speech_mtl.targets.classes import Classes
from speech_mtl.targets.frame_multi_label import ENDS, FrameMultiLabel, Segments
from speech_mtl.targets.multi_label import MultiLabel, MultiLabelTarget
from speech_mtl.targets.regression import Regression
from speech_mtl.targets.target import LabelError, LabelTarget

ops: Any = keras.ops  # whose annotations admit strings and None

KINDS = LabelTaskSection.kinds()
TARGETS: dict[str, type[LabelTarget]] = LabelTaskSection.members()
every_kind = pytest.mark.parametrize("kind", sorted(TARGETS))


def make(kind: str) -> LabelTarget:
    settings = KINDS[kind]().arguments()
    return TARGETS[kind].from_labels("mood", "feeling", iter(CASES[kind].labels), **settings)


def values_of(task: LabelTarget, label: Any) -> np.ndarray:
    """An encoded label; over frames, that of the frames at `TIMES_S`."""
    encoded = task.encode_label(label)
    return encoded.at(TIMES_S) if task.over_frames else encoded


def known_values(kind: str) -> np.ndarray:
    """(N, ...) the encoded labels of the examples, with 1 where they are unknown."""
    values = np.array(CASES[kind].values, "float32")
    return np.where(np.isnan(values), np.float32(1), values)


def added_up(task: LabelTarget, outputs: Iterable[np.ndarray], values: Iterable[np.ndarray]) -> float:
    """The score of a set."""
    counts = np.sum([task.errors(*pair) for pair in zip(outputs, values, strict=True)], axis=0)
    return task.score(counts[0] / counts[1])


def test_every_kind_has_a_case():
    assert sorted(CASES) == sorted(TARGETS)


@every_kind
def test_labels_are_encoded(kind):
    case, task = CASES[kind], make(kind)
    assert (task.name, task.label) == ("mood", "feeling")
    assert task.shape in ((), (task.num_outputs,))
    for label, expected in zip(case.labels, case.values, strict=True):
        values = values_of(task, label)
        assert values.dtype == np.float32
        assert values.shape == ((len(TIMES_S), *task.shape) if task.over_frames else task.shape)
        np.testing.assert_allclose(values, expected, rtol=1e-6)


@every_kind
def test_the_order_of_training_labels_does_not_matter(kind):
    case, task = CASES[kind], make(kind)
    again = TARGETS[kind].from_labels("mood", "feeling", case.labels[::-1], **KINDS[kind]().arguments())
    assert again.describe() == task.describe()
    for label in case.labels:
        np.testing.assert_allclose(values_of(again, label), values_of(task, label), rtol=1e-6)


@every_kind
def test_round_trip_through_json(kind):
    case, task = CASES[kind], make(kind)
    again = TARGETS[kind](**json.loads(json.dumps(task.to_json())))
    assert (again.name, again.label) == ("mood", "feeling")
    assert (again.num_outputs, again.shape, again.describe()) == (task.num_outputs, task.shape, task.describe())
    outputs = case.perfect(known_values(kind))
    for label, said in zip(case.labels, outputs, strict=True):
        np.testing.assert_array_equal(values_of(again, label), values_of(task, label))
        assert again.decode(said) == task.decode(said)
        assert again.errors(said, values_of(task, label)) == task.errors(said, values_of(task, label))


@every_kind
def test_losses_are_those_of_the_formula(kind):
    task, values = make(kind), known_values(kind)
    outputs = np.random.default_rng(0).normal(0, 3, CASES[kind].perfect(values).shape).astype("float32")
    assert outputs.shape[-1] == task.num_outputs
    losses = ops.convert_to_numpy(task.entry_losses(outputs, values))
    assert losses.shape == values.shape
    assert (losses >= 0).all()
    np.testing.assert_allclose(losses, CASES[kind].loss(outputs, values), rtol=1e-4, atol=1e-6)


@every_kind
def test_gradient_of_the_losses_equals_finite_differences(kind, value_and_gradients):
    task, values = make(kind), known_values(kind)
    generator = np.random.default_rng(1)
    outputs = generator.normal(0, 1, CASES[kind].perfect(values).shape).astype("float32")
    weights = generator.uniform(0.5, 2, values.shape).astype("float32")
    variable = keras.Variable(outputs)

    def total():
        return ops.sum(task.entry_losses(variable.value, values) * weights)

    gradient = value_and_gradients(total, [variable])[1][0]
    for index in np.ndindex(*outputs.shape):
        around = []
        for step in (1e-4, -1e-4):
            moved = outputs.astype("float64")
            moved[index] += step
            around.append((CASES[kind].loss(moved, values) * weights).sum())
        assert gradient[index] == pytest.approx((around[0] - around[1]) / 2e-4, abs=1e-3)


@every_kind
def test_large_outputs_have_finite_losses(kind):
    task, values = make(kind), known_values(kind)
    for outputs in (CASES[kind].perfect(values), CASES[kind].wrong_outputs(CASES[kind].perfect(values))):
        assert np.isfinite(ops.convert_to_numpy(task.entry_losses((500 * outputs).astype("float32"), values))).all()


@every_kind
def test_a_perfect_head_and_a_wrong_one(kind):
    case, task = CASES[kind], make(kind)
    perfect = case.perfect(known_values(kind)).astype("float32")
    wrong = case.wrong_outputs(perfect)
    good = ops.convert_to_numpy(task.entry_losses(perfect, known_values(kind)))
    bad = ops.convert_to_numpy(task.entry_losses(wrong, known_values(kind)))
    assert good.max() < 1e-3
    assert (bad > 1).all()
    for label, right, other in zip(case.labels, perfect, wrong, strict=True):
        errors, against = task.errors(right, values_of(task, label))
        assert errors == pytest.approx(0.0, abs=1e-4)
        assert against >= 0  # F1 has nothing to count where all is rightly silent
        errors, against = task.errors(other, values_of(task, label))
        assert isinstance(errors, float)
        assert isinstance(against, float)
        assert errors > 0
    values = [values_of(task, label) for label in case.labels]
    assert added_up(task, perfect, values) == pytest.approx(case.best, abs=1e-4)
    assert abs(added_up(task, wrong, values) - case.best) > 0.5


@every_kind
def test_what_is_unknown_is_no_error(kind):
    case, task = CASES[kind], make(kind)
    for said in case.perfect(known_values(kind)):
        for outputs in (said, case.wrong_outputs(said)):
            assert task.errors(outputs, np.full_like(known_values(kind)[0], NAN)) == (0.0, 0.0)


@every_kind
def test_what_is_decoded_has_the_form_of_a_label(kind):
    """Apart from the ends of the frames, which the outputs do not have."""
    case, task = CASES[kind], make(kind)
    for expected, said in zip(case.values, case.perfect(known_values(kind)), strict=True):
        label = json.loads(json.dumps(task.decode(said)))
        if task.over_frames:
            label = {ENDS: (TIMES_S + 0.01).tolist(), **label}
        values = values_of(task, label)
        assert not np.isnan(values).any()
        known = ~np.isnan(expected)
        np.testing.assert_allclose(values[known], np.array(expected)[known], rtol=1e-4)


@every_kind
def test_names_for_people(kind):
    task = make(kind)
    assert task.describe()
    assert "\n" not in task.describe()
    assert isinstance(task.metric, str)
    assert task.metric


@every_kind
def test_what_is_no_label(kind):
    """Messages have the two parts that `targets.target` takes them apart at."""
    case, task = CASES[kind], make(kind)
    for label in case.no_labels:
        with pytest.raises(LabelError, match=r"(?s)^expected .+; received .+"):
            task.encode_label(label)
    for labels in case.useless:
        with pytest.raises(LabelError, match=r"(?s)^expected .+; received .+"):
            TARGETS[kind].from_labels("mood", "feeling", iter(labels), **KINDS[kind]().arguments())


@every_kind
def test_settings_reach_the_target(kind):
    """With pooling for all but targets over frames."""
    settings = KINDS[kind]()
    assert make(kind).to_json().items() >= settings.arguments().items()
    placed = make(kind).placed(**settings.placed())
    assert (placed.at, placed.pooling is None) == (settings.at, placed.over_frames)


def test_accuracy_equals_sklearn():
    metrics = pytest.importorskip("sklearn.metrics")
    generator = np.random.default_rng(0)
    task = usual(ClassesTaskSettings, "mood", "mood", ["a", "b", "c"])
    outputs, values = generator.normal(size=(50, 3)), generator.integers(0, 3, 50).astype("float32")
    values[40:] = NAN
    decoded = [task.decode(one) for one in outputs[:40]]
    expected = metrics.accuracy_score([task.names[int(value)] for value in values[:40]], decoded)
    assert 0.1 < expected < 0.9
    assert added_up(task, outputs, values) == pytest.approx(expected)


def test_mean_absolute_error_equals_sklearn():
    """In the unit of the labels, not in standard deviations."""
    metrics = pytest.importorskip("sklearn.metrics")
    generator = np.random.default_rng(0)
    ages = generator.normal(40, 12, 50)
    task = Regression.from_labels("age", "age", ages.tolist())
    outputs = generator.normal(size=(50, 1))
    values = np.array([task.encode_label(age) for age in ages])
    values[40:] = NAN
    expected = metrics.mean_absolute_error(ages[:40], [task.decode(one) for one in outputs[:40]])
    assert expected > 5
    assert added_up(task, outputs, values) == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize("kind", [MultiLabel, FrameMultiLabel])
def test_f1_equals_sklearn(kind: type[MultiLabelTarget]):
    """Micro-averaged over the known entries, of utterances or of all their frames."""
    metrics = pytest.importorskip("sklearn.metrics")
    generator = np.random.default_rng(0)
    shape = (20, 7, 3) if kind is FrameMultiLabel else (20, 3)
    outputs, values = generator.normal(size=shape), generator.integers(0, 2, shape).astype("float32")
    values[generator.uniform(size=shape) < 0.3] = NAN
    known = ~np.isnan(values)
    expected = metrics.f1_score(values[known], outputs[known] > 0, average="binary")
    assert 0.2 < expected < 0.8
    assert added_up(kind("x", "x", ["a", "b", "c"], "refuse"), outputs, values) == pytest.approx(expected)


def test_classes_that_training_does_not_have():
    refusing = Classes.from_labels("mood", "feeling", ["sad", "happy"], unseen="refuse")
    with pytest.raises(LabelError, match=r"tasks\.mood\.unseen=unknown.*received 'calm'"):
        refusing.encode_label("calm")
    lenient = Classes.from_labels("mood", "feeling", ["sad", "happy"], unseen="unknown")
    for task in (lenient, Classes(**lenient.to_json())):
        assert np.isnan(task.encode_label("calm"))
        assert task.encode_label("calm").dtype == np.float32
        assert task.encode_label("sad") == 1.0
        with pytest.raises(LabelError):
            task.encode_label(["calm"])


@pytest.mark.parametrize(
    ("kind", "label", "values"),
    [
        ("tags", {"music": 1, "bark": 0, "cough": None}, [NAN, NAN, 1.0]),
        ("frame_tags", {ENDS: [0.5], "voiced": [1], "trill": [0]}, [[NAN, 1.0]] * 4 + [[NAN, NAN]]),
    ],
)
def test_tags_that_training_does_not_have(kind, label, values):
    with pytest.raises(LabelError, match=r"tasks\.mood\.unseen=unknown.*received '(bark|trill)'"):
        make(kind).encode_label(label)
    lenient = TARGETS[kind].from_labels("mood", "feeling", CASES[kind].labels, unseen="unknown")
    np.testing.assert_array_equal(values_of(TARGETS[kind](**lenient.to_json()), label), values)


@pytest.mark.parametrize(
    ("kind", "seen", "unseen"),
    [
        ("classes", "sad", "calm"),
        ("number", 70.0, None),
        ("tags", {"music": 1, "bark": None}, {"music": 1, "bark": 0}),
        ("frame_tags", {ENDS: [0.1], "trill": [None]}, {ENDS: [0.1], "trill": [1]}),
    ],
)
def test_what_names_something_unseen(kind, seen, unseen):
    assert not make(kind).has_out_of_vocabulary(seen)
    assert unseen is None or make(kind).has_out_of_vocabulary(unseen)


def test_few_classes_are_named_in_messages():
    with pytest.raises(LabelError, match=r"\(c0, c1, c10, c11, c12, c13, c14, c15 and 12 more\)"):
        Classes.from_labels("x", "x", [f"c{i}" for i in range(20)], unseen="refuse").encode_label("d")


def test_a_class_may_be_an_integer():
    task = Classes.from_labels("x", "x", [7, "8", 0], unseen="refuse")
    assert task.names == ["0", "7", "8"]
    assert task.encode_label(8) == task.encode_label("8") == 2.0
    assert task.encode_label(0) == 0.0


@pytest.mark.parametrize("seed", range(3))
def test_segments_equal_a_search_by_hand(seed):
    generator = np.random.default_rng(seed)
    ends_s = np.sort(generator.integers(0, 40, 6)) / 16  # some of the same end, and times that meet ends
    segments = Segments(ends_s.astype("float32"), generator.normal(size=(6, 2)).astype("float32"))
    times_s = np.arange(0, 45) / 16
    for time_s, found in zip(times_s, segments.at(times_s), strict=True):
        starts_s = [0.0, *ends_s[:-1]]
        inside = [i for i in range(6) if starts_s[i] <= time_s < ends_s[i]]
        assert len(inside) == (time_s < ends_s[-1])
        np.testing.assert_array_equal(found, segments.values[inside[0]] if inside else [NAN, NAN])


def test_segments_at_their_boundaries():
    segments = Segments(np.array([0.125, 0.125, 0.5], "float32"), np.array([[0], [5], [1]], "float32"))
    found = segments.at(np.array([0.0, 0.1249, 0.125, 0.4999, 0.5, 9.0]))
    np.testing.assert_array_equal(found[:, 0], [0, 0, 1, 1, NAN, NAN])
    assert found.dtype == np.float32
    nothing = Segments(np.zeros(0, "float32"), np.zeros((0, 2), "float32"))
    np.testing.assert_array_equal(nothing.at(np.array([0.0, 1.0])), np.full((2, 2), NAN))
