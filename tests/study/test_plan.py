"""Which cells and runs a comparison and a transfer map consist of."""

import re
from pathlib import Path

import pytest

from speech_mtl.errors import InputError
from speech_mtl.settings.decoding import GreedyDecoding
from speech_mtl.settings.dotted import parsed_overrides
from speech_mtl.settings.recipe import Recipe
from speech_mtl.study.arms import Stage
from speech_mtl.study.plan import _alike, plan_comparison


def recipe(**compare: object) -> Recipe:
    return Recipe.model_validate(
        {
            "name": "three",
            "target": "bb",
            "languages": {"aa": {}, "bb": {}, "cc": {}},
            "data": {"dir": "data"},
            "compare": {"budgets_min": [1], "arms": ["alone", "pretrain_finetune"], **compare},
        }
    )


def test_every_cell_comes_once_the_smallest_budget_first():
    plan = plan_comparison(recipe(budgets_min=[3, 1], seeds=[1, 2]), Path("out"))
    assert [(cell.budget_s, cell.seed, cell.arm.name) for cell in plan.cells] == [
        (b, s, a) for b in (60.0, 180.0) for s in (1, 2) for a in ("alone", "pretrain_finetune")
    ]


def test_a_shared_run_is_there_once():
    plan = plan_comparison(recipe(budgets_min=[1, 3], seeds=[0, 1]), Path("out"))
    assert sum(name.startswith("pretrain-") for name in plan.stages) == 2
    assert len(plan.stages) == 2 + len(plan.cells)
    assert plan.num_updates() == sum(stage.recipe.training.num_updates for stage in plan.stages.values())


@pytest.mark.filterwarnings("ignore:Pydantic serializer warnings")
def test_runs_that_decode_in_other_ways_are_others():
    """Each is evaluated once, in its own way."""
    one, other = Stage("one", recipe()), GreedyDecoding.model_construct(kind="other")  # pyright: ignore[reportArgumentType]
    assert _alike(one, Stage("two", recipe()))
    assert not _alike(one, Stage("two", recipe().model_copy(update={"decoding": other})))


def test_what_starts_from_another_run_names_its_folder():
    plan = plan_comparison(recipe(), Path("out"))
    last = plan.stages[plan.cells[-1].stages[-1]]
    assert last.start is not None
    assert last.recipe.init_from == plan.run_path(last.start) == Path("out/runs/pretrain-seed0")


def test_runs_come_after_those_they_start_from():
    plan = plan_comparison(recipe(budgets_min=[1, 3], arms=["pretrain_finetune", "joint_finetune"]), Path("out"))
    names = list(plan.stages)
    for name, stage in plan.stages.items():
        assert stage.start is None or names.index(stage.start) < names.index(name)


def test_a_transfer_map_has_every_pair_and_alone():
    plan = plan_comparison(recipe(seeds=[0, 1]), Path("out"), pairs=True)
    for seed in (0, 1):
        cells = [(cell.target, cell.arm.auxiliary or None) for cell in plan.cells if cell.seed == seed]
        languages = ("aa", "bb", "cc")
        pairs = [(target, other if other != target else None) for target in languages for other in languages]
        assert sorted(cells, key=str) == sorted(pairs, key=str)
    for cell in plan.cells:
        first = plan.stages[cell.stages[0]].recipe
        auxiliary = cell.arm.auxiliary or None
        assert set(first.languages) == ({auxiliary} if auxiliary else {cell.target})


def test_targets_share_the_pretraining_of_an_auxiliary_but_no_run_of_their_own():
    plan = plan_comparison(recipe(), Path("out"), pairs=True)
    assert sum(stage.recipe.target is None for stage in plan.stages.values()) == 3
    assert len(plan.stages) == 3 + 3 + 6
    for cell in plan.cells:
        last = plan.stages[cell.stages[-1]].recipe
        assert (last.target, list(last.languages)) == (cell.target, [cell.target])
        assert last.languages[cell.target].budget_s == 60.0


def test_joint_finetune_can_be_mapped_too():
    plan = plan_comparison(recipe(arms=["joint_finetune"]), Path("out"), pairs=True)
    for cell in plan.cells:
        for name in cell.stages:
            start = plan.stages[name].start
            assert start is None or start in cell.stages


@pytest.mark.parametrize(
    ("change", "key"),
    [
        ({"budgets_min": [1, 2]}, "compare.budgets_min"),
        ({"arms": ["joint", "pretrain_finetune"]}, "compare.arms"),
        ({"arms": ["alone"]}, "compare.arms"),
        ({"variants": {"small": {"encoder.dim": 8}}}, "compare.variants"),
        ({"controls": {"noise": True, "leave_one_out": True}}, "compare.controls"),
    ],
)
def test_a_transfer_map_is_of_one_budget_and_one_arm(change: dict, key: str):
    with pytest.raises(InputError, match=f"A transfer map is of (one|no) value of {key}") as refused:
        plan_comparison(recipe(**change), Path("out"), pairs=True)
    proposed = parsed_overrides(re.findall("'(.*)'", refused.value.action))
    assert plan_comparison(recipe(**change).overridden(proposed), Path("out"), pairs=True).cells


def test_a_transfer_map_needs_two_languages():
    with pytest.raises(InputError, match="has no auxiliary language"):
        plan_comparison(recipe().overridden({"languages": {"bb": {}}}), Path("out"), pairs=True)


def test_weights_that_will_not_fit_are_refused_before_they_are_trained():
    with pytest.raises(InputError, match=r"cannot start from pretrain-seed0, whose network differs: encoder\.dim"):
        plan_comparison(recipe(pretrain_changes={"encoder.dim": 32}), Path("out"))


def test_no_target_is_in_its_own_pretraining():
    every = recipe(arms=["pretrain_finetune"], pretrain_changes={"encoder.dropout": 0.2}).overridden({"target": None})
    plan = plan_comparison(every, Path("out"))
    assert len(plan.cells) == 3
    for cell in plan.cells:
        first = plan.stages[cell.stages[0]].recipe
        assert cell.target not in first.languages
        assert first.encoder.model_dump()["dropout"] == 0.2
