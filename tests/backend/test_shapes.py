import json
from pathlib import Path

import numpy as np
import pytest
from made_up_targets import tokens as targets_of

from speech_mtl.backend.shapes import common_shape, common_size, in_common_shape
from speech_mtl.backend.step import Limits
from speech_mtl.datatypes import TRANSCRIPT, Batch
from speech_mtl.models.frozen import FrozenFeatures
from speech_mtl.run.build import step_limits
from speech_mtl.settings.recipe import Recipe


def test_common_sizes_are_few_and_large_enough():
    sizes = {size: common_size(size) for size in range(1, 1000)}
    assert all(size <= common < 1.5 * size for size, common in sizes.items())
    expected = [1, 2, 3, 4, 6, 8, 12, 16, 24, 32, 48, 64, 96, 128, 192, 256, 384, 512, 768, 1024]
    assert sorted(set(sizes.values())) == expected


@pytest.mark.parametrize("room", [960_000, 40_000])
def test_batches_of_one_plan_come_in_a_shape_for_each_common_length(room):
    """All batches that are as full as they can be, of any length."""
    shapes = set()
    for num_samples in range(500, room, 37):
        num_rows = room // num_samples
        waveforms, ones = np.zeros((num_rows, num_samples), np.int8), np.ones(num_rows, np.int32)
        batch = Batch(waveforms, ones, ones, targets_of(np.ones((num_rows, 7)), ones))
        padded = in_common_shape(batch, Limits(room), num_encoder_frames=lambda _: 9)
        assert padded.targets[TRANSCRIPT].ids.shape == (len(padded.waveforms), 9)
        assert all(there >= size for there, size in zip(padded.waveforms.shape, batch.waveforms.shape, strict=True))
        assert padded.waveforms.size <= 1.5 * room
        shapes.add(padded.waveforms.shape)
    sizes = [size for _, size in shapes]
    assert len(set(sizes)) == len(sizes)
    assert len(shapes) <= 2 * np.log2(room / 500) + 2


def test_batches_of_given_lengths_come_in_a_shape_for_each():
    """None is larger than the room, unless an utterance is longer than all lengths."""
    limits, shapes = Limits(60_000, lengths=(5_000, 9_000, 20_000)), set()
    for num_samples in range(500, 20_000, 37):
        num_rows = 60_000 // min(length for length in limits.lengths if length >= num_samples)
        ones = np.ones(num_rows, np.int32)
        batch = Batch(np.zeros((num_rows, num_samples), np.int8), ones, ones, targets_of(np.ones((num_rows, 7)), ones))
        shapes.add(in_common_shape(batch, limits, num_encoder_frames=lambda _: 9).waveforms.shape)
    assert shapes == {(12, 5_000), (6, 9_000), (3, 20_000)}
    one = np.ones(1, np.int32)
    longer = in_common_shape(Batch(np.zeros((1, 20_001)), one, one, targets_of([[1]], one)), limits)
    assert longer.waveforms.shape[1] == common_size(20_001)


def test_batches_that_are_larger_than_the_room_fit_too():
    """Of utterances that are longer than a batch may be, or one more of them after rounding."""
    for num_rows, num_samples in [(1, 5000), (3, 5000), (41, 100)]:
        ones = np.ones(num_rows, np.int32)
        batch = Batch(np.zeros((num_rows, num_samples)), ones, ones, targets_of(np.ones((num_rows, 2)), ones))
        padded = in_common_shape(batch, Limits(4000))
        assert padded.waveforms.shape[0] >= num_rows
        assert padded.targets[TRANSCRIPT].sizes.sum() == num_rows


def test_features_made_before_are_limited_by_what_the_network_gets(tmp_path: Path):
    """A mix of 25 layers has 80 numbers for each sample."""
    sizes = {"hidden_size": 1024, "num_hidden_layers": 24, "conv_kernel": [10, 8, 4], "conv_stride": [5, 8, 8]}
    (tmp_path / "config.json").write_text(json.dumps(sizes))
    features = FrozenFeatures(16_000, tmp_path, "mix")
    values = {"batch_s": 120, "dir": "nowhere"}
    recipe = Recipe.model_validate(
        {"name": "x", "languages": {"aa": {}}, "data": values, "training": {"part_s": 60}, "features": {"num_mels": 20}}
    )
    limits, shapes = step_limits(recipe, num_inputs=features.num_inputs), {}
    assert limits.num_parts(12, features.num_inputs(160_000)) == 2
    for num_samples in range(9_000, 480_000, 3_700):
        size = features.num_inputs(num_samples)
        num_rows, length = common_shape((1_920_000 // num_samples, size), limits)
        shapes.setdefault(length, set()).add(num_rows)
        assert num_rows == 1 or num_rows * length <= 2 * limits.room
        assert features.num_inputs(features.num_samples(length)) <= length
        assert features.num_inputs(features.num_samples(length)) > length - features.width
        assert features.num_samples(length) > num_samples - features.hop
    assert {len(rows) for rows in shapes.values()} == {1}


@pytest.mark.parametrize(("longest", "expected"), [(0, 24), (20, 20), (30, 24), (5, 7)])
def test_tokens_are_padded_to_the_longest_sequence_or_to_the_frames(longest: int, expected: int):
    ones = np.ones(2, np.int32)
    targets = {**targets_of(np.ones((2, 7)), ones), "phones": np.zeros((2, 9, 3), np.float32)}
    batch = Batch(np.zeros((2, 20_000)), ones, ones, targets)
    found = in_common_shape(batch, Limits(60_000, tokens=longest), lambda size: size // 1024).targets
    assert found[TRANSCRIPT].ids.shape[1] == expected
    assert found["phones"].shape[1:] == (24, 3)
