"""`python tests/fuzz --number 3000`: what becomes of spoilt inputs; exit code 1 if one shows a fault."""

import argparse
import sys
import tempfile
from pathlib import Path

from speech_mtl.backend import load_backend

sys.path.append(str(Path(__file__).parents[1]))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--number", type=int, default=3000, help="inputs of all kinds together")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--kinds", nargs="*", help="only these kinds of input")
    parser.add_argument("--keep", type=Path, default=Path("runs/fuzz"), help="where inputs that show a fault are kept")
    parser.add_argument("--out", type=Path, help="a Markdown file for the table")
    options = parser.parse_args()
    load_backend()
    import keras
    from fuzzing import causes, fuzz, table

    if keras.backend.backend() == "tensorflow":
        import tensorflow as tf

        tf.config.run_functions_eagerly(True)
    with tempfile.TemporaryDirectory() as folder:
        tallies = fuzz(options.number, options.seed, Path(folder), options.kinds, options.keep)
    text = f"`python tests/fuzz --number {options.number} --seed {options.seed}`\n\n{table(tallies)}\n"
    print(text)
    print(causes(tallies))
    if options.out:
        options.out.write_text(text, encoding="utf-8")
    sys.exit(any(tally.faults for tally in tallies.values()))


if __name__ == "__main__":
    main()
