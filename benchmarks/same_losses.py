"""Training losses of `recipes/synthetic`, alone and joint, beside those of an earlier state of the package.

    recipes/synthetic/prepare.sh
    python -m benchmarks.same_losses                                  compares this tree with same_losses.json
    python -m benchmarks.same_losses --tree EARLIER_CLONE --write     makes same_losses.json

Each training is `speech-mtl train` in a process of its own with one thread, so that the same code gives the same losses
to the bit. Where code changes the order of sums, rounding differs and grows from update to update: losses count as the
same within --tolerance. Exit code 1 where they part.
"""

import argparse
import hashlib
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from benchmarks.provenance import ROOT, commit_of
from speech_mtl.files import write_text

RESULT = Path(__file__).with_suffix(".json")
NUM_UPDATES = 100
TRAININGS = {"alone": ["languages={zh: {tokenizer: {kind: pinyin}, budget_s: 240}}"], "joint": []}
"""What is set beside the recipe."""
SETTINGS = [f"training.num_updates={NUM_UPDATES}", f"training.evaluate_every={NUM_UPDATES}", "data.num_threads=1"]
THREADS = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "TF_NUM_INTRAOP_THREADS", "TF_NUM_INTEROP_THREADS")


class Parting(NamedTuple):
    """How far two curves of losses agree.

    Attributes:
        num_equal: Updates before the first loss that differs at all.
        first: The first update, from 1, beyond the tolerance; None where there is none.
        largest: The largest relative difference.
    """

    num_equal: int
    first: int | None
    largest: float


def parting(before: Sequence[float], now: Sequence[float], tolerance: float) -> Parting:
    """Compares two curves of losses.

    Args:
        before: (N,) losses by update.
        now: (N,) the same of another state of the package.
        tolerance: Of the relative difference.

    Raises:
        ValueError: One is longer than the other.
    """
    differences = [abs(new - old) / max(abs(old), 1e-12) for old, new in zip(before, now, strict=True)]
    beyond = (update for update, one in enumerate(differences, 1) if not one <= tolerance)  # also where one is nan
    first_other = (number for number, one in enumerate(differences) if one != 0)
    return Parting(next(first_other, len(differences)), next(beyond, None), max(differences, default=0.0))


def losses(tree: Path, data: Path) -> dict[str, list[float]]:
    """Trains with the package of a tree; gives the losses of all updates, by training."""
    found = {}
    with tempfile.TemporaryDirectory() as folder:
        for name, own in TRAININGS.items():
            run = Path(folder) / name
            cache = f"data.cache_dir={Path(folder) / 'cache'}"
            arguments = ["train", str(tree / "recipes/synthetic"), *own, *SETTINGS, f"data.dir={data}", cache]
            program = "from speech_mtl.cli import main; main()"
            subprocess.run(
                [sys.executable, "-c", program, *arguments, "--out", str(run)],
                cwd=tree,
                env=os.environ | dict.fromkeys(THREADS, "1") | {"PYTHONPATH": str(tree)},
                stdout=subprocess.DEVNULL,
                check=True,
            )
            log = (run / "log.jsonl").read_text(encoding="utf-8").splitlines()
            found[name] = [loss for line in log for loss in json.loads(line)["losses"]]
            if len(found[name]) != NUM_UPDATES:
                raise SystemExit(f"{run.name}: {len(found[name])} losses in the log, and not {NUM_UPDATES}")
    return found


def digest(data: Path) -> str:
    """Of the training speech: losses of other speech are not to be compared."""
    found = hashlib.sha256()
    for manifest in sorted(data.glob("*/train.jsonl")):
        for line in manifest.read_text(encoding="utf-8").splitlines():
            utterance = json.loads(line)
            found.update(utterance["text"].encode() + (manifest.parent / utterance["audio"]).read_bytes())
    return found.hexdigest()


def compared(before: Mapping[str, Sequence[float]], now: Mapping[str, Sequence[float]], tolerance: float) -> bool:
    """Prints where losses part; gives whether they are the same."""
    same = True
    for name, old in before.items():
        found = parting(old, now[name], tolerance)
        same = same and found.first is None
        where = "the same" if found.first is None else f"other losses from update {found.first} on"
        print(f"{name}: {where}; equal to the last digit for {found.num_equal} of {len(old)} updates, "
              f"largest difference {found.largest:.1e}")  # fmt: skip
    return same


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--tree", type=Path, default=ROOT, help="a clone of the project; this one if not given")
    parser.add_argument(
        "--data", type=Path, default=ROOT / "data/synthetic", help="made by recipes/synthetic/prepare.sh"
    )
    parser.add_argument("--tolerance", type=float, default=1e-3, help="of the relative difference of two losses")
    parser.add_argument("--write", action="store_true", help=f"write {RESULT.name} anew")
    options = parser.parse_args()
    tree, data = options.tree.resolve(), options.data.resolve()
    if not list(data.glob("*/train.jsonl")):
        raise SystemExit(
            f"There is no speech in {data}: run recipes/synthetic/prepare.sh, or name the folder by --data"
        )
    made_from = digest(data)
    before = {} if options.write else json.loads(RESULT.read_text(encoding="utf-8"))
    if before and before["speech"] != made_from:
        raise SystemExit(
            f"{RESULT.name} is of other speech than {data}: make it anew from the earlier state, by --write"
        )
    now = losses(tree, data)
    if options.write:
        result = {"commit": commit_of(tree), "speech": made_from, "losses": now}
        write_text(RESULT, json.dumps(result) + "\n")
        print(f"{RESULT} is written")
        return
    print(f"Beside commit {before['commit'][:7]}:")
    sys.exit(0 if compared(before["losses"], now, options.tolerance) else 1)


if __name__ == "__main__":
    main()
