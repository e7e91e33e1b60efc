"""A recipe: all settings of a run or a comparison. A YAML file of these is checked once, here, when it is loaded.

What comes out is frozen. The settings themselves are in `settings.py`.
"""

import difflib
import io
import json
import math
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from pydantic import BaseModel, Field, ValidationError, field_validator, model_validator
from ruamel.yaml import YAML, YAMLError

from speech_mtl.data.manifest import manifest_path
from speech_mtl.datatypes import TRANSCRIPT
from speech_mtl.errors import InputError
from speech_mtl.settings import (
    AdapterSettings,
    AugmentSettings,
    CompareSettings,
    ConformerSettings,
    DataSettings,
    EncoderSettings,
    EqualWeightingSettings,
    FeatureSettings,
    FixedWeightingSettings,
    GradientSettings,
    GradNormSettings,
    LanguageSettings,
    LogMelSettings,
    LowRankAdapterSettings,
    ProgressiveSettings,
    Section,
    Seed,
    SharingSettings,
    TaskSettings,
    TrainingSettings,
    TuneSettings,
    UnfreezeHeadsSettings,
    WeightingSettings,
)

RUN_SETTINGS = "settings.yaml"
"""What the recipe of a run is called in its folder; see `runs`."""


RECIPE = "recipe.yaml"
"""What the file of a recipe is called in its folder."""


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
    tasks: dict[str, TaskSettings] = Field(default_factory=dict)
    """What is predicted besides transcripts, by a name of its own."""
    weighting: WeightingSettings = EqualWeightingSettings()
    """lambda of each language and task in the objective; see `training.objective`."""
    gradients: GradientSettings | None = None
    """How the tasks' gradients are combined in the encoder. None: they are added up."""
    data: DataSettings
    features: FeatureSettings = LogMelSettings()
    augment: AugmentSettings = AugmentSettings()
    encoder: EncoderSettings = ConformerSettings()
    sharing: SharingSettings = SharingSettings()
    adapters: AdapterSettings | None = None
    """Small layers in the encoder that each language has for itself. None: there are none."""
    training: TrainingSettings = TrainingSettings()
    compare: CompareSettings = CompareSettings()
    tune: TuneSettings = TuneSettings()
    seed: Seed = 0
    init_from: Path | None = None
    """A run whose encoder, and whose output layers of languages named here, training starts from."""

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
    def _something_is_shared(self):
        sharing, num_layers = self.sharing, self.encoder.num_layers
        own = {"bottom": sharing.num_own, "middle": 2 * sharing.num_own - 1}.get(sharing.kind, 0)
        if own >= num_layers:
            raise ValueError(f"sharing.num_own leaves none of the encoder's {num_layers} blocks to share")
        if self.adapters is not None and sharing.kind != "whole_encoder":
            raise ValueError("adapters are added to a shared encoder: sharing.kind must be whole_encoder")
        adapted = self.adapters.languages if self.adapters is not None else None
        if adapted is not None and not (adapted and set(adapted) <= set(self.languages)):
            raise ValueError("adapters.languages must be some of the recipe's languages")
        if isinstance(self.adapters, LowRankAdapterSettings) and not isinstance(self.encoder, ConformerSettings):
            raise ValueError("adapters of the kind low_rank are added to attention, which this encoder has not")
        return self

    @model_validator(mode="after")
    def _encoder_has_its_features(self):
        columns = self.encoder.columns if isinstance(self.encoder, ProgressiveSettings) else ()
        kinds = {column.encoder.kind for column in columns} or {self.encoder.kind}
        if "whisper" in kinds and (self.features.kind != "whisper" or kinds != {"whisper"}):
            raise ValueError("encoder.kind: whisper knows its own features only: set features={kind: whisper}")
        if self.features.kind == "whisper" and self.data.sample_rate_hz != 16_000:
            raise ValueError("features.kind: whisper knows speech at 16 kHz only: set data.sample_rate_hz=16000")
        return self

    @model_validator(mode="after")
    def _columns_have_languages(self):
        if not isinstance(self.encoder, ProgressiveSettings):
            return self
        named = [language for column in self.encoder.columns for language in column.languages]
        if len(set(named)) < len(named) or not set(self.languages) <= set(named):
            raise ValueError("every language must be in one of encoder.columns, and none in two")
        if not set(self.trained_languages) <= set(self.encoder.columns[-1].languages):
            raise ValueError("only languages of the last of encoder.columns can be trained; others need train: false")
        if len(self.encoder.columns) > 1 and self.init_from is None:
            raise ValueError("the first of encoder.columns come from a trained run: set init_from")
        if self.tasks or self.adapters is not None or self.sharing.kind != "whole_encoder":
            raise ValueError("a progressive encoder goes with neither tasks nor adapters nor sharing")
        return self

    @model_validator(mode="after")
    def _shared_layers_are_trained_for_those_who_look(self):
        trains = ["gradients"] if self.gradients is not None else []
        trains += ["weighting.kind: gradnorm"] if isinstance(self.weighting, GradNormSettings) else []
        if len(trains) > 1:
            raise ValueError("weighting.kind: gradnorm looks at gradients that are added up, so gradients must be null")
        if trains and isinstance(self.training.unfreezing, UnfreezeHeadsSettings):
            raise ValueError(
                f"{trains[0]} looks at gradients in the encoder, which training.unfreezing leaves as it is"
            )
        looks = [*trains, *(["training.log_conflicts"] if self.training.log_conflicts else [])]
        if looks and self.sharing.kind == "nothing":
            raise ValueError(f"{looks[0]} looks at gradients in shared layers, and sharing.kind leaves none")
        return self

    @model_validator(mode="after")
    def _shares_leave_something(self):
        shares = [self.languages[name].share for name in self.trained_languages]
        given = [share for share in shares if share is not None]
        total = sum(given)
        if given and not (math.isclose(total, 1, abs_tol=1e-6) if len(given) == len(shares) else total < 1):
            raise ValueError(
                f"languages.*.share add up to {total:g}: that must be 1 if every trained language has one, else less"
            )
        return self

    @model_validator(mode="after")
    def _weights_have_tasks(self):
        given = self.weighting.weights if isinstance(self.weighting, FixedWeightingSettings) else {}
        names = [*self.languages, *self.tasks]
        if unknown := [name for name in given if name not in names]:
            raise ValueError(f"weighting.weights names {', '.join(unknown)}; the tasks are {', '.join(names)}")
        return self

    @property
    def trained_languages(self) -> tuple[str, ...]:
        """The languages whose speech training uses."""
        return tuple(name for name, settings in self.languages.items() if settings.train)

    def manifest(self, language: str, split: str) -> Path:
        """Where the manifest of a language's split lies."""
        return self.languages[language].manifests.get(split) or manifest_path(self.data.dir, language, split)  # type: ignore[call-overload]

    def budget_s(self, language: str, split: str) -> float | None:
        """Seconds of speech of a language's split that are used; None for all."""
        return self.languages[language].budget_s if split == "train" else None

    def of_one_run(self) -> dict[str, Any]:
        """The settings that bear on one run, as plain values: not what a comparison or a search consists of."""
        return self.model_dump(mode="json", exclude={"about", "compare", "tune"})

    def with_languages(
        self, languages: Mapping[str, LanguageSettings], changes: Mapping[str, Any] | None = None
    ) -> "Recipe":
        """A copy with other languages and further changes.

        What was said of languages that are gone goes too: their weights, and shares of the speech, which were of all.
        """
        trained = [name for name, settings in languages.items() if settings.train]
        if set(trained) != set(self.trained_languages):
            languages = {name: settings.model_copy(update={"share": None}) for name, settings in languages.items()}
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


def shipped_recipes() -> dict[str, Path]:
    """The recipes that come with the package, by their path in a checkout, such as `recipes/own`."""
    package = Path(__file__).parent
    installed = sorted(package.glob(f"recipes/*/{RECIPE}"))
    return {
        f"recipes/{path.parent.name}": path for path in installed or sorted(package.parent.glob(f"recipes/*/{RECIPE}"))
    }


def find_recipe(path: Path) -> Path:
    """The file of a recipe: that file, that in the folder, or, where nothing is there, the one that comes with us.

    Raises:
        InputError: There is none.
    """
    here, shipped = path / RECIPE if path.is_dir() else path, shipped_recipes()
    if here.is_file():
        return here
    named = (path.parent if path.name == RECIPE else path).as_posix()
    if named in shipped and not path.is_dir():
        return shipped[named]
    raise InputError(
        f"There is no recipe {here}",
        expected="a YAML file, or a folder with a recipe.yaml; these come with speech-mtl: " + ", ".join(shipped),
        received="nothing at that path",
        action="name one of these, or copy one and change it",
    )


def load_recipe(path: Path, overrides: list[str] | None = None) -> Recipe:
    """Reads and checks a recipe.

    Args:
        path: A YAML 1.2 file, or a folder that holds `recipe.yaml`; see `find_recipe`.
        overrides: `key=value` with dotted keys; the value is YAML.

    Raises:
        InputError: No such file, not YAML, an unknown key or a value that fails its check.
    """
    path = find_recipe(path)
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
            action="start from one of the recipes that come with speech-mtl, such as recipes/own",
        )
    for key, value in parsed_overrides(overrides or []).items():
        _set(values, key, value)
    return _checked(values, where=str(path))


def refuse_no_run(folder: Path) -> None:
    """Looks whether a folder is a run, which takes no time; what reads a run imports Keras first.

    Raises:
        InputError: It is none.
    """
    if (folder / RUN_SETTINGS).is_file():
        return
    raise InputError(
        f"{folder} is not a run",
        expected=f"a folder with a {RUN_SETTINGS}, which `speech-mtl train` writes",
        received="no such file" if folder.is_dir() else "no such folder",
        action="give the folder that training named at its end",
    )


def parsed_overrides(overrides: Sequence[str]) -> dict[str, Any]:
    """Settings as they are typed, `key=value` with dotted keys, by key.

    Raises:
        InputError: One has no value, or a value is not YAML.
    """
    values = {}
    for override in overrides:
        key, sign, value = override.partition("=")
        if not sign:
            raise InputError(
                f"The setting {override!r} on the command line has no value",
                expected="key=value, such as training.num_updates=500",
                received=override,
                action="add =VALUE",
            )
        try:
            values[key] = _yaml(value)
        except YAMLError:
            raise InputError(
                f"The value of {key} on the command line is not YAML",
                expected="a number, a word, or a list such as [1, 2]",
                received=value,
                action="quote the value",
            ) from None
    return values


def changed_settings(there: dict, here: dict) -> list[str]:
    """What differs between two nested settings, `dotted.key: value there -> value here`."""
    old, new = _by_dotted_key(there), _by_dotted_key(here)
    return [
        f"{key}: {_short(old.get(key))} -> {_short(new.get(key))}" for key in new | old if old.get(key) != new.get(key)
    ]


def _by_dotted_key(values: dict, prefix: str = "") -> dict[str, Any]:
    """Nested settings as one dictionary."""
    flat: dict[str, Any] = {}
    for key, value in values.items():
        flat |= _by_dotted_key(value, f"{prefix}{key}.") if isinstance(value, dict) else {prefix + key: value}
    return flat


def _short(value: Any) -> str:
    text = json.dumps(value, ensure_ascii=False)
    return text if len(text) < 120 else text[:117] + "..."


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
