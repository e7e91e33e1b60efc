"""The search for weights. Runs are made up: their dev error is told by their weights."""

import json
import sys
from concurrent.futures.process import BrokenProcessPool
from dataclasses import asdict
from pathlib import Path

import pytest

from speech_mtl.errors import InputError
from speech_mtl.folders import claim_folder
from speech_mtl.settings.dotted import parsed_overrides
from speech_mtl.settings.recipe import Recipe
from speech_mtl.study import tune as searches
from speech_mtl.study.search import open_study
from speech_mtl.study.tune import best_weighting, tune, tuned_text
from speech_mtl.training.progress import Progress

optuna = pytest.importorskip("optuna")


class Runs:
    """Stands for training: writes how far a run came, and counts."""

    def __init__(self, stop_at: int | None = None, fail_at: tuple[float, ...] = (), kill_at: int | None = None):
        self.trained: list[tuple[str, dict[str, float]]] = []
        self.stop_at, self.fail_at, self.kill_at = stop_at, fail_at, kill_at

    def __call__(self, recipe: Recipe, path: Path, *_others: object) -> None:
        if self.stop_at == len(self.trained):
            raise KeyboardInterrupt
        if path.name == f"trial-{self.kill_at or -1:03d}":
            raise BrokenProcessPool
        weights = recipe.weighting.weights  # pyright: ignore[reportAttributeAccessIssue]
        self.trained.append((path.name, weights))
        if set(self.fail_at) & set(weights.values()):
            raise InputError("It went wrong", expected="x", received="y", action="z")
        error = (weights["aa"] - 2.0) ** 2 / 100 + 0.1
        checkpoint = path / "checkpoints" / "000007"
        checkpoint.mkdir(parents=True, exist_ok=True)
        (path / "best" / "000005").mkdir(parents=True, exist_ok=True)
        progress = Progress(update=7, best_error=error, best_update=5, wall_time_s=3.0)
        (checkpoint / "progress.json").write_text(json.dumps(asdict(progress)), encoding="utf-8")


@pytest.fixture
def made_up(monkeypatch):
    def use(runs: Runs) -> Runs:
        monkeypatch.setattr(searches, "run_stage", runs)
        monkeypatch.setattr(searches, "_refuse_other_speech", lambda *_: None)
        return runs

    return use


def recipe(weighting: dict | None = None, **settings: object) -> Recipe:
    return Recipe.model_validate(
        {
            "name": "x",
            "about": "Tones.",
            "languages": {"aa": {}, "bb": {}},
            "tasks": {"mood": {}},
            "weighting": weighting or {},
            "data": {"dir": "nowhere"},
            "tune": {"weights": {"aa": [1, 2, 4], "mood": [0.5, 1]}} | settings,
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


def test_a_stopped_search_resumes_with_the_trial_it_was_in(made_up, tmp_path):
    first = made_up(Runs(stop_at=2))
    with pytest.raises(KeyboardInterrupt):
        tune(recipe(), tmp_path)
    second = made_up(Runs())
    tuned = tune(recipe(), tmp_path)
    assert len(tuned["trials"]) == 6
    names = [name for name, _ in first.trained + second.trained]
    assert names == [f"trial-{number:03d}" for number in range(6)]
    assert len({tuple(weights.items()) for _, weights in first.trained + second.trained}) == 6


def test_a_trial_that_was_stopped_while_its_weights_were_drawn_gets_the_others(made_up, tmp_path):
    claim_folder(tmp_path, "tune")
    open_study(recipe(), tmp_path).ask().suggest_categorical("aa", [1, 2, 4])
    runs = made_up(Runs())
    tuned = tune(recipe(), tmp_path)
    assert {tuple(weights) for _, weights in runs.trained} == {("aa", "mood")}
    assert len({tuple(weights.values()) for _, weights in runs.trained}) == len(tuned["trials"]) == 6


def test_a_trial_whose_process_was_killed_is_resumed_by_the_same_command(made_up, tmp_path):
    first = made_up(Runs(kill_at=2))
    with pytest.raises(InputError, match="The process that ran 2 was ended from outside") as caught:
        tune(recipe(), tmp_path)
    assert "resume" in caught.value.action
    second = made_up(Runs())
    assert len(tune(recipe(), tmp_path)["trials"]) == 6
    assert [name for name, _ in second.trained] == ["trial-002"]
    assert len(first.trained) == 5, "the others went on"


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
    assert sum(later) / len(later) < sum(earlier) / len(earlier), "it learns where to sample"


def test_a_stopped_bayesian_search_does_not_draw_the_same_again(made_up, tmp_path):
    searched = recipe(sampler="bayes", weights={"aa": [0.25, 8]}, num_trials=8)
    first = made_up(Runs(stop_at=3))
    with pytest.raises(KeyboardInterrupt):
        tune(searched, tmp_path)
    second = made_up(Runs())
    tune(searched, tmp_path)
    tried = [weights["aa"] for _, weights in first.trained + second.trained]
    assert len(tried) == len(set(tried)) == 8


def test_weights_that_the_recipe_gives_are_those_of_every_trial(made_up, tmp_path):
    given = {"kind": "fixed", "weights": {"bb": 0.3, "aa": 7}}
    runs = made_up(Runs())
    tuned = tune(recipe(given, weights={"aa": [1, 2]}), tmp_path)
    assert [weights for _, weights in runs.trained] == [{"bb": 0.3, "aa": 1}, {"bb": 0.3, "aa": 2}]
    assert best_weighting(tuned) == "weighting={kind: fixed, weights: {bb: 0.3, aa: 2}}"


def test_a_recipe_with_a_strategy_of_its_own(tmp_path):
    with pytest.raises(InputError, match="has another strategy") as caught:
        tune(recipe({"kind": "uncertainty"}), tmp_path)
    assert caught.value.received == "weighting.kind: uncertainty"


def test_a_weight_is_tried_once_and_shown_however_small(made_up, tmp_path):
    runs = made_up(Runs())
    tuned = tune(recipe(weights={"aa": [1e-6, 1e-6, 2]}), tmp_path)
    assert [weights["aa"] for _, weights in runs.trained] == [1e-6, 2]
    assert [row["weights"]["aa"] for row in tuned["trials"]] == [1e-6, 2]


def test_what_the_figures_come_from_stands_above_them(made_up, tmp_path):
    made_up(Runs())
    tune(recipe(), tmp_path)
    table = (tmp_path / "tune.md").read_text(encoding="utf-8")
    assert table.startswith("Tones.\n\nTrials, the best on the validation set first, 1 seed each:\n\n| Trial |")
    for name in ("history", "weights"):
        drawn = (tmp_path / "plots" / f"{name}.svg").read_text(encoding="utf-8")
        assert ">Tones.</text>" in drawn
        assert "1 seed each</text>" in drawn


def test_a_failed_trial_does_not_stop_the_others(made_up, tmp_path):
    made_up(Runs(fail_at=(4,)))
    tuned = tune(recipe(), tmp_path)
    failed = [row for row in tuned["trials"] if row["dev_error"] is None]
    assert [row["weights"]["aa"] for row in failed] == [4, 4]
    assert tuned_text(tuned, recipe()).splitlines()[-1].count("–") == 1


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
    with pytest.raises(InputError, match="holds another search") as caught:
        tune(recipe(weights={"aa": [1, 2], "mood": [0.5, 1]}), tmp_path)
    assert caught.value.received == "tune.weights.aa: [1.0, 2.0, 4.0] -> [1.0, 2.0]"


@pytest.mark.parametrize(
    ("changes", "named"),
    [
        ({"training.num_updates": 500}, "training.num_updates: 2000 -> 500"),
        ({"seed": 1}, "seed: 0 -> 1"),
        ({"weighting": {"kind": "fixed", "weights": {"bb": 3}}}, "weighting.weights.bb: null -> 3.0"),
    ],
)
def test_trials_of_other_settings_in_the_folder(changes, named, made_up, tmp_path):
    made_up(Runs())
    tune(recipe(), tmp_path)
    with pytest.raises(InputError, match="one with other settings") as caught:
        tune(recipe().overridden(changes), tmp_path)
    assert named in caught.value.received


def test_more_trials_and_other_words_are_no_other_settings(made_up, tmp_path):
    searched = recipe(sampler="bayes", weights={"aa": [0.25, 8]}, num_trials=2)
    made_up(Runs())
    tune(searched, tmp_path)
    tuned = tune(searched.overridden({"tune.num_trials": 3, "about": "Beeps.", "compare.seeds": [1]}), tmp_path)
    assert len(tuned["trials"]) == 3
    assert tuned["about"] == "Beeps."


def test_without_optuna(monkeypatch, tmp_path):
    monkeypatch.setitem(sys.modules, "optuna", None)
    with pytest.raises(InputError, match="needs the package 'optuna', which is not installed"):
        tune(recipe(), tmp_path)


def test_the_best_weights_can_be_typed():
    weights = {"aa": 0.12346, "mood": 1e-6}
    row = {"trial": 3, "weights": weights, "dev_error": 0.1, "num_updates": 7, "wall_time_s": 1.0}
    tuned = {"recipe": "x", "about": "", "sampler": "grid", "trials": [row], "best": row}
    typed = best_weighting(tuned)  # pyright: ignore[reportArgumentType]
    trained = recipe().overridden(parsed_overrides([typed]))
    assert trained.weighting.model_dump() == {"kind": "fixed", "weights": weights}
