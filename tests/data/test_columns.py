"""What is known of examples, as columns of arrays."""

import numpy as np

from speech_mtl.data.examples import Column
from speech_mtl.data.tokenizer import CharacterTokenizer
from speech_mtl.datatypes import TRANSCRIPT
from speech_mtl.targets.ctc import Ctc
from speech_mtl.targets.frame_multi_label import FrameMultiLabel
from speech_mtl.targets.multi_label import MultiLabel
from speech_mtl.targets.regression import Regression

NAN = float("nan")


def test_column_of_tokens():
    target = Ctc(TRANSCRIPT, {"en": CharacterTokenizer.from_texts(["abc"], "en")})
    column = Column.of(target, [np.array([3, 1], "int32"), None, np.array([2], "int32")], np.zeros)
    assert [column[i].tolist() for i in range(3)] == [[3, 1], [], [2]]
    assert [column.values(i, 100, 1.1).tolist() for i in range(3)] == [[3, 1], [], [2]]
    assert column.num_known == 2
    assert [column.taken(np.array([2, 0]))[i].tolist() for i in range(2)] == [[2], [3, 1]]
    ids, sizes = target.stacked([column[i] for i in (1, 0)])
    assert (ids.tolist(), sizes.tolist()) == ([[0, 0], [3, 1]], [0, 2])
    assert ids.dtype == sizes.dtype == np.int32


def test_column_of_numbers():
    column = Column.of(Regression("age", "age", 0.0, 1.0), [np.float32(1), None, np.float32(3)], np.zeros)
    assert (column.rows.dtype, column.rows.shape) == (np.float32, (2,))
    np.testing.assert_array_equal([column.values(i, 100) for i in range(3)], [1, NAN, 3])
    assert column.num_known == 2
    taken = column.taken(np.array([2, 1]))
    np.testing.assert_array_equal([taken.values(i, 100) for i in range(2)], [3, NAN])
    assert taken.num_known == 1


def test_column_of_tags():
    task = MultiLabel("sounds", "sounds", ["a", "b"], "refuse")
    labels = [task.encode_label({"b": 1}), None, task.encode_label({"a": 0, "b": 0})]
    column = Column.of(task, labels, np.zeros)
    np.testing.assert_array_equal([column.values(i, 100, 1.1) for i in range(3)], [[NAN, 1], [NAN, NAN], [0, 0]])
    assert column.num_known == 2
    nothing = Column.of(task, [None, None], np.zeros)
    assert nothing.num_known == 0
    assert nothing.values(0, 100).shape == (2,)


def times_s(num_samples: int) -> np.ndarray:
    """At 100 samples a second, a frame for every 10 with its middle in theirs."""
    return np.arange(num_samples // 10) * 0.1 + 0.05


FRAMES = FrameMultiLabel("phones", "phones", ["nasal", "voiced"], "refuse")
SEGMENTS = [
    {"end_s": [0.6, 1.0], "voiced": [0, 1]},
    None,
    {"end_s": [0.12, 0.32, 0.42], "voiced": [1, 0, 1], "nasal": [0, 1, 1]},
]


def frame_column() -> Column:
    labels = [None if label is None else FRAMES.encode_label(label) for label in SEGMENTS]
    return Column.of(FRAMES, labels, times_s)


def test_column_over_frames():
    column = frame_column()
    np.testing.assert_array_equal(column.values(0, 109)[:, 1], [0, 0, 0, 0, 0, 0, 1, 1, 1, 1])
    np.testing.assert_array_equal(column.values(0, 109)[:, 0], [NAN] * 10)
    np.testing.assert_array_equal(column.values(1, 30), np.full((3, 2), NAN))
    np.testing.assert_array_equal(column.values(2, 60), [[0, 1], [1, 0], [1, 0], [1, 1], [NAN, NAN], [NAN, NAN]])
    assert column.values(2, 60).dtype == np.float32
    assert column.num_known == 2


def test_frames_at_another_speed():
    """Played twice as fast, the second of speech is 50 samples long and its change at 0.6 s comes after 0.3 s."""
    column = frame_column()
    np.testing.assert_array_equal(column.values(0, 50, 2.0)[:, 1], [0, 0, 0, 1, 1])
    np.testing.assert_array_equal(column.values(0, 200, 0.5)[:, 1], [0] * 12 + [1] * 8)


def test_part_of_a_column_over_frames():
    column, order = frame_column(), [2, 1, 0, 2]
    taken = column.taken(np.array(order))
    for new, old in enumerate(order):
        np.testing.assert_array_equal(taken.values(new, 100, 1.1), column.values(old, 100, 1.1))
    assert taken.num_known == 3
    assert column.taken(np.array([], int)).num_known == 0


def test_labels_of_utterances_are_stacked():
    batch = MultiLabel("sounds", "sounds", ["a", "b"], "refuse").stacked(
        [np.array([1, NAN], "float32"), np.array([0, 1], "float32")]
    )
    np.testing.assert_array_equal(batch, [[1, NAN], [0, 1]])
    numbers = Regression("age", "age", 0.0, 1.0).stacked([np.array(2, "float32"), np.array(NAN, "float32")])
    np.testing.assert_array_equal(numbers, [2, NAN])
    assert (batch.dtype, numbers.dtype) == (np.float32, np.float32)


def test_labels_over_frames_are_filled_up():
    column = frame_column()
    one, other = column.values(2, 20), column.values(2, 40)
    batch = FRAMES.stacked([one, other])
    assert (batch.shape, batch.dtype) == ((2, 4, 2), np.float32)
    np.testing.assert_array_equal(batch[0, :2], one)
    np.testing.assert_array_equal(batch[0, 2:], np.full((2, 2), NAN))
    np.testing.assert_array_equal(batch[1], other)
