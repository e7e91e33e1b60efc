"""LiteRT (once TensorFlow Lite), for phones and small computers."""

from pathlib import Path

import numpy as np
from keras import ops

from speech_mtl.backend import exporter
from speech_mtl.errors import InputError
from speech_mtl.export.network import LanguageNetwork, power_by_convolution

NAME = "model.tflite"


def write(network: LanguageNetwork, folder: Path, int8: bool) -> Path:
    """Writes `model.tflite`, which takes one waveform (1, S) float32 of any length and gives (1, E, V).

    Raises:
        InputError: The encoder has operations that LiteRT has not.
    """
    features = network.features
    knows_length = features.fft_size & (features.fft_size - 1) == 0  # its own transform is for powers of 2

    def outputs(waveforms):
        num_samples = ops.cast(ops.shape(waveforms)[1:], "int32")

        def kept(constant):
            """The same as no constant, which is not stored in 8 bits: energies would lose all that is quiet."""
            return ops.where(num_samples > 0, constant, np.float32(0))

        power = features.power(waveforms) if knows_length else power_by_convolution(features, waveforms, kept)
        return network.log_probabilities(power, kept(features.filters), num_samples)[0]

    try:
        content = exporter().litert_bytes(outputs, (("waveforms", (1, None), "float32"),), int8)
    except ValueError as error:
        raise InputError(
            f"The encoder {type(network.model.encoder).__name__} cannot be converted to LiteRT",
            expected="an encoder of operations that LiteRT has for waveforms of any length",
            received=next((line for line in str(error).splitlines() if "'tf." in line), str(error))[-300:],
            action="export it with --format onnx",
        ) from None
    (folder / NAME).write_bytes(content)
    return folder / NAME
