"""Arms: ways of training the same network for the same target language.

An arm is a function that turns a recipe with its budget and seed into stages, run one after another; the last stage's
run is the one that is evaluated. To add an arm, write such a function under `@ARMS.add`; the conformance test in
`tests/study/test_arms.py` finds it by itself. `controls.py` makes further arms out of these.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

from speech_mtl.errors import InputError
from speech_mtl.registry import Registry
from speech_mtl.run.finetune import METHODS, beside, finetuned
from speech_mtl.settings.data import LanguageSettings
from speech_mtl.settings.recipe import Recipe
from speech_mtl.study import protocols


@dataclass(frozen=True)
class Stage:
    """One run of an arm.

    Attributes:
        name: Of the run's folder. Stages of several arms or budgets with the same name are one run, done once.
        recipe: Its settings.
        start: Name of the stage from whose weights it starts; None for random weights.
    """

    name: str
    recipe: Recipe
    start: str | None = None


START = "runs/the-run-it-starts-from"
"""Placeholder for the run folder of `Stage.start`, which only the plan knows."""

StagesOf = Callable[[Recipe], list[Stage]]
"""Recipe with budget and seed -> stages."""

REHEARSED = 0.2
"""Fraction of the speech that the arm `rehearsal` takes from the auxiliary languages."""

ARMS: Registry[StagesOf] = Registry("compare.arms: there is no arm {}")
"""Every arm by name."""


@ARMS.add
def alone(recipe: Recipe) -> list[Stage]:
    """The monolingual baseline: only the target language."""
    only = target_only(recipe)
    return [Stage(_named("alone", recipe), only.overridden(protocols.whole(only, alone=True)))]


@ARMS.add
def joint(recipe: Recipe) -> list[Stage]:
    """Target and auxiliary languages together.

    Reference: Huang et al. 2013, "Cross-language knowledge transfer using multilingual deep neural network with shared
    hidden layers", section 3.
    """
    auxiliaries_of(recipe)
    return [Stage(_named("joint", recipe), recipe.overridden(protocols.whole(recipe, alone=False)))]


@ARMS.add
def joint_ramp(recipe: Recipe) -> list[Stage]:
    """As `joint`, and over the cooldown the target's fraction of the speech rises to 1.

    Reference: as for `data.sampling.Ramp`.
    """
    target_of(recipe)
    (stage,) = joint(recipe.overridden({"data.ramp_to_target": True}, where="compare.arms: joint_ramp"))
    return [replace(stage, name=_named("joint_ramp", recipe))]


@ARMS.add
def multilingual(recipe: Recipe) -> list[Stage]:
    """All languages together, none of them the target: early stopping uses the mean error of all.

    In a comparison of several targets it is one run for all of them.

    Reference: Huang et al. 2013, section 3.
    """
    auxiliaries_of(recipe)
    longest = max(recipe.languages, key=lambda language: recipe.languages[language].budget_s or 0.0)
    all_alike = {"target": None, "data.ramp_to_target": False, **protocols.whole(recipe, alone=True)}
    return [Stage(_named("multilingual", recipe.overridden({"target": longest})), recipe.overridden(all_alike))]


@ARMS.add
def joint_finetune(recipe: Recipe) -> list[Stage]:
    """First target and auxiliary languages together; then only the target, from that encoder and output layer.

    Reference: Huang et al. 2013, section 3, followed by their section 4 on a language that was seen before.
    """
    auxiliaries_of(recipe)
    first = Stage(_named("joint_pretrain", recipe), recipe.overridden(protocols.first(recipe)))
    return [first, _finetuning("joint_finetune", recipe, first, target_before=True)]


@ARMS.add
def pretrain_finetune(recipe: Recipe) -> list[Stage]:
    """First the auxiliary languages, once for all budgets; then only the target, from that encoder.

    Reference: Huang et al. 2013, section 4. We differ in training the whole encoder on, not the output layer only.
    """
    first = _pretraining(recipe)
    return [first, _finetuning("pretrain_finetune", recipe, first)]


@ARMS.add
def heads(recipe: Recipe) -> list[Stage]:
    """As `pretrain_finetune`, but only the output layer of the target is trained.

    Reference: Huang et al. 2013, section 4.
    """
    return _unfrozen(recipe, "heads")


@ARMS.add
def heads_first(recipe: Recipe) -> list[Stage]:
    """As `pretrain_finetune`, with the output layer trained before the encoder; see `training.unfreezing`."""
    return _unfrozen(recipe, "heads_first")


@ARMS.add
def gradual(recipe: Recipe) -> list[Stage]:
    """As `pretrain_finetune`, with the encoder unfrozen from the top to the bottom; see `training.unfreezing`."""
    return _unfrozen(recipe, "gradual")


@ARMS.add
def layerwise(recipe: Recipe) -> list[Stage]:
    """As `pretrain_finetune`, with lower rates for lower layers; see `training.unfreezing`."""
    return _unfrozen(recipe, "layerwise")


@ARMS.add
def rehearsal(recipe: Recipe) -> list[Stage]:
    """As `pretrain_finetune`, with a fifth of the speech of every batch from the auxiliary languages again.

    Reference: Robins 1995, "Catastrophic forgetting, rehearsal and pseudorehearsal", section 2.
    """
    first = _pretraining(recipe)
    return [first, _finetuning("rehearsal", recipe, first, rehearse=REHEARSED)]


@ARMS.add
def adapters(recipe: Recipe) -> list[Stage]:
    """First the auxiliary languages; then adapters and an output layer for the target, beside the frozen encoder.

    References: as for `models.language_layers.Adapter`.
    """
    return _adapted(recipe, "adapters")


@ARMS.add
def low_rank(recipe: Recipe) -> list[Stage]:
    """As `adapters`, with products of small matrices that are added to attention.

    Reference: as for `models.language_layers.LowRank`.
    """
    return _adapted(recipe, "low_rank")


@ARMS.add
def progressive(recipe: Recipe) -> list[Stage]:
    """First the auxiliary languages; then a column for the target, with lateral input from theirs.

    The column starts from random weights and is trained by the settings in `finetune.column`.

    Reference: as for `models.progressive.ProgressiveEncoder`.
    """
    return _taught(recipe, "progressive")


@ARMS.add
def middle(recipe: Recipe) -> list[Stage]:
    """As `joint`, with the lowest and the highest layer of the encoder for each language by itself."""
    auxiliaries_of(recipe)
    (stage,) = joint(recipe.overridden({"sharing.kind": "middle"}))
    return [replace(stage, name=_named("middle", recipe))]


def _pretraining(recipe: Recipe) -> Stage:
    """The auxiliary languages, one run for all budgets, and for all seeds if `compare.pretrain_seed` is set."""
    seed = recipe.seed if recipe.compare.pretrain_seed is None else recipe.compare.pretrain_seed
    changes = {"target": None, "data.ramp_to_target": False, "seed": seed, **protocols.first(recipe)}
    return Stage(f"pretrain-seed{seed}", recipe.with_languages(auxiliaries_of(recipe), changes))


def _unfrozen(recipe: Recipe, kind: str) -> list[Stage]:
    """The auxiliary languages, then the target with a way of unfreezing that has its name."""
    first = _pretraining(recipe)
    return [first, _finetuning(kind, recipe, first, {"training.unfreezing": {"kind": kind}})]


def _adapted(recipe: Recipe, method: str) -> list[Stage]:
    """The auxiliary languages without adapters, then the target with some.

    Raises:
        InputError: The recipe has adapters of its own, in every arm.
    """
    if recipe.adapters is not None:
        raise InputError(
            f"The arm {method} adds adapters for the target, and the recipe {recipe.name} has some for all languages",
            expected="adapters: null",
            received=f"adapters.kind: {recipe.adapters.kind}",
            action=f"set adapters=null, or take {method} out of compare.arms",
        )
    return _taught(recipe, method)


def _taught(recipe: Recipe, method: str) -> list[Stage]:
    """The auxiliary languages, then the target by one of `METHODS`."""
    first = _pretraining(recipe)
    return [first, _finetuning(method, recipe, first, METHODS[method](first.recipe, target_of(recipe)))]


def _finetuning(
    name: str,
    recipe: Recipe,
    first: Stage,
    added: Mapping[str, Any] | None = None,
    *,
    rehearse: float = 0.0,
    target_before: bool = False,
) -> Stage:
    """The target from the weights of a stage, as `speech-mtl finetune` learns it.

    Args:
        name: Of the arm.
        recipe: With budget and seed.
        first: The stage that it starts from.
        added: Settings by dotted key that make the arm.
        rehearse: Fraction of the speech from the auxiliary languages. With none, they are kept beside if asked for.
        target_before: Whether the first stage was trained with the target.
    """
    languages = target_only(recipe).languages
    if rehearse or recipe.compare.keep_auxiliaries:
        auxiliaries = auxiliaries_of(recipe)
        as_before = beside(len(auxiliaries), rehearse)
        languages = {name: own.model_copy(update=as_before) for name, own in auxiliaries.items()} | languages
    tasks = recipe.tasks if recipe.finetune.keep_tasks else {}
    planned = {
        "languages": languages,
        "tasks": tasks,
        "weighting": recipe.weighting.of([*languages, *tasks]),
        "init_from": START,
        **protocols.last(recipe, target_before=target_before, fraction=1 - rehearse),
    }
    minutes = (languages[target_of(recipe)].budget_s or 0.0) / 60
    return Stage(_named(name, recipe), finetuned(recipe, minutes, added or {}, planned), first.name)


def target_only(recipe: Recipe) -> Recipe:
    """The recipe without its auxiliary languages."""
    target = target_of(recipe)
    return recipe.with_languages({target: recipe.languages[target]})


def target_of(recipe: Recipe) -> str:
    """The language that a comparison is about.

    Raises:
        InputError: The recipe has none.
    """
    if recipe.target not in recipe.languages:
        raise InputError(
            f"The recipe {recipe.name} has no target language",
            expected="target: one of " + ", ".join(recipe.languages),
            received=f"target: {recipe.target or 'null'}",
            action="set target to the language whose errors the comparison is about",
        )
    return str(recipe.target)


def auxiliaries_of(recipe: Recipe) -> dict[str, LanguageSettings]:
    """The languages other than the target, with their settings.

    Raises:
        InputError: There are none.
    """
    target = target_of(recipe)
    auxiliaries = {language: settings for language, settings in recipe.languages.items() if language != target}
    if not auxiliaries:
        raise InputError(
            f"The recipe {recipe.name} has no auxiliary language",
            expected="languages other than the target",
            received=target,
            action="add languages, or compare only the arm alone",
        )
    return auxiliaries


def _named(arm_name: str, recipe: Recipe) -> str:
    budget_s = recipe.languages[target_of(recipe)].budget_s
    budget = "all" if budget_s is None else f"{budget_s / 60:g}min"
    return f"{arm_name}-{budget}-seed{recipe.seed}"
