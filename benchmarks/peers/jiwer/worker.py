"""Scoring with jiwer itself."""

from pathlib import Path
from typing import Any

import jiwer

from benchmarks.protocol import Prepared, serve


def scoring(given: dict[str, Any]) -> Prepared:
    """`process_words` of all sentences at once."""
    references, hypotheses = (
        Path(given[name]).read_text("utf-8").splitlines() for name in ("references", "hypotheses")
    )

    def once() -> float:
        jiwer.process_words(references, hypotheses)
        return given["words"]

    return Prepared(once, {"wer": jiwer.process_words(references, hypotheses).wer})


if __name__ == "__main__":
    serve({"scoring": scoring})
