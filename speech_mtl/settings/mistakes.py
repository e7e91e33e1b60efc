"""Errors that pydantic finds in settings, as an `InputError`."""

import difflib
from collections.abc import Callable
from functools import cache

from pydantic import ValidationError

from speech_mtl.errors import InputError, brief
from speech_mtl.settings.listing import all_settings
from speech_mtl.settings.section import Section

Place = tuple[str | int, ...]
"""Keys and numbers that lead to a setting."""


def input_error(error: ValidationError, section: type[Section], where: Callable[[Place], str]) -> InputError:
    """The first problem that pydantic found in a section, in our four parts; `where` each setting was given."""
    first = error.errors(include_url=False)[0]
    of_kind = first["type"] == "union_tag_invalid"
    place = (*_place(first["loc"]), *(["kind"] if of_kind else []))
    key = ".".join(map(str, place)) or "the recipe"
    more = f" (and {error.error_count() - 1} more)" if error.error_count() > 1 else ""
    if first["type"] == "extra_forbidden":
        return InputError(
            f"{where(place)}: unknown key {key!r}{more}",
            expected="one of " + ", ".join(_known_keys(section, place[:-1])),
            received=key,
            action=f"did you mean {near}?" if (near := _near(section, place)) else "remove the key",
        )
    expected, received = first["msg"].removeprefix("Value error, "), first["input"]
    if of_kind:
        told = first.get("ctx", {})
        expected, received = f"one of the kinds {told.get('expected_tags')}", told.get("tag")
    return InputError(
        f"{where(place)}: {key} is not right{more}",
        expected=expected,
        received="nothing" if first["type"] == "missing" else brief(received),
        action=f"change {key}",
    )


def _place(location: Place) -> Place:
    """Where pydantic found a problem, without the kinds and the sign for keys that it puts there."""
    parts = location[:-1] if location[-1:] == ("[key]",) else location
    named = zip(("", *parts), parts, strict=False)
    return tuple(part for before, part in named if before in _HOLD_NAMES or part not in _kinds(Section))


_HOLD_NAMES = ("tasks", "languages", "variants")
"""Settings that hold names given by users, which may equal those of kinds."""


_MOVED = {
    "compare.finetune_updates": "finetune.num_updates",
    "compare.finetune_learning_rate": "finetune.learning_rate",
    "compare.finetune_warmup_updates": "finetune.warmup_updates",
}
"""New keys of settings of earlier versions."""


@cache
def _kinds(section: type[Section]) -> set[str]:
    """The kinds of a settings class and all that are made from it: what pydantic puts into the path of a setting."""
    own = {section.model_fields["kind"].default} if "kind" in section.model_fields else set()
    return own.union(*map(_kinds, section.__subclasses__()))


def _known_keys(of: type[Section], place: Place) -> list[str]:
    """The keys that the section at a place has; of every kind where there are several."""
    paths = [setting.key.split(".") for setting in all_settings(of)]
    inside = [path for path in paths if len(path) > len(place) and all(map(_stands_for, path, place))]
    return sorted({path[len(place)] for path in inside})


def _stands_for(part: str, given: str | int) -> bool:
    return part.isupper() or part == given


def _near(of: type[Section], place: Place) -> str:
    """Keys that an unknown one may have meant: of that name in other sections, and of a name like it in its own."""
    if moved := _MOVED.get(".".join(map(str, place))):
        return repr(moved)
    *section, last = map(str, place)
    elsewhere = dict.fromkeys(one.key for one in all_settings(of) if one.key.rpartition(".")[2] == last)
    near = difflib.get_close_matches(last[:100], _known_keys(of, place[:-1]), n=1)
    return " or ".join(map(repr, [*list(elsewhere)[:3], *(".".join([*section, one]) for one in near)]))
