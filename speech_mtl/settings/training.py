"""Settings of training: updates and rates, and how languages and tasks are weighed."""

from typing import Annotated, Literal

from pydantic import Discriminator, Field, Tag, model_validator

from speech_mtl.settings.section import (
    Count,
    CountFromZero,
    Kept,
    Positive,
    Rate,
    Section,
    Share,
    Switch,
    Weight,
    Word,
    kind_or,
)


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
    Discriminator(kind_or("all")),
]


WARMUP = 200


COOLDOWN = 600
"""Most updates of either where none are given."""


def phase(given: int | None, num_updates: int, most: int) -> int:
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
        return phase(self.warmup_updates, self.num_updates, WARMUP)

    @property
    def cooldown(self) -> int:
        """Updates over which the learning rate falls at the end, given or not; 0: along a cosine."""
        return phase(self.cooldown_updates, self.num_updates, COOLDOWN)

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
    Discriminator(kind_or("equal")),
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
    Discriminator(kind_or("pcgrad")),
]
