from typing import Any

import keras
import numpy as np
import pytest
from made_up_targets import model_of
from tiny_encoders import encoder_settings

from speech_mtl.datatypes import TRANSCRIPT
from speech_mtl.models.multitask import MultilingualModel
from speech_mtl.settings.recipe import Recipe

ops: Any = keras.ops  # whose annotations admit strings and None


ENCODER = {**encoder_settings("conformer"), "dropout": 0.2, "zero_branches": True}
RECIPE = Recipe.model_validate(
    {
        "name": "x",
        "languages": {"de": {}, "cs": {}},
        "data": {"dir": "nowhere"},
        "features": {"num_mels": 20},
        "encoder": ENCODER,
    }
)
NUM_TOKENS = {"de": 6, "cs": 4}


@pytest.fixture(scope="module")
def model() -> MultilingualModel:
    return model_of(RECIPE, NUM_TOKENS)


def inputs(num_samples: int = 9000) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    waveforms = np.random.default_rng(0).normal(0, 0.1, (2, num_samples)).astype("float32")
    return waveforms, np.array([num_samples, num_samples - 2000], "int32"), np.array([1, 0], "int32")


def weights(model: MultilingualModel) -> dict[str, np.ndarray]:
    return {v.path: ops.convert_to_numpy(v.value) for v in model.trainable_variables}


def test_is_the_chain_of_its_parts(model):
    waveforms, num_samples, ids = inputs()
    features, num_frames = model.features(waveforms, num_samples)
    frames, num_frames = model.encoder(features, num_frames)
    outputs = model(waveforms, num_samples, ids)
    logits = ops.convert_to_numpy(outputs.values[TRANSCRIPT])
    np.testing.assert_allclose(logits, ops.convert_to_numpy(model.heads[TRANSCRIPT](frames, num_frames, ids)))
    assert logits.shape == (2, 12, 6)
    assert ops.convert_to_numpy(outputs.num_frames).tolist() == ops.convert_to_numpy(num_frames).tolist() == [12, 9]


def test_augments_in_training_and_not_otherwise(model):
    calm = [ops.convert_to_numpy(model(*inputs()).values[TRANSCRIPT]) for _ in range(2)]
    wild = [ops.convert_to_numpy(model(*inputs(), training=True).values[TRANSCRIPT]) for _ in range(2)]
    np.testing.assert_array_equal(*calm)
    assert np.abs(wild[0] - wild[1])[0, :, :4].max() > 1e-4


@pytest.mark.parametrize("num_samples", [2600, 4567, 16_000])
def test_num_encoder_frames(model, num_samples):
    waveforms = np.zeros((1, num_samples), "float32")
    logits = model(waveforms, np.array([num_samples], "int32"), np.array([0], "int32"))
    assert logits.values[TRANSCRIPT].shape[1] == model.num_encoder_frames(num_samples)
    assert ops.convert_to_numpy(logits.num_frames).tolist() == [model.num_encoder_frames(num_samples)]
    assert model.num_encoder_frames(np.array([num_samples])).tolist() == [model.num_encoder_frames(num_samples)]


@pytest.mark.parametrize("num_samples", [1471, 1472, 2600, 4567, 16_000])
def test_every_encoder_frame_has_its_time(model, num_samples):
    times_s = model.frame_times_s(num_samples)
    assert times_s.shape == (model.num_encoder_frames(num_samples),)
    assert ((times_s > 0) & (times_s < num_samples / 16_000)).all()
    np.testing.assert_allclose(np.diff(times_s), 0.04)


@pytest.mark.parametrize("times", [2, 3])
def test_heads_get_several_frames_of_each_of_the_encoder(model, times):
    """They lie evenly within it; at first they are all alike."""
    more = model_of(RECIPE.overridden({"encoder.upsampling": times}), NUM_TOKENS)
    waveforms, num_samples, ids = inputs()
    few, many = (one(waveforms, num_samples, ids) for one in (model, more))
    np.testing.assert_array_equal(np.repeat(few.values[TRANSCRIPT], times, axis=1), many.values[TRANSCRIPT])
    assert ops.convert_to_numpy(many.num_frames).tolist() == [times * 12, times * 9]
    assert more.num_encoder_frames(9000) == times * 12
    np.testing.assert_allclose(more.frame_times_s(9000).reshape(12, times).mean(axis=1), model.frame_times_s(9000))
    np.testing.assert_allclose(np.diff(more.frame_times_s(9000)), model.frame_step_s / times)
    assert more.frame_step_s == pytest.approx(0.04 / times)
    assert more.min_samples == model.min_samples


def test_seed_decides_the_start(model):
    again, other = model_of(RECIPE, NUM_TOKENS), model_of(RECIPE.overridden({"seed": 1}), NUM_TOKENS)
    first = weights(model)
    assert first.keys() == weights(again).keys()
    for path, array in weights(again).items():
        np.testing.assert_array_equal(array, first[path])
    assert sum((array != first[path]).any() for path, array in weights(other).items()) >= 10


def test_languages_and_names_of_weights(model):
    assert model.languages == ("de", "cs")
    paths = [v.path for v in model.trainable_variables]
    assert len(set(paths)) == len(paths)
    assert {path.split("/")[0] for path in paths} == {"encoder", "heads"}


def test_the_encoder_is_as_large_with_more_languages(model):
    more = model_of(RECIPE, {**NUM_TOKENS, "fr": 9})
    assert more.encoder.count_params() == model.encoder.count_params()
    assert more.heads[TRANSCRIPT].count_params() - model.heads[TRANSCRIPT].count_params() == 9 * (16 + 1)


def test_random_state_is_one_generator(model):
    assert {v.path for v in model.non_trainable_variables} == {model.random.state.path}
