"""All settings with their values, defaults and descriptions, found in its JSON schema."""

import json
import textwrap
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any

from pydantic import BaseModel

NAMED = {"languages": "LANGUAGE", "tasks": "TASK"}
"""Placeholders for names that a user gives, in the keys of settings."""


@dataclass(frozen=True)
class Setting:
    """One setting.

    Attributes:
        key: As it is typed, with `LANGUAGE`, `TASK` and `NUMBER` for what the user chooses.
        values: Those that it can have.
        default: As it is typed; None if it must be given.
        kind: Of the section that it is in, such as `encoder.kind=conformer`; empty where there is one kind only.
    """

    key: str
    values: str
    default: str | None
    about: str
    kind: str = ""

    @property
    def section(self) -> str:
        """The key of what it is in."""
        return self.key.rpartition(".")[0]

    def matches(self, word: str) -> bool:
        """Whether a word is in its key or description, in capitals or not."""
        return word.casefold() in f"{self.key} {self.kind} {self.about}".casefold()


@cache
def all_settings(section: type[BaseModel]) -> list[Setting]:
    """Every setting of a section and of those in it, in their order."""
    schema = section.model_json_schema()
    return list(_Walk(schema["$defs"]).section(schema, "", ""))


def listing(settings: list[Setting], width: int) -> str:
    """Settings as text for a console with that many columns."""
    groups: dict[str, list[str]] = {}
    for setting in settings:
        title = (setting.section or "the recipe itself") + (f", with {setting.kind}" if setting.kind else "")
        lines = groups.setdefault(title, [title])
        lines.append(f"  {setting.key}={'...' if setting.default is None else setting.default}")
        about = f"{setting.values}. {setting.about}"
        lines += textwrap.wrap(about, max(40, width), initial_indent=" " * 6, subsequent_indent=" " * 6)
    return "\n\n".join("\n".join(lines) for lines in groups.values())


class _Walk:
    """Goes through a schema; `definitions` are what its references name."""

    def __init__(self, definitions: Mapping[str, Any]):
        self.definitions = definitions

    def section(self, section: Mapping[str, Any], prefix: str, kind: str) -> Iterator[Setting]:
        for name, field in section["properties"].items():
            if "const" not in field:
                yield from self.field(field, prefix + name, kind)

    def field(self, field: Mapping[str, Any], key: str, kind: str) -> Iterator[Setting]:
        """A setting, or those of the sections that it consists of."""
        about = " ".join(field.get("description", "").split()).replace("None:", "null:")
        inner, named = self.within(field, key)
        sections = [one for one in self.choices(inner) if "properties" in one]
        if not sections:
            default = json.dumps(field["default"], ensure_ascii=False) if "default" in field else None
            yield Setting(key, self.values(field), default, about, kind)
            return
        kinds = [own for one in sections if (own := _kind(one))]
        if kinds:
            default = inner.get("default", {})
            usual = default.get("kind", kinds[0]) if default is not None else "null"
            yield Setting(f"{named}.kind", " | ".join(kinds), usual, about, kind)
        alike = _alike(sections) if kinds else {}
        yield from self.section({"properties": alike}, f"{named}.", kind)
        for one in sections:
            own = {name: field for name, field in one["properties"].items() if name not in alike}
            yield from self.section({"properties": own}, f"{named}.", f"{named}.kind={_kind(one)}" if kinds else kind)

    def within(self, field: Mapping[str, Any], key: str) -> tuple[Mapping[str, Any], str]:
        """The schema of a value of a mapping or list, and its key."""
        if isinstance(field.get("additionalProperties"), Mapping):
            return field["additionalProperties"], f"{key}.{NAMED.get(key, 'NAME')}"
        if "items" in field:
            return field["items"], f"{key}.NUMBER"
        return field, key

    def choices(self, field: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
        """The alternatives of a field."""
        if "$ref" in field:
            field = self.definitions[field["$ref"].rpartition("/")[2]]
        several = field.get("anyOf") or field.get("oneOf")
        if several is None:
            yield field
        else:
            for one in several:
                yield from self.choices(one)

    def values(self, field: Mapping[str, Any]) -> str:
        """Describes the values of a field."""
        return ", or ".join(dict.fromkeys(self.value(one) for one in self.choices(field)))

    def value(self, one: Mapping[str, Any]) -> str:
        if "enum" in one or "const" in one:
            return " | ".join(map(str, one.get("enum", [one.get("const")])))
        match one.get("type"):
            case "boolean":
                return "true | false"
            case "integer" | "number":
                below = "less than " if "exclusiveMaximum" in one else ""
                return f"{one['minimum']:,.15g} to {below}{one.get('maximum', one.get('exclusiveMaximum')):,.15g}"
            case "array" if "prefixItems" in one:
                return "[" + ", ".join(map(self.values, one["prefixItems"])) + "]"
            case "array":
                return f"list of {self.values(one['items'])}"
            case "object":
                inner = one.get("additionalProperties")
                names = " | ".join(one.get("propertyNames", {}).get("enum", ["NAME"]))
                return f"{{{names}: {self.values(inner)}}}" if isinstance(inner, Mapping) else "{KEY: VALUE}"
            case "string":
                return "path" if one.get("format") == "path" else "text"
            case None:
                return "anything"
            case other:
                return str(other)


def _alike(sections: list[Mapping[str, Any]]) -> dict[str, Any]:
    """The settings that all kinds have, with the same default and description."""
    first, *others = (one["properties"] for one in sections)
    return {name: field for name, field in first.items() if all(other.get(name) == field for other in others)}


def _kind(section: Mapping[str, Any]) -> str | None:
    """Which of several a section is; None for the only one."""
    return section["properties"].get("kind", {}).get("const")
