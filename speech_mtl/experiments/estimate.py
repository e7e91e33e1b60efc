"""What a plan will take: time and disk, measured and not guessed, before anything is trained."""

import time
from dataclasses import dataclass
from itertools import product
from pathlib import Path

import numpy as np

from speech_mtl.build import build_model, build_optimizer
from speech_mtl.config import Recipe
from speech_mtl.data.examples import parts_to_decode
from speech_mtl.data.manifest import read_manifest
from speech_mtl.datatypes import SPLITS, Batch
from speech_mtl.experiments.plan import Plan
from speech_mtl.runs import Run
from speech_mtl.scoring.tables import duration, markdown_table
from speech_mtl.training.gradients import make_train_step

BYTES_PER_PARAMETER = 16
"""In a run folder: the best weights, and a checkpoint with its weights and the optimiser's two moments."""
UTTERANCE_S, NUM_TOKENS = 5.0, 50
"""Of the made-up utterances that a step is timed with."""


@dataclass(frozen=True)
class Cost:
    """What one run takes.

    Attributes:
        name: Its stage.
        updates_done: By the newest checkpoint.
        num_updates: At most.
        left_s: Seconds of training left, at most: early stopping may end it before.
    """

    name: str
    updates_done: int
    num_updates: int
    left_s: float


def costs(plan: Plan) -> tuple[list[Cost], int, str]:
    """What each run of a plan takes.

    Returns:
        The runs, the bytes that they fill, and how an update was timed.
    """
    update_s, num_parameters, source = _measured(plan) or _tried(plan)
    found = []
    for name, stage in plan.stages.items():
        progress, most = Run(plan.run_path(name)).progress(), stage.recipe.training.num_updates
        left = 0 if progress.finished(most) else most - progress.update
        found.append(Cost(name, progress.update, most if left else progress.update, left * update_s))
    return found, num_parameters * BYTES_PER_PARAMETER * len(found), f"{update_s:.2f} s an update, {source}"


def estimate_text(plan: Plan, num_jobs: int = 1) -> str:
    """The plan as Markdown: every run, what is left of it, and the sums of time and disk.

    Raises:
        InputError: A manifest is missing or broken.
    """
    runs, run_bytes, source = costs(plan)
    lines = [[c.name, f"{c.updates_done} of {c.num_updates}", _state(c), duration(c.left_s)] for c in runs]
    left_s = sum(c.left_s for c in runs)
    finished = sum(c.left_s == 0 for c in runs)
    side_by_side = f"; at best {duration(left_s / num_jobs)} with {num_jobs} jobs" if num_jobs > 1 else ""
    return "\n".join(
        [
            markdown_table(["Run", "Updates", "State", "Time left"], lines, num_text_columns=1),
            "",
            f"{len(plan.cells)} cells need {len(runs)} runs: {finished} finished, {len(runs) - finished} to do.",
            f"Time: about {duration(left_s)} one after another at {source}{side_by_side}. Early stopping may end runs "
            "before.",
            f"Disk: {_megabytes(run_bytes)} for the runs, {_megabytes(decoded_bytes(plan))} for decoded speech, which "
            "may be there already.",
        ]
    )


def _state(cost: Cost) -> str:
    return "finished" if not cost.left_s else "to go on" if cost.updates_done else "to do"


def _measured(plan: Plan) -> tuple[float, int, str] | None:
    """From runs of this plan that were begun, wherever that was; the looks at the dev sets are in it."""
    runs = [run for name in plan.stages if (run := Run(plan.run_path(name))).exists() and run.progress().best_update]
    if not runs:
        return None
    progress = [run.progress() for run in runs]
    update_s = sum(part.wall_time_s for part in progress) / sum(part.update for part in progress)
    return update_s, runs[0].num_parameters(), f"measured in {len(runs)} of these runs"


def _tried(plan: Plan) -> tuple[float, int, str]:
    """By a few steps on noise, on this machine; the looks at the dev sets are not in it."""
    recipe = next(iter(plan.stages.values())).recipe
    model = build_model(recipe, dict.fromkeys(recipe.languages, NUM_TOKENS))
    step, batch = make_train_step(model, build_optimizer(model, recipe.training)), _noise(recipe)
    times = []
    for _ in range(4):
        start = time.perf_counter()
        step(batch, 1e-4, np.ones(len(recipe.languages)))
        times.append(time.perf_counter() - start)
    return float(np.median(times[1:])), model.count_params(), "measured now by steps on noise"


def _noise(recipe: Recipe) -> Batch:
    rows, samples = max(1, int(recipe.data.batch_s / UTTERANCE_S)), int(UTTERANCE_S * recipe.data.sample_rate_hz)
    generator = np.random.default_rng(0)
    return Batch(
        waveforms=generator.normal(0, 0.1, (rows, samples)).astype(np.float32),
        num_samples=np.full(rows, samples, np.int32),
        language_ids=np.zeros(rows, np.int32),
        tokens=generator.integers(1, NUM_TOKENS, (rows, NUM_TOKENS)).astype(np.int32),
        num_tokens=np.full(rows, NUM_TOKENS, np.int32),
    )


def decoded_bytes(plan: Plan) -> int:
    """Of the speech that the plan's runs decode, 16 bits a sample."""
    data = next(iter(plan.stages.values())).recipe.data
    durations_s: dict[Path, np.ndarray] = {}
    stores_s: dict[tuple[Path, int], float] = {}
    for recipe in (stage.recipe for stage in plan.stages.values()):
        for language, split in product(recipe.languages, SPLITS):
            manifest, budget_s = recipe.manifest(language, split), recipe.budget_s(language, split)
            if manifest not in durations_s:
                durations_s[manifest] = np.array([utterance.duration_s for utterance in read_manifest(manifest)])
            own = durations_s[manifest]
            if budget_s is not None:
                own = own[next(parts_to_decode(own, budget_s, data.subset_seed), slice(None))]
            stores_s[manifest, len(own)] = float(own.sum())
    return int(2 * sum(stores_s.values()) * data.sample_rate_hz)


def _megabytes(size: int) -> str:
    return f"{size / 1e6:,.0f} MB" if size < 1e9 else f"{size / 1e9:,.1f} GB"
