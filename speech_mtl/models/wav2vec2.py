"""Public encoders of the wav2vec 2.0 family (wav2vec 2.0, XLS-R, MMS, HuBERT), from a folder in Transformers' format.

The layers are those of Keras, the weights are read from safetensors: neither Transformers nor PyTorch is needed.
"""

from pathlib import Path

import keras
import numpy as np
from keras import ops
from safetensors import SafetensorError

from speech_mtl.errors import InputError
from speech_mtl.models.encoder import BlockEncoder
from speech_mtl.models.hugging_face import no_model
from speech_mtl.models.language_layers import LanguageParts
from speech_mtl.models.layers import Dropout, FrameContext, LayerNorm, LoraDelta, attend, product
from speech_mtl.models.past import Past
from speech_mtl.models.wav2vec2_convolutions import CONVERT, PositionalConvolution, Source, WaveformConvolutions


class Wav2Vec2Block(keras.layers.Layer):
    """One Transformer layer; the first with the positions before it, and of some models the last with a normalisation.

    Reference: Baevski et al. 2020, section 2; normalisation before each branch as in Xiong et al. 2020, "On layer
    normalization in the Transformer architecture", if `do_stable_layer_norm`, else after it.

    Args:
        source: Where the weights are.
        number: From the bottom.
        dropout: What is dropped of the outputs of attention and of the feed-forward layer.
        delta: Makes LoRA deltas for the two products with shared matrices of the attention.
    """

    def __init__(self, source: Source, number: int, dropout: Dropout, delta: LoraDelta, name: str):
        super().__init__(name=name)
        config = source.config
        self.source, self.number, self.dim = source, number, config["hidden_size"]
        self.num_heads, self.norm_first = config["num_attention_heads"], config["do_stable_layer_norm"]
        self.positions = PositionalConvolution(source, "positions") if number == 0 else None
        has_norm = number == (config["num_hidden_layers"] - 1 if self.norm_first else 0)
        self.encoder_norm = LayerNorm(name="encoder_norm") if has_norm else None
        self.norm, self.norm_out = LayerNorm(name="norm"), LayerNorm(name="norm_out")
        self.project = keras.layers.Dense(3 * self.dim, name="project")
        self.out = keras.layers.Dense(self.dim, name="out")
        self.widen = keras.layers.Dense(config["intermediate_size"], name="widen")
        self.narrow = self.last_layer = keras.layers.Dense(self.dim, name="narrow")
        self.dropout = dropout
        self.add_to_project = delta(self.dim, 3 * self.dim, "add_to_project")
        self.add_to_out = delta(self.dim, self.dim, "add_to_out")

    def build(self, shape):
        names = {"attention.out_proj": self.out, "layer_norm": self.norm, "final_layer_norm": self.norm_out}
        names |= {"feed_forward.intermediate_dense": self.widen, "feed_forward.output_dense": self.narrow}
        for name, layer in names.items():
            layer.build((None, self.widen.units if layer is self.narrow else self.dim))
            self.source.load(layer, f"encoder.layers.{self.number}.{name}")
        self.project.build((None, self.dim))
        for variable, kind in zip(self.project.weights, ("weight", "bias"), strict=True):
            parts = (f"encoder.layers.{self.number}.attention.{one}_proj.{kind}" for one in "qkv")
            self.source.assign(variable, np.concatenate([self.source.tensor(one) for one in parts]).T, "attention")
        if self.encoder_norm is not None:
            self.encoder_norm.build((None, self.dim))
            self.source.load(self.encoder_norm, "encoder.layer_norm")
        for layer in (self.positions, self.add_to_project, self.add_to_out):
            if layer is not None:
                layer.build(shape)

    def call(self, inputs, context: FrameContext, training=False):
        hidden = inputs if self.positions is None else self._positioned(inputs, context)
        if self.norm_first:
            hidden = hidden + self._attended(self.norm(hidden), context, training)
            hidden = hidden + self._fed_forward(self.norm_out(hidden), training)
            return hidden if self.encoder_norm is None else self.encoder_norm(hidden)
        if self.encoder_norm is not None:
            hidden = self.encoder_norm(hidden)
        hidden = self.norm(hidden + self._attended(hidden, context, training))
        return self.norm_out(hidden + self._fed_forward(hidden, training))

    def _positioned(self, inputs, context: FrameContext):
        frames = ops.reshape(inputs, (-1, ops.shape(context.mask)[1], self.dim)) * context.mask[:, :, None]
        return ops.reshape(frames + self.positions(frames), (-1, self.dim))  # type: ignore[reportOptionalCall]

    def _attended(self, frames, context: FrameContext, training):
        projected = product(self.project, self.add_to_project, frames, context)
        size, width = ops.shape(context.mask)[1], self.dim // self.num_heads
        heads = ops.reshape(projected, (-1, size, 3 * self.num_heads, width))
        queries, keys, values = ops.split(heads, 3, axis=2)
        attended = attend(queries, keys, values, context.attention_bias)
        return self.dropout(product(self.out, self.add_to_out, attended, context), training=training)

    def _fed_forward(self, frames, training):
        wide = keras.activations.gelu(self.widen(frames), approximate=False)
        return self.dropout(self.narrow(wide), training=training)


class Wav2Vec2Encoder(BlockEncoder):
    """The encoder of a trained model of the wav2vec 2.0 family, to start from or to stay as it is.

    References: Baevski et al. 2020, "wav2vec 2.0: A framework for self-supervised learning of speech representations";
    Hsu et al. 2021, "HuBERT". We differ from Transformers in hiding padding from all layers, whatever the model's
    preprocessor_config.json says, and in leaving out LayerDrop and the masking of encoder frames in training.

    Args, besides those of `BlockEncoder`:
        dir: A folder that Transformers' `save_pretrained` wrote.

    Raises:
        InputError: The folder holds no such model, or its weights are not those of its settings.
    """

    def __init__(
        self,
        dir: Path | str,
        dropout: float,
        random: keras.random.SeedGenerator | None = None,
        parts: LanguageParts | None = None,
        name: str = "encoder",
    ):
        self.dir = Path(dir)
        try:
            self.source = Source(self.dir)
        except (OSError, ValueError, KeyError, TypeError, SafetensorError) as error:
            raise self._unusable(error) from None
        config = self.source.config
        super().__init__(config["num_hidden_layers"], config["hidden_size"], 0, dropout, random, parts, name)

    def make_subsampling(self, name: str) -> WaveformConvolutions:
        return WaveformConvolutions(self.source, name)

    def make_block(self, number: int, name: str) -> Wav2Vec2Block:
        return Wav2Vec2Block(self.source, number, self.dropout, self.parts.low_rank, name)

    def build(self, shape):
        try:
            super().build(shape)
        except (ValueError, KeyError, TypeError, SafetensorError) as error:
            raise self._unusable(error) from None

    def _unusable(self, error: Exception) -> InputError:
        files = "config.json and model.safetensors of a model of the type wav2vec2 or hubert, as Transformers saves it"
        return no_model("encoder", self.dir, files, error, CONVERT)

    def context(self, mask, language_ids=None, past: Past | None = None) -> FrameContext:  # noqa: ARG002
        bias = (mask[:, None, None, :] - 1.0) * np.float32(1e9)
        return FrameContext(mask, bias, language_ids=language_ids)
