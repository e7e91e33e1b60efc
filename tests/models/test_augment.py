from typing import Any

import keras
import numpy as np
import pytest

from speech_mtl.models.augment import SpecAugment
from speech_mtl.settings.data import SpecAugmentSettings

ops: Any = keras.ops  # whose annotations admit strings and None


B, T, F = 400, 57, 23
NUM_FRAMES = np.full(B, T, "int32")
NUM_FRAMES[::2] = 29


def masked(seed: int = 0, num_frames: np.ndarray = NUM_FRAMES, **kwargs) -> np.ndarray:
    """(B, T, F): True where the layer has set a one to zero; it must leave all else as it is."""
    masks: dict[str, Any] = {"num_time_masks": 2, "num_frequency_masks": 2} | kwargs
    layer = SpecAugment(**(SpecAugmentSettings().model_dump() | masks), random=keras.random.SeedGenerator(seed))
    output = ops.convert_to_numpy(layer(np.ones((B, T, F), "float32"), num_frames, training=True))
    assert np.isin(output, [0.0, 1.0]).all()
    return np.equal(output, 0.0)


def runs(row: np.ndarray) -> list[int]:
    """Lengths of the stretches of True."""
    edges = np.flatnonzero(np.diff(np.concatenate([[0], row.astype(int), [0]])))
    return (edges[1::2] - edges[::2]).tolist()


def test_only_zeros_are_set():
    features = np.random.default_rng(0).normal(size=(B, T, F)).astype("float32")
    layer = SpecAugment(2, 0.1, 2, max_mels=5, random=keras.random.SeedGenerator(3))
    output = ops.convert_to_numpy(layer(features, NUM_FRAMES, training=True))
    changed = output != features
    assert 0.01 < changed.mean() < 0.6
    assert not output[changed].any()


def test_one_time_mask():
    hidden = masked(num_time_masks=1, max_time_share=0.2, num_frequency_masks=0)
    assert (hidden.any(axis=2) == hidden.all(axis=2)).all(), "whole frames"
    widths = {29: set(), 57: set()}
    for row, size in zip(hidden[:, :, 0], NUM_FRAMES, strict=True):
        assert not row[size:].any(), "nothing beyond the true frames"
        assert len(runs(row)) <= 1
        widths[int(size)].add(int(row.sum()))
    assert widths == {29: set(range(6)), 57: set(range(12))}, "all widths from 0 to a fifth of the frames: 5 and 11"


def test_one_frequency_mask():
    hidden = masked(num_time_masks=0, num_frequency_masks=1, max_mels=4)
    assert (hidden.any(axis=1) == hidden.all(axis=1)).all(), "whole channels"
    bands: np.ndarray = hidden[:, 0, :]
    assert all(len(runs(band)) <= 1 for band in bands)
    assert set(bands.sum(axis=1).tolist()) == {0, 1, 2, 3, 4}
    assert bands.any(axis=0).all(), "every channel can be hidden, the first and the last too"
    counts = np.bincount(bands.sum(axis=1), minlength=5)
    assert counts.min() > B / 5 * 0.6, "widths are about equally frequent"


def test_several_masks():
    hidden = masked(num_time_masks=3, max_time_share=0.1, num_frequency_masks=2, max_mels=3)
    times, bands = np.asarray(hidden.all(axis=2)), np.asarray(hidden.all(axis=1))
    assert times.sum(axis=1).max() <= 3 * 5
    assert max(len(runs(row)) for row in times) == 3
    assert bands.sum(axis=1).max() <= 2 * 3
    np.testing.assert_array_equal(hidden, times[:, :, None] | bands[:, None, :])
    assert len({row.tobytes() for row in times}) > B / 2, "each utterance has masks of its own"


def test_true_lengths_decide_and_not_padding():
    short = masked(num_time_masks=1, max_time_share=0.5, num_frequency_masks=0, num_frames=np.full(B, 10, "int32"))
    assert short.any(axis=2).sum(axis=1).max() == 5
    assert not short[:, 10:].any()


def test_no_frames_at_all():
    assert not masked(num_frequency_masks=0, num_frames=np.zeros(B, "int32")).any()


def test_off_when_not_training():
    features = np.random.default_rng(0).normal(size=(2, T, F)).astype("float32")
    for kwargs in ({}, {"training": False}):
        output = SpecAugment(2, 0.1, 2, 20)(features, NUM_FRAMES[:2], **kwargs)
        np.testing.assert_array_equal(ops.convert_to_numpy(output), features)


@pytest.mark.parametrize(
    "kwargs", [{"num_time_masks": 0, "num_frequency_masks": 0}, {"max_time_share": 0.0, "max_mels": 0}]
)
def test_nothing_to_hide(kwargs):
    assert not masked(**kwargs).any()


def test_seed_decides():
    first, again, other = masked(seed=7), masked(seed=7), masked(seed=8)
    np.testing.assert_array_equal(first, again)
    assert (first != other).any()


def test_each_call_draws_anew():
    layer = SpecAugment(2, 0.1, 2, max_mels=5, random=keras.random.SeedGenerator(3))
    ones = np.ones((4, T, F), "float32")
    first, second = (ops.convert_to_numpy(layer(ones, NUM_FRAMES[:4], training=True)) for _ in range(2))
    assert (first != second).any()
