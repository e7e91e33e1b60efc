"""A comparison that keeps old languages: what was forgotten is measured, and in some arms it is nothing."""

from collections.abc import Callable
from dataclasses import replace

import pytest

from benchmarks.readmes import refuse_drift
from speech_mtl.errors import InputError
from speech_mtl.files import read_json
from speech_mtl.settings.recipe import Recipe
from speech_mtl.study import results as report
from speech_mtl.study.compare import compare
from speech_mtl.study.plan import plan_comparison
from speech_mtl.study.report.content import short_text
from speech_mtl.study.statistics.summary import Estimate, Forgotten

FROZEN = ("adapters", "progressive")


def test_what_each_arm_forgets(
    tiny_recipe: Recipe, make_corpus: Callable, tmp_path_factory, untraced: None, monkeypatch: pytest.MonkeyPatch
):
    folder = tmp_path_factory.mktemp("old")
    recipe = tiny_recipe.overridden(
        {
            "data.dir": str(make_corpus(data_dir=folder / "data")),
            "data.cache_dir": str(folder / "cache"),
            "training": {"num_updates": 2, "evaluate_every": 2, "learning_rate": 0.05},
            "compare.budgets_min": [0.06],
            "compare.arms": ["pretrain_finetune", "rehearsal", *FROZEN],
            "finetune.learning_rate": 0.05,
            "compare.keep_auxiliaries": True,
            "compare.num_replications": 200,
        }
    )
    assert recipe.target == "aa"
    plan = plan_comparison(recipe, folder / "out")
    assert plan.tested == plan.stages.keys(), "pretraining is tested, too"
    results = compare(recipe, folder / "out")
    rows = read_json(folder / "out" / "forgetting.json", list[Forgotten])
    assert [(row.language, row.arm.name) for row in rows] == [("bb", arm) for arm in recipe.compare.arms]
    for row in rows:
        if row.arm.name in FROZEN:
            assert (row.growth, row.same) == (Estimate(0, 0, 0), True)
        assert row.before == pytest.approx(rows[0].before, abs=1e-4), "one pretraining for all"
    assert "## What was forgotten" in (folder / "out" / "report.md").read_text()
    sizes = {one.arm.name: one for one in results.training.sizes}
    assert sizes["pretrain_finetune"].trained < sizes["pretrain_finetune"].total, "old output layers are not trained"
    assert sizes["adapters"].trained == sizes["adapters"].own < sizes["adapters"].total / 2
    assert sizes["progressive"].total > 2 * sizes["pretrain_finetune"].total * 0.8
    loaded = report.load(folder / "out")
    assert report.json_files(loaded.summary) == report.json_files(results.summary)
    refuse_drift(loaded, folder / "out")
    forgotten = folder / "out" / "forgetting.json"
    content, former = forgotten.read_bytes(), folder / "out" / "old_languages.jsonl"
    report.save(replace(loaded, old=[]), folder / "out", rows="comparison.json")
    with pytest.raises(InputError, match=r"forgetting\.json differs"):
        refuse_drift(report.load(folder / "out"), folder / "out")
    report.write_report(report.load(folder / "out"), folder / "out")
    assert not forgotten.exists(), "what these results have not is not left there of others"
    assert not former.exists()
    report.save(loaded, folder / "out", rows="comparison.json")
    report.write_report(loaded, folder / "out")
    assert forgotten.read_bytes() == content
    monkeypatch.setattr("speech_mtl.study.report.content.MOST_ARMS_ACROSS", 3)
    lines = short_text(results.summary).splitlines()
    assert [line.split(" | ")[1] for line in lines if line.startswith("| 0.06 min")] == list(recipe.compare.arms)
