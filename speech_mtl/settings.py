"""Every setting, its default, its unit and its check; `config.Recipe` holds them all.

Field name = argument name of the class that `build` makes = key in the YAML file.
"""

import json
from collections.abc import Callable
from functools import cached_property
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Discriminator, Field, Tag, field_validator, model_validator

Share = Annotated[float, Field(ge=0, lt=1)]
Kept = Annotated[float, Field(gt=0, le=1)]
Positive = Annotated[float, Field(gt=0)]
Weight = Annotated[float, Field(ge=0, allow_inf_nan=False)]
PositiveWeight = Annotated[float, Field(gt=0, allow_inf_nan=False)]
Count = Annotated[int, Field(ge=1)]
Seed = Annotated[int, Field(ge=0, lt=2**32)]


class Section(BaseModel):
    """A block of settings. Unknown keys are errors, and values cannot be changed afterwards."""

    model_config = ConfigDict(extra="forbid", frozen=True)


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
    budget_s: Positive | None = None
    """Seconds of training speech to use; a smaller budget is part of a larger one. None: all there is."""
    replace: Literal["noise", "shuffled_transcripts"] | None = None
    """A control: what training hears is noise, or what it reads belongs to other utterances; see `data.replaced`.

    Dev and test speech and the vocabulary stay as they are. None: true speech with its own transcripts.
    """
    keep_transcripts: Kept = 1.0
    """Share of the training transcripts, chosen at random, that training sees; the others count as unknown."""
    manifests: dict[Literal["train", "dev", "test"], Path] = {}
    """By split, manifests that lie elsewhere than in `data.dir/LANGUAGE/`."""
    train: bool = True
    """Whether training uses its speech. Without, its output layer stays what it is in the run of `init_from`."""
    output_layer: Literal["keep", "new"] | None = None
    """Whether training goes on from the output layer that `init_from` has for it, with that vocabulary, or makes a new
    one. None: keep it if training's transcripts give the same vocabulary."""
    share: Kept | None = None
    """Share of the speech in batches. None: what the others leave, in proportion to (amount) ** `data.alpha`."""


class TaskSection(Section):
    """What all kinds of tasks have; see `tasks.Task`."""

    label: str | None = None
    """Name of its labels in the manifests, there `labels.NAME`, or `language` or `speaker`. None: the task's name."""
    keep_labels: Kept = 1.0
    """Share of the training labels, chosen at random, that training sees; the others count as unknown."""


class PooledTaskSection(TaskSection):
    """A task whose head sees the whole utterance at once."""

    pooling: Literal["attention", "mean"] = "attention"
    """How encoder frames become one; see `models.task_heads`."""


class UnseenSection(TaskSection):
    """A task whose labels are names."""

    unseen: Literal["refuse", "unknown"] = "refuse"
    """What to do with a class or tag in dev or test that no training utterance has."""


class ClassesTaskSettings(PooledTaskSection, UnseenSection):
    """One of several classes; see `tasks.classes`."""

    kind: Literal["classes"] = "classes"


class NumberTaskSettings(PooledTaskSection):
    """A number; see `tasks.number`."""

    kind: Literal["number"] = "number"


class TagsTaskSettings(PooledTaskSection, UnseenSection):
    """Several yes or no labels at once; see `tasks.tags`."""

    kind: Literal["tags"] = "tags"


class FrameTagsTaskSettings(UnseenSection):
    """Several yes or no labels of every frame; see `tasks.frame_tags`."""

    kind: Literal["frame_tags"] = "frame_tags"


TaskSettings = Annotated[
    Annotated[ClassesTaskSettings, Tag("classes")]
    | Annotated[NumberTaskSettings, Tag("number")]
    | Annotated[TagsTaskSettings, Tag("tags")]
    | Annotated[FrameTagsTaskSettings, Tag("frame_tags")],
    Discriminator(_kind("classes")),
]


class DataSettings(Section):
    """Where speech comes from and how it is batched."""

    dir: Path
    """Folder of manifests; relative to the folder in which the command runs."""
    cache_dir: Path = Path("runs/cache")
    """Decoded audio is kept here, 16-bit and at `sample_rate_hz`: about 115 MB an hour."""
    sample_rate_hz: Count = 16_000
    min_duration_s: Positive = 0.1
    max_duration_s: Positive = 30.0
    allow_skipped: Share = 0.01
    """Largest share of a manifest's utterances that may be unusable."""
    batch_s: Positive = 60.0
    """Seconds of speech in a batch, padding included."""
    alpha: Annotated[float, Field(ge=0, le=1)] = 0.5
    """Languages are drawn in proportion to (amount of training speech) ** alpha: 1 as it comes, 0 all alike."""
    mixing: Literal["by_length", "every_language"] = "by_length"
    """Whether a batch holds utterances of like length, or every language at its share; see `data.batching.MIXINGS`."""
    subset_seed: Seed = 0
    """Which utterances make up a budget, and which labels are kept; not the seed of a run, so that runs compare."""
    require_all_labels: bool = False
    """Leave out training utterances of which the transcript or any task's label is unknown."""
    num_threads: Count = 2
    """Threads that prepare batches."""


class LogMelSettings(Section):
    """See `models.features.LogMel`."""

    kind: Literal["log_mel"] = "log_mel"
    num_mels: Count = 80
    window_s: Positive = 0.025
    hop_s: Positive = 0.010
    fft_size: Count = 512
    mel: Literal["slaney", "htk"] = "slaney"
    floor: Positive = 1e-6
    floor_is: Literal["added", "cut"] = "added"
    normalize: Literal["mean_variance", "mean", "none"] = "mean_variance"


class WhisperFeatureSettings(Section):
    """See `models.whisper.WhisperFeatures`."""

    kind: Literal["whisper"] = "whisper"
    num_mels: Count = 80


FeatureSettings = Annotated[
    Annotated[LogMelSettings, Tag("log_mel")] | Annotated[WhisperFeatureSettings, Tag("whisper")],
    Discriminator(_kind("log_mel")),
]


class SpecAugmentSettings(Section):
    """See `models.augment.SpecAugment`."""

    num_time_masks: Annotated[int, Field(ge=0)] = 2
    max_time_share: Share = 0.1
    num_frequency_masks: Annotated[int, Field(ge=0)] = 2
    max_mels: Annotated[int, Field(ge=0)] = 20


class AugmentSettings(Section):
    """What is done to training speech, and to no other."""

    spec_augment: SpecAugmentSettings = SpecAugmentSettings()
    speeds: Annotated[tuple[Positive, ...], Field(min_length=1)] = (0.9, 1.0, 1.1)
    """Each utterance is played at one of these speeds (Ko et al. 2015)."""
    noise_probability: Annotated[float, Field(ge=0, le=1)] = 0.0
    """Share of utterances to which white noise is added."""
    noise_snr_db: tuple[float, float] = (10.0, 30.0)
    """Range of the signal-to-noise ratio."""

    @field_validator("noise_snr_db")
    @classmethod
    def _range_rises(cls, ends):
        if not ends[0] <= ends[1]:
            raise ValueError("the lower end of the range, then the higher one")
        return ends


class ConformerSettings(Section):
    """See `models.encoders.Conformer`."""

    kind: Literal["conformer"] = "conformer"
    num_layers: Count = 6
    dim: Count = 144
    num_heads: Count = 4
    kernel_size: Count = 15
    expansion: Count = 4
    channels: Count = 16
    dropout: Share = 0.1
    zero_branches: bool = False

    @model_validator(mode="after")
    def _heads_divide_width(self):
        if self.dim % (2 * self.num_heads):
            raise ValueError(f"dim must be a multiple of 2 * num_heads = {2 * self.num_heads}")
        return self


class RecurrentSettings(Section):
    """See `models.encoders.RecurrentEncoder`."""

    kind: Literal["recurrent"] = "recurrent"
    num_layers: Count = 3
    dim: Count = 256
    cell: Literal["lstm", "gru"] = "lstm"
    channels: Count = 16
    dropout: Share = 0.1

    @model_validator(mode="after")
    def _halves(self):
        if self.dim % 2:
            raise ValueError("dim must be even, half of it for each direction")
        return self


class WhisperSettings(Section):
    """See `models.whisper.WhisperEncoder`."""

    kind: Literal["whisper"] = "whisper"
    dir: Path
    """Folder of the trained model; relative to the folder in which the command runs."""
    dropout: Share = 0.0

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

    languages: Annotated[tuple[str, ...], Field(min_length=1)]
    """Those that it was or is trained with."""
    encoder: OneEncoderSettings = ConformerSettings()
    hears: tuple[Annotated[int, Field(ge=0)], ...] | None = None
    """Numbers of the earlier columns, from 0, that it listens to. None: all."""


class ProgressiveSettings(Section):
    """See `models.progressive.ProgressiveEncoder`. Only the last column is trained; others come from `init_from`."""

    kind: Literal["progressive"] = "progressive"
    columns: Annotated[tuple[ColumnSettings, ...], Field(min_length=1)]
    lateral_size: Count = 32

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
    Discriminator(_kind("conformer")),
]


class SharingSettings(Section):
    """Which layers of the encoder all languages share; output layers never are."""

    kind: Literal["whole_encoder", "bottom", "middle", "nothing"] = "whole_encoder"
    """`bottom`: all but the highest `num_own`. `middle`: all but the lowest and the highest `num_own`."""
    num_own: Count = 1
    """Layers at either end that each language has for itself: blocks, and at the bottom first the subsampling."""


class AdapterSection(Section):
    """What both kinds of adapters have."""

    languages: tuple[str, ...] | None = None
    """Those that have some. None: all."""


class BottleneckAdapterSettings(AdapterSection):
    """See `models.language_layers.Adapter`."""

    kind: Literal["bottleneck"] = "bottleneck"
    size: Count = 32


class LowRankAdapterSettings(AdapterSection):
    """See `models.language_layers.LowRank`."""

    kind: Literal["low_rank"] = "low_rank"
    rank: Count = 8
    alpha: Positive = 16.0


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


class UnfreezeGradualSettings(Section):
    """See `training.unfreezing.Gradual`."""

    kind: Literal["gradual"] = "gradual"
    num_updates: Count = 100


class UnfreezeLayerwiseSettings(Section):
    """See `training.unfreezing.Layerwise`."""

    kind: Literal["layerwise"] = "layerwise"
    decay: Annotated[float, Field(gt=0, le=1)] = 0.8


UnfreezingSettings = Annotated[
    Annotated[UnfreezeAllSettings, Tag("all")]
    | Annotated[UnfreezeHeadsSettings, Tag("heads")]
    | Annotated[UnfreezeHeadsFirstSettings, Tag("heads_first")]
    | Annotated[UnfreezeGradualSettings, Tag("gradual")]
    | Annotated[UnfreezeLayerwiseSettings, Tag("layerwise")],
    Discriminator(_kind("all")),
]


class TrainingSettings(Section):
    """How the weights are found."""

    num_updates: Count = 2000
    learning_rate: Positive = 2e-3
    """Peak, reached after `warmup_updates`; from there it falls along a half cosine to `final_learning_rate`."""
    final_learning_rate: Annotated[float, Field(ge=0)] = 1e-5
    warmup_updates: Annotated[int, Field(ge=0)] = 600
    """With 200, training of several languages together stays at a high error with some seeds (`recipes/human`)."""
    blank_bias: Annotated[float, Field(allow_inf_nan=False)] = 0.0
    """Of new output layers at the start; below 0, blanks are less likely at first; see `models.heads.LanguageHeads`."""
    weight_decay: Annotated[float, Field(ge=0)] = 0.01
    clip_norm: Positive = 1.0
    muon_learning_rate: Positive | None = None
    """Peak of the matrices in the encoder's blocks, which Muon changes then, 0.02 for instance; it rises and falls with
    `learning_rate`. None: AdamW changes all; see `training.optimizer.FlatAdamW`."""
    average_decay: Share = 0.0
    """Of a running mean of the weights, an update; looks at the dev sets and the run's end use it. 0: the weights as
    they are; see `training.optimizer.FlatAdamW`."""
    evaluate_every: Count = 100
    """Updates between two looks at the dev sets; a checkpoint is written each time."""
    patience: Count = 10
    """Looks at the dev set without a better error after which training stops."""
    select: Literal["best", "last"] = "best"
    """Which weights a run ends with: those with the lowest dev error, or the last ones, then without early stopping."""
    unfreezing: UnfreezingSettings = UnfreezeAllSettings()
    """Which layers are trained, when, and how fast; for training that starts from another run."""
    log_conflicts: bool = False
    """Whether each look at the dev sets logs the cosines between the tasks' gradients in the encoder."""


class EqualWeightingSettings(Section):
    """Every task counts alike."""

    kind: Literal["equal"] = "equal"


class FixedWeightingSettings(Section):
    """Weights that are given here."""

    kind: Literal["fixed"] = "fixed"
    weights: dict[str, Weight] = {}
    """lambda of languages and tasks, by name; 1 for those that are not named."""


class UncertaintyWeightingSettings(Section):
    """See `training.weighting.Uncertainty`."""

    kind: Literal["uncertainty"] = "uncertainty"
    learning_rate: Positive = 0.01
    min_weight: Annotated[float, Field(gt=0, le=1)] = 0.25
    max_weight: Annotated[float, Field(ge=1)] = 4.0


class DynamicWeightAverageSettings(Section):
    """See `training.weighting.DynamicWeightAverage`."""

    kind: Literal["dynamic_weight_average"] = "dynamic_weight_average"
    temperature: Positive = 2.0
    period: Count = 100


class GradNormSettings(Section):
    """See `training.weighting.GradNorm`."""

    kind: Literal["gradnorm"] = "gradnorm"
    alpha: Annotated[float, Field(ge=0)] = 1.5
    learning_rate: Positive = 0.025
    start_updates: Count = 50


class RandomWeightsSettings(Section):
    """See `training.weighting.RandomWeights`."""

    kind: Literal["random"] = "random"


class CtcDroSettings(Section):
    """See `training.weighting.CtcDro`."""

    kind: Literal["ctc_dro"] = "ctc_dro"
    step_size: Positive = 1e-4
    smoothing: Positive = 0.5
    duration_s: Positive = 50.0


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


GradientSettings = Annotated[
    Annotated[PCGradSettings, Tag("pcgrad")] | Annotated[CAGradSettings, Tag("cagrad")],
    Discriminator(_kind("pcgrad")),
]


class ControlSettings(Section):
    """Further arms that tell what an effect comes from; see `experiments.controls`."""

    equal_updates: bool = False
    """`alone` once more, with as many updates as the longest arm and no early stopping."""
    noise: bool = False
    """Each arm with auxiliary languages once more, their training speech replaced by noise."""
    shuffled_transcripts: bool = False
    """Each arm with auxiliary languages once more, their transcripts given to other utterances."""
    leave_one_out: bool = False
    """Each arm with auxiliary languages once more without each of them in turn."""


class CompareSettings(Section):
    """What `speech-mtl compare` runs: every budget x arm x seed."""

    budgets_min: tuple[Positive, ...] = (10.0,)
    """Minutes of target speech, nested."""
    arms: tuple[str, ...] = ("alone", "joint")
    seeds: tuple[Seed, ...] = (0,)
    pretrain_updates: Count = 1000
    """`num_updates` of the auxiliary languages' pretraining, in arms that pretrain."""
    finetune_updates: Count = 1000
    """`num_updates` on the target after pretraining."""
    finetune_learning_rate: Positive = 1e-3
    """Where the encoder stays as it is, `methods.FROZEN_RATE` times as high."""
    finetune_warmup_updates: Annotated[int, Field(ge=0)] = 200
    keep_auxiliaries: bool = False
    """Whether runs that go on from a pretrained one keep its output layers, and are tested for what was forgotten."""
    controls: ControlSettings = ControlSettings()
    variants: dict[str, dict[str, Any]] = {}
    """Settings to try: every arm is run with each of these changes (dotted keys) and is then named `ARM:VARIANT`."""
    reference: str = "alone"
    """What every arm is measured against in the table of tasks: an arm, which stands for that arm of each variant where
    there are variants, or `ARM:VARIANT`."""
    num_replications: Annotated[int, Field(ge=100)] = 10_000
    """Of the bootstrap that gives the intervals."""


class TuneSettings(Section):
    """What `speech-mtl tune` searches; see `experiments.tune`."""

    sampler: Literal["grid", "bayes"] = "grid"
    weights: dict[str, tuple[PositiveWeight, ...]] = {}
    """By language or task, the weights to try: all combinations of a grid, or the ends of a range."""
    num_trials: Count = 20
    """Of `bayes`."""
