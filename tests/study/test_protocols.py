"""What each protocol holds equal, counted from the stages that the arms make."""

import re

import numpy as np
import pytest

from speech_mtl.data.sampling import Ramp, TrainingPlan
from speech_mtl.errors import InputError
from speech_mtl.settings.recipe import Recipe
from speech_mtl.study.arms import ARMS, REHEARSED, Stage

SHARE, COOLDOWN = 0.4, 50


def stages(arm: str, protocol: str, **changes) -> list[Stage]:
    recipe = Recipe.model_validate(
        {
            "name": "three",
            "target": "bb",
            "languages": {"aa": {}, "bb": {"share": SHARE}, "cc": {}},
            "data": {"dir": "data"},
            "training": {"num_updates": 1000, "evaluate_every": 100, "cooldown_updates": COOLDOWN},
            "compare": {"protocol": protocol, "pretrain_updates": 600},
            "finetune": {"num_updates": 300},
        }
    )
    return ARMS[arm](recipe.overridden(changes))


def target_updates(stage: Stage) -> float:
    """Updates, each counted by the target's share of its speech."""
    recipe, number = stage.recipe, stage.recipe.training.num_updates
    if "bb" not in recipe.trained_languages:
        return 0.0
    if len(recipe.trained_languages) == 1:
        return number
    share = 1 - REHEARSED if stage.start else SHARE
    ramp = Ramp(1, number - COOLDOWN, number) if recipe.data.ramp_to_target else None
    plan = TrainingPlan(
        {0: np.ones(9), 1: np.ones(9)}, 1.0, 1.0, 0, given_fractions={1: share}, ramp=ramp, pool_batches=1
    )
    return sum(plan.fractions(update)[1] for update in range(number))


WITH_UPDATES_HELD_EQUAL = sorted(ARMS.keys() - {"pseudo_labels"})


@pytest.mark.parametrize("arm", [arm for arm in WITH_UPDATES_HELD_EQUAL if arm != "multilingual"])
def test_equal_target_updates(arm: str):
    assert sum(map(target_updates, stages(arm, "equal_target_updates"))) == pytest.approx(1000, abs=1.5)


@pytest.mark.parametrize("arm", WITH_UPDATES_HELD_EQUAL)
def test_equal_updates(arm: str):
    assert sum(stage.recipe.training.num_updates for stage in stages(arm, "equal_updates")) == 1000


@pytest.mark.parametrize("arm", WITH_UPDATES_HELD_EQUAL)
@pytest.mark.parametrize("protocol", ["equal_updates", "equal_target_updates"])
def test_where_updates_are_equal_none_is_left_out(arm: str, protocol: str):
    for stage in stages(arm, protocol):
        training = stage.recipe.training
        assert training.patience * training.evaluate_every > training.num_updates


@pytest.mark.parametrize("arm", ARMS)
def test_equal_speech_has_early_stopping_and_the_numbers_of_the_recipe(arm: str):
    found = stages(arm, "equal_speech")
    assert {stage.recipe.training.patience for stage in found} == {
        stages("alone", "equal_speech")[0].recipe.training.patience
    }
    numbers = [stage.recipe.training.num_updates for stage in found]
    own = {"progressive": [600, 600], "pseudo_labels": [600, 300, 300]}
    assert numbers in ([1000], own.get(arm, [600, 300]))


@pytest.mark.parametrize(
    ("arm", "protocol", "changes", "message"),
    [
        ("pretrain_finetune", "equal_updates", {"compare.pretrain_updates": 1000}, "leaves no updates to fine-tuning"),
        ("joint_finetune", "equal_target_updates", {"compare.pretrain_updates": 2500}, "leaves no updates"),
        ("joint", "equal_target_updates", {"languages.bb.share": None}, "fraction of the speech, which is not given"),
        ("joint_ramp", "equal_speech", {"training.cooldown_updates": 0}, "compare.arms: joint_ramp"),
        ("joint_ramp", "equal_speech", {"training.cooldown_updates": 1001}, "compare.arms: joint_ramp"),
        ("alone", "equal_hours", {}, "compare.protocol is not right"),
        ("pseudo_labels", "equal_updates", {}, "pseudo_labels cannot be compared so"),
        ("pseudo_labels", "equal_target_updates", {}, "pseudo_labels cannot be compared so"),
    ],
)
def test_what_cannot_be_held_equal_is_refused(arm: str, protocol: str, changes: dict, message: str):
    with pytest.raises(InputError, match=message) as caught:
        stages(arm, "equal_speech", **{**changes, "compare.protocol": protocol})
    assert caught.value.action


@pytest.mark.parametrize("arm", sorted(ARMS.keys() - {"pseudo_labels"}))
def test_pretraining_has_settings_of_its_own(arm: str):
    changes = {"compare.pretrain_changes": {"training.weight_decay": 0.02}, "training.weight_decay": 0.3}
    *before, last = stages(arm, "equal_speech", **changes)
    assert [stage.recipe.training.weight_decay for stage in before] == [0.02] * len(before)
    assert last.recipe.training.weight_decay == 0.3


@pytest.mark.parametrize(
    ("key", "problem"),
    [
        ("seed", "is compare.pretrain_seed here"),
        ("training.num_updates", "is compare.pretrain_updates here"),
        ("languages.bb.budget_s", "is none of the sections"),
        ("init_from", "is none of the sections"),
    ],
)
def test_pretraining_can_be_trained_otherwise_and_on_nothing_else(key: str, problem: str):
    with pytest.raises(InputError, match=re.escape(f"{key} {problem}")):
        stages("alone", "equal_speech", **{"compare.pretrain_changes": {key: 3}})


def test_updates_are_held_equal_whatever_pretraining_has_of_its_own():
    changes = {"compare.pretrain_changes": {"training.evaluate_every": 2}}
    first, _ = stages("pretrain_finetune", "equal_updates", **changes)
    assert first.recipe.training.patience * 2 > first.recipe.training.num_updates == 600
