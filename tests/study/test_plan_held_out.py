"""Validation and test speech that is in the training speech of some run of a comparison."""

import json
from pathlib import Path

from recorded_screen import RecordedScreen

from speech_mtl.data.manifest import manifest_path
from speech_mtl.run.speech import open_split
from speech_mtl.settings.recipe import Recipe
from speech_mtl.study.held_out import check_plan
from speech_mtl.study.plan import open_speech, plan_comparison


def test_speech_of_every_variant_is_looked_at(tiny_recipe: Recipe, tmp_path: Path):
    """Each draws another part of the same manifest, with a test utterance in it that is not in the other."""
    variants = {"a": {}, "b": {"data.subset_seed": 1}}
    recipe = tiny_recipe.overridden(
        {"compare.variants": variants, "compare.arms": ["alone"], "compare.budgets_min": [0.06], "compare.seeds": [0]}
    )
    drawn = [
        set(open_split(recipe.overridden({**changes, "languages.aa.budget_s": 3.6}), "aa", "train").positions.tolist())
        for changes in variants.values()
    ]
    leaked = [min(drawn[0] - drawn[1]), min(drawn[1] - drawn[0])]
    train, test = (manifest_path(recipe.data.dir, "aa", split) for split in ("train", "test"))
    lines = train.read_text().splitlines()
    more = [json.dumps(json.loads(lines[position]) | {"id": f"leak {position}"}) for position in leaked]
    test.write_text(test.read_text() + "\n".join(more) + "\n")
    plan, screen = plan_comparison(recipe, tmp_path / "out"), RecordedScreen()
    check_plan(plan, open_speech(plan), screen)
    told = "\n".join(line for line in screen.lines if "are in training" in line)
    assert all(f"train.jsonl:{position + 1}" in told for position in leaked), screen.lines
