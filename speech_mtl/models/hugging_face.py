"""Models as Hugging Face's Transformers saves them: their weights by name, and Whisper's encoder in KerasHub."""

import hashlib
import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import keras
import numpy as np
from safetensors import safe_open

from speech_mtl.errors import InputError
from speech_mtl.files import file_digest

NAMES = {
    "encoder_token_embedding_conv_layer_1": "conv1",
    "encoder_token_embedding_conv_layer_2": "conv2",
    "encoder_position_embedding": "embed_positions",
    "encoder_layer_norm": "layer_norm",
    "self_attention_layer/query": "self_attn.q_proj",
    "self_attention_layer/key": "self_attn.k_proj",
    "self_attention_layer/value": "self_attn.v_proj",
    "self_attention_layer/attention_output": "self_attn.out_proj",
    "self_attention_layer_norm": "self_attn_layer_norm",
    "feedforward_intermediate_dense": "fc1",
    "feedforward_output_dense": "fc2",
    "feedforward_layer_norm": "final_layer_norm",
}
"""Names of layers: KerasHub's -> Transformers'."""

PREFIXES = ("model.encoder.", "encoder.")
"""Before the names of the encoder's weights: of a model that was made to transcribe, and of a bare one."""


def is_hugging_face(folder: Path) -> bool:
    """Whether Transformers wrote a folder, and not KerasHub."""
    return "model_type" in json.loads((folder / "config.json").read_text(encoding="utf-8"))


DOWNLOAD = "download the model into a folder, and give that"


def no_model(section: str, folder: Path, files: str, error: Exception, action: str = DOWNLOAD) -> InputError:
    """The error to raise where the folder of a section's `dir` holds no model of these files."""
    reason = error.args[0] if isinstance(error, KeyError) and error.args else error
    return InputError(
        f"{section}.dir: {folder} holds no model that can be loaded",
        expected=files,
        received=next(iter(str(reason).splitlines()), type(error).__name__),
        action=action,
    )


def model_digest(folder: Path) -> str:
    """Digest of the content of a model's settings and weights."""
    digest = hashlib.sha256()
    for path in sorted(path for ending in ("json", "safetensors", "h5") for path in folder.glob(f"*.{ending}")):
        digest.update(path.name.encode() + bytes.fromhex(file_digest(path)))
    return digest.hexdigest()


def load_whisper(folder: Path) -> Any:
    """A `WhisperBackbone` with the encoder of a folder that `save_pretrained` wrote; its decoder is random.

    Raises:
        OSError: A file is missing.
        KeyError: A setting or weight is missing.
        ValueError: The model is another one, a file is damaged, or a weight is of another shape.
    """
    import keras_hub

    config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    if config["model_type"] != "whisper":
        raise ValueError(f"config.json: a model of type {config['model_type']}")
    backbone = keras_hub.models.WhisperBackbone(
        vocabulary_size=1,
        num_layers=config["encoder_layers"],
        num_heads=config["encoder_attention_heads"],
        hidden_dim=config["d_model"],
        intermediate_dim=config["encoder_ffn_dim"],
        num_mels=config["num_mel_bins"],
        max_encoder_sequence_length=2 * config["max_source_positions"],
        max_decoder_sequence_length=1,
    )
    tensor = Tensors(folder, PREFIXES)
    for number, layer in enumerate(backbone.encoder_transformer_layers):
        for variable in layer.weights:
            _, name = variable.path.split("/", 1)
            _set(variable, f"layers.{number}.", name, tensor)
    for layer in (
        backbone.encoder_conv_layer_1,
        backbone.encoder_conv_layer_2,
        backbone.encoder_position_embedding,
        backbone.encoder_layer_norm,
    ):
        for variable in layer.weights:
            _set(variable, "", variable.path, tensor)
    return backbone


def _set(variable: keras.Variable, prefix: str, name: str, tensor: Callable[[str], np.ndarray]) -> None:
    """Sets one weight. Transformers has the dimensions of kernels the other way round, and heads in one dimension."""
    layer, kind = name.rsplit("/", 1)
    source = f"{prefix}{NAMES[layer]}.{'bias' if kind in ('bias', 'beta') else 'weight'}"
    value = tensor(source).astype(np.float32)
    if kind == "kernel":
        value = value.T
    if value.size != np.prod(variable.shape):
        raise ValueError(f"{source}: shape {value.shape}, but config.json gives {tuple(variable.shape)}")
    variable.assign(value.reshape(variable.shape))


class Tensors:
    """The weights of a folder, in one file or several: a function from a weight's name to its values.

    Args:
        folder: As `save_pretrained` wrote it.
        prefixes: What may stand before the names, which depends on the class that was saved.

    Raises:
        OSError: A file is missing.
    """

    def __init__(self, folder: Path, prefixes: Sequence[str]):
        index, self.prefixes = folder / "model.safetensors.index.json", prefixes
        names = ["model.safetensors"]
        if index.is_file():
            names = sorted(set(json.loads(index.read_text(encoding="utf-8"))["weight_map"].values()))
        self.where: dict[str, Path] = {}
        for path in (folder / name for name in names):
            with safe_open(path, framework="np") as file:
                self.where |= dict.fromkeys(file.keys(), path)

    def has(self, name: str) -> bool:
        """Whether there is such a weight."""
        return any(prefix + name in self.where for prefix in self.prefixes)

    def __call__(self, name: str) -> np.ndarray:
        """The values of a weight.

        Raises:
            KeyError: There is none.
        """
        key = next((prefix + name for prefix in self.prefixes if prefix + name in self.where), None)
        if key is None:
            raise KeyError(f"no weight {self.prefixes[0]}{name}")
        with safe_open(self.where[key], framework="np") as file:
            return file.get_tensor(key)
