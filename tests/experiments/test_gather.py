"""What finished cells found."""

from collections.abc import Callable
from pathlib import Path

import pytest

from speech_mtl.config import Recipe
from speech_mtl.experiments.arms import Stage
from speech_mtl.experiments.gather import UNKNOWN, gather_curves, gather_laterals, gather_sizes, trained_by
from speech_mtl.experiments.plan import Cell, Plan
from speech_mtl.files import json_text, write_text
from speech_mtl.runs import Run
from speech_mtl.scoring.results import Arm
from speech_mtl.scoring.summary import ArmSize, LabelCount, LateralUse, TaskCurve


def test_laterals_are_the_mean_over_seeds_of_one_target(tmp_path: Path):
    shares = {("aa", 0): 0.1, ("aa", 1): 0.3, ("cc", 0): 0.7}
    arm, cells = Arm("progressive", auxiliary="bb"), []
    for (target, seed), share in shares.items():
        name = f"{target}-{seed}"
        row = {"language": target, "into": "output", "column": 0, "column_languages": ["bb"], "share": share}
        write_text(tmp_path / name / "laterals.json", json_text([row]))
        cells.append(Cell(target, arm, 60.0, seed, (name,)))
    assert gather_laterals(Plan(cells, {}, tmp_path), cells, pytest.fail) == [
        LateralUse("aa", arm, 60.0, "output", "1: bb", 0.2),
        LateralUse("cc", arm, 60.0, "output", "1: bb", 0.7),
    ]


LOG = {"update": 2, "train_loss": {"aa": 1.0}, "weight": {"aa": 1.0}, "losses": [1.0], "commit": "0123456789ab"}


@pytest.fixture
def plan(tmp_path: Path, tiny_recipe: Recipe) -> Plan:
    """One arm, whose run has nothing but what tells of it."""
    cell = Cell("aa", Arm("joint"), 60.0, 0, ("run",))
    run = Run(tmp_path / "run")
    write_text(run.log_path, json_text(LOG, indent=None) + json_text(LOG | {"update": 4}, indent=None))
    write_text(run.labels_path, json_text({"aa": [3, 4]}))
    write_text(run.parameters_path, json_text({"total": 7, "trained": 5, "own": {"aa": 2}}))
    write_text(run.path / "laterals.json", json_text([]))
    return Plan([cell], {"run": Stage("run", tiny_recipe)}, tmp_path)


def gathered(plan: Plan, warn: Callable[[str], None]) -> list:
    curves, conflicts, labels = gather_curves(plan, plan.cells, warn)
    runs = [Run(plan.run_path("run"))]
    return [
        curves,
        conflicts,
        labels,
        gather_laterals(plan, plan.cells, warn),
        gather_sizes(plan, plan.cells, warn),
        trained_by(runs, warn),
    ]


def test_what_files_tell_of_a_run(plan: Plan):
    assert gathered(plan, pytest.fail) == [
        [TaskCurve(Arm("joint"), "aa", [2, 4], [1.0, 1.0], [1.0, 1.0])],
        [],
        [LabelCount(Arm("joint"), "aa", 3, 4)],
        [],
        [ArmSize(Arm("joint"), 5, 7, 2)],
        {"0123456789ab": 1},
    ]


@pytest.mark.parametrize(
    ("name", "lost"),
    [("log.jsonl", {0, 5}), ("labels.json", {2}), ("parameters.json", {4}), ("laterals.json", set())],
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


def test_a_log_whose_looks_differ_gives_the_curves_that_there_are(plan: Plan):
    looks = [LOG, LOG | {"update": 4, "weight": {"aa": 2.0, "bb": 1.0}, "train_loss": {"aa": 1.0}}]
    write_text(plan.run_path("run") / "log.jsonl", "".join(json_text(look, indent=None) for look in looks))
    curves, _, _ = gather_curves(plan, plan.cells, pytest.fail)
    assert [(one.task, one.updates, one.losses, one.weights) for one in curves] == [
        ("aa", [2, 4], [1.0, 1.0], [1.0, 2.0]),
        ("bb", [4], [None], [1.0]),
    ]
