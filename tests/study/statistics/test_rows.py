"""Arms as records: whatever a variant is called, what an arm is does not change."""

from dataclasses import replace
from itertools import product
from pathlib import Path
from typing import Any

import pytest

from speech_mtl.errors import InputError
from speech_mtl.files import json_text, read_json, write_text
from speech_mtl.study.statistics.hypotheses import Model, TestSet, read_test_sets, write_test_sets
from speech_mtl.study.statistics.rows import CONTROLS, REFERENCE_ARM, AnyResultRow, Arm

VARIANTS = (
    "",
    "plain",
    "speech_only_first",
    "with_noise",
    "x_shuffled",
    "x_equal_updates",
    "x_without_de",
    "alone",
    "a:b",
    ":",
    "before alone",
    "noise-x",
    "<script>",
    "a|b",
    "$x$_1",
    "[bold]",
    "č č",
    "../..",
    "\x1b[31m",
    "null",
    "é" * 300,
)
METHODS = ("alone", "joint", "pretrain_finetune")
AUXILIARIES = ("", "de", "zh-CN")


def arms() -> list[Arm]:
    parts: Any = product(METHODS, VARIANTS, CONTROLS, AUXILIARIES)
    return [Arm(*own) for own in parts]


def row(arm: Arm) -> dict[str, Any]:
    return {
        **{"recipe": "r", "arm": arm, "budget_s": 60.0, "seed": 0, "language": "cs", "split": "test"},
        **{"wer": None, "cer": 0.5, "num_utterances": 1, "num_reference_words": 1, "num_reference_characters": 2},
        **{"num_updates": 1, "num_parameters": 2, "wall_time_s": 0.5},
    }


def test_every_arm_comes_back_from_rows(tmp_path: Path):
    write_text(tmp_path / "rows.json", json_text(list(map(row, arms()))))
    rows = read_json(tmp_path / "rows.json", list[AnyResultRow])
    assert [one["arm"] for one in rows] == arms()


def test_every_arm_comes_back_from_hypotheses(tmp_path: Path):
    made = TestSet("cs", True, ["u"], [None], ["ab"])
    for arm, before in product(arms(), (False, True)):
        made.add(Model(arm, 60.0, 0, before), ["u"], ["x"])
    write_test_sets(tmp_path / "h.jsonl", [made])
    assert read_test_sets(tmp_path / "h.jsonl") == [made]


def test_no_two_arms_that_can_be_there_have_one_name():
    """An auxiliary language comes with none of the controls but leaving it out."""
    able = [arm for arm in arms() if bool(arm.auxiliary) == (arm.control == "leave_one_out") or not arm.control]
    assert len({arm.name for arm in able}) == len(able)


def test_names_are_those_of_tables():
    named: dict[str, Arm] = {
        "joint": Arm("joint"),
        "joint:small": Arm("joint", "small"),
        "joint_noise:small": Arm("joint", "small", "noise"),
        "joint_shuffled": Arm("joint", control="shuffled_transcripts"),
        "joint_without_zh-CN": Arm("joint", control="leave_one_out", auxiliary="zh-CN"),
        "pretrain_finetune_only_de": Arm("pretrain_finetune", auxiliary="de"),
    }
    assert {str(arm) for arm in named.values()} == set(named)


@pytest.mark.parametrize("variant", VARIANTS)
def test_a_variant_decides_nothing_but_itself(variant: str):
    for arm in (Arm(method, variant) for method in METHODS):
        assert (arm.is_control, arm.is_of_transfer_map) == (False, False)
        assert arm.base == Arm(arm.method)
        assert replace(arm, control="noise").is_control
        assert not replace(arm, control="leave_one_out", auxiliary="de").is_control
        assert replace(arm, auxiliary="de").is_of_transfer_map
    assert (Arm("alone", variant) == REFERENCE_ARM) == (not variant)


@pytest.mark.parametrize(
    ("arm", "field"),
    [
        ({}, "arm.method"),
        ({"method": "alone", "variant": 3}, "arm.variant"),
        ({"method": "alone", "control": "noisy"}, "arm.control"),
        ({"method": "alone", "seed": 1}, "arm.seed"),
        ("alone:small", "arm.method"),
        ("before alone", "arm.method"),
        ("", "arm.method"),
        (None, "arm"),
        (["alone"], "arm"),
        (7, "arm"),
    ],
)
def test_what_is_no_arm_is_refused(tmp_path: Path, arm: Any, field: str):
    write_text(tmp_path / "rows.json", json_text([row(Arm("alone")) | {"arm": arm}]))
    with pytest.raises(InputError, match=rf"rows\.json: the field '0\.transcripts\.{field}' is"):
        read_json(tmp_path / "rows.json", list[AnyResultRow])
