"""Files: written whole or not at all, and checked once when they are read, whoever wrote them.

Every text, JSON and JSON-lines file that the package reads comes through here. What is not as it should be is an
`InputError` that names the file, the line and the field.
"""

import codecs
import gzip
import hashlib
import json
import os
import re
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import fields
from functools import lru_cache
from itertools import count
from pathlib import Path
from typing import Annotated, Any, TypeVar, get_type_hints
from uuid import uuid4

from pydantic import Field, TypeAdapter, ValidationError
from typing_extensions import TypedDict

from speech_mtl.errors import InputError, brief

MOST_BYTES = 1 << 28
"""Largest size of a file that is read as a whole: a larger one is not ours, and would fill the memory."""

MOST_LINE_BYTES = 1 << 24
"""Largest size of a line of a file that is read line by line."""

MAKE_AGAIN = "fix it, or make the file again with the command that wrote it"

Finite = Annotated[float, Field(allow_inf_nan=False)]
"""A number, for records: JSON can hold others."""

NotNegative = Annotated[int, Field(ge=0, lt=2**63)]
"""A count, for records."""

Bits64 = Annotated[int, Field(ge=0, lt=2**64)]
"""A digest, for records."""

WIDE = {
    codecs.BOM_UTF32_LE: "UTF-32",
    codecs.BOM_UTF32_BE: "UTF-32",
    codecs.BOM_UTF16_LE: "UTF-16",
    codecs.BOM_UTF16_BE: "UTF-16",
}
"""Encodings by the mark with which a file begins; that of UTF-32 begins as that of UTF-16."""

RARE = {"rare": True}
"""Metadata of fields that are left out of JSON files where they have their default: few records have a value there."""

T = TypeVar("T")


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Yields a temporary path beside `path` to write to; when the block succeeds, it becomes `path`.

    Where the block raises, what was written goes and `path` stays as it was. Missing folders are made. No two writers
    share a name, on whatever machines they run.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{uuid4().hex}.tmp")
    try:
        yield temporary
        temporary.replace(path)
    except OSError as error:
        if error.errno is not None and error.filename in (None, str(temporary)):
            error.filename = str(path)  # a full disk names no file, and nobody knows the temporary one
        raise
    finally:
        temporary.unlink(missing_ok=True)


def json_text(value: object, indent: int | None = 1) -> str:
    """A value as our JSON files hold it, with a line feed; records by their fields or their `to_json`."""
    return json.dumps(value, ensure_ascii=False, indent=indent, default=_plain) + "\n"


def _plain(record: Any) -> object:
    if hasattr(record, "to_json"):
        return record.to_json()
    pairs = ((field, getattr(record, field.name)) for field in fields(record))
    return {field.name: value for field, value in pairs if not ("rare" in field.metadata and value == field.default)}


def files_under(folder: Path) -> Iterator[Path]:
    """The files in a folder and in those below it, a folder after the other, each by name.

    Links to folders are followed, except those that lead back. Hidden files and folders are left alone, and folders
    such as `__MACOSX`.

    Raises:
        OSError: A folder may not be read.
    """

    def refuse(error: OSError) -> None:
        raise error

    for parent, folders, names in os.walk(folder, onerror=refuse, followlinks=True):
        above = list(Path(parent).parents)[: len(Path(parent).relative_to(folder).parts)]
        if os.path.realpath(parent) in map(os.path.realpath, above):
            folders.clear()
            continue
        folders[:] = sorted(name for name in folders if not name.startswith((".", "__")))
        yield from (Path(parent, name) for name in sorted(names) if not name.startswith("."))


def file_digest(path: Path) -> str:
    """SHA-256 of a file, in hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def digest_of(content: bytes) -> int:
    """64 bits by which contents are compared, or from which something random is made."""
    return int.from_bytes(hashlib.blake2b(content, digest_size=8).digest())


def write_text(path: Path, text: str) -> None:
    """Writes a text file as a whole."""
    with replacing(path) as temporary:
        temporary.write_text(text, encoding="utf-8")


def read_text(path: Path, action: str = MAKE_AGAIN) -> str:
    """Reads a text file in UTF-8; a byte order mark is left out.

    Args:
        path: The file.
        action: What the user can do about a bad one.

    Raises:
        InputError: It is missing, too large, or not UTF-8; with the line.
    """
    if not path.is_file():
        raise InputError(
            f"There is no file {path}",
            expected="a file",
            received="a folder" if path.is_dir() else "nothing at that path",
            action=action,
        )
    if (size := path.stat().st_size) > MOST_BYTES:
        raise InputError(
            f"{path} is too large", expected=f"at most {MOST_BYTES:,} bytes", received=f"{size:,} bytes", action=action
        )
    content = path.read_bytes()
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        raise _not_utf8(f"{path}:{line}", content, error, action) from None


def read_json(path: Path, kind: type[T], action: str = MAKE_AGAIN) -> T:
    """Reads a JSON file and validates it against a type.

    Args:
        path: The file.
        kind: A type with annotations: a dataclass, a TypedDict, `dict[str, list[int]]`. Nothing is converted.
        action: What the user can do about a bad one.

    Raises:
        InputError: It is missing, too large, not UTF-8, not JSON, or not of that kind; with the line or field.
    """
    return parse_json(read_text(path, action), kind, str(path), action)


def read_record(path: Path, kind: type[T], action: str = MAKE_AGAIN) -> T:
    """Reads a JSON object as an object of a class, all of whose annotated arguments must be there.

    Raises:
        InputError: As for `read_json`.
    """
    return kind(**read_json(path, _arguments(kind), action))


@lru_cache(maxsize=64)
def _arguments(kind: type) -> Any:
    hints = get_type_hints(kind.__init__, include_extras=True)
    return TypedDict(kind.__name__, {name: hint for name, hint in hints.items() if name != "return"})  # pyright: ignore


def read_lines(path: Path, action: str = MAKE_AGAIN) -> Iterator[tuple[str, str]]:
    """Reads a text file in UTF-8 a line at a time; yields `file:line` and the line with its end.

    Lines end where a line feed does; a byte order mark is left out. A name that ends in `.gz` is a compressed file.

    Raises:
        InputError: It is missing, damaged or not UTF-8, or a line is too long; with the line.
    """
    for where, line in lines_or_errors(path, action):
        if isinstance(line, InputError):
            raise line
        yield where, line


def lines_or_errors(path: Path, action: str = MAKE_AGAIN) -> Iterator[tuple[str, str | InputError]]:
    """Reads lines as `read_lines` does; for one that cannot be read it yields the error, and reads the next one.

    It ends after an error that all other lines would have, too.

    Raises:
        InputError: The file is missing.
    """
    if not path.is_file():
        raise InputError(f"There is no file {path}", expected="a file", received="nothing at that path", action=action)
    opened = gzip.open if path.suffix == ".gz" else open
    with opened(path, "rb") as file:
        for number in count(1):
            where = f"{path}:{number}"
            try:
                line = file.readline(MOST_LINE_BYTES)
            except (gzip.BadGzipFile, EOFError, zlib.error) as error:
                yield (
                    where,
                    InputError(
                        f"{where}: not a whole gzip file",
                        expected="a file as gzip writes it",
                        received=str(error),
                        action=action,
                    ),
                )
                return
            if not line:
                return
            if len(line) == MOST_LINE_BYTES:
                yield (
                    where,
                    InputError(
                        f"{where}: too long a line",
                        expected=f"less than {MOST_LINE_BYTES:,} bytes",
                        received="more",
                        action=action,
                    ),
                )
                return
            try:
                yield where, line.decode("utf-8-sig" if number == 1 else "utf-8")
            except UnicodeDecodeError as error:
                yield where, _not_utf8(where, line, error, action)
                if line.startswith(tuple(WIDE)):
                    return


def read_json_lines(path: Path, kind: type[T], action: str = MAKE_AGAIN) -> Iterator[tuple[str, T]]:
    """Reads a file with one JSON value a line, a line at a time; yields `file:line` and the value.

    Raises:
        InputError: As for `read_json`; with the line.
    """
    for where, line in read_lines(path, action):
        yield where, parse_json(line, kind, where, action)


def parse_json(text: str, kind: type[T], where: str, action: str = MAKE_AGAIN) -> T:
    """A JSON text as a value of a kind; `where` it comes from, for messages.

    Raises:
        InputError: It is not JSON, or not of that kind, or a field comes twice in it.
    """
    try:
        value: Any = _adapter(kind).validate_json(text, strict=True)
        if _may_repeat_a_field(value, text):
            json.loads(text, object_pairs_hook=_refuse_twice, parse_int=len)  # int() refuses long numbers
    except ValidationError as error:
        raise _not_of_kind(error, text, where, action) from None
    except _Twice as twice:
        raise InputError(
            f"{where}: the field {str(twice)!r} comes twice",
            expected="each field once, as only one of them would be read",
            received=text.strip()[:80],
            action=action,
        ) from None
    return value


def _may_repeat_a_field(value: object, text: str) -> bool:
    """Whether a JSON text has more colons than a flat object has fields."""
    return not isinstance(value, dict) or len(value) != text.count(":")


class _Twice(Exception):
    """The name of a field that an object has twice."""


def _refuse_twice(pairs: list[tuple[str, Any]]) -> None:
    names = [name for name, _ in pairs]
    if len(set(names)) < len(names):
        raise _Twice(next(name for name in names if names.count(name) > 1))


@lru_cache(maxsize=64)
def _adapter(kind: type[T]) -> TypeAdapter[T]:
    return TypeAdapter(kind)


class NotUtf8(InputError):
    """A text in another encoding."""


def _not_utf8(where: str, content: bytes, error: UnicodeDecodeError, action: str) -> NotUtf8:
    near = content[max(0, error.start - 20) : error.end + 20]
    wide = next((name for mark, name in WIDE.items() if content.startswith(mark)), None)
    if wide is None and near.count(0) > len(near) // 3:
        wide = "UTF-16LE"  # without a mark, hardly anybody writes the other order
    command = f"`iconv -f {wide} -t UTF-8`" if wide else "a command such as `iconv -f CP1250 -t UTF-8`"
    return NotUtf8(
        f"{where}: not UTF-8",
        expected="text in UTF-8",
        received=wide or repr(near),
        action=f"convert the file with {command}; or {action}",
    )


def _not_of_kind(error: ValidationError, text: str, where: str, action: str) -> InputError:
    """The first problem that pydantic found, in our four parts."""
    first = error.errors(include_url=False)[0]
    if first["type"] == "json_invalid":
        reason = first.get("ctx", {}).get("error", "")
        place = re.search(r" at line (\d+) column (\d+)$", reason)
        line = int(place[1]) if place else 1
        near = text.split("\n")[line - 1 : line] or [""]
        spot = where if re.search(r":\d+$", where) else f"{where}:{line}"
        return InputError(
            f"{spot}: not JSON ({reason.removesuffix(place[0]) if place else reason})",
            expected="JSON" + (f", whole, also at column {place[2]}" if place else ""),
            received=near[0].strip()[:80] or "an empty line",
            action=action,
        )
    field = ".".join(map(str, first["loc"]))
    named = f"the field {field!r}" if field else "the value"
    missing = first["type"] == "missing"
    return InputError(
        f"{where}: {named} is {'missing' if missing else 'not right'}",
        expected=_wanted(first),
        received="no such field" if missing else brief(first["input"]),
        action=action,
    )


def _wanted(problem: Any) -> str:
    return "a field of that name" if problem["type"] == "missing" else problem["msg"].removeprefix("Input should be ")
