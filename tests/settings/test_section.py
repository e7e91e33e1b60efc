"""Every number, name and path of every section, found by themselves."""

import math
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any, get_args, get_origin

import librosa
import pytest
from pydantic import TypeAdapter, ValidationError

from speech_mtl.settings.features import LogMelSettings
from speech_mtl.settings.recipe import Recipe
from speech_mtl.settings.section import FilePath, LanguageName, Name, Section
from speech_mtl.settings.training import TrainingSettings


def sections(section: type[Section] = Section) -> Iterator[type[Section]]:
    for one in section.__subclasses__():
        yield one
        yield from sections(one)


def leaves(annotation: Any, metadata: tuple = ()) -> Iterator[tuple[Any, tuple]]:
    """Types within an annotation that hold no others, with what is said of them."""
    if get_origin(annotation) is Annotated:
        yield from leaves(annotation.__origin__, (*annotation.__metadata__, *metadata))
    elif inner := get_args(annotation):
        for one in inner:
            yield from leaves(one)
    else:
        yield annotation, metadata


FIELDS = {
    f"{section.__name__}.{name}.{i}": leaf
    for section in dict.fromkeys(sections())
    for name, field in section.model_fields.items()
    for i, leaf in enumerate(leaves(field.annotation, tuple(field.metadata)))
}


def adapter(kind: Any, metadata: tuple) -> TypeAdapter:
    whole: Any = Annotated.__class_getitem__((kind, *metadata)) if metadata else kind  # type: ignore[attr-defined]
    return TypeAdapter(whole)


def takes(one: TypeAdapter, value: object) -> bool:
    try:
        one.validate_python(value)
    except ValidationError:
        return False
    return True


NUMBERS = [name for name, (kind, _) in FIELDS.items() if kind in (int, float)]


def test_all_sections_are_checked():
    assert len(NUMBERS) > 80
    assert {"Recipe.seed.0", "AugmentSettings.speeds.0", "FixedWeightingSettings.weights.1"} <= set(NUMBERS)


@pytest.mark.parametrize("name", NUMBERS)
def test_every_number_has_both_ends(name: str):
    kind, metadata = FIELDS[name]
    one = adapter(kind, metadata)
    schema: dict[str, Any] = one.json_schema()
    low = schema["minimum"]
    high = schema["maximum"] if "maximum" in schema else schema["exclusiveMaximum"]
    assert math.isfinite(low)
    assert math.isfinite(high)
    assert takes(one, low)
    if "maximum" in schema:
        assert takes(one, high)
        assert not takes(one, high + 1)
    else:
        assert not takes(one, high)
    assert not takes(one, low - 1)
    for value in (math.inf, -math.inf, math.nan, True, False, "1", None, 1e300, 10**400, -(10**400), [1], {}):
        assert not takes(one, value), value
    assert takes(one, float(low))
    assert kind is float or not takes(one, low + 0.5)


@pytest.mark.parametrize("name", [name for name, (kind, _) in FIELDS.items() if kind is bool])
def test_a_switch_is_true_or_false(name: str):
    one = adapter(*FIELDS[name])
    assert takes(one, True)
    assert not any(takes(one, value) for value in (0, 1, 1.0, "yes", "no", "true", None))


@pytest.mark.parametrize("name", [name for name, (kind, _) in FIELDS.items() if kind is Path])
def test_a_path_can_be_one(name: str):
    one = adapter(*FIELDS[name])
    assert takes(one, "data/čeština 日本")
    assert takes(one, Path("/x") / ("y" * 255))
    for value in ("", "~/x", "a\0b", "a\nb", "\x1b[2J", "\udcff", "x" * 256, "ž" * 128, "x/" * 2049, 5, None):
        assert not takes(one, value), value


@pytest.mark.parametrize("name", [name for name, (kind, _) in FIELDS.items() if kind is str])
def test_a_text_has_an_end_and_no_control_characters(name: str):
    one = adapter(*FIELDS[name])
    assert takes(one, "a žluťoučký kůň")
    for value in ("x" * 10_001, "a\0b", "\x1b[2J", "\u202e", "\ud800", 5, True):
        assert not takes(one, value), value


def test_what_a_name_is():
    for kind in (Name, LanguageName):
        one = TypeAdapter(kind)
        for name in (
            "x",
            "zh-CN",
            "zh-cmn-Hans-CN",
            "v1.2_b+c=d",
            "příklad 日本語",
            "فارسی\u200cزبان",
            "x" * 100,
            "2020-01-01",
        ):
            assert takes(one, name), name
        for name in ("", ".", "..", "../x", "a/b", "/tmp/x", "a\\b", "C:x", "a*", "a?", " a", "a ", ".a", "a."):
            assert not takes(one, name), name
        for name in ("a\0b", "a\nb", "\x7f", "\u202e", "\ud800", "x" * 101, "ž" * 51, 5, None):
            assert not takes(one, name), name
    for name in ("con", "NUL", "Com1", "lpt9", "aux.txt", "PRN"):
        assert not takes(TypeAdapter(Name), name)
        assert takes(TypeAdapter(LanguageName), name)
    assert takes(TypeAdapter(Name), "console")
    assert takes(TypeAdapter(FilePath), "con")


@pytest.mark.parametrize(
    ("updates", "warmup"), [(1, 0), (7, 1), (50, 12), (250, 62), (700, 175), (2400, 200), (10**6, 200)]
)
def test_warm_up_follows_the_number_of_updates(updates: int, warmup: int):
    assert TrainingSettings(num_updates=updates).warmup == warmup
    assert TrainingSettings(num_updates=updates).cooldown == min(600, updates // 4)
    assert TrainingSettings(num_updates=updates, warmup_updates=3).warmup == 3


@pytest.mark.parametrize("rate", [8000, 16_000, 44_100])
@pytest.mark.parametrize("fft_size", [256, 512, 1024])
def test_bands_without_a_frequency_are_those_of_librosa(rate: int, fft_size: int):
    window_s = 200 / rate
    for num_mels in (1, 20, 40, 64, 80, 100, 128, 200):
        settings = LogMelSettings(num_mels=num_mels, window_s=window_s, hop_s=window_s, fft_size=fft_size)
        with warnings.catch_warnings(action="ignore"):
            filters = librosa.filters.mel(sr=rate, n_fft=fft_size, n_mels=num_mels)
        try:
            Recipe.model_validate(
                {
                    "name": "x",
                    "languages": {"cs": {}},
                    "data": {"dir": "d", "sample_rate_hz": rate},
                    "features": settings,
                }
            )
        except ValueError:
            assert not filters.any(axis=1).all()
        else:
            assert filters.any(axis=1).all()
