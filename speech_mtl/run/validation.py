"""Validation during training."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import keras
import numpy as np

from speech_mtl.backend import compile_products, processes
from speech_mtl.backend.step import Limits, TrainStep
from speech_mtl.datatypes import Batch
from speech_mtl.decoding.recognizer import Recognizer
from speech_mtl.models.multitask import MultilingualModel
from speech_mtl.run.plateau import is_on_plateau
from speech_mtl.run.references import References, label_errors, recognize, task_score
from speech_mtl.run.training_speech import TrainingSpeech, lengths_under_xla
from speech_mtl.scoring.error_rate import TaskScore
from speech_mtl.settings.recipe import Recipe
from speech_mtl.training.objective import Objective
from speech_mtl.training.state import TrainState

MOST_NAMED = 4
"""Languages that a line names."""

MOST_LENGTHS = 4
"""Of the batches of validation under XLA."""


def error_name(recipe: Recipe) -> str:
    """Names the validation error that early stopping uses; of a task, its metric."""
    if recipe.target in recipe.tasks:
        return f"validation {recipe.tasks[recipe.target].member().metric} of {recipe.target}"
    return "validation character error rate, " + mean_of(recipe.validated_languages)


def error_text(recipe: Recipe, error: float) -> str:
    """Formats a validation error."""
    if recipe.target in recipe.tasks:
        return f"{recipe.tasks[recipe.target].member().score(error):.3g}"
    return f"{error:.1%}"


def mean_of(languages: Sequence[str]) -> str:
    """Names the languages of a mean error: `cs`, or `mean of cs and de`."""
    if len(languages) == 1:
        return languages[0]
    if len(languages) > MOST_NAMED:
        return f"mean of {len(languages)} languages"
    return f"mean of {', '.join(languages[:-1])} and {languages[-1]}"


@dataclass(frozen=True)
class DevEvaluation:
    """Recognises the dev sets, by language, and counts the errors of all tasks."""

    recipe: Recipe
    recognizer: Recognizer
    references: Mapping[str, References]

    def __call__(self) -> tuple[float, dict]:
        """Returns the error for early stopping, of the target or the mean of all languages, and all metrics."""
        cers, tasks, on_plateau = {}, self.recognizer.tasks, []
        totals = dict.fromkeys(tasks, TaskScore())
        for language, references in self.references.items():
            score, hypotheses = recognize(self.recognizer, language, references, self.recipe.data, self._lengths_s)
            cers[language] = score.characters.rate
            found = score, references.texts, [hypothesis.text for hypothesis in hypotheses]
            if is_on_plateau(*found) and self.recipe.languages[language].replace is None:
                on_plateau.append(language)
            for name, task in tasks.items():
                totals[name] += task_score(label_errors(task, references, hypotheses))
        errors = {name: total.error for name, total in totals.items()}
        metrics = {"dev_cer": cers, **({"dev_error": errors} if errors else {})}
        if on_plateau:
            metrics["on_plateau"] = on_plateau
        if self.recipe.target in errors:
            error = errors[self.recipe.target]
            return 0.0 if error is None else error, metrics  # of tags: none is there, and none was predicted
        return float(np.mean(list(cers.values()))), metrics

    @cached_property
    def _lengths_s(self) -> tuple[float, ...]:
        """The lengths to which batches of all languages are padded under XLA."""
        examples = [references.examples for references in self.references.values()]
        durations_s = [own.num_samples / self.recipe.data.sample_rate_hz for own in examples]
        return lengths_under_xla(examples, durations_s, MOST_LENGTHS)


@dataclass(frozen=True)
class Validation:
    """Validates a network during training, without changing it.

    The mean of the weights is validated, if there is one. Of several processes that train together, the first does so
    and tells the others the error.
    """

    state: TrainState
    evaluation: DevEvaluation
    speech: TrainingSpeech
    step: TrainStep
    conflicts: "Conflicts | None" = None

    def __call__(self, update: int, end: int) -> tuple[float, dict]:
        """Returns the error for early stopping, and all metrics; `end` is the last update, as far as is known."""
        with self.state.optimizer.averaged():
            error, metrics = self.evaluation()
        if self.conflicts:
            batch, weights = self.speech.batch(update, end), self.state.weighting.weights(update)
            metrics["gradient_cosines"] = self.conflicts.cosines(batch, weights)
        if num_shapes := len(self.step.shapes) + self.evaluation.recognizer.num_shapes:
            metrics["compiled_shapes"] = num_shapes
        processes.of_first(np.array(error))
        return error, metrics


def validation_of_first(_update: int, _end: int) -> tuple[float, dict]:
    """Waits for the error that the first of several processes finds; there are no metrics."""
    return float(processes.of_first(np.zeros(()))), {}


class Conflicts:
    """Cosine similarities between the tasks' gradients in the encoder."""

    def __init__(self, model: MultilingualModel, objective: Objective, limits: Limits):
        self.random = model.random.state
        self.names = objective.names
        self.products = compile_products(model, objective, limits)

    def cosines(self, batch: Batch, weights: np.ndarray) -> dict[str, dict[str, float]]:
        """Computes them for the tasks that the batch has labels of. No state changes, the random state included."""
        before = keras.ops.copy(self.random.value)
        products = self.products(batch, weights)
        self.random.assign(before)
        lengths = np.sqrt(np.diag(products))
        seen = [(i, name) for i, name in enumerate(self.names) if lengths[i] > 0]
        return {
            name: {other: round(float(products[i, j] / (lengths[i] * lengths[j])), 4) for j, other in seen}
            for i, name in seen
        }
