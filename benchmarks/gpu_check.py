"""A training step under JAX on the device at hand, beside the same network in eager PyTorch there; a few minutes.

    make gpu-check
    KERAS_BACKEND=jax python -m benchmarks.gpu_check [--cases small-1 large-16 ...] [--out benchmarks/gpu_check.json]

Ours begins with waveforms on the host, PyTorch's with tensors on the device. Of each case: time of a step, time to the
first, memory, which share of the speed of large products of matrices a step reaches, and what the device does
meanwhile, from a profile. Of small networks also how long the parts of a step take by themselves; of a large one it
takes a minute to compile them. On a machine without an accelerator, `--cases tiny-1` tries the script.
"""

import argparse
import gc
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, field
from functools import partial
from itertools import count, cycle, islice
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks import speech_like
from benchmarks.contestants import Case, twin_settings
from benchmarks.device_time import profiled, shares
from benchmarks.provenance import ROOT, Table, provenance, report
from benchmarks.rounds import Plan, Speed, Turn, interleave
from benchmarks.speech_like import Shape
from benchmarks.stopwatch import Stopwatch
from speech_mtl.data.threads import ahead
from speech_mtl.datatypes import TRANSCRIPT, Batch
from speech_mtl.settings.recipe import Recipe

SIZES = {
    "tiny": {"num_layers": 2, "dim": 32, "num_heads": 2},
    "small": {"num_layers": 5, "dim": 96},
    "large": {"num_layers": 16, "dim": 512, "num_heads": 8, "channels": 64},
}
"""Encoder settings that differ from the defaults."""
CASES = ("small-1", "small-16", "large-16")
"""Size of the network, and minutes of speech in a batch."""
LOW = {"training.precision": "bfloat16"}
VARIANTS: dict[str, dict] = {
    "bfloat16, recomputed": LOW | {"training.recompute": True},
    "bfloat16": LOW,
    "float32": {},
    "bfloat16, 4 parts": LOW,
}
"""Roughly in the order of their memory: a device tells the most that it has held so far."""
SIMPLE = ("bfloat16", "float32")
"""What is measured of a small network, and beside PyTorch."""
UTTERANCE_S, NUM_TOKENS = 5.0, 50


def main() -> None:
    """Measures, and writes and prints the tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cases", nargs="+", default=CASES, help="SIZE-MINUTES")
    parser.add_argument("--max-s", type=float, default=5.0, help="seconds to spend on the steps of each case")
    parser.add_argument("--limit-s", type=float, default=240.0, help="seconds after which no other step is compiled")
    parser.add_argument("--out", type=Path, default=ROOT / "benchmarks" / "gpu_check.json", help="result file")
    given = parser.parse_args()
    import jax  # pyright: ignore[reportMissingImports]

    device, until = jax.devices()[0], time.perf_counter() + given.limit_s
    result = provenance("gpu_check") | {
        "about": f"Utterances of {UTTERANCE_S:g} s, {NUM_TOKENS} tokens, 3 languages; sounds and tokens are made up.",
        "accelerator": device.device_kind,
        "matrix_tflops": {kind: float(f"{_matrix_speed(kind) / 1e12:.4g}") for kind in ("float32", "bfloat16")},
        "rows": [],
    }
    for name in given.cases:
        size, minutes = name.split("-")
        for variant in VARIANTS if size == "large" else SIMPLE:
            if time.perf_counter() > until:
                print(f"{name}, {variant}: left out, since {given.limit_s:g} s are over", flush=True)
                continue
            row = _measured(size, float(minutes), variant, given.max_s, result["matrix_tflops"])
            result["rows"].append(row)
            print(
                f"{row['case']}, {variant}: {row['step_ms']} ms a step, the first {row['first_step_s']} s",
                flush=True,
            )
    report(given.out, result, *tables(result["rows"]))


def _recipe(size: str, minutes: float, changes: Mapping, num_parts: int = 1) -> Recipe:
    settings = {f"encoder.{name}": value for name, value in SIZES[size].items()}
    part = {"training.part_s": 60 * minutes / num_parts} if num_parts > 1 else {}
    plain = speech_like.recipe("default", 3)
    return plain.overridden({**settings, **changes, **part, "data.batch_s": 60 * minutes})


def _measured(size: str, minutes: float, variant: str, max_s: float, matrix_tflops: Mapping[str, float]) -> dict:
    """A row: a step and its parts, and the same network in PyTorch."""
    gc.collect()  # the network before
    shape = Shape(round(60 * minutes / UTTERANCE_S), UTTERANCE_S, NUM_TOKENS)
    batches = speech_like.batches(shape, 3)
    recipe = _recipe(size, minutes, VARIANTS[variant], 4 if "parts" in variant else 1)
    ours, precision = _Ours(recipe), recipe.training.precision
    first_s = _timed(lambda: ours.steps(batches, 1))
    twin = _twin_steps(recipe) if variant in SIMPLE else None
    turns = {"speech_mtl": _turn(ours.steps, batches)} | ({"PyTorch": _turn(twin, batches)} if twin else {})
    found = interleave(turns, Plan(warm_up=3, max_s=max_s, num_rounds=8, min_rounds=3)).summary("speech_mtl")
    step_s = speech_like.audio_s(batches[0]) / found["speech_mtl"]["audio_s_per_s"]["median"]
    num_frames = int(ours.model.num_encoder_frames(batches[0].waveforms.shape[1]))
    flops = 3 * shape.num_utterances * num_frames * flops_per_frame(recipe, num_frames)
    return {
        "case": f"{size}, {minutes:g} min",
        "variant": variant,
        "parameters": ours.model.count_params(),
        "step_ms": round(1000 * step_s, 2),
        "first_step_s": round(first_s, 1),
        "peak_gib": _peak_gib(),
        "matrix_share": round(flops / step_s / 1e12 / matrix_tflops[precision], 3),
        **found,
        "device_time": shares(profiled(lambda: ours.steps(batches, 2 * len(batches)))),
        **({"parts_ms": _in_ms(ours.parts(batches[0]))} if variant == SIMPLE[0] and size != "large" else {}),
    }


def _in_ms(seconds: Mapping[str, float]) -> dict[str, float]:
    return {name: round(1000 * s, 2) for name, s in seconds.items()}


def _turn(steps: Callable[[Sequence[Batch], int], object], batches: Sequence[Batch]) -> Turn:
    """So many steps, with batches in turn."""

    def turn(number: int) -> Speed:
        stopwatch = Stopwatch()
        steps(batches, number)
        return Speed(stopwatch.lap(), sum(speech_like.audio_s(batch) for batch in islice(cycle(batches), number)))

    return turn


def _timed(function: Callable[[], object]) -> float:
    began = time.perf_counter()
    function()
    return time.perf_counter() - began


@dataclass
class _Ours:
    """Our network, its step, and parts of the step."""

    recipe: Recipe
    updates: Any = field(default_factory=count)

    def __post_init__(self):
        from speech_mtl.run.build import build_model, build_optimizer, build_step, step_limits
        from speech_mtl.training.objective import Objective
        from speech_mtl.training.state import TrainState

        targets = Case().targets
        self.model = build_model(self.recipe, targets, trained=True)
        self.optimizer = build_optimizer(self.model, self.recipe.training)
        self.objective = Objective(self.model.languages, tuple(targets.values()))
        weighting = self.recipe.weighting.make(objective=self.objective, seed=0)
        limits = step_limits(self.recipe, (UTTERANCE_S,), num_tokens=NUM_TOKENS)
        self._step = build_step(self.recipe, TrainState(self.model, self.optimizer, weighting), self.objective, limits)
        self._weights = weighting.weights(0)

    def steps(self, batches: Sequence[Batch], number: int) -> None:
        """As in training: a batch is copied to the device while the steps before it are computed."""
        placed = ahead(self._step.place, islice(cycle(batches), number), num_threads=1, most=1)
        pending = [self._step.begin(one, 1e-4, self._weights, next(self.updates)) for one in placed]
        for one in pending:
            one()

    def parts(self, batch: Batch) -> dict[str, float]:
        """Seconds of each part by itself, on a batch that lies on the device."""
        import jax  # pyright: ignore[reportMissingImports]
        from keras import ops

        model, number = self.model, len(self.model.trainable_variables)
        variables = [variable.value for variable in (*model.trainable_variables, *model.non_trainable_variables)]
        inputs = [jax.device_put(array) for array in batch[:3]]
        tokens = batch.targets[TRANSCRIPT]

        def outputs(weights, training: bool):
            given = weights, variables[number:]
            return model.stateless_call(*given, *inputs, training=training, languages=None, targets=None)[0]

        def frames_only(weights):
            return ops.sum(outputs(weights, training=True).values[TRANSCRIPT] ** 2)

        logits, num_frames = outputs(variables[:number], training=False)
        state, flat = [v.value for v in self.optimizer.variables], self.optimizer.flattened(variables[:number])
        of_loss = partial(_ctc, num_frames=num_frames, tokens=tokens)
        weights = variables[:number]
        return {
            "copy to the device": _median_s(lambda: [jax.device_put(array) for array in batch[:3]]),
            "log-mel": _median_s(partial(jax.jit(lambda *given: model.features(*given)[0]), *inputs[:2])),
            "network forward": _median_s(partial(jax.jit(partial(outputs, training=True)), weights)),
            "network forward and backward": _median_s(partial(jax.jit(jax.grad(frames_only)), weights)),
            "CTC": _median_s(partial(jax.jit(jax.grad(of_loss)), logits[TRANSCRIPT])),
            "optimiser": _median_s(
                partial(jax.jit(self.optimizer.updated), weights, flat, state, np.ones(1, np.float32))
            ),
        }


def _ctc(logits: Any, num_frames: Any, tokens: Any) -> Any:
    from speech_mtl.backend import ctc_loss

    return ctc_loss(logits, num_frames, *tokens).sum()


def _median_s(function: Callable[[], Any], number: int = 5) -> float:
    """Of so many calls, after one that compiles."""
    import jax  # pyright: ignore[reportMissingImports]

    jax.block_until_ready(function())
    seconds = []
    for _ in range(number):
        began = time.perf_counter()
        jax.block_until_ready(function())
        seconds.append(time.perf_counter() - began)
    return float(np.median(seconds))


def _twin_steps(recipe: Recipe) -> Callable[[Sequence[Batch], int], object] | None:
    """Steps of the twin, on a GPU if PyTorch has one; None without PyTorch."""
    try:
        import torch  # pyright: ignore[reportMissingImports]
    except ImportError:
        return None
    from benchmarks.pytorch_twin import Twin, TwinSettings, make_train_step
    from speech_mtl.models.features import mel_filters

    device = "cuda" if torch.cuda.is_available() else "cpu"
    torch.set_default_device(device)
    torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = True
    settings = TwinSettings(**twin_settings(recipe))
    filters = mel_filters(settings.sample_rate_hz, settings.num_mels, settings.fft_size)
    twin = Twin(settings, speech_like.vocabularies(3), filters).to(device)
    step = make_train_step(twin, recipe.training.weight_decay, recipe.training.clip_norm)
    low = recipe.training.precision == "bfloat16"

    def steps(batches: Sequence[Batch], number: int) -> None:
        for batch in islice(cycle(batches), number):
            with torch.autocast(device, torch.bfloat16) if low else nullcontext():
                step(batch, 1e-4)

    return steps


def _matrix_speed(kind: str, size: int = 8192, number: int = 8) -> float:
    """Operations a second of so many large products of random matrices: the best that a step can reach."""
    import jax  # pyright: ignore[reportMissingImports]

    size = size if jax.default_backend() != "cpu" else 512
    matrix = jax.random.normal(jax.random.key(0), (size, size), kind) * size**-0.5
    products = jax.jit(lambda one: jax.lax.fori_loop(0, number, lambda _, so_far: so_far @ one, one))
    return number * 2 * size**3 / _median_s(lambda: products(matrix))


def flops_per_frame(recipe: Recipe, num_frames: int) -> float:
    """Operations of the Conformer's matrices for an encoder frame, forward; subsampling and output layers left out.

    A block has 23 D^2 multiplications: 16 in the feed-forward modules, 4 in the attention, 3 in the convolution module;
    besides those of the scores and of the weighted values, 2 D for each frame attended to, and the kernel's.
    """
    encoder: Any = recipe.encoder
    dim = encoder.dim
    inside = 4 * encoder.expansion * dim**2 + 7 * dim**2
    return 2.0 * encoder.num_layers * (inside + 2 * num_frames * dim + encoder.kernel_size * dim)


def _peak_gib() -> float | None:
    """The most memory of the device that has been held so far; None where it does not tell."""
    import jax  # pyright: ignore[reportMissingImports]

    found = jax.devices()[0].memory_stats()
    return round(found["peak_bytes_in_use"] / 2**30, 2) if found else None


def tables(rows: Sequence[Mapping]) -> list[Table]:
    """Those of the steps, of what the device did, and of the parts of steps, as far as they were measured."""
    found = [steps_table(rows)]
    for name, table in (("device_time", device_table), ("parts_ms", parts_table)):
        if own := [row for row in rows if row.get(name)]:
            found.append(table(own))
    return found


def steps_table(rows: Sequence[Mapping]) -> Table:
    """Time, memory and speed of steps."""
    lines = []
    for row in rows:
        speed, ratio = row["speech_mtl"]["audio_s_per_s"]["median"], row["ratios"].get("PyTorch")
        lines.append(
            [
                row["case"],
                row["variant"],
                f"{row['parameters'] / 1e6:.1f}",
                f"{row['step_ms']:.1f}",
                f"{speed:,.0f}",
                f"{ratio['wall']['median']:.2f}" if ratio else "",
                f"{row['first_step_s']:.0f}",
                "" if row["peak_gib"] is None else f"{row['peak_gib']:.1f}",
                f"{row['matrix_share']:.0%}",
            ]
        )
    heads = (
        *("Network and batch", "Step", "M parameters", "ms a step", "Audio-s/s", "Multiple of eager PyTorch's speed"),
        *("First step, s", "Peak GiB so far", "Of the speed of large products"),
    )
    return Table("Training steps", heads, lines, num_text_columns=2)


def device_table(rows: Sequence[Mapping]) -> Table:
    """What the device did during steps."""
    heads = ("Network and batch", "Step", *rows[0]["device_time"])
    lines = [[row["case"], row["variant"], *(f"{share:.0%}" for share in row["device_time"].values())] for row in rows]
    return Table("Share of the time of each kind of operation on the device", heads, lines, num_text_columns=2)


def parts_table(rows: Sequence[Mapping]) -> Table:
    """Time of the parts of a step."""
    heads = ("Network and batch", "Step", "whole", *rows[0]["parts_ms"])
    lines = [
        [row["case"], row["variant"], *(f"{ms:.1f}" for ms in (row["step_ms"], *row["parts_ms"].values()))]
        for row in rows
    ]
    return Table("Milliseconds of a step and of its parts by themselves", heads, lines, num_text_columns=2)


if __name__ == "__main__":
    main()
