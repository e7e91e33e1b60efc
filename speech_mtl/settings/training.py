"""Settings of training: updates, rates and loss weights."""

from collections.abc import Collection
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Literal, Self

from pydantic import Field, model_validator

from speech_mtl.datatypes import TOP
from speech_mtl.settings.section import (
    Count,
    CountFromZero,
    Kept,
    Kinds,
    Positive,
    Proportion,
    Rate,
    Seconds,
    Section,
    Switch,
    Weight,
    Word,
)

if TYPE_CHECKING:
    from speech_mtl.settings.recipe import Recipe


class UnfreezingSettings(Kinds):
    """Which layers are trained, when, and how fast."""

    freezes_encoder: ClassVar[bool] = False
    """Whether the encoder is frozen."""


UnfreezeAll = UnfreezingSettings.plain("all", "training.unfreezing:All")
UnfreezeHeads = UnfreezingSettings.plain("heads", "training.unfreezing:Heads")
UnfreezeHeads.freezes_encoder = True


class UnfreezeHeadsFirstSettings(UnfreezingSettings, kind="heads_first", makes="training.unfreezing:HeadsFirst"):
    """See `training.unfreezing.HeadsFirst`."""

    num_updates: Count = 200
    """Updates until the encoder is trained, too."""


class UnfreezeGradualSettings(UnfreezingSettings, kind="gradual", makes="training.unfreezing:Gradual"):
    """See `training.unfreezing.Gradual`."""

    num_updates: Count = 100
    """Updates until the next layer is trained, too."""


class UnfreezeLayerwiseSettings(UnfreezingSettings, kind="layerwise", makes="training.unfreezing:Layerwise"):
    """See `training.unfreezing.Layerwise`."""

    decay: Kept = 0.8
    """Rate of a layer, as a fraction of that of the layer above."""


class OptimizerSettings(Kinds):
    """How a gradient becomes a step of the weights."""


AdamW = OptimizerSettings.plain("adamw", "training.optimizer:FlatAdamW")


def _refuse_nothing_shared(recipe: "Recipe", who: str) -> None:
    if not recipe.sharing.has_shared:
        raise ValueError(f"{who} needs gradients in shared layers, and sharing.kind leaves none")


def _refuse_no_gradients(recipe: "Recipe", who: str) -> None:
    if recipe.training.unfreezing.freezes_encoder:
        raise ValueError(f"{who} needs gradients in the encoder, which training.unfreezing freezes")
    _refuse_nothing_shared(recipe, who)


WARMUP, COOLDOWN = 200, 600
"""Most updates of either where none are given."""


def phase(given: int | None, num_updates: int, most: int) -> int:
    """Updates of a warm-up or cooldown: as given, else a quarter of all, and at most `most`."""
    return min(most, num_updates // 4) if given is None else given


class TrainingSettings(Section):
    """Settings of the optimisation of the weights."""

    optimizer: OptimizerSettings = OptimizerSettings.usual()
    """How a gradient becomes a step of the weights."""
    num_updates: Count = 2000
    """Most updates: training may stop before; see `patience`."""
    learning_rate: Rate = 2e-3
    """Peak, reached after the warm-up; from there it falls to `final_learning_rate`, see `cooldown_updates`."""
    final_learning_rate: Annotated[float, Field(strict=True, ge=0, le=10)] = 1e-5
    """Learning rate that training ends towards: it would be that of one update more."""
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
    """Matrices shrink by this times the learning rate at each update."""
    clip_norm: Positive = 1.0
    """Longer gradients are made this long."""
    part_s: Seconds | None = None
    """Seconds of speech, padding included, that are computed at once: a larger batch is computed in parts one after
    another, whose gradients are added. It takes the memory of a part, and learns what the whole batch does, but for
    dropout, which draws other numbers. None: the whole batch."""
    recompute: Switch = False
    """Whether the activations inside the encoder's blocks are computed again for the gradient, and not kept: less
    memory, more time. Under JAX only."""
    precision: Literal["float32", "bfloat16"] = "float32"
    """Of what the encoder computes while it is trained. bfloat16 takes half the memory, and less time where the device
    has units for it, as GPUs have; weights, their gradients, normalisation, softmax and losses are float32 in any
    case. A trained network computes in float32."""
    average_decay: Proportion = 0.99
    """Decay per update of a running mean of the weights, which validation and the run's end use. 0: the weights as
    they are; see `training.optimizer.FlatOptimizer`."""
    evaluate_every: Count = 100
    """Updates between two validations; a checkpoint is written at each."""
    patience: Count = 5
    """Validations without a better error after which training stops, or `cooldown_updates` begin."""
    min_improvement: Proportion = 0.0
    """Fraction by which the error has to fall to count as better for `patience`; the best weights are kept anyway."""
    select: Literal["best", "last"] = "best"
    """Which weights a run ends with: those with the lowest dev error, or the last ones, then without early stopping."""
    unfreezing: UnfreezingSettings = UnfreezingSettings.usual()
    """Which layers are trained, when, and how fast; for training that starts from another run."""
    log_conflicts: Switch = False
    """Whether each validation logs the cosine similarities between the tasks' gradients in the encoder."""

    @property
    def warmup(self) -> int:
        """Updates until the peak of the learning rate, given or not."""
        return phase(self.warmup_updates, self.num_updates, WARMUP)

    @property
    def cooldown(self) -> int:
        """Updates over which the learning rate falls at the end, given or not; 0: along a cosine."""
        return phase(self.cooldown_updates, self.num_updates, COOLDOWN)

    def refuse_unfit(self, recipe: "Recipe") -> None:
        """The gradients to log exist, and are of whole batches."""
        if self.log_conflicts:
            _refuse_nothing_shared(recipe, "training.log_conflicts")
        if self.part_s is not None and (recipe.gradients is not None or self.log_conflicts):
            whole = "training.log_conflicts" if self.log_conflicts else "gradients"
            raise ValueError(f"{whole} needs each task's gradient of the whole batch, so training.part_s must be null")

    @model_validator(mode="after")
    def _rate_falls(self):
        if self.final_learning_rate > self.learning_rate:
            raise ValueError(
                f"training.final_learning_rate must be at most training.learning_rate = {self.learning_rate:g}"
            )
        return self


class ColumnTrainingSettings(Section):
    """How a new column beside a trained encoder is trained: it starts from random weights."""

    num_updates: Count | None = None
    """Most updates. None: twice as many as where a trained encoder learns."""
    learning_rate: Rate = 2e-3
    """Peak."""
    warmup_updates: CountFromZero | None = None
    """Updates until the peak. None: a quarter of all, and at most 200."""


class FinetuneSettings(Section):
    """How a trained run learns a language: by `speech-mtl finetune`, and in the arms of comparisons that pretrain."""

    num_updates: Count | None = None
    """Most updates. None: 1200, or 2400 for an hour of speech or more, which is experience and was not measured."""
    learning_rate: Rate = 1e-3
    """Peak, where the encoder is trained."""
    frozen_factor: Positive = 10.0
    """Factor of the rate if the encoder is frozen: new layers are small and start from random weights; see
    `recipes/transfer/README.md`."""
    warmup_updates: CountFromZero | None = None
    """Updates until the peak. None: a quarter of all, and at most 200."""
    keep_tasks: Switch = True
    """Whether arms of comparisons learn the recipe's tasks while they fine-tune, too, or only before.
    `speech-mtl finetune` learns those that it is given, such as 'tasks={phones: {kind: phones}}'."""
    unfreezing: UnfreezingSettings = UnfreezingSettings.usual()
    """Which layers are trained, when, and how fast: no other way had fewer errors; see the end of
    `recipes/transfer/README.md`."""
    column: ColumnTrainingSettings = ColumnTrainingSettings()
    """The same of a new column, where the method is `progressive`."""

    def schedule(self, minutes: float, new_encoder: bool) -> dict[str, Any]:
        """Settings of training by dotted key, for so much speech; of a new encoder beside the old one, or of that."""
        own, updates = self.column if new_encoder else self, self.num_updates or (1200 if minutes < 60 else 2400)
        return {
            "training.unfreezing": UnfreezeAll() if new_encoder else self.unfreezing,
            "training.learning_rate": own.learning_rate,
            "training.warmup_updates": own.warmup_updates,
            "training.num_updates": own.num_updates or (2 * updates if new_encoder else updates),
        }


class WeightingSettings(Kinds):
    """Loss weight lambda of each language and task in the objective."""

    def of(self, names: Collection[str]) -> Self:  # noqa: ARG002
        """The same without loss weights of other languages and tasks."""
        return self

    def given(self) -> dict[str, float] | None:
        """Loss weights by language or task, 1 for those that are not named; None where training finds them."""
        return None


class EqualWeightingSettings(WeightingSettings, kind="equal", makes="training.weighting:Equal"):
    """See `training.weighting.Equal`."""

    def given(self) -> dict[str, float]:
        return {}


class FixedWeightingSettings(WeightingSettings, kind="fixed", makes="training.weighting:Fixed"):
    """See `training.weighting.Fixed`."""

    weights: dict[Word, Weight] = {}
    """Loss weights lambda of languages and tasks, by name; 1 for those that are not named."""

    def given(self) -> dict[str, float]:
        return self.weights

    def of(self, names: Collection[str]) -> Self:
        return self.model_copy(update={"weights": {name: w for name, w in self.weights.items() if name in names}})

    def refuse_unfit(self, recipe: "Recipe") -> None:
        """There is a language or task for each weight."""
        names = [*recipe.languages, *recipe.tasks]
        if unknown := [name for name in self.weights if name not in names]:
            raise ValueError(f"weighting.weights names {', '.join(unknown)}; the tasks are {', '.join(names)}")


class UncertaintyWeightingSettings(WeightingSettings, kind="uncertainty", makes="training.weighting:Uncertainty"):
    """See `training.weighting.Uncertainty`."""

    learning_rate: Rate = 0.01
    """Learning rate of the loss weights."""
    min_weight: Kept = 0.25
    """Of any task."""
    max_weight: Annotated[float, Field(strict=True, ge=1, le=1e6)] = 4.0
    """Of any task."""


class DynamicWeightAverageSettings(
    WeightingSettings, kind="dynamic_weight_average", makes="training.weighting:DynamicWeightAverage"
):
    """See `training.weighting.DynamicWeightAverage`."""

    temperature: Positive = 2.0
    """1 follows the losses closely, large values make the loss weights equal."""
    period: Count = 100
    """Updates between changes of the loss weights."""


class GradNormSettings(WeightingSettings, kind="gradnorm", makes="training.weighting:GradNorm"):
    """See `training.weighting.GradNorm`."""

    alpha: Annotated[float, Field(strict=True, ge=0, le=100)] = 1.5
    """Strength with which tasks that learn slowly are weighted up."""
    learning_rate: Rate = 0.025
    """Learning rate of the loss weights."""
    start_updates: Count = 50
    """Batches with a task over which its loss at the start is measured; its weight does not change meanwhile."""

    def refuse_unfit(self, recipe: "Recipe") -> None:
        """The gradients that it needs exist, and are added up."""
        if recipe.gradients is not None:
            raise ValueError("weighting.kind: gradnorm needs gradients that are added up, so gradients must be null")
        if lower := [name for name, task in recipe.tasks.items() if task.at != TOP]:
            raise ValueError(
                f"weighting.kind: gradnorm compares gradients in the last layer of the encoder, where tasks.{lower[0]} "
                f"has none: set tasks.{lower[0]}.at={TOP}"
            )
        _refuse_no_gradients(recipe, "weighting.kind: gradnorm")


RandomWeights = WeightingSettings.plain("random", "training.weighting:RandomWeights")


class CtcDroSettings(WeightingSettings, kind="ctc_dro", makes="training.weighting:CtcDro"):
    """See `training.weighting.CtcDro`."""

    step_size: Positive = 1e-4
    """Rate at which languages with a high loss get larger loss weights."""
    smoothing: Positive = 0.5
    """Above 0; the larger, the more weight goes to the worst language alone."""
    duration_s: Annotated[float, Field(strict=True, ge=1e-3, le=1e5)] = 50.0
    """Seconds of speech that a loss is scaled to."""


class GradientSettings(Kinds):
    """Gradient surgery on the tasks' gradients in the encoder."""

    def refuse_unfit(self, recipe: "Recipe") -> None:
        """There are gradients to combine."""
        _refuse_no_gradients(recipe, "gradients")


PCGrad = GradientSettings.plain("pcgrad", "training.gradient_surgery:PCGrad")


class CAGradSettings(GradientSettings, kind="cagrad", makes="training.gradient_surgery:CAGrad"):
    """See `training.gradient_surgery.CAGrad`."""

    radius: Proportion = 0.4
    """How far the common direction may lie from the mean gradient, as a fraction of its length."""
