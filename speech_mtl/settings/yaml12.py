"""YAML 1.2, as far as settings need it: mappings, lists, texts, numbers, truth values and nulls.

ruamel's parser finds the structure. Only what the core schema of YAML 1.2 calls a number, a truth value or null is one:
`no`, `12:30` and `2020-01-01` are texts, and keys always are. Merge keys (`<<`) are followed.
"""

import io
import re
from collections.abc import Callable
from copy import deepcopy
from datetime import date
from typing import Any

from ruamel.yaml import YAML, YAMLError
from ruamel.yaml.events import (
    AliasEvent,
    Event,
    MappingEndEvent,
    ScalarEvent,
    SequenceEndEvent,
    SequenceStartEvent,
    StreamEndEvent,
)
from ruamel.yaml.representer import SafeRepresenter

from speech_mtl.errors import InputError

MOST_LETTERS = 1 << 18
"""Longest text."""

MOST_VALUES = 20_000
"""Most values in a text; the values of an alias are counted each time."""

MOST_LEVELS = 50
"""Deepest nesting of values."""

Lines = dict[tuple[str | int, ...], int]
"""Lines of the values in a YAML text, by their keys and numbers from the outermost on."""


def parse_yaml(text: str, where: Callable[[int], str], action: str, lines: Lines | None = None) -> Any:
    """A YAML text as values.

    Args:
        text: One document; an empty text is None.
        where: A line of it is, for messages.
        action: What the user can do about a bad one.
        lines: Is filled with the lines of all values.

    Raises:
        InputError: It is not YAML, has a tag (`!!int`), a key twice, a key that is no text, a second document, a number
            of thousands of digits, a date that does not exist, or more values or levels than any file of ours; with the
            line.
    """
    if len(text) > MOST_LETTERS:
        raise InputError(
            f"{where(1)}: too long",
            expected=f"at most {MOST_LETTERS:,} letters",
            received=f"{len(text):,} letters",
            action=action,
        )
    reader = _Reader(text, where, action, {} if lines is None else lines)
    if found := re.search(r"[\x85\u2028\u2029]", text):  # ruamel would begin a new line
        line = text.count("\n", 0, found.start()) + 1
        raise reader.error(line, "a line break of YAML 1.1", "lines that end with a line feed, and no U+0085 or U+2028")
    return reader.document()


def yaml_text(value: object) -> str:
    """Plain values as a YAML text that `parse_yaml` gives back."""
    stream = io.StringIO()
    writer = YAML(typ="safe", pure=True)
    writer.Representer = _Representer
    writer.width = MOST_LETTERS  # where ruamel folds a line, it can add a space  # pyright: ignore[reportAttributeAccessIssue]
    writer.sort_base_mapping_type_on_output = False  # pyright: ignore[reportAttributeAccessIssue]
    writer.dump(value, stream)
    return stream.getvalue()


class _Representer(SafeRepresenter):
    """Quotes every text that could be read as something else."""

    def represent_str(self, data: str) -> Any:
        try:
            plain = re.fullmatch(r"\w([\w ./+=-]*[\w./+=-])?", data) and isinstance(_scalar_of(data), str)
        except ValueError:
            plain = False
        return self.represent_scalar("tag:yaml.org,2002:str", data, style=None if plain else '"')


_Representer.add_representer(str, _Representer.represent_str)

_SCALARS: tuple[tuple[str, Callable[[str], Any]], ...] = (
    (r"null|Null|NULL|~|", lambda _: None),
    (r"true|True|TRUE|false|False|FALSE", lambda text: text.lower() == "true"),
    (r"[-+]?[0-9]+", int),
    (r"0o[0-7]+", lambda text: int(text, 8)),
    (r"0x[0-9a-fA-F]+", lambda text: int(text, 16)),
    (r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?", float),
    (r"[-+]?\.(inf|Inf|INF)", lambda text: float(text.replace(".", ""))),
    (r"\.(nan|NaN|NAN)", lambda _: float("nan")),
    (r"[0-9]{4}-[0-9]{2}-[0-9]{2}", lambda text: date.fromisoformat(text).isoformat()),
)
"""The core schema, in section 10.3.2 of YAML 1.2.2: regular expressions, and what their texts stand for.

Then dates: they are texts, but one that does not exist is a slip.
"""


def _scalar_of(text: str) -> Any:
    """The value of a text without quotes.

    Raises:
        ValueError: A number of more digits than Python reads, or no day of any calendar.
    """
    return next((made(text) for pattern, made in _SCALARS if re.fullmatch(pattern, text)), text)


_OF_TEXT = (None, "!", "tag:yaml.org,2002:str")
"""Tags that a text may have."""


class _Reader:
    """Builds values from the events of ruamel's parser, and refuses what no file of ours has."""

    def __init__(self, text: str, where: Callable[[int], str], action: str, lines: Lines):
        self.text, self.where, self.action, self.lines = text, where, action, lines
        self.events = YAML(typ="safe", pure=True).parse(text)
        self.num_values = 0
        self.anchors: dict[str, tuple[Any, int]] = {}
        """Values by anchor, with the number of values in each."""

    def document(self) -> Any:
        """The value of the whole text; None if it is empty."""
        self._next()  # the beginning of the stream
        start = self._next()
        if isinstance(start, StreamEndEvent):
            return None
        if getattr(start, "version", None) not in (None, (1, 2)):
            raise self.error(_line(start), "of another version", "YAML 1.2")
        value = self._value(self._next(), ())
        self._next()  # the end of the document
        end = self._next()
        if not isinstance(end, StreamEndEvent):
            raise self.error(_line(end), "a second document", "one document in a file")
        return value

    def _next(self) -> Any:
        try:
            return next(self.events)
        except YAMLError as error:
            mark = getattr(error, "problem_mark", None) or getattr(error, "context_mark", None)
            position = getattr(error, "position", None)  # of a character that no YAML text has
            line = mark.line + 1 if mark else self.text.count("\n", 0, position or 0) + 1
            reason = getattr(error, "problem", None) or getattr(error, "reason", None) or "it ends too early"
            raise self.error(line, str(reason)) from None
        except (ValueError, OverflowError) as error:  # of an escape or a version beyond all numbers
            raise self.error(1, str(error)) from None

    def _value(self, event: Any, path: tuple[str | int, ...]) -> Any:
        self.lines[path] = _line(event)
        self._count(1, event)
        if len(path) > MOST_LEVELS:
            raise self.error(_line(event), f"more than {MOST_LEVELS} values in one another", "fewer levels")
        if isinstance(event, AliasEvent):
            return self._again(event)
        if event.tag not in (_OF_TEXT if isinstance(event, ScalarEvent) else (None,)):
            raise self.error(_line(event), f"the tag {event.tag}", "values without tags")
        before = self.num_values
        if isinstance(event, ScalarEvent):
            value = self._scalar(event)
        else:
            value = self._list(path) if isinstance(event, SequenceStartEvent) else self._mapping(path)
        if event.anchor:
            self.anchors[event.anchor] = value, self.num_values - before
        return value

    def _count(self, number: int, event: Event) -> None:
        self.num_values += number
        if self.num_values > MOST_VALUES:
            expected = f"at most {MOST_VALUES:,}, those that aliases stand for included"
            raise self.error(_line(event), "too many values", expected)

    def _again(self, event: AliasEvent) -> Any:
        """A copy of what an alias stands for: values that are one object would be changed together."""
        if event.anchor not in self.anchors:
            raise self.error(_line(event), f"no value before it has the anchor {event.anchor!r}", "an earlier anchor")
        value, number = self.anchors[event.anchor]
        self._count(number, event)
        return deepcopy(value)

    def _scalar(self, event: ScalarEvent) -> Any:
        text = self._text(event)
        if event.style or event.tag:
            return text
        try:
            return _scalar_of(text)
        except ValueError:
            expected = "a number of fewer digits, or a date that exists; what stands in quotes is a text"
            raise self.error(_line(event), "no such number or date", expected) from None

    def _text(self, event: ScalarEvent) -> str:
        if re.search(r"[\ud800-\udfff]", event.value):
            raise self.error(_line(event), "half a character", "whole characters")
        return event.value

    def _list(self, path: tuple[str | int, ...]) -> list:
        values = []
        while not isinstance(event := self._next(), SequenceEndEvent):
            values.append(self._value(event, (*path, len(values))))
        return values

    def _mapping(self, path: tuple[str | int, ...]) -> dict[str, Any]:
        merged: dict[str, Any] = {}
        values: dict[str, Any] = {}
        while not isinstance(event := self._next(), MappingEndEvent):
            key = self._key(event)
            if key in values:
                raise self.error(_line(event), f"the key {key!r} is there twice", "each key once")
            value = self._value(self._next(), (*path, key))
            if key == "<<" and not event.style:
                merged = self._merged(value, event) | merged
            else:
                values[key] = value
        return merged | values

    def _key(self, event: Any) -> str:
        if not isinstance(event, ScalarEvent) or event.tag not in _OF_TEXT or event.anchor:
            raise self.error(_line(event), "a key that is no text", "a text as a key, without tag and anchor")
        return self._text(event)

    def _merged(self, value: Any, event: Event) -> dict[str, Any]:
        """The mapping of a merge key; of several, the first that has a key counts."""
        mappings = value if isinstance(value, list) else [value]
        if not all(isinstance(mapping, dict) for mapping in mappings):
            raise self.error(_line(event), "'<<' without a mapping", "'<<: *ANCHOR' of a mapping")
        return {key: inner for mapping in reversed(mappings) for key, inner in mapping.items()}

    def error(self, line: int, reason: str, expected: str = "a YAML 1.2 text") -> InputError:
        """Makes the error of a line."""
        near = self.text.split("\n")[line - 1 : line] or [""]
        return InputError(
            f"{self.where(line)}: not YAML ({reason})",
            expected=expected,
            received=near[0].strip()[:200] or "an empty line",
            action=self.action,
        )


def _line(event: Event) -> int:
    return event.start_mark.line + 1
