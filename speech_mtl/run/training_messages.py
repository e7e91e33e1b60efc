"""What training reports about its speech and settings, before it begins and when it has ended."""

from collections.abc import Mapping

from speech_mtl.data.examples import Examples
from speech_mtl.data.languages import is_registered
from speech_mtl.data.reading import ReadExamples
from speech_mtl.data.store import by_reason
from speech_mtl.data.syllables import better_parts
from speech_mtl.datatypes import TRANSCRIPT
from speech_mtl.decoding.recognizer import Recognizer
from speech_mtl.run.folder import Run
from speech_mtl.run.references import References, report_damaged, report_skipped
from speech_mtl.run.speech import Split
from speech_mtl.run.training_speech import TrainingSpeech
from speech_mtl.screen import Screen
from speech_mtl.settings.recipe import Recipe
from speech_mtl.settings.training import TrainingSettings


def report_finished(run: Run, screen: Screen) -> None:
    """Reports that a run is finished."""
    progress = run.progress()
    more = f" It stopped early, at update {progress.update}: it resumes with a larger training.patience."
    screen.say(f"{run.path} is finished: nothing to train." + (more if progress.end is not None else ""))


def report_warmup(settings: TrainingSettings, screen: Screen) -> None:
    """Warns if the learning rate is below its peak for most of training."""
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


def report_speech(
    speech: TrainingSpeech,
    recognizer: Recognizer,
    references: Mapping[str, References],
    counts: Mapping[str, tuple[int, int]],
    screen: Screen,
) -> None:
    """Reports the speech of all languages, the labels of tasks, what is left out, and the size of the network.

    Args:
        references: The dev sets, by language.
        counts: By language and task, how many utterances have a label, and of how many.
    """
    for i, split in speech.splits.items():
        _report_language(speech.recipe, split, speech.examples[i], screen)
        if advice := better_parts(recognizer.tokenizers[split.language]):
            screen.say(advice)
    for name, task in recognizer.tasks.items():
        labelled, total = counts[name]
        screen.say(f"{name}: {labelled} of {total} utterances labelled, {task.describe()}")
    for dev in references.values():
        report_skipped(dev, screen)
    screen.say(f"{recognizer.model.count_params():,} parameters, {len(recognizer.model.languages)} output layers")


def report_left_out(speech: TrainingSpeech, screen: Screen) -> None:
    """Reports how much of the speech that training read turned out unusable."""
    for i, examples in speech.examples.items():
        if isinstance(examples, ReadExamples) and examples.left_out:
            screen.warn(f"{speech.splits[i].language}: left out while it was read: {by_reason(examples.left_out)}")


def _report_language(recipe: Recipe, split: Split, examples: Examples, screen: Screen) -> None:
    controls = {None: "", "noise": "; replaced by noise", "shuffled_transcripts": "; transcripts shuffled"}
    minutes = float(examples.num_samples.sum()) / recipe.data.sample_rate_hz / 60
    line = f"{split.language}: {len(examples)} utterances, {minutes:.1f} minutes"
    line += controls[recipe.languages[split.language].replace]
    if not recipe.data.decode_once:
        line += "; audio is read in training, and not compared with that of dev and test sets"
    if (transcribed := examples.targets[TRANSCRIPT].num_known) < len(examples):
        line += f", {transcribed} with a transcript"
    if examples.num_unlabelled:
        missing = "all labels" if recipe.data.require_all_labels else "any label"
        line += f"; {examples.num_unlabelled} others without {missing}"
    screen.say(line + (f"; left out: {by_reason(examples.skipped)}" if examples.skipped else ""))
    for skip in examples.skipped:
        screen.warn(f"{skip.source}: {skip.reason}: {skip.message}")
    report_damaged(examples, screen)
    if not is_registered(split.language):
        screen.warn(f"{split.language} is the code of no language: it is written with spaces between words here")
