"""Long recordings: how fast they are transcribed, in how much memory, and what cutting them costs.

python -m benchmarks.transcribe RUN [--out benchmarks/transcribe.json]

Recordings are made of the run's test clips with pauses between them, which hold noise as loud as the quietest part of
the clip before. For speed and memory the clips of one language come again and again until the recording is long
enough, and `speech-mtl transcribe` is started for each recording by itself, in rounds. For errors each clip comes once.
"""

import argparse
import json
import os
import resource
import subprocess
import sys
import time
from collections.abc import Iterable, Sequence
from itertools import cycle
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import NamedTuple

import numpy as np
import soundfile

from benchmarks.provenance import ROOT, Table, provenance, report
from speech_mtl.backend import load_backend

MINUTES = (10, 60, 180)
ROUNDS = 2
PAUSES_S = {"pauses of 0.5 to 2 s": (0.5, 2.0), "pauses up to 1 s": (0.0, 1.0), "no pauses": (0.0, 0.0)}


class Clips(NamedTuple):
    """A language's test clips: audio, normalised transcripts, and how many speakers."""

    waveforms: list[np.ndarray]
    texts: list[str]
    num_speakers: int


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("run", type=Path)
    parser.add_argument("--language", default="en-CN", help="that of the recordings for speed")
    parser.add_argument("--out", type=Path, default=ROOT / "benchmarks" / "transcribe.json")
    arguments = parser.parse_args()
    load_backend()
    from speech_mtl.run.transcribe import Transcriber

    transcriber = Transcriber(arguments.run)
    clips = {language: _clips(transcriber, arguments.run, language) for language in transcriber.among()}
    fast = clips[arguments.language]
    with TemporaryDirectory() as folder:
        speed = _speed(arguments.run, arguments.language, fast, Path(folder))
    errors = [_errors(transcriber, language, own) for language, own in clips.items()]
    seconds = sum(len(one) for one in fast.waveforms) / transcriber.data.sample_rate_hz
    result = {
        **provenance("transcribe"),
        "about": f"Human speech, decoded greedily. Speed and memory: {arguments.language}, {fast.num_speakers} "
        f"speakers, {seconds / 60:.0f} min of clips again and again; start-up included, best of {ROUNDS} rounds. "
        "Errors: clips joined to one recording a language, against the same clips one by one, all as one text.",
        "load_average": os.getloadavg()[1],
        "speed": speed,
        "errors": errors,
    }
    report(arguments.out, result, _speed_table(speed), _error_table(errors))


def _clips(transcriber, run: Path, language: str) -> Clips:
    from speech_mtl.data.audio import read_audio
    from speech_mtl.data.manifest import read_manifest
    from speech_mtl.run.folder import Run

    utterances = list(read_manifest(Run(run).recipe().manifest(language, "test")))
    tokenizer, rate = transcriber.recognizer.tokenizers[language], transcriber.data.sample_rate_hz
    kept = [one for one in utterances if one.text]
    return Clips(
        [read_audio(one.audio, rate) for one in kept],
        [tokenizer.normalize(one.text or "") for one in kept],
        len({one.speaker for one in kept}),
    )


def _with_pause(waveform: np.ndarray, seconds: float, rate: int, random: np.random.Generator) -> np.ndarray:
    frames = waveform[: len(waveform) // 400 * 400].reshape(-1, 400)
    level = np.quantile(np.sqrt(np.square(frames).mean(axis=1)), 0.05)
    pause = level * random.standard_normal(round(seconds * rate))
    return np.concatenate([waveform, pause]).astype("float32")


def _speed(run: Path, language: str, clips: Clips, folder: Path) -> list[dict]:
    random, rate, paths = np.random.default_rng(0), 16_000, {}
    for minutes in MINUTES:
        paths[minutes] = folder / f"{minutes}.flac"
        with soundfile.SoundFile(paths[minutes], "w", rate, 1) as file:
            for waveform in cycle(clips.waveforms):
                file.write(_with_pause(waveform, random.uniform(0.5, 2.0), rate, random))
                if file.frames >= minutes * 60 * rate:
                    break
    rows = [
        {"minutes": minutes, "round": number, **_measured(run, language, path)}
        for number in range(ROUNDS)
        for minutes, path in paths.items()
    ]
    for row in rows:
        row["times_real_time"] = row["minutes"] * 60 / row["wall_s"]
    return rows


def _measured(run: Path, language: str, path: Path) -> dict:
    """Seconds and peak memory of one command."""
    command = [sys.executable, "-m", "speech_mtl", "transcribe", str(run), "-l", language, str(path)]
    before, start, peak_kib = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter(), 0
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL)
    while process.poll() is None:  # `ru_maxrss` would count what this process holds, from which that one is forked
        status = Path(f"/proc/{process.pid}/status").read_text(encoding="utf-8")
        peak_kib = max([peak_kib, *(int(line.split()[1]) for line in status.splitlines() if line.startswith("VmHWM"))])
        time.sleep(0.05)
    wall_s, after = time.perf_counter() - start, resource.getrusage(resource.RUSAGE_CHILDREN)
    if process.returncode:
        raise SystemExit(f"{command} ended with {process.returncode}")
    processor_s = after.ru_utime - before.ru_utime + after.ru_stime - before.ru_stime
    return {"wall_s": wall_s, "processor_s": processor_s, "peak_mib": peak_kib / 1024}


def _errors(transcriber, language: str, clips: Clips) -> dict:
    """Errors of a language's clips, one by one and as one recording, with pauses of several lengths."""
    random, rate = np.random.default_rng(0), transcriber.data.sample_rate_hz
    spaced = transcriber.recognizer.tokenizers[language].spaced
    single = [found.text for one in clips.waveforms for found in transcriber.transcribe(one, language)]
    row = {"language": language, "num_speakers": clips.num_speakers, "num_clips": len(single)}
    row["one by one"] = _score(clips.texts, single, spaced)
    for name, (least_s, most_s) in PAUSES_S.items():
        parts = [_with_pause(one, random.uniform(least_s, most_s), rate, random) for one in clips.waveforms]
        found = transcriber.transcribe(np.concatenate(parts), language)
        row[name] = {**_score(clips.texts, [one.text for one in found], spaced), "num_segments": len(found)}
    print(json.dumps(row), file=sys.stderr, flush=True)
    return row


def _score(references: Iterable[str], hypotheses: Iterable[str], spaced: bool) -> dict:
    """All as one text: where a segment ends does not count, but for the space there."""
    from speech_mtl.scoring.error_rate import score

    found = score([" ".join(references)], [" ".join(filter(None, hypotheses))], spaced=spaced)
    return {
        "cer": found.characters.rate,
        "wer": found.words.rate,
        "characters_deleted": found.characters.deletions / found.characters.num_reference,
    }


def _speed_table(rows: Sequence[dict]) -> Table:
    heads = ["Recording", "times real time", "processor s", "peak memory, MiB"]
    lines = []
    for minutes in MINUTES:
        own = [row for row in rows if row["minutes"] == minutes]
        best = max(own, key=lambda row: row["times_real_time"])
        peak = max(row["peak_mib"] for row in own)
        lines.append([f"{minutes} min", f"{best['times_real_time']:.0f}", f"{best['processor_s']:.0f}", f"{peak:.0f}"])
    return Table("Speed and memory", heads, lines)


def _error_table(rows: Sequence[dict]) -> Table:
    heads = ["Language", "speakers", "clips", "one by one: CER %"]
    for name in PAUSES_S:
        heads += [f"{name}: CER %", "segments", "deleted %, more than one by one"]
    lines = []
    for row in rows:
        line = [
            row["language"],
            str(row["num_speakers"]),
            str(row["num_clips"]),
            f"{100 * row['one by one']['cer']:.1f}",
        ]
        for name in PAUSES_S:
            more = row[name]["characters_deleted"] - row["one by one"]["characters_deleted"]
            line += [f"{100 * row[name]['cer']:.1f}", str(row[name]["num_segments"]), f"{100 * more:+.1f}"]
        lines.append(line)
    return Table("What cutting costs", heads, lines)


if __name__ == "__main__":
    main()
