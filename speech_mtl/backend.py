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

UNUSED = ("matplotlib", "pandas", "sklearn")
"""Packages that Keras imports where they are installed, for parts that are not used here. That takes seconds."""


def load_backend() -> None:
    """Imports Keras, with TensorFlow as its backend unless KERAS_BACKEND says otherwise. Takes seconds.

    Of the user's own settings of Keras that is the only one that counts: with a keras.json that asks for float16 or for
    channels first, networks would be others than those that a recipe describes.

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
    with _held_back(), _plain_keras():
        import keras

        keras.config.disable_traceback_filtering()


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
