"""Trains one run: from a recipe to a run folder. Started again, it goes on from the last checkpoint."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from itertools import islice
from pathlib import Path

import numpy as np
from tensorboard.summary import Writer

from speech_mtl.build import (
    build_model,
    build_optimizer,
    build_plan,
    build_schedule,
    build_step,
    build_unfreezing,
    build_weighting,
)
from speech_mtl.config import Recipe, changed_settings
from speech_mtl.corpora import (
    Split,
    make_tasks,
    make_tokenizer,
    open_split,
    refuse_new_letters,
    skipped_by_reason,
    training_examples,
)
from speech_mtl.data.batching import batches
from speech_mtl.data.examples import Examples
from speech_mtl.data.manifest import read_manifest
from speech_mtl.data.tokenizer import Tokenizer
from speech_mtl.decoding.recognizer import Recognizer
from speech_mtl.errors import InputError
from speech_mtl.experiments.dev_look import Conflicts, DevLook
from speech_mtl.experiments.evaluate import References, load_references, report_skipped
from speech_mtl.experiments.laterals import lacks_laterals, write_laterals
from speech_mtl.experiments.provenance import commit
from speech_mtl.experiments.start import kept_tokenizer, start_from
from speech_mtl.files import json_text, write_text
from speech_mtl.runs import Run
from speech_mtl.screen import Screen
from speech_mtl.tasks import Task
from speech_mtl.training.objective import Objective
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
        if lacks_laterals(run):
            recognizer = run.load()
            write_laterals(run, recognizer, _references(run.recipe(), recognizer, screen))
        return run
    run = Run(path)
    if run.exists():
        recipe = run.recipe()  # the order of languages is that of the run, whatever it is in the recipe by now
    splits = {
        i: open_split(recipe, language, "train", screen.progress)
        for i, language in enumerate(recipe.languages)
        if language in recipe.trained_languages
    }
    tokenizers, tasks = _tokenizers(run, recipe, splits), _tasks(run, recipe, splits)
    model = build_model(recipe, {language: len(tokenizer) for language, tokenizer in tokenizers.items()}, tasks)
    examples = {
        i: training_examples(recipe, split, tokenizers[split.language], tasks, model) for i, split in splits.items()
    }
    recognizer = Recognizer(model, tokenizers, recipe.data.sample_rate_hz, tasks)
    references = _references(recipe, recognizer, screen)
    _refuse_unlabelled_target(recipe, references)
    origins = []
    if recipe.init_from and not run.has_checkpoint():
        origins = start_from(Run(recipe.init_from), recipe, model, tokenizers, tasks)
        screen.say(f"Weights from {recipe.init_from}: " + "; ".join(map(str, origins)) + ".")
    if not run.exists():
        run.start(recipe, tokenizers, tasks)
    if origins:
        write_text(run.start_path, json_text([asdict(origin) for origin in origins]))
    counts = _label_counts(splits, examples, tasks)
    run.write_labels(counts)
    _report_speech(recipe, splits, examples, references, counts, recognizer, screen)
    with run.lock():
        _Training(run, recipe, recognizer, splits, examples, references, counts, screen).finish()
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
    recognizer: Recognizer
    splits: dict[int, Split]
    examples: dict[int, Examples]
    references: dict[str, References]
    counts: dict[str, tuple[int, int]]
    """By language and task: how many utterances have a transcript or label, and of how many."""
    screen: Screen
    progress: Progress = field(default_factory=Progress)
    curve: list[float] = field(default_factory=list)
    """Losses of the updates since the last look at the dev sets."""

    def __post_init__(self):
        self.model, self.tasks = self.recognizer.model, self.recognizer.tasks
        self.optimizer = build_optimizer(self.model, self.recipe.training, self.recipe.trained_languages)
        known = tuple(name for name, (num_known, _) in self.counts.items() if num_known)
        self.objective = Objective(self.model.languages, tuple(self.tasks.values()), known)
        self.weighting = build_weighting(self.recipe, self.objective)
        self.plan = build_plan(self.recipe, self.examples)
        self.look = DevLook(self.recipe, self.recognizer, self.references)
        self.conflicts = Conflicts(self.model, self.objective) if self.recipe.training.log_conflicts else None
        self.commit = commit()
        self.run.write_parameters(self.model, self.optimizer)
        self.writer = Writer(str(self.run.path / "tensorboard"))
        self.show: Callable = lambda *_update, **_figures: None

    def finish(self) -> Progress:
        """Trains until the end."""
        settings, data = self.recipe.training, self.recipe.data
        self.progress = progress = self.run.load_checkpoint(self.model, self.optimizer, self.weighting)
        self.run.trim_log(progress.update)
        if progress.update:
            self.screen.say(f"Going on from update {progress.update}.")
        else:
            self.run.save_checkpoint(self.model, self.optimizer, progress, self.weighting)
        loop = TrainingLoop(
            step=build_step(
                self.recipe,
                self.model,
                self.optimizer,
                self.objective,
                self.weighting,
                update=lambda: self.progress.update,
            ),
            objective=self.objective,
            weighting=self.weighting,
            learning_rates=build_schedule(settings, build_unfreezing(self.model, settings)),
            batches=lambda start: batches(self.plan.batches(start), self.examples, data.num_threads),
            sources=self.sources,
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
        write_laterals(self.run, self.recognizer, self.references)
        why = "no better error" if progress.stopped else "all updates done"
        self.screen.say(
            f"Finished after {progress.update} updates ({why}); best dev error {progress.best_error:.1%} "
            f"at update {progress.best_update}."
        )
        return progress

    def sources(self, number: int, rows: Sequence[int]) -> list[str]:
        """`file:line` of the utterances in some rows of a batch."""
        draws = next(self.plan.batches(number))
        found = []
        for draw in (draws[row] for row in rows):
            position = int(self.examples[draw.language].positions[draw.example])
            found.append(next(islice(read_manifest(self.splits[draw.language].manifest), position, None)).source)
        return found

    def evaluate(self) -> tuple[float, dict]:
        """The error that early stopping looks at, and all figures of a look."""
        with self.optimizer.averaged():
            error, figures = self.look()
        if self.conflicts:
            number = self.progress.update
            batch = next(batches(islice(self.plan.batches(number), 1), self.examples, num_threads=1))
            figures["gradient_cosines"] = self.conflicts.cosines(batch, self.weighting.weights(number))
        return error, figures

    def on_update(self, update: int, loss: float, rate: float, norm: float) -> None:
        """Shows one update, and writes it to TensorBoard."""
        self.show(update, loss=loss, rate=rate)
        for name, value in (("loss", loss), ("learning_rate", rate), ("gradient_norm", norm)):
            self.writer.add_scalar(f"train/{name}", value, update)
        self.curve.append(round(loss, 6))

    def on_interval(self, progress: Progress, interval: Interval, figures: dict, better: bool) -> None:
        """Logs a look at the dev sets, and saves."""
        names = self.objective.names
        losses = {name: round(loss, 5) for name, loss in zip(names, interval.losses(), strict=True) if loss is not None}
        trained = (*self.recipe.trained_languages, *self.tasks)
        weights = {n: round(weight, 5) for n, weight in zip(names, interval.weights(), strict=True) if n in trained}
        record = {
            "update": progress.update,
            "train_loss": losses,
            **({"weight": weights} if len(weights) > 1 else {}),
            **figures,
            "best_dev_error": progress.best_error,
            "losses": self.curve,
            "audio_s_per_s": round(interval.audio_s / interval.training_s, 1),
            "waiting_share": round(progress.waiting_s / progress.wall_time_s, 4),
            "wall_time_s": round(progress.wall_time_s, 1),
            "commit": self.commit,
        }
        for language, cer in figures["dev_cer"].items():
            self.writer.add_scalar(f"dev/cer/{language}", cer, progress.update)
        for name, error in figures.get("dev_error", {}).items():
            if error is not None:
                self.writer.add_scalar(f"dev/error/{name}", error, progress.update)
        for name, loss in losses.items():
            self.writer.add_scalar(f"train/loss/{name}", loss, progress.update)
            self.writer.add_scalar(f"train/weight/{name}", weights[name], progress.update)
        self.writer.flush()
        self.show(progress.update, dev_error=progress.best_error, audio_s_per_s=record["audio_s_per_s"])
        error = np.mean(list(figures["dev_cer"].values()))
        others = "".join(
            f", {name} {self.tasks[name].metric} {self.tasks[name].score(value):.3g}"
            for name, value in figures.get("dev_error", {}).items()
            if value is not None
        )
        self.screen.say(
            f"update {progress.update}: loss {np.mean(self.curve):.2f}, dev error {error:.1%}{others}"
            + (", the best so far" if better else "")
        )
        self.curve = []
        if better:
            with self.optimizer.averaged():
                self.run.save_best(self.model, progress.update)
        self.run.append_log(record)
        self.run.save_checkpoint(self.model, self.optimizer, progress, self.weighting)


def _tokenizers(run: Run, recipe: Recipe, splits: Mapping[int, Split]) -> dict[str, Tokenizer]:
    if run.exists():
        return run.tokenizers()
    tokenizers = {}
    for i, (language, settings) in enumerate(recipe.languages.items()):
        if settings.train and settings.output_layer != "keep":
            tokenizers[language] = make_tokenizer(recipe, splits[i])
            continue
        tokenizers[language] = kept_tokenizer(recipe.init_from, language)
        if settings.train:
            refuse_new_letters(recipe, splits[i], tokenizers[language])
    return tokenizers


def _references(recipe: Recipe, recognizer: Recognizer, screen: Screen) -> dict[str, References]:
    """The dev sets that early stopping looks at."""
    looked_at = [recipe.target] if recipe.target in recipe.languages else recipe.trained_languages
    return {language: load_references(recipe, language, "dev", recognizer, screen.progress) for language in looked_at}


def _tasks(run: Run, recipe: Recipe, splits: Mapping[int, Split]) -> dict[str, Task]:
    return run.tasks() if run.exists() else make_tasks(recipe, list(splits.values()))


def _refuse_another_recipe(run: Run, recipe: Recipe) -> None:
    """Raises an InputError that names what differs."""
    if changed := changed_settings(run.recipe().of_one_run(), recipe.of_one_run()):
        raise InputError(
            f"{run.path} holds a run with other settings",
            expected="the settings it was started with, so that training can go on",
            received="; ".join(changed),
            action="choose another folder with --out, or go back to those settings",
        )


def _refuse_unlabelled_target(recipe: Recipe, references: Mapping[str, References]) -> None:
    """Of a task that is the target; without labels no weights would be the best."""
    dev = [own.examples for own in references.values()]
    if recipe.target not in recipe.tasks or any(own.labels[recipe.target].num_labelled for own in dev):
        return
    raise InputError(
        f"No dev utterance has a label for the target {recipe.target!r}",
        expected=f"labels under {recipe.tasks[recipe.target].label or recipe.target!r} in the dev manifests",
        received=f"none in {sum(map(len, dev))} utterances of {', '.join(references)}",
        action="label some of them, or choose another target, such as a language or target=null",
    )


def _label_counts(
    splits: Mapping[int, Split], examples: Mapping[int, Examples], tasks: Mapping[str, Task]
) -> dict[str, tuple[int, int]]:
    """By language and task: how many utterances have a transcript or label, and of how many."""
    transcripts = {split.language: (examples[i].num_transcribed, len(examples[i])) for i, split in splits.items()}
    total = sum(map(len, examples.values()))
    labels = {name: sum(own.labels[name].num_labelled for own in examples.values()) for name in tasks}
    return transcripts | {name: (labelled, total) for name, labelled in labels.items()}


def _report_speech(recipe, splits, examples, references, counts, recognizer: Recognizer, screen: Screen) -> None:
    controls = {None: "", "noise": "; replaced by noise", "shuffled_transcripts": "; transcripts shuffled"}
    for i, split in splits.items():
        minutes = float(examples[i].num_samples.sum()) / recipe.data.sample_rate_hz / 60
        line = f"{split.language}: {len(examples[i])} utterances, {minutes:.1f} minutes"
        line += controls[recipe.languages[split.language].replace]
        if (transcribed := examples[i].num_transcribed) < len(examples[i]):
            line += f", {transcribed} with a transcript"
        if examples[i].num_unlabelled:
            line += f"; {examples[i].num_unlabelled} others without " + (
                "all labels" if recipe.data.require_all_labels else "any label"
            )
        left_out = ", ".join(f"{n} {reason}" for reason, n in skipped_by_reason(examples[i]).items())
        screen.say(line + (f"; left out: {left_out}" if left_out else ""))
        for skip in examples[i].skipped:
            screen.warn(f"{skip.source}: {skip.reason}: {skip.message}")
    for name, task in recognizer.tasks.items():
        labelled, total = counts[name]
        screen.say(f"{name}: {labelled} of {total} utterances labelled, {task.describe()}")
    for dev in references.values():
        report_skipped(dev, screen)
    model = recognizer.model
    screen.say(f"{model.count_params():,} parameters, {len(model.languages)} output layers")
