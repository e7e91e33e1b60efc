"""`python tests/kill --number 100`: kills and refusals at chosen moments; exit code 1 if a run ends otherwise after."""

import argparse
import sys
import tempfile
from pathlib import Path

from speech_mtl.backend import load_backend

sys.path.append(str(Path(__file__).parents[1]))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--number", type=int, default=100, help="runs that are stopped")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path, help="a Markdown file for the table")
    options = parser.parse_args()
    load_backend()
    from killing import random_recipe, stop_and_resume, summary

    ends = []
    with tempfile.TemporaryDirectory() as folder:
        for end in stop_and_resume(random_recipe(Path(folder)), Path(folder), options.number, options.seed):
            ends.append(end)
            print(len(ends), *end, flush=True)
    text = f"`python tests/kill --number {options.number} --seed {options.seed}`\n\n{summary(ends)}\n"
    print(text)
    if options.out:
        options.out.write_text(text, encoding="utf-8")
    sys.exit(any(fault for _, fault in ends))


if __name__ == "__main__":
    main()
