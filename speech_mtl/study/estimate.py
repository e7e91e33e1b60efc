"""Estimates the time and disk space of a plan from measurements, before anything is trained."""

import time
from collections.abc import Callable
from functools import lru_cache
from itertools import product
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import NamedTuple

import numpy as np

from speech_mtl.backend import compile_forward
from speech_mtl.data.manifest import read_manifest
from speech_mtl.data.sampling import parts_to_decode, within_budget
from speech_mtl.data.tokenizer import of_size
from speech_mtl.datatypes import SPLITS, TRANSCRIPT, Batch, Tokens
from speech_mtl.run.build import build_model, build_optimizer, build_step, build_targets, refuse_backend, step_limits
from speech_mtl.run.checkpoint import Checkpoints
from speech_mtl.run.folder import Run
from speech_mtl.scoring.tables import markdown_table
from speech_mtl.settings.recipe import Recipe
from speech_mtl.study.plan import Plan, speech_of
from speech_mtl.study.report.words import waiting
from speech_mtl.study.run_stage import TESTED
from speech_mtl.study.target import UNTARGETED
from speech_mtl.training.objective import Objective
from speech_mtl.training.progress import Progress
from speech_mtl.training.state import TrainState

BYTES_PER_PARAMETER = 20
"""Bytes in a run folder: best weights, and a checkpoint of weights, their mean and the optimiser's two moments."""
NUM_TOKENS, NUM_STEPS = 50, 4
"""The vocabulary and the number of the steps that are timed."""
REPORT_S = 5.0
"""Seconds for the report at the end."""


class Cost(NamedTuple):
    """Cost of a run; `left_s`: time until it is trained and tested, at most, since early stopping may end it before."""

    name: str
    updates_done: int
    num_updates: int
    left_s: float


class Speed(NamedTuple):
    """Seconds that the parts of a run take.

    Attributes:
        start: Making the network and compiling a step, before the first update.
        open: Making the network and compiling it for recognition.
        recognise: A second of speech.
        save: A checkpoint and the best weights.
    """

    start: float
    update: float
    open: float
    recognise: float
    save: float


def costs(plan: Plan) -> tuple[list[Cost], int, str]:
    """Estimates the cost of each run of a plan.

    Returns:
        The runs, the bytes that they fill, and how an update was timed.
    """
    tried: dict[str, tuple[Speed, int]] = {}
    found, num_parameters, updates_s, seen = [], 0, [], _seen(plan)
    for name, stage in plan.stages.items():
        recipe, progress = stage.recipe, Run(plan.run_path(name)).progress()
        kind = _kind(recipe)
        if kind not in tried:
            tried[kind] = _tried(recipe)
        most, (speed, size) = recipe.training.num_updates, tried[kind]
        left = 0 if progress.finished(most) else most - progress.update
        training_s = left * seen[0] if seen else _training_s(recipe, speed, left)
        left_s = training_s + (name in plan.tested) * _testing_s(recipe, speed) if left else 0.0
        found.append(Cost(name, progress.update, most if left else progress.update, left_s))
        updates_s.append(speed.update)
        num_parameters += size
    how = "measured now by steps on noise"
    if seen:
        updates_s, how = [seen[0]], f"measured in {seen[1]} of these runs"
    rates = dict.fromkeys(f"{update_s:.2f}" for update_s in (min(updates_s), max(updates_s)))
    return found, num_parameters * BYTES_PER_PARAMETER, f"{' to '.join(rates)} s an update, {how}"


def _seen(plan: Plan) -> tuple[float, int] | None:
    """Seconds per update, validations included, in the begun runs of this plan; and the number of these runs."""
    runs = [run for name in plan.stages if (run := Run(plan.run_path(name))).exists() and run.progress().best_update]
    progress = [run.progress() for run in runs]
    return (sum(p.wall_time_s for p in progress) / sum(p.update for p in progress), len(runs)) if runs else None


def estimate_text(plan: Plan, num_jobs: int = 1) -> str:
    """The plan as Markdown: every run, what is left of it, and the sums of time and disk.

    Raises:
        InputError: A manifest is missing or broken, or a budget is more than there is.
    """
    import_s = time.process_time()  # of this process until here
    _refuse_larger_budgets(plan)
    runs, run_bytes, source = costs(plan)
    lines = [[c.name, f"{c.updates_done} of {c.num_updates}", _state(c), waiting(c.left_s)] for c in runs]
    finished = sum(c.left_s == 0 for c in runs)
    left_s = sum(c.left_s for c in runs) + import_s + REPORT_S
    at_best_s = left_s if num_jobs == 1 else sum(c.left_s for c in runs) / num_jobs + 2 * import_s + REPORT_S
    decoders = next(iter(plan.stages.values())).recipe.compare.decoders
    not_counted = f", nor are the decoders {', '.join(decoders)} with their language models" if decoders else ""
    side_by_side = f"; at best {waiting(at_best_s)} with {num_jobs} jobs" if num_jobs > 1 else ""
    return "\n".join(
        [
            markdown_table(["Run", "Updates", "State", "Time left"], lines, num_text_columns=1),
            "",
            f"{len(plan.cells)} cells need {len(runs)} runs: {finished} finished, {len(runs) - finished} to do.",
            f"Time: about {waiting(left_s)} one after another at {source}{side_by_side}. Validation and tests are in "
            f"it, decoding speech for the first time is not{not_counted}. Early stopping may end runs before.",
            f"Disk: {_megabytes(run_bytes)} for the runs, {_megabytes(decoded_bytes(plan))} for decoded speech, which "
            "may be there already.",
        ]
    )


def _refuse_larger_budgets(plan: Plan) -> None:
    """Checks budgets by the durations in manifests; audio that cannot be used is only known once it is decoded."""
    stages = reversed(plan.stages.values())  # the largest budgets first, as in `open_speech`
    for key in dict.fromkeys(key for stage in stages for key in speech_of(stage)):
        if key.budget_s is not None:
            seconds, _, transcribed = _lengths(key.manifest).T
            within_budget(seconds * transcribed, key.budget_s, 0, str(key.manifest))


def _state(cost: Cost) -> str:
    return "finished" if not cost.left_s else "to resume" if cost.updates_done else "to do"


def _kind(recipe: Recipe) -> str:
    """Key of the time per update: runs of one kind are timed once; tasks are not timed."""
    names = {"encoder", "features", "sharing", "adapters", "gradients", "weighting"}
    timed = {"training": {"unfreezing", "precision", "recompute", "part_s"}}
    sections = recipe.model_dump(mode="json", include=dict.fromkeys(names, True) | timed)
    return repr((sections, recipe.data.batch_s, sorted(recipe.languages), sorted(recipe.trained_languages)))


def _training_s(recipe: Recipe, speed: Speed, num_updates: int) -> float:
    """Seconds from the start of a run to its last validation."""
    validations = -(-num_updates // recipe.training.evaluate_every)
    languages = recipe.validated_languages
    validation_s = _spoken_s(recipe, *product(languages, ["dev"])) * speed.recognise + speed.save
    return speed.start + speed.open + num_updates * speed.update + validations * validation_s


def _testing_s(recipe: Recipe, speed: Speed) -> float:
    """Seconds of `evaluate` on a trained run."""
    return speed.open + _spoken_s(recipe, *product(recipe.languages, TESTED)) * speed.recognise


def _spoken_s(recipe: Recipe, *splits: tuple[str, str]) -> float:
    return sum(float(_lengths(recipe.manifest(*one))[:, 0].sum()) for one in splits)


@lru_cache(maxsize=256)
def _lengths(manifest: Path) -> np.ndarray:
    """(N, 3) seconds, letters and whether there is a transcript, of each utterance.

    Parsed and not indexed, as a dry run leaves nothing behind.
    """
    return np.array([(u.duration_s, len(u.text or ""), u.text is not None) for u in read_manifest(manifest)])


def _tried(recipe: Recipe) -> tuple[Speed, int]:
    """By a few steps on noise, on this machine, with utterances as long as those of the recipe; and its parameters."""
    refuse_backend(recipe)
    clock = [time.perf_counter()]

    def passed() -> float:
        clock.append(time.perf_counter())
        return clock[-1] - clock[-2]

    # Labels are not read: without the tasks' heads, which take next to no time, and without weights that name them.
    plain = recipe.overridden({"tasks": {}, **UNTARGETED, "weighting": recipe.weighting.of(recipe.languages)})
    targets = build_targets(plain, {language: of_size(NUM_TOKENS, language) for language in plain.languages}, {})
    model = build_model(plain, targets, trained=True)
    built_s, batch = passed(), _noise(plain, model.features.num_inputs)
    optimizer = build_optimizer(model, plain.training, plain.trained_languages)
    objective = Objective(model.languages, tuple(targets.values()), trained=plain.trained_languages)
    state = TrainState(model, optimizer, plain.weighting.make(objective=objective, seed=plain.seed))
    limits = step_limits(plain, num_inputs=model.features.num_inputs)
    step, weights = build_step(plain, state, objective, limits), np.ones(len(plain.languages))
    passed()
    times = [(step(batch, 1e-4, weights, update)(), passed())[1] for update in range(1 + NUM_STEPS)]
    update_s = float(np.median(times[1:]))
    forward, inputs = compile_forward(model, plain.trained_languages), batch[:3]
    passed()
    recognised = [(forward(*inputs), passed())[1] for _ in range(1 + NUM_STEPS)]
    recognise_s = float(np.median(recognised[1:]))
    with TemporaryDirectory() as folder:
        passed()
        checkpoints = Checkpoints(Run(Path(folder)))
        checkpoints.save(state, Progress())
        checkpoints.save_best(model, 0)
        save_s = passed()
    speed = Speed(
        start=built_s + times[0] - update_s,
        update=update_s,
        open=built_s + recognised[0] - recognise_s,
        recognise=recognise_s / (batch.num_samples.sum() / plain.data.sample_rate_hz),
        save=save_s,
    )
    return speed, model.count_params()


def _noise(recipe: Recipe, num_inputs: Callable[[int], int]) -> Batch:
    """A batch of noise with utterances and transcripts of mean length."""
    spoken = np.concatenate([_lengths(recipe.manifest(name, "train")) for name in recipe.trained_languages])
    duration_s, num_letters, _ = map(float, spoken.mean(axis=0))
    num_tokens = max(1, int(num_letters))
    rows, samples = max(1, int(recipe.data.batch_s / duration_s)), int(duration_s * recipe.data.sample_rate_hz)
    generator = np.random.default_rng(0)
    trained = [i for i, name in enumerate(recipe.languages) if name in recipe.trained_languages]
    tokens = generator.integers(1, NUM_TOKENS, (rows, num_tokens))
    return Batch(
        waveforms=generator.normal(0, 0.1, (rows, num_inputs(samples))).astype(np.float32),
        num_samples=np.full(rows, samples, np.int32),
        language_ids=np.resize(np.array(trained, np.int32), rows),
        targets={TRANSCRIPT: Tokens(tokens.astype(np.int32), np.full(rows, num_tokens, np.int32))},
    )


def decoded_bytes(plan: Plan) -> int:
    """Bytes of the speech that the plan's runs decode, 16 bits per sample."""
    data = next(iter(plan.stages.values())).recipe.data
    stores_s: dict[tuple[Path, int], float] = {}
    for recipe in (stage.recipe for stage in plan.stages.values()):
        for language, split in product(recipe.languages, SPLITS):
            manifest, budget_s = recipe.manifest(language, split), recipe.budget_s(language, split)
            more_s, (own, _, transcribed) = recipe.untranscribed_s(language, split), _lengths(manifest).T
            if budget_s is not None and more_s is not None:
                parts = parts_to_decode(own, transcribed, budget_s, more_s, data.subset_seed)
                own = own[next(parts, slice(None))]
            stores_s[manifest, len(own)] = float(own.sum())
    return int(2 * sum(stores_s.values()) * data.sample_rate_hz)


def _megabytes(size: int) -> str:
    return f"{size / 1e6:,.0f} MB" if size < 1e9 else f"{size / 1e9:,.1f} GB"
