"""Settings of commands that train several runs: `compare`, `transfer` and `tune`."""

from typing import TYPE_CHECKING, Annotated, Any, Literal

from pydantic import Field, field_validator

from speech_mtl.datatypes import Protocol
from speech_mtl.settings.data import PseudoLabelFilter
from speech_mtl.settings.decoding import DecodingSettings
from speech_mtl.settings.section import WHOLE, Count, FilePath, Name, Positive, Section, Seed, Switch, Word

if TYPE_CHECKING:
    from speech_mtl.settings.recipe import Recipe


PRETRAIN_SECTIONS = ("data", "augment", "encoder", "training", "weighting", "gradients")
"""What pretraining may have of its own: how a network is trained, and not on what or for what."""


class ControlSettings(Section):
    """Further arms that show the cause of an effect; see `study.controls`."""

    noise: Switch = False
    """Each arm with auxiliary languages once more, their training speech replaced by noise."""
    shuffled_transcripts: Switch = False
    """Each arm with auxiliary languages once more, their transcripts given to other utterances."""
    leave_one_out: Switch = False
    """Each arm with auxiliary languages once more without each of them in turn."""


class PseudoLabelArmSettings(PseudoLabelFilter):
    """Settings of the arm `pseudo_labels`; see `study.arms`."""

    teacher: Word = "pretrain_finetune"
    """The arm that transcribes the untranscribed speech."""
    untranscribed_min: Positive | None = None
    """Minutes of the target's speech beyond the budget that are used without transcripts. None: all there is."""
    rounds: Annotated[int, Field(strict=True, ge=1, le=20), WHOLE] = 1
    """Students that are trained one after another, each taught by the one before."""
    start: Literal["pretrained", "teacher", "random"] = "pretrained"
    """Weights that a student starts from: those of the auxiliary languages, of its teacher, or random ones."""


class CompareSettings(Section):
    """Settings of `speech-mtl compare`, which runs every budget x arm x seed."""

    budgets_min: Annotated[tuple[Positive, ...], Field(max_length=1000)] = (10.0,)
    """Minutes of target speech, nested."""
    arms: Annotated[tuple[Word, ...], Field(max_length=1000)] = ("alone", "joint")
    """Ways of training that are compared; see `study.arms`."""
    seeds: Annotated[tuple[Seed, ...], Field(max_length=1000)] = (0,)
    """Every arm is trained once with each."""
    protocol: Protocol = "equal_speech"
    """Quantity held equal: the target's speech, and each arm is trained until its validation error no longer falls; the
    updates of target speech; or all updates. See `study.protocols`."""
    pretrain_updates: Count = 1000
    """`num_updates` of the stage before fine-tuning, in arms that have one."""
    pretrain_seed: Seed | None = None
    """Seed of the auxiliary languages' pretraining: one run for all seeds. None: one for each, so that intervals
    include its spread."""
    pretrain_changes: Annotated[dict[Word, Any], Field(max_length=1000)] = {}
    """Other settings of the stage before fine-tuning, by dotted key: less dropout, as it has more speech."""
    keep_auxiliaries: Switch = False
    """Whether runs that are initialised from a pretrained one keep its output layers and are tested for forgetting."""
    pseudo_labels: PseudoLabelArmSettings = PseudoLabelArmSettings()
    controls: ControlSettings = ControlSettings()
    variants: Annotated[dict[Name, dict[Word, Any]], Field(max_length=1000)] = {}
    """Settings to try: every arm is run with each of these changes (dotted keys) and is then named `ARM:VARIANT`. A
    variant without changes is the recipe itself: its arms keep their names, and its `alone` is what all are measured
    against. With `compare.arms` among the changes, a variant is only tried in these."""
    reference: Word = "alone"
    """Reference of every arm in the table of tasks: an arm, which stands for that arm of each variant where
    there are variants, or `ARM:VARIANT`."""
    num_replications: Annotated[int, Field(strict=True, ge=100, le=1_000_000), WHOLE] = 10_000
    """Replications of the bootstrap for the intervals."""
    decoders: Annotated[dict[Name, DecodingSettings], Field(max_length=100)] = {}
    """Decoders besides `decoding`, by name: every trained run recognises its target's test set with each. N-grams are
    made from the run's own training transcripts of the target, and tuned on its validation set."""
    lm_texts: Annotated[tuple[FilePath, ...], Field(max_length=1000)] = ()
    """Text files in UTF-8, a sentence a line, from which all these n-grams are made, too. Sentences of validation and
    test sets are left out."""

    @field_validator("pretrain_changes")
    @classmethod
    def _changes_how_it_is_trained(cls, changes: dict[str, Any]) -> dict[str, Any]:
        named = {"training.num_updates": "compare.pretrain_updates", "seed": "compare.pretrain_seed"}
        for key in changes:
            if key in named:
                raise ValueError(f"{key} is {named[key]} here")
            if key.partition(".")[0] not in PRETRAIN_SECTIONS:
                raise ValueError(f"{key} is none of the sections {', '.join(PRETRAIN_SECTIONS)}")
        return changes

    def refuse_unfit(self, recipe: "Recipe") -> None:
        """Each decoder has a name of its own; that of `decoding` is its kind."""
        if recipe.decoding.kind in self.decoders:
            raise ValueError(
                f"compare.decoders must not have the name {recipe.decoding.kind!r}, which stands for the decoder "
                "of `decoding`"
            )


class TuneSettings(Section):
    """Settings of `speech-mtl tune`; see `study.tune`."""

    sampler: Literal["grid", "bayes"] = "grid"
    """All combinations of the loss weights, or Bayesian optimisation between their ends."""
    weights: dict[Word, Annotated[tuple[Positive, ...], Field(max_length=1000)]] = {}
    """By language or task, the loss weights to try: all combinations of a grid, or the ends of a range."""
    num_trials: Annotated[int, Field(strict=True, ge=1, le=100_000), WHOLE] = 20
    """Number of trials of `bayes`."""
