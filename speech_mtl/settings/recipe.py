"""A recipe: all settings of a run or a comparison, checked once and then frozen."""

import math
import re
from collections.abc import Callable, Collection, Mapping, Sequence
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Annotated, Any

from pydantic import Field, ValidationError, field_validator, model_validator

from speech_mtl.data.languages import canonical
from speech_mtl.data.manifest import manifest_path
from speech_mtl.datatypes import TRANSCRIPT
from speech_mtl.errors import InputError
from speech_mtl.settings.data import AugmentSettings, DataSettings, LanguageSettings, PseudoLabelSettings
from speech_mtl.settings.decoding import DecodingSettings
from speech_mtl.settings.dotted import by_dotted_key, plain, set_value
from speech_mtl.settings.features import FeatureSettings
from speech_mtl.settings.language_layers import AdapterSettings, SharingSettings
from speech_mtl.settings.mistakes import Place, input_error
from speech_mtl.settings.network import EncoderSettings
from speech_mtl.settings.section import FilePath, LanguageName, Name, Section, Seed, Text, Word
from speech_mtl.settings.study import CompareSettings, TuneSettings
from speech_mtl.settings.tasks import LabelTaskSection, ScoredTaskSection, TaskSettings
from speech_mtl.settings.training import (
    FinetuneSettings,
    GradientSettings,
    TrainingSettings,
    WeightingSettings,
)
from speech_mtl.settings.yaml12 import yaml_text

OF_SEVERAL = ("compare", "tune")
"""Sections about several runs: those of a single one are not read."""

UNTRAINED = (
    *("name", "about", "finetune.*", "compare.*", "tune.*"),
    *("data.cache_dir", "data.num_threads", "data.allow_*", "decoding.*"),
)
"""Patterns of settings without effect on a run's weights: they may change before a run is resumed, others not."""

PLACES = (
    *("data.dir", "languages.*.manifests.*", "languages.*.pseudo_labels.teacher", "augment.waveform.*.dir"),
    "init_from",
)
"""Paths of speech and weights. Their content matters, which `run.changes` compares."""

TEST_MANIFESTS = "languages.*.manifests.test"
"""Paths of test speech: it has no bearing on what is trained, but on the results of comparisons."""

LENGTH = ("training.num_updates", "training.patience")
"""How long a run trains: it can be trained further."""

MEMORY = ("training.part_s", "training.recompute", "training.precision")
"""How much of a device's memory a step takes: less, once the device has turned out too small."""


class Recipe(Section):
    """All settings of a run or a comparison."""

    name: Name
    """Name of the run's folder in runs/, unless --out is given."""
    about: Text = ""
    """A sentence about the data that is printed wherever results are shown."""
    target: Word | None = None
    """Language whose errors early stopping and comparisons use. None: the mean of all languages.

    Early stopping can use a task instead; comparisons need a language.
    """
    languages: Annotated[dict[LanguageName, LanguageSettings], Field(min_length=1, max_length=1000)]
    """By BCP 47 tag, such as cs or zh-CN. `languages.cs=null` on the command line leaves one out."""
    tasks: Annotated[dict[Name, TaskSettings], Field(default_factory=dict, max_length=1000)]
    """Tasks besides transcripts, by their names."""
    weighting: WeightingSettings = WeightingSettings.usual()
    """lambda of each language and task in the objective; see `training.objective`."""
    gradients: GradientSettings | None = None
    """How the tasks' gradients are combined in the encoder. None: they are added up."""
    data: DataSettings
    features: FeatureSettings = FeatureSettings.usual()
    """Features of the waveform, the input of the encoder."""
    augment: AugmentSettings = AugmentSettings()
    encoder: EncoderSettings = EncoderSettings.usual()
    """The layers below all output layers."""
    sharing: SharingSettings = SharingSettings.usual()
    """Which of these layers they share. `bottom`: all but the highest `num_own`. `middle`: all but the lowest and the
    highest `num_own`. Output layers are never shared."""
    adapters: AdapterSettings | None = None
    """Small layers in the encoder that each language has for itself. None: there are none."""
    training: TrainingSettings = TrainingSettings()
    decoding: DecodingSettings = DecodingSettings.usual()
    """How a trained network turns speech into text. While it trains, the usual kind is taken."""
    finetune: FinetuneSettings = FinetuneSettings()
    compare: CompareSettings = CompareSettings()
    tune: TuneSettings = TuneSettings()
    seed: Seed = 0
    """Seed of all random numbers of a run."""
    init_from: FilePath | None = None
    """A run whose encoder, and whose output layers of languages named here, training starts from."""

    @field_validator("languages")
    @classmethod
    def _languages_are_languages_and_differ(cls, languages):
        names: dict[str, str] = {}
        for name in languages:
            try:
                other = names.setdefault(canonical(name), name)
            except InputError as error:
                raise ValueError(f"{error.expected}; {name[:80]!r} is none: {error.action}") from None
            if other != name:
                raise ValueError(f"different languages; {other} and {name} are one: leave one of them out")
        return languages

    @field_validator("tasks")
    @classmethod
    def _tasks_can_name_files_and_layers(cls, tasks):
        if wrong := [name for name in tasks if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9_.-]*", name)]:
            raise ValueError(
                "names of English letters, digits, '_', '.' and '-' that begin with a letter or digit, unlike "
                + f"{', '.join(map(repr, wrong))}; only tasks.*.label may be any name"
            )
        return tasks

    @model_validator(mode="after")
    def _target_is_a_language(self):
        if self.target is not None and self.target not in (*self.languages, *self.scored):
            there = ", ".join([*self.languages, *self.scored])
            raise ValueError(
                f"target must be one of the languages or tasks: {there}; a language is named by "
                f"languages={{{self.target}: {{}}}}"
            )
        return self

    @model_validator(mode="after")
    def _tasks_fit(self):
        if twice := [name for name in self.tasks if name in self.languages]:
            raise ValueError(f"a task must not have the name of a language: {', '.join(twice)}")
        kept: dict[str, float] = {}
        for name, task in self.labelled.items():
            label = task.label or name
            if label == TRANSCRIPT:
                raise ValueError(f"tasks.{name}: the label {TRANSCRIPT!r} stands for transcripts; choose another name")
            if kept.setdefault(label, task.keep_labels) != task.keep_labels:
                raise ValueError(f"tasks of the label {label!r} must have the same keep_labels")
        taps = self.encoder.taps() if self.tasks else ()
        for name, task in self.tasks.items():
            if task.at not in taps:
                raise ValueError(f"tasks.{name}.at must be one of {', '.join(taps)}")
            if name == TRANSCRIPT:
                raise ValueError(f"a task must not have the name {name!r}, which stands for the transcripts")
        return self

    @model_validator(mode="after")
    def _something_is_trained(self):
        trained = self.trained_languages
        if not trained:
            raise ValueError("at least one of the languages must be trained")
        if self.target in self.languages and self.target not in trained:
            raise ValueError(f"languages.{self.target}.train is false, but it is the target")
        for name, settings in self.languages.items():
            if self.init_from is None and (not settings.train or settings.output_layer == "keep"):
                raise ValueError(f"languages.{name}: without init_from there is no output layer to keep")
        return self

    @model_validator(mode="after")
    def _fractions_leave_something(self):
        fractions = [self.languages[name].share for name in self.trained_languages]
        given = [fraction for fraction in fractions if fraction is not None]
        total = sum(given)
        if given and not (math.isclose(total, 1, abs_tol=1e-6) if len(given) == len(fractions) else total < 1):
            raise ValueError(
                f"languages.*.share add up to {total:g}: that must be 1 if every trained language has one, else less"
            )
        return self

    @model_validator(mode="after")
    def _sections_fit(self):
        for name in type(self).model_fields:
            if isinstance(section := getattr(self, name), Section):
                section.refuse_unfit(self)
        return self

    @classmethod
    def checked(cls, values: dict, where: Callable[[Place], str]) -> "Recipe":
        """Plain values as a recipe; `where` each was given, for messages.

        Raises:
            InputError: A key is unknown, or a value fails its check.
        """
        try:
            return cls.model_validate(values)
        except ValidationError as error:
            raise input_error(error, cls, where) from None

    @property
    def scored(self) -> dict[str, ScoredTaskSection]:
        """The tasks of which errors are counted."""
        return {name: task for name, task in self.tasks.items() if isinstance(task, ScoredTaskSection)}

    @property
    def labelled(self) -> dict[str, LabelTaskSection]:
        """Those of them that have labels."""
        return {name: task for name, task in self.tasks.items() if isinstance(task, LabelTaskSection)}

    @property
    def trained_languages(self) -> tuple[str, ...]:
        """The languages whose speech training uses."""
        return tuple(name for name, settings in self.languages.items() if settings.train)

    @property
    def validated_languages(self) -> tuple[str, ...]:
        """The languages whose dev speech training uses: the target, if it is one, else all that are trained."""
        return (self.target,) if self.target in self.languages else self.trained_languages

    @property
    def teachers(self) -> dict[str, PseudoLabelSettings]:
        """The settings of the trained languages that learn from pseudo-labels."""
        pairs = {name: self.languages[name].pseudo_labels for name in self.trained_languages}
        return {name: settings for name, settings in pairs.items() if settings is not None}

    @property
    def languages_with_layers(self) -> tuple[str, ...]:
        """The languages that have layers or adapters in the encoder for themselves."""
        if self.adapters is not None and self.adapters.languages is not None:
            return self.adapters.languages
        return tuple(self.languages) if self.adapters is not None or self.sharing.has_own else ()

    def manifest(self, language: str, split: str) -> Path:
        """Where the manifest of a language's split lies."""
        return self.languages[language].manifests.get(split) or manifest_path(self.data.dir, language, split)  # type: ignore[call-overload]

    def budget_s(self, language: str, split: str) -> float | None:
        """Seconds of speech of a language's split that are used; None for all."""
        return self.languages[language].budget_s if split == "train" else None

    def untranscribed_s(self, language: str, split: str) -> float | None:
        """Seconds of speech of a split that are used without their transcripts; None for all there are."""
        settings = self.languages[language].pseudo_labels if split == "train" else None
        return settings.untranscribed_s if settings else 0.0

    def of_one_run(self, but: Sequence[str] = ()) -> dict[str, Any]:
        """The settings that have a bearing on one run, as plain values by dotted key; not those of these patterns."""
        values = self.model_dump(mode="json")
        phases = {"warmup_updates": self.training.warmup, "cooldown_updates": self.training.cooldown}
        values["training"] |= phases  # alike, whether given or not
        return {
            key: value
            for key, value in by_dotted_key(values).items()
            if not any(fnmatchcase(key, pattern) for pattern in (*UNTRAINED, *but))
        }

    def of_run(self) -> dict[str, Any]:
        """Settings of a run: all except those of comparisons and searches."""
        return self.model_dump(mode="json", exclude={"about", *OF_SEVERAL})

    def with_languages(
        self, languages: Mapping[str, LanguageSettings], changes: Mapping[str, Any] | None = None
    ) -> "Recipe":
        """A copy with other languages and further changes.

        Loss weights of removed languages are removed, too, and fractions of the speech, which were of all languages.
        """
        trained = [name for name, settings in languages.items() if settings.train]
        if set(trained) != set(self.trained_languages):
            languages = {name: settings.model_copy(update={"share": None}) for name, settings in languages.items()}
        weighting = self.weighting.of([*languages, *self.tasks])
        return self.overridden({"languages": languages, "weighting": weighting, **(changes or {})})

    def unlike(self, later: "Recipe") -> dict[str, tuple[Any, Any]]:
        """Settings of a network whose weights do not fit a later one that starts from them, with those of that one."""
        pairs: dict[str, tuple[Any, Any]] = {}
        old, new = self.encoder.encoders(), later.encoder.encoders()
        for one, (section, other) in zip(old.values(), new.items(), strict=False):
            # Dropout and the folder of a public encoder have no weights of their own: the first one's are taken over.
            # Where there was no upsampling, it begins as repetition.
            without = {"dropout", "dir"} if one.times > 1 else {"dropout", "dir", "upsampling"}
            pairs |= _pairs(section, one, other, without)
        pairs |= _pairs("features", self.features, later.features)
        pairs["data.sample_rate_hz"] = self.data.sample_rate_hz, later.data.sample_rate_hz
        if self.sharing.has_own:  # shared layers can be copied for each language, but not the reverse
            pairs |= _pairs("sharing", self.sharing, later.sharing)
        if len(old) > len(new):
            pairs["number of encoders"] = len(old), len(new)
        return {key: pair for key, pair in pairs.items() if pair[0] != pair[1]}

    def overridden(self, overrides: Mapping[str, Any], where: str = "the settings") -> "Recipe":
        """A copy in which each dotted key has its new value; `where` these come from, for messages."""
        values = self.model_dump(mode="json")
        for key, value in overrides.items():
            set_value(values, key, plain(value), where)
        return Recipe.checked(values, lambda _: where)

    def to_yaml(self) -> str:
        """All settings, defaults written out, as YAML that `load_recipe` reads back."""
        return yaml_text(self.model_dump(mode="json"))  # the order of languages is that of `language_ids`


def _pairs(name: str, one: Section, other: Section, without: Collection[str] = ()) -> dict[str, tuple[Any, Any]]:
    """The values of two sections by dotted key; None where one has no such setting."""
    there, here = (section.model_dump(exclude=set(without)) for section in (one, other))
    return {f"{name}.{key}": (there.get(key), here.get(key)) for key in {**there, **here}}
