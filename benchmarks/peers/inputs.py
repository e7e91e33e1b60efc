"""What all contestants are given: files that any of them can read, made up and the same with each run."""

import json
from pathlib import Path
from typing import Any

import librosa
import numpy as np
import soundfile

from benchmarks import speech_like
from benchmarks.contestants import LEARNING_RATE, Case, twin_settings
from benchmarks.speech_like import SAMPLE_RATE_HZ, Shape
from speech_mtl.datatypes import TRANSCRIPT

LETTERS = "abcdefghijklmnopqrstuvwxyzáčďéěíňóřšúů"[:36]
VOCABULARY = ["<blank>", " ", *LETTERS]
FRAMES_PER_S = 25
"""Of posteriors: one each 40 ms."""


def training(folder: Path, shape: Shape, size: str) -> dict[str, Any]:
    """Batches of a shape, and what decides the network and its updates."""
    case = Case(size, num_languages=1)
    network = twin_settings(case.recipe)
    filters = librosa.filters.mel(sr=SAMPLE_RATE_HZ, n_fft=network["fft_size"], n_mels=network["num_mels"])
    np.save(folder / "filters.npy", filters.T.astype(np.float32))
    paths = []
    for number, batch in enumerate(speech_like.batches(shape, num_languages=1)):
        paths.append(str(folder / f"{shape.num_utterances}-{number}.npz"))
        ids, sizes = batch.targets[TRANSCRIPT]
        np.savez(
            paths[-1],
            waveforms=batch.waveforms,
            num_samples=batch.num_samples,
            language_ids=batch.language_ids,
            tokens=ids,
            num_tokens=sizes,
        )
    return {
        "size": size,
        "network": network,
        "vocabularies": case.vocabularies,
        "filters": str(folder / "filters.npy"),
        "weight_decay": case.recipe.training.weight_decay,
        "clip_norm": case.recipe.training.clip_norm,
        "learning_rate": LEARNING_RATE,
        "batches": paths,
        "batch_size": shape.num_utterances,
    }


def audio(folder: Path, suffix: str, number: int = 60, seconds: float = 5.0) -> dict[str, Any]:
    """Compressed files of noise that swells like syllables, in a manifest of ours and one of TensorFlowASR's."""
    generator, files, durations_s = np.random.default_rng(0), [], []
    kind = {"mp3": ("MP3", "MPEG_LAYER_III"), "opus": ("OGG", "OPUS")}[suffix]
    for i in range(number):
        size = round(generator.uniform(0.8, 1.2) * seconds * SAMPLE_RATE_HZ)
        swell = np.abs(np.sin(2 * np.pi * 2 * np.arange(size) / SAMPLE_RATE_HZ))
        samples = 0.1 * swell * generator.standard_normal(size)
        files.append(str(folder / f"{i:03}.{suffix}"))
        soundfile.write(files[-1], samples, SAMPLE_RATE_HZ, format=kind[0], subtype=kind[1])
        durations_s.append(soundfile.info(files[-1]).duration)
    rows = list(zip(files, durations_s, strict=True))
    lines = [
        json.dumps(
            {"id": Path(path).stem, "audio": path, "language": "x-language-0", "text": "a", "duration_s": length}
        )
        for path, length in rows
    ]
    (folder / f"{suffix}.jsonl").write_text("\n".join(lines) + "\n", "utf-8")
    table = ["PATH\tDURATION\tTRANSCRIPT", *(f"{path}\t{length}\ta" for path, length in rows)]
    (folder / f"{suffix}.tsv").write_text("\n".join(table) + "\n", "utf-8")
    return {
        "files": files,
        "manifest": str(folder / f"{suffix}.jsonl"),
        "table": str(folder / f"{suffix}.tsv"),
        "utterances_in_a_batch": 12,
        "sample_rate_hz": SAMPLE_RATE_HZ,
    }


def posteriors(folder: Path, number: int = 60, seconds: float = 5.0) -> tuple[dict[str, Any], list[str]]:
    """Log-probabilities of made-up texts, peaked as those of CTC networks, some frames wrong; and these texts."""
    generator, texts, arrays = np.random.default_rng(0), [], {}
    size = round(seconds * FRAMES_PER_S)
    for i in range(number):
        words = ["".join(generator.choice(list(LETTERS), generator.integers(2, 9))) for _ in range(round(seconds))]
        texts.append(" ".join(words)[: size // 2].strip())
        path = np.zeros(size, np.int64)
        places = np.sort(generator.choice(size // 2, len(texts[-1]), replace=False)) * 2  # a blank between each two
        path[places] = [VOCABULARY.index(letter) for letter in texts[-1]]
        logits = generator.normal(0.0, 1.5, (size, len(VOCABULARY)))
        logits[np.arange(size), path] += generator.normal(10.0, 2.5, size)
        arrays[f"{i:03}"] = (logits - np.logaddexp.reduce(logits, axis=1, keepdims=True)).astype(np.float32)
    np.savez(folder / "posteriors.npz", **arrays)
    (folder / "vocabulary.txt").write_text("\n".join(VOCABULARY) + "\n", "utf-8")
    given = {
        "posteriors": str(folder / "posteriors.npz"),
        "vocabulary": VOCABULARY,
        "vocabulary_file": str(folder / "vocabulary.txt"),
        "audio_s": number * seconds,
    }
    return given, texts


def scoring(folder: Path, num_words: int = 1_000_000) -> dict[str, Any]:
    """Sentences of ten words, and the same with a tenth of the words wrong, missing or twice."""
    generator = np.random.default_rng(0)
    words = np.array(["".join(generator.choice(list(LETTERS), generator.integers(2, 9))) for _ in range(20_000)])
    references = words[generator.integers(0, len(words), (num_words // 10, 10))]
    changes, others = generator.random(references.shape), words[generator.integers(0, len(words), references.shape)]
    pairs = [(references, np.full(references.shape, 1.0)), (references, changes)]
    for name, (rows, drawn) in zip(("references", "hypotheses"), pairs, strict=True):
        lines = [
            " ".join(_changed(*word) for word in zip(*row, strict=True)).replace("  ", " ").strip()
            for row in zip(rows, drawn, others, strict=True)
        ]
        (folder / f"{name}.txt").write_text("\n".join(lines) + "\n", "utf-8")
    return {name: str(folder / f"{name}.txt") for name in ("references", "hypotheses")} | {"words": num_words}


def _changed(word: str, drawn: float, other: str) -> str:
    if drawn < 0.05:
        return other
    if drawn < 0.08:
        return ""
    return f"{word} {other}" if drawn < 0.1 else word
