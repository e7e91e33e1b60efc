"""TensorFlow's SavedModel, for TensorFlow itself, its server, and its converters."""

from pathlib import Path

from speech_mtl.backend import exporter
from speech_mtl.errors import InputError
from speech_mtl.export.network import LanguageNetwork

NAME = "saved_model"
INPUTS = (("waveforms", (None, None), "float32"), ("num_samples", (None,), "int32"))


def write(network: LanguageNetwork, folder: Path, int8: bool) -> Path:
    """Writes the folder `saved_model`: `waveforms` (B, S), `num_samples` (B,) -> `log_probs`, `num_frames`.

    Raises:
        InputError: Weights of 8 bits are asked for.
    """
    if int8:
        raise InputError(
            "A SavedModel has no weights of 8 bits",
            expected="--int8 with --format onnx or litert",
            received="--format savedmodel --int8",
            action="leave --int8 out, or choose another format",
        )

    def outputs(waveforms, num_samples):
        features = network.features
        log_probs, num_frames = network.log_probabilities(features.power(waveforms), features.filters, num_samples)
        return {"log_probs": log_probs, "num_frames": num_frames}

    exporter().save_model(outputs, INPUTS, folder / NAME)
    return folder / NAME
