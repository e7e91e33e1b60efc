"""Every setting, its default, its unit and its check. A recipe is a YAML file of these.

Field name = argument name of the class that `build` makes = key in the YAML file. Settings are checked once, here, when
a recipe is loaded; what comes out is frozen.
"""

import difflib
import io
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Discriminator, Field, Tag, ValidationError, model_validator
from ruamel.yaml import YAML, YAMLError

from speech_mtl.datatypes import TRANSCRIPT
from speech_mtl.errors import InputError

Share = Annotated[float, Field(ge=0, lt=1)]
Kept = Annotated[float, Field(gt=0, le=1)]
Positive = Annotated[float, Field(gt=0)]
Weight = Annotated[float, Field(ge=0, allow_inf_nan=False)]
Count = Annotated[int, Field(ge=1)]


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


class ClassesTaskSettings(PooledTaskSection):
    """One of several classes; see `tasks.classes`."""

    kind: Literal["classes"] = "classes"
    unseen: Literal["refuse", "unknown"] = "refuse"
    """What to do with a class in dev or test that no training utterance has."""


class NumberTaskSettings(PooledTaskSection):
    """A number; see `tasks.number`."""

    kind: Literal["number"] = "number"


class TagsTaskSettings(PooledTaskSection):
    """Several yes or no labels at once; see `tasks.tags`."""

    kind: Literal["tags"] = "tags"


class FrameTagsTaskSettings(TaskSection):
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
    subset_seed: int = 0
    """Which utterances make up a budget, and which labels are kept; not the seed of a run, so that runs compare."""
    require_all_labels: bool = False
    """Leave out training utterances of which the transcript or any task's label is unknown."""
    num_threads: Count = 2
    """Threads that prepare batches."""


class FeatureSettings(Section):
    """Log-mel features; see `models.features.LogMel`."""

    num_mels: Count = 80
    window_s: Positive = 0.025
    hop_s: Positive = 0.010
    fft_size: Count = 512


class SpecAugmentSettings(Section):
    """See `models.augment.SpecAugment`."""

    num_time_masks: Annotated[int, Field(ge=0)] = 2
    max_time_share: Share = 0.1
    num_frequency_masks: Annotated[int, Field(ge=0)] = 2
    max_mels: Annotated[int, Field(ge=0)] = 20


class AugmentSettings(Section):
    """What is done to training speech, and to no other."""

    spec_augment: SpecAugmentSettings = SpecAugmentSettings()
    speeds: tuple[Positive, ...] = (0.9, 1.0, 1.1)
    """Each utterance is played at one of these speeds (Ko et al. 2015)."""
    noise_probability: Annotated[float, Field(ge=0, le=1)] = 0.0
    """Share of utterances to which white noise is added."""
    noise_snr_db: tuple[float, float] = (10.0, 30.0)
    """Range of the signal-to-noise ratio."""


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


EncoderSettings = Annotated[
    Annotated[ConformerSettings, Tag("conformer")] | Annotated[RecurrentSettings, Tag("recurrent")],
    Discriminator(_kind("conformer")),
]


class TrainingSettings(Section):
    """How the weights are found."""

    num_updates: Count = 2000
    learning_rate: Positive = 2e-3
    """Peak, reached after `warmup_updates`; from there it falls along a half cosine to `final_learning_rate`."""
    final_learning_rate: Annotated[float, Field(ge=0)] = 1e-5
    warmup_updates: Annotated[int, Field(ge=0)] = 200
    weight_decay: Annotated[float, Field(ge=0)] = 0.01
    clip_norm: Positive = 1.0
    evaluate_every: Count = 100
    """Updates between two looks at the dev sets; a checkpoint is written each time."""
    patience: Count = 10
    """Looks at the dev set without a better error after which training stops."""
    select: Literal["best", "last"] = "best"
    """Which weights a run ends with: those with the lowest dev error, or the last ones, then without early stopping."""
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
    seeds: tuple[int, ...] = (0,)
    pretrain_updates: Count = 1000
    """`num_updates` of the auxiliary languages' pretraining, in arms that pretrain."""
    finetune_updates: Count = 1000
    """`num_updates` on the target after pretraining."""
    finetune_learning_rate: Positive = 1e-3
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
    weights: dict[str, tuple[Positive, ...]] = {}
    """By language or task, the weights to try: all combinations of a grid, or the ends of a range."""
    num_trials: Count = 20
    """Of `bayes`."""


class Recipe(Section):
    """All settings of a run or a comparison."""

    name: str
    about: str = ""
    """A sentence about the data that is printed wherever results are shown."""
    target: str | None = None
    """The language that matters: early stopping and comparisons look at its errors. None: the mean of all languages.

    Early stopping can look at a task instead; comparisons need a language.
    """
    languages: dict[str, LanguageSettings] = Field(min_length=1)
    tasks: dict[str, TaskSettings] = {}
    """What is predicted besides transcripts, by a name of its own."""
    weighting: WeightingSettings = EqualWeightingSettings()
    """lambda of each language and task in the objective; see `training.objective`."""
    gradients: GradientSettings | None = None
    """How the tasks' gradients are combined in the encoder. None: they are added up."""
    data: DataSettings
    features: FeatureSettings = FeatureSettings()
    augment: AugmentSettings = AugmentSettings()
    encoder: EncoderSettings = ConformerSettings()
    training: TrainingSettings = TrainingSettings()
    compare: CompareSettings = CompareSettings()
    tune: TuneSettings = TuneSettings()
    seed: int = 0
    init_from: Path | None = None
    """A run whose encoder, and whose output layers of languages named here, training starts from."""

    @model_validator(mode="after")
    def _target_is_a_language(self):
        if self.target is not None and self.target not in (*self.languages, *self.tasks):
            raise ValueError(
                f"target must be one of the languages or tasks: {', '.join([*self.languages, *self.tasks])}"
            )
        return self

    @model_validator(mode="after")
    def _names_differ(self):
        if twice := [name for name in self.tasks if name in self.languages]:
            raise ValueError(f"a task must not have the name of a language: {', '.join(twice)}")
        return self

    @model_validator(mode="after")
    def _labels_are_kept_alike(self):
        kept: dict[str, float] = {}
        for name, task in self.tasks.items():
            label = task.label or name
            if label == TRANSCRIPT:
                raise ValueError(f"tasks.{name}: the label {TRANSCRIPT!r} stands for transcripts; choose another name")
            if kept.setdefault(label, task.keep_labels) != task.keep_labels:
                raise ValueError(f"tasks of the label {label!r} must have the same keep_labels")
        return self

    @model_validator(mode="after")
    def _weights_have_tasks(self):
        given = self.weighting.weights if isinstance(self.weighting, FixedWeightingSettings) else {}
        names = [*self.languages, *self.tasks]
        if unknown := [name for name in given if name not in names]:
            raise ValueError(f"weighting.weights names {', '.join(unknown)}; the tasks are {', '.join(names)}")
        return self

    def with_languages(
        self, languages: Mapping[str, LanguageSettings], changes: Mapping[str, Any] | None = None
    ) -> "Recipe":
        """A copy with other languages and further changes; weights of languages that are gone go too."""
        changes = {"languages": languages, **(changes or {})}
        if isinstance(self.weighting, FixedWeightingSettings):
            names = (*languages, *self.tasks)
            changes["weighting.weights"] = {n: w for n, w in self.weighting.weights.items() if n in names}
        return self.overridden(changes)

    def overridden(self, overrides: Mapping[str, Any], where: str = "the settings") -> "Recipe":
        """A copy in which each dotted key has its new value; `where` these come from, for messages."""
        values = self.model_dump(mode="json")
        for key, value in overrides.items():
            _set(values, key, _plain(value))
        return _checked(values, where=where)

    def to_yaml(self) -> str:
        """All settings, defaults written out, as YAML that `load_recipe` reads back."""
        stream = io.StringIO()
        writer = YAML(typ="safe", pure=True)
        # The order of languages is that of `language_ids`.
        writer.sort_base_mapping_type_on_output = False  # pyright: ignore[reportAttributeAccessIssue]
        writer.dump(self.model_dump(mode="json"), stream)
        return stream.getvalue()


def load_recipe(path: Path, overrides: list[str] | None = None) -> Recipe:
    """Reads and checks a recipe.

    Args:
        path: A YAML 1.2 file, or a folder that holds `recipe.yaml`.
        overrides: `key=value` with dotted keys; the value is YAML.

    Raises:
        InputError: No such file, not YAML, an unknown key or a value that fails its check.
    """
    if path.is_dir():
        path = path / "recipe.yaml"
    if not path.is_file():
        raise InputError(
            f"There is no recipe {path}",
            expected="a YAML file, or a folder with a recipe.yaml",
            received="nothing at that path",
            action="name one of the folders in recipes/, such as recipes/synthetic",
        )
    try:
        values = _yaml(path.read_bytes())
    except YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        raise InputError(
            f"{path}:{mark.line + 1 if mark else 1}: not YAML ({getattr(error, 'problem', error)})",
            expected="a YAML 1.2 file",
            received="text that the parser stops at",
            action="mend the line",
        ) from None
    if not isinstance(values, dict):
        raise InputError(
            f"{path} holds no settings",
            expected="a mapping with at least the keys name, languages and data",
            received=type(values).__name__,
            action="start from one of the recipes in recipes/",
        )
    for override in overrides or []:
        key, sign, value = override.partition("=")
        if not sign:
            raise InputError(
                f"The setting {override!r} on the command line has no value",
                expected="key=value, such as training.num_updates=500",
                received=override,
                action="add =VALUE",
            )
        try:
            _set(values, key, _yaml(value))
        except YAMLError:
            raise InputError(
                f"The value of {key} on the command line is not YAML",
                expected="a number, a word, or a list such as [1, 2]",
                received=value,
                action="quote the value",
            ) from None
    return _checked(values, where=str(path))


def _plain(value: Any) -> Any:
    """Settings as a recipe's YAML has them."""
    if isinstance(value, Mapping):
        return {key: _plain(inner) for key, inner in value.items()}
    return value.model_dump(mode="json") if isinstance(value, BaseModel) else value


def _yaml(text: str | bytes) -> Any:
    return YAML(typ="safe", pure=True).load(text)  # YAML 1.2: `no` is a word and `3e-4` a number


def _set(values: dict, key: str, value: Any) -> None:
    *parents, last = key.split(".")
    for parent in parents:
        if not isinstance(values.get(parent), dict):
            values[parent] = {}
        values = values[parent]
    values[last] = value


def _checked(values: dict, where: str) -> Recipe:
    try:
        return Recipe.model_validate(values)
    except ValidationError as error:
        raise _input_error(error, where) from None


def _input_error(error: ValidationError, where: str) -> InputError:
    """The first problem that pydantic found, in our four parts."""
    first = error.errors(include_url=False)[0]
    parts = [str(part) for part in first["loc"]]
    named = zip(["", *parts], parts, strict=False)  # a task may have the name of a kind
    location = [part for before, part in named if before == "tasks" or part not in _KINDS]
    key = ".".join(location) or "the recipe"
    more = f" (and {error.error_count() - 1} more)" if error.error_count() > 1 else ""
    if first["type"] == "extra_forbidden":
        known = _known_keys(location[:-1])
        near = difflib.get_close_matches(location[-1], known, n=1)
        return InputError(
            f"{where}: unknown key {key!r}{more}",
            expected="one of " + ", ".join(known),
            received=key,
            action=f"did you mean {'.'.join([*location[:-1], *near])!r}?" if near else "remove the key",
        )
    expected = first["msg"].removeprefix("Value error, ")
    if first["type"] == "union_tag_invalid":
        expected = "one of the kinds " + str(first.get("ctx", {}).get("expected_tags"))
    received = "nothing" if first["type"] == "missing" else repr(first["input"])
    return InputError(
        f"{where}: {key} is not right{more}",
        expected=expected,
        received=received if len(received) <= 200 else received[:200] + "...",
        action=f"change {key}",
    )


def _kinds(section: type[Section]) -> set[str]:
    """The kinds of a settings class and all that are made from it."""
    own = {section.model_fields["kind"].default} if "kind" in section.model_fields else set()
    return own.union(*map(_kinds, section.__subclasses__()))


_KINDS = _kinds(Section)
"""What pydantic puts into the path of a setting that comes in several kinds."""


def _known_keys(location: list[str]) -> list[str]:
    """The keys that the section at a dotted location has; of every kind where there are several."""
    sections: list[Any] = [Recipe]
    for part in location:
        inner: list[Any] = []
        for section in sections:
            if part in section.model_fields:
                inner += _sections(section.model_fields[part].annotation)
            elif section is Recipe or not inner:
                inner += [section] if section is LanguageSettings else []
        sections = inner or sections
    return sorted({name for section in sections for name in section.model_fields})


def _sections(annotation: Any) -> list[Any]:
    """All settings classes that an annotation mentions."""
    if isinstance(annotation, type) and issubclass(annotation, Section):
        return [annotation]
    return [found for inner in getattr(annotation, "__args__", ()) for found in _sections(inner)]
