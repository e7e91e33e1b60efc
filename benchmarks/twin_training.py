"""Trains the twin in plain PyTorch as a recipe says: its speech, batches, optimiser, schedule and validation.

python -m benchmarks.twin_training RECIPE [KEY=VALUE...] --out FOLDER [--threads 2]

Writes `FOLDER/log.jsonl`, a line for each validation, and no checkpoints. Early stopping is left out.
"""

import argparse
import json
from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from benchmarks.contestants import import_tensorflow, twin_settings
from speech_mtl.backend.step import Forward, Limits
from speech_mtl.datatypes import TRANSCRIPT, Batch
from speech_mtl.settings.dotted import COMMAND_LINE, parsed_overrides
from speech_mtl.settings.recipe import Recipe
from speech_mtl.settings.recipe_file import load_recipe

if TYPE_CHECKING:
    from benchmarks.pytorch_twin import Twin
    from speech_mtl.data.examples import Examples
    from speech_mtl.data.tokenizer import Tokenizer
    from speech_mtl.decoding.recognizer import Recognizer
    from speech_mtl.models.multitask import MultilingualModel
    from speech_mtl.run.build import TrainingPlan


def main() -> None:
    """Trains, and writes the log."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.twin_training", description=__doc__)
    parser.add_argument("recipe", type=Path)
    parser.add_argument("changes", nargs="*", metavar="KEY=VALUE", help="settings that differ from the recipe's")
    parser.add_argument("--out", type=Path, required=True, help="folder of the log")
    parser.add_argument("--threads", type=int, default=2)
    given = parser.parse_intermixed_args()
    recipe = load_recipe(given.recipe).overridden(parsed_overrides(given.changes), COMMAND_LINE)
    import_tensorflow(given.threads)  # our network gives the first weights
    given.out.mkdir(parents=True)
    with (given.out / "log.jsonl").open("w", encoding="utf-8") as log:
        for validation, _ in twin_training(recipe, num_threads=given.threads):
            print(json.dumps(validation), file=log, flush=True)


class Prepared:
    """What a training starts with, made as `speech_mtl.run.train` makes it."""

    model: "MultilingualModel"
    tokenizers: dict[str, "Tokenizer"]
    examples: dict[int, "Examples"]
    plan: "TrainingPlan"

    def __init__(self, recipe: Recipe):
        from speech_mtl.run.build import build_model, build_plan, build_targets
        from speech_mtl.run.speech import open_split, training_examples
        from speech_mtl.run.targets import make_tokenizer

        splits = {i: open_split(recipe, language, "train") for i, language in enumerate(recipe.languages)}
        self.recipe, self.tokenizers = recipe, {own.language: make_tokenizer(recipe, own) for own in splits.values()}
        self.targets = build_targets(recipe, self.tokenizers, {})
        self.model = build_model(recipe, self.targets)
        self.examples = {i: training_examples(recipe, own, self.targets, self.model) for i, own in splits.items()}
        durations_s = {i: own.manifest.durations_s[self.examples[i].positions] for i, own in splits.items()}
        self.plan = build_plan(recipe, durations_s)

    def batches(self) -> Iterator[Batch]:
        """Those of all updates."""
        from speech_mtl.data.collation import batches

        planned = islice(self.plan.batches(), self.recipe.training.num_updates)
        return batches(planned, self.examples, self.recipe.data.num_threads)

    def audio_s(self) -> float:
        """Seconds of speech in them, without padding."""
        planned = islice(self.plan.batches(), self.recipe.training.num_updates)
        durations_s = self.plan.durations_s
        return sum(float(durations_s[one.language][one.example]) / one.speed for batch in planned for one in batch)

    def recognizer(self, twin: "Twin") -> "Recognizer":
        """One that decodes with the twin in the place of our network."""
        from speech_mtl.decoding.greedy import Greedy
        from speech_mtl.decoding.recognizer import Recognizer

        class OfTwin(Recognizer):
            def _forward(self, language: str) -> Forward:  # noqa: ARG002
                return forward_of(twin)

        return OfTwin(self.model, self.tokenizers, self.recipe.data.sample_rate_hz, Greedy)


def forward_of(twin: "Twin") -> Forward:
    """The twin as a function of arrays, as `speech_mtl.backend.compile_forward` makes one of our network."""
    import torch  # pyright: ignore[reportMissingImports]

    def forward(_limits: Limits, waveforms: np.ndarray, num_samples: np.ndarray, language_ids: np.ndarray):
        inputs = torch.from_numpy(waveforms), torch.from_numpy(num_samples).long(), torch.from_numpy(language_ids)
        twin.eval()
        with torch.no_grad():
            logits, num_frames = twin(*inputs)
        twin.train()
        return {TRANSCRIPT: logits.numpy()}, num_frames.numpy()

    return Forward(forward)


def twin_training(
    recipe: Recipe, init: str = "ours", intermediate: bool = False, num_threads: int = 1
) -> Iterator[tuple[dict, "Twin"]]:
    """Trains the twin; yields each validation and the twin that was validated, whose weights still change.

    Args:
        init: What decides the first weights; see `twin_gap.Row`.
        intermediate: Whether the twin has a second loss, after half of the blocks.
    """
    import torch  # pyright: ignore[reportMissingImports]
    from torch.optim.swa_utils import AveragedModel  # pyright: ignore[reportMissingImports]

    from benchmarks.pytorch_twin import make_train_step
    from speech_mtl.run.build import build_schedule, build_unfreezing
    from speech_mtl.run.references import load_references
    from speech_mtl.run.validation import DevEvaluation

    torch.set_num_threads(num_threads)
    prepared, training = Prepared(recipe), recipe.training
    twin = new_twin(prepared, init, intermediate)
    mean = AveragedModel(twin, multi_avg_fn=partial(_move, training.average_decay))
    validated: Any = mean.module if training.average_decay else twin
    recognizer = prepared.recognizer(validated)
    references = {name: load_references(recipe, name, "dev", recognizer) for name in recipe.languages}
    evaluate_dev = DevEvaluation(recipe, recognizer, references)
    step = make_train_step(twin, training.weight_decay, training.clip_norm)
    rates, losses = build_schedule(training, build_unfreezing(prepared.model, training)), []
    for update, batch in enumerate(prepared.batches()):
        found, _ = step(batch, float(rates(update, training.num_updates)[0]))
        if training.average_decay:
            mean.update_parameters(twin)
        losses.append(float(found.sum() / batch.targets[TRANSCRIPT].sizes.sum()))
        if (update + 1) % training.evaluate_every == 0 or update + 1 == training.num_updates:
            yield validation(update + 1, evaluate_dev()[1]["dev_cer"], losses), validated
            losses = []


def _move(most: float, means: Any, weights: Any, num_averaged: Any) -> None:
    """Moves the running mean of the weights as `speech_mtl.training.optimizer.FlatOptimizer` does."""
    from torch.optim.swa_utils import get_ema_multi_avg_fn  # pyright: ignore[reportMissingImports]

    decay = min(most, float(num_averaged) / (float(num_averaged) + 10.0))
    get_ema_multi_avg_fn(decay)(means, weights, num_averaged)


def new_twin(prepared: Prepared, init: str = "ours", intermediate: bool = False) -> "Twin":
    """The twin before its first update."""
    import torch  # pyright: ignore[reportMissingImports]

    from benchmarks.pytorch_twin import Twin, TwinSettings, copy_weights

    recipe, model = prepared.recipe, prepared.model
    torch.manual_seed(recipe.seed)
    settings, sizes = TwinSettings(**twin_settings(recipe)), {name: len(t) for name, t in prepared.tokenizers.items()}
    twin = Twin(settings, sizes, model.features.filters, intermediate)
    if init != "pytorch":
        copy_weights(twin, {variable.path: variable.numpy() for variable in model.trainable_variables})
    if init == "scaled":
        with torch.no_grad():
            twin.encoder.subsampling.project.weight *= settings.dim**0.5
    return twin


def validation(update: int, cers: Mapping[str, float], losses: Sequence[float]) -> dict:
    """A validation: the mean error of the languages, and the mean loss in nats a token since the one before."""
    error, loss = float(np.mean(list(cers.values()))), float(np.mean(losses))
    return {"update": update, "dev_error": round(error, 5), "train_loss": round(loss, 4)}


if __name__ == "__main__":
    main()
