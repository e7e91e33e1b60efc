"""A tiny Whisper model in the format of Hugging Face's Transformers, and the output of Transformers with it.

    python tests/models/transformers_whisper.py

writes `transformers_whisper.json`; it needs `transformers` and `torch`, which the tests do not.
"""

import json
from pathlib import Path

import numpy as np
from safetensors.numpy import save_file

EXPECTED = Path(__file__).with_suffix(".json")
D, FFN, LAYERS, MELS, FRAMES = 8, 12, 2, 80, 10
CONFIG = {
    "model_type": "whisper",
    "vocab_size": 8,
    "d_model": D,
    "encoder_layers": LAYERS,
    "encoder_attention_heads": 2,
    "encoder_ffn_dim": FFN,
    "decoder_layers": 1,
    "decoder_attention_heads": 2,
    "decoder_ffn_dim": FFN,
    "num_mel_bins": MELS,
    "max_source_positions": FRAMES,
    "max_target_positions": 4,
    "pad_token_id": 0,
    "bos_token_id": 1,
    "eos_token_id": 2,
    "decoder_start_token_id": 3,
}


def features() -> np.ndarray:
    """(1, 2 * FRAMES, MELS) float32."""
    return np.random.default_rng(1).normal(size=(1, 2 * FRAMES, MELS)).astype("float32")


def weights() -> dict[str, np.ndarray]:
    """The encoder's, by Transformers' names, with its shapes."""
    shapes = {"conv1.weight": (D, MELS, 3), "conv2.weight": (D, D, 3), "embed_positions.weight": (FRAMES, D)}
    shapes |= {"conv1.bias": (D,), "conv2.bias": (D,), "layer_norm.weight": (D,), "layer_norm.bias": (D,)}
    for layer in (f"layers.{i}." for i in range(LAYERS)):
        for name in ("q_proj", "k_proj", "v_proj", "out_proj"):
            shapes[f"{layer}self_attn.{name}.weight"] = (D, D)
            if name != "k_proj":
                shapes[f"{layer}self_attn.{name}.bias"] = (D,)
        for name in ("self_attn_layer_norm", "final_layer_norm"):
            shapes |= {f"{layer}{name}.weight": (D,), f"{layer}{name}.bias": (D,)}
        shapes |= {f"{layer}fc1.weight": (FFN, D), f"{layer}fc1.bias": (FFN,)}
        shapes |= {f"{layer}fc2.weight": (D, FFN), f"{layer}fc2.bias": (D,)}
    generator = np.random.default_rng(0)
    return {name: generator.normal(0, 0.3, shape).astype("float32") for name, shape in shapes.items()}


def write_model(folder: Path, prefix: str = "model.encoder.", num_files: int = 1, dtype: str = "float32") -> Path:
    """Writes a model as `save_pretrained` does, with its weights in one file or in several."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "config.json").write_text(json.dumps(CONFIG))
    arrays = {prefix + name: value.astype(dtype) for name, value in weights().items()}
    if num_files == 1:
        save_file(arrays, folder / "model.safetensors")
        return folder
    where = {name: f"model-{i % num_files}.safetensors" for i, name in enumerate(arrays)}
    for file in set(where.values()):
        save_file({name: arrays[name] for name in arrays if where[name] == file}, folder / file)
    (folder / "model.safetensors.index.json").write_text(json.dumps({"weight_map": where}))
    return folder


def _output_of_transformers() -> np.ndarray:
    import torch  # pyright: ignore[reportMissingImports]
    import transformers  # pyright: ignore[reportMissingImports]

    encoder = transformers.WhisperModel(transformers.WhisperConfig(**CONFIG)).encoder.eval()
    encoder.load_state_dict({name: torch.tensor(value) for name, value in weights().items()})
    with torch.no_grad():
        return encoder(torch.tensor(features().transpose(0, 2, 1))).last_hidden_state[0].numpy()


if __name__ == "__main__":
    EXPECTED.write_text(json.dumps([[round(float(x), 5) for x in row] for row in _output_of_transformers()]) + "\n")
