"""The convolutions of the wav2vec 2.0 family, over samples and over encoder frames, with the weights of a folder."""

from pathlib import Path
from typing import Any, Literal, NotRequired

import keras
import numpy as np
from keras import ops
from typing_extensions import TypedDict

from speech_mtl.files import read_json
from speech_mtl.models.features import standardized
from speech_mtl.models.hugging_face import Tensors
from speech_mtl.models.layers import LayerNorm

PREFIXES = ("wav2vec2.", "hubert.", "")
"""Before the names of weights: of a model with a head, of wav2vec 2.0 or HuBERT, and of a bare one."""

EPSILON = 1e-5
"""What normalisations add to variances; public models have no other."""

CONVERT = (
    "give the folder of a pretrained model; AutoModel.from_pretrained(NAME).save_pretrained(FOLDER) of Transformers "
    "makes model.safetensors of older files"
)


class Config(TypedDict):
    """What is read of config.json: names and meaning are those of Transformers' `Wav2Vec2Config`."""

    model_type: Literal["wav2vec2", "hubert"]
    hidden_size: int
    num_hidden_layers: int
    num_attention_heads: int
    intermediate_size: int
    hidden_act: Literal["gelu"]
    layer_norm_eps: float
    feat_extract_norm: Literal["group", "layer"]
    feat_extract_activation: Literal["gelu"]
    feat_proj_layer_norm: NotRequired[bool]
    conv_dim: list[int]
    conv_stride: list[int]
    conv_kernel: list[int]
    conv_bias: bool
    num_conv_pos_embeddings: int
    num_conv_pos_embedding_groups: int
    conv_pos_batch_norm: NotRequired[Literal[False]]
    do_stable_layer_norm: bool
    adapter_attn_dim: NotRequired[None]


class Source:
    """A model on disk: its settings and its weights.

    Raises:
        InputError: Its settings are those of another model.
        OSError, ValueError: A file is missing or damaged, or its settings do not fit together.
    """

    def __init__(self, folder: Path):
        config = self.config = read_json(folder / "config.json", Config, CONVERT)
        if not len(config["conv_dim"]) == len(config["conv_kernel"]) == len(config["conv_stride"]) > 0:
            raise ValueError("config.json: conv_dim, conv_kernel and conv_stride are not of one length")
        if config["hidden_size"] % config["num_attention_heads"]:
            raise ValueError("config.json: hidden_size is no multiple of num_attention_heads")
        if config["layer_norm_eps"] != EPSILON:
            raise ValueError(f"config.json: layer_norm_eps is not {EPSILON}")
        self.tensor = Tensors(folder, PREFIXES)

    def load(self, layer: Any, name: str) -> None:
        """Sets the weights of a layer. Transformers has the dimensions of kernels the other way round."""
        for variable in layer.weights:
            is_bias = variable.name == "bias"
            self.assign(variable, self.tensor(f"{name}.{'bias' if is_bias else 'weight'}").T, name)

    @staticmethod
    def assign(variable: Any, value: np.ndarray, name: str) -> None:
        """Sets a weight.

        Raises:
            ValueError: It is of another shape.
        """
        if value.shape != tuple(variable.shape):
            raise ValueError(f"{name}: shape {value.shape}, but config.json gives {tuple(variable.shape)}")
        variable.assign(value.astype(np.float32))


class ChannelNorm(keras.layers.Layer):
    """Zero mean and unit variance of each channel over the true frames, then scale and bias.

    Group normalisation with a group for each channel (Wu and He 2018, "Group normalization", section 3), as in wav2vec
    2.0. We differ from Transformers in leaving out the padding of a batch: its frames are those of the utterance alone.
    In float32, whatever the frames come in.
    """

    def build(self, shape):
        self.scale = self.add_weight(shape=(shape[-1],), initializer="ones", autocast=False, name="gain")
        self.bias = self.add_weight(shape=(shape[-1],), initializer="zeros", autocast=False, name="bias")

    def call(self, frames, num_frames):
        normal = standardized(ops.cast(frames, "float32"), num_frames, EPSILON) * self.scale + self.bias
        return ops.cast(normal, self.compute_dtype)


class WaveformConvolutions(keras.layers.Layer):
    """Convolutions over the waveform and a projection: (B, S, 1) -> (B, E, D), E about S / 320 in public models.

    Reference: Baevski et al. 2020, "wav2vec 2.0", section 2, "Feature encoder".
    """

    def __init__(self, source: Source, name: str):
        super().__init__(name=name)
        config = self.config = source.config
        self.source = source
        sizes = zip(config["conv_dim"], config["conv_kernel"], config["conv_stride"], strict=True)
        self.convolutions = [
            keras.layers.Conv1D(dim, kernel, stride, use_bias=config["conv_bias"], name=f"convolution_{i}")
            for i, (dim, kernel, stride) in enumerate(sizes)
        ]
        self.group_norm = ChannelNorm(name="group_norm") if config["feat_extract_norm"] == "group" else None
        numbered = range(0 if self.group_norm else len(self.convolutions))
        self.norms = [LayerNorm(name=f"norm_{i}") for i in numbered]
        self.norm = LayerNorm(name="norm") if config.get("feat_proj_layer_norm", True) else None
        self.project = self.last_layer = keras.layers.Dense(config["hidden_size"], name="project")

    def num_frames(self, num_frames):
        """Encoder frames made of so many samples (an int or an array)."""
        for kernel, stride in zip(self.config["conv_kernel"], self.config["conv_stride"], strict=True):
            num_frames = (num_frames - kernel) // stride + 1
        return num_frames

    @property
    def centres(self) -> tuple[float, int]:
        """Sample at which frame 0 has its middle, and how many samples on each next one has."""
        covered, step = 1, 1
        for kernel, stride in zip(self.config["conv_kernel"], self.config["conv_stride"], strict=True):
            covered, step = covered + (kernel - 1) * step, step * stride
        return (covered - 1) / 2, step

    def build(self, shape):
        width = shape[-1]
        for i, convolution in enumerate(self.convolutions):
            convolution.build((None, None, width))
            width, name = convolution.filters, f"feature_extractor.conv_layers.{i}"
            self.source.load(convolution, f"{name}.conv")
            norm = self.norms[i] if self.norms else self.group_norm if i == 0 else None
            if norm is not None:
                norm.build((None, None, width))
                self.source.load(norm, f"{name}.layer_norm")
        if self.norm is not None:
            self.norm.build((None, None, width))
            self.source.load(self.norm, "feature_projection.layer_norm")
        self.project.build((None, None, width))
        self.source.load(self.project, "feature_projection.projection")

    def call(self, waveforms, num_samples):
        hidden = waveforms
        for i, convolution in enumerate(self.convolutions):
            hidden = convolution(hidden)
            if self.norms:
                hidden = self.norms[i](hidden)
            elif i == 0 and self.group_norm is not None:
                num_frames = (num_samples - self.config["conv_kernel"][0]) // self.config["conv_stride"][0] + 1
                hidden = self.group_norm(hidden, num_frames)
            hidden = keras.activations.gelu(hidden, approximate=False)
        return self.project(hidden if self.norm is None else self.norm(hidden))


class PositionalConvolution(keras.layers.Layer):
    """What tells positions apart: a wide convolution over encoder frames in groups of channels, and GELU.

    The weight normalisation of the trained model (Salimans and Kingma 2016) is multiplied out when it is loaded;
    further training is that of the product.

    Reference: Baevski et al. 2020, section 2, "Contextualized representations with Transformers".
    """

    def __init__(self, source: Source, name: str):
        super().__init__(name=name)
        config, self.source = source.config, source
        self.dim, self.width = config["hidden_size"], config["num_conv_pos_embeddings"]
        self.num_groups = config["num_conv_pos_embedding_groups"]

    def build(self, _shape):
        shape = (self.width, self.dim // self.num_groups, self.dim)
        self.kernel = self.add_weight(shape=shape, name="kernel")
        self.bias = self.add_weight(shape=(self.dim,), name="bias")
        self.source.assign(self.kernel, self._multiplied().T, "encoder.pos_conv_embed.conv")
        self.source.assign(self.bias, self.source.tensor("encoder.pos_conv_embed.conv.bias"), "bias")

    def _multiplied(self) -> np.ndarray:
        """(D, D / groups, K): its length at each place of the kernel, times its direction."""
        name, tensor = "encoder.pos_conv_embed.conv", self.source.tensor
        former = tensor.has(f"{name}.weight_g")
        names = ("weight_g", "weight_v") if former else [f"parametrizations.weight.original{i}" for i in (0, 1)]
        lengths, directions = (tensor(f"{name}.{one}").astype(np.float32) for one in names)
        return lengths * directions / np.sqrt(np.sum(directions**2, axis=(0, 1), keepdims=True))

    def call(self, frames):
        """(B, E, D), zero beyond the true frames -> (B, E, D)."""
        before = self.width // 2
        padded = ops.pad(frames, ((0, 0), (before, self.width - 1 - before), (0, 0)))
        # Grouped convolutions of TensorFlow take two to three times as long on a CPU.
        groups = zip(*(ops.split(one, self.num_groups, axis=2) for one in (padded, self.kernel.value)), strict=True)
        joined = ops.concatenate([ops.conv(one, kernel, padding="valid") for one, kernel in groups], axis=2)
        return keras.activations.gelu(joined + self.bias.value, approximate=False)
