"""How long a newcomer waits for the first training step, and where `keras.Model.fit` spends that time.

Each function runs in a new process.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from benchmarks import speech_like
from benchmarks.contestants import LEARNING_RATE, MAKERS, Case, import_tensorflow
from benchmarks.speech_like import Shape
from benchmarks.stopwatch import Stopwatch
from speech_mtl.datatypes import Batch

SHAPES = (Shape(12, 5.0, 50), Shape(48, 1.25, 10), Shape(20, 3.0, 30))
"""The first step's shape, and two that come after it: TensorFlow retraces for the second, and generalises with it."""


@dataclass(frozen=True)
class FitVariant:
    """A way of training our network with Keras's own `train_on_batch`, which compiles as `fit` does."""

    jit_compile: str | bool
    sparse_ctc: bool

    def __str__(self) -> str:
        loss = "TensorFlow's sparse CTC" if self.sparse_ctc else "keras.ops.ctc_loss"
        return f"keras fit, jit_compile={self.jit_compile!r}, {loss}, keras AdamW"


FIT_VARIANTS = (FitVariant("auto", False), FitVariant(False, False), FitVariant(False, True))
"""From `fit` as it comes towards ours, a change at a time; the last is the optimiser and the signature."""


def of_contestant(name: str, case: Case, num_threads: int) -> dict:
    """Seconds of import, build, and the first step with each shape."""
    made = MAKERS[name](case, num_threads)
    return {"import": made.importing, "build": made.building} | _steps(
        case, lambda batch: made.step(batch, LEARNING_RATE)
    )


def of_fit(variant: FitVariant, case: Case, num_threads: int) -> dict:
    """The same for Keras's own training loop."""
    stopwatch = Stopwatch()
    import_tensorflow(num_threads)
    from benchmarks.keras_fit import make_fit_step

    importing = stopwatch.lap()
    step = make_fit_step(case, variant.jit_compile, variant.sparse_ctc)
    return {"import": importing, "build": stopwatch.lap()} | _steps(case, step)


def _steps(case: Case, step: Callable[[Batch], Any]) -> dict:
    seconds = {}
    for name, shape in zip(("first_step", "second_shape", "third_shape"), SHAPES, strict=True):
        batch = speech_like.batches(shape, case.num_languages, number=1)[0]
        stopwatch = Stopwatch()
        step(batch)
        seconds[name] = stopwatch.lap()
    return seconds


def of_parts(case: Case, num_threads: int) -> dict:
    """Graph nodes, seconds of tracing and of the first run, of each part of the step by itself."""
    import_tensorflow(num_threads)
    from benchmarks.graph_parts import measured_parts

    return measured_parts(case, speech_like.batches(SHAPES[0], case.num_languages, number=1)[0])


def as_json(seconds: dict) -> dict:
    """Rounded, by name."""
    return {
        name: {kind: round(value, 2) for kind, value in measured._asdict().items()}
        for name, measured in seconds.items()
    }
