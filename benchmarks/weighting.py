"""What each way to weigh tasks and to combine their gradients costs: a step of each beside equal weights, in one run.

python -m benchmarks.weighting [--out benchmarks/weighting.json]
"""

import argparse
from contextlib import closing
from pathlib import Path

from benchmarks.contestants import OURS, Case
from benchmarks.provenance import ROOT, Table, provenance, report
from benchmarks.rounds import Plan, interleave
from benchmarks.speech_like import SHAPES
from benchmarks.workers import Worker

NUM_LANGUAGES = (2, 5, 10)
FIRST = "equal"


def main() -> None:
    """Measures, writes the result file, and prints it."""
    from speech_mtl.settings.training import GradientSettings, WeightingSettings

    parser = argparse.ArgumentParser(prog="python -m benchmarks.weighting", description=__doc__)
    parser.add_argument("--out", type=Path, default=ROOT / "benchmarks" / "weighting.json")
    parser.add_argument("--max-s", type=float, default=12 * Plan.max_s, help="seconds to spend on each row")
    arguments = parser.parse_args()
    result = provenance("weighting")
    rows = _measured(list(WeightingSettings.kinds()), list(GradientSettings.kinds()), Plan(max_s=arguments.max_s))
    result |= {"size": "small", "batch": str(SHAPES[0]), "num_threads": 1, "rows": rows}
    report(arguments.out, result, _table(rows))


def _measured(weightings: list[str], surgeries: list[str], plan: Plan) -> list[dict]:
    rows = []
    for number in NUM_LANGUAGES:
        with closing(Worker.of_steps(1)) as worker:
            cases = {kind: Case("small", number, weighting=kind) for kind in weightings}
            cases |= {kind: Case("small", number, gradients=kind) for kind in surgeries}
            turns = {kind: worker.steps(OURS, case, SHAPES[0]) for kind, case in cases.items()}
            rows.append({"num_tasks": number} | interleave(turns, plan).summary(FIRST))
    return rows


def _table(rows: list[dict]) -> Table:
    title = f"Processor time of a step, as a multiple of that with {FIRST} weights: median over rounds (min-max)"
    kinds = list(rows[0]["ratios"])
    lines = []
    for kind in kinds:
        ratios = (row["ratios"][kind]["cpu"] for row in rows)
        lines.append([kind, *(f"{r['median']:.2f} ({r['min']:.2f}-{r['max']:.2f})" for r in ratios)])
    return Table(title, ("Strategy", *(f"{number} languages" for number in NUM_LANGUAGES)), lines)


if __name__ == "__main__":
    main()
