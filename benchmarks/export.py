"""Exported networks beside the original: size, processor time, and errors on a test set. One thread each.

python -m benchmarks.export RUN:LANGUAGE... [--out benchmarks/export.json]
"""

import argparse
import os
import statistics
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

os.environ |= {"TF_NUM_INTRAOP_THREADS": "1", "TF_NUM_INTEROP_THREADS": "1", "OMP_NUM_THREADS": "1"}

import numpy as np

from benchmarks.exported import READERS
from benchmarks.provenance import ROOT, Table, provenance, report
from benchmarks.stopwatch import Stopwatch
from speech_mtl.run.provenance import versions

if TYPE_CHECKING:
    from speech_mtl.run.folder import Run

ROUNDS, ROUND_S = 7, 20.0
PACKAGES = ("onnx", "onnxruntime", "tf2onnx", "ai-edge-litert", "sherpa-onnx")


class Contestant(NamedTuple):
    """A network in some program.

    Attributes:
        run: (S,) waveform -> log-probabilities (E, V), or a text.
        size: Bytes; 0 for a program on the file of another contestant.
    """

    run: Callable[[np.ndarray], Any]
    size: int = 0


def main() -> None:
    """Measures, writes the result file, and prints it."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.export", description=__doc__)
    parser.add_argument("runs", nargs="+", metavar="RUN:LANGUAGE")
    parser.add_argument("--out", type=Path, default=ROOT / "benchmarks" / "export.json")
    arguments = parser.parse_args()
    from speech_mtl.backend import load_backend

    load_backend()
    result = provenance("export")
    result["command"] += " " + " ".join(arguments.runs)
    result["versions"] |= versions(PACKAGES)
    result["cases"] = [_measured(*given.rsplit(":", 1)) for given in arguments.runs]
    result["about"] = ABOUT
    report(arguments.out, result, *map(_table, result["cases"]))


ABOUT = """\
Each utterance by itself, greedy decoding. Human speech, one speaker a language, who is in training, too. Processor
time: as a multiple of the original's, median over interleaved rounds (min-max), without decoding, which
sherpa-onnx's has in it. Largest difference: of log-probabilities, over the test set and three seconds of noise.
Other texts: utterances whose text is not the original's. sherpa-onnx is the unmodified wheel on the file of the row
above it."""


def _measured(path: str, language: str) -> dict:
    from speech_mtl.data.audio import read_audio
    from speech_mtl.run.checkpoint import load_recognizer
    from speech_mtl.run.folder import Run
    from speech_mtl.run.speech import open_split
    from speech_mtl.scoring.error_rate import score

    run = Run(Path(path))
    recipe, recognizer = run.recipe(), load_recognizer(run)
    tokenizer, decoder = recognizer.tokenizers[language], recognizer.decoder(language)
    utterances = [one for one in open_split(recipe, language, "test").utterances() if one.text]
    references = [tokenizer.normalize(one.text or "") for one in utterances]
    waveforms = [read_audio(one.audio, recipe.data.sample_rate_hz) for one in utterances]
    noise = np.random.default_rng(0).normal(0, 0.1, 3 * recipe.data.sample_rate_hz).astype("float32")

    def original(waveform: np.ndarray) -> np.ndarray:
        return recognizer.log_probabilities([waveform], language)[0]

    def text(found: Any) -> str:
        if isinstance(found, str):
            return tokenizer.normalize(found)
        return decoder.decode(found).text(tokenizer)

    expected = [original(waveform) for waveform in (*waveforms, noise)]
    texts, rows = [text(found) for found in expected[:-1]], []
    with tempfile.TemporaryDirectory() as temporary:
        contestants = {"original": Contestant(original, _size(run.best_folder()))}
        contestants |= _exported(run, language, Path(temporary))
        ratios = _timed(contestants, waveforms, recipe.data.sample_rate_hz)
        for name, one in contestants.items():
            found = [one.run(waveform) for waveform in (*waveforms, noise)]
            hypotheses = [text(own) for own in found[:-1]]
            row = {"name": name, "bytes": one.size or None, "cpu": ratios[name]}
            row["cer"] = score(references, hypotheses, spaced=tokenizer.spaced).characters.rate
            row["other_texts"] = sum(a != b for a, b in zip(texts, hypotheses, strict=True))
            if one.size:
                row["difference"] = max(float(np.abs(a - b).max()) for a, b in zip(found, expected, strict=True))
            rows.append(row)
    seconds = sum(map(len, waveforms)) / recipe.data.sample_rate_hz
    return {"run": path, "language": language, "utterances": len(waveforms), "audio_s": round(seconds, 1), "rows": rows}


def _exported(run: "Run", language: str, folder: Path) -> dict[str, Contestant]:
    """The language in every format, with and without weights of 8 bits."""
    from speech_mtl.errors import InputError
    from speech_mtl.export.formats import FORMATS
    from speech_mtl.run.export import export

    found = {}
    for form, int8 in ((form, int8) for form in FORMATS for int8 in (False, True)):
        name = f"{form} int8" if int8 else form
        try:
            written = export(run, folder / name, language, form, int8)
        except InputError as error:
            print(f"{name}: {error.problem}")
            continue
        found[name] = Contestant(READERS[form](written.parent), _size(written))
        if form == "onnx":
            found[f"sherpa-onnx on {name}"] = Contestant(_sherpa(written))
    return found


def _timed(contestants: dict[str, Contestant], waveforms: list[np.ndarray], rate: int) -> dict[str, dict]:
    """Processor time of each, as a multiple of the original's in the same round, and seconds of speech a second."""
    ends = np.cumsum([len(waveform) for waveform in waveforms]) / rate
    some = waveforms[: 1 + int(np.searchsorted(ends, ROUND_S))]
    audio_s = sum(map(len, some)) / rate
    seconds: dict[str, list[float]] = {name: [] for name in contestants}
    for _ in range(ROUNDS + 1):
        for name, one in contestants.items():
            watch = Stopwatch()
            for waveform in some:
                one.run(waveform)
            seconds[name].append(watch.lap().cpu)
    found = {}
    for name, own in seconds.items():
        ratios = [a / b for a, b in zip(own[1:], seconds["original"][1:], strict=True)]  # the first round warms up
        spread = {"median": statistics.median(ratios), "min": min(ratios), "max": max(ratios)}
        found[name] = {**spread, "audio_s_per_cpu_s": audio_s / statistics.median(own[1:])}
    return found


def _sherpa(model: Path) -> Callable[[np.ndarray], str]:
    import sherpa_onnx

    recognizer = sherpa_onnx.OfflineRecognizer.from_omnilingual_asr_ctc(
        model=str(model), tokens=str(model.with_name("tokens.txt")), num_threads=1
    )

    def text(waveform: np.ndarray) -> str:
        stream = recognizer.create_stream()
        stream.accept_waveform(16_000, waveform)
        recognizer.decode_stream(stream)
        return stream.result.text

    return text


def _size(path: Path) -> int:
    return sum(one.stat().st_size for one in ([path] if path.is_file() else path.rglob("*")) if one.is_file())


def _table(case: dict) -> Table:
    title = f"{case['run']}, {case['language']}: {case['utterances']} utterances, {case['audio_s']:.0f} s, one speaker"
    heads = ("Network", "MB", "Processor time", "Times real time", "Largest difference", "Other texts", "CER %")
    lines = []
    for row in case["rows"]:
        cpu, size, difference = row["cpu"], row["bytes"], row.get("difference")
        lines.append(
            [
                row["name"],
                f"{size / 1e6:.2f}" if size else "–",
                f"{cpu['median']:.2f} ({cpu['min']:.2f}-{cpu['max']:.2f})",
                f"{cpu['audio_s_per_cpu_s']:.0f}",
                "–" if difference is None else f"{difference:.1g}",
                str(row["other_texts"]),
                f"{100 * row['cer']:.2f}",
            ]
        )
    return Table(title, heads, lines)


if __name__ == "__main__":
    main()
