"""What a plan will take, from steps on noise and from runs that are there."""

import json
from pathlib import Path

import pytest

from speech_mtl.data import sampling
from speech_mtl.errors import InputError
from speech_mtl.run.folder import Run
from speech_mtl.settings.recipe import Recipe
from speech_mtl.study import estimate
from speech_mtl.study.compare import compare
from speech_mtl.study.estimate import BYTES_PER_PARAMETER, costs, decoded_bytes, estimate_text
from speech_mtl.study.plan import open_speech, plan_comparison


def test_nothing_is_trained_or_written_for_an_estimate(tiny_recipe: Recipe, tmp_path: Path, untraced: None):
    text = estimate_text(plan_comparison(tiny_recipe, tmp_path / "out"), num_jobs=2)
    assert not (tmp_path / "out").exists()
    assert not tiny_recipe.data.cache_dir.exists()
    assert "2 cells need 2 runs: 0 finished, 2 to do." in text
    assert "measured now by steps on noise; at best" in text
    assert text.count("| 0 of 4 | to do |") == 2


SPEED = estimate.Speed(start=100.0, update=1000.0, open=10.0, recognise=2.0, save=1.0)


def spoken_s(recipe: Recipe, language: str, *splits: str) -> float:
    manifests = (recipe.manifest(language, split).read_text().splitlines() for split in splits)
    return sum(json.loads(line)["duration_s"] for lines in manifests for line in lines)


def test_time_is_that_of_all_parts_of_a_run(tiny_recipe: Recipe, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """Of the start, of updates, of validations with their checkpoints, and of the test."""
    tried = []
    monkeypatch.setattr(estimate, "_tried", lambda recipe: (tried.append(recipe), (SPEED, 7))[1])
    changes = {"compare.arms": ["alone", "pretrain_finetune"], "compare.seeds": [0, 1], "training.num_updates": 5}
    recipe = tiny_recipe.overridden(changes)
    runs, size, _ = costs(plan_comparison(recipe, tmp_path / "out"))
    validation = {name: 2 * spoken_s(recipe, name, "dev") + 1 for name in ("aa", "bb")}
    test = 10 + 2 * spoken_s(recipe, "aa", "dev", "test")
    alone = 100 + 10 + 5 * 1000 + 3 * validation["aa"] + test
    pretrain = 100 + 10 + 2 * 1000 + validation["bb"]  # is not tested
    finetune = 100 + 10 + 2 * 1000 + validation["aa"] + test
    by_name = {"alone": alone, "pretrain": pretrain, "pretrain_finetune": finetune}
    assert len(runs) == 6
    for run in runs:
        assert run.left_s == pytest.approx(by_name[run.name.split("-")[0]]), run
    assert size == 7 * BYTES_PER_PARAMETER * len(runs)
    assert len(tried) == 2  # alone and fine-tuned networks are alike


def test_networks_that_differ_are_tried_each(tiny_recipe: Recipe, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    tried = []
    monkeypatch.setattr(estimate, "_tried", lambda recipe: (tried.append(recipe), (SPEED, len(tried)))[1])
    variants = {
        "parts": {"training.part_s": 1.0},
        "bfloat16": {"training.precision": "bfloat16"},
        "plain": {},
        "tasks": {"tasks": {"emotion": {}}},
    }
    recipe = tiny_recipe.overridden({"compare.arms": ["alone"], "compare.variants": variants})
    _, size, _ = costs(plan_comparison(recipe, tmp_path / "out"))
    assert len(tried) == 3, "the last two differ in what is not timed"
    assert size == (1 + 2 + 3 + 3) * BYTES_PER_PARAMETER


def test_what_is_tried_has_all_parts(tiny_recipe: Recipe, untraced: None):
    settings = {
        "tasks": {"emotion": {}},
        "target": "emotion",
        "weighting": {"kind": "fixed", "weights": {"emotion": 2}},
    }
    ramped = {"data.ramp_to_target": True}
    for changes in ({}, settings, ramped, {"gradients": {"kind": "pcgrad"}}, {"weighting": {"kind": "gradnorm"}}):
        speed, num_parameters = estimate._tried(tiny_recipe.overridden(changes))
        assert num_parameters > 1000
        assert speed.update > 0 < speed.recognise < 1
        assert speed.save > 0 < speed.open


def test_time_is_that_of_the_runs_that_are_there(
    tiny_recipe: Recipe, tmp_path: Path, untraced: None, monkeypatch: pytest.MonkeyPatch
):
    """Of two runs one is finished: what is left of training takes as long as what is done did."""
    monkeypatch.setattr(estimate, "_tried", lambda _: (SPEED, 1000))
    recipe = tiny_recipe.overridden({"compare.arms": ["alone"], "compare.num_replications": 200})
    compare(recipe, tmp_path / "out")
    path = tmp_path / "out" / "runs" / "alone-0.1min-seed0"
    plan = plan_comparison(recipe.overridden({"compare.seeds": [0, 1]}), tmp_path / "out")
    done = Run(path).progress()
    runs, size, source = costs(plan)
    assert [(run.updates_done, run.num_updates) for run in runs] == [(4, 4), (0, 4)]
    test_s = 10 + 2 * spoken_s(recipe, "aa", "dev", "test")
    assert [run.left_s for run in runs] == [0, pytest.approx(done.wall_time_s + test_s)]
    assert size == 2 * BYTES_PER_PARAMETER * 1000
    assert "measured in 1 of these runs" in source


def test_disk_is_about_what_a_run_fills(tiny_recipe: Recipe, tmp_path: Path, untraced: None):
    """For a network of some size: of this tiny one, names and shapes take more than numbers."""
    wide = {"encoder.dim": 64, "encoder.expansion": 4, "training": {"num_updates": 2, "evaluate_every": 2}}
    recipe = tiny_recipe.overridden({"compare.arms": ["alone"], "compare.num_replications": 200, **wide})
    compare(recipe, tmp_path / "out")
    path = tmp_path / "out" / "runs" / "alone-0.1min-seed0"
    filled = sum(file.stat().st_size for file in path.rglob("*.safetensors"))
    _, size, _ = costs(plan_comparison(recipe, tmp_path / "out"))
    assert filled == pytest.approx(size, rel=0.15)


def test_decoded_speech_is_counted_by_its_manifests(tiny_recipe: Recipe, tmp_path: Path, untraced: None):
    lines = [line for path in tiny_recipe.data.dir.glob("*/*.jsonl") for line in path.read_text().splitlines()]
    seconds = sum(json.loads(line)["duration_s"] for line in lines)
    text = estimate_text(plan_comparison(tiny_recipe, tmp_path / "out"))
    assert f"{seconds * 32_000 / 1e6:,.0f} MB for decoded speech" in text


def test_a_budget_that_is_more_than_there_is_is_refused(tiny_recipe: Recipe, tmp_path: Path):
    recipe = tiny_recipe.overridden({"compare.budgets_min": [0.05, 60]})
    with pytest.raises(InputError, match=r"A budget of 60 minutes is more than there is in .*train\.jsonl"):
        estimate_text(plan_comparison(recipe, tmp_path / "out"))


def test_speech_that_no_budget_needs_is_not_counted(
    tiny_recipe: Recipe, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    plan = plan_comparison(tiny_recipe, tmp_path / "out")
    whole = decoded_bytes(plan)
    monkeypatch.setattr(sampling, "SMALLEST_PART_S", 8.0)
    open_speech(plan)
    decoded = sum(path.stat().st_size for path in tiny_recipe.data.cache_dir.glob("*.pcm"))
    assert decoded_bytes(plan) == pytest.approx(decoded, rel=0.01)
    assert decoded < 0.95 * whole
