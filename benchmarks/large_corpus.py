"""Opening, first batch, and batch 100,000 of a manifest of 10 million lines, beside one of 10,000.

python -m benchmarks.large_corpus [--lines 10000 10000000] [--scratch FOLDER]

Lines are synthetic, and point in random order into a few tar and Arrow shards of generated noise; an utterance of the
shards stands in many lines. What is in the scratch folder is removed at the end. Each step is measured in a process of
its own, after imports: the index is built once, and every later step opens it.
"""

import argparse
import io
import json
import resource
import subprocess
import sys
import tarfile
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from benchmarks.provenance import ROOT, Table, provenance, report

RATE_HZ = 16_000
NUM_SHARDS, IN_SHARD = 4, 200
"""Shards of each kind, and utterances in each."""
LATE = 100_000
"""Number of the batch at which training resumes."""
LETTERS = "abcdefghijklm nopqrstuvwxyz"
STEPS = {"build": "Index built", "open": "Opened", "first": "First batch", "late": f"Batch {LATE:,}"}


def main() -> None:
    """Measures, writes the result file, and prints it; with `--measure`, one step."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.large_corpus", description=__doc__)
    parser.add_argument("--lines", type=int, nargs="+", default=[10_000, 10_000_000])
    parser.add_argument("--scratch", type=Path, default=None, help="Folder on a disk with 4 GB of space.")
    parser.add_argument("--out", type=Path, default=ROOT / "benchmarks" / "large_corpus.json")
    parser.add_argument("--measure", choices=STEPS, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.measure:
        print(json.dumps(measured(arguments.measure, arguments.scratch)))
        return
    rows = [row(number, arguments.scratch) for number in arguments.lines]
    about = (
        "Seconds, and the largest memory of the process in MiB (imports of TensorFlow included), of steps on manifests "
        f"of synthetic lines, which point into {NUM_SHARDS} tar and {NUM_SHARDS} Arrow shards of generated noise. "
        f"Training speech is read when a batch needs it (data.decode_once=false); a batch has 60 s. First batch and "
        f"batch {LATE:,} include opening the index and reading and decoding their audio."
    )
    report(arguments.out, provenance("large_corpus") | {"about": about, "rows": rows}, _table(rows))


def row(number: int, scratch: Path | None) -> dict:
    """Makes a corpus of so many lines, measures all steps on it, and removes it."""
    with tempfile.TemporaryDirectory(dir=scratch, prefix="large_corpus") as folder:
        manifest = Path(folder) / "data" / "en" / "train.jsonl"
        write_corpus(manifest, number)
        found = {"lines": number, "manifest_gb": round(manifest.stat().st_size / 1e9, 3)}
        for step, name in STEPS.items():
            command = [sys.executable, "-m", "benchmarks.large_corpus", "--measure", step, "--scratch", folder]
            ended = subprocess.run(command, cwd=ROOT, stdout=subprocess.PIPE, text=True, check=True)
            found[step] = json.loads(ended.stdout.splitlines()[-1])
            print(f"{number:,} lines: {name}: {found[step]}", flush=True)
        found["index_mb"] = round(next((Path(folder) / "cache").glob("*.npz")).stat().st_size / 1e6, 1)
    return found


def write_corpus(manifest: Path, number: int) -> None:
    """Writes shards, and a manifest of so many lines that point into them."""
    manifest.parent.mkdir(parents=True)
    generator = np.random.default_rng(0)
    places = [place for shard in range(NUM_SHARDS) for place in _shards(manifest.parent, shard, generator)]
    letters = np.array(list(LETTERS))
    texts = ["".join(generator.choice(letters, 40)).strip() or "a" for _ in range(1000)]
    with manifest.open("w", encoding="utf-8") as file:
        for start in range(0, number, 10_000):
            chosen = generator.integers(len(places), size=min(10_000, number - start)).tolist()
            for i, place in enumerate(chosen, start):
                audio, duration_s = places[place]
                line = {"id": f"utterance-{i:09d}", "audio": audio, "language": "en", "text": texts[i % 1000]}
                file.write(json.dumps(line | {"duration_s": duration_s, "speaker": f"speaker-{i % 5000}"}) + "\n")


def _shards(folder: Path, shard: int, generator: np.random.Generator) -> list[tuple[str, float]]:
    """Writes a tar and an Arrow shard; the places in them, as lines name them, and their seconds."""
    import pyarrow
    from pyarrow import ipc

    flac, places = [], []
    with tarfile.open(folder / f"{shard}.tar", "w") as tar:
        for i in range(IN_SHARD):
            duration_s = round(float(generator.uniform(2, 10)), 2)
            flac.append((_noise(duration_s, generator), duration_s))
            member = tarfile.TarInfo(f"{i}.flac")
            member.size = len(flac[-1][0])
            tar.addfile(member, io.BytesIO(flac[-1][0]))
    with tarfile.open(folder / f"{shard}.tar") as tar:
        for member, (_, duration_s) in zip(tar, flac, strict=True):
            places.append((f"{shard}.tar#offset={member.offset_data}&length={member.size}", duration_s))
    table = pyarrow.table({"audio": [{"bytes": content, "path": None} for content, _ in flac]})
    with ipc.new_stream(str(folder / f"{shard}.arrow"), table.schema) as sink:
        sink.write_table(table, max_chunksize=50)
    return places + [(f"{shard}.arrow#row={i}&column=audio", duration_s) for i, (_, duration_s) in enumerate(flac)]


def _noise(duration_s: float, generator: np.random.Generator) -> bytes:
    import soundfile

    content = io.BytesIO()
    waveform = 0.1 * generator.standard_normal(round(duration_s * RATE_HZ))
    soundfile.write(content, waveform, RATE_HZ, format="FLAC")
    return content.getvalue()


def measured(step: str, folder: Path) -> dict[str, float]:
    """Seconds of a step, and the largest memory of this process in MiB."""
    from speech_mtl.data.index import open_manifest
    from speech_mtl.data.tokenizer import CharacterTokenizer
    from speech_mtl.datatypes import TRANSCRIPT
    from speech_mtl.run.build import build_model
    from speech_mtl.run.speech import open_split, training_examples
    from speech_mtl.run.training_speech import TrainingSpeech
    from speech_mtl.settings.recipe import Recipe
    from speech_mtl.targets.ctc import Ctc

    data = {"dir": folder / "data", "cache_dir": folder / "cache", "decode_once": False}
    recipe = Recipe.model_validate({"name": "large", "languages": {"en": {}}, "data": data})
    targets = {TRANSCRIPT: Ctc(TRANSCRIPT, {"en": CharacterTokenizer.from_texts([LETTERS], "en")})}
    model = build_model(recipe, targets)
    began = time.perf_counter()
    if step in ("build", "open"):
        open_manifest(recipe.manifest("en", "train"), recipe.data.cache_dir)
    else:
        split = open_split(recipe, "en", "train")
        speech = TrainingSpeech(recipe, {0: split}, {0: training_examples(recipe, split, targets, model)})
        batch = next(speech.batches(LATE if step == "late" else 0, 2 * LATE))
        if not (batch.num_samples.sum() > 30 * RATE_HZ and batch.targets[TRANSCRIPT].sizes.all()):
            raise SystemExit("the batch has no speech")
    seconds = time.perf_counter() - began
    return {"s": round(seconds, 2), "peak_mib": round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024)}


def _table(rows: Sequence[dict]) -> Table:
    heads = ["Lines", "Manifest, GB", "Index, MB", *(f"{name}, s (MiB)" for name in STEPS.values())]
    lines = [
        [
            *(f"{one['lines']:,}", f"{one['manifest_gb']:.3f}", f"{one['index_mb']:.1f}"),
            *(f"{one[step]['s']:.1f} ({one[step]['peak_mib']:,})" for step in STEPS),
        ]
        for one in rows
    ]
    return Table("A manifest of many lines", heads, lines, 0)


if __name__ == "__main__":
    main()
