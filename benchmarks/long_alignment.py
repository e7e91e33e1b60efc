"""How far `speech-mtl align` is off in a long recording, with how much memory and time.

python -m benchmarks.long_alignment RUN:LANGUAGE:MINUTES... [--out benchmarks/long_alignment.json]

Test recordings of a language, of one speaker after another, are cut at their first and last sound and put together
with pauses, until there are so many minutes; recordings come again where there are not enough. Known is where each
begins and ends. The command gets the whole text at once.
"""

import argparse
import resource
import subprocess
import sys
import tempfile
import time
from itertools import cycle
from pathlib import Path
from random import Random
from typing import Any

import numpy as np
import soundfile

from benchmarks.provenance import ROOT, Table, provenance, report
from benchmarks.times import AROUND_S, RATE_HZ, SIZES, Known, cut_to_sound, silence, summary, word_edges

PAUSES_S = (0.2, 0.5, 1.0, 3.0)

ABOUT = (
    "Human test speech, joined with pauses of 0.2 to 3 s; known is where each recording begins and ends, by its "
    "loudness, to some 10 to 30 ms. Errors are those of word starts and ends there, in milliseconds. The text is given "
    "at once. Memory: the largest of the process, or of one of a row above. Time: how many times faster "
    "than the speech lasts, on a machine with other work."
)


def main() -> None:
    """Aligns long recordings from the command line, and writes and prints the errors."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.long_alignment", description=__doc__)
    parser.add_argument("given", nargs="+", metavar="RUN:LANGUAGE:MINUTES")
    parser.add_argument("--runs", type=Path, default=Path("runs"), help="the folder that holds the runs")
    parser.add_argument("--out", type=Path, default=ROOT / "benchmarks" / "long_alignment.json")
    arguments = parser.parse_args()
    result = provenance("long_alignment " + " ".join(arguments.given)) | {"about": ABOUT, "sets": []}
    for one in arguments.given:
        run, language, minutes = one.split(":")
        result["sets"].append(_measured(arguments.runs / run, language, float(minutes)))
    heads = ["Run", "Language", "Minutes", "Speakers", "Letters", "Edges", *SIZES.values(), "largest"]
    heads += ["memory MiB", "times real time"]
    lines = []
    for own in result["sets"]:
        sizes = [*(own[key] for key in SIZES), own["largest_ms"], own["peak_mib"], own["times_real_time"]]
        counts = [str(own[key]) for key in ("num_speakers", "num_letters", "num_edges")]
        numbers = [f"{size:.0f}" for size in sizes]
        lines.append([own["run"], own["language"], f"{own['minutes']:.0f}", *counts, *numbers])
    report(arguments.out, result, Table("Errors in milliseconds", heads, lines, 2))


def _measured(path: Path, language: str, minutes: float) -> dict[str, Any]:
    from speech_mtl.data.audio import read_audio
    from speech_mtl.data.manifest import read_manifest
    from speech_mtl.run.folder import Run

    run = Run(path)
    tokenizer = run.tokenizers()[language]
    random, noise, known, at_s, speakers = Random(0), np.random.default_rng(0), [], AROUND_S, set()
    all_of = [one for one in read_manifest(run.recipe().manifest(language, "test")) if one.text]
    utterances = [one for one in all_of if not tokenizer.unknown(one.text or "")]
    with tempfile.TemporaryDirectory() as folder:
        audio, text = Path(folder, "long.wav"), Path(folder, "long.txt")
        with soundfile.SoundFile(audio, "w", RATE_HZ, 1) as file:
            file.write(silence(AROUND_S, noise))
            for one in cycle(sorted(utterances, key=lambda one: one.speaker or "")):
                if at_s > 60 * minutes:
                    break
                waveform, pause_s = cut_to_sound(read_audio(one.audio, RATE_HZ)), random.choice(PAUSES_S)
                speakers.add(one.speaker)
                known.append(Known(one.text or "", at_s, at_s + len(waveform) / RATE_HZ))
                file.write(np.concatenate([waveform, silence(pause_s, noise)]))
                at_s += (len(waveform) + int(pause_s * RATE_HZ)) / RATE_HZ
        text.write_text("\n".join(tokenizer.normalize(one.text) for one in known), encoding="utf-8")
        command = [sys.executable, "-m", "speech_mtl", "align", str(path), str(audio), str(text), "-l", language]
        start = time.monotonic()
        lines = subprocess.run(command, check=True, stdout=subprocess.PIPE, encoding="utf-8").stdout.splitlines()
        taken_s = time.monotonic() - start
    peak_mib = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1024
    found = [(float(line.split()[2]), float(line.split()[3])) for line in lines]
    edges = word_edges(known, tokenizer.normalize)
    errors = [(is_end, 1000 * (found[place][0] + is_end * found[place][1] - true_s)) for place, is_end, true_s in edges]
    return {
        "run": path.name,
        "language": language,
        "minutes": at_s / 60,
        "num_speakers": len(speakers),
        "num_recordings": len(known),
        "num_letters": sum(len(tokenizer.normalize(one.text)) for one in known),
        **summary(errors),
        "largest_ms": max(abs(error) for _, error in errors),
        "peak_mib": peak_mib,
        "times_real_time": at_s / taken_s,
    }


if __name__ == "__main__":
    main()
