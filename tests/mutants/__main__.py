"""`python tests/mutants`: plants each fault of `faults.py`; exit code 1 if one survives, 2 if one cannot be planted."""

import argparse
import sys
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

PROJECT = Path(__file__).parents[2]
sys.path.append(str(PROJECT / "tests"))

from faults import FAULTS  # noqa: E402
from planting import Mutant, Outcome, Stale, matching_tests, outcomes, place, summary  # noqa: E402
from scratch import scratch_copy  # noqa: E402


def tested(chosen: Sequence[Mutant], jobs: int, check_first: bool) -> list[Outcome]:
    """The outcomes of faults in their order, planted in as many copies as there are jobs."""
    found: dict[str, Outcome] = {}

    def job(part: Sequence[Mutant]) -> None:
        with scratch_copy(PROJECT) as folder:
            for one in outcomes(folder, part, check_first):
                found[one.mutant.name] = one
                ended = f"{one.failed or 'SURVIVED'} ({one.seconds:.0f} s)"
                print(f"{len(found)}/{len(chosen)} {one.mutant.name}: {ended}", flush=True)

    with ThreadPoolExecutor(jobs) as pool:
        list(pool.map(job, [chosen[i::jobs] for i in range(jobs)]))
    return [found[mutant.name] for mutant in chosen]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--only", nargs="*", help="only faults whose name, symbol or tests hold one of these texts")
    parser.add_argument("--list", action="store_true", help="only check that they can all be planted")
    parser.add_argument("--trust", action="store_true", help="do not run the tests without a fault first")
    parser.add_argument("--jobs", type=int, default=2, help="how many copies are tested side by side")
    parser.add_argument("--out", type=Path, help="a Markdown file for the table")
    options = parser.parse_args()
    texts = options.only or [""]
    chosen = [one for one in FAULTS if any(text in " ".join((one.name, one.symbol, *one.tests)) for text in texts)]
    stale = []
    for mutant in chosen:
        try:
            print(f"{place(PROJECT / 'speech_mtl', mutant).path.relative_to(PROJECT)}: {mutant.name}")
            matching_tests(PROJECT / "tests", mutant)
        except Stale as error:
            stale.append(str(error))
    if stale:
        sys.stderr.write("\n".join(stale) + "\n")
        sys.exit(2)
    if options.list:
        return
    found = tested(chosen, options.jobs, not options.trust)
    text = summary(found)
    print(text)
    if options.out:
        options.out.write_text(f"`python tests/mutants`\n\n{text}", encoding="utf-8")
    sys.exit(any(not one.failed for one in found))


if __name__ == "__main__":
    main()
