"""Settings of the encoder."""

import json
from collections.abc import Sequence
from functools import cached_property
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Literal

from pydantic import Field, model_validator

from speech_mtl.datatypes import TOP
from speech_mtl.settings.features import read_num_layers, read_preprocessor
from speech_mtl.settings.section import (
    WHOLE,
    Few,
    FilePath,
    Kinds,
    LanguageName,
    Layers,
    Proportion,
    Section,
    Size,
    Switch,
)

if TYPE_CHECKING:
    from speech_mtl.settings.recipe import Recipe


class EncoderSettings(Kinds):
    """Settings of an encoder."""

    has_attention: ClassVar[bool] = False
    if TYPE_CHECKING:
        num_layers: int

    @property
    def streams(self) -> bool:
        """Whether no frame depends on what comes after its chunk, so that speech can be recognised while it goes on."""
        return False

    def taps(self) -> tuple[str, ...]:
        """The frames that a head can be at; see `models.encoder.Encoder`."""
        return (*(f"block_{i}" for i in range(self.num_layers)), TOP)

    def tap_of(self, _language: str) -> str:
        """The frames that a language is recognised from."""
        return TOP

    def trainable(self) -> tuple[str, ...] | None:
        """The languages that can be trained further; None: any."""
        return None

    def encoders(self) -> dict[str, "EncoderSettings"]:
        """The stacks of blocks that it is made of, by the key of their settings."""
        return {"encoder": self}

    @property
    def times(self) -> int:
        """Frames that output layers get of each of the blocks'."""
        return getattr(self, "upsampling", 1)

    def parts(self) -> dict[str, str]:
        """The parts of its weights, without those of one language; of each stack of blocks, the tap at its end."""
        return {"encoder": TOP} | dict.fromkeys(self.new_parts(), "")

    def new_parts(self) -> tuple[str, ...]:
        """The parts that a run it starts from need not have."""
        return ("upsampling",) if self.times > 1 else ()

    def beside(self, languages: Sequence[str], language: str) -> "EncoderSettings":
        """Settings of this encoder, which some languages were trained with, and of one like its last beside it."""
        column = {"languages": languages, "encoder": self.model_dump()}
        return ProgressiveSettings.model_validate({"columns": [column]}).beside(languages, language)


class OneEncoderSettings(EncoderSettings):
    """An encoder that can be a column of a progressive one."""


class TrainedEncoderSettings(OneEncoderSettings):
    """An encoder that begins with random weights."""

    num_layers: Layers
    dim: Size
    channels: Annotated[int, Field(strict=True, ge=0, le=8192), WHOLE] = 16
    """Channels of the convolutions that make one frame of four. 0: every feature frame is projected by itself."""
    dropout: Proportion = 0.1
    """Fraction of activations that are set to zero in training."""
    upsampling: Annotated[int, Field(strict=True, ge=1, le=8), WHOLE] = 1
    """Frames that output layers get of each of the blocks'. CTC outputs one token a frame at most, for which 40 ms are
    too long in fast speech: 2 makes them 20 ms, and hardly costs time."""


class ConformerSettings(TrainedEncoderSettings, kind="conformer", makes="models.conformer:Conformer"):
    """See `models.conformer.Conformer`."""

    has_attention = True
    num_layers: Layers = 6
    """Blocks."""
    dim: Size = 144
    """Width of the blocks: a multiple of 2 * num_heads."""
    num_heads: Annotated[int, Field(strict=True, ge=1, le=256), WHOLE] = 4
    """Attention heads."""
    kernel_size: Annotated[int, Field(strict=True, ge=1, le=999), WHOLE] = 15
    """Frames that a convolution covers."""
    expansion: Annotated[int, Field(strict=True, ge=1, le=64), WHOLE] = 4
    """Width of the feed-forward layers, in widths of the block."""
    zero_branches: Switch = True
    """Whether the modules of a block add nothing at the start; see `models.conformer.ConformerBlock`."""
    chunk_size: Annotated[int, Field(strict=True, ge=1, le=10_000), WHOLE] | None = None
    """For `transcribe --stream`: frames of 40 ms, if features.hop_s is 0.01. A frame attends to its own chunk and to
    some before it, and to nothing later. None: to the whole utterance."""
    left_chunks: Few = 4
    """Chunks before its own that a frame attends to; without a chunk_size it has no meaning."""

    @property
    def streams(self) -> bool:
        return self.chunk_size is not None

    def refuse_unfit(self, recipe: "Recipe") -> None:
        """With chunks, features must not depend on later speech either."""
        if self.streams and not recipe.features.is_causal:
            raise ValueError(
                "encoder.chunk_size goes with features that depend on no later speech: "
                "set features.normalize=running_mean"
            )

    @model_validator(mode="after")
    def _heads_divide_width(self):
        if self.dim % (2 * self.num_heads):
            raise ValueError(f"dim must be a multiple of 2 * num_heads = {2 * self.num_heads}")
        return self


class RecurrentSettings(TrainedEncoderSettings, kind="recurrent", makes="models.recurrent:RecurrentEncoder"):
    """See `models.recurrent.RecurrentEncoder`."""

    num_layers: Layers = 3
    """Recurrent layers."""
    dim: Size = 256
    """Width of the layers, half of it for each direction."""
    cell: Literal["lstm", "gru"] = "lstm"
    """Kind of the layers."""

    @model_validator(mode="after")
    def _halves(self):
        if self.dim % 2:
            raise ValueError("dim must be even, half of it for each direction")
        return self


class PublicEncoderSettings(OneEncoderSettings):
    """An encoder that others have trained."""

    features: ClassVar[str]
    """Kind of the features that it was trained with."""
    takes: ClassVar[str]
    """The same in words."""
    dir: FilePath
    """Folder of the trained model; relative to the folder in which the command runs."""

    def refuse_unfit(self, recipe: "Recipe") -> None:
        """The features are the ones that it was trained with."""
        if recipe.features.kind != self.features:
            raise ValueError(f"encoder.kind: {self.kind} {self.takes}: set features={{kind: {self.features}}}")


class WhisperSettings(PublicEncoderSettings, kind="whisper", makes="models.whisper:WhisperEncoder"):
    """See `models.whisper.WhisperEncoder`."""

    features, takes = "whisper", "needs its own features"
    dropout: Proportion = 0.0
    """Fraction of activations that are set to zero in training."""

    def refuse_unfit(self, recipe: "Recipe") -> None:
        """It gets its own features, and its layers, which are those of KerasHub, compute in their own precision."""
        super().refuse_unfit(recipe)
        if recipe.training.precision != "float32":
            raise ValueError("encoder.kind: whisper computes in float32 only: set training.precision=float32")

    @cached_property
    def num_layers(self) -> int:  # pyright: ignore[reportIncompatibleVariableOverride]
        """Blocks of the trained model."""
        try:
            config = json.loads((self.dir / "config.json").read_text(encoding="utf-8"))
            return int(config["encoder_layers"] if "model_type" in config else config["config"]["num_layers"])
        except (OSError, ValueError, KeyError, TypeError):
            raise ValueError(f"encoder.dir: {self.dir} holds no model of KerasHub or Transformers") from None


class Wav2Vec2Settings(PublicEncoderSettings, kind="wav2vec2", makes="models.wav2vec2:Wav2Vec2Encoder"):
    """See `models.wav2vec2.Wav2Vec2Encoder`: wav2vec 2.0, XLS-R, MMS or HuBERT."""

    has_attention = True
    features, takes = "waveform", "takes samples"
    dropout: Proportion = 0.1
    """Fraction of activations that are set to zero in training."""

    def refuse_unfit(self, recipe: "Recipe") -> None:
        """It gets samples, at the rate and normalised as in its training."""
        super().refuse_unfit(recipe)
        given = read_preprocessor("encoder", self.dir, recipe)
        if recipe.features.model_dump()["normalize"] != (normalize := given.get("do_normalize")):
            raise ValueError(
                f"encoder.dir has do_normalize: {normalize} in preprocessor_config.json: set "
                f"features.normalize={str(normalize).lower()}"
            )

    @cached_property
    def num_layers(self) -> int:  # pyright: ignore[reportIncompatibleVariableOverride]
        """Blocks of the trained model."""
        return read_num_layers("encoder", self.dir)


class ColumnSettings(Section):
    """A column of a progressive network."""

    languages: Annotated[tuple[LanguageName, ...], Field(min_length=1, max_length=1000)]
    """Languages that it was or is trained with."""
    encoder: OneEncoderSettings = OneEncoderSettings.usual()
    """Its encoder."""
    lateral_from: Annotated[tuple[Few, ...], Field(max_length=100)] | None = None
    """Numbers of the earlier columns, from 0, that it gets lateral input from. None: all."""


class ProgressiveSettings(EncoderSettings, kind="progressive", makes="models.progressive:ProgressiveEncoder"):
    """See `models.progressive.ProgressiveEncoder`. Only the last column is trained; others come from `init_from`."""

    columns: Annotated[tuple[ColumnSettings, ...], Field(min_length=1, max_length=100)]
    """Columns in the order of training."""
    lateral_size: Size = 32
    """Width of a lateral input."""

    def refuse_unfit(self, recipe: "Recipe") -> None:
        """Every language has a column, and what is trained is in the last one."""
        for column in self.columns:
            column.encoder.refuse_unfit(recipe)
            if column.encoder.streams:
                raise ValueError("encoder.columns.*.encoder.chunk_size must be null: columns have no chunks")
        if any(column.encoder.times > 1 for column in self.columns):
            raise ValueError("encoder.columns.*.encoder.upsampling must be 1: columns get each other's frames")
        kinds = {one.encoder.kind: isinstance(one.encoder, PublicEncoderSettings) for one in self.columns}
        if len(kinds) > 1 and (kind := next((kind for kind, is_public in kinds.items() if is_public), None)):
            raise ValueError(f"encoder.kind: {kind} needs its own features: all of encoder.columns must be {kind}")
        named = [language for column in self.columns for language in column.languages]
        if len(set(named)) < len(named) or not set(recipe.languages) <= set(named):
            raise ValueError("every language must be in one of encoder.columns, and none in two")
        if not set(recipe.trained_languages) <= set(self.columns[-1].languages):
            raise ValueError("only languages of the last of encoder.columns can be trained; others need train: false")
        if len(self.columns) > 1 and recipe.init_from is None:
            raise ValueError("the first of encoder.columns come from a trained run: set init_from")
        if recipe.tasks or recipe.languages_with_layers:
            raise ValueError("a progressive encoder goes with neither tasks nor adapters nor sharing")
        if recipe.training.recompute:
            raise ValueError("a progressive encoder keeps all activations: set training.recompute=false")

    @property
    def num_layers(self) -> int:  # pyright: ignore[reportIncompatibleVariableOverride]
        """Blocks of every column."""
        return self.columns[-1].encoder.num_layers

    def taps(self) -> tuple[str, ...]:
        return (*(f"column_{k}" for k in range(len(self.columns))), TOP)

    def tap_of(self, language: str) -> str:
        return f"column_{next(k for k, one in enumerate(self.columns) if language in one.languages)}"

    def trainable(self) -> tuple[str, ...] | None:
        return self.columns[-1].languages

    def beside(self, languages: Sequence[str], language: str) -> EncoderSettings:  # noqa: ARG002
        added = self.columns[-1].model_copy(update={"languages": (language,), "lateral_from": None})
        return self.model_copy(update={"columns": (*self.columns, added)})

    def make(self, *, random: Any, **_: Any) -> Any:
        columns = [one.encoder.make(random=random, name=f"column_{k}") for k, one in enumerate(self.columns)]
        return self.member()(columns, self.lateral_inputs(), self.lateral_size)

    def encoders(self) -> dict[str, EncoderSettings]:
        return {f"encoder.columns.{k}.encoder": one.encoder for k, one in enumerate(self.columns)}

    def parts(self) -> dict[str, str]:
        laterals = [f"laterals/{k}" for k, sources in enumerate(self.lateral_inputs()) if sources]
        return {f"columns/{k}": f"column_{k}" for k in range(len(self.columns))} | dict.fromkeys(laterals, "")

    def new_parts(self) -> tuple[str, ...]:
        last = len(self.columns) - 1
        return f"columns/{last}", f"laterals/{last}"

    def lateral_inputs(self) -> list[tuple[int, ...]]:
        """By column, the earlier ones that it gets lateral input from."""
        return [tuple(range(k)) if one.lateral_from is None else one.lateral_from for k, one in enumerate(self.columns)]

    @model_validator(mode="after")
    def _columns_fit(self):
        if len({column.encoder.num_layers for column in self.columns}) > 1:
            raise ValueError("all columns must have the same encoder.num_layers")
        if len({bool(getattr(column.encoder, "channels", 0)) for column in self.columns}) > 1:
            raise ValueError("encoder.channels must be 0 in all columns or in none: they get each other's frames")
        if any(j >= k for k, sources in enumerate(self.lateral_inputs()) for j in sources):
            raise ValueError("a column can only get lateral input from earlier ones, numbered from 0")
        return self
