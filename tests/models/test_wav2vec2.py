"""Public encoders of the wav2vec 2.0 family: Transformers' own frames, from whatever its files look like; bad ones."""

import json
import re
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
from damaged_models import cut_off, with_config, without_a_file, without_weight
from transformers_wav2vec2 import CONFIG, EXPECTED, LAYERS, MODELS, PREPROCESSOR, D, waveform, write_model

from speech_mtl.datatypes import TOP
from speech_mtl.errors import InputError
from speech_mtl.models.features import Waveform
from speech_mtl.models.wav2vec2 import Wav2Vec2Encoder
from speech_mtl.run.checkpoint import load_recognizer
from speech_mtl.run.evaluate import evaluate
from speech_mtl.run.train import train
from speech_mtl.settings.network import Wav2Vec2Settings
from speech_mtl.settings.recipe import Recipe

TAPS = (*(f"block_{i}" for i in range(LAYERS)), TOP)


def frames_of(folder: Path, padding: int = 0) -> list[np.ndarray]:
    """The frames at all taps, of an utterance beside a longer one if there is padding."""
    encoder = Wav2Vec2Encoder(folder, 0.0)
    encoder.build((None, None, 1))
    size = len(waveform())
    rows = np.zeros((2, size + padding), "float32")
    rows[0, :size], rows[1] = waveform(), 0.1
    features, sizes = Waveform(16_000, normalize=True)(rows, np.array([size, size + padding], "int32"))
    frames, num_frames = encoder(features, sizes, taps=TAPS)
    return [keras.ops.convert_to_numpy(frames[tap])[0, : int(num_frames[0])] for tap in TAPS]


@pytest.mark.parametrize("padding", [0, 333])
@pytest.mark.parametrize("name", MODELS)
def test_frames_equal_transformers(tmp_path: Path, name: str, padding: int):
    """At every block; the padding of a batch changes nothing."""
    expected = json.loads(EXPECTED.read_text())[name]
    found = frames_of(write_model(tmp_path, name), padding)
    for own, theirs in zip(found, [*expected, expected[-1]], strict=True):
        np.testing.assert_allclose(own, theirs, rtol=0, atol=1e-4)


@pytest.mark.parametrize(
    "form",
    [
        {"prefix": "wav2vec2."},
        {"renamed": {"parametrizations.weight.original0": "weight_g", "parametrizations.weight.original1": "weight_v"}},
    ],
    ids=["with a head", "of an earlier version"],
)
def test_names_of_weights_may_have_other_forms(tmp_path: Path, form: dict[str, Any]):
    expected = json.loads(EXPECTED.read_text())["xlsr"][-1]
    np.testing.assert_allclose(frames_of(write_model(tmp_path, **form))[-1], expected, rtol=0, atol=1e-4)


@pytest.mark.parametrize("name", MODELS)
def test_frames_equal_those_of_an_installed_transformers(tmp_path: Path, name: str):
    """Of a model that it made and saved itself."""
    torch = pytest.importorskip("torch", reason="the extra ssl is not installed")
    transformers = pytest.importorskip("transformers", reason="the extra ssl is not installed")
    made = {"wav2vec2": transformers.Wav2Vec2Model, "hubert": transformers.HubertModel}[MODELS[name]["model_type"]]
    model = made(made.config_class(**{**MODELS[name], "initializer_range": 0.5})).eval()
    model.save_pretrained(tmp_path)
    transformers.Wav2Vec2FeatureExtractor(**PREPROCESSOR).save_pretrained(tmp_path)
    normal = (waveform() - waveform().mean()) / np.sqrt(waveform().var() + 1e-7)
    with torch.no_grad():
        expected = model(torch.tensor(normal[None])).last_hidden_state[0].numpy()
    np.testing.assert_allclose(frames_of(tmp_path)[-1], expected, rtol=0, atol=1e-4)


def recipe_of(tiny_recipe: Recipe, folder: Path, **changes: Any) -> Recipe:
    encoder = {"kind": "wav2vec2", "dir": str(folder)}
    return tiny_recipe.overridden({"encoder": encoder, "features": {"kind": "waveform"}, **changes})


@pytest.mark.parametrize("frozen", [True, False])
def test_a_run_starts_from_it(tiny_recipe: Recipe, tmp_path: Path, untraced: None, frozen: bool):
    folder = write_model(tmp_path / "model", conv_kernel=[50, 3, 2], conv_stride=[40, 4, 2])
    changes = {"training.unfreezing": {"kind": "heads"}} if frozen else {}
    run = train(recipe_of(tiny_recipe, folder, **changes), tmp_path / "run")
    fresh = Wav2Vec2Encoder(folder, 0.0)
    fresh.build((None, None, 1))
    trained = load_recognizer(run).model.encoder
    pairs = list(zip(fresh.trainable_variables, trained.trainable_variables, strict=True))
    assert len(pairs) > 30
    same = [np.array_equal(np.array(one), np.array(other)) for one, other in pairs]
    assert all(same) if frozen else not any(same)
    assert {row["language"] for row in evaluate(run, ["test"])} == {"aa", "bb"}


def test_layers_are_counted_before_anything_is_loaded(tmp_path: Path):
    settings = Wav2Vec2Settings.model_validate({"dir": write_model(tmp_path)})
    assert settings.taps() == TAPS


@pytest.mark.parametrize(
    ("preprocessor", "changes", "action"),
    [
        ({}, {"features": {}}, "set features={kind: waveform}"),
        ({}, {"data.sample_rate_hz": 8000}, "set data.sample_rate_hz=16000"),
        ({"do_normalize": False}, {}, "set features.normalize=false"),
        ({}, {"augment.spec_augment.num_frequency_masks": 1}, "num_frequency_masks must be 0"),
    ],
)
def test_other_inputs_are_refused(tiny_recipe: Recipe, tmp_path: Path, preprocessor, changes, action: str):
    folder = write_model(tmp_path)
    (folder / "preprocessor_config.json").write_text(json.dumps({**PREPROCESSOR, **preprocessor}))
    with pytest.raises(InputError) as caught:
        recipe_of(tiny_recipe, folder, **changes)
    assert action in caught.value.expected


def test_a_folder_without_a_model_is_refused(tiny_recipe: Recipe, tmp_path: Path):
    with pytest.raises(InputError, match=r"preprocessor_config\.json") as caught:
        recipe_of(tiny_recipe, tmp_path)
    assert "save_pretrained" in caught.value.expected


@pytest.mark.parametrize(
    ("damage", "received"),
    [
        (without_a_file, "No such file"),
        (
            without_weight("encoder.layers.1.attention.k_proj.bias"),
            r"no weight .*encoder\.layers\.1\.attention\.k_proj\.bias",
        ),
        (cut_off, "."),
        (with_config(CONFIG, intermediate_size=16), r"shape .* but config\.json gives"),
        (with_config(CONFIG, num_conv_pos_embeddings=8), r"shape .* but config\.json gives"),
        (with_config(CONFIG, model_type="wavlm"), "wavlm"),
        (with_config(CONFIG, hidden_act="relu"), "relu"),
        (with_config(CONFIG, adapter_attn_dim=16), "16"),
        (with_config(CONFIG, layer_norm_eps=1e-3), "layer_norm_eps"),
        (with_config(CONFIG, conv_kernel=[10, 3]), "conv_kernel"),
        (with_config(CONFIG, num_attention_heads=3), "num_attention_heads"),
        (with_config(CONFIG, hidden_size="two"), "two"),
    ],
)
def test_what_cannot_be_loaded_is_refused(tmp_path: Path, damage, received: str):
    damage(write_model(tmp_path))
    with pytest.raises(InputError) as caught:
        Wav2Vec2Encoder(tmp_path, 0.0).build((None, None, 1))
    assert str(tmp_path) in caught.value.problem
    assert re.search(received, f"{caught.value.problem} {caught.value.received}")
    assert "save_pretrained" in caught.value.action


def test_width(tmp_path: Path):
    assert Wav2Vec2Encoder(write_model(tmp_path), 0.0).widths[TOP] == D
