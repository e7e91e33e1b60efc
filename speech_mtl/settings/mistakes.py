"""Errors that pydantic finds in settings, as an `InputError`."""

import difflib
from collections.abc import Callable

from pydantic import ValidationError

from speech_mtl.errors import InputError, brief
from speech_mtl.settings.listing import all_settings
from speech_mtl.settings.section import KIND, Section

Place = tuple[str | int, ...]
"""Keys and numbers that lead to a setting."""


def input_error(error: ValidationError, section: type[Section], where: Callable[[Place], str]) -> InputError:
    """The first problem that pydantic found in a section, in our four parts; `where` each setting was given."""
    first = error.errors(include_url=False)[0]
    is_unknown, of_kind = first["type"] == "extra_forbidden", first["type"] == "union_tag_invalid"
    # The last part of a key that is not known is always the user's.
    place = (*_place(first["loc"][:-1]), first["loc"][-1]) if is_unknown else _place(first["loc"])
    place = (*place, "kind") if of_kind else place
    key = ".".join(map(str, place)) or "the recipe"
    more = f" (and {error.error_count() - 1} more)" if error.error_count() > 1 else ""
    if is_unknown:
        kinds, near = _kinds_with(section, place), _near(section, place)
        action = f"did you mean {near}?" if near else "remove the key"
        return InputError(
            f"{where(place)}: unknown key {key!r}{more}",
            expected=" or ".join(kinds) or "one of " + ", ".join(_known_keys(section, place[:-1])),
            received=key,
            action="choose such a kind, or remove the key" if kinds else action,
        )
    expected, received = first["msg"].removeprefix("Value error, "), first["input"]
    if of_kind:
        told = first.get("ctx", {})
        expected = f"one of the kinds {told.get('expected_tags')}".replace(KIND, "")
        received = str(told.get("tag")).removeprefix(KIND)
    return InputError(
        f"{where(place)}: {key} is not right{more}",
        expected=expected,
        received="nothing" if first["type"] == "missing" else brief(received),
        action=f"change {key}",
    )


def _place(location: Place) -> Place:
    """Where pydantic found a problem, without the kinds and the sign for keys that it puts there."""
    parts = location[:-1] if location[-1:] == ("[key]",) else location
    return tuple(part for part in parts if not str(part).startswith(KIND))


def _kinds_with(of: type[Section], place: Place) -> list[str]:
    """The kinds of its section that have a key, as they are typed."""
    section, found = ".".join(map(str, place[:-1])), {}
    for setting in all_settings(of):
        path, (own, _, kind) = setting.key.split("."), setting.kind.rpartition(".kind=")
        if kind and own.split(".") == path[: len(place) - 1] and all(map(_stands_for, path, place)):
            found[f"{section}.kind={kind}"] = True
    return list(found)


def _known_keys(of: type[Section], place: Place) -> list[str]:
    """The keys that the section at a place has; of every kind where there are several."""
    paths = [setting.key.split(".") for setting in all_settings(of)]
    inside = [path for path in paths if len(path) > len(place) and all(map(_stands_for, path, place))]
    return sorted({path[len(place)] for path in inside})


def _stands_for(part: str, given: str | int) -> bool:
    return part.isupper() or part == given


def _near(of: type[Section], place: Place) -> str:
    """Keys that an unknown one may have meant: of that name in other sections, and of a name like it in its own."""
    *section, last = map(str, place)
    elsewhere = dict.fromkeys(one.key for one in all_settings(of) if one.key.rpartition(".")[2] == last)
    near = difflib.get_close_matches(last[:100], _known_keys(of, place[:-1]), n=1)
    return " or ".join(map(repr, [*list(elsewhere)[:3], *(".".join([*section, one]) for one in near)]))
