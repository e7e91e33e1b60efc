import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from speech_mtl.data.labels import (
    TRANSCRIPT,
    FrameColumn,
    Removal,
    UtteranceColumn,
    encode,
    make_column,
    make_task,
    stacked,
)
from speech_mtl.data.manifest import read_manifest, write_manifest
from speech_mtl.datatypes import Utterance
from speech_mtl.errors import InputError
from speech_mtl.tasks import TASKS
from speech_mtl.tasks.classes import Classes
from speech_mtl.tasks.frame_tags import FrameTags
from speech_mtl.tasks.number import Number
from speech_mtl.tasks.tags import Tags

NAN = float("nan")


def utterance(number: int = 0, **fields: Any) -> Utterance:
    made = Utterance(f"u{number}", Path("a.wav"), "cs", "ahoj", 1.0, "s1", source=f"train.jsonl:{number + 1}")
    return replace(made, **fields)


def labelled(*labels: Any, name: str = "mood") -> list[Utterance]:
    return [utterance(i, labels={name: label}) for i, label in enumerate(labels)]


SPOKEN = [utterance(i, labels={"mood": "sad", "age": i}) for i in range(4000)]


def keeps(removal: Removal, name: str, utterances: list[Utterance] = SPOKEN) -> np.ndarray:
    """Which utterances are left with a label."""
    left = map(removal, utterances)
    return np.array([(u.text if name == TRANSCRIPT else u.label(name)) is not None for u in left])


def within_sampling_error(shares: np.ndarray, expected: float) -> bool:
    return abs(shares.mean() - expected) < 4 * np.sqrt(expected * (1 - expected) / len(shares))


@pytest.mark.parametrize("name", ["mood", TRANSCRIPT, "speaker"])
def test_removal_keeps_the_share(name):
    for share in (0.1, 0.3, 0.9):
        assert within_sampling_error(keeps(Removal({name: share}), name), share)
    assert keeps(Removal({name: 1.0}), name).all()


def test_what_little_keeps_more_keeps_too():
    little, more = (keeps(Removal({"mood": share}), "mood") for share in (0.3, 0.6))
    assert (more | ~little).all()
    assert (more & ~little).any()


def test_labels_are_removed_independently_of_each_other():
    for names in (("mood", "age"), ("mood", TRANSCRIPT)):
        removal = Removal(dict.fromkeys(names, 0.5))
        one, other = (keeps(removal, name) for name in names)
        assert within_sampling_error(one & other, 0.25)


def test_a_seed_has_its_own_labels():
    one, again, other = (keeps(Removal({"mood": 0.5}, seed), "mood") for seed in (0, 0, 1))
    np.testing.assert_array_equal(one, again)
    assert within_sampling_error(one & other, 0.25)


def test_only_the_id_decides():
    """Not the order of the corpus, nor what else is known of the utterance, nor what else is removed."""
    expected = keeps(Removal({"mood": 0.4}), "mood")
    backwards = keeps(Removal({"mood": 0.4}), "mood", SPOKEN[::-1])
    np.testing.assert_array_equal(backwards[::-1], expected)
    others = [replace(u, text=None, language="de", duration_s=9.0, source="", labels={"mood": "x"}) for u in SPOKEN]
    np.testing.assert_array_equal(keeps(Removal({"mood": 0.4}), "mood", others), expected)
    np.testing.assert_array_equal(keeps(Removal({"age": 0.2, "mood": 0.4, TRANSCRIPT: 0.5}), "mood"), expected)


def test_nothing_else_is_lost():
    whole = utterance(labels={"mood": "sad", "age": 3})
    assert Removal()(whole) is whole
    assert Removal({"mood": 1.0, TRANSCRIPT: 1.0})(whole) is whole
    assert Removal({"mood": 1e-12})(whole) == replace(whole, labels={"mood": None, "age": 3})
    assert Removal({TRANSCRIPT: 1e-12})(whole) == replace(whole, text=None)
    unspoken = Removal({"speaker": 1e-12, "language": 1e-12})(whole)
    assert (unspoken.label("speaker"), unspoken.label("language")) == (None, None)
    assert (unspoken.text, unspoken.language, unspoken.label("mood")) == ("ahoj", "cs", "sad")
    assert whole.labels == {"mood": "sad", "age": 3}, "the utterance itself stays as it was"


def test_labels_come_before_language_and_speaker():
    assert (utterance().label("language"), utterance().label("speaker"), utterance().label("mood")) == (
        "cs",
        "s1",
        None,
    )
    own = utterance(labels={"language": "sk", "speaker": None})
    assert (own.label("language"), own.label("speaker")) == ("sk", None)


def test_column_of_numbers():
    column = make_column(Number("age", "age", 0.0, 1.0), [np.float32(1), None, np.float32(3)], np.zeros)
    assert isinstance(column, UtteranceColumn)
    assert (column.values.dtype, column.values.shape) == (np.float32, (3,))
    np.testing.assert_array_equal([column.of(i, 100, 1.0) for i in range(3)], [1, NAN, 3])
    assert column.num_labelled == 2
    taken = column.taken(np.array([2, 1]))
    np.testing.assert_array_equal([taken.of(i, 100, 1.0) for i in range(2)], [3, NAN])
    assert taken.num_labelled == 1


def test_column_of_tags():
    task = Tags("sounds", "sounds", ["a", "b"])
    labels = [task.encode({"b": 1}), None, task.encode({}), task.encode({"a": 0, "b": 0})]
    column = make_column(task, labels, np.zeros)
    np.testing.assert_array_equal(
        [column.of(i, 100, 1.1) for i in range(4)], [[NAN, 1], [NAN, NAN], [NAN, NAN], [0, 0]]
    )
    assert column.num_labelled == 2
    nothing = make_column(task, [None, None], np.zeros)
    assert nothing.num_labelled == 0
    assert nothing.of(0, 100, 1.0).shape == (2,)


def times_s(num_samples: int) -> np.ndarray:
    """At 100 samples a second, a frame for every 10 with its middle in theirs."""
    return np.arange(num_samples // 10) * 0.1 + 0.05


FRAMES = FrameTags("phones", "phones", ["nasal", "voiced"])
SEGMENTS = [
    {"end_s": [0.6, 1.0], "voiced": [0, 1]},
    None,
    {"end_s": [0.2], "voiced": [None], "nasal": [None]},
    {"end_s": [0.12, 0.32, 0.42], "voiced": [1, 0, 1], "nasal": [0, 1, 1]},
]


def frame_column() -> FrameColumn:
    labels = [None if label is None else FRAMES.encode(label) for label in SEGMENTS]
    column = make_column(FRAMES, labels, times_s)
    assert isinstance(column, FrameColumn)
    return column


def test_column_over_frames():
    column = frame_column()
    np.testing.assert_array_equal(column.of(0, 109, 1.0)[:, 1], [0, 0, 0, 0, 0, 0, 1, 1, 1, 1])
    np.testing.assert_array_equal(column.of(0, 109, 1.0)[:, 0], [NAN] * 10)
    np.testing.assert_array_equal(column.of(1, 30, 1.0), np.full((3, 2), NAN))
    np.testing.assert_array_equal(column.of(3, 60, 1.0), [[0, 1], [1, 0], [1, 0], [1, 1], [NAN, NAN], [NAN, NAN]])
    assert column.of(3, 60, 1.0).dtype == np.float32
    assert column.num_labelled == 2


def test_frames_at_another_speed():
    """Played twice as fast, the second of speech is 50 samples long and its change at 0.6 s comes after 0.3 s."""
    column = frame_column()
    np.testing.assert_array_equal(column.of(0, 50, 2.0)[:, 1], [0, 0, 0, 1, 1])
    np.testing.assert_array_equal(column.of(0, 200, 0.5)[:, 1], [0] * 12 + [1] * 8)


def test_part_of_a_column_over_frames():
    column, order = frame_column(), [3, 1, 0, 3]
    taken = column.taken(np.array(order))
    for new, old in enumerate(order):
        np.testing.assert_array_equal(taken.of(new, 100, 1.1), column.of(old, 100, 1.1))
    assert taken.num_labelled == 3
    assert column.taken(np.array([], int)).num_labelled == 0


def test_labels_of_utterances_are_stacked():
    batch = stacked([np.array([1, NAN], "float32"), np.array([0, 1], "float32")])
    np.testing.assert_array_equal(batch, [[1, NAN], [0, 1]])
    numbers = stacked([np.array(2, "float32"), np.array(NAN, "float32")])
    np.testing.assert_array_equal(numbers, [2, NAN])
    assert (batch.dtype, numbers.dtype) == (np.float32, np.float32)


def test_labels_over_frames_are_filled_up():
    column = frame_column()
    one, other = column.of(3, 20, 1.0), column.of(3, 40, 1.0)
    batch = stacked([one, other])
    assert (batch.shape, batch.dtype) == ((2, 4, 2), np.float32)
    np.testing.assert_array_equal(batch[0, :2], one)
    np.testing.assert_array_equal(batch[0, 2:], np.full((2, 2), NAN))
    np.testing.assert_array_equal(batch[1], other)


def test_what_is_unknown_is_not_encoded():
    task = Classes("feeling", "mood", ["sad", "happy"])
    assert encode(task, utterance()) is None
    assert encode(task, utterance(labels={"mood": None})) is None
    assert encode(task, utterance(labels={"mood": "happy"})) == 1.0
    assert encode(Classes("who", "speaker", ["s0", "s1"]), utterance()) == 1.0


@pytest.mark.parametrize(
    ("task", "label"),
    [
        (Tags("x", "mood", ["music"]), {"music": None}),
        (Tags("x", "mood", ["music"]), {}),
        (FrameTags("x", "mood", ["voiced"]), {"end_s": [0.1, 0.2], "voiced": [None, None]}),
        (Classes("x", "mood", ["sad", "happy"], unseen="unknown"), "calm"),
    ],
)
def test_a_label_of_unknown_entries_is_unknown(task, label):
    assert encode(task, utterance(labels={"mood": label})) is None


def test_a_label_that_the_task_has_not_names_its_line():
    task = Classes("feeling", "mood", ["sad", "happy"])
    with pytest.raises(InputError) as caught:
        encode(task, utterance(6, labels={"mood": "calm"}))
    assert caught.value.problem == "train.jsonl:7: the label 'mood' is not one of the task 'feeling'"
    assert caught.value.expected.startswith("a class that training has")
    assert caught.value.received.startswith("'calm'")


WRONG = {"classes": 1.5, "number": "old", "tags": "music", "frame_tags": {"voiced": [1]}}
RIGHT: dict[str, list] = {
    "classes": ["sad", "happy"],
    "number": [20, 30],
    "tags": [{"music": 1}, {"music": 0}],
    "frame_tags": [{"end_s": [0.1], "voiced": [1]}, {"end_s": [0.1], "voiced": [0]}],
}
CONSTANT: dict[str, Any] = {
    "classes": "sad",
    "number": 20,
    "tags": {"music": None},
    "frame_tags": {"end_s": [0.1], "voiced": [None]},
}


def test_every_kind_is_tried():
    assert sorted(WRONG) == sorted(RIGHT) == sorted(CONSTANT) == sorted(TASKS)


@pytest.mark.parametrize("kind", sorted(TASKS))
def test_a_task_is_made_of_what_is_known(kind):
    task = make_task(TASKS[kind], "feeling", "mood", iter(labelled(None, RIGHT[kind][0], None, RIGHT[kind][1])))
    expected = TASKS[kind].from_labels("feeling", "mood", RIGHT[kind])
    assert task.to_json() == expected.to_json()


@pytest.mark.parametrize("place", [0, 2, 3])
@pytest.mark.parametrize("kind", sorted(TASKS))
def test_a_label_of_another_kind_names_its_line(kind, place):
    """Wherever it stands, also behind an utterance without label and at the end of the corpus."""
    labels = [RIGHT[kind][0], RIGHT[kind][1], None]
    labels.insert(place, WRONG[kind])
    with pytest.raises(InputError) as caught:
        make_task(TASKS[kind], "feeling", "mood", labelled(*labels))
    assert caught.value.problem == f"train.jsonl:{place + 1}: the label 'mood' is not one of the task 'feeling'"
    assert not caught.value.expected.startswith("expected")
    assert str(WRONG[kind]) in caught.value.received


@pytest.mark.parametrize("kind", sorted(TASKS))
def test_a_task_without_labels(kind):
    for utterances in ([], [utterance()], labelled(None, None)):
        with pytest.raises(InputError) as caught:
            make_task(TASKS[kind], "feeling", "mood", utterances)
        assert caught.value.problem == "No training utterance has a label for the task 'feeling'"
        assert "'mood'" in caught.value.expected
        assert "tasks.feeling.label" in caught.value.action


@pytest.mark.parametrize("kind", sorted(TASKS))
def test_a_task_with_nothing_to_learn(kind):
    """No single line is to blame."""
    with pytest.raises(InputError) as caught:
        make_task(TASKS[kind], "feeling", "mood", labelled(CONSTANT[kind], None, CONSTANT[kind]))
    assert caught.value.problem == "The task 'feeling' has nothing to learn from"
    assert "received" in caught.value.received


def test_settings_of_a_task_and_what_every_utterance_has():
    speakers = [utterance(speaker="s1"), utterance(speaker="s0"), utterance(speaker=None)]
    task = make_task(Classes, "who", "speaker", speakers, unseen="unknown")
    assert task.to_json() == {"name": "who", "label": "speaker", "classes": ["s0", "s1"], "unseen": "unknown"}


PHONES = {"end_s": [0.6, 1.0], "voiced": [0, 1]}


def test_round_trip_of_labels_through_a_manifest(tmp_path):
    labels = {
        "mood": "šťastný",
        "age": 31.5,
        "sounds": {"music": 1, "cough": None},
        "none": None,
        "phones": SEGMENTS[0],
    }
    path = tmp_path / "corpus" / "cs" / "train.jsonl"
    path.parent.mkdir(parents=True)
    write_manifest(path, [utterance(0, labels=labels, text=None), utterance(1, speaker=None), utterance(2)])
    one, other, third = read_manifest(path)
    assert (one.text, one.labels, one.speaker) == (None, labels, "s1")
    assert (other.text, other.labels, other.speaker) == ("ahoj", {}, None)
    assert third.labels == {}
    records = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
    assert ["labels" in record for record in records] == [True, False, False]
    assert records[0]["text"] is None


def test_labels_in_manifests_are_objects(tmp_path):
    record = {"id": "u", "audio": "a.wav", "language": "cs", "text": None, "duration_s": 1.0}
    path = tmp_path / "train.jsonl"
    path.write_text(json.dumps(record | {"labels": None}), encoding="utf-8")
    (read,) = read_manifest(path)
    assert (read.text, read.labels) == (None, {})
    for wrong in (["sad"], "sad", 1, True):
        path.write_text(json.dumps(record | {"labels": wrong}), encoding="utf-8")
        with pytest.raises(InputError, match=r"train\.jsonl:1: the field 'labels' is not right\nExp.*an object"):
            list(read_manifest(path))


def test_a_label_names_the_line_of_its_manifest(tmp_path):
    path = tmp_path / "train.jsonl"
    records = [
        {"id": str(i), "audio": "a.wav", "language": "cs", "text": None, "duration_s": 1.0, "labels": {"age": age}}
        for i, age in enumerate([20, None, "old"])
    ]
    path.write_text("".join(json.dumps(record) + "\n" for record in records), encoding="utf-8")
    with pytest.raises(InputError) as caught:
        make_task(Number, "age", "age", read_manifest(path))
    assert caught.value.problem == f"{path}:3: the label 'age' is not one of the task 'age'"
