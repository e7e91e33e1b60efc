"""A public encoder: that of Whisper, with its features, from a folder in the format of KerasHub or Transformers."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import keras
import numpy as np
from keras import ops
from safetensors import SafetensorError

from speech_mtl.errors import InputError, refuse_missing
from speech_mtl.models.encoder import BlockEncoder
from speech_mtl.models.features import MelFeatures, frame_mask
from speech_mtl.models.hugging_face import is_hugging_face, load_whisper, no_model
from speech_mtl.models.language_layers import LanguageParts
from speech_mtl.models.layers import FrameContext


class WhisperFeatures(MelFeatures):
    """Whisper's log-mel features: base 10, cut off 8 below an utterance's largest value, and scaled.

    Reference: Radford et al. 2022, "Robust speech recognition via large-scale weak supervision", section 2.2. We differ
    in making only frames that lie wholly inside the true samples, and in zeros instead of silence beyond them.

    Args:
        sample_rate_hz: Rate of the waveforms; Whisper knows 16 kHz only.
        num_mels: F, number of mel bands.
    """

    def __init__(self, sample_rate_hz: int, num_mels: int):
        super().__init__(sample_rate_hz, num_mels, window=400, hop=160, fft_size=400)

    def scaled(self, energies, mask, num_frames, past):  # noqa: ARG002
        levels = ops.log(ops.maximum(energies, 1e-10)) / np.float32(np.log(10.0))
        loudest = ops.max(ops.where(mask > 0, levels, -10.0), axis=(1, 2), keepdims=True)
        return (ops.maximum(levels, loudest - 8.0) + 4.0) / 4.0


class WhisperSubsampling(keras.layers.Layer):
    """Two convolutions over time, the second with stride 2, and positions: (B, T, F) -> (B, E, D) with E about T / 2.

    Args:
        first: Convolution of stride 1.
        second: Convolution of stride 2.
        positions: (P, D) embedding of encoder frames; longer utterances cannot be encoded.
    """

    centres = (0, 2)
    """Frame e has its middle at feature frame 2 e."""

    def __init__(self, first: keras.layers.Layer, second: keras.layers.Layer, positions: np.ndarray, name: str):
        super().__init__(name=name)
        self.first, self.second, self.positions = first, second, positions.astype("float32")
        self.last_layer = second

    @staticmethod
    def num_frames(num_frames):
        """Encoder frames made of so many feature frames (an int or an array)."""
        return (num_frames + 1) // 2

    def build(self, shape):
        self.first.build(shape)
        self.second.build((*shape[:-1], self.first.filters))

    def call(self, features, num_frames):
        """`num_frames` (B,): what the first convolution makes beyond the true frames is kept from the second."""
        hidden = keras.activations.gelu(self.first(features), approximate=False)
        hidden = hidden * frame_mask(num_frames, ops.shape(hidden)[1])[:, :, None]
        hidden = ops.pad(hidden, ((0, 0), (1, 1), (0, 0)))
        hidden = keras.activations.gelu(self.second(hidden), approximate=False)
        positions = ops.convert_to_tensor(self.positions)
        if hidden.shape[1] is not None:  # beyond the positions there is only padding, which XLA's few lengths need
            positions = ops.pad(positions, ((0, max(0, hidden.shape[1] - len(self.positions))), (0, 0)))
        return hidden + positions[None, : ops.shape(hidden)[1]]


class WhisperBlock(keras.layers.Layer):
    """One of Whisper's Transformer layers; the last one with the normalisation behind it.

    Args:
        layer: Of KerasHub.
        norm: What follows; None for nothing.
    """

    def __init__(self, layer: Any, norm: keras.layers.Layer | None, dim: int, name: str):
        super().__init__(name=name)
        self.layer, self.norm, self.dim = layer, norm, dim

    @property
    def last_layer(self) -> keras.layers.Layer:
        """The last of its layers that has weights of some size."""
        return self.layer._feedforward_output_dense

    def build(self, _shape):
        self.layer.build((None, None, self.dim))
        if self.norm is not None:
            self.norm.build((None, None, self.dim))

    def call(self, inputs, context: FrameContext, training=False):
        rows = ops.reshape(inputs, (-1, ops.shape(context.mask)[1], self.dim))
        hidden = self.layer(rows, padding_mask=ops.cast(context.mask, "int32"), training=training)
        if self.norm is not None:
            hidden = self.norm(hidden)
        return ops.reshape(hidden, (-1, self.dim))


class WhisperEncoder(BlockEncoder):
    """The encoder of a trained Whisper model, to start from, or to stay as it is (`training.unfreezing: heads`).

    Reference: Radford et al. 2022, section 2.2. We differ in hiding padding from attention, where Whisper pads every
    utterance to 30 s.

    Args, besides those of `BlockEncoder`:
        dir: A folder that KerasHub's `save_to_preset` or Hugging Face's `save_pretrained` wrote.
        dropout: Fraction of the subsampling's outputs dropped in training.

    Raises:
        InputError: KerasHub is not installed, the folder holds no Whisper model, or, when the layer is built, the
            features have another number of mel bands.
    """

    def __init__(
        self,
        dir: Path | str,
        dropout: float,
        random: keras.random.SeedGenerator | None = None,
        parts: LanguageParts | None = None,
        name: str = "encoder",
    ):
        backbone = _whisper(Path(dir))
        self._source: Callable[[], Any] = lambda: backbone  # a layer would become a part of this one
        self._copies: list[Callable[[], None]] = []
        super().__init__(backbone.num_layers, backbone.hidden_dim, 0, dropout, random, parts, name)
        self.dir, self.num_mels = dir, backbone.num_mels
        self.max_frames = backbone.max_encoder_sequence_length // 2

    def make_subsampling(self, name: str) -> WhisperSubsampling:  # pyright: ignore[reportIncompatibleMethodOverride]
        backbone = self._source()
        positions = np.asarray(backbone.encoder_position_embedding.position_embeddings)
        first, second = (self._copy(layer) for layer in (backbone.encoder_conv_layer_1, backbone.encoder_conv_layer_2))
        return WhisperSubsampling(first, second, positions, name)

    def make_block(self, number: int, name: str) -> WhisperBlock:
        backbone = self._source()
        is_last = number == backbone.num_layers - 1
        norm = self._copy(backbone.encoder_layer_norm) if is_last else None
        return WhisperBlock(self._copy(backbone.encoder_transformer_layers[number]), norm, backbone.hidden_dim, name)

    def build(self, shape):
        if shape[-1] != self.num_mels:
            raise InputError(
                f"The public encoder in {self.dir} has not learnt features of {shape[-1]} mel bands",
                expected=f"features.num_mels: {self.num_mels}",
                received=f"features.num_mels: {shape[-1]}",
                action=f"set features.num_mels={self.num_mels}",
            )
        super().build(shape)
        for copy in self._copies:
            copy()
        self._copies.clear()

    def _copy(self, layer: Any) -> Any:
        """A layer of the same settings, which gets the same weights once it is built."""
        config = {**layer.get_config(), "name": layer.name}
        copy = type(layer).from_config(config)
        self._copies.append(lambda: copy.set_weights(layer.get_weights()))
        return copy


def _whisper(folder: Path) -> Any:
    """A trained model, whole."""
    refuse_missing("keras_hub", extra="hub", purpose="A public encoder")
    import keras_hub

    try:
        from_preset = keras_hub.models.Backbone.from_preset
        backbone = load_whisper(folder) if is_hugging_face(folder) else from_preset(str(folder.resolve()))
    except (OSError, ValueError, KeyError, TypeError, SafetensorError) as error:
        of_keras = "Whisper as KerasHub saves it (config.json, model.weights.h5, metadata.json)"
        files = f"{of_keras} or Transformers does (config.json, model.safetensors)"
        raise no_model("encoder", folder, files, error) from None
    if not isinstance(backbone, keras_hub.models.WhisperBackbone):
        raise InputError(
            f"encoder.dir: the model in {folder} is not one of speech that is known here",
            expected="a WhisperBackbone",
            received=type(backbone).__name__,
            action="give the folder of a Whisper model",
        )
    return backbone
