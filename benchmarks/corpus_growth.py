"""A training's memory, wait and start with 1, 10 and 100 times the utterances.

python -m benchmarks.corpus_growth [--lines 500 5000 50000] [--scratch FOLDER]

The corpora are those of `benchmarks.large_corpus`: synthetic lines that point into shards of generated noise. Each
training is a process of its own and begins without a cache; its speech is not compared with dev and test sets. What is
in the scratch folder is removed at the end.
"""

import argparse
import json
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

from benchmarks.large_corpus import write_corpus
from benchmarks.provenance import ROOT, Table, provenance, report

NUM_UPDATES = 120
SIZE = {"encoder.num_layers": 5, "encoder.dim": 96}
"""Of the encoder, as in recipes/human."""


def main() -> None:
    """Measures, writes the result file, and prints it; with `--measure`, one training."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.corpus_growth", description=__doc__)
    parser.add_argument("--lines", type=int, nargs="+", default=[500, 5_000, 50_000])
    parser.add_argument("--scratch", type=Path, default=None, help="Folder on a disk with 12 GB of space.")
    parser.add_argument("--out", type=Path, default=ROOT / "benchmarks" / "corpus_growth.json")
    parser.add_argument("--measure", choices=["once", "read"], help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.measure:
        print(json.dumps(measured(arguments.scratch, arguments.measure == "once")))
        return
    rows = [row for number in arguments.lines for row in measured_rows(number, arguments.scratch)]
    about = (
        f"Trainings of {NUM_UPDATES} updates of 30 s on synthetic lines, which point into shards of generated noise. "
        "Read: data.decode_once=false. Memory: the largest of the process, imports included, and how much of it is not "
        "a view of a file, at the end. "
        "Before training: indexing, decoding, tokeniser, building. Waiting: the fraction of training without a batch."
    )
    report(arguments.out, provenance("corpus_growth") | {"about": about, "rows": rows}, table(rows))


def measured_rows(number: int, scratch: Path | None) -> list[dict]:
    """Makes a corpus of so many lines, trains on it in both ways, and removes it."""
    rows = []
    with tempfile.TemporaryDirectory(dir=scratch, prefix="corpus_growth") as folder:
        speech = Path(folder) / "data" / "en"
        write_corpus(speech / "train.jsonl", number)
        lines = (speech / "train.jsonl").read_text(encoding="utf-8").splitlines()
        hours = sum(json.loads(line)["duration_s"] for line in lines) / 3600
        (speech / "dev.jsonl").write_text("\n".join(lines[:20]) + "\n", encoding="utf-8")
        for way in ("once", "read"):
            command = [sys.executable, "-m", "benchmarks.corpus_growth", "--measure", way, "--scratch", folder]
            ended = subprocess.run(command, cwd=ROOT, stdout=subprocess.PIPE, text=True, check=True)
            rows.append({"lines": number, "hours": round(hours, 1), "audio": way, **json.loads(ended.stdout)})
            print(rows[-1], flush=True)
    return rows


def measured(folder: Path, decode_once: bool) -> dict[str, float]:
    """Trains in this process: seconds before and after its updates, memory in MiB, and the fraction of time waiting."""
    from speech_mtl.backend import load_backend
    from speech_mtl.run.train import train
    from speech_mtl.settings.recipe import Recipe

    load_backend(training=True)
    data = {"dir": folder / "data", "cache_dir": folder / "cache", "decode_once": decode_once, "batch_s": 30}
    recipe = Recipe.model_validate({"name": "growth", "languages": {"en": {}}, "data": data})
    changes = {"training.num_updates": NUM_UPDATES, "training.evaluate_every": NUM_UPDATES}
    began = time.perf_counter()
    run = train(recipe.overridden({**SIZE, **changes}), folder / f"run-{decode_once}", of_plan=True)
    last = json.loads(run.log_path.read_text(encoding="utf-8").splitlines()[-1])
    return {
        "before_s": round(time.perf_counter() - began - last["wall_time_s"], 1),
        "waiting": round(last["waiting_share"], 4),
        "peak_mib": round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024),
        "anonymous_mib": _anonymous_mib(),
    }


def _anonymous_mib() -> int:
    """Memory of this process that is not a view of a file. Linux only."""
    status = Path("/proc/self/status").read_text(encoding="ascii")
    return int(status.partition("RssAnon:")[2].split()[0]) // 1024


def table(rows: Sequence[dict]) -> Table:
    """One row for each training."""
    heads = ["Audio", "Utterances", "Hours", "Before training, s", "Waiting, %", "Memory, MiB", "Not files, MiB"]
    ways = {"once": "decoded once", "read": "read in training"}
    lines = [
        [
            *(ways[one["audio"]], f"{one['lines']:,}", f"{one['hours']:.1f}", f"{one['before_s']:.1f}"),
            *(f"{100 * one['waiting']:.2f}", f"{one['peak_mib']:,}", f"{one['anonymous_mib']:,}"),
        ]
        for one in sorted(rows, key=lambda one: one["audio"])
    ]
    return Table("With more utterances", heads, lines, 1)


if __name__ == "__main__":
    main()
