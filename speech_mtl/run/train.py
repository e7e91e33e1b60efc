"""Trains one run: from a recipe to a run folder. Started again, it goes on from the last checkpoint."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from itertools import islice
from pathlib import Path

import numpy as np

from speech_mtl.config import LENGTH, PLACES, TEST_MANIFESTS, Recipe, changed_settings
from speech_mtl.data.batching import Draw, batches
from speech_mtl.data.examples import Examples
from speech_mtl.data.languages import is_registered
from speech_mtl.data.manifest import read_manifest
from speech_mtl.data.tokenizer import Tokenizer
from speech_mtl.datatypes import TRANSCRIPT
from speech_mtl.decoding.recognizer import Recognizer
from speech_mtl.errors import InputError
from speech_mtl.files import json_text, write_text
from speech_mtl.folders import claim_folder, refuse_foreign_folder
from speech_mtl.run.build import (
    build_model,
    build_optimizer,
    build_plan,
    build_schedule,
    build_step,
    build_targets,
    build_unfreezing,
    build_weighting,
)
from speech_mtl.run.evaluate import References, load_references, report_damaged, report_skipped
from speech_mtl.run.event_file import EventFile
from speech_mtl.run.folder import Run
from speech_mtl.run.held_out import look_at_splits, tell_speakers, trained_by, trained_splits
from speech_mtl.run.made_from import Now, history, refuse_changes, write_made_from
from speech_mtl.run.plateau import USUAL, plateau_text
from speech_mtl.run.provenance import commit
from speech_mtl.run.speech import (
    Split,
    make_labelled,
    make_tokenizer,
    open_split,
    refuse_new_letters,
    skipped_by_reason,
    training_examples,
)
from speech_mtl.run.start import kept_tokenizer, start_from
from speech_mtl.run.validation import Conflicts, DevLook, error_figure, error_name, mean_of
from speech_mtl.screen import Screen
from speech_mtl.settings import TrainingSettings
from speech_mtl.targets.target import Target
from speech_mtl.training.objective import Objective
from speech_mtl.training.trainer import Interval, Progress, TrainingLoop


def train(
    recipe: Recipe,
    path: Path,
    screen: Screen | None = None,
    *,
    accept_changes: bool = False,
    of_plan: bool = False,
) -> Run:
    """Trains a recipe into a run folder, or goes on where training there was stopped.

    A run is trained further where `training.num_updates` or `training.patience` were raised. From there on the
    learning rate is that of a run with so many updates: after the end of a shorter one it rises again.

    Args:
        recipe: The settings.
        path: The run folder. If it holds a run already, that must be of the same recipe.
        screen: Where progress is shown; nowhere if None.
        accept_changes: Whether to go on with a run whose speech or first weights have changed since.
        of_plan: Whether it is a run of a comparison: then it is never trained further than planned, and its speech has
            been compared with that of its dev and test splits before.

    Returns:
        The finished run.

    Raises:
        InputError: Bad settings, manifests, audio or transcripts, the folder holds another run or something else, what
            the run was made from has changed, or dev or test speech is in training.
    """
    screen = screen or Screen(quiet=True)
    refuse_foreign_folder(path, "run")
    run, changes, now = Run(path), [], Now(screen.progress)
    begun = run.exists()
    if begun:
        recipe, changes = taken_up(run, recipe, now, accept_changes, further=not of_plan)
        for note in now.notes:
            screen.warn(f"{path}: {note}")
        if is_finished(run):
            _leave(run, screen)
            return run
    splits = {
        i: open_split(recipe, language, "train", screen.progress)
        for i, language in enumerate(recipe.languages)
        if language in recipe.trained_languages
    }
    tokenizers = _tokenizers(run, recipe, splits)
    labelled = run.labelled() if begun else make_labelled(recipe, list(splits.values()))
    targets = build_targets(recipe, tokenizers, labelled)
    model = build_model(recipe, targets)
    examples = {i: training_examples(recipe, split, targets, model) for i, split in splits.items()}
    recognizer = Recognizer(model, tokenizers, recipe.data.sample_rate_hz, labelled)
    references = _references(recipe, recognizer, screen)
    _refuse_unlabelled_target(recipe, references)
    if not of_plan:
        _look_at_held_out(recipe, splits, references, screen)
    origins = []
    if recipe.init_from and not run.has_checkpoint():
        origins = start_from(Run(recipe.init_from), recipe, model, targets)
        screen.say(f"Weights from {recipe.init_from}: " + "; ".join(map(str, origins)) + ".")
    claim_folder(path, "run")
    with run.lock():
        if changes or not begun:
            used = [*splits.values(), *(own.split for own in references.values())]
            write_made_from(run, recipe, used, history(run, changes) if begun else [])
        if not begun:
            run.start(recipe, tokenizers, labelled)
        if origins:
            write_text(run.start_path, json_text([asdict(origin) for origin in origins]))
        counts = _label_counts(splits, examples, targets)
        run.write_labels(counts)
        _report_speech(recipe, splits, examples, references, counts, recognizer, screen)
        _report_warmup(recipe.training, screen)
        _Training(run, recipe, targets, recognizer, splits, examples, references, counts, screen).finish()
    return run


def taken_up(
    run: Run, recipe: Recipe, now: Now, accept_changes: bool = False, further: bool = False
) -> tuple[Recipe, list[str]]:
    """Looks whether a run is of a recipe and of the speech that there is, and writes settings that may change anew.

    Args:
        run: The run.
        recipe: The settings that are asked for.
        now: The speech as it is now; what does not stop the run is noted there.
        accept_changes: Whether to go on if what it was made from has changed.
        further: Whether it may be trained for another number of updates.

    Returns:
        The settings, with languages in the order of the run; and what is another from here on.

    Raises:
        InputError: The run has other settings, or what it was made from has changed.
    """
    there, known = run.recipe(), run.made_from_path.is_file()
    free = [TEST_MANIFESTS, *(PLACES if known else ()), *(LENGTH if further else ())]
    if further and recipe.training.num_updates != there.training.num_updates:  # from which these follow
        phases = ("warmup_updates", "cooldown_updates")
        free += [f"training.{name}" for name in phases if getattr(recipe.training, name) is None]
    if other := changed_settings(there.of_one_run(free), recipe.of_one_run(free)):
        raise _another_recipe(run, other)
    recipe = recipe.overridden({"languages": {name: recipe.languages[name] for name in there.languages}})
    longer = _longer(run, there, recipe) if further else []
    changes = now.changes_since(run, recipe)
    refuse_changes(run, changes, accept_changes)
    now.notes += [*longer, *(f"accepted: {change}" for change in changes)]
    if there.of_run() != recipe.of_run():
        with run.lock():
            run.write_settings(recipe)
    return recipe, [*longer, *changes, *now.other_code(run)]


def is_finished(run: Run) -> bool:
    """Whether a run has been trained to its end."""
    training = run.recipe().training
    return run.progress().with_patience(training.patience).finished(training.num_updates)


def _longer(run: Run, there: Recipe, recipe: Recipe) -> list[str]:
    """What differs in how long a run is trained.

    Raises:
        InputError: It has been trained for longer than is asked for.
    """
    wanted, done = recipe.training.num_updates, run.progress().update
    if wanted < there.training.num_updates and wanted < done:
        raise InputError(
            f"{run.path} has been trained for more updates than that",
            expected=f"training.num_updates of {done} or more",
            received=f"training.num_updates: {wanted}",
            action=f"choose another folder with --out, or set training.num_updates={there.training.num_updates}",
        )
    pairs = ({key: getattr(one.training, key.partition(".")[2]) for key in LENGTH} for one in (there, recipe))
    return changed_settings(*pairs)


def _leave(run: Run, screen: Screen) -> None:
    """Says that a run is finished."""
    progress = run.progress()
    more = f" It stopped early, at update {progress.update}: it goes on with a larger training.patience."
    screen.say(f"{run.path} is finished: nothing to train." + (more if progress.end is not None else ""))


def _look_at_held_out(
    recipe: Recipe, splits: Mapping[int, Split], references: Mapping[str, References], screen: Screen
) -> None:
    """Tells what of dev and test speech is in training, or refuses it."""
    own, looked_at = trained_splits(splits.values()), [dev.split for dev in references.values()]
    earlier = trained_by(Run(recipe.init_from)) if recipe.init_from else []
    look_at_splits(recipe, [*own, *earlier], screen, looked_at)
    tell_speakers(looked_at, own, screen)


@dataclass
class _Training:
    """The objects of one run while it trains."""

    run: Run
    recipe: Recipe
    targets: dict[str, Target]
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
        targets, trained = tuple(self.targets.values()), self.recipe.trained_languages
        self.objective = Objective(self.model.languages, targets, known, trained)
        self.weighting = build_weighting(self.recipe, self.objective)
        self.look = DevLook(self.recipe, self.recognizer, self.references)
        self.conflicts = Conflicts(self.model, self.objective) if self.recipe.training.log_conflicts else None
        self.commit = commit()
        self.run.write_parameters(self.model, self.optimizer)
        self.writer = EventFile(self.run.path / "tensorboard")
        self.warned = False
        self.show: Callable = lambda *_update, **_figures: None

    def finish(self) -> Progress:
        """Trains until the end."""
        settings, data = self.recipe.training, self.recipe.data
        loaded = self.run.load_checkpoint(self.model, self.optimizer, self.weighting)
        self.progress = progress = loaded.with_patience(settings.patience)
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
            batches=lambda start: batches(self.planned(start), self.examples, data.num_threads),
            sources=self.sources,
            evaluate=self.evaluate,
            on_update=self.on_update,
            on_interval=self.on_interval,
            num_updates=settings.num_updates,
            evaluate_every=settings.evaluate_every,
            patience=settings.patience,
            sample_rate_hz=data.sample_rate_hz,
            cooldown_updates=settings.cooldown,
            select_last=settings.select == "last",
        )
        title = f"Training {self.run.path.name}"
        with self.screen.training(title, settings.num_updates, progress.update) as self.show:
            progress = loop.run(progress)
        self.writer.flush()
        why = "all updates done" if progress.end is None else "no better error"
        self.screen.say(
            f"Finished after {progress.update} updates ({why}); best {error_name(self.recipe)}: "
            f"{error_figure(self.recipe, progress.best_error)}, at update {progress.best_update}."
        )
        return progress

    def planned(self, start: int) -> Iterator[list[Draw]]:
        """What is in the batches from a number on, by what is known of the end."""
        end = self.progress.last_update(self.recipe.training.num_updates)
        return build_plan(self.recipe, self.examples, end).batches(start)

    def sources(self, number: int, rows: Sequence[int]) -> list[str]:
        """`file:line` of the utterances in some rows of a batch."""
        draws = next(self.planned(number))
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
            batch = next(batches(islice(self.planned(number), 1), self.examples, num_threads=1))
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
        trained = (*self.recipe.trained_languages, *self.recipe.tasks)
        weights = {n: round(weight, 5) for n, weight in zip(names, interval.weights(), strict=True) if n in trained}
        record = {
            "update": progress.update,
            "train_loss": losses,
            **({"weight": weights} if len(weights) > 1 else {}),
            **figures,
            "best_dev_error": progress.best_error,
            "losses": self.curve,
            "audio_s": round(interval.audio_s, 2),
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
        best = f"best {error_name(self.recipe)}: {error_figure(self.recipe, progress.best_error)}"
        self.show(progress.update, best=best, audio_s_per_s=record["audio_s_per_s"])
        cers = figures["dev_cer"]
        others = "".join(
            f"; {self.tasks[name].metric} of {name}: {self.tasks[name].score(value):.3g}"
            for name, value in figures.get("dev_error", {}).items()
            if value is not None
        )
        self.screen.say(
            f"update {progress.update}: training loss {np.mean(self.curve):.2f}; validation character error rate, "
            f"{mean_of(list(cers))}: {np.mean(list(cers.values())):.1%}{others}"
            + ("; the best so far" if better else "")
        )
        self.warn_of_plateau(progress.update)
        self.curve = []
        if better:
            with self.optimizer.averaged():
                self.run.save_best(self.model, progress.update)
        self.run.append_log(record)
        self.run.save_checkpoint(self.model, self.optimizer, progress, self.weighting)

    def warn_of_plateau(self, update: int) -> None:
        """Says once, when warm-up is over and others have left it, that the network still puts out only blanks."""
        training = self.recipe.training
        late = max(training.warmup, min(USUAL, training.num_updates // 2))
        if self.look.on_plateau and not self.warned and update >= late:
            self.screen.warn(f"update {update}: {plateau_text(self.look.on_plateau, self.recipe)}")
            self.warned = True


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


def _another_recipe(run: Run, changed: Sequence[str]) -> InputError:
    """Names what differs."""
    return InputError(
        f"{run.path} holds a run with other settings",
        expected="the settings it was started with, so that training can go on",
        received="; ".join(changed),
        action="choose another folder with --out, or go back to those settings",
    )


def _refuse_unlabelled_target(recipe: Recipe, references: Mapping[str, References]) -> None:
    """Of a task that is the target; without labels no weights would be the best."""
    dev = [own.examples for own in references.values()]
    if recipe.target not in recipe.labelled or any(own.targets[recipe.target].num_known for own in dev):
        return
    raise InputError(
        f"No dev utterance has a label for the target {recipe.target!r}",
        expected=f"labels under {recipe.labelled[recipe.target].label or recipe.target!r} in the dev manifests",
        received=f"none in {sum(map(len, dev))} utterances of {', '.join(references)}",
        action="label some of them, or choose another target, such as a language or target=null",
    )


def _label_counts(
    splits: Mapping[int, Split], examples: Mapping[int, Examples], targets: Mapping[str, Target]
) -> dict[str, tuple[int, int]]:
    """By language and task: how many utterances have a transcript or label, and of how many."""
    found = {}
    for name, target in targets.items():
        known = {split.language: examples[i].targets[name].num_known for i, split in splits.items()}
        sizes = {split.language: len(examples[i]) for i, split in splits.items()}
        pairs = {language: (known[language], sizes[language]) for language in known}
        found |= pairs if target.by_language else {name: (sum(known.values()), sum(sizes.values()))}
    return found


def _report_warmup(settings: TrainingSettings, screen: Screen) -> None:
    """Says so where most of the training has a lower rate than was asked for."""
    if settings.warmup > settings.num_updates / 4:
        screen.warn(
            f"Warm-up takes {settings.warmup} of {settings.num_updates} updates, more than a quarter: the learning "
            "rate is low for much of the training. Where training.warmup_updates is null, it is a quarter or less."
        )
    if settings.cooldown_updates and settings.cooldown_updates > settings.num_updates / 2:
        screen.warn(
            f"The cooldown takes {settings.cooldown_updates} of {settings.num_updates} updates, more than half. Where "
            "training.cooldown_updates is null, it is a quarter or less."
        )


def _report_speech(recipe, splits, examples, references, counts, recognizer: Recognizer, screen: Screen) -> None:
    controls = {None: "", "noise": "; replaced by noise", "shuffled_transcripts": "; transcripts shuffled"}
    for i, split in splits.items():
        minutes = float(examples[i].num_samples.sum()) / recipe.data.sample_rate_hz / 60
        line = f"{split.language}: {len(examples[i])} utterances, {minutes:.1f} minutes"
        line += controls[recipe.languages[split.language].replace]
        if (transcribed := examples[i].targets[TRANSCRIPT].num_known) < len(examples[i]):
            line += f", {transcribed} with a transcript"
        if examples[i].num_unlabelled:
            line += f"; {examples[i].num_unlabelled} others without " + (
                "all labels" if recipe.data.require_all_labels else "any label"
            )
        left_out = ", ".join(f"{n} {reason}" for reason, n in skipped_by_reason(examples[i]).items())
        screen.say(line + (f"; left out: {left_out}" if left_out else ""))
        for skip in examples[i].skipped:
            screen.warn(f"{skip.source}: {skip.reason}: {skip.message}")
        report_damaged(examples[i], screen)
        if not is_registered(split.language):
            screen.warn(f"{split.language} is the code of no language: it is written with spaces between words here")
    for name, task in recognizer.tasks.items():
        labelled, total = counts[name]
        screen.say(f"{name}: {labelled} of {total} utterances labelled, {task.describe()}")
    for dev in references.values():
        report_skipped(dev, screen)
    model = recognizer.model
    screen.say(f"{model.count_params():,} parameters, {len(model.languages)} output layers")
