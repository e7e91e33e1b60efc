"""Exported networks beside the original: size, processor time, and errors on a test set. One thread each.

python -m benchmarks.export RUN:LANGUAGE... [--out benchmarks/export.json]
"""

import argparse
import os
import statistics
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

os.environ |= {"TF_NUM_INTRAOP_THREADS": "1", "TF_NUM_INTEROP_THREADS": "1", "OMP_NUM_THREADS": "1"}

import numpy as np

from benchmarks.provenance import ROOT, Table, provenance, report
from benchmarks.stopwatch import Stopwatch
from speech_mtl.run.provenance import versions

ORIGINAL, SHERPA = "original", "sherpa-onnx"
ROUNDS, ROUND_S = 7, 60.0
PACKAGES = ("onnx", "onnxruntime", "tf2onnx", "ai-edge-litert", "sherpa-onnx")


class Contestant(NamedTuple):
    """A network in some program.

    Attributes:
        size: Bytes.
        log_probs: (S,) waveform -> (E, V); None for a program that gives texts alone.
        text: (S,) waveform -> text.
    """

    size: int
    log_probs: Callable[[np.ndarray], np.ndarray] | None
    text: Callable[[np.ndarray], str]


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
Each utterance by itself, greedy decoding. Human speech, one speaker a language, who is in training, too. Largest
difference: of log-probabilities, over the test set and three seconds of noise. Processor time: as a multiple of the
original's, median over interleaved rounds (min-max), without decoding, which sherpa-onnx's has in it. sherpa-onnx is the
unmodified wheel on the folder of the row above it; its texts that are others are counted, too."""


def _measured(path: str, language: str) -> dict:
    from speech_mtl.data.audio import read_audio
    from speech_mtl.errors import InputError
    from speech_mtl.export.formats import FORMATS
    from speech_mtl.run.checkpoint import load_recognizer
    from speech_mtl.run.export import export
    from speech_mtl.run.folder import Run
    from speech_mtl.run.speech import open_split
    from speech_mtl.scoring.error_rate import score

    run = Run(Path(path))
    recipe, recognizer = run.recipe(), load_recognizer(run)
    tokenizer, decoder = recognizer.tokenizers[language], recognizer.decoders[language]
    utterances = [one for one in open_split(recipe, language, "test").utterances() if one.text]
    references = [tokenizer.normalize(one.text or "") for one in utterances]
    waveforms = [read_audio(one.audio, recipe.data.sample_rate_hz) for one in utterances]
    noise = np.random.default_rng(0).normal(0, 0.1, 3 * recipe.data.sample_rate_hz).astype("float32")

    def contestant(size: int, log_probs: Callable[[np.ndarray], np.ndarray]) -> Contestant:
        def text(waveform: np.ndarray) -> str:
            tokens = decoder.decode(log_probs(waveform)).tokens
            return tokenizer.normalize(tokenizer.decode([token.number for token in tokens]))

        return Contestant(size, log_probs, text)

    def original(waveform: np.ndarray) -> np.ndarray:
        return recognizer.log_probabilities([waveform], language)[0]

    contestants = {ORIGINAL: contestant(_size(run.best_folder()), original)}
    with tempfile.TemporaryDirectory() as temporary:
        for form, int8 in ((form, int8) for form in FORMATS for int8 in (False, True)):
            name = f"{form} int8" if int8 else form
            try:
                written = export(run, Path(temporary) / name, language, form, int8)
            except InputError:
                continue
            contestants[name] = contestant(_size(written), FORMATS[form].read(written.parent))
            if form == "onnx":
                contestants[f"{SHERPA} ({name})"] = Contestant(0, None, _sherpa(written, tokenizer.normalize))
        ratios = _timed(contestants, waveforms, recipe.data.sample_rate_hz)
        rows = []
        expected = [original(waveform) for waveform in (*waveforms, noise)]
        texts = [contestants[ORIGINAL].text(waveform) for waveform in waveforms]
        for name, one in contestants.items():
            found = [one.text(waveform) for waveform in waveforms]
            counted = score(references, found, spaced=tokenizer.spaced)
            row = {"name": name, "bytes": one.size or None, "cer": counted.characters.rate, "cpu": ratios[name]}
            row["other_texts"] = sum(a != b for a, b in zip(texts, found, strict=True))
            if one.log_probs:
                pairs = zip((*waveforms, noise), expected, strict=True)
                row["difference"] = max(float(np.abs(one.log_probs(given) - there).max()) for given, there in pairs)
            rows.append(row)
    seconds = sum(map(len, waveforms)) / recipe.data.sample_rate_hz
    return {"run": path, "language": language, "utterances": len(waveforms), "audio_s": round(seconds, 1), "rows": rows}


def _timed(contestants: dict[str, Contestant], waveforms: list[np.ndarray], rate: int) -> dict[str, dict]:
    """Processor time of each, as a multiple of the original's in the same round, and seconds of speech a second."""
    ends = np.cumsum([len(waveform) for waveform in waveforms]) / rate
    some = waveforms[: 1 + int(np.searchsorted(ends, ROUND_S))]
    audio_s = sum(map(len, some)) / rate
    seconds: dict[str, list[float]] = {name: [] for name in contestants}
    for _ in range(ROUNDS + 1):
        for name, one in contestants.items():
            run, watch = one.log_probs or one.text, Stopwatch()
            for waveform in some:
                run(waveform)
            seconds[name].append(watch.lap().cpu)
    found = {}
    for name, own in seconds.items():
        ratios = [a / b for a, b in zip(own[1:], seconds[ORIGINAL][1:], strict=True)]  # the first round warms up
        spread = {"median": statistics.median(ratios), "min": min(ratios), "max": max(ratios)}
        found[name] = {**spread, "audio_s_per_cpu_s": audio_s / statistics.median(own[1:])}
    return found


def _sherpa(model: Path, normalize: Callable[[str], str]) -> Callable[[np.ndarray], str]:
    import sherpa_onnx

    recognizer = sherpa_onnx.OfflineRecognizer.from_omnilingual_asr_ctc(
        model=str(model), tokens=str(model.with_name("tokens.txt")), num_threads=1
    )

    def text(waveform: np.ndarray) -> str:
        stream = recognizer.create_stream()
        stream.accept_waveform(16_000, waveform)
        recognizer.decode_stream(stream)
        return normalize(stream.result.text)

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
