"""Dotted keys: the settings in settings, by one key each, as they are typed and compared."""

import json
from collections.abc import Mapping, Sequence
from typing import Any

from pydantic import BaseModel

from speech_mtl.errors import InputError, brief
from speech_mtl.settings.yaml12 import parse_yaml

COMMAND_LINE = "the command line"


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
    """Lists the differences of two nested settings, `dotted.key: value there -> value here`."""
    old, new = by_dotted_key(there), by_dotted_key(here)
    return [
        f"{key}: {_short(old.get(key))} -> {_short(new.get(key))}" for key in new | old if old.get(key) != new.get(key)
    ]


def by_dotted_key(values: dict, prefix: str = "") -> dict[str, Any]:
    """Nested settings as one dictionary."""
    flat: dict[str, Any] = {}
    for key, value in values.items():
        flat |= by_dotted_key(value, f"{prefix}{key}.") if isinstance(value, dict) else {prefix + key: value}
    return flat


def _short(value: Any) -> str:
    text = json.dumps(value, ensure_ascii=False)
    return text if len(text) < 120 else text[:117] + "..."


def plain(value: Any) -> Any:
    """Settings as a recipe's YAML has them."""
    if isinstance(value, Mapping):
        return {key: plain(inner) for key, inner in value.items()}
    return value.model_dump(mode="json") if isinstance(value, BaseModel) else value


def set_value(values: dict, key: str, value: Any, where: str) -> None:
    """Sets a dotted key, or with None leaves out a language or task; `where` it comes from, for messages.

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
    if value is None and parents in LEFT_OUT and last in values:
        del values[last]
    else:
        values[last] = value


MOST_PARTS = 20
"""Most parts of a dotted key."""

LEFT_OUT = (["languages"], ["tasks"])
"""Settings of which one entry is left out by null; elsewhere null is a value."""
