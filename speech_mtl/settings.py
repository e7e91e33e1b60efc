"""Every setting, its default, its unit and its check; `config.Recipe` holds them all.

Field name = argument name of the class that `build` makes = key in the YAML file.
"""

import json
import math
import os
import re
from collections.abc import Callable, Sequence
from functools import cached_property
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Discriminator,
    Field,
    Tag,
    field_validator,
    model_validator,
)

from speech_mtl.datatypes import TOP, Protocol
from speech_mtl.errors import printable


def _whole(value: Any) -> Any:
    """1e4 is a count as good as 10000; in YAML it is a number with a point."""
    return int(value) if type(value) is float and value.is_integer() else value


def _part_of_path(text: str) -> str:
    """A text that can be part of a file's or folder's name, on every system."""
    if (
        not text
        or text != text.strip(" .")
        or len(text.encode()) > 100
        or re.search(r'[\t\n/\\<>:"|?*]', text)
        or printable(text) != text
    ):
        raise ValueError(
            'a name for files: 1 to 100 bytes, without any of / \\ < > : " | ? * and control characters, and no dot or '
            "space at its ends"
        )
    return text


def _file_name(text: str) -> str:
    if re.fullmatch(r"(con|prn|aux|nul|(com|lpt)[0-9¹²³])(\..*)?", text, re.IGNORECASE):
        raise ValueError("another name: Windows keeps this one for a device")
    return text


def _path(value: Any) -> Any:
    """What can be the path of a file; `~` is a shell's word for a folder, and no system's."""
    text = os.fspath(value) if isinstance(value, Path) else value
    if isinstance(text, str) and (
        not text
        or text.startswith("~")
        or re.search(r"[\t\n]", text)
        or printable(text, 4096) != text
        or any(len(part.encode()) > 255 for part in text.split("/"))
    ):
        raise ValueError(
            "a path of at most 4096 letters, its parts of at most 255 bytes, without control characters; not empty, "
            "and with the whole name of the folder in place of ~"
        )
    return value


def _shown_as_it_is(text: str) -> str:
    if printable(text, 10_000) != text:
        raise ValueError("at most 10,000 letters, and no control characters")
    return text


# Every number has both ends: what lies beyond is a slip, or would fill the memory. `true` and "5" are no numbers.
Share = Annotated[float, Field(strict=True, ge=0, lt=1)]
Fraction = Annotated[float, Field(strict=True, ge=0, le=1)]
Kept = Annotated[float, Field(strict=True, ge=1e-6, le=1)]
Positive = Annotated[float, Field(strict=True, ge=1e-6, le=1e6)]
Weight = Annotated[float, Field(strict=True, ge=0, le=1e6)]
Rate = Annotated[float, Field(strict=True, ge=1e-12, le=10)]
"""Of learning."""
Seconds = Annotated[float, Field(strict=True, ge=1e-3, le=1e9)]
_WHOLE = BeforeValidator(_whole)
Count = Annotated[int, Field(strict=True, ge=1, le=100_000_000), _WHOLE]
CountFromZero = Annotated[int, Field(strict=True, ge=0, le=100_000_000), _WHOLE]
Few = Annotated[int, Field(strict=True, ge=0, le=1000), _WHOLE]
Layers = Annotated[int, Field(strict=True, ge=1, le=200), _WHOLE]
Size = Annotated[int, Field(strict=True, ge=1, le=8192), _WHOLE]
"""Of a layer."""
Seed = Annotated[int, Field(strict=True, ge=0, lt=2**32), _WHOLE]
Switch = Annotated[bool, Field(strict=True)]
Text = Annotated[str, AfterValidator(_shown_as_it_is)]
Word = Annotated[str, Field(max_length=200), AfterValidator(_shown_as_it_is)]
"""What names something that is written elsewhere."""
LanguageName = Annotated[str, AfterValidator(_part_of_path)]
"""Languages may have any tag: `con`, `aux` and `nul` are three, too."""
Name = Annotated[LanguageName, AfterValidator(_file_name)]
"""What becomes the name of a file or folder."""
FilePath = Annotated[Path, BeforeValidator(_path)]


class Section(BaseModel):
    """A block of settings. Unknown keys are errors, and values cannot be changed afterwards.

    The text under a field says what `speech-mtl settings` shows of it.
    """

    model_config = ConfigDict(
        extra="forbid", frozen=True, allow_inf_nan=False, ser_json_inf_nan="constants", use_attribute_docstrings=True
    )


def _kind(default: str) -> Callable[[Any], str]:
    """Finds the kind of a section that comes in several; `default` where none is named."""

    def kind_of(value: Any) -> str:
        return value.get("kind", default) if isinstance(value, dict) else getattr(value, "kind", default)

    return kind_of


class CharacterTokenizerSettings(Section):
    """Characters of the normalised transcript."""

    kind: Literal["character"] = "character"


class PinyinTokenizerSettings(Section):
    """Mandarin as pinyin: letters and tone digits."""

    kind: Literal["pinyin"] = "pinyin"


TokenizerSettings = Annotated[
    Annotated[CharacterTokenizerSettings, Tag("character")] | Annotated[PinyinTokenizerSettings, Tag("pinyin")],
    Discriminator(_kind("character")),
]


class LanguageSettings(Section):
    """One language of a recipe. Its manifests are `data.dir/LANGUAGE/{train,dev,test}.jsonl`."""

    tokenizer: TokenizerSettings = CharacterTokenizerSettings()
    """What transcripts are made of for the network: characters, or pinyin for Mandarin."""
    budget_s: Seconds | None = None
    """Seconds of training speech to use; a smaller budget is part of a larger one. None: all there is."""
    replace: Literal["noise", "shuffled_transcripts"] | None = None
    """A control: what training hears is noise, or what it reads belongs to other utterances; see `data.replaced`.

    Dev and test speech and the vocabulary stay as they are. None: true speech with its own transcripts.
    """
    keep_transcripts: Kept = 1.0
    """Share of the training transcripts, chosen at random, that training sees; the others count as unknown."""
    manifests: dict[Literal["train", "dev", "test"], FilePath] = {}
    """By split, manifests that lie elsewhere than in `data.dir/LANGUAGE/`."""
    manifest_languages: Annotated[tuple[Word, ...], Field(max_length=1000)] = ()
    """Other languages that the lines of its manifests may name: the speech counts as this one all the same."""
    train: Switch = True
    """Whether training uses its speech. Without, its output layer stays what it is in the run of `init_from`."""
    output_layer: Literal["keep", "new"] | None = None
    """Whether training goes on from the output layer that `init_from` has for it, with that vocabulary, or makes a new
    one. None: keep it if training's transcripts give the same vocabulary."""
    share: Kept | None = None
    """Share of the speech in batches. None: what the others leave, in proportion to (amount) ** `data.alpha`."""


class TaskSection(Section):
    """What all kinds of tasks have; see `targets.target.Target`."""

    at: Word = "top"
    """Which frames its head gets: `top`, those that come out of the encoder, or what a block gives, `block_0` the
    lowest."""


class CtcTaskSettings(TaskSection):
    """The transcripts once more, with output layers of their own that are not used to recognise speech.

    Reference: Lee and Watanabe 2021, "Intermediate loss regularization for CTC-based speech recognition".
    """

    kind: Literal["ctc"] = "ctc"


class LabelTaskSection(TaskSection):
    """A task that has labels; see `targets.target.LabelTarget`."""

    label: Word | None = None
    """Name of its labels in the manifests, there `labels.NAME`, or `language` or `speaker`. None: the task's name."""
    keep_labels: Kept = 1.0
    """Share of the training labels, chosen at random, that training sees; the others count as unknown."""


class PooledTaskSection(LabelTaskSection):
    """A task whose head sees the whole utterance at once."""

    pooling: Literal["attention", "mean"] = "attention"
    """How encoder frames become one; see `models.heads`."""


class UnseenSection(LabelTaskSection):
    """A task whose labels are names."""

    unseen: Literal["refuse", "unknown"] = "refuse"
    """What to do with a class or tag in dev or test that no training utterance has."""


class ClassesTaskSettings(PooledTaskSection, UnseenSection):
    """One of several classes; see `targets.classes`."""

    kind: Literal["classes"] = "classes"


class NumberTaskSettings(PooledTaskSection):
    """A number; see `targets.number`."""

    kind: Literal["number"] = "number"


class TagsTaskSettings(PooledTaskSection, UnseenSection):
    """Several yes or no labels at once; see `targets.tags`."""

    kind: Literal["tags"] = "tags"


class FrameTagsTaskSettings(UnseenSection):
    """Several yes or no labels of every frame; see `targets.frame_tags`."""

    kind: Literal["frame_tags"] = "frame_tags"


TaskSettings = Annotated[
    Annotated[ClassesTaskSettings, Tag("classes")]
    | Annotated[NumberTaskSettings, Tag("number")]
    | Annotated[TagsTaskSettings, Tag("tags")]
    | Annotated[FrameTagsTaskSettings, Tag("frame_tags")]
    | Annotated[CtcTaskSettings, Tag("ctc")],
    Discriminator(_kind("classes")),
]


class DataSettings(Section):
    """Where speech comes from and how it is batched."""

    dir: FilePath
    """Folder of manifests; relative to the folder in which the command runs."""
    cache_dir: FilePath = Path("runs/cache")
    """Decoded audio is kept here, 16-bit and at `sample_rate_hz`: about 115 MB an hour."""
    sample_rate_hz: Annotated[int, Field(strict=True, ge=8000, le=48_000), _WHOLE] = 16_000
    """Speech of another rate is resampled to it."""
    min_duration_s: Annotated[float, Field(strict=True, ge=1e-3, le=3600)] = 0.1
    """Shorter utterances are skipped, and counted."""
    max_duration_s: Annotated[float, Field(strict=True, ge=1e-3, le=3600)] = 30.0
    """Longer utterances are skipped, and counted."""
    allow_skipped: Share = 0.01
    """Largest share of a manifest's utterances that may be unusable."""
    allow_leaks: Fraction = 0.01
    """Largest share of a dev or test split whose audio may be in training; see `run.held_out`."""
    batch_s: Annotated[float, Field(strict=True, ge=1e-3, le=1e5)] = 60.0
    """Seconds of speech in a batch, padding included."""
    alpha: Fraction = 0.5
    """Languages are drawn in proportion to (amount of training speech) ** alpha: 1 as it comes, 0 all alike."""
    mixing: Literal["by_length", "every_language"] = "by_length"
    """Whether a batch holds utterances of like length, or every language at its share; see `data.batching.MIXINGS`."""
    ramp_to_target: Switch = False
    """Whether the target's share of the speech rises to all of it over `training.cooldown_updates`."""
    subset_seed: Seed = 0
    """Which utterances make up a budget, and which labels are kept; not the seed of a run, so that runs compare."""
    require_all_labels: Switch = False
    """Leave out training utterances of which the transcript or any task's label is unknown."""
    num_threads: Annotated[int, Field(strict=True, ge=1, le=256), _WHOLE] = 2
    """Threads that prepare batches."""

    @model_validator(mode="after")
    def _durations_rise(self):
        if not self.min_duration_s < self.max_duration_s:
            raise ValueError(f"data.min_duration_s must be less than data.max_duration_s = {self.max_duration_s:g}")
        return self


Mels = Annotated[int, Field(strict=True, ge=1, le=512), _WHOLE]


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
    fft_size: Annotated[int, Field(strict=True, ge=16, le=65_536), _WHOLE] = 512
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
    Discriminator(_kind("log_mel")),
]


class SpecAugmentSettings(Section):
    """See `models.augment.SpecAugment`.

    Off unless masks are asked for: small networks learn more slowly with masks over bands, and no better.
    """

    num_time_masks: Few = 0
    """Parts of an utterance that are blanked."""
    max_time_share: Share = 0.1
    """Longest mask, as a share of the utterance."""
    num_frequency_masks: Few = 0
    """Ranges of bands that are blanked."""
    max_mels: Few = 20
    """Widest mask, in bands."""


Speed = Annotated[float, Field(strict=True, ge=0.5, le=2)]
Decibels = Annotated[float, Field(strict=True, ge=-50, le=100)]


class AugmentSettings(Section):
    """What is done to training speech, and to no other."""

    spec_augment: SpecAugmentSettings = SpecAugmentSettings()
    speeds: Annotated[tuple[Speed, ...], Field(min_length=1, max_length=100)] = (0.9, 1.0, 1.1)
    """Each utterance is played at one of these speeds (Ko et al. 2015)."""
    noise_probability: Fraction = 0.0
    """Share of utterances to which white noise is added."""
    noise_snr_db: tuple[Decibels, Decibels] = (10.0, 30.0)
    """Range of the signal-to-noise ratio."""

    @field_validator("noise_snr_db")
    @classmethod
    def _range_rises(cls, ends):
        if not ends[0] <= ends[1]:
            raise ValueError("the lower end of the range, then the higher one")
        return ends


class EncoderSection(Section):
    """What all kinds of encoders have."""

    def taps(self) -> tuple[str, ...]:
        """The frames that a head can be at; see `models.encoder.Encoder`."""
        return (*(f"block_{i}" for i in range(self.num_layers)), TOP)  # pyright: ignore[reportAttributeAccessIssue]

    def tap_of(self, _language: str) -> str:
        """The frames that a language is recognised from."""
        return TOP

    def trainable(self) -> tuple[str, ...] | None:
        """The languages that can be trained further; None: any."""
        return None

    def encoders(self) -> dict[str, "EncoderSection"]:
        """The stacks of blocks that it is made of, by the key of their settings."""
        return {"encoder": self}

    def parts(self) -> dict[str, str]:
        """The parts of its weights, without those of one language; of each stack of blocks, the tap at its end."""
        return {"encoder": TOP}

    def new_parts(self) -> tuple[str, ...]:
        """The parts that a run it starts from need not have."""
        return ()


class ConformerSettings(EncoderSection):
    """See `models.encoders.Conformer`."""

    kind: Literal["conformer"] = "conformer"
    num_layers: Layers = 6
    """Blocks."""
    dim: Size = 144
    """Width of the blocks: a multiple of 2 * num_heads."""
    num_heads: Annotated[int, Field(strict=True, ge=1, le=256), _WHOLE] = 4
    """Of attention."""
    kernel_size: Annotated[int, Field(strict=True, ge=1, le=999), _WHOLE] = 15
    """Frames that a convolution covers."""
    expansion: Annotated[int, Field(strict=True, ge=1, le=64), _WHOLE] = 4
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


class RecurrentSettings(EncoderSection):
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


class WhisperSettings(EncoderSection):
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
    Discriminator(_kind("conformer")),
]


class ColumnSettings(Section):
    """A column of a progressive network."""

    languages: Annotated[tuple[LanguageName, ...], Field(min_length=1, max_length=1000)]
    """Those that it was or is trained with."""
    encoder: OneEncoderSettings = ConformerSettings()
    """Its layers."""
    hears: Annotated[tuple[Few, ...], Field(max_length=100)] | None = None
    """Numbers of the earlier columns, from 0, that it listens to. None: all."""


class ProgressiveSettings(EncoderSection):
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

    def taps(self) -> tuple[str, ...]:
        return (*(f"column_{k}" for k in range(len(self.columns))), TOP)

    def tap_of(self, language: str) -> str:
        return f"column_{next(k for k, one in enumerate(self.columns) if language in one.languages)}"

    def trainable(self) -> tuple[str, ...] | None:
        return self.columns[-1].languages

    @classmethod
    def beside(cls, encoder: EncoderSection, languages: Sequence[str], language: str) -> dict[str, Any]:
        """Settings of an encoder that some languages were trained with, and of one like its last beside it."""
        if not isinstance(encoder, cls):
            encoder = cls.model_validate({"columns": [{"languages": languages, "encoder": encoder.model_dump()}]})
        added = encoder.columns[-1].model_copy(update={"languages": (language,), "hears": None})
        return encoder.model_copy(update={"columns": (*encoder.columns, added)}).model_dump(mode="json")

    def encoders(self) -> dict[str, EncoderSection]:
        return {f"encoder.columns.{k}.encoder": one.encoder for k, one in enumerate(self.columns)}

    def parts(self) -> dict[str, str]:
        laterals = [f"laterals/{k}" for k, heard in enumerate(self.heard()) if heard]
        return {f"columns/{k}": f"column_{k}" for k in range(len(self.columns))} | dict.fromkeys(laterals, "")

    def new_parts(self) -> tuple[str, ...]:
        last = len(self.columns) - 1
        return f"columns/{last}", f"laterals/{last}"

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
    Discriminator(_kind("conformer")),
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
    Discriminator(_kind("bottleneck")),
]


class UnfreezeAllSettings(Section):
    """See `training.unfreezing.All`."""

    kind: Literal["all"] = "all"


class UnfreezeHeadsSettings(Section):
    """See `training.unfreezing.Heads`."""

    kind: Literal["heads"] = "heads"


class UnfreezeHeadsFirstSettings(Section):
    """See `training.unfreezing.HeadsFirst`."""

    kind: Literal["heads_first"] = "heads_first"
    num_updates: Count = 200
    """Updates until the encoder is trained, too."""


class UnfreezeGradualSettings(Section):
    """See `training.unfreezing.Gradual`."""

    kind: Literal["gradual"] = "gradual"
    num_updates: Count = 100
    """Updates until the next layer is trained, too."""


class UnfreezeLayerwiseSettings(Section):
    """See `training.unfreezing.Layerwise`."""

    kind: Literal["layerwise"] = "layerwise"
    decay: Kept = 0.8
    """Rate of a layer, as a share of that of the layer above."""


UnfreezingSettings = Annotated[
    Annotated[UnfreezeAllSettings, Tag("all")]
    | Annotated[UnfreezeHeadsSettings, Tag("heads")]
    | Annotated[UnfreezeHeadsFirstSettings, Tag("heads_first")]
    | Annotated[UnfreezeGradualSettings, Tag("gradual")]
    | Annotated[UnfreezeLayerwiseSettings, Tag("layerwise")],
    Discriminator(_kind("all")),
]


WARMUP, COOLDOWN = 200, 600
"""Most updates of either where none are given."""


def _phase(given: int | None, num_updates: int, most: int) -> int:
    """Updates of a warm-up or cooldown: as given, else a quarter of all, and at most `most`."""
    return min(most, num_updates // 4) if given is None else given


class TrainingSettings(Section):
    """How the weights are found."""

    num_updates: Count = 2000
    """Most updates: training may stop before; see `patience`."""
    learning_rate: Rate = 2e-3
    """Peak, reached after the warm-up; from there it falls to `final_learning_rate`, see `cooldown_updates`."""
    final_learning_rate: Annotated[float, Field(strict=True, ge=0, le=10)] = 1e-5
    """Of the last update."""
    warmup_updates: CountFromZero | None = None
    """Updates until the peak of the learning rate. None: a quarter of `num_updates`, and at most 200."""
    cooldown_updates: CountFromZero | None = None
    """Updates at the end over which the learning rate falls in a straight line; until then it stays at its peak.

    They begin when the validation error no longer falls (`patience`), or else so as to end at `num_updates`. None: a
    quarter of `num_updates`, and at most 600. 0: the rate falls along half a cosine from the warm-up to `num_updates`,
    wherever early stopping ends training."""
    copy_output_rows: Switch = True
    """Whether new output layers begin with the rows, of blank and letters for instance, that those of `init_from` have
    for the same tokens; see `run.output_rows`."""
    weight_decay: Annotated[float, Field(strict=True, ge=0, le=10)] = 0.01
    """Of AdamW: weights shrink by this times the learning rate at each update."""
    clip_norm: Positive = 1.0
    """Longer gradients are made this long."""
    average_decay: Share = 0.99
    """Of a running mean of the weights, an update; looks at the dev sets and the run's end use it. 0: the weights as
    they are; see `training.optimizer.FlatAdamW`."""
    evaluate_every: Count = 100
    """Updates between two looks at the dev sets; a checkpoint is written each time."""
    patience: Count = 5
    """Looks at the dev set without a better error after which training stops, or `cooldown_updates` begin."""
    select: Literal["best", "last"] = "best"
    """Which weights a run ends with: those with the lowest dev error, or the last ones, then without early stopping."""
    unfreezing: UnfreezingSettings = UnfreezeAllSettings()
    """Which layers are trained, when, and how fast; for training that starts from another run."""
    log_conflicts: Switch = False
    """Whether each look at the dev sets logs the cosines between the tasks' gradients in the encoder."""

    @property
    def warmup(self) -> int:
        """Updates until the peak of the learning rate, given or not."""
        return _phase(self.warmup_updates, self.num_updates, WARMUP)

    @property
    def cooldown(self) -> int:
        """Updates over which the learning rate falls at the end, given or not; 0: along a cosine."""
        return _phase(self.cooldown_updates, self.num_updates, COOLDOWN)

    @model_validator(mode="after")
    def _rate_falls(self):
        if self.final_learning_rate > self.learning_rate:
            raise ValueError(
                f"training.final_learning_rate must be at most training.learning_rate = {self.learning_rate:g}"
            )
        return self


class EqualWeightingSettings(Section):
    """Every task counts alike."""

    kind: Literal["equal"] = "equal"


class FixedWeightingSettings(Section):
    """Weights that are given here."""

    kind: Literal["fixed"] = "fixed"
    weights: dict[Word, Weight] = {}
    """lambda of languages and tasks, by name; 1 for those that are not named."""


class UncertaintyWeightingSettings(Section):
    """See `training.weighting.Uncertainty`."""

    kind: Literal["uncertainty"] = "uncertainty"
    learning_rate: Rate = 0.01
    """Of the weights."""
    min_weight: Kept = 0.25
    """Of any task."""
    max_weight: Annotated[float, Field(strict=True, ge=1, le=1e6)] = 4.0
    """Of any task."""


class DynamicWeightAverageSettings(Section):
    """See `training.weighting.DynamicWeightAverage`."""

    kind: Literal["dynamic_weight_average"] = "dynamic_weight_average"
    temperature: Positive = 2.0
    """1 follows the losses closely, large values make the weights equal."""
    period: Count = 100
    """Updates between changes of the weights."""


class GradNormSettings(Section):
    """See `training.weighting.GradNorm`."""

    kind: Literal["gradnorm"] = "gradnorm"
    alpha: Annotated[float, Field(strict=True, ge=0, le=100)] = 1.5
    """How hard tasks that learn slowly are pulled."""
    learning_rate: Rate = 0.025
    """Of the weights."""
    start_updates: Count = 50
    """Updates over which the losses at the start are measured, with equal weights."""


class RandomWeightsSettings(Section):
    """See `training.weighting.RandomWeights`."""

    kind: Literal["random"] = "random"


class CtcDroSettings(Section):
    """See `training.weighting.CtcDro`."""

    kind: Literal["ctc_dro"] = "ctc_dro"
    step_size: Positive = 1e-4
    """How fast languages with a high loss gain weight."""
    smoothing: Positive = 0.5
    """Above 0; the larger, the more goes to the worst language alone."""
    duration_s: Annotated[float, Field(strict=True, ge=1e-3, le=1e5)] = 50.0
    """Seconds of speech that a loss is scaled to."""


WeightingSettings = Annotated[
    Annotated[EqualWeightingSettings, Tag("equal")]
    | Annotated[FixedWeightingSettings, Tag("fixed")]
    | Annotated[UncertaintyWeightingSettings, Tag("uncertainty")]
    | Annotated[DynamicWeightAverageSettings, Tag("dynamic_weight_average")]
    | Annotated[GradNormSettings, Tag("gradnorm")]
    | Annotated[RandomWeightsSettings, Tag("random")]
    | Annotated[CtcDroSettings, Tag("ctc_dro")],
    Discriminator(_kind("equal")),
]


class PCGradSettings(Section):
    """See `training.combining.PCGrad`."""

    kind: Literal["pcgrad"] = "pcgrad"


class CAGradSettings(Section):
    """See `training.combining.CAGrad`."""

    kind: Literal["cagrad"] = "cagrad"
    radius: Share = 0.4
    """How far the common direction may lie from the mean gradient, as a share of its length."""


GradientSettings = Annotated[
    Annotated[PCGradSettings, Tag("pcgrad")] | Annotated[CAGradSettings, Tag("cagrad")],
    Discriminator(_kind("pcgrad")),
]


class ControlSettings(Section):
    """Further arms that tell what an effect comes from; see `study.controls`."""

    noise: Switch = False
    """Each arm with auxiliary languages once more, their training speech replaced by noise."""
    shuffled_transcripts: Switch = False
    """Each arm with auxiliary languages once more, their transcripts given to other utterances."""
    leave_one_out: Switch = False
    """Each arm with auxiliary languages once more without each of them in turn."""


class CompareSettings(Section):
    """What `speech-mtl compare` runs: every budget x arm x seed."""

    budgets_min: Annotated[tuple[Positive, ...], Field(max_length=1000)] = (10.0,)
    """Minutes of target speech, nested."""
    arms: Annotated[tuple[Word, ...], Field(max_length=1000)] = ("alone", "joint")
    """Ways of training that are compared; see `study.arms`."""
    seeds: Annotated[tuple[Seed, ...], Field(max_length=1000)] = (0,)
    """Every arm is trained once with each."""
    protocol: Protocol = "equal_speech"
    """What is held equal: the target's speech, and each arm is trained until its validation error no longer falls; the
    updates of target speech; or all updates. See `study.protocols`."""
    pretrain_updates: Count = 1000
    """`num_updates` of the stage before fine-tuning, in arms that have one."""
    pretrain_seed: Seed | None = None
    """Of the auxiliary languages' pretraining: one run for all seeds. None: one for each, so that its spread is in the
    intervals."""
    finetune_updates: Count = 1000
    """`num_updates` on the target after that, if the protocol is `equal_speech`."""
    finetune_learning_rate: Rate = 1e-3
    """Where the encoder stays as it is, `methods.FROZEN_RATE` times as high."""
    finetune_warmup_updates: CountFromZero | None = None
    """`warmup_updates` on the target after pretraining. None: a quarter of `finetune_updates`, and at most 200."""
    keep_auxiliaries: Switch = False
    """Whether runs that go on from a pretrained one keep its output layers, and are tested for what was forgotten."""
    controls: ControlSettings = ControlSettings()
    variants: Annotated[dict[Name, dict[Word, Any]], Field(max_length=1000)] = {}
    """Settings to try: every arm is run with each of these changes (dotted keys) and is then named `ARM:VARIANT`."""
    reference: Word = "alone"
    """What every arm is measured against in the table of tasks: an arm, which stands for that arm of each variant where
    there are variants, or `ARM:VARIANT`."""
    num_replications: Annotated[int, Field(strict=True, ge=100, le=1_000_000), _WHOLE] = 10_000
    """Of the bootstrap that gives the intervals."""

    @property
    def finetune_warmup(self) -> int:
        """Updates of warm-up on the target, given or not."""
        return _phase(self.finetune_warmup_updates, self.finetune_updates, WARMUP)


class TuneSettings(Section):
    """What `speech-mtl tune` searches; see `study.tune`."""

    sampler: Literal["grid", "bayes"] = "grid"
    """All combinations of the weights, or Bayesian optimisation between their ends."""
    weights: dict[Word, Annotated[tuple[Positive, ...], Field(max_length=1000)]] = {}
    """By language or task, the weights to try: all combinations of a grid, or the ends of a range."""
    num_trials: Annotated[int, Field(strict=True, ge=1, le=100_000), _WHOLE] = 20
    """Of `bayes`."""
