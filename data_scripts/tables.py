"""The one reader of corpora's tables: rows with their `file:line` and their cells as written, none lost in silence.

A row that does not fit its table comes as `Unusable`, so that it is named and counted like audio that cannot be read.
"""

import csv
import json
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

from speech_mtl.errors import InputError
from speech_mtl.files import parse_json, read_lines

LONGEST_CELL = 100_000
"""Letters: what is longer is no transcript, but rows that ran together."""

LONGEST_ROW = 32
"""Lines that a quoted cell may run over."""

FIX_TABLE = "fix the table, or take it from the corpus as it is"


@dataclass(frozen=True, slots=True)
class Row:
    """A row of a table.

    Attributes:
        source: `file:line`.
        cells: By column in lower case, as written: numbers of a JSON line as their digits; None for null.
        typed: The same with JSON's types; None in a table that has none.
    """

    source: str
    cells: Mapping[str, Any]
    typed: Mapping[str, Any] | None = None

    def value(self, column: str) -> Any:
        """A cell with its type. In a table without types, a JSON number is a number and an empty cell is None."""
        return _number_or_text(self.cells[column]) if self.typed is None else self.typed.get(column)


@dataclass(frozen=True, slots=True)
class Unusable:
    """Why a row, or the utterance in it, is left out: where, a reason to count, and a message about this one."""

    source: str
    reason: str
    message: str


class Table(NamedTuple):
    """A table: its columns in lower case, and its rows, which may be read only as they are asked for."""

    path: Path
    columns: Sequence[str]
    rows: Iterable[Row | Unusable]


def read_table(path: Path, *, delimiter: str = "\t", quoted: bool = False, columns: Sequence[str] = ()) -> Table:
    """Reads a table with one row a line.

    Args:
        path: In UTF-8, with or without byte order mark. Empty lines are left out.
        delimiter: Between cells.
        quoted: Whether quotation marks enclose cells, as in CSV; otherwise they belong to the text.
        columns: Their names, where the table has no header.

    Raises:
        InputError: It is missing or not UTF-8, a column's name comes twice, or a line is longer than a table's.
    """
    lines = ((where, line.rstrip("\r\n")) for where, line in read_lines(path, FIX_TABLE))
    rows = _quoted(list(lines), delimiter) if quoted else ((where, line.split(delimiter)) for where, line in lines)
    rows = ((where, cells) for where, cells in rows if cells not in ([], [""]))
    if columns:
        return Table(path, columns, _checked(rows, columns))
    where, header = next(rows, (f"{path}:1", []))
    columns = _header(where, header, delimiter)
    return Table(path, columns, _checked(rows, columns))


def read_keyed_table(path: Path) -> Table:
    """Reads a table without header whose lines are a `key`, then blanks or tabs, then a `value`: the rest, or nothing.

    Raises:
        InputError: It is missing or not UTF-8, or a line is longer than a table's.
    """
    lines = ((where, line.strip(" \t\r\n")) for where, line in read_lines(path, FIX_TABLE))
    cells = ((where, [*re.split("[ \t]+", line, maxsplit=1), ""][:2]) for where, line in lines if line)
    return Table(path, KEYED, _checked(cells, KEYED))


KEYED = ("key", "value")


def read_json_table(path: Path) -> Table:
    """Reads a table with one JSON object a line; its columns are all keys of all lines.

    Raises:
        InputError: It is missing or not UTF-8, a line is longer than a table's, or none can be used.
    """
    rows = [_json_row(where, line) for where, line in read_lines(path, FIX_TABLE) if line.strip()]
    columns = dict.fromkeys(column for row in rows if isinstance(row, Row) for column in row.cells)
    first = rows[0] if rows else None
    if isinstance(first, Unusable) and not columns:
        raise InputError(
            f"{first.source}: {first.reason}, and so are all lines",
            expected="one JSON object a line",
            received=first.message,
            action=FIX_TABLE,
        )
    return Table(path, list(columns), rows)


def require_columns(table: Table, wanted: Sequence[str], what: str) -> None:
    """Refuses a table that lacks a column.

    Raises:
        InputError: With the columns there are.
    """
    if missing := [column for column in wanted if column not in table.columns]:
        raise InputError(
            f"{table.path}:1: not {what}: no column {missing[0]!r}",
            expected="columns of these names: " + ", ".join(wanted),
            received=", ".join(table.columns) or "an empty file",
            action="take the table from the corpus as it is",
        )


def _header(where: str, header: list[str] | str, delimiter: str) -> list[str]:
    columns = [] if isinstance(header, str) else [name.strip().lower() for name in header]
    twice = [name for name, count in Counter(columns).items() if name and count > 1]
    written = header if isinstance(header, str) else "".join(header)
    if "\0" in written:
        received, action = "the letter NUL, as in UTF-16", "convert the file: `iconv -f UTF-16LE -t UTF-8`"
    elif "\r" in written:
        received, action = "lines that end with a carriage return alone", "convert the file: `tr '\\r' '\\n'`"
    elif isinstance(header, str):
        received, action = "what is not CSV", "fix the header"
    elif len(columns) == 1 and re.search("[\t,;|]", written):
        received, action = f"one name: {written}", f"put {delimiter!r} between cells"
    elif twice:
        received, action = f"the column {twice[0]!r} twice", "rename one of the two"
    else:
        return columns
    raise InputError(
        f"{where}: not the header of a table",
        expected="names of columns, each once",
        received=received,
        action=action,
    )


def _checked(rows: Iterable[tuple[str, list[str] | str]], columns: Sequence[str]) -> Iterator[Row | Unusable]:
    for where, cells in rows:
        if isinstance(cells, str):
            yield Unusable(where, "not CSV", f"the row cannot be read as CSV: {cells}")
        elif len(cells) != len(columns):
            reason = "surplus fields" if len(cells) > len(columns) else "missing fields"
            yield Unusable(where, reason, f"{len(cells)} fields, {len(columns)} expected")
        elif problem := next(filter(None, map(_problem, columns, cells)), None):
            yield Unusable(where, *problem)
        else:
            yield Row(where, dict(zip(columns, cells, strict=True)))


def _problem(column: str, cell: Any) -> tuple[str, str] | None:
    """What is wrong with a cell: a reason to count, and a message."""
    if not isinstance(cell, str):
        return None
    if "\0" in cell:
        return "NUL in a field", f"the field {column!r} holds the letter NUL"
    if len(cell) > LONGEST_CELL:
        return "field too long", f"the field {column!r} holds {len(cell):,} letters, more than {LONGEST_CELL:,}"
    return None


def _quoted(lines: Sequence[tuple[str, str]], delimiter: str) -> Iterator[tuple[str, list[str] | str]]:
    """The cells of each row, or what is wrong with it; the line after a bad one is tried as a row of its own."""
    start = 0
    while start < len(lines):
        following = (line + "\n" for _, line in lines[start : start + LONGEST_ROW])
        reader = csv.reader(following, delimiter=delimiter, strict=True)
        try:
            cells, num_lines = next(reader), reader.line_num
        except csv.Error as error:
            cells, num_lines = "a carriage return \r within a line" if "\r" in lines[start][1] else str(error), 1
        yield lines[start][0], cells
        start += num_lines


def _number_or_text(cell: str) -> Any:
    if cell and cell[0] in "-0123456789":
        try:
            return json.loads(cell)
        except ValueError:
            return cell
    return cell or None


def _json_row(where: str, line: str) -> Row | Unusable:
    try:
        typed = parse_json(line, dict[str, Any], where)
        written = json.loads(line, parse_int=str, parse_float=str, parse_constant=str, object_pairs_hook=_each_once)
    except InputError as error:
        return Unusable(where, "not a JSON object", f"{error.problem.removeprefix(where + ': ')}: {error.received}")
    except ValueError as error:
        return Unusable(where, "a field twice", str(error))
    if problem := next(filter(None, map(_problem, written, written.values())), None):
        return Unusable(where, *problem)
    cells = {column: json.dumps(cell) if isinstance(cell, bool) else cell for column, cell in written.items()}
    return Row(where, cells, {column.strip().lower(): value for column, value in typed.items()})


def _each_once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """An object with its names in lower case; refuses what would be lost."""
    members = {name.strip().lower(): value for name, value in pairs}
    if len(members) < len(pairs):
        raise ValueError("a field comes twice among " + ", ".join(name for name, _ in pairs))
    return members
