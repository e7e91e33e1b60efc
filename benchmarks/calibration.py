"""How well the confidences of words tell which are right: on the test set, before and after calibration.

python -m benchmarks.calibration RUN... [--out benchmarks/calibration.json]

Calibrations are fitted to the validation set of each run, as `speech-mtl evaluate` does. A word is right if it is a hit
of the alignment by which errors are counted.
"""

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from scipy.stats import rankdata

from benchmarks.provenance import ROOT, Table, provenance, report

NUM_BINS = 10
"""Of the plot; the calibration error has its usual 15."""

ABOUT = (
    "Confidences of recognised words on the test sets of human speech, decoded with greedy search. ECE: expected "
    "calibration error, 15 bins of equal width. Brier: mean squared difference of confidence and right (1) or wrong "
    "(0). AUC: how often a right word has a higher confidence than a wrong one. Raw: geometric mean of the "
    "probabilities of a word's tokens. Calibrated: by a logistic function of that and of the number of letters, "
    "fitted to the validation set. A word of Mandarin is a syllable with its tone."
)


def main() -> None:
    """Recognises the validation and test sets of runs, and writes and prints how good their confidences are."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.calibration", description=__doc__)
    parser.add_argument("runs", type=Path, nargs="+", metavar="RUN")
    parser.add_argument("--out", type=Path, default=ROOT / "benchmarks" / "calibration.json")
    arguments = parser.parse_args()
    result = provenance("calibration " + " ".join(map(str, arguments.runs))) | {"about": ABOUT}
    result["languages"] = [row for run in arguments.runs for row in _measured(run)]
    _draw(result["languages"], arguments.out.with_suffix(".png"))
    heads = ("Run", "Language", "Speakers", "Words", "Right %", "ECE raw", "calibrated", "Brier raw", "calibrated")
    lines = [
        [row["run"], row["language"], str(row["num_speakers"]), f"{row['num_words']:,}", f"{100 * row['right']:.1f}"]
        + [f"{row[key][kind]:.3f}" for key in ("ece", "brier", "auc") for kind in ("raw", "calibrated")]
        for row in result["languages"]
    ]
    plot = f"![Reliability]({arguments.out.with_suffix('.png').name})"
    report(arguments.out, result, Table(f"{plot}\n\nTest sets", (*heads, "AUC raw", "calibrated"), lines, 2))


def _measured(path: Path) -> list[dict[str, Any]]:
    from speech_mtl.backend import load_backend

    load_backend()
    from speech_mtl.datatypes import Calibration
    from speech_mtl.decoding.confidence import calibrate
    from speech_mtl.run.calibration import RecognizedWord, recognized_words
    from speech_mtl.run.checkpoint import load_recognizer
    from speech_mtl.run.folder import Run
    from speech_mtl.run.references import load_references, recognize

    run = Run(path)
    recipe, recognizer = run.recipe(), load_recognizer(run, calibrated=False)

    def recognised(language: str, split: str) -> tuple[list[RecognizedWord], int]:
        references = load_references(recipe, language, split, recognizer)
        _, hypotheses = recognize(recognizer, language, references, recipe.data)
        return recognized_words(references.texts, hypotheses), len(set(references.speakers) - {None})

    rows = []
    for language in recipe.languages:
        dev, (test, num_speakers) = recognised(language, "dev")[0], recognised(language, "test")
        calibration: Calibration = calibrate(*zip(*dev, strict=True))
        right = np.array([word.right for word in test])
        confidences = {
            "raw": np.array([word.confidence for word in test]),
            "calibrated": np.array([calibration.probability(word.confidence, word.num_letters) for word in test]),
        }
        rows.append(
            {
                "run": path.name,
                "language": language,
                "num_speakers": num_speakers,
                "num_words": len(test),
                "num_dev_words": len(dev),
                "right": float(right.mean()),
                "calibration": calibration._asdict(),
                "ece": {kind: calibration_error(own.tolist(), right.tolist()) for kind, own in confidences.items()},
                "brier": {kind: float(np.mean((own - right) ** 2)) for kind, own in confidences.items()},
                "auc": {kind: _auc(own, right) for kind, own in confidences.items()},
                "bins": {
                    kind: [
                        [*own.mean(axis=0).tolist(), len(own)]
                        for own in reliability(values.tolist(), right.tolist(), NUM_BINS)
                    ]
                    for kind, values in confidences.items()
                },
            }
        )
    return rows


def calibration_error(confidences: Sequence[float], right: Sequence[bool], num_bins: int = 15) -> float:
    """The expected calibration error: how far confidence and the fraction of right words are apart, over bins.

    Reference: Guo et al. 2017, "On calibration of modern neural networks", equation 3; bins of equal width.
    """
    return sum(
        len(own) / len(confidences) * abs(own[:, 0].mean() - own[:, 1].mean())
        for own in reliability(confidences, right, num_bins)
    )


def reliability(confidences: Sequence[float], right: Sequence[bool], num_bins: int = 15) -> list[np.ndarray]:
    """Confidences and whether words are right, (N, 2) by bin of equal width; empty bins are left out."""
    pairs = np.stack([np.asarray(confidences, dtype=float), np.asarray(right, dtype=float)], axis=1)
    bins = np.minimum((pairs[:, 0] * num_bins).astype(int), num_bins - 1)
    return [pairs[bins == number] for number in np.unique(bins)]


def _auc(confidences: np.ndarray, right: np.ndarray) -> float:
    num_right, num_wrong = int(right.sum()), int((~right).sum())
    ranks = rankdata(confidences)[right].sum() - num_right * (num_right + 1) / 2
    return float(ranks / (num_right * num_wrong))


def _draw(rows: list[dict[str, Any]], path: Path) -> None:
    """The fraction of right words against their confidence; areas of markers are numbers of words."""
    from matplotlib.figure import Figure

    from speech_mtl.files import replacing
    from speech_mtl.study.report import style

    num_columns = 3
    num_rows = -(-len(rows) // num_columns)
    with style.drawing():
        figure = Figure(figsize=(2.4 * num_columns, 2.5 * num_rows), layout="constrained")
        axes = np.atleast_1d(figure.subplots(num_rows, num_columns, sharex=True, sharey=True, squeeze=False)).ravel()
        for axis, row in zip(axes, rows, strict=False):
            axis.plot([0, 1], [0, 1], color=style.INK, linestyle=":", linewidth=0.8)
            for kind, colour in zip(("raw", "calibrated"), style.COLOURS[1::-1], strict=True):
                mean, right, number = np.array(row["bins"][kind]).T
                label = f"{kind}, ECE {row['ece'][kind]:.3f}"
                axis.plot(mean, right, color=colour, linewidth=1, label=label)
                axis.scatter(mean, right, 120 * number / row["num_words"], color=colour, alpha=0.7, linewidths=0)
            axis.set(title=f"{row['run']}: {row['language']}", xlim=(0, 1), ylim=(0, 1), aspect="equal")
            axis.legend(loc="upper left", fontsize=7)
        for axis in axes[len(rows) :]:
            axis.set_visible(False)
        figure.supxlabel("Confidence of recognised words")
        figure.supylabel("Fraction that is right")
        with replacing(path) as temporary:
            figure.savefig(temporary, format="png", dpi=130, metadata={"Software": None})


if __name__ == "__main__":
    main()
