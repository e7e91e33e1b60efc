"""Whether the gain of auxiliary languages remains with a language model: a comparison by each of its decoders.

speech-mtl compare recipes/human 'compare.decoders={beam: {kind: beam, lm: open}}' --out runs/human
python -m benchmarks.comparison_decoders runs/human [--out benchmarks/comparison_decoders.json]

FOLDER is the output of `speech-mtl compare` with decoders. Arms are compared within a decoder, decoders by the same
models.
"""

import argparse
import json
from pathlib import Path

from benchmarks.provenance import ROOT, provenance, report
from speech_mtl.study.report.markdown import render_block
from speech_mtl.study.report.tables import comparison_table, decoders_table, hours_table
from speech_mtl.study.results import json_files, load


def main() -> None:
    """Reads the comparison, writes the result file, and prints it."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.comparison_decoders", description=__doc__)
    parser.add_argument("folder", type=Path, metavar="FOLDER")
    parser.add_argument("--out", type=Path, default=ROOT / "benchmarks" / "comparison_decoders.json")
    arguments = parser.parse_args()
    summary = load(arguments.folder).summary
    result = provenance("comparison_decoders") | {
        "about": f"Recipe {summary.origin.recipe}, target {summary.language}. {summary.origin.about}",
        "comparison": summary.origin.commands,
        "trained_by": summary.origin.trained_by,
        **{name.removesuffix(".json"): json.loads(text) for name, text in json_files(summary).items()},
    }
    result["command"] += f" {arguments.folder}"
    tables = (
        hours_table(summary.all_equivalent_hours),
        decoders_table(summary.gains),
        comparison_table(summary.all_arms),
    )
    report(arguments.out, result, *(f"## {table.title}\n\n{render_block(table, {})}" for table in tables))


if __name__ == "__main__":
    main()
