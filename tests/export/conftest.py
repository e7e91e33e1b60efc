from collections.abc import Callable, Mapping
from typing import Any

import keras
import numpy as np
import pytest
from made_up_targets import model_of
from tiny_encoders import encoder_settings, feature_settings

from speech_mtl.data.tokenizer import CharacterTokenizer
from speech_mtl.datatypes import TRANSCRIPT
from speech_mtl.export.network import LanguageNetwork
from speech_mtl.models.multitask import MultilingualModel
from speech_mtl.settings.recipe import Recipe

LANGUAGES = {"aa": 5, "bb": 4}


@pytest.fixture(autouse=True)
def exporting() -> None:
    """Skips tests where networks cannot be exported."""
    for package in ("onnx", "onnxruntime", "tf2onnx", "ai_edge_litert"):
        pytest.importorskip(package)
    if keras.backend.backend() != "tensorflow":
        pytest.skip("only TensorFlow writes other formats")


@pytest.fixture
def make_network(tiny_recipe: Recipe) -> Callable[..., LanguageNetwork]:
    """`make_network(kind, changes, language)`: an encoder of a kind with random weights, for one of two languages."""

    def make(kind: str = "conformer", changes: Mapping[str, Any] = {}, language: str = "bb") -> LanguageNetwork:
        given = {"features": {**feature_settings(kind)}, "encoder": encoder_settings(kind)}
        recipe = tiny_recipe.overridden({**given, **changes})
        model = model_of(recipe, LANGUAGES)
        generator = np.random.default_rng(0)
        for variable in model.trainable_variables:
            if not variable.path.endswith(("gain", "kernel", "gamma")):
                variable.assign(generator.normal(0.05, 0.1, variable.shape).astype("float32"))
        vocabulary = ["<blank>", *" abcd"[: LANGUAGES[language] - 1]]
        return LanguageNetwork(model, CharacterTokenizer(language, vocabulary), 16_000)

    return make


@pytest.fixture
def noises() -> list[np.ndarray]:
    """Waveforms of several lengths; each (S,)."""
    generator = np.random.default_rng(0)
    return [generator.normal(0, 0.1, size).astype("float32") for size in (8000, 16_123, 24_000)]


def original(model: MultilingualModel, waveform: np.ndarray, language: str) -> np.ndarray:
    """(E, V) log-probabilities that the network itself gives."""
    ids = np.array([list(LANGUAGES).index(language)], "int32")
    outputs = model(waveform[None], np.array([len(waveform)], "int32"), ids, languages=[language], targets=[TRANSCRIPT])
    logits = np.asarray(outputs.values[TRANSCRIPT])[0, :, : LANGUAGES[language]].astype("float64")
    return logits - np.log(np.exp(logits).sum(axis=-1, keepdims=True))
