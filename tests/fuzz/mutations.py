"""Ways to spoil what the package reads: bytes of a file, lines of a text, values of a JSON document."""

import json
import math
import re
from collections.abc import Callable
from copy import deepcopy
from random import Random
from typing import Any

EXTREMES: list[Any] = [
    *(None, True, False, 0, -1, 1, 7, 10**9, 2**63, -(2**63), 10**400),
    *(0.5, -0.0, 1e-320, 1e308, math.nan, math.inf, -math.inf),
    *("", " ", ".", "..", "../../x", "/", "/proc/self/mem", "x" * 300, "x" * 100_000, "a:b", "ü", "_only_"),
    *("null", "NA", "007", "1e400", "2020-13-01", "|", "[bold]", "<script>", "$x_1$"),
    *("\x1b[31mred", "\0", "a\nb", "a\tb", "\ufeff", "\u202e"),
    *([], [[]], [None], [1] * 3, {}, {"": 0}, {"kind": "x"}, {"a": {"a": {"a": 1}}}),
]
"""What may stand where something else belongs."""

MARKS = [
    *(b"\xef\xbb\xbf", b"\0", b"\xff", b"\r", b"\t", b"\n\n", b'"', b"\xe8", b"\xed\xa0\x80"),
    *(b"{", b"[", b"!!int x", b"&a [*a]"),
]
"""Bytes that readers stumble over."""


def spoil_bytes(content: bytes, random: Random) -> bytes:
    """A file that was cut, damaged or put together wrongly."""
    found = bytearray(content)
    for _ in range(random.choice((1, 1, 1, 2, 5, 30))):
        place, length = random.randrange(len(found) + 1), random.choice((1, 1, 2, 8, 100, 10_000))
        way = random.randrange(7)
        if way == 0 and found:
            found[place % len(found)] = random.randrange(256)
        elif way == 1:
            del found[place:]
        elif way == 2:
            del found[place : place + length]
        elif way == 3:
            found[place:place] = random.randbytes(length)
        elif way == 4:
            found[place:place] = found[place : place + length]
        elif way == 5:
            found[place:place] = random.choice(MARKS)
        else:
            found[place : place + length] = bytes(length)
    return bytes(found)


def spoil_head(content: bytes, random: Random, size: int = 128) -> bytes:
    """A file whose header is damaged: most of what a reader believes stands there."""
    return spoil_bytes(content[:size], random) + content[size:]


def spoil_lines(content: bytes, random: Random) -> bytes:
    """A text whose lines or fields are in disorder."""
    lines = content.splitlines(keepends=True) or [b""]
    i, j = random.randrange(len(lines)), random.randrange(len(lines))
    fields = lines[i].rstrip(b"\r\n").split(b"\t")
    way = random.randrange(8)
    if way == 0:
        lines[i], lines[j] = lines[j], lines[i]
    elif way == 1:
        lines.insert(i, lines[j])
    elif way == 2:
        del lines[i]
    elif way == 3:
        fields.insert(random.randrange(len(fields) + 1), random.choice(MARKS))
    elif way == 4:
        del fields[random.randrange(len(fields))]
    elif way == 5:
        fields[random.randrange(len(fields))] = str(random.choice(EXTREMES)).encode("utf-8", "surrogatepass")
    elif way == 6:
        fields[random.randrange(len(fields))] = b"x" * random.choice((300, 5_000, 200_000))
    else:
        return spoil_bytes(content, random)
    if way > 2:
        lines[i] = b"\t".join(fields) + random.choice((b"\n", b"\r\n", b"\r", b""))
    return b"".join(lines)


def spoil_numbers(content: bytes, random: Random) -> bytes:
    """A text in which one number is another."""
    found = list(re.finditer(rb"\d+(\.\d+)?", content))
    if not found:
        return content
    start, end = random.choice(found).span()
    return content[:start] + str(random.choice(EXTREMES)).encode("utf-8", "surrogatepass")[:300] + content[end:]


def spoil_json(value: Any, random: Random) -> Any:
    """A document in which a value or a key is another, is missing, or is one too many."""
    places = list(_places(value))
    for _ in range(random.choice((1, 1, 1, 2, 4))):
        holder, key = random.choice(places) if places else (None, None)
        if holder is None:
            return deepcopy(random.choice(EXTREMES))
        way = random.randrange(6)
        if way < 3:
            holder[key] = deepcopy(random.choice(EXTREMES))
        elif way == 3 and isinstance(holder, dict):
            holder.pop(key, None)
        elif way == 4 and isinstance(holder, dict):
            holder[str(random.choice(EXTREMES))[:300]] = holder.get(key)
        elif isinstance(holder, list):
            holder.insert(random.randrange(len(holder) + 1), deepcopy(random.choice(EXTREMES)))
        else:
            holder[key] = {"inner": holder.get(key)}
        places = list(_places(value))
    return value


def spoil_json_text(text: str, random: Random) -> bytes:
    """A JSON file, or one with a value a line, spoilt as a document or as a text."""
    if random.random() < 0.3:
        return spoil_bytes(text.encode(), random)
    try:
        return _dumped(spoil_json(json.loads(text), random))
    except ValueError:
        lines = text.splitlines() or [""]
        number = random.randrange(len(lines))
        try:
            lines[number] = _dumped(spoil_json(json.loads(lines[number]), random)).decode("utf-8", "surrogateescape")
        except ValueError:
            return spoil_lines(text.encode(), random)
        return "\n".join(lines).encode("utf-8", "surrogateescape")


def _dumped(value: Any) -> bytes:
    return json.dumps(value, ensure_ascii=False).encode("utf-8", "surrogatepass")


def _places(value: Any) -> "list[tuple[Any, Any]]":
    """Each list or object of a document with each of its keys."""
    keys = range(len(value)) if isinstance(value, list) else list(value) if isinstance(value, dict) else ()
    own = [(value, key) for key in keys]
    return own + [place for key in keys for place in _places(value[key])]


Spoil = Callable[[bytes, Random], bytes]
