"""Comparisons of settings, and of all languages as targets."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any
from unicodedata import normalize

import pytest

from benchmarks.readmes import refuse_drift
from speech_mtl.data.manifest import read_manifest, write_manifest
from speech_mtl.errors import InputError
from speech_mtl.settings.network import ConformerSettings
from speech_mtl.settings.recipe import Recipe
from speech_mtl.study import results as report
from speech_mtl.study.compare import compare
from speech_mtl.study.plan import plan_comparison
from speech_mtl.study.report.content import short_text


def recipe(target: str | None = "bb", languages: dict | None = None, **compared: object) -> Recipe:
    return Recipe.model_validate(
        {
            "name": "three",
            "target": target,
            "languages": languages or {"aa": {}, "bb": {}, "cc": {}},
            "data": {"dir": "data"},
            "compare": {"budgets_min": [1], "arms": ["alone", "joint"], **compared},
        }
    )


def test_every_arm_is_run_with_every_variant():
    variants = {"small": {"encoder.dim": 72}, "slow": {"training": {"learning_rate": 1e-4}}}
    plan = plan_comparison(recipe(variants=variants), Path("out"))
    assert [cell.arm.name for cell in plan.cells] == ["alone:small", "joint:small", "alone:slow", "joint:slow"]
    small, slow = plan.stages["joint-1min-seed0-small"].recipe, plan.stages["joint-1min-seed0-slow"].recipe
    assert (small.encoder, slow.encoder) == (ConformerSettings(dim=72), ConformerSettings())
    assert (small.training.learning_rate, slow.training.learning_rate) == (2e-3, 1e-4)
    assert slow.languages["bb"].budget_s == 60.0


def test_a_variant_may_have_other_languages():
    variants = {"few": {"languages": {"aa": {}, "bb": {}}}, "all": {}}
    plan = plan_comparison(recipe(variants=variants), Path("out"))
    assert list(plan.stages["joint-1min-seed0-few"].recipe.languages) == ["aa", "bb"]
    by_arm = {cell.arm.name: cell.stages for cell in plan.cells}
    assert by_arm["alone:few"] == by_arm["alone"], "what a variant does not change is run once"
    assert by_arm["joint:few"] != by_arm["joint"]


def test_shared_pretraining_is_found_under_its_first_name():
    variants = {"a": {"finetune.num_updates": 7}, "b": {"finetune.num_updates": 9}}
    plan = plan_comparison(recipe(arms=["pretrain_finetune"], variants=variants), Path("out"))
    for cell in plan.cells:
        first, last = (plan.stages[name] for name in cell.stages)
        assert last.start == first.name
        assert last.recipe.init_from == plan.run_path(first.name)
    assert len({cell.stages[0] for cell in plan.cells}) == 1


def test_what_bears_on_one_arm_only_leaves_the_runs_of_others():
    variants = {"a": {}, "longer": {"compare.pretrain_updates": 7}}
    plan = plan_comparison(recipe(arms=["alone", "pretrain_finetune"], variants=variants), Path("out"))
    by_arm = {cell.arm.name: cell.stages for cell in plan.cells}
    assert by_arm["alone"] == by_arm["alone:longer"] == ("alone-1min-seed0",)
    assert len(plan.stages) == 1 + 2 * 2


def test_a_variant_can_have_arms_of_its_own():
    variants = {"plain": {}, "longer": {"compare.pretrain_updates": 7, "compare.arms": ["pretrain_finetune"]}}
    plan = plan_comparison(recipe(arms=["alone", "joint"], variants=variants), Path("out"))
    assert [cell.arm.name for cell in plan.cells] == ["alone", "joint", "pretrain_finetune:longer"]


def test_without_a_target_every_language_is_one():
    plan = plan_comparison(recipe(target=None, arms=["alone", "multilingual"]), Path("out"))
    assert [(cell.target, cell.arm.name) for cell in plan.cells] == [
        (language, arm) for language in ("aa", "bb", "cc") for arm in ("alone", "multilingual")
    ]
    together = {cell.stages for cell in plan.cells if cell.arm.name == "multilingual"}
    assert together == {("multilingual-1min-seed0",)}, "one run for all"
    assert plan.stages["multilingual-1min-seed0"].recipe.target is None
    assert {s.budget_s for s in plan.stages["multilingual-1min-seed0"].recipe.languages.values()} == {60.0}
    assert [name for name in plan.stages if "alone" in name] == [f"{x}-alone-1min-seed0" for x in ("aa", "bb", "cc")]


def test_pretraining_of_several_targets_is_not_mixed_up():
    plan = plan_comparison(recipe(target=None, arms=["pretrain_finetune"]), Path("out"))
    for cell in plan.cells:
        first, last = (plan.stages[name].recipe for name in cell.stages)
        assert list(first.languages) == [language for language in ("aa", "bb", "cc") if language != cell.target]
        assert list(last.languages) == [cell.target]
    assert len(plan.stages) == 6


def test_a_language_keeps_a_smaller_budget_of_its_own():
    languages = {"aa": {"budget_s": 30}, "bb": {"budget_s": 600}, "cc": {}}
    plan = plan_comparison(recipe(target=None, languages=languages, arms=["multilingual"]), Path("out"))
    (stage,) = plan.stages.values()
    assert [s.budget_s for s in stage.recipe.languages.values()] == [30.0, 60.0, 60.0]
    assert {cell.budget_s for cell in plan.cells} == {60.0}


def test_amounts_that_are_one_run_have_a_row_each(tiny_recipe: Recipe, tmp_path: Path, untraced: None):
    """A language has less speech than either amount: its row stands beside those of the others at both."""
    changes = {"target": None, "languages.aa.budget_s": 3, "training": {"num_updates": 1, "evaluate_every": 1}}
    compared = {"arms": ["alone"], "budgets_min": [0.06, 0.1], "num_replications": 100}
    settings = tiny_recipe.overridden(changes | {f"compare.{key}": one for key, one in compared.items()})
    compare(settings, tmp_path / "out")
    rows = [row for row in report.load(tmp_path / "out").rows if row["language"] == "aa" and row["split"] == "test"]
    assert sorted(row["budget_s"] for row in rows) == pytest.approx([3.6, 6.0])


@pytest.mark.parametrize(
    ("compared", "problem"),
    [
        ({"variants": {"x": {"encoder.dimm": 3}}}, "compare.variants.x: unknown key 'encoder.dimm'"),
        ({"variants": {"x": {"compare.finetune_updates": 3}}}, "unknown key 'compare.finetune_updates'"),
        ({"variants": {"x": {"languages": {"aa": {}}}}}, "compare.variants.x: the recipe is not right"),
        ({"reference": "joint:x"}, "no arm 'joint:x'"),
        ({"variants": {"x": {"seed": 1}}, "reference": "joint:y"}, "no arm 'joint:y'"),
        ({"variants": {"x": {}}, "reference": "joint:x"}, "no arm 'joint:x'"),
    ],
)
def test_what_makes_no_comparison_is_refused(compared, problem):
    with pytest.raises(InputError, match=problem):
        plan_comparison(recipe(**compared), Path("out"))


def test_variants_that_are_called_like_controls_share_no_run():
    """The run of a variant's control, and that of another variant, may have one name; some disks know no capitals."""
    names = ("x", "noise-x", "noise", "X", "without_cc-x", "\u0161", "\u0160")
    rates = {name: 1e-3 * (number + 1) for number, name in enumerate(names)}
    variants = {name: {"training": {"learning_rate": rate}} for name, rate in rates.items()}
    settings = recipe(variants=variants, controls={"noise": True, "leave_one_out": True})
    plan = plan_comparison(settings, Path("out"))
    assert len({normalize("NFC", name).casefold() for name in plan.stages}) == len(plan.stages) == len(plan.cells)
    for cell in plan.cells:
        (stage,) = (plan.stages[name].recipe for name in cell.stages)
        assert stage.training.learning_rate == rates[cell.arm.variant]
        replaced = {one.replace for language, one in stage.languages.items() if language != "bb"}
        assert replaced == (
            {"noise"} if cell.arm.control == "noise" else set() if cell.arm.method == "alone" else {None}
        )
        assert ("cc" in stage.languages) == (cell.arm.method != "alone" and cell.arm.auxiliary != "cc")
    plain = {"joint-1min-seed0-x", "joint-1min-seed0-noise-x", "joint-1min-seed0-noise", "alone-1min-seed0-x"}
    assert plain < plan.stages.keys(), "names that nothing else has stay as they are"
    assert (
        plan_comparison(recipe(variants=variants, controls={"noise": True, "leave_one_out": True}), Path("out")) == plan
    )


@pytest.mark.parametrize("reference", ["alone", "joint", "joint:x"])
def test_references(reference):
    plan_comparison(recipe(variants={"x": {"seed": 1}}, reference=reference), Path("out"))


def with_emotions(data_dir: Path) -> None:
    """Half of the utterances, in every split, have a label."""
    for path in data_dir.glob("*/*.jsonl"):
        labels = [{"emotion": None if n % 2 else ["calm", "angry"][n // 2 % 2]} for n in range(12)]
        pairs = zip(read_manifest(path), labels, strict=False)
        write_manifest(path, [replace(utterance, labels=own) for utterance, own in pairs])


def test_a_comparison_of_tasks_and_its_report(tiny_recipe: Recipe, tmp_path: Path, untraced):
    with_emotions(tiny_recipe.data.dir)
    settings = tiny_recipe.overridden(
        {
            "target": None,
            "tasks": {"emotion": {}, "speaker": {"pooling": "mean"}},
            "training.num_updates": 2,
            "training.evaluate_every": 1,
            "compare.arms": ["multilingual"],
            "compare.budgets_min": [0.1],
            "compare.reference": "multilingual:equal",
            "compare.num_replications": 100,
            "compare.variants": {
                "equal": {"training.log_conflicts": True},
                "uncertainty": {"weighting": {"kind": "uncertainty"}},
            },
        }
    )
    results = compare(settings, tmp_path / "out")
    tasks = {(row["task"], row["arm"].name, row["language"]) for row in results.rows if "task" in row}
    arms = ("multilingual:equal", "multilingual:uncertainty")
    assert tasks == {(t, arm, language) for t in ("emotion", "speaker") for arm in arms for language in ("aa", "bb")}
    emotions: list[Any] = [row for row in results.rows if row.get("task") == "emotion" and row["split"] == "test"]
    assert {(row["num_utterances"], row["num_labelled"], row["counted"]) for row in emotions} == {(3, 2, 2.0)}
    transcripts = [row for row in results.rows if "task" not in row]
    assert len(transcripts) == 2 * 2 * 2, "each run's languages and splits come once"

    table = short_text(results.summary)
    assert "mean of languages" in table
    assert "emotion: accuracy %" in table
    name = lambda arm: f"{arm['method']}:{arm['variant']}"  # noqa: E731
    told = json.loads((tmp_path / "out" / "curves.json").read_text(encoding="utf-8"))
    assert {(name(one["arm"]), one["task"]) for one in told["curves"]} == {
        (arm, task) for arm in arms for task in ("aa", "bb", "emotion", "speaker")
    }
    assert {name(one["arm"]) for one in told["conflicts"]} == {"multilingual:equal"}
    counts = {(name(one["arm"]), one["task"]): (one["labelled"], one["utterances"]) for one in told["labels"]}
    used = counts[arms[0], "aa"][1] + counts[arms[0], "bb"][1]
    assert counts[arms[0], "speaker"] == (used, used)
    assert 0 < counts[arms[0], "emotion"][0] < used == counts[arms[0], "emotion"][1]

    loaded = report.load(tmp_path / "out")
    assert loaded == results
    refuse_drift(loaded, tmp_path / "out")
    numbers = tmp_path / "out" / "tasks.json"
    numbers.write_text(numbers.read_text(encoding="utf-8").replace("0.", "1.", 1), encoding="utf-8")
    with pytest.raises(InputError, match="differs from the results"):
        refuse_drift(loaded, tmp_path / "out")
    page = (tmp_path / "out" / "report.md").read_text(encoding="utf-8")
    assert "## Each task" in page
    assert "Weight of each task by update" in page
