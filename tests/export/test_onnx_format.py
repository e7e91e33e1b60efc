"""ONNX: batches, every encoder, what sherpa-onnx does to samples, and the example beside the network."""

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
from conftest import original

from speech_mtl.errors import InputError
from speech_mtl.export import onnx_format
from speech_mtl.export.network import TOLERANCE, LanguageNetwork
from speech_mtl.settings.network import OneEncoderSettings

COLUMN = {"kind": "conformer", "num_layers": 1, "num_heads": 2, "kernel_size": 5, "channels": 4}
COLUMNS = [{"languages": [name], "encoder": {**COLUMN, "dim": dim}} for name, dim in (("aa", 12), ("bb", 16))]
PARTS = {
    "bottom": {"sharing": {"kind": "bottom", "num_own": 1}, "encoder.num_layers": 2},
    "adapters": {"adapters": {"kind": "bottleneck", "size": 3}},
}


def session_of(network: LanguageNetwork, folder: Path) -> Any:
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    return onnxruntime.InferenceSession(onnx_format.write(network, folder, False), options)


def run(session: Any, **inputs: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    return session.run(["log_probs", "num_frames"], inputs)


@pytest.mark.parametrize("kind", OneEncoderSettings.kinds())
def test_every_encoder_in_batches(kind: str, make_network: Callable, noises: list, tmp_path: Path):
    if kind == "wav2vec2":
        with pytest.raises(InputError, match="takes samples"):
            make_network(kind)
        return
    network = make_network(kind, {"features.num_mels": 80} if kind != "whisper" else {})
    check_batch(network, noises, tmp_path)


@pytest.mark.parametrize("part", PARTS)
def test_what_languages_have_for_themselves(part: str, make_network: Callable, noises: list, tmp_path: Path):
    check_batch(make_network(changes=PARTS[part]), noises, tmp_path)


@pytest.mark.parametrize("language", ["aa", "bb"])
def test_columns(language: str, make_network: Callable, noises: list, tmp_path: Path):
    changes = {
        "languages": {"aa": {"train": False}, "bb": {}},
        "target": None,
        "encoder": {"kind": "progressive", "columns": COLUMNS, "lateral_size": 3},
        "init_from": "runs/before",
    }
    check_batch(make_network(changes=changes, language=language), noises, tmp_path, language)


def check_batch(network: LanguageNetwork, noises: list, folder: Path, language: str = "bb") -> None:
    expected = [original(network.model, noise, language) for noise in noises]
    padded = np.zeros((len(noises), max(map(len, noises))), "float32")
    for row, noise in zip(padded, noises, strict=True):
        row[: len(noise)] = noise
    sizes = np.array([len(noise) for noise in noises])
    found, num_frames = run(session_of(network, folder), waveforms=padded, num_samples=sizes)
    assert num_frames.tolist() == [len(log_probs) for log_probs in expected]
    for row, log_probs in zip(found, expected, strict=True):
        np.testing.assert_allclose(row[: len(log_probs)], log_probs, atol=TOLERANCE / 5)


def test_what_sherpa_does_to_samples_is_undone(make_network: Callable, noises: list, tmp_path: Path):
    network = make_network(changes={"features.normalize": "none"})  # so that the level matters
    centred = noises[1] - noises[1].mean()  # it takes out the mean, too; that is not undone
    expected = {level: original(network.model, centred * level, "bb") for level in (0.1, 1.0, 5.0)}
    assert np.abs(expected[0.1] - expected[1.0]).max() > 0.2
    session = session_of(network, tmp_path)
    for level, log_probs in expected.items():
        samples = (noises[1] + np.float32(0.01)) * level
        normalized = ((samples - samples.mean()) / np.sqrt(samples.var() + 1e-5)).astype("float32")
        found, num_frames = run(session, waveforms=normalized[None])
        assert num_frames.tolist() == [2 * len(log_probs)]  # frames of 40 ms, where it counts in 20 ms
        # The louder, the less of the level is left in 32 bits: here of speech as loud as a sine of full scale.
        np.testing.assert_allclose(found[0, ::2], log_probs, atol=0.05 if level == 5.0 else TOLERANCE / 5)
        np.testing.assert_array_equal(found[0, ::2], found[0, 1::2])


def test_features_are_not_in_8_bits(make_network: Callable, tmp_path: Path):
    import onnx

    network = make_network(changes={"encoder.dim": 64})
    graph = onnx.load(onnx_format.write(network, tmp_path, True)).graph
    stored = {tuple(one.dims): one.data_type for one in graph.initializer}
    assert stored[network.features.filters.shape] == onnx.TensorProto.FLOAT
    assert stored[64, 3 * 64] == onnx.TensorProto.INT8


@pytest.fixture
def exported(trained: Any, tmp_path: Path) -> Path:
    """An exported language of a run that has learnt something."""
    from speech_mtl.run.export import export

    return export(trained, tmp_path / "exported", "bb").parent


def recognised(trained: Any, waveform: np.ndarray) -> str:
    from speech_mtl.run.checkpoint import load_recognizer

    return load_recognizer(trained).transcribe([waveform], "bb")[0].text


def test_example_of_onnxruntime_and_numpy(trained: Any, exported: Path, speak: Callable, tmp_path: Path):
    soundfile.write(path := tmp_path / "recording.wav", speak("abcd", shift=1), 16_000, "FLOAT")
    command = [sys.executable, "-W", "error", exported / "transcribe.py", path]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert done.stderr == ""
    assert done.stdout == f"{path}\t{recognised(trained, speak('abcd', shift=1))}\n"
    assert done.stdout.endswith("\tabcd\n")
    soundfile.write(path, speak("abcd", 8000), 8000)
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (1, "")
    assert "8000 samples a second" in done.stderr


def test_sherpa_onnx_reads_the_folder(trained: Any, exported: Path, speak: Callable):
    sherpa = pytest.importorskip("sherpa_onnx")
    recognizer = sherpa.OfflineRecognizer.from_omnilingual_asr_ctc(
        model=str(exported / "model.onnx"), tokens=str(exported / "tokens.txt")
    )
    waveform = speak("dacb", shift=1)
    stream = recognizer.create_stream()
    stream.accept_waveform(16_000, waveform)
    recognizer.decode_stream(stream)
    assert stream.result.text == recognised(trained, waveform) == "dacb"
    # Each letter takes 0.16 s, and there are 0.06 s before and between them.
    starts = 0.06 + 0.22 * np.arange(4)
    assert np.all((stream.result.timestamps >= starts - 0.06) & (stream.result.timestamps <= starts + 0.22))
