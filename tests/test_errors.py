import errno
import pickle
import shutil

from speech_mtl.errors import InputError, cell, require, unusable_file


def test_an_input_error_has_four_parts():
    error = InputError("a.jsonl:3: bad", expected="good", received=None, action="fix it")
    assert str(error) == "a.jsonl:3: bad\nExpected: good\nReceived: None\nWhat to do: fix it"


def test_an_input_error_comes_back_from_another_process():
    error = InputError("a.jsonl:3: bad", expected="good", received=None, action="fix it")
    again = pickle.loads(pickle.dumps(error))
    assert (type(again), str(again), again.problem) == (InputError, str(error), error.problem)


def test_a_missing_package_is_named_with_the_command_that_installs_it():
    error = require("jax", extra="gpu", purpose="Training on JAX")
    assert error.problem == "Training on JAX needs the package 'jax', which is not installed"
    assert error.action == "pip install 'speech-mtl[gpu]'"


def test_what_the_system_refuses_names_the_file_and_the_reason():
    error = unusable_file(OSError(errno.ENOSPC, "No space left on device", "runs/x"))
    assert error is not None
    assert (error.problem, error.received) == ("runs/x cannot be used", "No space left on device")
    assert "A file cannot be used" in str(unusable_file(OSError(errno.EIO, "Input/output error")))
    assert unusable_file(OSError(errno.EBADF, "Bad file descriptor")) is None, "a fault of ours"
    assert unusable_file(OSError("raised by a library")) is None
    copied = unusable_file(shutil.Error([("a", "runs/b", "No space left on device"), ("c", "d", "e")]))
    assert copied is not None
    assert (copied.problem, copied.received) == ("runs/b cannot be used", "No space left on device")


def test_what_would_change_the_terminal_is_escaped_and_what_is_too_long_is_cut():
    error = InputError("bad \x1b[31mname\x07", expected="a", received="x" * 100_000, action="one\nor\ttwo \u202e")
    assert error.problem == "bad \\x1b[31mname\\x07"
    assert error.action == "one\nor\ttwo \\u202e"
    assert len(error.received) < 3_000
    assert "98,000 letters" in error.received


def test_a_text_in_columns_has_no_tabs_and_line_feeds():
    assert cell("a\tb\nc\x1b[31m") == r"a\tb\nc\x1b[31m"
