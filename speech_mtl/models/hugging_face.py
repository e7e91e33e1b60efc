"""A Whisper model as Hugging Face's Transformers saves it -> the same encoder in KerasHub."""

import json
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import keras
import numpy as np
from safetensors import safe_open

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
    with _tensors(folder) as tensor:
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


@contextmanager
def _tensors(folder: Path) -> Iterator[Callable[[str], np.ndarray]]:
    """Opens the files of weights, one or several, and gives a function from a weight's name to its values."""
    index = folder / "model.safetensors.index.json"
    names = ["model.safetensors"]
    if index.is_file():
        names = sorted(set(json.loads(index.read_text(encoding="utf-8"))["weight_map"].values()))
    with ExitStack() as stack:
        files = [stack.enter_context(safe_open(folder / name, framework="np")) for name in names]
        where = {key: file for file in files for key in file.keys()}  # noqa: SIM118

        def tensor(name: str) -> np.ndarray:
            key = next((prefix + name for prefix in PREFIXES if prefix + name in where), None)
            if key is None:
                raise KeyError(f"no weight {PREFIXES[0]}{name}")
            return where[key].get_tensor(key)

        yield tensor
