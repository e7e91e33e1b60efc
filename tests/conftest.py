"""What all tests share: a quiet, small backend, and corpora whose speech is tones, which a tiny network can learn."""

import os
import shutil

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
os.environ.setdefault("KERAS_BACKEND", "tensorflow")
os.environ.setdefault("TF_NUM_INTRAOP_THREADS", "2")
os.environ.setdefault("TF_NUM_INTEROP_THREADS", "1")
os.environ.setdefault("OMP_NUM_THREADS", "2")

import logging
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from tones import spoken, tone_corpus, tone_recipe

from speech_mtl.settings.recipe import Recipe

if TYPE_CHECKING:
    from speech_mtl.run.folder import Run


class Untraced(logging.Handler):
    """Raises where AutoGraph cannot trace a function of ours, and would run it untraced with a warning."""

    def emit(self, record: logging.LogRecord) -> None:
        if "AutoGraph could not transform" in record.getMessage():
            raise AssertionError(record.getMessage())


logging.getLogger("tensorflow").addHandler(Untraced())


@pytest.fixture(scope="session")
def speak() -> Callable[..., np.ndarray]:
    """`speak(text, sample_rate_hz=16_000, shift=0)` -> (S,) tones; texts are made of the letters a to d."""
    return spoken


@pytest.fixture
def make_corpus(tmp_path: Path) -> Callable[..., Path]:
    """Makes tiny corpora of tones: see `tones.tone_corpus`, here with a `data_dir` of its own."""
    return partial(tone_corpus, data_dir=tmp_path / "data")


@pytest.fixture
def tiny_recipe(make_corpus: Callable[..., Path], tmp_path: Path) -> Recipe:
    """Trains in seconds; change it with `overridden`."""
    return tone_recipe(make_corpus(), tmp_path / "cache")


@pytest.fixture(scope="session")
def human_corpora() -> Path:
    """Real speech that lies beside the repository on some machines; skips where it does not."""
    path = Path(__file__).parents[2] / "shared" / "corpora"
    if not path.is_dir():
        pytest.skip(f"there is no real speech in {path}")
    return path


@pytest.fixture
def loudness(monkeypatch: pytest.MonkeyPatch) -> None:
    """Takes what is loud for speech: no detector of speech takes tones for it, and none need be installed."""

    class Loudness:
        def __init__(self, sample_rate_hz: int):
            self.size, self.rest = round(0.032 * sample_rate_hz), np.zeros(0, "float32")

        def probabilities(self, block: np.ndarray, last: bool = False) -> list[float]:
            samples = np.concatenate([self.rest, block, np.zeros(self.size - 1 if last else 0)])
            num_windows = len(samples) // self.size
            self.rest = samples[num_windows * self.size :]
            windows = samples[: num_windows * self.size].reshape(-1, self.size)
            return [float(np.abs(window).max() > 0.05) for window in windows]

    monkeypatch.setattr("speech_mtl.data.segments._Detector", Loudness)


@pytest.fixture
def untraced() -> Iterator[None]:
    """Runs compiled functions as plain Python: a run of a few updates spends most of its time in tracing."""
    import keras

    if keras.backend.backend() != "tensorflow":
        yield
        return
    import tensorflow as tf

    tf.config.run_functions_eagerly(True)
    yield
    tf.config.run_functions_eagerly(False)


@pytest.fixture(scope="session")
def value_and_gradients() -> Callable:
    """`value_and_gradients(function, variables)` -> the scalar function's value and its gradient by each variable."""
    import keras

    def tensorflow(function: Callable, variables: list) -> tuple[np.ndarray, list[np.ndarray]]:
        import tensorflow as tf

        with tf.GradientTape() as tape:
            value = function()
        gradients = tape.gradient(
            value, [v.value for v in variables], unconnected_gradients=tf.UnconnectedGradients.ZERO
        )
        return value.numpy(), [tf.convert_to_tensor(gradient).numpy() for gradient in gradients]

    def jax(function: Callable, variables: list) -> tuple[np.ndarray, list[np.ndarray]]:
        import jax  # pyright: ignore[reportMissingImports]

        def stateless(values: list) -> Any:
            with keras.StatelessScope(state_mapping=list(zip(variables, values, strict=True))):
                return function()

        value, gradients = jax.value_and_grad(stateless)([v.value for v in variables])
        return np.asarray(value), [np.asarray(gradient) for gradient in gradients]

    return {"tensorflow": tensorflow, "jax": jax}[keras.backend.backend()]


@pytest.fixture(scope="session")
def _trained_once() -> dict[str, "Run"]:
    """By name, runs that several tests use."""
    return {}


@pytest.fixture
def trained(
    _trained_once: dict[str, "Run"],
    tiny_recipe: Recipe,
    make_corpus: Callable,
    tmp_path_factory: pytest.TempPathFactory,
) -> "Run":
    """A run that has learnt the tones of two languages, which use the same tones for different letters."""
    if "run" not in _trained_once:
        from speech_mtl.run.train import train

        folder = tmp_path_factory.mktemp("trained")
        recipe = tiny_recipe.overridden(
            {
                "target": None,
                "seed": 3,
                "data.dir": str(make_corpus(num_train=30, num_dev=6, data_dir=folder / "data")),
                "data.cache_dir": str(folder / "cache"),
                "encoder.dim": 32,
                "training.num_updates": 120,
                "training.warmup_updates": 20,
                "training.evaluate_every": 60,
            }
        )
        _trained_once["run"] = train(recipe, folder / "run")
    return _trained_once["run"]


@pytest.fixture
def with_settings(trained: "Run", tmp_path: Path) -> "Callable[..., Run]":
    """`with_settings(name, changes)`: a copy of `trained` that says it was trained with other settings."""

    from speech_mtl.run.folder import Run

    def make(name: str, changes: dict[str, Any]) -> Run:
        run = Run(tmp_path / name)
        shutil.copytree(trained.path, run.path)
        run.settings_path.write_text(trained.recipe().overridden(changes).to_yaml(), encoding="utf-8")
        return run

    return make
