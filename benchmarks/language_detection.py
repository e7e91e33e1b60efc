"""How often the language of test clips is detected by a run's output layers, calibrated and not.

python -m benchmarks.language_detection RUN... [--out benchmarks/language_detection.json]

Each run is calibrated on its validation sets; see `speech_mtl.run.language_detection`. Long stretches are clips of one
language in the order of the manifest, 20 s or more together. Where another run has a form of a language under another
name (`en-CN` for `en`), its speech is tried, too: speakers, and a corpus, that this run has never seen.
"""

import argparse
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import numpy as np

from benchmarks.provenance import ROOT, Table, provenance, report
from speech_mtl.backend import load_backend
from speech_mtl.data.languages import is_form_of

MOST_CLIPS = 100
LONG_S = 20.0
MEASURES = ("calibrated", "uncalibrated", "calibrated, long stretches")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("runs", type=Path, nargs="+")
    parser.add_argument("--out", type=Path, default=ROOT / "benchmarks" / "language_detection.json")
    arguments = parser.parse_args()
    load_backend()
    from speech_mtl.run.folder import Run

    recipes = [Run(path).recipe() for path in arguments.runs]
    manifests = {language: one.manifest(language, "test") for one in recipes for language in one.languages}
    rows = [_row(path, manifests) for path in arguments.runs]
    result = {
        **provenance("language_detection"),
        "about": f"Human test speech, at most {MOST_CLIPS} clips a language, evenly spaced. Where a language has one "
        "speaker, who is also in training, voice and room tell it as much as the words do; what such a run makes of "
        "other speakers stands under `never seen`.",
        "runs": rows,
    }
    report(arguments.out, result, _summary(rows), *map(_confusions, rows))


def _row(path: Path, manifests: Mapping[str, Path]) -> dict:
    """What is detected in test clips by a run: by what is spoken, how often which of its languages."""
    from speech_mtl.run.transcribe import Transcriber

    transcriber = Transcriber(path)
    languages, detector = transcriber.among(), transcriber.detector
    calibration = detector.calibrate()
    offsets = np.array([calibration["offsets"][language] for language in languages])
    spoken = {one: place for place, one in enumerate(languages)}
    unseen = manifests.keys() - spoken.keys()
    spoken |= {other: spoken[one] for other in unseen for one in languages if is_form_of(other, one)}
    counts = {name: np.zeros((len(spoken), len(languages)), int) for name in MEASURES}
    speakers = {}
    for place, language in enumerate(spoken):
        waveforms, speakers[language] = _clips(manifests[language], transcriber.data.sample_rate_hz)
        scores = detector.scores(waveforms, languages)
        lengths = [len(one) for one in waveforms]
        stretches = list(_stretches([length / transcriber.data.sample_rate_hz for length in lengths]))
        means = [np.average(scores[rows], axis=0, weights=[lengths[row] for row in rows]) for rows in stretches]
        for name, own, scale, added in (
            (MEASURES[0], scores, calibration["scale"], offsets),
            (MEASURES[1], scores, 1.0, 0.0),
            (MEASURES[2], np.array(means).reshape(-1, len(languages)), calibration["scale"], offsets),
        ):
            np.add.at(counts[name][place], (scale * own + added).argmax(axis=1), 1)
        print(path.name, language, counts[MEASURES[0]][place].tolist(), file=sys.stderr, flush=True)
    return {
        "run": path.name,
        "languages": languages,
        "num_speakers": speakers,
        "calibrated_on": calibration["utterances"],
        "confusions": {name: own.tolist() for name, own in counts.items()},
        "accuracy": {
            name: float(np.trace(own[: len(languages)]) / own[: len(languages)].sum()) for name, own in counts.items()
        },
        "never_seen": {
            other: {name: float(own[row, place] / own[row].sum()) for name, own in counts.items()}
            for row, (other, place) in enumerate(spoken.items())
            if other not in languages
        },
    }


def _clips(manifest: Path, rate_hz: int) -> tuple[list[np.ndarray], int]:
    """Waveforms, and the number of speakers."""
    from speech_mtl.data.audio import read_audio
    from speech_mtl.data.manifest import read_manifest

    utterances = list(read_manifest(manifest))
    places = np.linspace(0, len(utterances) - 1, min(MOST_CLIPS, len(utterances))).round().astype(int)
    kept = [utterances[place] for place in places]
    return [read_audio(one.audio, rate_hz) for one in kept], len({one.speaker for one in kept})


def _stretches(lengths_s: Sequence[float]) -> Iterator[list[int]]:
    """Clips that follow one another, `LONG_S` together."""
    rows: list[int] = []
    for row in range(len(lengths_s)):
        rows.append(row)
        if sum(lengths_s[one] for one in rows) >= LONG_S:
            yield rows
            rows = []


def _summary(rows: Sequence[dict]) -> Table:
    lines = []
    for row in rows:
        groups = {" ".join(row["languages"]): row["accuracy"]}
        groups |= {f"{other}, never seen": own for other, own in row["never_seen"].items()}
        for what, own in groups.items():
            lines.append([row["run"], what, *(f"{100 * own[name]:.1f}" for name in MEASURES)])
    heads = ["Run", "languages", *(f"{name}: right %" for name in MEASURES)]
    return Table("Languages detected", heads, lines, num_text_columns=2)


def _confusions(row: dict) -> Table:
    lines = [
        [language, str(number), *map(str, counts)]
        for (language, number), counts in zip(row["num_speakers"].items(), row["confusions"]["calibrated"], strict=True)
    ]
    title = f"{row['run']}: spoken (lines) and detected (columns), clip by clip"
    return Table(title, ["Spoken", "speakers", *row["languages"]], lines)


if __name__ == "__main__":
    main()
