from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from conftest import original

from benchmarks.exported import read_litert
from speech_mtl.errors import InputError
from speech_mtl.export import litert
from speech_mtl.export.network import TOLERANCE


def test_whisper(make_network: Callable, noises: list, tmp_path: Path):
    network = make_network("whisper")
    expected = [original(network.model, noise, "bb") for noise in noises]
    litert.write(network, tmp_path, False)
    run = read_litert(tmp_path)
    for noise, log_probs in zip(noises, expected, strict=True):
        np.testing.assert_allclose(run(noise), log_probs, atol=TOLERANCE / 5)


def test_recurrent_encoders_are_refused(make_network: Callable, tmp_path: Path):
    network = make_network("recurrent", {"features.num_mels": 80})
    with pytest.raises(InputError, match="RecurrentEncoder cannot be converted to LiteRT") as caught:
        litert.write(network, tmp_path, False)
    assert "tf.TensorList" in caught.value.received
    assert caught.value.action == "export it with --format onnx"
    assert not list(tmp_path.glob("*.tflite"))


def test_features_are_not_in_8_bits(make_network: Callable, noises: list, tmp_path: Path):
    """With filters in 8 bits, energies multiplied in 8 bits lose all that is 48 dB below the loudest of a frame."""
    from ai_edge_litert.interpreter import Interpreter

    network = make_network(changes={"encoder.dim": 64})
    path = litert.write(network, tmp_path, True)
    details = Interpreter(str(path)).get_tensor_details()
    in_8_bits = {tuple(one["shape"].tolist()) for one in details if one["dtype"] == np.int8}
    bins, mels = network.features.filters.shape
    assert (3 * 64, 64) in in_8_bits
    assert not in_8_bits & {(bins, mels), (mels, bins)}
