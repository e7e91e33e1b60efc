"""The search for weights. Runs are made up: their dev error is told by their weights."""

import json
from dataclasses import asdict
from pathlib import Path

import pytest

from speech_mtl.config import Recipe
from speech_mtl.errors import InputError
from speech_mtl.experiments import tune as searches
from speech_mtl.experiments.tune import best_weighting, tune, tuned_text
from speech_mtl.training.trainer import Progress

pytest.importorskip("optuna")


class Runs:
    """Stands for training: writes how far a run came, and counts."""

    def __init__(self, stop_at: int | None = None, fail_at: tuple[float, ...] = ()):
        self.trained: list[tuple[str, dict[str, float]]] = []
        self.stop_at, self.fail_at = stop_at, fail_at

    def __call__(self, recipe: Recipe, path: Path, *_others: object) -> None:
        if self.stop_at == len(self.trained):
            raise KeyboardInterrupt
        weights = recipe.weighting.weights  # pyright: ignore[reportAttributeAccessIssue]
        self.trained.append((path.name, weights))
        if set(self.fail_at) & set(weights.values()):
            raise InputError("It went wrong", expected="x", received="y", action="z")
        error = (weights["aa"] - 2.0) ** 2 / 100 + 0.1
        checkpoint = path / "checkpoints" / "000007"
        checkpoint.mkdir(parents=True, exist_ok=True)
        progress = Progress(update=7, best_error=error, best_update=5, wall_time_s=3.0)
        (checkpoint / "progress.json").write_text(json.dumps(asdict(progress)), encoding="utf-8")


@pytest.fixture
def made_up(monkeypatch):
    def use(runs: Runs) -> Runs:
        monkeypatch.setattr(searches, "run_stage", runs)
        return runs

    return use


def recipe(**settings: object) -> Recipe:
    values = {"weights": {"aa": [1, 2, 4], "mood": [0.5, 1]}} | settings
    return Recipe.model_validate(
        {
            "name": "x",
            "languages": {"aa": {}, "bb": {}},
            "tasks": {"mood": {}},
            "data": {"dir": "nowhere"},
            "tune": values,
        }
    )


def test_a_grid_is_tried_as_a_whole(made_up, tmp_path):
    runs = made_up(Runs())
    tuned = tune(recipe(), tmp_path)
    tried = {(weights["aa"], weights["mood"]) for _, weights in runs.trained}
    assert tried == {(a, m) for a in (1, 2, 4) for m in (0.5, 1)}
    assert len(runs.trained) == 6
    assert tuned["best"] is not None
    assert tuned["best"]["weights"]["aa"] == 2
    assert tuned["best"]["dev_error"] == 0.1
    assert json.loads((tmp_path / "tune.json").read_text(encoding="utf-8")) == tuned
    assert sorted(path.name for path in (tmp_path / "plots").iterdir()) == [
        f"{name}.{kind}" for name in ("history", "weights") for kind in ("png", "svg")
    ]


def test_a_finished_search_trains_nothing_more(made_up, tmp_path):
    made_up(Runs())
    first = tune(recipe(), tmp_path)
    again = made_up(Runs())
    assert tune(recipe(), tmp_path) == first
    assert again.trained == []


def test_a_stopped_search_goes_on_with_the_trial_it_was_in(made_up, tmp_path):
    first = made_up(Runs(stop_at=2))
    with pytest.raises(KeyboardInterrupt):
        tune(recipe(), tmp_path)
    second = made_up(Runs())
    tuned = tune(recipe(), tmp_path)
    assert len(tuned["trials"]) == 6
    names = [name for name, _ in first.trained + second.trained]
    assert names == [f"trial-{number:03d}" for number in range(6)]
    assert len({tuple(weights.items()) for _, weights in first.trained + second.trained}) == 6


def test_bayesian_search_stays_in_its_range_and_ends(made_up, tmp_path):
    runs = made_up(Runs())
    tuned = tune(recipe(sampler="bayes", weights={"aa": [0.25, 8]}, num_trials=25), tmp_path)
    tried = [weights["aa"] for _, weights in runs.trained]
    assert len(tried) == 25
    assert all(0.25 <= weight <= 8 for weight in tried)
    assert len(set(tried)) == 25
    assert tuned["best"] is not None
    assert abs(tuned["best"]["weights"]["aa"] - 2) < 0.5
    later = [abs(weight - 2) for weight in tried[15:]]
    earlier = [abs(weight - 2) for weight in tried[:10]]
    assert sum(later) / len(later) < sum(earlier) / len(earlier), "it learns where to look"


def test_a_failed_trial_does_not_stop_the_others(made_up, tmp_path):
    made_up(Runs(fail_at=(4,)))
    tuned = tune(recipe(), tmp_path)
    failed = [row for row in tuned["trials"] if row["dev_error"] is None]
    assert [row["weights"]["aa"] for row in failed] == [4, 4]
    assert tuned_text(tuned).splitlines()[-1].count("–") == 1


def test_all_trials_fail(made_up, tmp_path):
    made_up(Runs(fail_at=(1, 2)))
    with pytest.raises(InputError, match="All trials failed") as caught:
        tune(recipe(weights={"aa": [1, 2]}), tmp_path)
    assert "It went wrong" in caught.value.received


@pytest.mark.parametrize("weights", [{}, {"cc": [1, 2]}, {"aa": [1]}, {"aa": [2, 2]}])
def test_a_space_that_makes_no_sense(weights, tmp_path):
    with pytest.raises(InputError, match=r"tune\.weights is not right"):
        tune(recipe(weights=weights), tmp_path)


def test_another_search_in_the_folder(made_up, tmp_path):
    made_up(Runs())
    tune(recipe(), tmp_path)
    with pytest.raises(InputError, match="holds another search"):
        tune(recipe(weights={"aa": [1, 2]}), tmp_path)


def test_without_optuna(monkeypatch, tmp_path):
    monkeypatch.setattr(searches, "find_spec", lambda _name: None)
    with pytest.raises(InputError, match="optuna"):
        tune(recipe(), tmp_path)


def test_the_best_weights_can_be_typed():
    row = {"trial": 3, "weights": {"aa": 2.0, "mood": 0.5}, "dev_error": 0.1, "num_updates": 7, "wall_time_s": 1.0}
    tuned = {"recipe": "x", "sampler": "grid", "trials": [row], "best": row}
    typed = best_weighting(tuned)  # pyright: ignore[reportArgumentType]
    assert typed == "weighting={kind: fixed, weights: {aa: 2, mood: 0.5}}"
    settings = recipe().overridden({})
    assert settings.overridden({"weighting": {"kind": "fixed", "weights": row["weights"]}}).weighting.kind == "fixed"
