"""A recipe: all settings of a run or a comparison. A YAML file of these is checked once, here, when it is loaded.

What comes out is frozen. The settings themselves are in `settings.py`.
"""

import difflib
import json
import math
import re
from collections.abc import Callable, Mapping, Sequence
from fnmatch import fnmatchcase
from functools import cache
from pathlib import Path
from typing import Annotated, Any

from pydantic import BaseModel, Field, ValidationError, field_validator, model_validator

from speech_mtl.data.languages import canonical
from speech_mtl.data.manifest import manifest_path
from speech_mtl.datatypes import TRANSCRIPT
from speech_mtl.errors import InputError, brief
from speech_mtl.files import read_yaml
from speech_mtl.listing import Setting, list_settings
from speech_mtl.settings import (
    AdapterSettings,
    AugmentSettings,
    CompareSettings,
    ConformerSettings,
    DataSettings,
    EncoderSettings,
    EqualWeightingSettings,
    FeatureSettings,
    FilePath,
    FixedWeightingSettings,
    GradientSettings,
    GradNormSettings,
    LabelTaskSection,
    LanguageName,
    LanguageSettings,
    LogMelSettings,
    LowRankAdapterSettings,
    Name,
    ProgressiveSettings,
    Section,
    Seed,
    SharingSettings,
    TaskSettings,
    Text,
    TrainingSettings,
    TuneSettings,
    UnfreezeHeadsSettings,
    WeightingSettings,
    Word,
)
from speech_mtl.yaml12 import Lines, parse_yaml, yaml_text

Place = tuple[str | int, ...]
"""Keys and numbers that lead to a setting."""

COMMAND_LINE = "the command line"

RUN_SETTINGS = "settings.yaml"
"""What the recipe of a run is called in its folder; see `runs`."""


UNTRAINED = ("name", "about", "compare.*", "tune.*", "data.cache_dir", "data.num_threads", "data.allow_*")
"""Settings that have no bearing on what a run trains, as patterns: they may change while it goes on. All others do."""

PLACES = ("data.dir", "languages.*.manifests.*", "init_from")
"""Where speech and weights lie. What lies there has a bearing: `run.made_from` tells whether it is the same."""

TEST_MANIFESTS = "languages.*.manifests.test"
"""Where test speech lies: it has no bearing on what is trained, but on what comparisons find."""

LENGTH = ("training.num_updates", "training.patience")
"""How long a run trains: it can be trained further."""

RECIPE = "recipe.yaml"
"""What the file of a recipe is called in its folder."""


class Recipe(Section):
    """All settings of a run or a comparison."""

    name: Name
    """Of the run's folder in runs/, where --out names none."""
    about: Text = ""
    """A sentence about the data that is printed wherever results are shown."""
    target: Word | None = None
    """The language that matters: early stopping and comparisons look at its errors. None: the mean of all languages.

    Early stopping can look at a task instead; comparisons need a language.
    """
    languages: Annotated[dict[LanguageName, LanguageSettings], Field(min_length=1, max_length=1000)]
    """By BCP 47 tag, such as cs or zh-CN."""
    tasks: Annotated[dict[Name, TaskSettings], Field(default_factory=dict, max_length=1000)]
    """What is predicted besides transcripts, by a name of its own."""
    weighting: WeightingSettings = EqualWeightingSettings()
    """lambda of each language and task in the objective; see `training.objective`."""
    gradients: GradientSettings | None = None
    """How the tasks' gradients are combined in the encoder. None: they are added up."""
    data: DataSettings
    features: FeatureSettings = LogMelSettings()
    """What the encoder gets of the waveform."""
    augment: AugmentSettings = AugmentSettings()
    encoder: EncoderSettings = ConformerSettings()
    """The layers that all languages share."""
    sharing: SharingSettings = SharingSettings()
    adapters: AdapterSettings | None = None
    """Small layers in the encoder that each language has for itself. None: there are none."""
    training: TrainingSettings = TrainingSettings()
    compare: CompareSettings = CompareSettings()
    tune: TuneSettings = TuneSettings()
    seed: Seed = 0
    """Of all random draws of a run."""
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
        if self.target is not None and self.target not in (*self.languages, *self.labelled):
            raise ValueError(
                f"target must be one of the languages or tasks: {', '.join([*self.languages, *self.labelled])}"
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
        for name, task in self.labelled.items():
            label = task.label or name
            if label == TRANSCRIPT:
                raise ValueError(f"tasks.{name}: the label {TRANSCRIPT!r} stands for transcripts; choose another name")
            if kept.setdefault(label, task.keep_labels) != task.keep_labels:
                raise ValueError(f"tasks of the label {label!r} must have the same keep_labels")
        return self

    @model_validator(mode="after")
    def _heads_have_frames(self):
        taps = self.encoder.taps()
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
    def _features_fit(self):
        if isinstance(self.features, LogMelSettings):
            self.features.refuse_unfit(self.data.sample_rate_hz)
        if self.augment.spec_augment.max_mels > self.features.num_mels:
            raise ValueError(
                f"augment.spec_augment.max_mels must be at most features.num_mels = {self.features.num_mels}"
            )
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
    def _ramp_has_an_end(self):
        if not self.data.ramp_to_target:
            return self
        if self.target not in self.trained_languages:
            raise ValueError("data.ramp_to_target needs a target that is a language, and trained")
        cooldown, num_updates = self.training.cooldown, self.training.num_updates
        if not 0 < cooldown <= num_updates:
            raise ValueError(
                "data.ramp_to_target needs training.cooldown_updates, over which the share rises: 1 to "
                f"training.num_updates = {num_updates}, not {cooldown}"
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
    def labelled(self) -> dict[str, LabelTaskSection]:
        """The tasks that have labels, and of which errors are counted."""
        return {name: task for name, task in self.tasks.items() if isinstance(task, LabelTaskSection)}

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

    def of_one_run(self, but: Sequence[str] = ()) -> dict[str, Any]:
        """The settings that have a bearing on one run, as plain values by dotted key; not those of these patterns."""
        values = self.model_dump(mode="json")
        phases = {"warmup_updates": self.training.warmup, "cooldown_updates": self.training.cooldown}
        values["training"] |= phases  # alike, whether given or not
        return {
            key: value
            for key, value in _by_dotted_key(values).items()
            if not any(fnmatchcase(key, pattern) for pattern in (*UNTRAINED, *but))
        }

    def of_run(self) -> dict[str, Any]:
        """What a run's settings say of it: all but what a comparison or a search consists of."""
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
            _set(values, key, _plain(value), where)
        return _checked(values, lambda _: where)

    def to_yaml(self) -> str:
        """All settings, defaults written out, as YAML that `load_recipe` reads back."""
        return yaml_text(self.model_dump(mode="json"))  # the order of languages is that of `language_ids`


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
    path, lines = find_recipe(path), {}
    values = read_yaml(path, "mend it, or start from one of the recipes that come with speech-mtl", lines)
    if not isinstance(values, dict):
        raise InputError(
            f"{path} holds no settings",
            expected="a mapping with at least the keys name, languages and data",
            received=type(values).__name__,
            action="start from one of the recipes that come with speech-mtl, such as recipes/own",
        )
    typed = parsed_overrides(overrides or [])
    for key, value in typed.items():
        _set(values, key, value, COMMAND_LINE)
    return _checked(values, lambda place: _where(place, path, lines, typed))


def _where(place: Place, path: Path, lines: Lines, typed: Mapping[str, Any]) -> str:
    """Where a setting was given: the line of a recipe, or the command line."""
    keys = [tuple(key.split(".")) for key in typed]
    if place and any(key[: len(place)] == place or place[: len(key)] == key for key in keys):
        return COMMAND_LINE
    known = next((place[:n] for n in range(len(place), 0, -1) if place[:n] in lines), None)
    return f"{path}:{lines[known]}" if known else str(path)


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
        if not sign or not value.strip():
            raise InputError(
                f"The setting {override!r} on {COMMAND_LINE} has no value",
                expected="key=value, such as training.num_updates=500",
                received=override,
                action="add the value; null stands for none, and '' for an empty text",
            )
        values[key] = parse_yaml(value, lambda _, key=key: f"{key} on {COMMAND_LINE}", "quote the value")
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


def _set(values: dict, key: str, value: Any, where: str) -> None:
    """Sets a dotted key; `where` it comes from, for messages.

    Raises:
        InputError: A part of the key is empty, or leads into a value that has no parts.
    """
    *parents, last = parts = key.split(".")
    if "" in parts or len(parts) > MOST_PARTS:
        raise InputError(
            f"{where}: {key!r} is no key of a setting",
            expected=f"1 to {MOST_PARTS} names with dots between them, such as training.num_updates",
            received=key,
            action="`speech-mtl settings` lists all keys",
        )
    for i, parent in enumerate(parents, 1):
        if values.get(parent) is None:
            values[parent] = {}
        if not isinstance(values[parent], dict):
            raise InputError(
                f"{where}: {key} leads into {'.'.join(parts[:i])}, which has no keys of its own",
                expected="the key of a whole value: lists are given as a whole",
                received=f"{key}, where {'.'.join(parts[:i])} is {brief(values[parent])}",
                action=f"set {'.'.join(parts[:i])}",
            )
        values = values[parent]
    values[last] = value


MOST_PARTS = 20
"""Of a dotted key."""


def _checked(values: dict, where: Callable[[Place], str]) -> Recipe:
    try:
        return Recipe.model_validate(values)
    except ValidationError as error:
        raise _input_error(error, where) from None


def _input_error(error: ValidationError, where: Callable[[Place], str]) -> InputError:
    """The first problem that pydantic found, in our four parts."""
    first = error.errors(include_url=False)[0]
    place = _place(first["loc"])
    key = ".".join(map(str, place)) or "the recipe"
    more = f" (and {error.error_count() - 1} more)" if error.error_count() > 1 else ""
    if first["type"] == "extra_forbidden":
        return InputError(
            f"{where(place)}: unknown key {key!r}{more}",
            expected="one of " + ", ".join(_known_keys(place[:-1])),
            received=key,
            action=f"did you mean {near}?" if (near := _near(place)) else "remove the key",
        )
    expected = first["msg"].removeprefix("Value error, ")
    if first["type"] == "union_tag_invalid":
        expected = "one of the kinds " + str(first.get("ctx", {}).get("expected_tags"))
    return InputError(
        f"{where(place)}: {key} is not right{more}",
        expected=expected,
        received="nothing" if first["type"] == "missing" else brief(first["input"]),
        action=f"change {key}",
    )


def _place(location: Place) -> Place:
    """Where pydantic found a problem, without the kinds and the sign for keys that it puts there."""
    parts = location[:-1] if location[-1:] == ("[key]",) else location
    named = zip(("", *parts), parts, strict=False)
    return tuple(part for before, part in named if before in _HOLD_NAMES or part not in _KINDS)


_HOLD_NAMES = ("tasks", "languages", "variants")
"""What holds names that a user gives, which may be those of kinds."""


def _kinds(section: type[Section]) -> set[str]:
    """The kinds of a settings class and all that are made from it."""
    own = {section.model_fields["kind"].default} if "kind" in section.model_fields else set()
    return own.union(*map(_kinds, section.__subclasses__()))


_KINDS = _kinds(Section)
"""What pydantic puts into the path of a setting that comes in several kinds."""


@cache
def all_settings() -> list[Setting]:
    """Every setting of a recipe, in its order."""
    return list_settings(Recipe.model_json_schema())


def _known_keys(place: Place) -> list[str]:
    """The keys that the section at a place has; of every kind where there are several."""
    paths = [setting.key.split(".") for setting in all_settings()]
    inside = [path for path in paths if len(path) > len(place) and all(map(_stands_for, path, place))]
    return sorted({path[len(place)] for path in inside})


def _stands_for(part: str, given: str | int) -> bool:
    return part.isupper() or part == given


def _near(place: Place) -> str:
    """Keys that an unknown one may have meant: of that name in other sections, and of a name like it in its own."""
    *section, last = map(str, place)
    elsewhere = dict.fromkeys(one.key for one in all_settings() if one.key.rpartition(".")[2] == last)
    near = difflib.get_close_matches(last[:100], _known_keys(place[:-1]), n=1)
    return " or ".join(map(repr, [*list(elsewhere)[:3], *(".".join([*section, one]) for one in near)]))
