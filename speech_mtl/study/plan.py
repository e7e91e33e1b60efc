"""The plan of a comparison: cells (arm x budget x seed) and the runs that they need, each run once."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from hashlib import sha256
from math import inf
from pathlib import Path
from unicodedata import normalize

from speech_mtl.datatypes import SPLITS
from speech_mtl.errors import InputError
from speech_mtl.run.speech import SpeechKey, Split, open_split, speech_key
from speech_mtl.screen import Wrap, silent
from speech_mtl.settings.recipe import Recipe
from speech_mtl.settings.study import CompareSettings
from speech_mtl.study.arms import ARMS, Stage, StagesOf
from speech_mtl.study.controls import arms_and_controls, only
from speech_mtl.study.statistics.rows import REFERENCE_ARM, Arm
from speech_mtl.study.target import auxiliaries_of, target_of


@dataclass(frozen=True)
class Cell:
    """One row of the table: an arm at a budget with a seed.

    `stages` are the names of its runs, in order; the last one is evaluated.
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
        """The runs that are evaluated: the last ones, those that one with old languages starts from, and teachers,
        whose confidences are calibrated so."""
        last = {cell.stages[-1] for cell in self.cells}
        starts = {stage.start for stage in self.stages.values() if stage.start and old_languages(stage)}
        teachers = {stage.teacher for stage in self.stages.values() if stage.teacher}
        return frozenset(last | starts | teachers)

    def targets(self, stage: str) -> list[str]:
        """The targets of the cells that a run is the last one of."""
        return list(dict.fromkeys(cell.target for cell in self.cells if cell.stages[-1] == stage))

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
    every, everywhere = pairs or recipe.target is None, recipe.target is None and not pairs
    planned = [
        (_with_budget(aimed, budget_min, seed, everywhere), replace(arm, variant=variant), stages, budget_min * 60)
        for budget_min in sorted(recipe.compare.budgets_min)
        for seed in recipe.compare.seeds
        for variant, changed in _variants(recipe).items()
        for aimed in _aimed(changed, every)
        for arm, stages in (_pairs(aimed) if pairs else arms_and_controls(aimed, variant)).items()
    ]
    if not pairs:
        _refuse_unknown_reference(recipe.compare.reference, [arm for _, arm, _, _ in planned])
    return _plan(planned, folder, name_target=every)


def _variants(recipe: Recipe) -> dict[str, Recipe]:
    """The recipe with each of its variants' changes, by the variant's name; itself, by none, where there are none."""
    found = {"": recipe} if not recipe.compare.variants else {}
    for name, changes in recipe.compare.variants.items():
        found[name if changes else ""] = recipe.overridden(changes, where=f"compare.variants.{name}")
    return found


def _aimed(recipe: Recipe, every: bool) -> list[Recipe]:
    """The recipe with its target, or with each language as one."""
    if every:
        return [recipe.overridden({"target": language}) for language in recipe.languages]
    target_of(recipe)
    return [recipe]


def _pairs(recipe: Recipe) -> dict[Arm, StagesOf]:
    """The monolingual baseline, and the other arm with each auxiliary language by itself."""
    arms = {REFERENCE_ARM: ARMS[REFERENCE_ARM.method]}
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


def speech_of(stage: Stage) -> list[SpeechKey]:
    """The speech of a run: for training, validation and testing."""
    return [speech_key(stage.recipe, language, split) for language in stage.recipe.languages for split in SPLITS]


def open_speech(plan: Plan, wrap: Wrap = silent) -> dict[SpeechKey, Split]:
    """Decodes all speech of a plan, and finds what is wrong with it now and not after hours of training.

    Raises:
        InputError: A manifest is missing, empty or broken, or a budget is more than there is.
    """
    found: dict[SpeechKey, Split] = {}
    for stage in reversed(plan.stages.values()):  # the largest budgets first: their errors are more informative
        for key in speech_of(stage):
            if key not in found:
                found[key] = open_split(stage.recipe, key.language, key.split, wrap)
    return found


def _plan(planned: Iterable[tuple[Recipe, Arm, StagesOf, float]], folder: Path, name_target: bool) -> Plan:
    """The plan of cells; runs of several targets lie side by side, and are named by them."""
    plan = Plan([], {}, folder / "runs")
    for recipe, arm, stages_of, budget_s in planned:
        target, found = target_of(recipe), dict[str | None, str | None]({None: None})
        for stage in stages_of(recipe):
            wanted = _started(replace(stage, start=found[stage.start], teacher=found[stage.teacher]), plan)
            if wanted.start is not None:
                _refuse_unlike(plan.stages[wanted.start], wanted)
            same = (name for name, there in plan.stages.items() if _alike(there, wanted))
            name = next(same, None) or _free_name(wanted, plan.stages, target if name_target else "")
            plan.stages.setdefault(name, replace(wanted, name=name))
            found[stage.name] = name
        names = tuple(str(name) for stage, name in found.items() if stage)
        plan.cells.append(Cell(target, arm, budget_s, recipe.seed, names))
    return plan


def _free_name(stage: Stage, taken: Iterable[str], target: str) -> str:
    """The stage's name with that of its target, or where a folder has it already, as a variant can be called like a
    control, a longer one. Without a target, as in pretraining, the name is given only where it is needed.

    Some file systems take capitals and small letters, and composed and decomposed ones, for the same.
    """
    folded = {normalize("NFC", name).casefold() for name in taken}
    digest = sha256(f"{stage.start} {stage.teacher} {stage.recipe.of_one_run()!r}".encode()).hexdigest()[:12]
    named = f"{target}-{stage.name}" if target else stage.name
    names = [named] if stage.recipe.target is not None else [stage.name, named]
    return next((name for name in names if normalize("NFC", name).casefold() not in folded), f"{named}-{digest}")


def _alike(one: Stage, other: Stage) -> bool:
    """Whether two are the same run, evaluated in the same way, whatever they are called."""
    if (one.start, one.recipe.decoding) != (other.start, other.recipe.decoding):  # cheap, and mostly enough
        return False
    return one.recipe.of_one_run() == other.recipe.of_one_run()


def _started(stage: Stage, plan: Plan) -> Stage:
    paths = {}
    if stage.start is not None:
        paths["init_from"] = str(plan.run_path(stage.start))
    if stage.teacher is not None:
        paths[f"languages.{stage.recipe.target}.pseudo_labels.teacher"] = str(plan.run_path(stage.teacher))
    return replace(stage, recipe=stage.recipe.overridden(paths)) if paths else stage


def _refuse_unlike(first: Stage, later: Stage) -> None:
    """Refuses a stage that cannot start from the weights of the first, before these are trained."""
    if changed := first.recipe.unlike(later.recipe):
        raise InputError(
            f"{later.name} cannot start from {first.name}, whose network differs: {', '.join(changed)}",
            expected="; ".join(f"{key}: {pair[1]}" for key, pair in changed.items()),
            received="; ".join(f"{key}: {pair[0]}" for key, pair in changed.items()),
            action="take these settings out of compare.pretrain_changes",
        )


def _with_budget(recipe: Recipe, budget_min: float, seed: int, everywhere: bool) -> Recipe:
    """The recipe with so much speech of its target; or of every language, where its own budget is not less."""
    languages = dict(recipe.languages)
    for name in languages if everywhere else [target_of(recipe)]:
        most_s = (everywhere and languages[name].budget_s) or inf
        languages[name] = languages[name].model_copy(update={"budget_s": min(60 * budget_min, most_s)})
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
        ("decoders", list(compared.decoders), 0, "{}"),
        ("controls", switched, 0, "{" + ", ".join(f"{name}: false" for name in switched) + "}"),
    ):
        if len(values) != allowed:
            raise InputError(
                f"A transfer map is of {'one value' if allowed else 'no value'} of compare.{key}",
                expected=("one" if allowed else "none") + f" besides {REFERENCE_ARM}" * (key == "arms"),
                received=str(list(values)),
                action=f"change it on the command line: 'compare.{key}={remedy}'",
            )
