"""How far the times of words are from where they are spoken, on speech whose times are known.

python -m benchmarks.times --joined zh_de_en:zh-CN:4 --spoken synthetic:de [--out benchmarks/times.json]

Joined: so many test recordings of a run's language (RUN:LANGUAGE:NUMBER), cut at their first and last sound and put
together with or without a pause: known is where each begins and ends. Spoken: espeak-ng tells where each word begins
and ends; the run is one that was trained on its speech:

python -m data_scripts.synthetic data/synthetic_times --languages de,fr --train-minutes 15
speech-mtl train recipes/synthetic target=null 'languages={de: {}, fr: {}}' data.dir=data/synthetic_times \
  training.num_updates=900 --out runs/synthetic
"""

import argparse
from collections.abc import Iterable, Iterator
from pathlib import Path
from random import Random
from typing import Any, NamedTuple

import numpy as np

from benchmarks.provenance import ROOT, Table, provenance, report

RATE_HZ = 16_000
NUM_RECORDINGS = 100
PAUSES_S = (0.0, 0.0, 0.2)
AROUND_S = 0.15
LOUD_DB = 35.0
"""Ten milliseconds that are weaker than the loudest by more than this are no sound: of recordings without noise."""

ABOUT = (
    "Milliseconds between the start and end of words and where they are spoken; word starts and ends are counted "
    "together. Aligned: the text is given. Recognised: of words that are right. Tokens: a word begins with the frame "
    "of its first token and ends with that of its last. Words: it reaches up to {reach:g} ms further, at most half-way "
    "to its neighbour, as all formats have it. Bias: median error of these, positive where they are too late. "
    "Joined recordings are human speech; where they begin and end is told by their loudness, to some 10 to 30 ms. "
    "espeak-ng is synthetic speech, in voices that do not train."
)


SIZES = {
    "median_ms": "median",
    "mean_ms": "mean",
    "within_50_percent": "within 50 ms %",
    "within_100_percent": "within 100 ms %",
}
BIASES = {"start_bias_ms": "bias of starts", "end_bias_ms": "bias of ends"}
"""What the table has, by its name in the JSON."""


class Known(NamedTuple):
    """A stretch of speech of which the edges are known: its text, start and end in seconds."""

    text: str
    start_s: float
    end_s: float


class Recording(NamedTuple):
    """Speech made of known stretches; (S,) float32."""

    waveform: np.ndarray
    known: list[Known]


def main() -> None:
    """Aligns and recognises speech whose times are known, and writes and prints the errors of the times."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.times", description=__doc__)
    parser.add_argument("--joined", action="append", default=[], metavar="RUN:LANGUAGE:NUMBER")
    parser.add_argument("--spoken", action="append", default=[], metavar="RUN:LANGUAGE")
    parser.add_argument("--runs", type=Path, default=Path("runs"), help="the folder that holds the runs")
    parser.add_argument("--out", type=Path, default=ROOT / "benchmarks" / "times.json")
    arguments = parser.parse_args()
    from speech_mtl.decoding.words import REACH_S

    typed = [f"--joined {one}" for one in arguments.joined] + [f"--spoken {one}" for one in arguments.spoken]
    result = provenance("times " + " ".join(typed)) | {"about": ABOUT.format(reach=1000 * REACH_S), "sets": []}
    for one in [*arguments.joined, *arguments.spoken]:
        run, language, *number = one.split(":")
        result["sets"].append(_measured(arguments.runs / run, language, int(number[0]) if number else None))
    heads = ["Run", "Language", "Speech", "Voices", "How", "Edges"]
    heads += [f"{kind}: {head}" for kind in ("tokens", "words") for head in SIZES.values()] + list(BIASES.values())
    lines = [
        [own["run"], own["language"], own["speech"], str(own["num_speakers"]), how, str(own[how]["words"]["num_edges"])]
        + [f"{own[how][kind][key]:.0f}" for kind in ("tokens", "words") for key in SIZES]
        + [f"{own[how]['words'][key]:.0f}" for key in BIASES]
        for own in result["sets"]
        for how in ("aligned", "recognised")
    ]
    report(arguments.out, result, Table("Errors in milliseconds", heads, lines, 5))


def _measured(path: Path, language: str, number: int | None) -> dict[str, Any]:
    from speech_mtl.backend import load_backend

    load_backend()
    from speech_mtl.decoding.viterbi import align
    from speech_mtl.decoding.words import REACH_S, words
    from speech_mtl.errors import InputError
    from speech_mtl.run.checkpoint import load_recognizer
    from speech_mtl.run.folder import Run

    run = Run(path)
    recognizer, recipe = load_recognizer(run, calibrated=False), run.recipe()
    tokenizer = recognizer.tokenizers[language]
    spoken = _spoken(language) if number is None else _joined(recipe.manifest(language, "test"), number)
    errors: dict[str, dict[str, list]] = {how: {"tokens": [], "words": []} for how in ("aligned", "recognised")}
    speakers, num_left_out = set(), 0
    for names, recording in spoken:
        text = " ".join(known.text for known in recording.known)
        (log_probabilities,) = recognizer.log_probabilities([recording.waveform], language)
        try:
            found = align(log_probabilities, tokenizer.encode(text))
        except InputError:  # letters that training has not, or too many of them
            num_left_out += 1
            continue
        speakers |= names
        aligned = recognizer.hypothesis("", language, found, len(recording.waveform))
        (recognised,) = recognizer.transcribe([recording.waveform], language)
        edges = word_edges(recording.known, tokenizer.normalize)
        for how, hypothesis in (("aligned", aligned), ("recognised", recognised)):
            pairs = _pairs(tokenizer.normalize(text), hypothesis.text)
            for kind, reach_s in (("tokens", 0.0), ("words", REACH_S)):
                own = words(hypothesis, reach_s)
                errors[how][kind] += [
                    (is_end, 1000 * ((own[pairs[place]].end_s if is_end else own[pairs[place]].start_s) - true_s))
                    for place, is_end, true_s in edges
                    if place in pairs
                ]
    return {
        "run": path.name,
        "language": language,
        "speech": "espeak-ng" if number is None else f"{number} joined",
        "num_speakers": len(speakers),
        "num_left_out": num_left_out,
        **{how: {kind: summary(own) for kind, own in kinds.items()} for how, kinds in errors.items()},
    }


def word_edges(known: Iterable[Known], normalize: Any) -> list[tuple[int, bool, float]]:
    """Which words of the text begin or end (True) where that is known, and when."""
    found, place = [], 0
    for one in known:
        number = len(normalize(one.text).split())
        if number:
            found += [(place, False, one.start_s), (place + number - 1, True, one.end_s)]
        place += number
    return found


def _pairs(reference: str, hypothesis: str) -> dict[int, int]:
    """By the place of a reference word, that of the word of the hypothesis which is the same."""
    import jiwer

    return {
        chunk.ref_start_idx + i: chunk.hyp_start_idx + i
        for chunk in jiwer.process_words(reference, hypothesis).alignments[0]
        if chunk.type == "equal"
        for i in range(chunk.ref_end_idx - chunk.ref_start_idx)
    }


def summary(errors: list[tuple[bool, float]]) -> dict[str, float]:
    values, ends = np.array([value for _, value in errors]), np.array([is_end for is_end, _ in errors])
    sizes = np.abs(values)
    return {
        "num_edges": len(values),
        "median_ms": float(np.median(sizes)),
        "mean_ms": float(sizes.mean()),
        "within_50_percent": float(100 * (sizes <= 50).mean()),
        "within_100_percent": float(100 * (sizes <= 100).mean()),
        "start_bias_ms": float(np.median(values[~ends])),
        "end_bias_ms": float(np.median(values[ends])),
    }


def _joined(manifest: Path, number: int) -> Iterator[tuple[set[str], Recording]]:
    """Recordings of one speaker each, put together, with the speaker's name."""
    from speech_mtl.data.audio import read_audio
    from speech_mtl.data.manifest import read_manifest

    utterances = [one for one in read_manifest(manifest) if one.text]
    random, noise = Random(0), np.random.default_rng(0)
    for _ in range(NUM_RECORDINGS):
        first = random.choice(utterances)
        same = [one for one in utterances if one.speaker == first.speaker and one is not first]
        chosen = [first, *random.sample(same, min(number - 1, len(same)))]
        pieces, known, at_s = [silence(AROUND_S, noise)], [], AROUND_S
        for one in chosen:
            waveform, pause_s = cut_to_sound(read_audio(one.audio, RATE_HZ)), random.choice(PAUSES_S)
            known.append(Known(one.text or "", at_s, at_s + len(waveform) / RATE_HZ))
            pieces += [waveform, silence(pause_s, noise)]
            at_s += len(waveform) / RATE_HZ + pause_s
        yield {first.speaker or ""}, Recording(np.concatenate([*pieces, silence(AROUND_S, noise)]), known)


def silence(duration_s: float, noise: np.random.Generator) -> np.ndarray:
    return 1e-3 * noise.standard_normal(int(duration_s * RATE_HZ)).astype("float32")


def cut_to_sound(waveform: np.ndarray) -> np.ndarray:
    """A waveform from its first to its last sound."""
    step = RATE_HZ // 100
    blocks = waveform[: len(waveform) // step * step].reshape(-1, step)
    level_db = 10 * np.log10(np.mean(blocks**2, axis=1) + 1e-10)
    loud = np.flatnonzero(level_db > level_db.max() - LOUD_DB)
    return waveform[loud[0] * step : (loud[-1] + 1) * step]


def _spoken(language: str) -> Iterator[tuple[set[str], Recording]]:
    """Texts that espeak-ng speaks with noise, by word, with the name of the voice."""
    import soxr

    from data_scripts.synthetic import PITCH_RANGES, PITCHES, RATES, VARIANTS, is_read_well, with_noise
    from data_scripts.synthetic_text import split_of, texts
    from speech_mtl.data.espeak import Delivery, espeak

    voice, rate_hz = espeak().voice(language), espeak().sample_rate_hz
    for number in range(NUM_RECORDINGS):
        random = Random(number)
        text = texts(language).sample(random, lambda text: split_of(text) == "test" and is_read_well(text, voice))
        variant = random.choice(VARIANTS["test"])
        pace, pitch, pitch_range = (random.randint(*limits) for limits in (RATES, PITCHES, PITCH_RANGES))
        speech = espeak().speak(text, Delivery(f"{voice}+{variant}", pace, pitch, pitch_range, number))
        pauses_s = [phone.start_s for phone in speech.phones if not phone.ipa]
        ends = [*speech.words[1:], (len(speech.waveform) / rate_hz, len(text))]
        known = [
            Known(text[at:next_at], start_s, min([next_s, *(pause for pause in pauses_s if pause > start_s + 1e-3)]))
            for (start_s, at), (next_s, next_at) in zip(speech.words, ends, strict=True)
        ]
        waveform = with_noise(soxr.resample(speech.waveform, rate_hz, RATE_HZ), random)
        yield {variant}, Recording(waveform, known)


if __name__ == "__main__":
    main()
