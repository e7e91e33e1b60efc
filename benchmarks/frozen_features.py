"""Frozen features of a public encoder: read from the cache, against made anew for every batch. Needs the extra ssl.

python -m benchmarks.frozen_features [--out benchmarks/frozen_features.json]
"""

import argparse
import statistics
import tempfile
from functools import partial
from pathlib import Path

import numpy as np

from benchmarks.provenance import ROOT, Table, provenance, report
from benchmarks.stopwatch import Stopwatch

ROUNDS, UTTERANCES, UTTERANCE_S, RATE_HZ = 3, 2, 3.0, 16_000


def main() -> None:
    """Measures, writes the result file, and prints it."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.frozen_features", description=__doc__)
    parser.add_argument("--out", type=Path, default=ROOT / "benchmarks" / "frozen_features.json")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        lines = _measured(Path(folder))
    report(arguments.out, {**provenance("frozen_features"), "about": ABOUT, "results": lines}, _table(lines))


ABOUT = f"""\
A model of the size of wav2vec 2.0 base (95 million parameters) with random weights, which take as long as trained ones,
and {UTTERANCES} utterances of {UTTERANCE_S:g} s of noise. Median over {ROUNDS} interleaved rounds (min-max) of the
seconds on the wall to make features divided by those to read them from the cache, in one process."""


def _measured(folder: Path) -> list[dict]:
    import transformers  # pyright: ignore[reportMissingImports]

    from speech_mtl.backend import load_backend

    load_backend()
    from speech_mtl.data.feature_cache import FeatureCache
    from speech_mtl.models.frozen import FrozenFeatures

    transformers.Wav2Vec2Model(transformers.Wav2Vec2Config()).save_pretrained(folder)
    transformers.Wav2Vec2FeatureExtractor().save_pretrained(folder)
    shape = (UTTERANCES, int(UTTERANCE_S * RATE_HZ))
    waveforms = np.random.default_rng(0).normal(0, 0.1, shape).astype("float32")
    wanted = {str(i): partial(waveforms.__getitem__, i) for i in range(UTTERANCES)}
    found = []
    for layer in (12, "mix"):
        features, cache = FrozenFeatures(RATE_HZ, folder, layer), FeatureCache(folder / f"cache-{layer}")
        cache.fill(list(wanted.items()), features.prepare)
        ratios = []
        for _ in range(ROUNDS):
            watch = Stopwatch()
            for waveform in waveforms:
                features.prepare(waveform)
            made = watch.lap().wall
            for key in wanted:
                _ = cache[key]
            ratios.append(made / watch.lap().wall)
        size = cache.path.stat().st_size / (UTTERANCES * UTTERANCE_S) * 3600
        found.append({"layer": layer, "ratios": [round(one, 1) for one in ratios], "bytes_per_hour": round(size)})
    return found


def _table(lines: list[dict]) -> Table:
    rows = []
    for line in lines:
        ratios = line["ratios"]
        ratio = f"{statistics.median(ratios):.0f} ({min(ratios):.0f}-{max(ratios):.0f})"
        rows.append([str(line["layer"]), ratio, f"{line['bytes_per_hour'] / 1e9:.2f}"])
    return Table("Frozen features: made anew / read from the cache", ["Layer", "Seconds, ratio", "GB an hour"], rows)


if __name__ == "__main__":
    main()
