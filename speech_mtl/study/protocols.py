"""Protocols: quantities held equal between the arms of a comparison. `compare.protocol` names one.

equal_speech            each arm is trained until its validation error no longer falls: the value of the speech
equal_target_updates    each arm has as many updates of target speech as `alone`, independent of other speech
equal_updates           all stages of an arm have together as many updates as `alone`: the value of the computing

Published comparisons are of the first kind; none counts auxiliary updates against the target.
"""

from typing import Any

from speech_mtl.errors import InputError
from speech_mtl.settings.recipe import Recipe


def whole(recipe: Recipe, *, alone: bool) -> dict[str, Any]:
    """Settings of how long the only stage of an arm is trained; not `alone` if other speech than its own is in it."""
    updates = recipe.training.num_updates
    if recipe.compare.protocol == "equal_target_updates" and not alone:
        # Over a ramp the fraction is the mean of its ends.
        ramped = recipe.training.cooldown * (1 - _target_fraction(recipe)) / 2 if recipe.data.ramp_to_target else 0.0
        updates = round((updates - ramped) / _target_fraction(recipe))
    return _effort(recipe, updates)


def first(recipe: Recipe) -> dict[str, Any]:
    """Settings of the stage before fine-tuning: what it has of its own, and how long it is trained."""
    changes = recipe.compare.pretrain_changes
    changed = recipe.overridden(changes, where="compare.pretrain_changes")
    return {**changes, **_effort(changed, recipe.compare.pretrain_updates)}


def last(recipe: Recipe, *, target_before: bool = False, fraction: float = 1.0) -> dict[str, Any]:
    """Settings of how long a stage after `first` is trained; none where `finetune` sets it.

    Args:
        recipe: The settings.
        target_before: Whether the target was among the languages of the first stage.
        fraction: Of the target in the speech of this stage.

    Raises:
        InputError: The first stage leaves nothing to this one.
    """
    compare, whole_updates = recipe.compare, recipe.training.num_updates
    if compare.protocol == "equal_speech":
        return {}
    counted = compare.pretrain_updates
    if compare.protocol == "equal_target_updates":
        counted = counted * _target_fraction(recipe) if target_before else 0.0
        whole_updates /= fraction
    if counted >= whole_updates:
        raise InputError(
            f"compare.protocol: {compare.protocol} leaves no updates to fine-tuning",
            expected=f"compare.pretrain_updates below training.num_updates = {recipe.training.num_updates}",
            received=f"compare.pretrain_updates: {compare.pretrain_updates}",
            action="lower compare.pretrain_updates, raise training.num_updates, or set compare.protocol=equal_speech",
        )
    return _effort(recipe, round(whole_updates - counted))


def _effort(recipe: Recipe, num_updates: int) -> dict[str, Any]:
    """Settings of the number of updates; without early stopping where numbers of updates are held equal."""
    if recipe.compare.protocol == "equal_speech":
        return {"training.num_updates": num_updates}
    validations = -(-num_updates // recipe.training.evaluate_every)
    return {"training.num_updates": num_updates, "training.patience": validations + 1}


def _target_fraction(recipe: Recipe) -> float:
    """The target's fraction of the speech in joint training.

    Raises:
        InputError: The recipe does not give it.
    """
    fraction = recipe.languages[str(recipe.target)].share
    if fraction is None:
        raise InputError(
            "compare.protocol: equal_target_updates counts the target's fraction of the speech, which is not given",
            expected=f"languages.{recipe.target}.share, such as 0.4",
            received="null",
            action=f"add languages.{recipe.target}.share=0.4, or choose another compare.protocol",
        )
    return fraction
