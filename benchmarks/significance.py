"""Two systems compared by the paired bootstrap on one core: ours, scipy.stats.bootstrap and a plain loop, interleaved.

python -m benchmarks.significance [--out benchmarks/significance.json]
"""

import argparse
import multiprocessing
import os
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from importlib.metadata import version
from pathlib import Path
from typing import NamedTuple

from benchmarks.provenance import ROOT, Table, provenance, report

NUM_UTTERANCES = 10_000
NUM_REPLICATIONS = 10_000
NUM_SPEAKERS = 50
NUM_MODELS = 36
OURS = "ours, utterances drawn"
THREADS = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")


class Contestant(NamedTuple):
    """A way to the interval of a difference in error rate.

    Attributes:
        run: Takes the number of replications, returns lower and upper end.
        num_replications: How many it makes in a round.
    """

    run: Callable[[int], tuple[float, float]]
    num_replications: int


def main() -> None:
    """Measures, writes the result file, and prints it."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.significance", description=__doc__)
    parser.add_argument("--out", type=Path, default=ROOT / "benchmarks" / "significance.json")
    parser.add_argument("--rounds", type=int, default=7)
    arguments = parser.parse_args()
    result = provenance("significance")
    result["versions"]["scipy"] = version("scipy")
    result |= {"num_utterances": NUM_UTTERANCES, "num_replications": NUM_REPLICATIONS, "num_threads": 1}
    os.environ.update(dict.fromkeys(THREADS, "1"))  # read when numpy is imported: in a new process
    with ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) as pool:
        result |= pool.submit(_measured, arguments.rounds).result()
    report(arguments.out, result, _table(result["rows"]))


def _measured(num_rounds: int) -> dict:
    from benchmarks.rounds import spread
    from benchmarks.stopwatch import MachineLoad, Seconds, Stopwatch

    contestants = _contestants()
    intervals = {name: contestant.run(contestant.num_replications) for name, contestant in contestants.items()}
    per_run: dict[str, list[Seconds]] = {name: [] for name in contestants}
    load, own_s = MachineLoad(), 0.0
    for _ in range(num_rounds):
        for name, contestant in contestants.items():
            stopwatch = Stopwatch()
            contestant.run(contestant.num_replications)
            seconds = stopwatch.lap()
            own_s += seconds.cpu
            scale = NUM_REPLICATIONS / contestant.num_replications
            per_run[name].append(Seconds(scale * seconds.wall, scale * seconds.cpu))
    rows = []
    for name, runs in per_run.items():
        pairs = list(zip(runs, per_run[OURS], strict=True))
        rows.append(
            {
                "contestant": name,
                "replications_in_a_round": contestants[name].num_replications,
                "interval_percent": [round(100 * end, 3) for end in intervals[name]],
                "wall_s": spread([run.wall for run in runs]),
                "cpu_s": spread([run.cpu for run in runs]),
                "wall_ratio": spread([run.wall / ours.wall for run, ours in pairs]),
                "cpu_ratio": spread([run.cpu / ours.cpu for run, ours in pairs]),
            }
        )
    return {"rounds": num_rounds, "others_busy_processors": load.others(own_s), "rows": rows}


def _contestants() -> dict[str, Contestant]:
    """All compute the 95 % interval of WER of B minus WER of A."""
    import numpy as np
    from scipy.stats import bootstrap

    from speech_mtl.scoring.resampling import percentile_interval, resampled_sums
    from speech_mtl.study.statistics.significance import paired_p_value

    generator = np.random.default_rng(0)
    lengths = generator.integers(1, 30, NUM_UTTERANCES)
    hard = generator.beta(2, 8, NUM_UTTERANCES)
    models = [generator.binomial(lengths, share * hard) for share in np.linspace(1, 0.9, NUM_MODELS)]
    columns = np.stack([lengths, models[0], models[-1]], axis=1).astype(float)
    many = np.stack([lengths, models[0], models[-1], *models[1:-1]], axis=1).astype(float)
    speakers = generator.integers(NUM_SPEAKERS, size=NUM_UTTERANCES)

    def ours(columns, block_of) -> Callable[[int], tuple[float, float]]:
        def run(num_replications: int) -> tuple[float, float]:
            sums = resampled_sums(columns, block_of, num_replications)
            differences = (sums[:, 2] - sums[:, 1]) / sums[:, 0]
            paired_p_value(differences)
            return percentile_interval(differences)

        return run

    def theirs(num_replications: int) -> tuple[float, float]:
        def difference(lengths, a, b, axis=-1):
            return (b.sum(axis) - a.sum(axis)) / lengths.sum(axis)

        found = bootstrap(
            columns.T,
            difference,
            paired=True,
            method="percentile",
            n_resamples=num_replications,
            batch=1,  # its fastest here; by default all replications are one batch, which takes gigabytes
            rng=np.random.default_rng(0),
        ).confidence_interval
        return float(found.low), float(found.high)

    def loop(num_replications: int) -> tuple[float, float]:
        generator = np.random.default_rng(0)
        differences = np.empty(num_replications)
        for i in range(num_replications):
            lengths, a, b = columns[generator.integers(NUM_UTTERANCES, size=NUM_UTTERANCES)].sum(axis=0)
            differences[i] = (b - a) / lengths
        return percentile_interval(differences)

    utterances = np.arange(NUM_UTTERANCES)
    return {
        OURS: Contestant(ours(columns, utterances), NUM_REPLICATIONS),
        f"ours, {NUM_MODELS} systems at once": Contestant(ours(many, utterances), NUM_REPLICATIONS),
        f"ours, {NUM_SPEAKERS} speakers drawn": Contestant(ours(columns, speakers), NUM_REPLICATIONS),
        "a loop over replications": Contestant(loop, NUM_REPLICATIONS // 10),
        "scipy.stats.bootstrap": Contestant(theirs, NUM_REPLICATIONS // 10),
    }


def _table(rows: list[dict]) -> Table:
    title = (
        f"{NUM_UTTERANCES:,} utterances: seconds for {NUM_REPLICATIONS:,} replications on one core, and processor time "
        "as a multiple of ours: median over rounds (min-max)"
    )
    lines = []
    for row in rows:
        seconds = [f"{row[kind]['median']:.2f}" for kind in ("wall_s", "cpu_s")]
        ratio = "{median:.2f} ({min:.2f}-{max:.2f})".format(**row["cpu_ratio"])
        interval = "{:.2f} to {:.2f}".format(*row["interval_percent"])
        lines.append([row["contestant"], f"{row['replications_in_a_round']:,}", *seconds, ratio, interval])
    heads = ("", "Replications timed", "Wall s", "Processor s", "Processor, multiple of ours", "95 % interval, points")
    return Table(title, heads, lines)


if __name__ == "__main__":
    main()
