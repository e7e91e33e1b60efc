"""Gathers the results of finished cells: rows, and hypotheses of their models."""

import math
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from statistics import fmean
from typing import TypeVar, cast

from speech_mtl.data.index import open_manifest
from speech_mtl.datatypes import ErrorCounts
from speech_mtl.errors import InputError
from speech_mtl.run.evaluated import SavedEvaluation
from speech_mtl.run.folder import Run
from speech_mtl.run.pseudo_labels import saved_taught
from speech_mtl.run.validation import mean_of
from speech_mtl.scoring.error_rate import Score
from speech_mtl.scoring.rows import MeasuredRow, measured_row
from speech_mtl.settings.recipe import Recipe
from speech_mtl.study.plan import Cell, Plan, old_languages
from speech_mtl.study.statistics.hypotheses import Model, TestSet, before
from speech_mtl.study.statistics.rows import Arm, ResultRow, StageRow
from speech_mtl.study.statistics.training import ArmSize, Conflict, LabelCount, LearningCurve, TaskCurve, Training

UNKNOWN = "unknown"
"""Commit of runs that were trained outside a repository or by an early version."""

MOST_POINTS = 60
"""Most points of a learning curve, so that files stay small."""

Warn = Callable[[str], None]
"""Takes a warning about a damaged file that only describes a run: its content is left out, the results stay."""

_T = TypeVar("_T")


def decoders(recipe: Recipe) -> dict[str, str]:
    """The decoders of a comparison by the names of their evaluations, of which the run's own has none: what rows are
    to name them. Rows of a comparison with one decoder name none."""
    others = {name: name for name in recipe.compare.decoders}
    return {"": recipe.decoding.kind if others else ""} | others


def told(read: Callable[[], _T], otherwise: _T, warn: Warn) -> _T:
    """Reads a file that describes a run; if it is damaged, warns and returns a substitute."""
    try:
        return read()
    except InputError as error:
        warn(f"{error.problem}; left out of the report. To fix it: {error.action}")
        return otherwise


def cell_rows(recipe_name: str, plan: Plan, cell: Cell, warn: Warn) -> Iterator[ResultRow]:
    """The rows of a finished cell: its transcripts by each decoder, then its other tasks."""
    runs = [Run(plan.run_path(name)) for name in cell.stages]
    progress, counts = [run.progress() for run in runs], told(runs[-1].parameters, None, warn)
    stages = [_stage_row(run, warn) for run in runs]
    audio_s = [stage["audio_s"] for stage in stages if stage["audio_s"] is not None]

    which = {"recipe": recipe_name, "arm": cell.arm, "budget_s": cell.budget_s, "seed": cell.seed}
    took = {
        "num_updates": sum(part.update for part in progress),
        **({"num_parameters": counts["total"]} if counts else {}),
        "wall_time_s": round(sum(part.wall_time_s for part in progress), 1),
        "audio_s": round(sum(audio_s), 1) if len(audio_s) == len(stages) else None,
        "stages": stages,
    }
    if taught := saved_taught(runs[-1], cell.target):
        took["untranscribed_s"] = taught["untranscribed_s"]
    names = decoders(plan.stages[cell.stages[-1]].recipe)
    for name, shown in names.items():
        by = {"decoder": shown} if shown else {}
        for row in SavedEvaluation(runs[-1], name).rows():
            measured = {key: row[key] for key in MeasuredRow.__annotations__ if key in row}
            yield cast(ResultRow, which | by | measured | took)
    without_text = measured_row("", "", Score(ErrorCounts(), ErrorCounts(), 0))
    by = {"decoder": names[""]} if names[""] else {}
    for row in SavedEvaluation(runs[-1]).task_rows():
        yield cast(ResultRow, which | by | without_text | row | took)


def _stage_row(run: Run, warn: Warn) -> StageRow:
    progress, records = run.progress(), told(run.log, [], warn)
    audio_s = [record["audio_s"] for record in records if "audio_s" in record]
    known = len(audio_s) == len(records) > 0
    return {
        "run": run.path.name,
        "num_updates": progress.update,
        "audio_s": round(sum(audio_s), 1) if known else None,
        "stopped": progress.end is not None,
    }


def gather_test_sets(plan: Plan, cells: Sequence[Cell]) -> list[TestSet]:
    """The hypotheses of the cells' models in their targets' test splits, one set for each target."""
    test_sets: dict[str, TestSet] = {}
    for cell in cells:
        last, model = plan.stages[cell.stages[-1]], Model(cell.arm, cell.budget_s, cell.seed)
        for name, shown in decoders(last.recipe).items():
            own = model._replace(decoder=shown)
            _add(test_sets, Run(plan.run_path(last.name)), cell.target, own, name)
    return list(test_sets.values())


def gather_old_languages(plan: Plan, cells: Sequence[Cell]) -> list[TestSet]:
    """Gathers hypotheses in languages other than the target, of the cells' runs and those they started from."""
    test_sets: dict[str, TestSet] = {}
    for cell in cells:
        last = plan.stages[cell.stages[-1]]
        for language in old_languages(last):
            model = Model(cell.arm, cell.budget_s, cell.seed)
            _add(test_sets, Run(plan.run_path(str(last.start))), language, before(model))
            _add(test_sets, Run(plan.run_path(last.name)), language, model)
    return list(test_sets.values())


def _add(test_sets: dict[str, TestSet], run: Run, language: str, model: Model, name: str = "") -> None:
    """Adds the hypotheses of a run in a language's test split; `name`: by which decoder of `compare.decoders`."""
    saved = SavedEvaluation(run, name).hypotheses(language, "test")
    records = [one for one in saved if one["reference"] is not None]
    ids, hypotheses = ([record[key] for record in records] for key in ("id", "hypothesis"))
    if language not in test_sets:
        recipe = run.recipe()
        manifest = open_manifest(recipe.manifest(language, "test"), recipe.data.cache_dir)
        speakers = {utterance.id: utterance.speaker for utterance in manifest.at(range(len(manifest)))}
        references = [record["reference"] or "" for record in records]
        spaced = run.tokenizers()[language].spaced
        test_sets[language] = TestSet(language, spaced, ids, [speakers.get(name) for name in ids], references)
    tasks = {} if name else {task: own.metric for task, own in run.scored().items()}
    test_sets[language].metrics |= tasks
    errors = {task: [record.get("label_errors", {})[task] for record in records] for task in tasks}
    test_sets[language].add(model, ids, hypotheses, errors)


def gather_training(plan: Plan, cells: Sequence[Cell], warn: Warn) -> Training:
    """Gathers the training records of the cells' runs."""
    return Training(
        *gather_curves(plan, cells, warn), gather_sizes(plan, cells, warn), gather_learning(plan, cells, warn)
    )


def gather_curves(
    plan: Plan, cells: Sequence[Cell], warn: Warn
) -> tuple[list[TaskCurve], list[Conflict], list[LabelCount]]:
    """Losses and weights of tasks by update, the cosines of their gradients, and how many labels they had.

    Of each arm at the largest budget and with its first seed; of several targets, only of runs that are for all.
    """
    largest = max((cell.budget_s for cell in cells), default=0.0)
    for_all = len({cell.target for cell in cells}) > 1
    chosen: dict[Arm, Run] = {}
    for cell in cells:
        target = plan.stages[cell.stages[-1]].recipe.target
        if cell.budget_s == largest and not (for_all and target is not None):
            chosen.setdefault(cell.arm, Run(plan.run_path(cell.stages[-1])))
    curves, conflicts, labels = [], [], []
    for arm, run in chosen.items():
        records = [record for record in told(run.log, [], warn) if "weight" in record]
        for task in dict.fromkeys(task for record in records for task in record.get("weight", {})):
            known = [one for one in records if task in one.get("weight", {})]
            losses = [one.get("train_loss", {}).get(task) for one in known]
            weights = [one.get("weight", {})[task] for one in known]
            curves.append(TaskCurve(arm, task, [one["update"] for one in known], losses, weights))
        conflicts += _mean_cosines(arm, [one["gradient_cosines"] for one in records if "gradient_cosines" in one])
        labels += [LabelCount(arm, task, *pair) for task, pair in told(run.labels, {}, warn).items()]
    return curves, conflicts, labels


def gather_learning(plan: Plan, cells: Sequence[Cell], warn: Warn) -> list[LearningCurve]:
    """The validation error by update of every run, once each, however many cells come from it."""
    curves: dict[str, LearningCurve] = {}
    for cell in cells:
        first = 0
        for stage in plan.line(plan.stages[cell.stages[-1]]):
            run, recipe = Run(plan.run_path(stage.name)), stage.recipe
            progress, has_target = run.progress(), cell.target in recipe.trained_languages
            if stage.name not in curves:
                validations = told(run.log, [], warn)
                points = [(one["update"], fmean(cers.values())) for one in validations if (cers := one.get("dev_cer"))]
                updates, errors = _thinned(points, progress.best_update)
                if progress.best_update in updates:
                    curves[stage.name] = LearningCurve(
                        run=stage.name,
                        arm=cell.arm,
                        budget_s=cell.budget_s if has_target else None,
                        seed=recipe.seed,
                        of=recipe.target or mean_of(recipe.trained_languages),
                        first=first,
                        updates=updates,
                        errors=errors,
                        best=progress.best_update,
                        stopped=progress.end is not None,
                    )
            first += progress.update * has_target
    return list(curves.values())


def _thinned(points: Sequence[tuple[int, float]], best: int) -> tuple[list[int], list[float]]:
    """Keeps at most `MOST_POINTS`, including the last and the best."""
    step = math.ceil(len(points) / (MOST_POINTS - 1))
    kept = [(u, e) for place, (u, e) in enumerate(reversed(points)) if place % step == 0 or u == best][::-1]
    return [update for update, _ in kept], [round(error, 4) for _, error in kept]


def gather_sizes(plan: Plan, cells: Sequence[Cell], warn: Warn) -> list[ArmSize]:
    """How many parameters each arm trains and has, at the largest budget."""
    sizes: dict[Arm, ArmSize | None] = {cell.arm: None for cell in cells}
    for cell in sorted(cells, key=lambda cell: -cell.budget_s):
        counts = told(Run(plan.run_path(cell.stages[-1])).parameters, None, warn)
        if counts is not None and cell.target in counts["own"] and not sizes[cell.arm]:
            sizes[cell.arm] = ArmSize(cell.arm, counts["trained"], counts["total"], counts["own"][cell.target])
    return [size for size in sizes.values() if size]


def trained_by(runs: Iterable[Run], warn: Warn) -> dict[str, int]:
    """How many runs each commit trained, or helped to train."""
    commits = (commit for run in runs for commit in told(run.commits, {None}, warn))
    return dict(sorted(Counter(commit or UNKNOWN for commit in commits).items()))


def _mean_cosines(arm: Arm, validations: Sequence[Mapping[str, Mapping[str, float]]]) -> list[Conflict]:
    values: dict[tuple[str, str], list[float]] = {}
    for validation in validations:
        for task, others in validation.items():
            for other, cosine in others.items():
                values.setdefault((task, other), []).append(cosine)
    return [Conflict(arm, *pair, round(fmean(cosines), 4)) for pair, cosines in values.items() if pair[0] != pair[1]]
