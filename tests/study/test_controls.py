"""What every control must hold to: it changes one thing of its arm, and shares no run with it."""

from typing import Any

import pytest
from pydantic import TypeAdapter

from speech_mtl.errors import InputError
from speech_mtl.settings.recipe import Recipe
from speech_mtl.settings.study import ControlSettings
from speech_mtl.study.arms import ARMS, Stage
from speech_mtl.study.controls import arms_and_controls, only
from speech_mtl.study.statistics.rows import CONTROLS, REFERENCE_ARM, Arm

PLAIN = set(map(Arm, ARMS))
HELPED = sorted(ARMS.keys() - {REFERENCE_ARM.method})


def recipe(arms: list[str] | None = None, controls: dict[str, bool] | None = None) -> Recipe:
    return Recipe.model_validate(
        {
            "name": "three",
            "target": "bb",
            "languages": {"aa": {}, "bb": {"budget_s": 60}, "cc": {}},
            "data": {"dir": "data"},
            "training": {"num_updates": 100, "evaluate_every": 30, "patience": 2, "cooldown_updates": 10},
            "compare": {
                "arms": arms or list(ARMS),
                "controls": controls or {},
                "pretrain_updates": 90,
            },
            "finetune": {"num_updates": 50},
        }
    )


def with_all_controls() -> Recipe:
    return recipe(controls=dict.fromkeys(ControlSettings.model_fields, True))


def test_controls_are_off_by_default():
    assert list(arms_and_controls(recipe())) == list(map(Arm, ARMS))


@pytest.mark.parametrize("control", ControlSettings.model_fields)
def test_every_switch_adds_arms_and_only_its_own(control: str):
    settings = recipe(controls={control: True})
    added = arms_and_controls(settings).keys() - PLAIN
    assert added
    assert added == arms_and_controls(with_all_controls()).keys() & added
    for arm in added:
        assert TypeAdapter(Arm).validate_python(vars(arm)) == arm, "rows of results can hold it"
        assert CONTROLS[control] in arm.name


def test_every_arm_with_help_has_every_control():
    names = {arm.name for arm in arms_and_controls(with_all_controls()).keys() - PLAIN}
    suffixes = [f"{suffix}{own}" for control, suffix in CONTROLS.items() if control for own in auxiliaries(control)]
    assert names == {f"{arm}{suffix}" for arm in HELPED for suffix in suffixes}
    assert {"joint_noise", "joint_shuffled", "joint_without_aa", "joint_without_cc"} < names


def auxiliaries(control: str) -> tuple[str, ...]:
    """What follows a control's name in those of its arms."""
    return ("_aa", "_cc") if control == "leave_one_out" else ("",)


def test_controls_are_told_from_arms():
    """Leaving a language out is a way of training like others; the other controls are not to be used."""
    for arm in arms_and_controls(with_all_controls()):
        assert arm.is_control == (arm not in PLAIN and arm.control != "leave_one_out")
        assert not arm.is_of_transfer_map


def test_all_runs_of_all_arms_and_controls_have_names_of_their_own():
    settings = with_all_controls()
    named: dict[str, Stage] = {}
    for arm in arms_and_controls(settings).values():
        for stage in arm(settings):
            assert named.setdefault(stage.name, stage) == stage
    contents = [(stage.start, stage.recipe.to_yaml()) for stage in named.values()]
    assert len(set(contents)) == len(contents)


def test_every_stage_starts_from_one_of_its_own_control():
    settings = with_all_controls()
    for arm in arms_and_controls(settings).values():
        stages = arm(settings)
        for i, stage in enumerate(stages):
            assert stage.start is None or stage.start in [before.name for before in stages[:i]]


@pytest.mark.parametrize("arm", HELPED)
@pytest.mark.parametrize("what", ["noise", "shuffled_transcripts"])
def test_replaced_speech_is_that_of_the_auxiliaries_and_nothing_else_changes(arm: str, what: Any):
    settings = with_all_controls()
    changed, own = arms_and_controls(settings)[Arm(arm, control=what)](settings), ARMS[arm](settings)
    assert len(changed) == len(own)
    for control, stage in zip(changed, own, strict=True):
        for language, of_language in control.recipe.languages.items():
            assert of_language.replace == (None if language == "bb" else what)
        back: dict[str, object] = {f"languages.{language}.replace": None for language in control.recipe.languages}
        if stage.recipe.target is None:
            assert control.recipe.training.select == "last"
            back["training.select"] = "best"
        assert control.recipe.overridden(back) == stage.recipe


@pytest.mark.parametrize("arm", HELPED)
def test_leaving_one_out_leaves_the_others(arm: str):
    settings = with_all_controls()
    first = arms_and_controls(settings)[Arm(arm, control="leave_one_out", auxiliary="aa")](settings)[0]
    own = ARMS[arm](settings)[0]
    assert first.recipe.languages.keys() == own.recipe.languages.keys() - {"aa"}


@pytest.mark.parametrize("arm", HELPED)
def test_only_one_is_one(arm: str):
    first = only(ARMS[arm], "cc")(recipe())[0]
    assert first.recipe.languages.keys() - {"bb"} == {"cc"}


def test_there_is_nothing_to_leave_out_of_a_single_auxiliary():
    settings = recipe(["joint"], {"leave_one_out": True}).overridden({"languages": {"aa": {}, "bb": {}}})
    with pytest.raises(InputError, match="has nothing to leave"):
        arms_and_controls(settings)
