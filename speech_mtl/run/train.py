"""Trains one run: from a recipe to a run folder. If it exists, training resumes from the last checkpoint."""

import hashlib
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np

from speech_mtl.backend import processes
from speech_mtl.data.tokenizer import Tokenizer
from speech_mtl.decoding.recognizer import Recognizer
from speech_mtl.errors import InputError
from speech_mtl.files import json_text, write_text
from speech_mtl.folders import claim_folder, refuse_foreign_folder
from speech_mtl.run.build import (
    build_decoder,
    build_model,
    build_optimizer,
    build_schedule,
    build_step,
    build_targets,
    build_unfreezing,
    refuse_backend,
)
from speech_mtl.run.changes import Now, taken_up
from speech_mtl.run.checkpoint import Checkpoints
from speech_mtl.run.folder import Run
from speech_mtl.run.held_out import check_splits, earlier_runs, tell_speakers, trained_on, trained_splits
from speech_mtl.run.loop import Training
from speech_mtl.run.made_from import history, write_made_from
from speech_mtl.run.observer import Observer, RunObserver
from speech_mtl.run.pseudo_labels import PseudoLabels, saved_pseudo_labels, taught_line, teach
from speech_mtl.run.public_models import refuse_other_public_model, write_public_models
from speech_mtl.run.references import References, load_references
from speech_mtl.run.speech import Split, open_augmentations, open_split, training_examples, training_utterances
from speech_mtl.run.start import kept_tokenizer, start_from, with_phones_of
from speech_mtl.run.targets import make_tokenizer, refuse_new_letters, scored_from
from speech_mtl.run.training_messages import report_finished, report_left_out, report_speech, report_warmup
from speech_mtl.run.training_speech import TrainingSpeech
from speech_mtl.run.validation import Conflicts, DevEvaluation, Validation, validation_of_first
from speech_mtl.screen import SILENT, Screen
from speech_mtl.settings.decoding import DecodingSettings
from speech_mtl.settings.recipe import Recipe
from speech_mtl.targets.target import ScoredTarget, Target
from speech_mtl.training.objective import Objective
from speech_mtl.training.progress import Progress
from speech_mtl.training.state import TrainState

BEGUN = "the run is begun"
"""Where others wait for the first process: it has written the run folder and a checkpoint, or has nothing to train."""


def train(
    recipe: Recipe,
    path: Path,
    screen: Screen = SILENT,
    *,
    accept_changes: bool = False,
    of_plan: bool = False,
) -> Run:
    """Trains a recipe into a run folder, or resumes the training there.

    A run is trained further where `training.num_updates` or `training.patience` were raised. From there on the
    learning rate is that of a run with so many updates: after the end of a shorter one it rises again.

    Args:
        path: The run folder. If it holds a run already, that must be of the same recipe.
        screen: Where progress is shown; nowhere if None.
        accept_changes: Whether to resume a run whose speech or initial weights have changed since.
        of_plan: Whether it is a run of a comparison: then it is never trained further than planned, and its speech has
            been compared with that of its dev and test splits before.

    Returns:
        The finished run.

    Raises:
        InputError: Bad settings, manifests, audio or transcripts, the folder holds another run or something else, what
            the run was made from has changed, or dev or test speech is in training; or, of several processes that train
            together, another one has ended.
    """
    if not processes.is_first():
        return _take_part(path)
    refuse_foreign_folder(path, "run")
    refuse_backend(recipe)
    run, changes, now = Run(path), [], Now(screen.progress)
    if begun := run.exists():
        recipe, changes = taken_up(run, recipe, now, accept_changes, further=not of_plan)
        for note in now.notes:
            screen.warn(f"{path}: {note}")
        if run.is_finished():
            report_finished(run, screen)
            processes.wait(BEGUN)
            return run
        refuse_other_public_model(run, recipe)
    ready = _prepared(run, recipe, screen)
    if not of_plan:
        _check_held_out(ready, screen)
    origins = []
    if recipe.init_from and not run.has_checkpoint():
        origins = start_from(Run(recipe.init_from), recipe, ready.recognizer.model, ready.targets)
        screen.say(f"Weights from {recipe.init_from}: " + "; ".join(map(str, origins)) + ".")
    claim_folder(path, "run")
    with run.lock():
        if run.exists() != begun:
            raise _begun_meanwhile(path)
        if changes or not begun:
            used = [*ready.speech.splits.values(), *(own.split for own in ready.references.values())]
            earlier = history(run, changes) if begun else []
            write_made_from(run, recipe, used, earlier, ready.speech.augmentations)
        if not begun:
            for language, found in ready.pseudo_labels.items():
                found.save(run, language)
            for line in write_public_models(run, recipe):
                screen.say(line)
            run.start(recipe, ready.recognizer.tokenizers, ready.recognizer.tasks)
        if origins:
            write_text(run.start_path, json_text([asdict(origin) for origin in origins]))
        counts = _label_counts(ready)
        run.write_labels(counts)
        report_speech(ready.speech, ready.recognizer, ready.references, counts, screen)
        report_warmup(recipe.training, screen)
        _train(run, ready, counts, screen)
        report_left_out(ready.speech, screen)
    return run


def _begun_meanwhile(path: Path) -> InputError:
    return InputError(
        f"{path} was begun by another process while this one read its speech",
        expected="a folder that stays as it was",
        received="a run that has begun",
        action="run the same command again: it resumes that run",
    )


def _take_part(path: Path) -> Run:
    """Trains with the first of several processes, which alone writes and validates."""
    processes.wait(BEGUN)
    run = Run(path)
    if not run.exists():
        raise InputError(
            f"{path} is no run here, and the first process trains in a folder of that path",
            expected="a run folder that all hosts share",
            received=f"nothing at {path.absolute()}",
            action="give every host a folder on a shared disk, with --out",
        )
    if run.is_finished():
        return run
    ready = _prepared(run, run.recipe(), SILENT)
    training, progress = _resumed(run, ready, _label_counts(ready))
    _refuse_other_speech(ready.speech)
    training.run(progress, Observer())
    return run


@dataclass(frozen=True)
class _Ready:
    """A prepared training, before anything is written."""

    recipe: Recipe
    targets: Mapping[str, Target]
    recognizer: Recognizer
    speech: TrainingSpeech
    references: Mapping[str, References]
    """The dev sets for validation, by language; of several processes, only the first has them."""
    pseudo_labels: Mapping[str, PseudoLabels]
    """By language."""


def _prepared(run: Run, recipe: Recipe, screen: Screen) -> _Ready:
    augmentations = open_augmentations(recipe, screen.progress)
    splits = {
        i: open_split(recipe, language, "train", screen.progress)
        for i, language in enumerate(recipe.languages)
        if language in recipe.trained_languages
    }
    pseudo_labels = _pseudo_labels(run, recipe, splits, screen)
    splits |= {i: pseudo_labels[s.language].fill(s) for i, s in splits.items() if s.language in pseudo_labels}
    tokenizers = _tokenizers(run, recipe, splits)
    scored = _tasks(run, recipe, splits)
    targets = build_targets(recipe, tokenizers, scored)
    model = build_model(recipe, targets, trained=True)
    examples = {i: training_examples(recipe, split, targets, model, screen.progress) for i, split in splits.items()}
    decoder = build_decoder(DecodingSettings.usual())
    recognizer = Recognizer(model, tokenizers, recipe.data.sample_rate_hz, decoder, scored)
    references = {}
    if processes.is_first():
        validated = recipe.validated_languages
        references = {name: load_references(recipe, name, "dev", recognizer, screen.progress) for name in validated}
        _refuse_unlabelled_target(recipe, references)
    speech = TrainingSpeech(recipe, splits, examples, augmentations)
    return _Ready(recipe, targets, recognizer, speech, references, pseudo_labels)


def _pseudo_labels(run: Run, recipe: Recipe, splits: Mapping[int, Split], screen: Screen) -> dict[str, PseudoLabels]:
    """Pseudo-labels by language: those that the run was begun with, or new ones."""
    found, known = {}, {split.language: split for split in splits.values()}
    for language, settings in recipe.teachers.items():
        begun = run.exists()
        own = saved_pseudo_labels(run, language) if begun else teach(recipe, known[language], settings, screen)
        screen.say(taught_line(language, own.taught, own.labels))
        found[language] = own
    return found


def _train(run: Run, ready: _Ready, counts: Mapping[str, tuple[int, int]], screen: Screen) -> None:
    """Trains from where the run stands until the end, writes and reports; see `_label_counts`."""
    recipe = ready.recipe
    training, progress = _resumed(run, ready, counts)
    run.write_parameters(training.state.num_parameters())
    run.trim_log(progress.update)
    if progress.update:
        screen.say(f"Resuming from update {progress.update}.")
    else:
        training.checkpoints.save(training.state, progress)
    processes.wait(BEGUN)
    _refuse_other_speech(ready.speech)
    with screen.training(f"Training {run.path.name}", recipe.training.num_updates, progress.update) as show:
        names, tasks = training.objective.names, ready.recognizer.tasks
        training.run(progress, RunObserver(run, recipe, names, tasks, screen, show))


def _resumed(run: Run, ready: _Ready, counts: Mapping[str, tuple[int, int]]) -> tuple[Training, Progress]:
    """The training of a run, and where it stands."""
    recipe, model, settings = ready.recipe, ready.recognizer.model, ready.recipe.training
    known = tuple(name for name, (num_known, _) in counts.items() if num_known)
    objective = Objective(model.languages, tuple(ready.targets.values()), known, recipe.trained_languages)
    optimizer = build_optimizer(model, settings, recipe.trained_languages)
    state = TrainState(model, optimizer, recipe.weighting.make(objective=objective, seed=recipe.seed))
    conflicts = Conflicts(model, objective, ready.speech.limits) if settings.log_conflicts else None
    evaluation = DevEvaluation(recipe, ready.recognizer, ready.references)
    step, is_first = build_step(recipe, state, objective, ready.speech.limits), processes.is_first()
    training = Training(
        settings=settings,
        sample_rate_hz=recipe.data.sample_rate_hz,
        state=state,
        objective=objective,
        step=step,
        rates=build_schedule(settings, build_unfreezing(model, settings)),
        speech=ready.speech,
        validation=Validation(state, evaluation, ready.speech, step, conflicts) if is_first else validation_of_first,
        checkpoints=Checkpoints(run, writes=is_first),
    )
    return training, training.checkpoints.load(state).with_patience(settings.patience)


def _refuse_other_speech(speech: TrainingSpeech) -> None:
    """Refuses speech that differs from that of the first process: batches would be others here."""
    if processes.count() == 1:
        return
    digest = hashlib.sha256()
    for i, examples in speech.examples.items():
        for array in (speech.splits[i].manifest.durations_s, examples.positions, examples.num_samples):
            digest.update(array.tobytes())
    own = np.frombuffer(digest.digest(), np.uint8)
    if (processes.of_first(own) != own).any():
        raise InputError(
            f"The training speech in {speech.recipe.data.dir} is not that of the first process",
            expected="the same manifests and audio on all hosts",
            received="other utterances, or others of them that can be used",
            action="copy them again, or let all hosts read them from one disk",
        )


def _check_held_out(ready: _Ready, screen: Screen) -> None:
    """Reports dev and test speech that is in training, or refuses it."""
    recipe = ready.recipe
    own, validated = trained_splits(ready.speech.splits.values()), [dev.split for dev in ready.references.values()]
    earlier = trained_on(earlier_runs(recipe), recipe.data.cache_dir)
    check_splits(recipe, [*own, *earlier], screen, validated)
    tell_speakers(validated, own, screen)


def _tokenizers(run: Run, recipe: Recipe, splits: Mapping[int, Split]) -> dict[str, Tokenizer]:
    if run.exists():
        return run.tokenizers()
    there = Run(recipe.init_from).tokenizers() if recipe.init_from else {}
    tokenizers = {}
    for i, (language, settings) in enumerate(recipe.languages.items()):
        if settings.train and settings.output_layer != "keep":
            tokenizers[language] = make_tokenizer(recipe, splits[i])
            continue
        tokenizers[language] = kept_tokenizer(recipe.init_from, there, language)
        if settings.train:
            refuse_new_letters(recipe, splits[i], tokenizers[language])
    return tokenizers


def _tasks(run: Run, recipe: Recipe, splits: Mapping[int, Split]) -> dict[str, ScoredTarget]:
    if run.exists():
        return run.scored()
    scored = scored_from(
        recipe, lambda: ((one.language, u) for one in splits.values() for u in training_utterances(recipe, one))
    )
    return with_phones_of(recipe.init_from, scored)


def _refuse_unlabelled_target(recipe: Recipe, references: Mapping[str, References]) -> None:
    """Refuses a target task without dev labels: no weights would be the best."""
    dev = [own.examples for own in references.values()]
    if recipe.target not in recipe.scored or any(own.targets[recipe.target].num_known for own in dev):
        return
    task = recipe.labelled.get(recipe.target)
    raise InputError(
        f"No dev utterance has a label for the target {recipe.target!r}",
        expected=f"labels under {task.label or recipe.target!r} in the dev manifests" if task else "transcripts there",
        received=f"none in {sum(map(len, dev))} utterances of {', '.join(references)}",
        action="label some of them, or choose another target, such as a language or target=null",
    )


def _label_counts(ready: _Ready) -> dict[str, tuple[int, int]]:
    """By language and task: how many utterances have a transcript or label, and of how many."""
    found, examples = {}, ready.speech.examples
    for name, target in ready.targets.items():
        pairs = {
            split.language: (examples[i].targets[name].num_known, len(examples[i]))
            for i, split in ready.speech.splits.items()
        }
        known, sizes = zip(*pairs.values(), strict=True)
        found |= pairs if target.by_language else {name: (sum(known), sum(sizes))}
    return found
