"""What is timed: a network, its optimiser and a compiled training step, made by each framework in its own process."""

import os
from collections.abc import Callable
from dataclasses import dataclass
from itertools import count
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from benchmarks import speech_like
from benchmarks.stopwatch import Seconds, Stopwatch
from speech_mtl.backend import thread_variables
from speech_mtl.data.tokenizer import of_size
from speech_mtl.datatypes import Batch
from speech_mtl.settings.recipe import Recipe

if TYPE_CHECKING:
    from speech_mtl.targets.target import Target

LEARNING_RATE = 1e-3

Step = Callable[[Batch, float], tuple[np.ndarray, float]]
"""(batch, learning rate) -> (loss of each utterance, norm of the gradient); all languages weigh alike."""


@dataclass(frozen=True)
class Case:
    """Which network."""

    size: str = "default"
    num_languages: int = 3
    weighting: str = "equal"
    gradients: str | None = None

    @property
    def recipe(self) -> Recipe:
        """All its settings."""
        changes: dict = {"weighting": {"kind": self.weighting}}
        if self.gradients:
            changes["gradients"] = {"kind": self.gradients}
        return speech_like.recipe(self.size, self.num_languages).overridden(changes)

    @property
    def targets(self) -> "dict[str, Target]":
        """Transcripts in made-up tokens."""
        from speech_mtl.run.build import build_targets

        return build_targets(self.recipe, {name: of_size(size, name) for name, size in self.vocabularies.items()}, {})

    @property
    def vocabularies(self) -> dict[str, int]:
        """Tokens of each language."""
        return speech_like.vocabularies(self.num_languages)


class Prepared(NamedTuple):
    """A training step and what it took to get there."""

    step: Step
    importing: Seconds
    building: Seconds
    num_parameters: int


def ours(case: Case, num_threads: int) -> Prepared:
    """speech_mtl on TensorFlow."""
    stopwatch = Stopwatch()
    import_tensorflow(num_threads)
    from speech_mtl.run.build import build_model, build_optimizer, build_step, step_limits
    from speech_mtl.run.loop import observe
    from speech_mtl.training.objective import Objective
    from speech_mtl.training.state import TrainState

    importing = stopwatch.lap()
    targets, updates = case.targets, count()
    model = build_model(case.recipe, targets)
    optimizer = build_optimizer(model, case.recipe.training)
    objective = Objective(model.languages, tuple(targets.values()))
    weighting = case.recipe.weighting.make(objective=objective, seed=case.recipe.seed)
    compiled = build_step(case.recipe, TrainState(model, optimizer, weighting), objective, step_limits(case.recipe))

    def step(batch: Batch, learning_rate: float) -> tuple[np.ndarray, float]:
        number = next(updates)
        found = compiled(batch, learning_rate, weighting.weights(number), number)()
        observe(objective, weighting, found, batch, speech_like.SAMPLE_RATE_HZ)
        return found.losses[:, 0], found.norm

    return Prepared(step, importing, stopwatch.lap(), model.count_params())


def twin(case: Case, num_threads: int) -> Prepared:
    """The same in plain PyTorch."""
    stopwatch = Stopwatch()
    import librosa
    import torch  # pyright: ignore[reportMissingImports]

    from benchmarks.pytorch_twin import Twin, TwinSettings, make_train_step

    torch.set_num_threads(num_threads)
    importing = stopwatch.lap()
    settings = TwinSettings(**twin_settings(case.recipe))
    filters = librosa.filters.mel(sr=settings.sample_rate_hz, n_fft=settings.fft_size, n_mels=settings.num_mels)
    network = Twin(settings, case.vocabularies, filters.T.astype(np.float32))
    training = case.recipe.training
    step = make_train_step(network, training.weight_decay, training.clip_norm)
    num_parameters = sum(parameter.numel() for parameter in network.parameters())
    return Prepared(step, importing, stopwatch.lap(), num_parameters)


def import_tensorflow(num_threads: int) -> None:
    """Imports Keras on TensorFlow, which computes with so many threads."""
    os.environ |= {"KERAS_BACKEND": "tensorflow", "TF_CPP_MIN_LOG_LEVEL": "2", **thread_variables(num_threads)}
    import keras  # noqa: F401
    import tensorflow  # noqa: F401


def twin_settings(recipe: Recipe) -> dict:
    """A recipe's settings as the twin's `TwinSettings` takes them; it gets its mel filters themselves."""
    sections = (recipe.encoder, recipe.features, recipe.augment.spec_augment)
    left_out = {"kind", "chunk_size", "left_chunks"}  # the twin attends to the whole utterance
    values = {key: value for section in sections for key, value in section.model_dump(exclude=left_out).items()}
    return {**values, "sample_rate_hz": recipe.data.sample_rate_hz}


OURS, TWIN = "speech_mtl", "pytorch"

MAKERS = {OURS: ours, TWIN: twin}
"""By name."""
