"""Fixtures of the tests of experiments."""

from collections.abc import Iterator

import keras
import pytest


@pytest.fixture
def untraced() -> Iterator[None]:
    """Runs compiled functions as plain Python: a run of a few updates spends most of its time in tracing."""
    if keras.backend.backend() != "tensorflow":
        yield
        return
    import tensorflow as tf

    tf.config.run_functions_eagerly(True)
    yield
    tf.config.run_functions_eagerly(False)
