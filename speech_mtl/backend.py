"""Imports Keras and its backend without their chatter."""

import os
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec

from speech_mtl.errors import InputError, require

BACKENDS = ("tensorflow", "jax")
"""Those that `training.gradients` has a step for, and names of packages and extras; the first is the default."""


def load_backend() -> None:
    """Imports Keras, with TensorFlow as its backend unless KERAS_BACKEND says otherwise. Takes seconds.

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
    with _held_back():
        import keras

        keras.config.disable_traceback_filtering()


@contextmanager
def _held_back() -> Iterator[None]:
    """Sends file descriptor 2 to a file while the block runs, and shows that file if the block raises."""
    sys.stderr.flush()
    terminal = os.dup(2)
    with tempfile.TemporaryFile() as held:
        os.dup2(held.fileno(), 2)
        try:
            yield
        except BaseException:
            held.seek(0)
            os.write(terminal, held.read())
            raise
        finally:
            os.dup2(terminal, 2)
            os.close(terminal)
