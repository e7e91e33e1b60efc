"""What a training run costs besides its steps: decoding, waiting for batches, memory, seconds to the first update.

python -m benchmarks.training_run [--recipe recipes/human] [--out benchmarks/training_run.json]

Trains the recipe's languages together for a few updates in a fresh folder with a cold cache of decoded audio, as a
user's first run does.
"""

import argparse
import json
import resource
import tempfile
import time
from pathlib import Path

from benchmarks.provenance import ROOT, Table, provenance, report
from speech_mtl.settings.recipe import Recipe
from speech_mtl.settings.recipe_file import load_recipe

STARTED = time.perf_counter()


def main() -> None:
    """Trains a recipe for a few updates, and writes and prints what that cost besides the steps."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.training_run", description=__doc__)
    parser.add_argument("--recipe", type=Path, default=Path("recipes/human"))
    parser.add_argument("--updates", type=int, default=400, help="updates to train for; there are two validations")
    parser.add_argument("--out", type=Path, default=ROOT / "benchmarks" / "training_run.json")
    arguments = parser.parse_args()
    recipe = load_recipe(arguments.recipe).overridden(
        {"training.num_updates": arguments.updates, "training.evaluate_every": arguments.updates // 2}
    )
    result = provenance("training_run") | {"recipe": recipe.name, "updates": arguments.updates}
    with tempfile.TemporaryDirectory() as folder:
        result["figures"] = _measured(recipe.overridden({"data.cache_dir": f"{folder}/cache"}), Path(folder) / "run")
    lines = [[name.replace("_", " "), f"{value:g}"] for name, value in result["figures"].items()]
    report(arguments.out, result, Table(f"A run of recipes/{recipe.name}", ("", "Value"), lines))


def _measured(recipe: Recipe, run_path: Path) -> dict[str, float]:
    from speech_mtl.backend import load_backend

    load_backend()
    from speech_mtl.run.speech import open_split
    from speech_mtl.run.train import train

    figures = {"import_s": round(time.perf_counter() - STARTED, 1)}
    began = time.perf_counter()
    splits = [open_split(recipe, language, "train") for language in recipe.languages]
    decoding_s = time.perf_counter() - began
    audio_s = sum(int(split.store.num_samples.sum()) for split in splits) / recipe.data.sample_rate_hz
    run = train(recipe, run_path)
    last = json.loads(run.log_path.read_text(encoding="utf-8").splitlines()[-1])
    return figures | {
        "audio_decoded_s": round(audio_s),
        "decoding_s": round(decoding_s, 1),
        "decoding_audio_s_per_s": round(audio_s / decoding_s),
        "training_wall_s": round(last["wall_time_s"], 1),
        "training_audio_s_per_s": round(last["audio_s_per_s"], 1),
        "share_of_time_waiting_for_batches": round(last["waiting_share"], 4),
        "peak_memory_mib": round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024),
    }


if __name__ == "__main__":
    main()
