"""Where audio lies: a file, some bytes of a file, a row of a Parquet file; and which stretch and channel of it.

A manifest's `audio` is a path, and may say after a `#` which part of the file is meant, as `key=value&key=value`:

    clips/a.flac
    shard.tar#offset=1536&length=20480
    train.parquet#row=17&column=audio
    recording.wav#start_s=12.3&end_s=15.1&channel=0
"""

import io
import re
from bisect import bisect_right
from dataclasses import dataclass, replace
from functools import lru_cache
from itertools import accumulate
from pathlib import Path
from typing import Any
from urllib.parse import quote, unquote

from speech_mtl.errors import printable, require

LONGEST_BYTES = 1 << 30
"""Of a part of a file, which is read into memory: some hours, however it is encoded."""

SECONDS = r"\d{1,7}(?:\.\d+)?"

PART = re.compile(
    r"(?:offset=(?P<offset>\d{1,15})&length=(?P<length>\d{1,12})|row=(?P<row>\d{1,12})&column=(?P<column>[^&#/]+))?"
    rf"(?:(?:^|&)start_s=(?P<start_s>{SECONDS})&end_s=(?P<end_s>{SECONDS}))?"
    r"(?:(?:^|&)channel=(?P<channel>\d{1,2}))?"
)
"""What may stand after the `#`; other names with a `#` are those of whole files."""

KINDS = {"offset": int, "length": int, "row": int, "column": unquote, "start_s": float, "end_s": float, "channel": int}


class AudioError(Exception):
    """One utterance whose audio cannot be used.

    Attributes:
        reason: A word or two by which such utterances are counted: `missing`, `unreadable`, `silent`, ...
    """

    def __init__(self, reason: str, message: str):
        self.reason = reason
        super().__init__(printable(message))


@dataclass(frozen=True, slots=True)
class Place:
    """Where audio lies. Of the first two pairs at most one is given, and of each pair both or none.

    Attributes:
        file: The file that holds it.
        offset: Where its bytes begin, as in a tar or an Arrow file.
        length: How many there are.
        row: Its row in a Parquet file.
        column: The column, with bytes, or with a struct that has bytes as Hugging Face stores audio.
        start_s: Where the stretch begins that is meant, in seconds; None for all.
        end_s: Where it ends.
        channel: The channel that is meant, from 0; None for the mean of all.
    """

    file: Path
    offset: int | None = None
    length: int | None = None
    row: int | None = None
    column: str | None = None
    start_s: float | None = None
    end_s: float | None = None
    channel: int | None = None

    @property
    def path(self) -> Path:
        """The place as a manifest has it."""
        given = {key: getattr(self, key) for key in KINDS if getattr(self, key) is not None}
        part = "&".join(f"{key}={_written(value)}" for key, value in given.items())
        return self.file.with_name(f"{self.file.name}#{part}") if part else self.file

    def content(self) -> bytes | None:
        """The bytes of a part of a file; None where the whole file is meant.

        Raises:
            AudioError: The file ends before, or has no such row.
            InputError: The package that reads Parquet is not installed.
            OSError: The file cannot be read.
        """
        if self.offset is not None and self.length is not None:
            return _bytes(self, self.offset, self.length)
        if self.row is not None and self.column is not None:
            return _cell(self, self.row, self.column)
        return None


@lru_cache(maxsize=1024)
def place_of(audio: Path) -> Place:
    """The place that a manifest's path means."""
    stem, mark, part = audio.name.rpartition("#")
    match = PART.fullmatch(part) if mark and part and stem else None
    if match is None:
        return Place(audio)
    given = {key: KINDS[key](value) for key, value in match.groupdict().items() if value is not None}
    return Place(audio.with_name(stem), **given)


def resolved(audio: Path) -> Path:
    """A manifest's path with its file's links resolved."""
    place = place_of(audio)
    return replace(place, file=place.file.resolve()).path


def _written(value: Any) -> str:
    if isinstance(value, float):
        return f"{value:.6f}".rstrip("0").rstrip(".")  # never with an exponent
    return quote(value, safe=" ") if isinstance(value, str) else str(value)


def _bytes(place: Place, offset: int, length: int) -> bytes:
    with place.file.open("rb") as file:
        size = file.seek(0, io.SEEK_END)
        if offset + length > size:
            raise AudioError("truncated", f"{place.path} is cut off: {place.file} has {size:,} bytes")
        if length > LONGEST_BYTES:
            raise AudioError("too long", f"{place.path} has more than {LONGEST_BYTES:,} bytes")
        file.seek(offset)
        return file.read(length)


def _cell(place: Place, row: int, column: str) -> bytes:
    try:
        import pyarrow
    except ImportError:
        raise require("pyarrow", extra="corpora", purpose="Reading audio in Parquet files") from None
    try:
        status = place.file.stat()
        state = status.st_size, status.st_mtime_ns
        ends = _row_group_ends(place.file, state)
        group = bisect_right(ends, row)
        if group == len(ends):
            total = ends[-1] if ends else 0
            raise AudioError("missing", f"there is no audio {place.path}: the file has {total:,} rows")
        value = _row_group(place.file, state, group, column)[row - (ends[group - 1] if group else 0)].as_py()
    except pyarrow.ArrowException as error:  # a key that is missing, a file that is cut off or damaged
        raise AudioError("unreadable", f"{place.path} cannot be read ({error})") from None
    content = value.get("bytes") if isinstance(value, dict) else value
    if not isinstance(content, bytes):
        raise AudioError("missing", f"there is no audio in {place.path}")
    return content


@lru_cache(maxsize=256)
def _row_group_ends(file: Path, _state: tuple[int, int]) -> list[int]:
    from pyarrow import parquet

    with parquet.ParquetFile(file) as opened:
        groups = opened.metadata
        return list(accumulate(groups.row_group(number).num_rows for number in range(groups.num_row_groups)))


@lru_cache(maxsize=2)
def _row_group(file: Path, _state: tuple[int, int], number: int, column: str) -> Any:
    """A column of the rows that are compressed together; neighbours in a manifest share it."""
    from pyarrow import parquet

    with parquet.ParquetFile(file) as opened:
        table = opened.read_row_group(number, columns=[column])
    if column not in table.column_names:
        raise AudioError("missing", f"there is no column {column!r} in {file}")
    return table.column(column)
