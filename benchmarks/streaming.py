"""What streaming costs: errors of the same recipe with whole utterances and in chunks, latency, and time.

python -m benchmarks.streaming [--runs runs/streaming] [--out benchmarks/streaming.json]

Trains `recipes/human` with one language at a time, each with whole utterances and in chunks, for a limited number of
updates with one seed: not to convergence. Runs in the folder that have been trained are taken as they are. Then the
recordings of the test set go through each run in chunks as a stream of 0.1 s pieces, one stream for each.
"""

import argparse
import time
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.provenance import ROOT, Table, provenance, report
from speech_mtl.settings.recipe_file import load_recipe

LANGUAGES = {
    "zh-CN": (
        "languages={zh-CN: {tokenizer: {kind: pinyin}, budget_s: 2400}}",
        *("training.num_updates=1500", "training.cooldown_updates=500", "training.evaluate_every=300"),
    ),
    "de": (
        *("target=de", "languages={de: {}}"),
        *("training.num_updates=2500", "training.cooldown_updates=600", "training.evaluate_every=500"),
    ),
}
"""By language, what is set besides the recipe."""
MEAN = "features.normalize=running_mean"
ARMS = {
    "whole": (),
    "running mean": (MEAN,),
    "chunked": (MEAN, "encoder.chunk_size=16", "encoder.left_chunks=4"),
}
ARMS_OF = {"zh-CN": ("whole", "running mean", "chunked"), "de": ("whole", "chunked")}
CHUNK_SIZES = (4, 8, 16, 32)
PIECE_S = 0.1


def main() -> None:
    """Trains what has not been, and writes and prints the tables."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.streaming", description=__doc__)
    parser.add_argument("--runs", type=Path, default=Path("runs/streaming"))
    parser.add_argument("--recordings", type=int, default=100, help="of each test set, through the stream")
    parser.add_argument("--out", type=Path, default=ROOT / "benchmarks" / "streaming.json")
    arguments = parser.parse_args()
    from speech_mtl.backend import load_backend

    load_backend()
    errors, streams = [], []
    for language, settings in LANGUAGES.items():
        for arm in ARMS_OF[language]:
            run = _trained(arguments.runs / f"{language}-{arm.replace(' ', '-')}", [*settings, *ARMS[arm]])
            errors.append({"language": language, "arm": arm, **_errors(run)})
            if arm == "chunked":
                streams.append({"language": language, **_streamed(run, language, arguments.recordings)})
    result = provenance("streaming") | {
        "about": "Human speech, one speaker a language, who is in training, dev and test: Mandarin words of about a "
        "second (40 minutes of training), German sentences of about five (80 minutes). One seed, a limited number of "
        "updates, not to convergence. 16 frames of 40 ms a chunk, four chunks before it.",
        "errors": errors,
        "streams": streams,
        "latencies": [_latency(size) for size in CHUNK_SIZES],
    }
    report(arguments.out, result, *_tables(result))


def _trained(path: Path, changes: list[str]) -> Any:
    from speech_mtl.run.folder import Run
    from speech_mtl.run.train import train

    recipe = load_recipe(Path("recipes/human"), changes)
    return Run(path) if (path / "evaluation.json").is_file() else train(recipe, path)


def _errors(run: Any) -> dict[str, Any]:
    from speech_mtl.run.evaluate import evaluate

    found = evaluate(run, ("dev", "test"))
    rows = {row["split"]: row for row in found}
    return {f"{split}_cer": rows[split]["cer"] for split in ("dev", "test")} | {"updates": run.progress().update}


def _recordings(run: Any, language: str, number: int) -> Iterator[np.ndarray]:
    from speech_mtl.data.audio import read_audio
    from speech_mtl.data.manifest import read_manifest

    recipe = run.recipe()
    for utterance in islice(read_manifest(recipe.manifest(language, "test")), number):
        yield read_audio(utterance.audio, recipe.data.sample_rate_hz)


def _streamed(run: Any, language: str, number: int) -> dict[str, Any]:
    """What a run's stream gives beside whole recordings, and how long that takes."""
    from speech_mtl.decoding.streaming import FrameStream, latencies_s
    from speech_mtl.run.checkpoint import load_recognizer

    recognizer = load_recognizer(run)
    model, rate_hz = recognizer.model, recognizer.sample_rate_hz
    frames = FrameStream(model, language, len(recognizer.tokenizers[language]))
    waveforms = list(_recordings(run, language, number))
    recognizer.log_probabilities([waveforms[0]], language)  # compiled before the clock runs
    differences, chunk_s, whole_s, delays_s, size = [], [], 0.0, [], round(PIECE_S * rate_hz)
    for waveform in waveforms:
        began = time.perf_counter()
        (expected,) = recognizer.log_probabilities([waveform], language)
        whole_s += time.perf_counter() - began
        found, came_s = [], []
        for start in range(0, len(waveform), size):
            began = time.perf_counter()
            found.append(frames.push(waveform[start : start + size]))
            if len(found[-1]):
                chunk_s.append(time.perf_counter() - began)
            came_s += [min(start + size, len(waveform)) / rate_hz] * len(found[-1])
        began = time.perf_counter()
        found.append(frames.end())
        chunk_s.append(time.perf_counter() - began)
        delays_s += (np.array(came_s) - model.frame_times_s(len(waveform))[: len(came_s)]).tolist()
        differences.append(float(np.abs(np.concatenate(found) - expected).max()))
    audio_s, told_s = sum(map(len, waveforms)) / rate_hz, latencies_s(model)
    return {
        "recordings": len(waveforms),
        "audio_s": round(audio_s, 1),
        "largest_difference": max(differences),
        "real_time_factor": round(sum(chunk_s) / audio_s, 5),
        "real_time_factor_whole": round(whole_s / audio_s, 5),
        "chunk_ms_median": round(1000 * float(np.median(chunk_s)), 1),
        "chunk_ms_95": round(1000 * float(np.quantile(chunk_s, 0.95)), 1),
        "latency_ms_told": [round(1000 * float(one)) for one in (told_s.min(), told_s.mean(), told_s.max())],
        "latency_ms_measured": [round(1000 * one) for one in (min(delays_s), float(np.mean(delays_s)), max(delays_s))],
    }


def _latency(chunk_size: int) -> dict[str, Any]:
    from speech_mtl.data.tokenizer import of_size
    from speech_mtl.decoding.streaming import latencies_s
    from speech_mtl.run.build import build_model, build_targets

    recipe = load_recipe(Path("recipes/human"), [*LANGUAGES["de"], MEAN, f"encoder.chunk_size={chunk_size}"])
    model = build_model(recipe, build_targets(recipe, {"de": of_size(5, "de")}, {}))
    told_s = latencies_s(model)
    ends = (told_s.min(), told_s.mean(), told_s.max())
    return {"chunk_size": chunk_size, "latency_ms": [round(1000 * float(one)) for one in ends]}


def _tables(result: dict[str, Any]) -> Iterator[Table]:
    rows = [
        [
            one["language"],
            one["arm"],
            str(one["updates"]),
            f"{100 * one['dev_cer']:.1f}",
            f"{100 * one['test_cer']:.1f}",
        ]
        for one in result["errors"]
    ]
    yield Table("## Errors", ("Language", "Encoder", "Updates", "Dev CER %", "Test CER %"), rows, 2)
    heads = ("Language", "Recordings", "Audio s", "Largest difference", "Real-time factor", "Whole recordings")
    rows = [
        [
            *(one["language"], str(one["recordings"]), f"{one['audio_s']:g}", f"{one['largest_difference']:.1e}"),
            *(f"{one['real_time_factor']:.4f}", f"{one['real_time_factor_whole']:.4f}"),
            *(f"{one['chunk_ms_median']:g}", f"{one['chunk_ms_95']:g}"),
        ]
        for one in result["streams"]
    ]
    title = "## Streams\n\nThe largest difference of a log-probability from that of the whole recording; seconds of "
    title += "computation for a second of audio, and milliseconds for a chunk of 640."
    yield Table(title, (*heads, "Chunk ms, median", "95 %"), rows)
    title = (
        "## Latency\n\nMilliseconds from the middle of an encoder frame until it is known, without the computation: "
    )
    title += f"least, mean, most. Measured with pieces of {1000 * PIECE_S:g} ms, which come on top."
    rows = [[str(one["chunk_size"]), _three(one["latency_ms"])] for one in result["latencies"]]
    rows += [[f"16, measured ({one['language']})", _three(one["latency_ms_measured"])] for one in result["streams"]]
    yield Table(title, ("Frames of a chunk", "Latency ms"), rows)


def _three(values: list[float]) -> str:
    return " / ".join(f"{value:g}" for value in values)


if __name__ == "__main__":
    main()
