"""A step's cost does not grow with the number of languages: 2, 10, 50 and 128 of them, interleaved in one run.

python -m benchmarks.number_of_languages [--out benchmarks/number_of_languages.json]
"""

import argparse
from contextlib import closing
from pathlib import Path

from benchmarks.contestants import OURS, Case
from benchmarks.provenance import ROOT, Table, provenance, report
from benchmarks.rounds import Plan, interleave
from benchmarks.speech_like import SHAPES
from benchmarks.workers import Worker

NUM_LANGUAGES = (2, 10, 50, 128)


def main() -> None:
    """Measures, writes the result file, and prints it."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.number_of_languages", description=__doc__)
    parser.add_argument("--out", type=Path, default=ROOT / "benchmarks" / "number_of_languages.json")
    parser.add_argument("--max-s", type=float, default=3 * Plan.max_s, help="seconds to spend on each row")
    arguments = parser.parse_args()
    result = provenance("number_of_languages")
    result |= {"size": "small", "num_threads": 1, "rows": _measured(Plan(max_s=arguments.max_s))}
    report(arguments.out, result, _table(result["rows"]))


def _measured(plan: Plan) -> list[dict]:
    rows = []
    with closing(Worker.of_steps(1)) as worker:
        for shape in SHAPES:
            turns = {str(number): worker.steps(OURS, Case("small", number), shape) for number in NUM_LANGUAGES}
            rows.append({"batch": str(shape)} | interleave(turns, plan).summary(str(NUM_LANGUAGES[0])))
    return rows


def _table(rows: list[dict]) -> Table:
    title = "Processor time of a step, as a multiple of that with 2 languages: median over rounds (min-max)"
    lines = []
    for row in rows:
        ratios = (row["ratios"][str(number)]["cpu"] for number in NUM_LANGUAGES[1:])
        lines.append([row["batch"], *(f"{r['median']:.2f} ({r['min']:.2f}-{r['max']:.2f})" for r in ratios)])
    return Table(title, ("Batch", *(f"{number} languages" for number in NUM_LANGUAGES[1:])), lines)


if __name__ == "__main__":
    main()
