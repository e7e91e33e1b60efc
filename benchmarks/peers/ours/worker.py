"""The cases as speech_mtl does them, on TensorFlow."""

from itertools import cycle
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks import speech_like
from benchmarks.contestants import LEARNING_RATE, Case, import_tensorflow, ours
from benchmarks.protocol import Prepared, serve
from speech_mtl.data.tokenizer import CharacterTokenizer
from speech_mtl.datatypes import TRANSCRIPT, Batch, Tokens

LANGUAGE = "x-language-0"


def training_step(given: dict[str, Any]) -> Prepared:
    """A compiled step of the joint model, with one language."""
    prepared = ours(Case(given["size"], num_languages=1), given["num_threads"])
    batches = cycle([_batch(path) for path in given["batches"]])

    def once() -> float:
        batch = next(batches)
        prepared.step(batch, LEARNING_RATE)
        return speech_like.audio_s(batch)

    return Prepared(once, {"parameters": prepared.num_parameters})


def log_mel(given: dict[str, Any]) -> Prepared:
    """The first layer of the model, compiled by itself."""
    import_tensorflow(given["num_threads"])
    import tensorflow as tf

    recipe = Case(given["size"], num_languages=1).recipe
    features = recipe.features.make(sample_rate_hz=recipe.data.sample_rate_hz)
    compiled = tf.function(features.call, reduce_retracing=True, autograph=False)
    batches = cycle([_batch(path) for path in given["batches"]])

    def once() -> float:
        batch = next(batches)
        found, _ = compiled(tf.constant(batch.waveforms), tf.constant(batch.num_samples))
        found.numpy()
        return speech_like.audio_s(batch)

    return Prepared(once, {})


def loading(given: dict[str, Any]) -> Prepared:
    """An epoch of batches, each utterance decoded when its batch is collated (`data.decode_once=false`)."""
    from speech_mtl.data.collation import batches
    from speech_mtl.data.examples import Examples
    from speech_mtl.data.index import open_manifest
    from speech_mtl.data.reading import ReadWaveforms
    from speech_mtl.data.sampling import SampledExample
    from speech_mtl.data.store import AudioLimits

    path = Path(given["manifest"])
    store = ReadWaveforms(open_manifest(path, path.parent), AudioLimits(given["sample_rate_hz"], 0.1, 60.0))
    examples = {0: Examples(store, np.arange(len(store.manifest)))}
    size = given["utterances_in_a_batch"]
    plan = [
        [SampledExample(0, example) for example in range(start, min(start + size, len(store.manifest)))]
        for start in range(0, len(store.manifest), size)
    ]

    def once() -> float:
        made = batches(plan, examples, given["num_threads"])
        return sum(float(batch.num_samples.sum()) for batch in made) / given["sample_rate_hz"]

    return Prepared(once, {})


def greedy(given: dict[str, Any]) -> Prepared:
    """The best path, with its times and confidences."""
    from speech_mtl.decoding.greedy import Greedy

    return _decoding(given, Greedy(given["vocabulary"], LANGUAGE))


def beam(given: dict[str, Any]) -> Prepared:
    """Prefix beam search without a language model."""
    from speech_mtl.decoding.beam import Beam

    made = Beam(given["vocabulary"], LANGUAGE, None, given["width"], 1, "none", None, None, [], 1.0, True)
    return _decoding(given, made)


def _decoding(given: dict[str, Any], decoder: Any) -> Prepared:
    tokenizer = CharacterTokenizer(LANGUAGE, tuple(given["vocabulary"]))
    with np.load(given["posteriors"]) as file:
        utterances = [file[name] for name in file.files]

    def texts() -> list[str]:
        return [decoder.decode(one).text(tokenizer) for one in utterances]

    def once() -> float:
        texts()
        return given["audio_s"]

    return Prepared(once, {"texts": texts()})


def scoring(given: dict[str, Any]) -> Prepared:
    """Word errors by an alignment of each utterance."""
    from speech_mtl.scoring.error_rate import align

    references, hypotheses = (
        Path(given[name]).read_text("utf-8").splitlines() for name in ("references", "hypotheses")
    )

    def once() -> float:
        align(references, hypotheses, spaced=True)
        return given["words"]

    return Prepared(once, {"wer": align(references, hypotheses, spaced=True).wer})  # pyright: ignore[reportAttributeAccessIssue]


def _batch(path: str) -> Batch:
    with np.load(path) as file:
        tokens = Tokens(file["tokens"], file["num_tokens"])
        return Batch(file["waveforms"], file["num_samples"], file["language_ids"], {TRANSCRIPT: tokens})


if __name__ == "__main__":
    serve(
        {
            "training step": training_step,
            "log-mel": log_mel,
            "loading": loading,
            "greedy decoding": greedy,
            "beam search": beam,
            "scoring": scoring,
        }
    )
