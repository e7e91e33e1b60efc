"""Errors of the runtime while one process computes a step."""

import pytest

from speech_mtl.errors import InputError

pytest.importorskip("jax", reason="needs the extra `jax`")

from speech_mtl.backend.jax_processes import together


def test_too_little_memory_names_what_takes_less():
    with pytest.raises(InputError, match="too little memory") as caught, together():
        raise RuntimeError("RESOURCE_EXHAUSTED: Out of memory while trying to allocate 7 bytes.\nmore")
    assert caught.value.received.endswith("allocate 7 bytes.")
    assert "training.part_s" in caught.value.action


def test_other_errors_of_the_runtime_are_no_lost_process():
    with pytest.raises(ValueError, match="donate"), together():
        raise ValueError("INVALID_ARGUMENT: Attempt to donate the same buffer twice")
