"""The seam to the backend of Keras: loading it, and all that needs gradients, a compiler or a kernel of its own.

Each backend is a module here with the same functions. Nothing else in the package asks which one is at hand.
"""

import os
import sys
import tempfile
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import contextmanager
from functools import cache
from importlib import import_module
from importlib.util import find_spec
from types import ModuleType
from typing import Any

from speech_mtl.backend.processes import join, own_place
from speech_mtl.backend.step import (
    UNLIMITED,
    Combine,
    Forward,
    Limits,
    Loss,
    Network,
    Optimizer,
    Products,
    TrainStep,
    Variable,
    as_numpy,
)
from speech_mtl.datatypes import Array, Outputs
from speech_mtl.errors import InputError, require

BACKENDS = ("tensorflow", "jax")
"""Modules here, and names of packages and extras; the first is the default."""

UNUSED = ("matplotlib", "pandas", "sklearn")
"""Packages that Keras imports where they are installed, for parts that are not used here. That takes seconds."""


def thread_variables(num_threads: int) -> dict[str, str]:
    """Environment variables with which TensorFlow trains on so many processors, to be set before it is imported.

    Each operation has one thread, and parts of a batch are computed side by side: most operations of a network that
    small batches train are too small to be shared by several.
    """
    return {"TF_NUM_INTRAOP_THREADS": "1", "TF_NUM_INTEROP_THREADS": str(num_threads)}


def num_processors() -> int:
    """Of those that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def load_backend(*, training: bool = False) -> None:
    """Imports Keras, with TensorFlow as its backend unless KERAS_BACKEND names another. Takes seconds.

    One of several processes meets the others first; see `processes`.

    Of the user's own settings of Keras that is the only one that counts: with a keras.json that asks for float16 or for
    channels first, networks would be others than those that a recipe describes.

    For `training`, TensorFlow gets its threads by `thread_variables`, unless the user has set one of them.

    TensorFlow writes messages about its build past Python's standard error and past TF_CPP_MIN_LOG_LEVEL (a known fault
    of its own, tensorflow#100442); they are held back here, and shown if the import fails.

    Raises:
        InputError: The backend is not one that training runs on, or is not installed.
    """
    backend = os.environ.setdefault("KERAS_BACKEND", BACKENDS[0])
    if backend not in BACKENDS:
        raise InputError(
            f"The environment variable KERAS_BACKEND names the backend {backend!r}",
            expected="one of " + ", ".join(BACKENDS),
            received=backend,
            action="unset it, or set it to one of these",
        )
    if find_spec(backend) is None:
        raise require(backend, extra=backend, purpose=f"The Keras backend {backend}")
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    threads = thread_variables(num_processors())
    if training and not threads.keys() & os.environ.keys():
        os.environ |= threads
    with held_back(), _plain_keras():
        if (place := own_place()) is not None:
            join(place)
        import keras

        keras.config.disable_traceback_filtering()


def compile_step(
    model: Network,
    optimizer: Optimizer,
    objective: Loss,
    watched: Sequence[Variable] = (),
    limits: Limits = UNLIMITED,
) -> TrainStep:
    """Compiles a step: the objective, its gradient, and the update of weights and optimiser, in place.

    Args:
        watched: Weights for which each task's gradient is measured.
        limits: Of its memory.
    """
    return _backend().compile_step(model, optimizer, objective, watched, limits)


def compile_surgery_step(
    model: Network, optimizer: Optimizer, objective: Loss, combine: Combine, limits: Limits = UNLIMITED
) -> TrainStep:
    """Compiles a step that takes the tasks' gradients one by one, and combines them by what `combine` makes of them.

    Only in the shared weights; heads follow the weighted sum. The gradients of all tasks are held at once, T times the
    network and whatever the batch. Under TensorFlow each language goes through the network by itself, which costs about
    as much as all of them together; each other task costs a pass backwards. Under JAX, whose shapes are fixed, each
    language costs such a pass, too. It takes every batch whole.
    """
    return _backend().compile_surgery_step(model, optimizer, objective, combine, limits)


def compile_products(model: Network, objective: Loss, limits: Limits = UNLIMITED) -> Products:
    """Compiles the inner products of the tasks' weighted gradients in the shared weights, of whole batches."""
    return _backend().compile_products(model, objective, limits)


def compile_forward(
    model: Network, languages: Collection[str] | None = None, targets: Collection[str] | None = None
) -> Forward:
    """Compiles the network without training.

    `languages` are those that batches may have, `targets` those that are asked for; None for all.
    """
    return _backend().compile_forward(model, languages, targets)


def compile_stream(
    model: Network, languages: Collection[str], targets: Collection[str]
) -> Callable[..., tuple[Outputs, Sequence[Array]]]:
    """Compiles the network for stretches of a stream: (waveforms, num_samples, language_ids, arrays).

    It gives `Outputs` of numpy's arrays, and those of the backend that the next stretch needs; see `models.past`. The
    first stretch gets None. All are of one size, `model.stretch()`; at the end, `num_samples` of it are true.
    """
    compiled = _backend().compile_stream(model, languages, targets)

    def forward(waveforms: Array, num_samples: Array, language_ids: Array, arrays: Sequence[Array] | None):
        outputs, kept = compiled(waveforms, num_samples, language_ids, arrays)
        return as_numpy(*outputs), kept

    return forward


def own_rows(num_rows: int, size: int, limits: Limits) -> range:
    """The rows of a batch that this process reads, of those that train together; all of them if it trains alone.

    Args:
        num_rows: Of the batch.
        size: Numbers that the network gets for its longest utterance.
        limits: As for `compile_step`.
    """
    return _backend().own_rows(num_rows, size, limits)


def recomputed(function: Callable[..., Any], random: Any) -> Callable[..., Any]:
    """The same function of arrays, of which a step keeps the inputs and computes the rest again for the gradient.

    Reference: Chen et al. 2016, "Training deep nets with sublinear memory cost", section 3.

    Args:
        function: Part of a network that is trained.
        random: The `keras.random.SeedGenerator` that it draws from.

    Raises:
        NotImplementedError: The backend is TensorFlow.
    """
    return _backend().recomputed(function, random)


def ctc_loss(logits, num_frames, tokens, num_tokens):
    """Connectionist temporal classification: negative log-likelihood of each utterance's tokens, in nats: (B,).

    Frames and tokens beyond the true lengths change nothing. The caller filters out utterances with fewer frames than
    `Target.num_frames_needed` (their loss has no meaning); a row without tokens gives 0.

    Args:
        logits: (B, E, V).
        num_frames: (B,) true encoder frames.
        tokens: (B, U), blank is token 0.
        num_tokens: (B,) true tokens.

    Reference: Graves et al. 2006, "Connectionist temporal classification", section 4.
    """
    return _backend().ctc_loss(logits, num_frames, tokens, num_tokens)


def stft(waveforms, window: int, hop: int, fft_size: int):
    """Short-time Fourier transform of (B, S) waveforms: real and imaginary parts, (B, T, bins) each.

    With a Hann window, of frames that lie wholly inside the waveforms; `window` and `hop` in samples.
    """
    return _backend().stft(waveforms, window, hop, fft_size)


def exporter() -> ModuleType:
    """The module that writes networks in the formats of other programs; see `tensorflow_export`.

    Raises:
        InputError: The backend at hand cannot. Weights are the same under every backend, so another one can.
    """
    import keras

    if (name := keras.backend.backend()) != "tensorflow":
        raise InputError(
            f"The Keras backend {name} writes no other formats",
            expected="the backend tensorflow, whatever the run was trained with",
            received=f"KERAS_BACKEND={name}",
            action="unset KERAS_BACKEND; if need be, pip install 'speech-mtl[tensorflow]'",
        )
    return import_module("speech_mtl.backend.tensorflow_export")


def uses_xla() -> bool:
    """Whether XLA compiles: anew for each shape of its inputs, and with convolutions of its own."""
    return _backend().USES_XLA


def _backend() -> ModuleType:
    """The module here that has the functions above.

    Raises:
        NotImplementedError: The Keras backend is neither TensorFlow nor JAX.
    """
    import keras

    name = keras.backend.backend()
    if name not in BACKENDS:
        raise NotImplementedError(f"Training runs on the backends {' and '.join(BACKENDS)}. Received: {name}")
    return _module(name)


@cache
def _module(name: str) -> ModuleType:
    """Cached: TensorFlow traces calls of the functions here, and cannot trace an import."""
    return import_module(f"speech_mtl.backend.{name}_backend")


@contextmanager
def _plain_keras() -> Iterator[None]:
    """Keeps an import of Keras in the block from the user's keras.json and variables, and from packages not needed."""
    theirs = {
        name: value for name, value in os.environ.items() if name.startswith("KERAS_") and name != "KERAS_BACKEND"
    }
    hidden = [name for name in UNUSED if name not in sys.modules]
    for name in theirs:
        del os.environ[name]
    os.environ["KERAS_HOME"] = os.devnull  # no folder: nothing is read from there, and nothing written
    sys.modules |= dict.fromkeys(hidden)  # pyright: ignore[reportAttributeAccessIssue, reportCallIssue, reportArgumentType]
    try:
        yield
    finally:
        del os.environ["KERAS_HOME"]
        os.environ |= theirs
        for name in hidden:
            del sys.modules[name]


@contextmanager
def held_back() -> Iterator[None]:
    """Sends standard output and error to a file while the block runs, and shows that file if the block raises."""
    sys.stdout.flush()
    sys.stderr.flush()
    former = {number: os.dup(number) for number in (1, 2)}
    with tempfile.TemporaryFile() as held:
        for number in former:
            os.dup2(held.fileno(), number)
        try:
            yield
        except BaseException:
            held.seek(0)
            os.write(former[2], held.read())
            raise
        finally:
            for number, descriptor in former.items():
                os.dup2(descriptor, number)
                os.close(descriptor)
