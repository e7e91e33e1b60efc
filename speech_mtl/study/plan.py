"""What a comparison consists of: cells (arm x budget x seed) and the runs that they need, each run once."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from hashlib import sha256
from pathlib import Path
from unicodedata import normalize

from speech_mtl.datatypes import SPLITS
from speech_mtl.errors import InputError
from speech_mtl.run.speech import Split, Wrap, open_split, silent
from speech_mtl.settings.recipe import Recipe
from speech_mtl.settings.study import CompareSettings
from speech_mtl.study.arms import Stage, StagesOf, auxiliaries_of, find_arm, target_of
from speech_mtl.study.controls import arms_and_controls, only, renamed
from speech_mtl.study.statistics.rows import REFERENCE_ARM, Arm


@dataclass(frozen=True)
class Cell:
    """One row of the table: an arm at a budget with a seed.

    Attributes:
        target: The language that is tested.
        arm: The way of training.
        budget_s: Seconds of target speech.
        seed: Of all random draws.
        stages: Names of its runs, in order; the last one is evaluated.
    """

    target: str
    arm: Arm
    budget_s: float
    seed: int
    stages: tuple[str, ...]

    def __str__(self) -> str:
        return f"{self.arm}, {self.budget_s / 60:g} minutes of {self.target}, seed {self.seed}"


@dataclass(frozen=True)
class Plan:
    """Everything that a comparison runs.

    Attributes:
        cells: In the order in which they are run.
        stages: By name. `recipe.init_from` is set where a stage starts from another.
        folder: Where the runs lie, each in a folder of its stage's name.
    """

    cells: list[Cell]
    stages: dict[str, Stage]
    folder: Path

    def run_path(self, stage: str) -> Path:
        """The run folder of a stage."""
        return self.folder / stage

    @cached_property
    def tested(self) -> frozenset[str]:
        """The runs that are evaluated: the last ones, and those that one with old languages starts from."""
        last = {cell.stages[-1] for cell in self.cells}
        starts = {stage.start for stage in self.stages.values() if stage.start and old_languages(stage)}
        return frozenset(last | starts)

    def line(self, stage: Stage) -> list[Stage]:
        """A stage, after those that it starts from."""
        return [*(self.line(self.stages[stage.start]) if stage.start else []), stage]

    def num_updates(self) -> int:
        """Most updates of all runs together: early stopping may end some before."""
        return sum(stage.recipe.training.num_updates for stage in self.stages.values())


def old_languages(stage: Stage) -> list[str]:
    """The languages that a run recognises beside its target, and that the run it started from recognised before."""
    return [language for language in stage.recipe.languages if stage.start and language != stage.recipe.target]


def plan_comparison(recipe: Recipe, folder: Path, pairs: bool = False) -> Plan:
    """The plan of `speech-mtl compare`: the smallest budget first, then by seed and variant.

    Without a target every language is one in turn, and budgets are those of all languages; one whose own `budget_s` is
    smaller keeps that.

    Args:
        recipe: The settings; see `compare` there.
        folder: Output folder of the comparison.
        pairs: Plan a transfer map: every language as target, alone and with each other one as its only auxiliary.

    Raises:
        InputError: The recipe lacks auxiliary languages, names an arm that does not exist, has a variant that makes no
            recipe, leaves nothing to run, has something run twice, or has more than a transfer map can show.
    """
    for key in ("budgets_min", "arms", "seeds"):
        _refuse_none_or_twice(f"compare.{key}", getattr(recipe.compare, key))
    if pairs:
        _refuse_more_than_a_map(recipe.compare)
    every = pairs or recipe.target is None
    budgeted = _with_budgets if recipe.target is None and not pairs else _with_budget
    planned = [
        _Planned(budgeted(aimed, budget_min * 60, seed), replace(arm, variant=variant), stages, budget_min * 60)
        for budget_min in sorted(recipe.compare.budgets_min)
        for seed in recipe.compare.seeds
        for variant, changed in _variants(recipe).items()
        for aimed in _aimed(changed, every)
        for arm, stages in (_pairs(aimed) if pairs else _arms(aimed, variant)).items()
    ]
    if not pairs:
        _refuse_unknown_reference(recipe.compare.reference, [one.arm for one in planned])
    return _plan(planned, folder, name_target=every)


def _variants(recipe: Recipe) -> dict[str, Recipe]:
    """The recipe with each of its variants' changes, by the variant's name; itself where there are none."""
    found = {"": recipe} if not recipe.compare.variants else {}
    for name, changes in recipe.compare.variants.items():
        found[name] = recipe.overridden(changes, where=f"compare.variants.{name}")
    return found


def _aimed(recipe: Recipe, every: bool) -> list[Recipe]:
    """The recipe with its target, or with each language as one."""
    if every:
        return [recipe.overridden({"target": language}) for language in recipe.languages]
    target_of(recipe)
    return [recipe]


def _arms(recipe: Recipe, variant: str) -> dict[Arm, StagesOf]:
    arms = arms_and_controls(recipe)
    return {arm: renamed(stages, variant) for arm, stages in arms.items()} if variant else arms


def _pairs(recipe: Recipe) -> dict[Arm, StagesOf]:
    """Alone, and the other arm with each auxiliary language by itself."""
    arms = {REFERENCE_ARM: find_arm(REFERENCE_ARM.method)}
    for arm, stages in arms_and_controls(recipe).items():
        if arm != REFERENCE_ARM:
            arms |= {replace(arm, auxiliary=other): only(stages, other) for other in auxiliaries_of(recipe)}
    return arms


def _refuse_unknown_reference(reference: str, arms: Sequence[Arm]) -> None:
    """`alone` need not be among the arms: then nothing is measured against it."""
    known = dict.fromkeys(arm.name for arm in [*arms, *(arm.base for arm in arms), REFERENCE_ARM])
    if reference not in known:
        raise InputError(
            f"compare.reference: there is no arm {reference!r} in the comparison",
            expected="one of " + ", ".join(known),
            received=reference,
            action="choose one of these, or add the arm or the variant",
        )


SpeechKey = tuple[str, str, Path, float | None]
"""Language, split, manifest and budget in seconds of speech that a run uses."""


def speech_of(stage: Stage) -> list[SpeechKey]:
    """The speech of a run: what it trains on, looks at, and is tested on."""
    recipe = stage.recipe
    return [
        (language, split, recipe.manifest(language, split), recipe.budget_s(language, split))
        for language in recipe.languages
        for split in SPLITS
    ]


def open_speech(plan: Plan, wrap: Wrap = silent) -> dict[SpeechKey, Split]:
    """Decodes all speech of a plan, and finds what is wrong with it now and not after hours of training.

    Raises:
        InputError: A manifest is missing, empty or broken, or a budget is more than there is.
    """
    found: dict[SpeechKey, Split] = {}
    for stage in reversed(plan.stages.values()):  # the largest budgets first: their errors say more
        for key in speech_of(stage):
            if key not in found:
                found[key] = open_split(stage.recipe, key[0], key[1], wrap)
    return found


@dataclass(frozen=True)
class _Planned:
    """A cell before its runs are known."""

    recipe: Recipe
    arm: Arm
    stages: StagesOf
    budget_s: float


def _plan(planned: Sequence[_Planned], folder: Path, name_target: bool = False) -> Plan:
    runs = folder / "runs"
    cells, stages = [], {}
    for one in planned:
        target, own = target_of(one.recipe), one.stages(one.recipe)
        if name_target:
            own = _named_by_target(own, target, stages, runs)
        own = _shared(own, stages, runs)
        for stage in own:
            stages.setdefault(stage.name, stage)
        names = tuple(stage.name for stage in own)
        cells.append(Cell(target, one.arm, one.budget_s, one.recipe.seed, names))
    return Plan(cells, stages, runs)


def _named_by_target(own: list[Stage], target: str, stages: dict[str, Stage], runs: Path) -> list[Stage]:
    """Runs of several targets lie side by side; those without a target, as pretraining, are shared where alike."""
    names = {}
    for stage in own:
        there = stages.get(stage.name)
        alike = stage.recipe.target is None and (there is None or _alike(there, _started(stage, runs)))
        names[stage.name] = stage.name if alike else f"{target}-{stage.name}"
    return [Stage(names[stage.name], stage.recipe, stage.start and names[stage.start]) for stage in own]


def _shared(own: list[Stage], stages: dict[str, Stage], runs: Path) -> list[Stage]:
    """Stages with the runs that they start from; those that a variant does not change are the runs there already."""
    found: dict[str, str] = {}
    shared = []
    for stage in own:
        start = stage.start and found.get(stage.start, stage.start)
        wanted = _started(replace(stage, start=start), runs)
        same = (name for name, there in stages.items() if _alike(there, wanted))
        found[stage.name] = next(same, None) or _free_name(wanted, stages)
        shared.append(replace(wanted, name=found[stage.name]))
    return shared


def _free_name(stage: Stage, stages: Iterable[str]) -> str:
    """The stage's name, or where a folder has it already, as a variant can be called like a control, a longer one.

    Some file systems take capitals and small letters, and composed and decomposed ones, for the same.
    """
    taken = {normalize("NFC", name).casefold() for name in stages}
    if normalize("NFC", stage.name).casefold() not in taken:
        return stage.name
    return f"{stage.name}-{sha256(f'{stage.start} {stage.recipe.of_one_run()!r}'.encode()).hexdigest()[:12]}"


def _alike(one: Stage, other: Stage) -> bool:
    """Whether two are the same run, evaluated in the same way, whatever they are called."""
    if (one.start, one.recipe.decoding) != (other.start, other.recipe.decoding):  # cheap, and mostly enough
        return False
    return one.recipe.of_one_run() == other.recipe.of_one_run()


def _started(stage: Stage, runs: Path) -> Stage:
    if stage.start is None:
        return stage
    return Stage(stage.name, stage.recipe.overridden({"init_from": str(runs / stage.start)}), stage.start)


def _with_budget(recipe: Recipe, budget_s: float, seed: int) -> Recipe:
    """The recipe with so much speech of its target."""
    target = target_of(recipe)
    languages = recipe.languages | {target: recipe.languages[target].model_copy(update={"budget_s": budget_s})}
    return recipe.overridden({"languages": languages, "seed": seed})


def _with_budgets(recipe: Recipe, budget_s: float, seed: int) -> Recipe:
    """The recipe with so much speech of every language, or what it is given of its own if that is less."""
    languages = {
        name: settings.model_copy(update={"budget_s": min(budget_s, settings.budget_s or budget_s)})
        for name, settings in recipe.languages.items()
    }
    return recipe.overridden({"languages": languages, "seed": seed})


def _refuse_none_or_twice(key: str, values: Sequence) -> None:
    if len(set(values)) == len(values) > 0:
        return
    raise InputError(
        f"{key} is not right",
        expected="at least one value, and none twice",
        received=str(list(values)),
        action=f"change {key}",
    )


def _refuse_more_than_a_map(compared: CompareSettings) -> None:
    """A transfer map shows one budget and one arm besides alone."""
    others = [name for name in compared.arms if name != REFERENCE_ARM.name]
    switched = [name for name, is_on in compared.controls if is_on]
    for key, values, allowed, remedy in (
        ("budgets_min", compared.budgets_min, 1, f"[{compared.budgets_min[0]}]"),
        ("arms", others, 1, f"[{others[0] if others else 'pretrain_finetune'}]"),
        ("variants", list(compared.variants), 0, "{}"),
        ("controls", switched, 0, "{" + ", ".join(f"{name}: false" for name in switched) + "}"),
    ):
        if len(values) != allowed:
            raise InputError(
                f"A transfer map is of {'one value' if allowed else 'no value'} of compare.{key}",
                expected=("one" if allowed else "none") + f" besides {REFERENCE_ARM}" * (key == "arms"),
                received=str(list(values)),
                action=f"change it on the command line: 'compare.{key}={remedy}'",
            )
