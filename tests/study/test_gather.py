"""What finished cells found."""

from collections.abc import Callable
from pathlib import Path

import pytest

from speech_mtl.files import json_text, write_text
from speech_mtl.run.folder import Run
from speech_mtl.settings.recipe import Recipe
from speech_mtl.study.arms import Stage
from speech_mtl.study.gather import (
    MOST_POINTS,
    UNKNOWN,
    gather_curves,
    gather_learning,
    gather_sizes,
    trained_by,
)
from speech_mtl.study.plan import Cell, Plan
from speech_mtl.study.statistics.rows import Arm
from speech_mtl.study.statistics.training import ArmSize, LabelCount, LearningCurve, TaskCurve
from speech_mtl.training.progress import Progress

LOG = {"update": 2, "train_loss": {"aa": 1.0}, "weight": {"aa": 1.0}, "losses": [1.0], "commit": "0123456789ab"}


@pytest.fixture
def plan(tmp_path: Path, tiny_recipe: Recipe) -> Plan:
    """One arm, whose run has nothing but what tells of it."""
    cell = Cell("aa", Arm("joint"), 60.0, 0, ("run",))
    run = Run(tmp_path / "run")
    write_text(run.log_path, json_text(LOG, indent=None) + json_text(LOG | {"update": 4}, indent=None))
    write_text(run.labels_path, json_text({"aa": [3, 4]}))
    write_text(run.parameters_path, json_text({"total": 7, "trained": 5, "own": {"aa": 2}}))
    return Plan([cell], {"run": Stage("run", tiny_recipe)}, tmp_path)


def gathered(plan: Plan, warn: Callable[[str], None]) -> list:
    curves, conflicts, labels = gather_curves(plan, plan.cells, warn)
    runs = [Run(plan.run_path("run"))]
    return [
        curves,
        conflicts,
        labels,
        gather_sizes(plan, plan.cells, warn),
        trained_by(runs, warn),
    ]


def test_what_files_tell_of_a_run(plan: Plan):
    assert gathered(plan, pytest.fail) == [
        [TaskCurve(Arm("joint"), "aa", [2, 4], [1.0, 1.0], [1.0, 1.0])],
        [],
        [LabelCount(Arm("joint"), "aa", 3, 4)],
        [ArmSize(Arm("joint"), 5, 7, 2)],
        {"0123456789ab": 1},
    ]


@pytest.mark.parametrize(
    ("name", "lost"),
    [("log.jsonl", {0, 4}), ("labels.json", {2}), ("parameters.json", {3})],
)
@pytest.mark.parametrize(
    "content", [b'{"upd', b"\xff\xfe", b"[1]", b"null", b'{"update": -1, "own": 3}', b"\0" * 40, b'"a"']
)
def test_a_damaged_file_that_only_tells_of_a_run_is_named_and_left_out(
    plan: Plan, name: str, lost: set[int], content: bytes
):
    whole = gathered(plan, pytest.fail)
    path = plan.run_path("run") / name
    path.write_bytes((path.read_bytes() if name == "log.jsonl" else b"") + content)
    warnings: list[str] = []
    found = gathered(plan, warnings.append)
    assert {i for i, (before, after) in enumerate(zip(whole, found, strict=True)) if before != after} == lost
    assert warnings
    assert all(name in warning and "left out of the report" in warning for warning in warnings)
    if name == "log.jsonl":
        assert f"{name}:3" in warnings[0]
        assert found[-1] == {UNKNOWN: 1}


def test_a_log_whose_validations_differ_gives_the_curves_that_there_are(plan: Plan):
    validations = [LOG, LOG | {"update": 4, "weight": {"aa": 2.0, "bb": 1.0}, "train_loss": {"aa": 1.0}}]
    write_text(
        plan.run_path("run") / "log.jsonl", "".join(json_text(validation, indent=None) for validation in validations)
    )
    curves, _, _ = gather_curves(plan, plan.cells, pytest.fail)
    assert [(one.task, one.updates, one.losses, one.weights) for one in curves] == [
        ("aa", [2, 4], [1.0, 1.0], [1.0, 2.0]),
        ("bb", [4], [None], [1.0]),
    ]


def trained_run(folder: Path, name: str, errors: list[dict[str, float]], stopped: bool, best: int) -> None:
    """A run with a validation every ten updates; its best weights are those of one."""
    run, progress = Run(folder / name), Progress(update=10 * len(errors), best_update=best)
    progress.end = progress.update if stopped else None
    validations = [
        json_text({"update": 10 * number, "dev_cer": cers}, indent=None) for number, cers in enumerate(errors, 1)
    ]
    write_text(run.log_path, "".join(validations))
    write_text(run.path / "checkpoints" / f"{progress.update:06d}" / "progress.json", json_text(progress))
    (run.path / "best" / f"{best:06d}").mkdir(parents=True)


def test_learning_curves_are_of_every_run_once_and_stages_with_the_target_follow_one_another(
    tiny_recipe: Recipe, tmp_path: Path
):
    others = tiny_recipe.overridden({"target": None}).with_languages({"bb": tiny_recipe.languages["bb"]})
    own = {number: tiny_recipe.overridden({"seed": number}) for number in (0, 1)}
    stages = {
        "pretrain": Stage("pretrain", others),
        "first": Stage("first", own[0], "pretrain"),
        "second": Stage("second", own[0], "first"),
        "other": Stage("other", own[1], "pretrain"),
    }
    trained_run(tmp_path, "pretrain", [{"bb": 0.9}, {"bb": 0.4}], stopped=False, best=20)
    trained_run(tmp_path, "first", [{"aa": 0.8, "bb": 0.4}] * 3, stopped=True, best=10)
    trained_run(tmp_path, "second", [{"aa": 0.5}, {"aa": 0.30006}], stopped=True, best=20)
    trained_run(tmp_path, "other", [{"aa": 0.7}], stopped=False, best=10)
    names = ("pretrain", "first", "second")
    cells = [
        Cell("aa", Arm("joint_finetune"), 60.0, 0, names),
        Cell("aa", Arm("other"), 120.0, 1, ("pretrain", "other")),
    ]
    finetune = Arm("joint_finetune")
    assert gather_learning(Plan(cells, stages, tmp_path), cells, pytest.fail) == [
        LearningCurve("pretrain", finetune, None, 0, "bb", 0, [10, 20], [0.9, 0.4], 20, False),
        LearningCurve("first", finetune, 60.0, 0, "aa", 0, [10, 20, 30], [0.6] * 3, 10, True),
        LearningCurve("second", finetune, 60.0, 0, "aa", 30, [10, 20], [0.5, 0.3001], 20, True),
        LearningCurve("other", Arm("other"), 120.0, 1, "aa", 0, [10], [0.7], 10, False),
    ]


@pytest.mark.parametrize("number", [1, 2, MOST_POINTS - 1, MOST_POINTS, MOST_POINTS + 1, 119, 120, 1000, 1003])
def test_a_learning_curve_keeps_its_best_and_last_validation(tiny_recipe: Recipe, tmp_path: Path, number: int):
    cell = Cell("aa", Arm("alone"), 60.0, 0, ("run",))
    best = max(1, number // 3)
    trained_run(
        tmp_path, "run", [{"aa": 1 / validation} for validation in range(1, number + 1)], stopped=True, best=10 * best
    )
    plan = Plan([cell], {"run": Stage("run", tiny_recipe)}, tmp_path)
    (curve,) = gather_learning(plan, [cell], pytest.fail)
    assert min(number, MOST_POINTS // 2) <= len(curve.updates) <= MOST_POINTS
    assert curve.updates == sorted(set(curve.updates))
    assert curve.updates[-1] == 10 * number
    assert curve.errors == [round(10 / update, 4) for update in curve.updates]
    assert curve.error == pytest.approx(1 / best, abs=1e-4)
