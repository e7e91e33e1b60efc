"""Time to fill batches with each augmentation of waveforms, beside speeds alone: in turns, in one process and thread.

python -m benchmarks.augmentation_cost RECIPE LANGUAGE --noise FOLDER --rooms FOLDER
"""

import argparse
from collections.abc import Mapping, Sequence
from itertools import islice
from pathlib import Path

import numpy as np

from benchmarks.provenance import ROOT, Table, provenance, report
from benchmarks.rounds import spread
from benchmarks.stopwatch import MachineLoad, Stopwatch
from speech_mtl.data.augmentation import CODECS, WaveformAugmentation
from speech_mtl.data.collation import collate
from speech_mtl.data.examples import Examples
from speech_mtl.data.sampling import TrainingPlan
from speech_mtl.run.speech import open_augmentations, open_split
from speech_mtl.settings.recipe import Recipe
from speech_mtl.settings.recipe_file import load_recipe

PLAIN = "speeds alone"
NUM_BATCHES = 12


def main() -> None:
    """Measures, writes the result file, and prints it."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.augmentation_cost", description=__doc__)
    parser.add_argument("recipe", type=Path)
    parser.add_argument("language")
    parser.add_argument("--noise", type=Path, required=True, help="Folder of recordings.")
    parser.add_argument("--rooms", type=Path, required=True, help="Folder of room impulse responses.")
    parser.add_argument("--out", type=Path, default=ROOT / "benchmarks" / "augmentation_cost.json")
    parser.add_argument("--rounds", type=int, default=7)
    arguments = parser.parse_args()
    recipe = load_recipe(arguments.recipe, [f"augment.waveform={_settings(arguments.noise, arguments.rooms)}"])
    made = open_augmentations(recipe)
    contestants = {PLAIN: [], **{name: [one] for name, one in made.items()}}
    result = provenance("augmentation_cost") | {
        "about": "Time to read, perturb and collate batches in which every utterance gets the augmentation: its ratio "
        f"to that with {PLAIN}, and milliseconds of processor for a second of speech, by one thread. Medians, and the "
        f"smallest and largest. Speech of {arguments.language} in {recipe.name}; decoded before."
    }
    measured = _measured(recipe, arguments.language, contestants, arguments.rounds)
    report(arguments.out, result | measured, _table(measured["rows"]))


def _settings(noise: Path, rooms: Path) -> str:
    always = "probability: 1.0"
    codecs = (f"{name}: {{kind: codec, codecs: [{name}], {always}}}" for name in CODECS)
    noises = (
        f"{name}: {{kind: noise, dir: {noise}, num_stretches: [{number}, {number}], {always}}}"
        for name, number in {"noise": 1, "noise of 5 stretches": 5}.items()
    )
    return "{" + ", ".join([*noises, f"reverberation: {{kind: reverberation, dir: {rooms}, {always}}}", *codecs]) + "}"


def _measured(
    recipe: Recipe, language: str, contestants: Mapping[str, Sequence[WaveformAugmentation]], num_rounds: int
) -> dict:
    split, data = open_split(recipe, language, "train"), recipe.data
    examples = {0: Examples(split.store, split.positions)}
    durations_s = examples[0].num_samples / data.sample_rate_hz
    plan = TrainingPlan({0: durations_s}, data.batch_s, data.alpha, recipe.seed, recipe.augment.speeds)
    batches = list(islice(plan.batches(), NUM_BATCHES))
    speech_s = sum(durations_s[one.example] / one.speed for batch in batches for one in batch)
    seconds: dict[str, list[float]] = {name: [] for name in contestants}
    load = MachineLoad()
    for _ in range(num_rounds):
        for name, augmentations in contestants.items():
            stopwatch = Stopwatch()
            for batch in batches:
                collate(batch, examples, augmentations)
            seconds[name].append(stopwatch.lap().cpu)
    rows = [
        {
            "augmentation": name,
            "ratio": spread(list(np.divide(own, seconds[PLAIN]))),
            "ms_a_second": spread([1000 * one / speech_s for one in own]),
        }
        for name, own in seconds.items()
    ]
    others = load.others(sum(map(sum, seconds.values())))
    return {"rounds": num_rounds, "speech_s": round(float(speech_s), 1), "others_busy_processors": others, "rows": rows}


def _table(rows: Sequence[dict]) -> Table:
    lines = [
        [
            row["augmentation"],
            f"{row['ratio']['median']:.1f} ({row['ratio']['min']:.1f} to {row['ratio']['max']:.1f})",
            f"{row['ms_a_second']['median']:.2f}",
        ]
        for row in rows
    ]
    return Table("Batches with augmentations", ("Augmentation", "Ratio", "ms for a second of speech"), lines)


if __name__ == "__main__":
    main()
