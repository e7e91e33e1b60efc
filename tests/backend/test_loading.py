import os
import subprocess
import sys
from pathlib import Path

import pytest

import speech_mtl.backend as backend
from speech_mtl.backend import load_backend
from speech_mtl.errors import InputError


@pytest.fixture(autouse=True)
def _environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """What `load_backend` sets is taken back."""
    monkeypatch.setenv("KERAS_BACKEND", os.environ.get("KERAS_BACKEND", "tensorflow"))
    monkeypatch.setenv("TF_CPP_MIN_LOG_LEVEL", os.environ.get("TF_CPP_MIN_LOG_LEVEL", "3"))


def test_the_default_is_tensorflow(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.delenv("KERAS_BACKEND")
    monkeypatch.setattr(backend, "find_spec", lambda name: name)
    load_backend()
    assert os.environ["KERAS_BACKEND"] == "tensorflow"


@pytest.mark.parametrize(
    ("training", "given", "expected"),
    [(True, {}, ("1", "7")), (False, {}, (None, None)), (True, {"TF_NUM_INTEROP_THREADS": "3"}, (None, "3"))],
)
def test_training_has_a_thread_for_each_operation_unless_the_user_says_otherwise(
    training: bool, given: dict, expected: tuple, monkeypatch: pytest.MonkeyPatch
):
    names = ("TF_NUM_INTRAOP_THREADS", "TF_NUM_INTEROP_THREADS")
    for name in names:
        monkeypatch.delenv(name, raising=False)
    for name, value in given.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(backend, "num_processors", lambda: 7)
    load_backend(training=training)
    assert tuple(os.environ.get(name) for name in names) == expected


@pytest.mark.parametrize("name", ["tensorflow", "jax"])
def test_a_backend_that_is_not_installed_is_named_with_what_to_do(name: str, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("KERAS_BACKEND", name)
    monkeypatch.setattr(backend, "find_spec", lambda _name: None)
    with pytest.raises(InputError, match=f"needs the package '{name}', which is not installed") as caught:
        load_backend()
    assert caught.value.action == f"pip install 'speech-mtl[{name}]'"


def test_a_backend_without_a_training_step_is_refused(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("KERAS_BACKEND", "torch")
    with pytest.raises(InputError, match="KERAS_BACKEND names the backend 'torch'") as caught:
        load_backend()
    assert caught.value.expected == "one of tensorflow, jax"


def test_chatter_is_held_back_and_standard_error_works_afterwards(capfd: pytest.CaptureFixture):
    with backend.held_back():
        os.write(2, b"oneDNN custom operations are on\n")
    os.write(2, b"afterwards\n")
    assert capfd.readouterr().err == "afterwards\n"


def test_what_was_held_back_is_shown_if_the_import_fails(capfd: pytest.CaptureFixture):
    def failing() -> None:
        with backend.held_back():
            os.write(2, b"libcudart.so.12: cannot open shared object file\n")
            raise ImportError("no library")

    with pytest.raises(ImportError, match="no library"):
        failing()
    os.write(2, b"afterwards\n")
    assert capfd.readouterr().err == "libcudart.so.12: cannot open shared object file\nafterwards\n"


@pytest.mark.parametrize(
    "content",
    [
        '{"floatx": "float16", "epsilon": 0.5, "backend": "jax", "image_data_format": "channels_first"}',
        '{"epsilon": "small"}',
        '{"floatx": "float8"}',
        "[1]",
        "no JSON",
    ],
)
def test_a_keras_json_of_the_users_own_changes_nothing(content: str, tmp_path: Path):
    """Nor does what an import of Keras trips over, in that file or in a variable."""
    (tmp_path / "keras.json").write_text(content)
    program = (
        "from speech_mtl.backend import load_backend; load_backend(); import os, keras;"
        "print(keras.config.floatx(), keras.config.epsilon(), keras.config.image_data_format(), keras.config.backend(),"
        "os.environ['KERAS_HOME'])"
    )
    variables = {"KERAS_HOME": str(tmp_path), "KERAS_MAX_EPOCHS": "many", "KERAS_BACKEND": "tensorflow"}
    ended = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True, env=os.environ | variables
    )
    assert ended.stdout == f"float32 1e-07 channels_last tensorflow {tmp_path}\n"
    assert (tmp_path / "keras.json").read_text() == content


def test_nothing_is_imported_or_written_that_is_not_needed(tmp_path: Path):
    """What Keras imports where it finds it, and what only training or reports need; afterwards all can be imported."""
    program = (
        "from speech_mtl.backend import load_backend; load_backend(); import sys;"
        "import speech_mtl.run.transcribe; from speech_mtl.models.features import mel_filters;"
        "mel_filters(16_000, 80, 512);"
        "unneeded = {'matplotlib', 'sklearn', 'pandas', 'librosa', 'tensorboard', 'numba'};"
        "print(unneeded & set(sys.modules));"
        "import matplotlib.pyplot"
    )
    environment = {k: v for k, v in os.environ.items() if k != "KERAS_HOME"} | {"HOME": str(tmp_path)}
    ended = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True, env=environment)
    assert ended.stdout == "set()\n"
    assert not list(tmp_path.rglob("keras*"))
