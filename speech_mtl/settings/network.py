"""Settings of the network: features, encoder, and the layers that languages have for themselves."""

import json
import math
from functools import cached_property
from typing import Annotated, Literal

from pydantic import Discriminator, Field, Tag, model_validator

from speech_mtl.settings.section import (
    WHOLE,
    Few,
    FilePath,
    LanguageName,
    Layers,
    Positive,
    Section,
    Share,
    Size,
    Switch,
    kind_or,
)

Mels = Annotated[int, Field(strict=True, ge=1, le=512), WHOLE]


def _mel(hertz: float) -> float:
    """The scale of `models.features`."""
    return hertz * 3 / 200 if hertz < 1000 else 15 + math.log(hertz / 1000) * 27 / math.log(6.4)


def _hertz(mel: float) -> float:
    return mel * 200 / 3 if mel < 15 else 1000 * math.exp((mel - 15) * math.log(6.4) / 27)


class LogMelSettings(Section):
    """See `models.features.LogMel`."""

    kind: Literal["log_mel"] = "log_mel"
    num_mels: Mels = 80
    """Bands on the mel scale."""
    window_s: Annotated[float, Field(strict=True, ge=1e-3, le=1)] = 0.025
    """Length of the analysis window."""
    hop_s: Annotated[float, Field(strict=True, ge=1e-3, le=1)] = 0.010
    """From the beginning of one window to that of the next."""
    fft_size: Annotated[int, Field(strict=True, ge=16, le=65_536), WHOLE] = 512
    """Samples of the Fourier transform: at least those of a window."""
    floor: Annotated[float, Field(strict=True, ge=1e-12, le=1)] = 1e-6
    """Added to the energy of each band."""
    normalize: Literal["mean_variance", "mean", "none"] = "mean"
    """What is taken out of each band of an utterance."""

    def refuse_unfit(self, sample_rate_hz: int) -> None:
        """Looks whether every window fits the transform, no sample is left out, and every band has a frequency.

        Raises:
            ValueError: One does not; says how to change it.
        """
        window = round(self.window_s * sample_rate_hz)
        if window > self.fft_size:
            raise ValueError(
                f"features.window_s * data.sample_rate_hz = {window} must be at most features.fft_size, "
                f"which is {self.fft_size}"
            )
        if self.hop_s > self.window_s:
            raise ValueError("features.hop_s must be at most features.window_s, so that no sample is left out")
        top = _mel(sample_rate_hz / 2)
        edges = [_hertz(top * i / (self.num_mels + 1)) for i in range(self.num_mels + 2)]
        step = sample_rate_hz / self.fft_size
        if any((low // step + 1) * step >= high for low, high in zip(edges, edges[2:], strict=False)):
            raise ValueError(
                f"features.num_mels = {self.num_mels} are too many bands for features.fft_size = {self.fft_size}: "
                "some have no frequency"
            )


class WhisperFeatureSettings(Section):
    """See `models.whisper.WhisperFeatures`."""

    kind: Literal["whisper"] = "whisper"
    num_mels: Mels = 80
    """As many as the trained model has."""


FeatureSettings = Annotated[
    Annotated[LogMelSettings, Tag("log_mel")] | Annotated[WhisperFeatureSettings, Tag("whisper")],
    Discriminator(kind_or("log_mel")),
]


class ConformerSettings(Section):
    """See `models.encoders.Conformer`."""

    kind: Literal["conformer"] = "conformer"
    num_layers: Layers = 6
    """Blocks."""
    dim: Size = 144
    """Width of the blocks: a multiple of 2 * num_heads."""
    num_heads: Annotated[int, Field(strict=True, ge=1, le=256), WHOLE] = 4
    """Of attention."""
    kernel_size: Annotated[int, Field(strict=True, ge=1, le=999), WHOLE] = 15
    """Frames that a convolution covers."""
    expansion: Annotated[int, Field(strict=True, ge=1, le=64), WHOLE] = 4
    """Width of the feed-forward layers, in widths of the block."""
    channels: Size = 16
    """Of the convolutions that shorten the sequence."""
    dropout: Share = 0.1
    """Share of activations that are set to zero in training."""
    zero_branches: Switch = True
    """Whether the modules of a block add nothing at the start; see `models.layers.ConformerBlock`."""

    @model_validator(mode="after")
    def _heads_divide_width(self):
        if self.dim % (2 * self.num_heads):
            raise ValueError(f"dim must be a multiple of 2 * num_heads = {2 * self.num_heads}")
        return self


class RecurrentSettings(Section):
    """See `models.encoders.RecurrentEncoder`."""

    kind: Literal["recurrent"] = "recurrent"
    num_layers: Layers = 3
    """Recurrent layers."""
    dim: Size = 256
    """Width of the layers, half of it for each direction."""
    cell: Literal["lstm", "gru"] = "lstm"
    """Kind of the layers."""
    channels: Size = 16
    """Of the convolutions that shorten the sequence."""
    dropout: Share = 0.1
    """Share of activations that are set to zero in training."""

    @model_validator(mode="after")
    def _halves(self):
        if self.dim % 2:
            raise ValueError("dim must be even, half of it for each direction")
        return self


class WhisperSettings(Section):
    """See `models.whisper.WhisperEncoder`."""

    kind: Literal["whisper"] = "whisper"
    dir: FilePath
    """Folder of the trained model; relative to the folder in which the command runs."""
    dropout: Share = 0.0
    """Share of activations that are set to zero in training."""

    @cached_property
    def num_layers(self) -> int:
        """Blocks of the trained model."""
        try:
            config = json.loads((self.dir / "config.json").read_text(encoding="utf-8"))
            return int(config["encoder_layers"] if "model_type" in config else config["config"]["num_layers"])
        except (OSError, ValueError, KeyError, TypeError):
            raise ValueError(f"encoder.dir: {self.dir} holds no model of KerasHub or Transformers") from None


OneEncoderSettings = Annotated[
    Annotated[ConformerSettings, Tag("conformer")]
    | Annotated[RecurrentSettings, Tag("recurrent")]
    | Annotated[WhisperSettings, Tag("whisper")],
    Discriminator(kind_or("conformer")),
]


class ColumnSettings(Section):
    """A column of a progressive network."""

    languages: Annotated[tuple[LanguageName, ...], Field(min_length=1, max_length=1000)]
    """Those that it was or is trained with."""
    encoder: OneEncoderSettings = ConformerSettings()
    """Its layers."""
    hears: Annotated[tuple[Few, ...], Field(max_length=100)] | None = None
    """Numbers of the earlier columns, from 0, that it listens to. None: all."""


class ProgressiveSettings(Section):
    """See `models.progressive.ProgressiveEncoder`. Only the last column is trained; others come from `init_from`."""

    kind: Literal["progressive"] = "progressive"
    columns: Annotated[tuple[ColumnSettings, ...], Field(min_length=1, max_length=100)]
    """From the first one trained to the last."""
    lateral_size: Size = 32
    """Width of what a column takes from each earlier one."""

    @property
    def num_layers(self) -> int:
        """Blocks of every column."""
        return self.columns[-1].encoder.num_layers

    def heard(self) -> list[tuple[int, ...]]:
        """By column, the earlier ones that it listens to."""
        return [tuple(range(k)) if one.hears is None else one.hears for k, one in enumerate(self.columns)]

    @model_validator(mode="after")
    def _columns_fit(self):
        if len({column.encoder.num_layers for column in self.columns}) > 1:
            raise ValueError("all columns must have the same encoder.num_layers")
        if any(j >= k for k, heard in enumerate(self.heard()) for j in heard):
            raise ValueError("a column can only hear earlier ones, numbered from 0")
        return self


EncoderSettings = Annotated[
    Annotated[ConformerSettings, Tag("conformer")]
    | Annotated[RecurrentSettings, Tag("recurrent")]
    | Annotated[WhisperSettings, Tag("whisper")]
    | Annotated[ProgressiveSettings, Tag("progressive")],
    Discriminator(kind_or("conformer")),
]


class SharingSettings(Section):
    """Which layers of the encoder all languages share; output layers never are."""

    kind: Literal["whole_encoder", "bottom", "middle", "nothing"] = "whole_encoder"
    """`bottom`: all but the highest `num_own`. `middle`: all but the lowest and the highest `num_own`."""
    num_own: Layers = 1
    """Layers at either end that each language has for itself: blocks, and at the bottom first the subsampling."""


class AdapterSection(Section):
    """What both kinds of adapters have."""

    languages: Annotated[tuple[LanguageName, ...], Field(max_length=1000)] | None = None
    """Those that have some. None: all."""


class BottleneckAdapterSettings(AdapterSection):
    """See `models.language_layers.Adapter`."""

    kind: Literal["bottleneck"] = "bottleneck"
    size: Size = 32
    """Width of the adapter."""


class LowRankAdapterSettings(AdapterSection):
    """See `models.language_layers.LowRank`."""

    kind: Literal["low_rank"] = "low_rank"
    rank: Size = 8
    """Of the two matrices whose product is added."""
    alpha: Positive = 16.0
    """What is added is multiplied by alpha / rank."""


AdapterSettings = Annotated[
    Annotated[BottleneckAdapterSettings, Tag("bottleneck")] | Annotated[LowRankAdapterSettings, Tag("low_rank")],
    Discriminator(kind_or("bottleneck")),
]
