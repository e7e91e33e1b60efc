"""Decides whether a run can resume: settings and speech must be the same, or changes accepted."""

from speech_mtl.errors import InputError
from speech_mtl.run.folder import Run
from speech_mtl.run.made_from import Now, refuse_changes
from speech_mtl.settings.dotted import changed_settings
from speech_mtl.settings.recipe import LENGTH, PLACES, TEST_MANIFESTS, Recipe


def taken_up(
    run: Run, recipe: Recipe, now: Now, accept_changes: bool, further: bool = False
) -> tuple[Recipe, list[str]]:
    """Checks that a run belongs to a recipe and its speech, and writes the settings that may change.

    Args:
        run: The run.
        recipe: The settings that are asked for.
        now: The speech as it is now; what does not stop the run is noted there.
        accept_changes: Whether to resume if its inputs have changed.
        further: Whether it may be trained for another number of updates.

    Returns:
        The settings, with languages and augmentations in the order of the run; and what is another from here on.

    Raises:
        InputError: The run has other settings, or what it was made from has changed.
    """
    there, known = run.recipe(), run.made_from_path.is_file()
    free = [TEST_MANIFESTS, *(PLACES if known else ()), *(LENGTH if further else ())]
    if further and recipe.training.num_updates != there.training.num_updates:  # from which these follow
        phases = ("warmup_updates", "cooldown_updates")
        free += [f"training.{name}" for name in phases if getattr(recipe.training, name) is None]
    if other := changed_settings(there.of_one_run(free), recipe.of_one_run(free)):
        raise InputError(
            f"{run.path} holds a run with other settings",
            expected="the settings it was started with, so that training can resume",
            received="; ".join(other),
            action="choose another folder with --out, or go back to those settings",
        )
    waveform = {name: recipe.augment.waveform[name] for name in there.augment.waveform}
    ordered = {"languages": {name: recipe.languages[name] for name in there.languages}, "augment.waveform": waveform}
    recipe = recipe.overridden(ordered)
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
    """Returns the changes in how long a run is trained.

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
