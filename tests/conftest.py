"""What all tests share: a quiet, small backend, and corpora whose speech is tones, which a tiny network can learn."""

import os
import shutil

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
os.environ.setdefault("KERAS_BACKEND", "tensorflow")
os.environ.setdefault("TF_NUM_INTRAOP_THREADS", "2")
os.environ.setdefault("TF_NUM_INTEROP_THREADS", "1")
os.environ.setdefault("OMP_NUM_THREADS", "2")

from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import soundfile

from speech_mtl.data.manifest import manifest_path, write_manifest
from speech_mtl.datatypes import SPLITS, Utterance
from speech_mtl.settings.recipe import Recipe

if TYPE_CHECKING:
    from speech_mtl.run.folder import Run

LETTERS = "abcd"
TONE_S, GAP_S = 0.16, 0.06


def spoken(text: str, sample_rate_hz: int = 16_000, shift: int = 0) -> np.ndarray:
    """Each letter is a tone of its own frequency, with a pause after it; `shift` gives a language its own letters."""
    time_s = np.arange(int(TONE_S * sample_rate_hz)) / sample_rate_hz
    fade = np.minimum(1.0, np.minimum(time_s, time_s[::-1]) / 0.01)
    gap = np.zeros(int(GAP_S * sample_rate_hz))
    pieces = [gap]
    for letter in text:
        frequency_hz = 350.0 * 1.8 ** ((LETTERS.index(letter) + shift) % len(LETTERS))
        pieces += [0.5 * fade * np.sin(2 * np.pi * frequency_hz * time_s), gap]
    noise = np.random.default_rng(len(text)).standard_normal(sum(map(len, pieces)))
    return (np.concatenate(pieces) + 1e-3 * noise).astype("float32")


@pytest.fixture(scope="session")
def speak() -> Callable[..., np.ndarray]:
    """`speak(text, sample_rate_hz=16_000, shift=0)` -> (S,) tones; texts are made of the letters a to d."""
    return spoken


@pytest.fixture
def make_corpus(tmp_path: Path) -> Callable[..., Path]:
    """Makes tiny corpora of tones: `make_corpus(languages, num_train, num_dev, num_test, suffix)` -> DATA_DIR.

    `labels` gives each label the value of even utterances and that of odd ones.
    """

    def make(
        languages: Sequence[str] = ("aa", "bb"),
        num_train: int = 12,
        num_dev: int = 3,
        num_test: int = 3,
        suffix: str = "flac",
        data_dir: Path = tmp_path / "data",
        labels: Mapping[str, tuple[Any, Any]] | None = None,
    ) -> Path:
        for shift, language in enumerate(languages):
            generator = np.random.default_rng(shift)
            for split, size in zip(SPLITS, (num_train, num_dev, num_test), strict=True):
                utterances = []
                for number in range(size):
                    text = "".join(generator.choice(list(LETTERS), size=generator.integers(3, 6)))
                    if number == 0:
                        text = LETTERS  # so that every letter is in every vocabulary
                    path = data_dir / language / "audio" / f"{split}-{number}.{suffix}"
                    path.parent.mkdir(parents=True, exist_ok=True)
                    waveform = spoken(text, shift=shift)
                    soundfile.write(path, waveform, 16_000)
                    name = f"{language}-{split}-{number}"
                    known = {label: pair[number % 2] for label, pair in (labels or {}).items() if label != "speaker"}
                    speaker, duration_s = f"s{number % 2}", len(waveform) / 16_000
                    utterances.append(Utterance(name, path, language, text, duration_s, speaker, known))
                write_manifest(manifest_path(data_dir, language, split), utterances)
        return data_dir

    return make


@pytest.fixture
def tiny_recipe(make_corpus: Callable[..., Path], tmp_path: Path) -> Recipe:
    """Two languages of tones, a Conformer that trains in seconds, and a few updates; change it with `changed`."""
    values: dict[str, Any] = {
        "name": "tiny",
        "target": "aa",
        "languages": {"aa": {}, "bb": {}},
        "data": {"dir": make_corpus(), "cache_dir": tmp_path / "cache", "batch_s": 8.0},
        "features": {"num_mels": 20},
        "augment": {"spec_augment": {"max_mels": 3}, "speeds": [1.0]},
        "encoder": {
            "kind": "conformer",
            "num_layers": 1,
            "dim": 16,
            "num_heads": 2,
            "kernel_size": 5,
            "expansion": 2,
            "channels": 4,
            "dropout": 0.0,
        },
        "training": {"num_updates": 4, "warmup_updates": 2, "evaluate_every": 2, "learning_rate": 1e-2},
        "compare": {"budgets_min": [0.1], "pretrain_updates": 2},
        "finetune": {"num_updates": 2},
    }
    return Recipe.model_validate(values)


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
    """By name, runs that several tests look at."""
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
