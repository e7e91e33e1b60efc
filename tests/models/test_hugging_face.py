"""Weights that Hugging Face's Transformers saved: its own frames, whatever the files look like; and bad ones."""

import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from damaged_models import cut_off, with_config, without_a_file, without_weight
from safetensors.numpy import load_file, save_file
from transformers_whisper import CONFIG, EXPECTED, LAYERS, MELS, D, features, write_model

from speech_mtl.errors import InputError
from speech_mtl.models.whisper import WhisperEncoder
from speech_mtl.run.checkpoint import load_recognizer
from speech_mtl.run.train import train
from speech_mtl.settings.network import WhisperSettings
from speech_mtl.settings.recipe import Recipe

pytest.importorskip("keras_hub")


def frames_of(folder: Path) -> np.ndarray:
    encoder = WhisperEncoder(folder, 0.0)
    encoder.build((None, None, MELS))
    frames, _ = encoder(features(), np.array([features().shape[1]], "int32"))
    return np.array(frames["top"])[0]


@pytest.mark.parametrize("form", [{}, {"prefix": "encoder."}, {"num_files": 3}, {"dtype": "float16"}], ids=str)
def test_frames_equal_transformers(tmp_path: Path, form: dict[str, Any]):
    expected = json.loads(EXPECTED.read_text())
    tolerance = 0.02 if "dtype" in form else 1e-4
    np.testing.assert_allclose(frames_of(write_model(tmp_path, **form)), expected, rtol=0, atol=tolerance)


def test_layers_are_counted_before_anything_is_loaded(tmp_path: Path):
    settings = WhisperSettings.model_validate({"dir": write_model(tmp_path)})
    assert settings.num_layers == LAYERS


def test_a_run_starts_from_it(tiny_recipe: Recipe, tmp_path: Path, untraced: None):
    folder = tmp_path / "whisper"
    write_model(folder)
    config = {**CONFIG, "max_source_positions": 2000}
    (folder / "config.json").write_text(json.dumps(config))
    arrays = load_file(folder / "model.safetensors")
    arrays["model.encoder.embed_positions.weight"] = np.zeros((2000, D), np.float32)
    save_file(arrays, folder / "model.safetensors")
    recipe = tiny_recipe.overridden(
        {
            "encoder": {"kind": "whisper", "dir": str(folder)},
            "features": {"kind": "whisper"},
            "training.unfreezing": {"kind": "heads"},
        }
    )
    subsampling = load_recognizer(train(recipe, tmp_path / "run")).model.encoder.subsampling
    np.testing.assert_array_equal(np.array(subsampling.first.bias), arrays["model.encoder.conv1.bias"])


@pytest.mark.parametrize(
    ("damage", "received"),
    [
        (without_a_file, "No such file"),
        (without_weight("model.encoder.layers.1.fc2.bias"), r"no weight model\.encoder\.layers\.1\.fc2\.bias"),
        (cut_off, "."),
        (with_config(CONFIG, d_model=16), r"shape .* but config\.json gives"),
        (with_config(CONFIG, model_type="wav2vec2"), "a model of type wav2vec2"),
        (with_config(CONFIG, encoder_layers="two"), "."),
    ],
)
def test_what_cannot_be_loaded_is_refused(tmp_path: Path, damage, received: str):
    damage(write_model(tmp_path))
    with pytest.raises(InputError, match=r"encoder\.dir: .* holds no model that can be loaded") as caught:
        WhisperEncoder(tmp_path, 0.0)
    assert re.search(received, caught.value.received)
