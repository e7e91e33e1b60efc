"""How often the language of test clips is detected by a run's output layers, calibrated and not.

python -m benchmarks.language_detection RUN... [--out benchmarks/language_detection.json]

Each run is calibrated on its validation sets; see `speech_mtl.run.language_detection`. Long stretches are clips of one
language in the order of the manifest, 20 s or more together.
"""

import argparse
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np

from benchmarks.provenance import ROOT, Table, provenance, report
from speech_mtl.backend import load_backend

MOST_CLIPS = 100
LONG_S = 20.0


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("runs", type=Path, nargs="+")
    parser.add_argument("--out", type=Path, default=ROOT / "benchmarks" / "language_detection.json")
    arguments = parser.parse_args()
    load_backend()
    rows = [_row(path) for path in arguments.runs]
    result = {
        **provenance("language_detection"),
        "about": f"Human test speech, at most {MOST_CLIPS} clips a language, evenly spaced. Where a language has one "
        "speaker, who is also in training, the voice and the room tell it as much as the words do.",
        "runs": rows,
    }
    report(arguments.out, result, _summary(rows), *map(_confusions, rows))


def _row(path: Path) -> dict:
    """What is detected in a run's test clips: by language, how often which one."""
    from speech_mtl.run.transcribe import Transcriber

    transcriber = Transcriber(path)
    languages, detector = transcriber.among(), transcriber.languages
    calibration = detector.calibrate()
    offsets = np.array([calibration["offsets"][language] for language in languages])
    shape = (len(languages), len(languages))
    counts = {name: np.zeros(shape, int) for name in ("calibrated", "uncalibrated", "calibrated, long stretches")}
    speakers = {}
    for place, language in enumerate(languages):
        waveforms, speakers[language] = _clips(transcriber, path, language)
        scores = detector.scores(waveforms, languages)
        sums = calibration["scale"] * scores + offsets
        for one, raw in zip(sums, scores, strict=True):
            counts["calibrated"][place, one.argmax()] += 1
            counts["uncalibrated"][place, raw.argmax()] += 1
        for rows in _stretches([len(one) / transcriber.data.sample_rate_hz for one in waveforms]):
            lengths = [len(waveforms[row]) for row in rows]
            mean = np.average(scores[rows], axis=0, weights=lengths)
            counts["calibrated, long stretches"][place, (calibration["scale"] * mean + offsets).argmax()] += 1
        print(path.name, language, counts["calibrated"][place].tolist(), file=sys.stderr, flush=True)
    return {
        "run": path.name,
        "languages": languages,
        "num_speakers": speakers,
        "calibrated_on": calibration["utterances"],
        "confusions": {name: own.tolist() for name, own in counts.items()},
        "accuracy": {name: float(np.trace(own) / own.sum()) for name, own in counts.items()},
    }


def _clips(transcriber, path: Path, language: str) -> tuple[list[np.ndarray], int]:
    from speech_mtl.data.audio import read_audio
    from speech_mtl.data.manifest import read_manifest
    from speech_mtl.run.folder import Run

    utterances = list(read_manifest(Run(path).recipe().manifest(language, "test")))
    places = np.linspace(0, len(utterances) - 1, min(MOST_CLIPS, len(utterances))).round().astype(int)
    kept = [utterances[place] for place in places]
    rate = transcriber.data.sample_rate_hz
    return [read_audio(one.audio, rate) for one in kept], len({one.speaker for one in kept})


def _stretches(lengths_s: Sequence[float]) -> Iterator[list[int]]:
    """Clips that follow one another, `LONG_S` together."""
    rows: list[int] = []
    for row in range(len(lengths_s)):
        rows.append(row)
        if sum(lengths_s[one] for one in rows) >= LONG_S:
            yield rows
            rows = []


def _summary(rows: Sequence[dict]) -> Table:
    heads = ["Run", "languages", *(f"{name}: right %" for name in rows[0]["accuracy"])]
    lines = [
        [row["run"], " ".join(row["languages"]), *(f"{100 * one:.1f}" for one in row["accuracy"].values())]
        for row in rows
    ]
    return Table("Languages detected", heads, lines, num_text_columns=2)


def _confusions(row: dict) -> Table:
    lines = [
        [language, str(row["num_speakers"][language]), *map(str, counts)]
        for language, counts in zip(row["languages"], row["confusions"]["calibrated"], strict=True)
    ]
    title = f"{row['run']}: spoken (lines) and detected (columns), clip by clip"
    return Table(title, ["Spoken", "speakers", *row["languages"]], lines)


if __name__ == "__main__":
    main()
