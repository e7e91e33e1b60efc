"""Beam search with pyctcdecode."""

# pyright: reportMissingImports=false, reportAttributeAccessIssue=false

from typing import Any

import numpy as np
from pyctcdecode import build_ctcdecoder

from benchmarks.protocol import Prepared, serve


def beam(given: dict[str, Any]) -> Prepared:
    """Without a language model; what else it prunes is as it comes."""
    decoder = build_ctcdecoder(["", *given["vocabulary"][1:]])
    with np.load(given["posteriors"]) as file:
        utterances = [file[name] for name in file.files]

    def texts() -> list[str]:
        return [decoder.decode(one, beam_width=given["width"]) for one in utterances]

    def once() -> float:
        texts()
        return given["audio_s"]

    return Prepared(once, {"texts": texts()})


if __name__ == "__main__":
    serve({"beam search": beam})
