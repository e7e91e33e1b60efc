"""What every arm must hold to; arms are found by themselves."""

import itertools

import pytest

from speech_mtl.errors import InputError
from speech_mtl.settings.network import ProgressiveSettings
from speech_mtl.settings.recipe import Recipe
from speech_mtl.settings.training import UnfreezingSettings
from speech_mtl.study.arms import ARMS, Stage
from speech_mtl.study.statistics.rows import REFERENCE_ARM


def recipe(budget_s: float = 60.0, seed: int = 0, target: str | None = "bb") -> Recipe:
    return Recipe.model_validate(
        {
            "name": "three",
            "target": target,
            "languages": {"aa": {"budget_s": 77}, "bb": {"budget_s": budget_s}, "cc": {}},
            "data": {"dir": "data"},
            "training": {"cooldown_updates": 2},
            "compare": {"pretrain_updates": 7},
            "finetune": {"num_updates": 5, "learning_rate": 0.1, "frozen_factor": 7, "warmup_updates": 3},
            "seed": seed,
        }
    )


def stages(arm: str, *arguments) -> list[Stage]:
    return ARMS[arm](recipe(*arguments))


@pytest.mark.parametrize("arm", ARMS)
def test_an_arm_ends_with_the_target_at_its_budget(arm: str):
    last = stages(arm, 90.0)[-1].recipe
    assert last.target == ("bb" if arm != "multilingual" else None)
    assert last.languages["bb"].budget_s == 90.0
    assert last.seed == 0


@pytest.mark.parametrize("arm", ARMS)
def test_no_stage_sees_more_target_speech_than_the_budget(arm: str):
    for stage in stages(arm, 90.0):
        assert stage.recipe.languages.get("bb", recipe(90.0).languages["bb"]).budget_s == 90.0


@pytest.mark.parametrize("arm", ARMS)
def test_an_arm_leaves_speech_and_network_as_the_recipe_has_them(arm: str):
    """Dev and test manifests, features and encoder are those of every other arm: else arms could not be compared."""
    for stage in stages(arm):
        for key in ("features", "augment", "seed"):
            assert getattr(stage.recipe, key) == getattr(recipe(), key)
        ramp = {"ramp_to_target": arm == "joint_ramp"}
        assert stage.recipe.data == recipe().data.model_copy(update=ramp)
        encoder = stage.recipe.encoder
        columns = encoder.columns if isinstance(encoder, ProgressiveSettings) else ()
        assert all(one == recipe().encoder for one in ([column.encoder for column in columns] or [encoder]))
        for language, own in stage.recipe.languages.items():
            assert (own.budget_s, own.tokenizer) == (
                recipe().languages[language].budget_s,
                recipe().languages[language].tokenizer,
            )


def test_one_name_is_one_run():
    """Stages with the same name have the same settings, over all arms, budgets and seeds; and the other way round."""
    named: dict[str, Recipe] = {}
    cases = list(itertools.product(ARMS, (60.0, 90.0, 3600.0), (0, 1)))
    for arm, budget_s, seed in cases:
        for stage in stages(arm, budget_s, seed):
            assert named.setdefault(stage.name, stage.recipe) == stage.recipe
            assert "/" not in stage.name
    starts = {s.name: s.start for arm, b, seed in cases for s in stages(arm, b, seed)}
    settings = [(starts[name], recipe.to_yaml()) for name, recipe in named.items()]
    assert len(set(settings)) == len(settings)


def test_the_reference_arm_is_the_target_and_nothing_else():
    (only,) = stages(REFERENCE_ARM.method)
    assert list(only.recipe.languages) == ["bb"]
    assert only.start is None


def test_joint_has_all_languages_in_one_run():
    (only,) = stages("joint")
    assert list(only.recipe.languages) == ["aa", "bb", "cc"]


def test_pretraining_never_sees_the_target_and_is_the_start_of_finetuning():
    first, second = stages("pretrain_finetune")
    assert list(first.recipe.languages) == ["aa", "cc"]
    assert (first.recipe.target, first.start) == (None, None)
    assert list(second.recipe.languages) == ["bb"]
    assert second.start == first.name
    updates = (first.recipe.training.num_updates, second.recipe.training.num_updates)
    assert (*updates, second.recipe.training.learning_rate) == (7, 5, 0.1)
    assert second.recipe.training.warmup_updates == 3
    assert first.recipe.training.warmup_updates == recipe().training.warmup_updates != 3


def test_pretraining_may_be_one_run_for_all_seeds():
    once = [ARMS["pretrain_finetune"](recipe(60.0, seed).overridden({"compare.pretrain_seed": 4})) for seed in (0, 1)]
    firsts, lasts = zip(*once, strict=True)
    assert [first.name for first in firsts] == ["pretrain-seed4"] * 2
    assert firsts[0].recipe.of_one_run() == firsts[1].recipe.of_one_run()
    assert [first.recipe.seed for first in firsts] == [4, 4]
    assert [last.recipe.seed for last in lasts] == [0, 1]


def test_warm_up_follows_the_updates_of_each_stage():
    longer = {"compare.pretrain_updates": 1200, "finetune": {"num_updates": 100}}
    first, second = ARMS["pretrain_finetune"](recipe().overridden(longer))
    assert (first.recipe.training.warmup, second.recipe.training.warmup) == (200, 25)
    given = recipe().overridden(longer | {"training.warmup_updates": 600, "finetune.warmup_updates": 40})
    first, second = ARMS["pretrain_finetune"](given)
    assert (first.recipe.training.warmup, second.recipe.training.warmup) == (600, 40)


def test_a_stage_starts_from_one_before_it():
    for arm in ARMS:
        names = [stage.name for stage in stages(arm)]
        for i, stage in enumerate(stages(arm)):
            assert stage.start is None or stage.start in names[:i]


@pytest.mark.parametrize("arm", ARMS)
def test_auxiliaries_are_kept_where_that_is_asked_for(arm: str):
    """In stages that start from another: untrained, and beside the target."""
    kept = recipe().overridden({"compare.keep_auxiliaries": True})
    for before, stage in zip(stages(arm), ARMS[arm](kept), strict=True):
        if stage.start is None:
            assert stage.recipe.languages == before.recipe.languages
        else:
            assert set(stage.recipe.languages) == {"aa", "bb", "cc"}
            assert stage.recipe.trained_languages == (("aa", "cc", "bb") if arm == "rehearsal" else ("bb",))
        assert stage.name == before.name


@pytest.mark.parametrize("arm", ["adapters", "low_rank", "progressive"])
def test_arms_that_leave_the_encoder_as_it_is(arm: str):
    first, second = stages(arm)
    assert first == stages("pretrain_finetune")[0], "the pretraining is shared"
    assert second.start == first.name
    if arm == "progressive":
        assert isinstance(second.recipe.encoder, ProgressiveSettings)
        assert [column.languages for column in second.recipe.encoder.columns] == [("aa", "cc"), ("bb",)]
        trained = second.recipe.training
        assert (trained.num_updates, trained.learning_rate, trained.warmup) == (10, 2e-3, 2), "as any new network"
    else:
        assert second.recipe.adapters is not None
        assert second.recipe.training.unfreezing.kind == "heads"
        assert second.recipe.training.learning_rate == pytest.approx(0.7)


def test_a_new_column_is_trained_whatever_the_recipe_freezes():
    frozen = recipe().overridden(
        {"finetune.unfreezing": {"kind": "heads"}, "training.unfreezing": {"kind": "layerwise"}}
    )
    for arm, kind, rate in (
        ("progressive", "all", 2e-3),
        ("pretrain_finetune", "heads", 0.7),
        ("gradual", "gradual", 0.1),
    ):
        training = ARMS[arm](frozen)[1].recipe.training
        assert (training.unfreezing.kind, training.learning_rate) == (kind, pytest.approx(rate))


@pytest.mark.parametrize("arm", ["adapters", "low_rank"])
@pytest.mark.parametrize("kind", ["bottleneck", "low_rank"])
def test_arms_that_add_adapters_refuse_a_recipe_that_has_some(arm: str, kind: str):
    with pytest.raises(InputError, match=f"The arm {arm} adds adapters") as caught:
        ARMS[arm](recipe().overridden({"adapters": {"kind": kind}}))
    assert "adapters=null" in caught.value.action


@pytest.mark.parametrize("kind", sorted(UnfreezingSettings.kinds().keys() - {"all"}))
def test_every_way_of_unfreezing_is_an_arm(kind: str):
    first, second = stages(kind)
    assert first == stages("pretrain_finetune")[0]
    assert second.recipe.training.unfreezing.kind == kind
    there = stages("pretrain_finetune")[1].recipe
    rate = there.training.learning_rate * (7 if kind == "heads" else 1)
    assert second.recipe.training.learning_rate == rate
    same = {"training.unfreezing": {}, "training.learning_rate": there.training.learning_rate}
    assert second.recipe.overridden(same) == there


def test_rehearsal_hears_the_auxiliaries_again():
    first, second = stages("rehearsal")
    assert first == stages("pretrain_finetune")[0]
    assert second.recipe.training == stages("pretrain_finetune")[1].recipe.training
    shares = {name: own.share for name, own in second.recipe.languages.items()}
    assert shares == {"aa": pytest.approx(0.1), "cc": pytest.approx(0.1), "bb": None}


def test_rehearsal_weighs_the_auxiliaries_as_the_recipe_does():
    weighting = {"kind": "fixed", "weights": {"aa": 0.5, "bb": 2.0}}
    first, second = ARMS["rehearsal"](recipe().overridden({"weighting": weighting}))
    assert first.recipe.weighting.model_dump() == {"kind": "fixed", "weights": {"aa": 0.5}}
    assert second.recipe.weighting.model_dump() == weighting


def test_middle_shares_neither_the_lowest_nor_the_highest_layer():
    (only,) = stages("middle")
    assert (only.recipe.sharing.kind, list(only.recipe.languages)) == ("middle", ["aa", "bb", "cc"])


def test_joint_finetune_resumes_with_the_target_from_all_languages():
    first, second = stages("joint_finetune")
    assert list(first.recipe.languages) == ["aa", "bb", "cc"]
    assert first.recipe.target == "bb"
    assert (list(second.recipe.languages), second.start) == (["bb"], first.name)
    assert (first.recipe.training.num_updates, second.recipe.training.num_updates) == (7, 5)


def test_pretraining_is_shared_among_budgets_but_not_among_seeds():
    names = [stages("pretrain_finetune", budget, seed)[0].name for budget, seed in ((60, 0), (90, 0), (60, 1))]
    assert names[0] == names[1] != names[2]


@pytest.mark.parametrize("arm", ARMS)
def test_an_arm_without_a_target_is_refused(arm: str):
    with pytest.raises(InputError, match="has no target language"):
        ARMS[arm](recipe(target=None))


@pytest.mark.parametrize("arm", sorted(ARMS.keys() - {REFERENCE_ARM.method}))
def test_an_arm_with_help_is_refused_without_auxiliary_languages(arm: str):
    with pytest.raises(InputError, match="has no auxiliary language"):
        ARMS[arm](recipe().overridden({"languages": {"bb": {}}}))


def test_an_unknown_arm_is_named_with_those_there_are():
    with pytest.raises(InputError, match="no arm 'alnoe'") as caught:
        ARMS["alnoe"]
    assert all(arm in caught.value.expected for arm in ARMS)


@pytest.mark.parametrize("keep", [True, False])
def test_tasks_are_learnt_on_or_dropped_while_an_arm_fine_tunes(keep: bool):
    changes = {"tasks": {"phones": {"kind": "phones"}}, "finetune.keep_tasks": keep}
    first, last = (stage.recipe for stage in ARMS["pretrain_finetune"](recipe().overridden(changes)))
    assert list(first.tasks) == ["phones"]
    assert list(last.tasks) == (["phones"] if keep else [])
