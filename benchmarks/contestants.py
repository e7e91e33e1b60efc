"""What is timed: a network, its optimiser and a compiled training step, made by each framework in its own process."""

import os
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from benchmarks import speech_like
from speech_mtl.config import Recipe
from speech_mtl.datatypes import Batch

LEARNING_RATE = 1e-3

Step = Callable[[Batch, float], tuple[np.ndarray, float]]
"""(batch, learning rate) -> (loss of each utterance, norm of the gradient)."""


@dataclass(frozen=True)
class Case:
    """Which network."""

    size: str = "default"
    num_languages: int = 3

    @property
    def recipe(self) -> Recipe:
        """All its settings."""
        return speech_like.recipe(self.size, self.num_languages)

    @property
    def vocabularies(self) -> dict[str, int]:
        """Tokens of each language."""
        return speech_like.vocabularies(self.num_languages)


class Prepared(NamedTuple):
    """A training step and what it took to get there."""

    step: Step
    import_s: float
    build_s: float


def ours(case: Case, num_threads: int) -> Prepared:
    """speech_mtl on TensorFlow."""
    import_s = import_tensorflow(num_threads)
    started = time.perf_counter()
    from speech_mtl.build import build_model, build_optimizer
    from speech_mtl.training.gradients import make_train_step

    imported = time.perf_counter()
    model = build_model(case.recipe, case.vocabularies)
    step = make_train_step(model, build_optimizer(model, case.recipe.training))
    return Prepared(step, import_s + imported - started, time.perf_counter() - imported)


def twin(case: Case, num_threads: int) -> Prepared:
    """The same in plain PyTorch."""
    started = time.perf_counter()
    import librosa
    import torch

    from benchmarks.pytorch_twin import Twin, make_train_step

    imported = time.perf_counter()
    torch.set_num_threads(num_threads)
    settings = twin_settings(case.recipe)
    filters = librosa.filters.mel(sr=settings.sample_rate_hz, n_fft=settings.fft_size, n_mels=settings.num_mels)
    network = Twin(settings, case.vocabularies, filters.T.astype(np.float32))
    training = case.recipe.training
    step = make_train_step(network, training.weight_decay, training.clip_norm, fused=True)
    return Prepared(step, imported - started, time.perf_counter() - imported)


def import_tensorflow(num_threads: int) -> float:
    """Imports Keras on TensorFlow; returns the seconds."""
    os.environ |= {"KERAS_BACKEND": "tensorflow", "TF_CPP_MIN_LOG_LEVEL": "2"}
    started = time.perf_counter()
    import keras  # noqa: F401
    import tensorflow as tf

    tf.config.threading.set_intra_op_parallelism_threads(num_threads)
    tf.config.threading.set_inter_op_parallelism_threads(num_threads)
    return time.perf_counter() - started


def twin_settings(recipe: Recipe):
    """A recipe's settings as the twin takes them."""
    from benchmarks.pytorch_twin import TwinSettings

    sections = (recipe.encoder, recipe.features, recipe.augment.spec_augment)
    values = {key: value for section in sections for key, value in section.model_dump(exclude={"kind"}).items()}
    return TwinSettings(**values, sample_rate_hz=recipe.data.sample_rate_hz)


MAKERS = {"speech_mtl": ours, "pytorch": twin}
"""By name."""
