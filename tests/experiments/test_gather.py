"""What finished cells found."""

from pathlib import Path

import pytest

from speech_mtl.experiments.gather import gather_laterals
from speech_mtl.experiments.plan import Cell, Plan
from speech_mtl.files import json_text, write_text
from speech_mtl.scoring.results import Arm
from speech_mtl.scoring.summary import LateralUse


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
