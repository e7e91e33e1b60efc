"""What a training run costs besides its steps: decoding, waiting for batches, memory, seconds to the first update.

    python -m benchmarks.training_run recipes/human --out benchmarks/training_run.json

Trains the recipe's languages together for a few updates in a fresh folder with a cold cache of decoded audio, as a
user's first run does, and writes what it saw as JSON.
"""

import json
import os
import platform
import resource
import tempfile
import time
from importlib.metadata import version
from pathlib import Path
from typing import Annotated

import typer

STARTED = time.perf_counter()


def main(
    recipe: Annotated[Path, typer.Argument(help="The recipe to train.")] = Path("recipes/human"),
    updates: Annotated[int, typer.Option(help="Updates to train for; dev sets are looked at twice.")] = 200,
    out: Annotated[Path, typer.Option(help="The JSON file to write.")] = Path("benchmarks/training_run.json"),
) -> None:
    """Trains a recipe for a few updates and writes what that cost besides the steps."""
    from speech_mtl.backend import load_backend
    from speech_mtl.config import load_recipe

    settings = load_recipe(recipe).overridden(
        {"training.num_updates": updates, "training.evaluate_every": updates // 2}
    )
    load_backend()
    imported_s = time.perf_counter() - STARTED
    with tempfile.TemporaryDirectory() as folder:
        settings = settings.overridden({"data.cache_dir": f"{folder}/cache"})
        result = {"recipe": settings.name, "updates": updates, "import_s": round(imported_s, 1)}
        result |= _trained(settings, Path(folder))
    result["peak_memory_mib"] = round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024)
    packages = ("tensorflow-cpu", "keras", "numpy", "soxr", "soundfile")
    result["machine"] = {"cores": os.cpu_count(), "processor": _processor(), "python": platform.python_version()}
    result["versions"] = {name: version(name) for name in packages}
    out.write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")
    print(json.dumps(result, indent=1))


def _trained(settings, folder: Path) -> dict:
    from speech_mtl.corpora import open_split
    from speech_mtl.experiments.train import train

    began = time.perf_counter()
    splits = [open_split(settings, language, "train") for language in settings.languages]
    decoded_s = time.perf_counter() - began
    audio_s = sum(int(split.store.num_samples.sum()) for split in splits) / settings.data.sample_rate_hz
    run = train(settings, folder / "run")
    records = [json.loads(line) for line in run.log_path.read_text(encoding="utf-8").splitlines()]
    return {
        "audio_decoded_s": round(audio_s),
        "decoding_s": round(decoded_s, 1),
        "decoding_audio_s_per_s": round(audio_s / decoded_s),
        "training_wall_s": records[-1]["wall_time_s"],
        "training_audio_s_per_s": records[-1]["audio_s_per_s"],
        "waiting_for_batches_share": records[-1]["waiting_share"],
    }


def _processor() -> str:
    lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines() if Path("/proc/cpuinfo").is_file() else []
    return next((line.split(":")[1].strip() for line in lines if line.startswith("model name")), platform.processor())


if __name__ == "__main__":
    typer.run(main)
