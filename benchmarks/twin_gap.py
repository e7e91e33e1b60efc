"""Does the network learn as well here as its twin in plain PyTorch? Both trained on the same batches.

python -m benchmarks.twin_gap [--jobs 2] [--updates 600] [--seeds 0 1 2] [--out benchmarks/twin_gap.json]

Recipe, speech, batches, schedule, decoding and validation set are the same; `ROWS` lists the differences. Ours is
trained by `speech_mtl.run.train`, the twin by `benchmarks.twin_training`, which takes its batches from the same plan.
Dropout and SpecAugment have the same settings, but each backend draws by itself.

Each training is a process with one thread; the first seed of all rows comes first. Its row is written when it ends:
started again, the command trains what is missing. Besides, the first updates are made by both without anything random,
from the same weights: their losses show whether both compute the same. And of each start is told how much of what
the blocks put out differs from frame to frame.
"""

import argparse
import json
import os
import time
from collections.abc import Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import dataclass, field
from itertools import islice
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.contestants import import_tensorflow
from benchmarks.provenance import ROOT, Table, provenance, report
from benchmarks.twin_training import Prepared, new_twin, twin_training, validation
from speech_mtl.datatypes import TRANSCRIPT
from speech_mtl.files import write_text
from speech_mtl.settings.recipe import Recipe
from speech_mtl.settings.recipe_file import load_recipe

BUDGET_S = 600.0
VALIDATIONS = 4
NUM_FIRST = 50
"""Updates that both make without anything random."""
SETTINGS: dict[str, Any] = {
    "data.batch_s": 30.0,
    "data.num_threads": 1,
    "training.learning_rate": 2e-3,
    "training.final_learning_rate": 1e-5,
    "training.cooldown_updates": 0,
    "training.average_decay": 0.0,
    "augment.spec_augment": {"num_time_masks": 2, "num_frequency_masks": 2},
    "encoder.zero_branches": False,
    "features.normalize": "mean_variance",
}
"""Of all rows, whatever the recipe's own are."""

ZERO = {"encoder.zero_branches": True}
MEAN = {"features.normalize": "mean"}
ZERO_MEAN = {**ZERO, **MEAN}
UNMASKED = {"augment.spec_augment.num_time_masks": 0, "augment.spec_augment.num_frequency_masks": 0}
NOTHING_RANDOM = {**UNMASKED, "encoder.dropout": 0.0}


@dataclass(frozen=True)
class Row:
    """A kind of training.

    Attributes:
        who: `product` or `twin`.
        init: What decides the first weights: `ours`, those of `build_model`; `scaled`, the same with the projection of
            the subsampling times the root of the width, as Vaswani et al. 2017, section 3.4, scale what goes into the
            first block; `pytorch`, the defaults of its layers.
        settings: What differs from `SETTINGS`.
        intermediate: Whether the twin has a second loss, after half of the blocks.
    """

    who: str
    init: str = "ours"
    settings: Mapping[str, Any] = field(default_factory=dict)
    intermediate: bool = False


ROWS = {
    "product": Row("product"),
    "twin": Row("twin"),
    "twin-pytorch_start": Row("twin", "pytorch"),
    "product-zero": Row("product", settings=ZERO),
    "twin-zero": Row("twin", settings=ZERO),
    "product-zero-mean": Row("product", settings=ZERO_MEAN),
    "twin-zero-mean": Row("twin", settings=ZERO_MEAN),
    "twin-pytorch_start-zero-mean": Row("twin", "pytorch", ZERO_MEAN),
    "twin-mean": Row("twin", settings=MEAN),
    "twin-pytorch_start-mean": Row("twin", "pytorch", MEAN),
    "twin-scaled-mean": Row("twin", "scaled", MEAN),
    "twin-scaled-zero-mean": Row("twin", "scaled", ZERO_MEAN),
    "twin-zero-mean-intermediate_ctc": Row("twin", settings=ZERO_MEAN, intermediate=True),
    "product-zero-mean-no_spec_augment": Row("product", settings={**ZERO_MEAN, **UNMASKED}),
    "twin-zero-mean-no_spec_augment": Row("twin", settings={**ZERO_MEAN, **UNMASKED}),
}
"""By name."""

STARTS = ("twin", "twin-zero", "twin-pytorch_start", "twin-scaled-mean")
"""Rows whose first weights are measured."""

PAIRS = (
    ("twin", "product"),
    ("twin-zero", "product-zero"),
    ("twin-zero-mean", "product-zero-mean"),
    ("twin-zero-mean-no_spec_augment", "product-zero-mean-no_spec_augment"),
    ("twin", "twin-pytorch_start"),
    ("twin-mean", "twin-pytorch_start-mean"),
    ("twin-zero-mean", "twin-pytorch_start-zero-mean"),
    ("twin-mean", "twin-scaled-mean"),
    ("twin-zero-mean", "twin-scaled-zero-mean"),
    ("twin", "twin-zero"),
    ("twin-mean", "twin-zero-mean"),
    ("twin", "twin-mean"),
    ("twin-zero", "twin-zero-mean"),
    ("twin-zero-mean", "twin-zero-mean-intermediate_ctc"),
    ("twin-zero-mean", "twin-zero-mean-no_spec_augment"),
)
"""Rows that differ in one thing."""


def main() -> None:
    """Trains what is missing, and writes and prints the errors."""
    about = "Trains the network and its PyTorch twin on the same batches."
    parser = argparse.ArgumentParser(prog="python -m benchmarks.twin_gap", description=about)
    parser.add_argument("--jobs", type=int, default=2, help="trainings at a time, each with one thread")
    parser.add_argument("--updates", type=int, default=600)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--recipe", type=Path, default=ROOT / "recipes" / "human")
    parser.add_argument("--runs", type=Path, default=Path("runs/twin_gap"), help="folder of our runs")
    parser.add_argument("--out", type=Path, default=ROOT / "benchmarks" / "twin_gap.json", help="result file")
    parser.add_argument("rows", nargs="*", default=list(ROWS), help="which to train; all if none is named")
    given = parser.parse_intermixed_args()
    os.environ |= {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}
    written = json.loads(given.out.read_text("utf-8")) if given.out.is_file() else {}
    rows = [row for row in written.get("rows", []) if row["updates"] == given.updates]
    before = {"first_updates": written.get("first_updates", []), "starts": written.get("starts", [])}
    there = {(row["name"], row["seed"]) for row in rows}
    wanted = [(name, seed) for seed in given.seeds for name in given.rows if (name, seed) not in there]
    recipe = load_recipe(given.recipe)
    result = provenance("twin_gap") | {"about": ABOUT.format(recipe=recipe.name, updates=given.updates)}

    def write() -> dict:
        rows.sort(key=lambda row: (row["seed"], list(ROWS).index(row["name"])))
        write_text(given.out, json.dumps(result | before | {"rows": rows}, indent=1) + "\n")
        return result | before | {"rows": rows}

    try:
        with ProcessPoolExecutor(
            given.jobs, get_context("spawn"), import_tensorflow, initargs=(1,), max_tasks_per_child=1
        ) as pool:
            if not before["first_updates"]:
                plain = of_row(recipe, Row("product", settings=NOTHING_RANDOM), given.seeds[0], given.updates)
                before["first_updates"] = pool.submit(first_updates, plain, NUM_FIRST).result()
            known = {start["name"] for start in before["starts"]}
            starts = [
                pool.submit(start_of, name, of_row(recipe, ROWS[name], given.seeds[0], given.updates))
                for name in STARTS
                if name not in known
            ]
            before["starts"] += [start.result() for start in starts]
            trainings = [
                pool.submit(trained, name, seed, of_row(recipe, ROWS[name], seed, given.updates), given.runs)
                for name, seed in wanted
            ]
            try:
                for training in as_completed(trainings):
                    rows.append(row := training.result())
                    print(f"{row['name']}, seed {row['seed']}: {row['looks'][-1]['dev_error']:.1%}", flush=True)
                    write()
            finally:
                pool.shutdown(cancel_futures=True)
    finally:
        tables = first_table(before["first_updates"]), starts_table(before["starts"])
        report(given.out, write(), errors_table(rows), pairs_table(rows), *tables)


ABOUT = (
    "Validation CER of the network and of its twin in PyTorch, of `recipes/{recipe}`: its target alone, ten minutes, "
    "{updates} updates of 30 s, the same batches. Dropout and SpecAugment are drawn by each backend itself."
)


def of_row(recipe: Recipe, row: Row, seed: int, updates: int) -> Recipe:
    """The recipe that a row trains with."""
    from speech_mtl.study.target import target_of, target_only

    length = {
        "seed": seed,
        "training.num_updates": updates,
        "training.warmup_updates": updates // 4,
        "training.evaluate_every": updates // VALIDATIONS,
        "training.patience": VALIDATIONS,
        f"languages.{target_of(recipe)}.budget_s": BUDGET_S,
    }
    return target_only(recipe).overridden({**SETTINGS, **length, **row.settings})


def trained(name: str, seed: int, recipe: Recipe, runs: Path) -> dict:
    """Trains one row in this process, and gives its entry in the result file."""
    row, began, values = ROWS[name], time.perf_counter(), recipe.of_one_run()
    train = train_product if row.who == "product" else train_twin
    validations = train(recipe, row, runs / str(recipe.training.num_updates) / f"{name}-{seed}")
    return {
        "name": name,
        "who": row.who,
        "init": row.init,
        "features": values["features.normalize"],
        "zero_branches": values["encoder.zero_branches"],
        "settings": dict(row.settings) | ({"intermediate_ctc": True} if row.intermediate else {}),
        "seed": seed,
        "looks": validations,
        "updates": recipe.training.num_updates,
        "audio_s": round(Prepared(recipe).audio_s(), 1),
        "wall_time_s": round(time.perf_counter() - began, 1),
    }


def train_product(recipe: Recipe, _row: Row, run: Path) -> list[dict]:
    """Validates our network during training."""
    from speech_mtl.run.train import train

    train(recipe, run)
    records = [json.loads(line) for line in (run / "log.jsonl").read_text("utf-8").splitlines()]
    return [validation(one["update"], one["dev_cer"], one["losses"]) for one in records]


def train_twin(recipe: Recipe, row: Row, _run: Path | None = None) -> list[dict]:
    """Validates the twin during training."""
    return [found for found, _ in twin_training(recipe, row.init, row.intermediate)]


def first_updates(recipe: Recipe, number: int) -> list[dict]:
    """Makes the first updates of a recipe with both; of each gives both losses, a token, and norms of the gradient."""
    import torch  # pyright: ignore[reportMissingImports]

    from benchmarks.pytorch_twin import make_train_step as make_twin_step
    from speech_mtl.backend import compile_step
    from speech_mtl.run.build import build_optimizer, build_schedule, build_unfreezing
    from speech_mtl.training.objective import Objective

    torch.set_num_threads(1)
    prepared, training, found = Prepared(recipe), recipe.training, []
    twin_step = make_twin_step(new_twin(prepared), training.weight_decay, training.clip_norm)
    objective = Objective(prepared.model.languages, tuple(prepared.targets.values()))
    step = compile_step(prepared.model, build_optimizer(prepared.model, training), objective)
    rates = build_schedule(training, build_unfreezing(prepared.model, training))
    for update, batch in enumerate(islice(prepared.batches(), number)):
        rate = rates(update, training.num_updates)
        ours, (losses, norm) = step(batch, rate, np.ones(1), update)(), twin_step(batch, float(rate[0]))
        values = {"product": (ours.losses.sum(), ours.norm), "twin": (losses.sum(), norm)}
        num_tokens = float(batch.targets[TRANSCRIPT].sizes.sum())
        of_each = {who: {"loss": float(loss) / num_tokens, "norm": length} for who, (loss, length) in values.items()}
        found.append({"update": update + 1, **of_each})
    return found


def start_of(name: str, recipe: Recipe) -> dict:
    """Of the first batch, the share of the frames' energy that differs from frame to frame, before any update."""
    import torch  # pyright: ignore[reportMissingImports]

    from benchmarks.pytorch_twin import as_tensors

    prepared = Prepared(recipe)
    twin, batch = (
        new_twin(prepared, ROWS[name].init, ROWS[name].intermediate).eval(),
        as_tensors(next(prepared.batches())),
    )
    with torch.no_grad():
        features, num_frames = twin.features(batch.waveforms, batch.num_samples)
        subsampled = twin.encoder.subsampling(features)
        end, middle, num_frames = twin.encoder(features, num_frames)
    parts = {"subsampled": subsampled, "middle": middle, "end": end}
    shares = {part: _varying(frames.numpy(), num_frames.numpy()) for part, frames in parts.items()}
    return {"name": name, "rms": float(subsampled.square().mean().sqrt()), **shares}


def _varying(frames: np.ndarray, num_frames: np.ndarray) -> float:
    """Of (B, E, D) frames: their variance over the frames of an utterance, as a share of their mean square."""
    utterances = [row[:size] for row, size in zip(frames, num_frames, strict=True)]
    return float(np.mean([own.var(axis=0).sum() / np.square(own).mean(axis=0).sum() for own in utterances]))


def errors_table(rows: Sequence[Mapping[str, Any]]) -> Table:
    """Errors at each validation: means over the seeds, and each seed at the end."""
    updates = sorted({validation["update"] for row in rows for validation in row["looks"]})
    lines = []
    for name in ROWS:
        if not (own := [row for row in rows if row["name"] == name]):
            continue
        means = [_percent(np.mean([_error(row, update) for row in own])) for update in updates]
        ends = ", ".join(_percent(row["looks"][-1]["dev_error"]) for row in own)
        loss = f"{np.mean([row['looks'][-1]['train_loss'] for row in own]):.2f}"
        lines.append([name, *means, ends, loss, f"{np.mean([row['audio_s'] for row in own]) / 60:.0f}"])
    title = "Validation CER in % after so many updates, mean of the seeds; each seed's at the end; speech in training"
    heads = "Training", *map(str, updates), "at the end, by seed", "training loss", "audio min"
    return Table(title, heads, lines)


def pairs_table(rows: Sequence[Mapping[str, Any]]) -> Table:
    """How far rows that differ in one thing are apart at the end, on the seeds that both have."""
    ends = {(row["name"], row["seed"]): row["looks"][-1]["dev_error"] for row in rows}
    lines = []
    for first, second in PAIRS:
        seeds = sorted({seed for name, seed in ends if name == first} & {seed for name, seed in ends if name == second})
        if not seeds:
            continue
        ours, others = (np.array([ends[name, seed] for seed in seeds]) for name in (first, second))
        each = ", ".join(f"{100 * change:+.0f} %" for change in others / ours - 1)
        lines.append([first, second, f"{100 * (others.mean() / ours.mean() - 1):+.1f} %", each])
    title = "Relative difference of the second from the first at the end: of the means, and by seed"
    return Table(title, ("First", "Second", "difference", "by seed"), lines, num_text_columns=2)


def first_table(updates: Sequence[Mapping[str, Any]]) -> Table:
    """How far the two are apart in the first updates."""
    lines = []
    for start in range(0, len(updates), 10):
        part = updates[start : start + 10]
        largest = [max(abs(one["product"][key] / one["twin"][key] - 1) for one in part) for key in ("loss", "norm")]
        losses = [f"{np.mean([one[who]['loss'] for one in part]):.4f}" for who in ("product", "twin")]
        lines.append([f"{part[0]['update']}-{part[-1]['update']}", *losses, *(f"{value:.1e}" for value in largest)])
    heads = "Updates", "loss, product", "loss, twin", "largest difference", "of the gradient's norm"
    title = (
        "The same updates without dropout and SpecAugment: mean loss a token; largest relative difference in an update"
    )
    return Table(title, heads, lines)


def starts_table(starts: Sequence[Mapping[str, Any]]) -> Table:
    """How much of a frame is its own at the start."""
    parts = "subsampled", "middle", "end"
    lines = [
        [one["name"], f"{one['rms']:.2f}", *(f"{100 * one[part]:.0f} %" for part in parts)]
        for one in sorted(starts, key=lambda one: STARTS.index(one["name"]))
    ]
    heads = "Start", "size of subsampled frames", "subsampled", "after half of the blocks", "after all"
    title = "Before any update: root mean square of what enters the blocks; share of the energy that varies over time"
    return Table(title, heads, lines)


def _error(row: Mapping[str, Any], update: int) -> float:
    return next(validation["dev_error"] for validation in row["looks"] if validation["update"] == update)


def _percent(error: Any) -> str:
    return f"{100 * error:.1f}"


if __name__ == "__main__":
    main()
