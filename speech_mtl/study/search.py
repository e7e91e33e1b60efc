"""The search space of `tune`, and Optuna's record of a search."""

import logging
from collections.abc import Iterator
from itertools import product
from math import prod
from pathlib import Path

from speech_mtl.errors import InputError
from speech_mtl.settings.dotted import changed_settings
from speech_mtl.settings.recipe import Recipe

SETTINGS = "settings"
"""Name of the study's note of all settings that bear on a trial."""


def _space(recipe: Recipe) -> dict[str, list[float]]:
    """By task, the weights to try, each once."""
    return {name: list(dict.fromkeys(values)) for name, values in recipe.tune.weights.items()}


def begun_and_new_trials(study, recipe: Recipe) -> Iterator[tuple[int, dict[str, float]]]:
    """Number and searched weights of the trials that were begun before, then of new ones up to as many as asked for."""
    from optuna.trial import Trial, TrialState

    space, is_grid = _space(recipe), recipe.tune.sampler == "grid"

    def suggested(trial: Trial) -> tuple[int, dict[str, float]]:
        weights = {}
        for name, values in space.items():
            if is_grid:
                weights[name] = trial.suggest_categorical(name, values)
            else:
                weights[name] = trial.suggest_float(name, min(values), max(values), log=True)
        return trial.number, weights

    for begun in study.get_trials(states=[TrialState.RUNNING]):
        yield suggested(Trial(study, begun._trial_id))  # what was suggested comes back; a kill may have left some out
    wanted = prod(map(len, space.values())) if is_grid else recipe.tune.num_trials
    while sum(trial.state != TrialState.WAITING for trial in study.trials) < wanted:
        yield suggested(study.ask())


def check_space(recipe: Recipe) -> None:
    """Checks that there is something to search.

    Raises:
        InputError: There is not, or the recipe has a weighting of its own.
    """
    if recipe.weighting.given() is None:
        raise InputError(
            "tune searches fixed weights, and the recipe has another strategy",
            expected="weighting.kind: equal, or fixed with the weights of tasks that are not searched",
            received=f"weighting.kind: {recipe.weighting.kind}",
            action="search with 'weighting={kind: equal}', or train with the recipe's strategy",
        )
    settings, names = recipe.tune, [*recipe.languages, *recipe.tasks]
    unknown = [name for name in settings.weights if name not in names]
    narrow = [name for name, values in _space(recipe).items() if len(values) < 2]
    if settings.weights and not unknown and not narrow:
        return
    raise InputError(
        "tune.weights is not right",
        expected="for at least one of "
        + ", ".join(names)
        + " two or more weights: values of a grid, or ends of a range",
        received=str({name: list(values) for name, values in settings.weights.items()}),
        action="set it in the recipe, or as tune.weights='{" + names[0] + ": [0.5, 1, 2]}'",
    )


def open_study(recipe: Recipe, folder: Path):
    """The study of a folder, made if there is none.

    Raises:
        InputError: The folder holds another search.
    """
    import optuna
    from optuna.storages import JournalStorage
    from optuna.storages.journal import JournalFileBackend

    optuna.logging.set_verbosity(optuna.logging.WARNING)
    logging.getLogger("optuna").propagate = False
    folder.mkdir(parents=True, exist_ok=True)
    study = optuna.create_study(
        study_name="weights", storage=JournalStorage(JournalFileBackend(str(folder / "study.log"))), load_if_exists=True
    )
    # A sampler's stream starts afresh in every process: the trials that are there would be sampled once more.
    seed = (recipe.seed + len(study.trials)) % 2**32
    study.sampler = optuna.samplers.TPESampler(seed=seed, constant_liar=True)
    _begin_or_resume(study, recipe, folder)
    return study


def _begin_or_resume(study, recipe: Recipe, folder: Path) -> None:
    """Notes the settings in a new study; refuses one of other settings."""
    excluded = {"about": True, "compare": True, "tune": {"num_trials"}}
    there, here = study.user_attrs.get(SETTINGS), recipe.model_dump(mode="json", exclude=excluded)
    if there is None:
        space = _space(recipe)
        for values in product(*space.values()) if recipe.tune.sampler == "grid" else ():
            study.enqueue_trial(dict(zip(space, values, strict=True)), skip_if_exists=True)
        study.set_user_attr(SETTINGS, here)
    elif changed := changed_settings(there, here):
        raise InputError(
            f"{folder} holds another search, or one with other settings",
            expected="the settings it was begun with, so that its trials can be compared",
            received="; ".join(changed),
            action="choose another folder with --out, or go back to those settings",
        )
