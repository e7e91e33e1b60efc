"""The public encoder: the same features and frames as KerasHub's, from a folder; and it trains like any other."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import keras
import librosa
import numpy as np
import pytest
from made_up_targets import model_of
from tiny_encoders import encoder_settings, whisper_folder

from speech_mtl.backend import compile_forward
from speech_mtl.datatypes import TRANSCRIPT
from speech_mtl.errors import InputError
from speech_mtl.models.whisper import WhisperEncoder, WhisperFeatures
from speech_mtl.run.checkpoint import load_recognizer
from speech_mtl.run.evaluate import evaluate
from speech_mtl.run.train import train
from speech_mtl.settings.recipe import Recipe

ops: Any = keras.ops  # whose annotations admit strings and None


def features_of(waveform: np.ndarray) -> np.ndarray:
    features, _ = WhisperFeatures(16_000, 80)(waveform[None], np.array([len(waveform)], "int32"))
    return ops.convert_to_numpy(features)[0]


def test_features_equal_librosa(speak: Callable):
    waveform = speak("abcd")
    energies = librosa.feature.melspectrogram(
        y=waveform, sr=16_000, n_fft=400, hop_length=160, win_length=400, window="hann", center=False, n_mels=80
    )
    levels = np.log10(np.maximum(energies.T, 1e-10))
    expected = (np.maximum(levels, levels.max() - 8) + 4) / 4
    np.testing.assert_allclose(features_of(waveform), expected, atol=2e-3)


def test_features_equal_keras_hub(speak: Callable):
    """Its frames have their middle where ours begin: of speech that begins 200 samples later they are ours."""
    keras_hub = pytest.importorskip("keras_hub")
    waveform = speak("abcd")
    converter = keras_hub.layers.WhisperAudioConverter(max_audio_length=4)
    theirs = np.array(converter(waveform[None, 200:]))[0]
    ours = features_of(waveform)
    size = len(ours) - 4
    np.testing.assert_allclose(ours[2:size], theirs[2:size], atol=5e-3)


def test_frames_equal_keras_hub():
    folder = whisper_folder(2)
    keras_hub = pytest.importorskip("keras_hub")
    backbone = keras_hub.models.Backbone.from_preset(str(folder))
    theirs = keras.Model(backbone.input["encoder_features"], backbone.output["encoder_sequence_output"])
    features = np.random.default_rng(0).normal(size=(1, 40, 80)).astype("float32")
    encoder = WhisperEncoder(folder, 0.0)
    encoder.build((None, None, 80))
    frames, num_frames = encoder(features, np.array([40], "int32"))
    assert np.array(num_frames).tolist() == [20]
    np.testing.assert_allclose(np.array(frames["top"]), np.array(theirs(features)), rtol=1e-4, atol=1e-4)


def test_padding_beyond_the_positions_changes_nothing():
    """XLA's few lengths pad half a minute to more than the model has positions for."""
    encoder = WhisperEncoder(whisper_folder(), 0.0)
    encoder.build((None, None, 80))
    num_positions = len(encoder.subsampling.positions)
    features = np.random.default_rng(0).normal(size=(1, 2 * num_positions + 50, 80)).astype("float32")
    short, padded = (encoder(one, np.array([40], "int32"))[0]["top"] for one in (features[:, :60], features))
    assert padded.shape[1] > num_positions
    np.testing.assert_allclose(np.array(padded)[:, :20], np.array(short)[:, :20], atol=1e-5)


def whisper_recipe(tiny_recipe: Recipe, **changes: Any) -> Recipe:
    return tiny_recipe.overridden({"encoder": encoder_settings("whisper"), "features": {"kind": "whisper"}, **changes})


@pytest.mark.parametrize("frozen", [True, False])
def test_a_run_starts_from_the_public_encoder(tiny_recipe: Recipe, tmp_path: Path, untraced: None, frozen: bool):
    changes = {"training.unfreezing": {"kind": "heads"}} if frozen else {}
    run = train(whisper_recipe(tiny_recipe, **changes), tmp_path / "run")
    fresh = WhisperEncoder(whisper_folder(), 0.0)
    fresh.build((None, None, 80))
    trained = load_recognizer(run).model.encoder
    pairs = list(zip(fresh.trainable_variables, trained.trainable_variables, strict=True))
    assert len(pairs) > 10
    assert all(np.array_equal(np.array(one), np.array(other)) for one, other in pairs) == frozen
    assert {row["language"] for row in evaluate(run, ["test"])} == {"aa", "bb"}


def test_it_is_compiled_for_speech_of_any_length(tiny_recipe: Recipe):
    model = model_of(whisper_recipe(tiny_recipe), {"aa": 5, "bb": 5})
    noise = np.random.default_rng(0).normal(0, 0.1, (2, 8000)).astype("float32")
    inputs = noise, np.array([8000, 7000], "int32"), np.zeros(2, "int32")
    expected, found = model(*inputs), compile_forward(model)(*inputs)
    np.testing.assert_allclose(found.values[TRANSCRIPT], np.array(expected.values[TRANSCRIPT]), atol=1e-4)
    assert found.num_frames.tolist() == np.array(expected.num_frames).tolist()


def test_longer_speech_than_the_model_knows_is_refused(tiny_recipe: Recipe, tmp_path: Path):
    with pytest.raises(InputError, match="cannot encode utterances of 50 s") as caught:
        train(whisper_recipe(tiny_recipe, **{"data.max_duration_s": 50}), tmp_path / "run")
    assert "data.max_duration_s" in caught.value.action


def test_other_features_are_refused(tiny_recipe: Recipe):
    with pytest.raises(InputError) as caught:
        whisper_recipe(tiny_recipe, features={})
    assert "set features={kind: whisper}" in caught.value.expected


def test_another_number_of_mel_bands_is_refused(tiny_recipe: Recipe, tmp_path: Path):
    with pytest.raises(InputError, match="has not learnt features of 40 mel bands") as caught:
        train(whisper_recipe(tiny_recipe, **{"features.num_mels": 40}), tmp_path / "run")
    assert caught.value.action == "set features.num_mels=80"
    assert not (tmp_path / "run").exists()


def test_another_sampling_rate_is_refused(tiny_recipe: Recipe):
    with pytest.raises(InputError) as caught:
        whisper_recipe(tiny_recipe, **{"data.sample_rate_hz": 8000})
    assert "set data.sample_rate_hz=16000" in caught.value.expected


def test_a_folder_without_a_model_is_refused(tiny_recipe: Recipe, tmp_path: Path):
    with pytest.raises(InputError) as caught:
        whisper_recipe(tiny_recipe, encoder={"kind": "whisper", "dir": str(tmp_path)})
    assert f"{tmp_path} holds no model of KerasHub or Transformers" in caught.value.expected


def test_a_damaged_model_is_refused(tmp_path: Path):
    pytest.importorskip("keras_hub")
    (tmp_path / "config.json").write_text(json.dumps({"config": {"num_layers": 1}}))
    with pytest.raises(InputError, match=r"encoder\.dir: .* holds no model that can be loaded"):
        WhisperEncoder(tmp_path, 0.0)
