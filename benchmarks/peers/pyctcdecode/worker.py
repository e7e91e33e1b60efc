"""Beam search with pyctcdecode."""

# pyright: reportMissingImports=false, reportAttributeAccessIssue=false

from typing import Any

import numpy as np
from pyctcdecode import build_ctcdecoder

from benchmarks.protocol import Prepared, serve


def beam(given: dict[str, Any]) -> Prepared:
    """Without a language model."""
    decoder = build_ctcdecoder(["", *given["vocabulary"][1:]])
    with np.load(given["posteriors"]) as file:
        utterances = [file[name] for name in file.files]

    def texts() -> list[str]:
        return [decoder.decode(one, beam_width=given["width"]) for one in utterances]

    def once() -> float:
        texts()
        return given["audio_s"]

    about = "as it comes, tokens below e^-5 and texts below e^-10 of the best are dropped"
    return Prepared(once, {"texts": texts(), "differs": about})


if __name__ == "__main__":
    serve({"beam search": beam})
