"""Trains one run: from a recipe to a run folder. Started again, it goes on from the last checkpoint."""

import json
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from tensorboard.summary import Writer

from speech_mtl.build import build_model, build_optimizer, build_plan, build_schedule
from speech_mtl.config import Recipe
from speech_mtl.corpora import Split, make_tokenizer, open_split, skipped_by_reason, training_examples
from speech_mtl.data.pipeline import Examples, batches
from speech_mtl.data.tokenizer import Tokenizer
from speech_mtl.decoding.recognizer import Recognizer
from speech_mtl.errors import InputError
from speech_mtl.experiments.evaluate import References, load_references, recognize, report_skipped
from speech_mtl.models.multitask import MultilingualModel
from speech_mtl.runs import Run, initialize_from
from speech_mtl.screen import Screen
from speech_mtl.training.gradients import make_train_step
from speech_mtl.training.trainer import Interval, Progress, TrainingLoop


def train(recipe: Recipe, path: Path, screen: Screen | None = None) -> Run:
    """Trains a recipe into a run folder, or goes on where training there was stopped.

    Args:
        recipe: The settings.
        path: The run folder. If it holds a run already, that must be of the same recipe.
        screen: Where progress is shown; nowhere if None.

    Returns:
        The finished run.

    Raises:
        InputError: Bad settings, manifests, audio or transcripts, or the folder holds another run.
    """
    screen = screen or Screen(quiet=True)
    run = finished_run(recipe, path)
    if run is not None:
        screen.say(f"{path} is finished: nothing to train.")
        return run
    run = Run(path)
    if run.exists():
        recipe = run.recipe()  # the order of languages is that of the run, whatever it is in the recipe by now
    splits = [open_split(recipe, language, "train", screen.progress) for language in recipe.languages]
    tokenizers = _tokenizers(run, recipe, splits)
    model = build_model(recipe, {language: len(tokenizer) for language, tokenizer in tokenizers.items()})
    examples = {
        i: training_examples(recipe, split, tokenizers[split.language], model.num_encoder_frames)
        for i, split in enumerate(splits)
    }
    references = {
        language: load_references(recipe, language, "dev", tokenizers[language], screen.progress)
        for language in ([recipe.target] if recipe.target else recipe.languages)
    }
    if recipe.init_from and not run.has_checkpoint():
        _report_start(initialize_from(Run(recipe.init_from), model, tokenizers), recipe.init_from, screen)
    if not run.exists():
        run.start(recipe, tokenizers)
    _report_speech(recipe, splits, examples, references, model, screen)
    with run.lock():
        _Training(run, recipe, model, tokenizers, examples, references, screen).finish()
    return run


def finished_run(recipe: Recipe, path: Path) -> Run | None:
    """The run in a folder if it has been trained to its end.

    Raises:
        InputError: The folder holds a run with other settings.
    """
    run = Run(path)
    if not run.exists():
        return None
    _refuse_another_recipe(run, recipe)
    return run if run.progress().finished(recipe.training.num_updates) else None


@dataclass
class _Training:
    """The objects of one run while it trains."""

    run: Run
    recipe: Recipe
    model: MultilingualModel
    tokenizers: dict[str, Tokenizer]
    examples: dict[int, Examples]
    references: dict[str, References]
    screen: Screen
    curve: list[float] = field(default_factory=list)
    """Losses of the updates since the last look at the dev sets."""

    def __post_init__(self):
        self.optimizer = build_optimizer(self.model, self.recipe.training)
        self.recognizer = Recognizer(self.model, self.tokenizers, self.recipe.data.sample_rate_hz)
        self.writer = Writer(str(self.run.path / "tensorboard"))
        self.show: Callable = lambda *_update, **_figures: None

    def finish(self) -> Progress:
        """Trains until the end."""
        settings, data = self.recipe.training, self.recipe.data
        progress = self.run.load_checkpoint(self.model, self.optimizer)
        self.run.trim_log(progress.update)
        if progress.update:
            self.screen.say(f"Going on from update {progress.update}.")
        else:
            self.run.save_checkpoint(self.model, self.optimizer, progress)
        plan = build_plan(self.examples, data, self.recipe.augment, self.recipe.seed)
        loop = TrainingLoop(
            step=make_train_step(self.model, self.optimizer),
            learning_rate=build_schedule(settings),
            batches=lambda start: batches(plan.batches(start), self.examples, data.num_threads),
            evaluate=self.evaluate,
            on_update=self.on_update,
            on_interval=self.on_interval,
            num_updates=settings.num_updates,
            evaluate_every=settings.evaluate_every,
            patience=settings.patience,
            sample_rate_hz=data.sample_rate_hz,
            select_last=settings.select == "last",
        )
        title = f"Training {self.run.path.name}"
        with self.screen.training(title, settings.num_updates, progress.update) as self.show:
            progress = loop.run(progress)
        self.writer.close()
        why = "no better error" if progress.stopped else "all updates done"
        self.screen.say(
            f"Finished after {progress.update} updates ({why}); best dev error {progress.best_error:.1%} "
            f"at update {progress.best_update}."
        )
        return progress

    def evaluate(self) -> tuple[float, dict]:
        """Error of the dev sets: that of the target, or the mean of all languages."""
        cers = {}
        for language, references in self.references.items():
            score, _ = recognize(self.recognizer, language, references, self.recipe.data)
            cers[language] = score.characters.rate
        return float(np.mean(list(cers.values()))), {"dev_cer": cers}

    def on_update(self, update: int, loss: float, rate: float, norm: float) -> None:
        """Shows one update, and writes it to TensorBoard."""
        self.show(update, loss=loss, rate=rate)
        for name, value in (("loss", loss), ("learning_rate", rate), ("gradient_norm", norm)):
            self.writer.add_scalar(f"train/{name}", value, update)
        self.curve.append(round(loss, 6))

    def on_interval(self, progress: Progress, interval: Interval, figures: dict, better: bool) -> None:
        """Logs a look at the dev sets, and saves."""
        languages = self.model.languages
        record = {
            "update": progress.update,
            "train_loss": {languages[i]: round(loss, 5) for i, loss in interval.losses().items()},
            **figures,
            "best_dev_error": progress.best_error,
            "losses": self.curve,
            "audio_s_per_s": round(interval.audio_s / interval.training_s, 1),
            "waiting_share": round(progress.waiting_s / progress.wall_time_s, 4),
            "wall_time_s": round(progress.wall_time_s, 1),
        }
        for language, cer in figures["dev_cer"].items():
            self.writer.add_scalar(f"dev/cer/{language}", cer, progress.update)
        for language, loss in record["train_loss"].items():
            self.writer.add_scalar(f"train/loss/{language}", loss, progress.update)
        self.writer.flush()
        self.show(progress.update, dev_error=progress.best_error, audio_s_per_s=record["audio_s_per_s"])
        error = np.mean(list(figures["dev_cer"].values()))
        self.screen.say(
            f"update {progress.update}: loss {np.mean(self.curve):.2f}, dev error {error:.1%}"
            + (", the best so far" if better else "")
        )
        self.curve = []
        if better:
            self.run.save_best(self.model, progress.update)
        self.run.append_log(record)
        self.run.save_checkpoint(self.model, self.optimizer, progress)


def _tokenizers(run: Run, recipe: Recipe, splits: list[Split]) -> dict[str, Tokenizer]:
    if run.exists():
        return run.tokenizers()
    return {split.language: make_tokenizer(recipe, split) for split in splits}


def _refuse_another_recipe(run: Run, recipe: Recipe) -> None:
    """Raises an InputError that names what differs. What a comparison consists of does not bear on one run."""
    there, here = (
        _by_dotted_key(settings.model_dump(mode="json", exclude={"about", "compare"}))
        for settings in (run.recipe(), recipe)
    )
    changed = [
        f"{key}: {_short(there.get(key))} -> {_short(here.get(key))}"
        for key in here | there
        if there.get(key) != here.get(key)
    ]
    if changed:
        raise InputError(
            f"{run.path} holds a run with other settings",
            expected="the settings it was started with, so that training can go on",
            received="; ".join(changed),
            action="choose another folder with --out, or go back to those settings",
        )


def _by_dotted_key(values: dict, prefix: str = "") -> dict[str, object]:
    """Nested settings as one dictionary."""
    flat: dict[str, object] = {}
    for key, value in values.items():
        flat |= _by_dotted_key(value, f"{prefix}{key}.") if isinstance(value, dict) else {prefix + key: value}
    return flat


def _short(value: object) -> str:
    text = json.dumps(value, ensure_ascii=False)
    return text if len(text) < 120 else text[:117] + "..."


def _report_start(report: dict[str, str], source: Path, screen: Screen) -> None:
    screen.say(f"Weights from {source}: " + "; ".join(f"{part} {what}" for part, what in report.items()) + ".")


def _report_speech(recipe, splits, examples, references, model, screen: Screen) -> None:
    controls = {None: "", "noise": "; replaced by noise", "shuffled_transcripts": "; transcripts shuffled"}
    for i, split in enumerate(splits):
        minutes = float(examples[i].num_samples.sum()) / recipe.data.sample_rate_hz / 60
        line = f"{split.language}: {len(examples[i])} utterances, {minutes:.1f} minutes"
        line += controls[recipe.languages[split.language].replace]
        left_out = ", ".join(f"{n} {reason}" for reason, n in skipped_by_reason(examples[i]).items())
        screen.say(line + (f"; left out: {left_out}" if left_out else ""))
        for skip in examples[i].skipped:
            screen.warn(f"{skip.source}: {skip.reason}: {skip.message}")
    for dev in references.values():
        report_skipped(dev, screen)
    screen.say(f"{model.count_params():,} parameters, {len(model.languages)} output layers")
