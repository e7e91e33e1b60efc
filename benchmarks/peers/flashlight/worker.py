"""Beam search with flashlight's lexicon-free decoder."""

# pyright: reportMissingImports=false, reportAttributeAccessIssue=false

from typing import Any

import numpy as np
from flashlight.lib.text import decoder as flashlight

from benchmarks.protocol import Prepared, serve

THRESHOLD = 25.0
"""That of `speech_mtl.decoding.beam`."""


def beam(given: dict[str, Any]) -> Prepared:
    """Without a language model; paths of the same text are summed, as in ours."""
    vocabulary = given["vocabulary"]
    ctc, size = flashlight.CriterionType.CTC, len(vocabulary)
    options = flashlight.LexiconFreeDecoderOptions(given["width"], size, THRESHOLD, 0.0, 0.0, True, ctc)
    decoder = flashlight.LexiconFreeDecoder(options, flashlight.ZeroLM(), vocabulary.index(" "), 0, [])
    with np.load(given["posteriors"]) as file:
        utterances = [np.ascontiguousarray(file[name], np.float32) for name in file.files]

    def texts() -> list[str]:
        return [_text(decoder, one, vocabulary) for one in utterances]

    def once() -> float:
        texts()
        return given["audio_s"]

    return Prepared(once, {"texts": texts()})


def _text(decoder: Any, frames: np.ndarray, vocabulary: list[str]) -> str:
    path = np.array(decoder.decode(frames.ctypes.data, *frames.shape)[0].tokens[1 : len(frames) + 1])
    kept = path[np.flatnonzero(np.diff(path, prepend=-1))]
    return "".join(vocabulary[token] for token in kept if token > 0).strip()


if __name__ == "__main__":
    serve({"beam search": beam})
