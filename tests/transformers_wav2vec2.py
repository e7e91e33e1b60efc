"""Tiny models of the wav2vec 2.0 family in Transformers' format, and the frames that Transformers makes with them.

    python tests/transformers_wav2vec2.py

writes `transformers_wav2vec2.json`; it needs `transformers` and `torch`, which the tests do not.
"""

import json
from pathlib import Path
from typing import Any

import numpy as np
from safetensors.numpy import save_file

EXPECTED = Path(__file__).with_suffix(".json")
D, FFN, LAYERS, KERNEL, GROUPS = 8, 12, 2, 6, 2
CONFIG = {
    "model_type": "wav2vec2",
    "hidden_size": D,
    "num_hidden_layers": LAYERS,
    "num_attention_heads": 2,
    "intermediate_size": FFN,
    "hidden_act": "gelu",
    "layer_norm_eps": 1e-5,
    "feat_extract_norm": "layer",
    "feat_extract_activation": "gelu",
    "conv_dim": [6, 7, 5],
    "conv_kernel": [10, 3, 2],
    "conv_stride": [5, 2, 2],
    "conv_bias": True,
    "num_conv_pos_embeddings": KERNEL,
    "num_conv_pos_embedding_groups": GROUPS,
    "do_stable_layer_norm": True,
}
POST_NORM = {"feat_extract_norm": "group", "conv_bias": False, "do_stable_layer_norm": False}
MODELS: dict[str, dict[str, Any]] = {
    "xlsr": CONFIG,
    "base": {**CONFIG, **POST_NORM, "num_conv_pos_embeddings": 5},
    "hubert": {**CONFIG, **POST_NORM, "model_type": "hubert", "feat_proj_layer_norm": False},
}
"""The variants in which public models come: XLS-R and MMS, wav2vec 2.0 base, HuBERT base."""

PREPROCESSOR = {
    "feature_extractor_type": "Wav2Vec2FeatureExtractor",
    "do_normalize": True,
    "sampling_rate": 16_000,
    "feature_size": 1,
    "padding_value": 0.0,
    "return_attention_mask": True,
}


def waveform() -> np.ndarray:
    """(700,) float32, with a mean that is not zero."""
    return np.random.default_rng(1).normal(0.02, 0.1, 700).astype("float32")


def weights(config: dict[str, Any]) -> dict[str, np.ndarray]:
    """By Transformers' names, with its shapes."""
    shapes: dict[str, tuple[int, ...]] = {}
    dim, inner = config["hidden_size"], config["intermediate_size"]

    def add(name: str, *shape: int, bias: bool = True) -> None:
        shapes[f"{name}.weight"] = shape
        if bias:
            shapes[f"{name}.bias"] = shape[:1]

    width = 1
    for i, (channels, kernel) in enumerate(zip(config["conv_dim"], config["conv_kernel"], strict=True)):
        name = f"feature_extractor.conv_layers.{i}"
        add(f"{name}.conv", channels, width, kernel, bias=config["conv_bias"])
        if i == 0 or config["feat_extract_norm"] == "layer":
            add(f"{name}.layer_norm", channels)
        width = channels
    if config.get("feat_proj_layer_norm", True):
        add("feature_projection.layer_norm", width)
    add("feature_projection.projection", dim, width)
    positions, kernel = "encoder.pos_conv_embed.conv", config["num_conv_pos_embeddings"]
    shapes |= {f"{positions}.bias": (dim,), f"{positions}.parametrizations.weight.original0": (1, 1, kernel)}
    shapes[f"{positions}.parametrizations.weight.original1"] = (dim, dim // GROUPS, kernel)
    add("encoder.layer_norm", dim)
    for layer in (f"encoder.layers.{i}." for i in range(config["num_hidden_layers"])):
        for name in ("q_proj", "k_proj", "v_proj", "out_proj"):
            add(f"{layer}attention.{name}", dim, dim)
        add(f"{layer}layer_norm", dim)
        add(f"{layer}final_layer_norm", dim)
        add(f"{layer}feed_forward.intermediate_dense", inner, dim)
        add(f"{layer}feed_forward.output_dense", dim, inner)
    generator = np.random.default_rng(0)
    return {name: generator.normal(0, 0.4, shape).astype("float32") for name, shape in shapes.items()}


def write_model(
    folder: Path, name: str = "xlsr", prefix: str = "", renamed: dict[str, str] | None = None, **changes: Any
) -> Path:
    """Writes a model as `save_pretrained` does; `renamed` are parts of the names of its weights."""
    folder.mkdir(parents=True, exist_ok=True)
    config = {**MODELS[name], **changes}
    (folder / "config.json").write_text(json.dumps(config))
    (folder / "preprocessor_config.json").write_text(json.dumps(PREPROCESSOR))
    arrays = weights(config)
    for old, new in (renamed or {}).items():
        arrays = {key.replace(old, new): value for key, value in arrays.items()}
    save_file({prefix + key: value for key, value in arrays.items()}, folder / "model.safetensors")
    return folder


def _frames_of_transformers(name: str) -> list[np.ndarray]:
    import torch  # pyright: ignore[reportMissingImports]
    import transformers  # pyright: ignore[reportMissingImports]

    made = {"wav2vec2": transformers.Wav2Vec2Model, "hubert": transformers.HubertModel}[MODELS[name]["model_type"]]
    model = made(made.config_class(**MODELS[name])).eval()
    unused = "masked_spec_embed"  # of training
    state = {key: torch.tensor(value) for key, value in weights(MODELS[name]).items()}
    model.load_state_dict({**state, unused: model.state_dict()[unused]})
    extractor = transformers.Wav2Vec2FeatureExtractor(**PREPROCESSOR)
    inputs = extractor(waveform(), sampling_rate=16_000, return_tensors="pt").input_values
    with torch.no_grad():
        found = model(inputs, output_hidden_states=True)
    inner = found.hidden_states[1:-1]  # that of the last block lacks the normalisation at the end
    return [frames[0].numpy() for frames in (*inner, found.last_hidden_state)]


if __name__ == "__main__":
    made = {name: _frames_of_transformers(name) for name in MODELS}
    rounded = {name: [np.round(one.astype(float), 5).tolist() for one in frames] for name, frames in made.items()}
    EXPECTED.write_text(json.dumps(rounded) + "\n")
