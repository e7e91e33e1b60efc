"""Speed of a training step, and seconds to the first one: ours, the same network in PyTorch, and Keras's own `fit`.

python -m benchmarks.train_step [--out benchmarks/train_step.json]
"""

import argparse
import os
from contextlib import ExitStack, closing
from pathlib import Path

from rich.console import Console

from benchmarks import first_step
from benchmarks.contestants import MAKERS, OURS, TWIN, Case
from benchmarks.provenance import ROOT, Table, provenance, report
from benchmarks.rounds import Plan, interleave
from benchmarks.speech_like import SHAPES, SIZES, Shape
from benchmarks.workers import Worker, in_new_process


def main() -> None:
    """Measures, writes the result and prints it."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.train_step", description=__doc__)
    parser.add_argument("--out", type=Path, default=ROOT / "benchmarks" / "train_step.json")
    parser.add_argument("--max-s", type=float, default=Plan.max_s, help="seconds to spend on each row of the table")
    parser.add_argument("--skip-first-step", action="store_true", help="measure only the speed of steps")
    arguments = parser.parse_args()
    screen, both = Console(width=160), os.cpu_count() or 1
    result = provenance("train_step")
    result["steps"] = [
        row for num_threads in sorted({both, 1}) for row in _steps(num_threads, Plan(max_s=arguments.max_s), screen)
    ]
    tables = [_steps_table(result["steps"])]
    if not arguments.skip_first_step:
        result["first_step"] = _first_steps(both, screen)
        tables += [_first_step_table(result["first_step"]["seconds"]), _parts_table(result["first_step"]["parts"])]
    report(arguments.out, result, *tables)


def _steps(num_threads: int, plan: Plan, screen: Console) -> list[dict]:
    rows = []
    with ExitStack() as stack:
        workers = {name: stack.enter_context(closing(Worker.of_steps(num_threads))) for name in MAKERS}
        for size in SIZES:
            for shape in SHAPES:
                turns = {name: worker.steps(name, Case(size), shape) for name, worker in workers.items()}
                rows.append(_row(size, shape, num_threads) | interleave(turns, plan).summary(OURS))
                screen.print(_line(rows[-1]), highlight=False)
    return rows


def _row(size: str, shape: Shape, num_threads: int) -> dict:
    return {"size": size, "encoder": SIZES[size], "batch": str(shape), "num_threads": num_threads}


def _line(row: dict) -> str:
    ratio = row["ratios"][TWIN]
    return (
        f"{row['size']}, {row['batch']}, {row['num_threads']} threads: "
        f"{ratio['wall']['median']:.2f} x PyTorch by the clock, {ratio['cpu']['median']:.2f} x by processor time"
    )


def _first_steps(num_threads: int, screen: Console) -> dict:
    seconds: dict[str, dict] = {}
    case = Case()
    for name in MAKERS:
        screen.print(f"first step of {name} ...", highlight=False)
        measured = in_new_process(first_step.of_contestant, name, case, num_threads)
        seconds[name] = first_step.as_json(measured)
    for variant in first_step.FIT_VARIANTS:
        screen.print(f"first step of {variant} ...", highlight=False)
        seconds[str(variant)] = first_step.as_json(in_new_process(first_step.of_fit, variant, case, num_threads))
    parts = in_new_process(first_step.of_parts, case, num_threads)
    return {"size": case.size, "num_threads": num_threads, "seconds": seconds, "parts": parts}


def _steps_table(rows: list[dict]) -> Table:
    title = "Audio-seconds per second of training: median over rounds (min-max). The ratio is ours over PyTorch's."
    heads = ("Model", "Batch", "Threads", "Ours", "PyTorch", "Ratio", "Ratio by processor time", "Others busy")
    lines = []
    for row in rows:
        ratio = row["ratios"][TWIN]
        speeds = [_spread(row[name]["audio_s_per_s"], 0) for name in (OURS, TWIN)]
        ratios = [_spread(ratio["wall"], 2), _spread(ratio["cpu"], 2)]
        others = str(row["others_busy_processors"])
        lines.append([row["size"], row["batch"], str(row["num_threads"]), *speeds, *ratios, others])
    return Table(title, heads, lines, num_text_columns=2)


def _spread(numbers: dict, decimals: int) -> str:
    return "{median:.{d}f} ({min:.{d}f}-{max:.{d}f})".format(**numbers, d=decimals)


def _first_step_table(seconds: dict[str, dict]) -> Table:
    stages = ("import", "build", "first_step", "second_shape", "third_shape")
    lines = [
        [name, *(f"{measured[stage]['wall']:.1f} ({measured[stage]['cpu']:.1f})" for stage in stages)]
        for name, measured in seconds.items()
    ]
    title = "Seconds to the first step, and to the first of two more shapes, by the clock (of processor)"
    return Table(title, ("", "Import", "Build", "First step", "Second shape", "Third shape"), lines)


def _parts_table(parts: dict[str, dict]) -> Table:
    lines = [
        [name, str(measured["graph_nodes"]), *(f"{measured[stage]['cpu']:.1f}" for stage in ("trace", "first_run"))]
        for name, measured in parts.items()
    ]
    return Table("The graphs of a step's parts; seconds of processor", ("Part", "Nodes", "Trace", "First run"), lines)


if __name__ == "__main__":
    main()
