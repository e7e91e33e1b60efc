"""Arms: ways of training the same network for the same target language.

An arm is a function that turns a recipe with its budget and seed into stages, run one after another; the last stage's
run is the one that is evaluated. To add an arm, write such a function under `@ARMS.add`; the conformance test in
`tests/study/test_arms.py` finds it by itself. `controls.py` makes further arms out of these.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from speech_mtl.errors import InputError
from speech_mtl.registry import Registry
from speech_mtl.run.methods import METHODS, beside, finetuned
from speech_mtl.settings.data import PseudoLabelFilter
from speech_mtl.settings.recipe import Recipe
from speech_mtl.study import protocols
from speech_mtl.study.target import UNTARGETED, auxiliaries_of, target_of, target_only


@dataclass(frozen=True)
class Stage:
    """One run of an arm.

    Attributes:
        name: Of the run's folder. Stages of several arms or budgets with the same name are one run, done once.
        recipe: Its settings.
        start: Name of the stage from whose weights it starts; None for random weights.
        teacher: Name of the stage that makes its pseudo-labels; None where it has none.
    """

    name: str
    recipe: Recipe
    start: str | None = None
    teacher: str | None = None

    @property
    def after(self) -> list[str]:
        """The stages that have to end before it."""
        return [name for name in (self.start, self.teacher) if name is not None]


START = "runs/the-run-it-starts-from"
"""Placeholder for the run folders of `Stage.start` and `Stage.teacher`, which only the plan knows."""

StagesOf = Callable[[Recipe], list[Stage]]
"""Recipe with budget and seed -> stages."""

REHEARSED = 0.2
"""Fraction of the speech that the arm `rehearsal` takes from the auxiliary languages."""

UNTRANSCRIBED_MIN = 60.0
"""Minutes that all the untranscribed speech there is counts for in the plan of training, before it is opened."""

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
    all_alike = {**UNTARGETED, **protocols.whole(recipe, alone=True)}
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
    (stage,) = joint(recipe.overridden({"sharing.kind": "middle"}))
    return [replace(stage, name=_named("middle", recipe))]


@ARMS.add
def pseudo_labels(recipe: Recipe) -> list[Stage]:
    """Another arm, the teacher, transcribes the rest of the target's speech; a student learns from all of it.

    The student starts from the pretrained encoder, not from the teacher, and is the teacher of the next round.

    References: as for `run.pseudo_labels`; for rounds Xu et al. 2020, "Iterative pseudo-labeling for speech
    recognition", section 2. We differ: a student starts afresh, unless `compare.pseudo_labels.start` is `teacher`.
    """
    settings = recipe.compare.pseudo_labels
    if recipe.compare.protocol != "equal_speech" or settings.teacher == pseudo_labels.__name__:
        raise InputError(
            "The arm pseudo_labels cannot be compared so",
            expected="compare.protocol: equal_speech, and another arm as compare.pseudo_labels.teacher",
            received=f"protocol: {recipe.compare.protocol}, teacher: {settings.teacher}",
            action="change these, or take pseudo_labels out of compare.arms",
        )
    stages = ARMS[settings.teacher](recipe)
    if settings.start == "pretrained" and (first := _pretraining(recipe)).name not in [one.name for one in stages]:
        stages = [first, *stages]
    for number in range(1, settings.rounds + 1):
        name = "pseudo_labels" if number == settings.rounds else f"pseudo_labels_{number}"
        stages.append(_student(name, recipe, stages))
    return stages


def _student(name: str, recipe: Recipe, stages: Sequence[Stage]) -> Stage:
    """The stage that learns from pseudo-labels of the last of those before it."""
    settings, target, teacher = recipe.compare.pseudo_labels, target_of(recipe), stages[-1]
    minutes, again = settings.untranscribed_min, settings.start == "teacher"
    if settings.start == "random":
        (stage,) = alone(recipe)
        stage = replace(stage, name=_named(name, recipe))
    else:
        first = teacher if again else _pretraining(recipe)
        stage = _finetuning(name, recipe, first, target_before=again, untranscribed_min=minutes or UNTRANSCRIBED_MIN)
    own = {
        "teacher": START,
        "untranscribed_s": None if minutes is None else minutes * 60,
        **settings.model_dump(include=set(PseudoLabelFilter.model_fields)),
    }
    taught = stage.recipe.overridden({f"languages.{target}.pseudo_labels": own})
    return replace(stage, recipe=taught, teacher=teacher.name)


def _pretraining(recipe: Recipe) -> Stage:
    """The auxiliary languages, one run for all budgets, and for all seeds if `compare.pretrain_seed` is set."""
    seed = recipe.seed if recipe.compare.pretrain_seed is None else recipe.compare.pretrain_seed
    changes = {**UNTARGETED, "seed": seed, **protocols.first(recipe)}
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
    untranscribed_min: float = 0.0,
) -> Stage:
    """The target from the weights of a stage, as `speech-mtl finetune` learns it.

    Args:
        name: Of the arm.
        recipe: With budget and seed.
        first: The stage that it starts from.
        added: Settings by dotted key that make the arm.
        rehearse: Fraction of the speech from the auxiliary languages. With none, they are kept beside if asked for.
        target_before: Whether the first stage was trained with the target.
        untranscribed_min: Minutes of the target's speech besides, which pseudo-labels make known.
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
    minutes = (languages[target_of(recipe)].budget_s or 0.0) / 60 + untranscribed_min
    return Stage(_named(name, recipe), finetuned(recipe, minutes, added or {}, planned), first.name)


def _named(arm_name: str, recipe: Recipe) -> str:
    budget_s = recipe.languages[target_of(recipe)].budget_s
    budget = "all" if budget_s is None else f"{budget_s / 60:g}min"
    return f"{arm_name}-{budget}-seed{recipe.seed}"
