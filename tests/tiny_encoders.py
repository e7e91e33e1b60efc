"""Settings of tiny encoders of every kind; of public ones there are models with random weights."""

import tempfile
from pathlib import Path
from typing import Any

import pytest
from transformers_wav2vec2 import write_model

SIZES = {
    # With branches that begin at zero, weights inside them would have no gradient at first.
    "conformer": {"num_heads": 2, "kernel_size": 5, "expansion": 2, "channels": 4, "zero_branches": False},
    "recurrent": {"channels": 4},
}
_FOLDER = tempfile.TemporaryDirectory(prefix="tiny-encoders-")


def encoder_settings(kind: str, num_layers: int = 1, dim: int = 16, num_mels: int = 80) -> dict[str, Any]:
    """A section `encoder` of a recipe; skips the test where a public encoder's library is missing."""
    if kind == "whisper":
        return {"kind": kind, "dir": str(whisper_folder(num_layers, dim, num_mels))}
    if kind == "wav2vec2":
        return {"kind": kind, "dir": str(wav2vec2_folder(num_layers, dim))}
    return {"kind": kind, "num_layers": num_layers, "dim": dim, **SIZES[kind]}


def feature_settings(kind: str) -> dict[str, Any]:
    """A section `features` that goes with an encoder."""
    return {"whisper": {"kind": "whisper"}, "wav2vec2": {"kind": "waveform"}}.get(kind, {})


def whisper_folder(num_layers: int = 1, dim: int = 16, num_mels: int = 80) -> Path:
    """A Whisper model that knows utterances up to 40 seconds."""
    keras_hub = pytest.importorskip("keras_hub")
    folder = Path(_FOLDER.name) / f"whisper-{num_layers}-{dim}-{num_mels}"
    if folder.is_dir():
        return folder
    backbone = keras_hub.models.WhisperBackbone(
        vocabulary_size=20,
        num_layers=num_layers,
        num_heads=2,
        hidden_dim=dim,
        intermediate_dim=2 * dim,
        num_mels=num_mels,
        max_encoder_sequence_length=4000,
        max_decoder_sequence_length=8,
    )
    backbone.save_to_preset(str(folder))
    return folder


def wav2vec2_folder(
    num_layers: int = 1, dim: int = 16, kernels: tuple[int, ...] = (50, 3, 2), strides: tuple[int, ...] = (40, 4, 2)
) -> Path:
    """A model of XLS-R's form; by default its frames are as far apart as those of public ones."""
    folder = Path(_FOLDER.name) / f"wav2vec2-{num_layers}-{dim}-{kernels}-{strides}"
    sizes: dict[str, Any] = {"num_hidden_layers": num_layers, "hidden_size": dim, "conv_dim": [6] * len(kernels)}
    convolutions: dict[str, Any] = {"conv_kernel": list(kernels), "conv_stride": list(strides)}
    return folder if folder.is_dir() else write_model(folder, "xlsr", **sizes, **convolutions)
