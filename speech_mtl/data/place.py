"""Where audio lies: a file, some bytes of a file, a row of a table in a file; and which stretch and channel of it.

A manifest's `audio` is a path, or an address in a store that `fsspec` reads, and may say after a `#` which part of the
file is meant, as `key=value&key=value`:

    clips/a.flac
    s3://bucket/shard.tar#offset=1536&length=20480
    train.parquet#row=17&column=audio
    recording.wav#start_s=12.3&end_s=15.1&channel=0
"""

import re
from bisect import bisect_right
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import cache, lru_cache
from itertools import accumulate
from pathlib import Path, PosixPath
from typing import Any
from urllib.parse import quote, unquote

from speech_mtl.errors import InputError, printable, refuse_missing

LONGEST_BYTES = 1 << 30
"""Of a part of a file, which is read into memory: some hours, however it is encoded."""

SECONDS = r"\d{1,7}(?:\.\d+)?"

PART = re.compile(
    r"(?:offset=(?P<offset>\d{1,15})&length=(?P<length>\d{1,12})|row=(?P<row>\d{1,12})&column=(?P<column>[^&#/]+))?"
    rf"(?:(?:^|&)start_s=(?P<start_s>{SECONDS})&end_s=(?P<end_s>{SECONDS}))?"
    r"(?:(?:^|&)channel=(?P<channel>\d{1,2}))?"
)
"""What may stand after the `#`; other names with a `#` are those of whole files."""

ARROW = ".arrow"
"""How the names of Arrow files end."""

KINDS = {"offset": int, "length": int, "row": int, "column": unquote, "start_s": float, "end_s": float, "channel": int}


class AudioError(Exception):
    """One utterance whose audio cannot be used.

    Attributes:
        reason: A word or two by which such utterances are counted: `missing`, `unreadable`, `silent`, ...
    """

    def __init__(self, reason: str, message: str):
        self.reason = reason
        super().__init__(printable(message))


class Address(PosixPath):
    """An address in a store, `s3://bucket/key`, as a path, which else would have one slash after the colon."""

    def __str__(self) -> str:
        return super().__str__().replace(":/", "://", 1)

    def resolve(self, strict: bool = False) -> "Address":  # noqa: ARG002
        return self

    def absolute(self) -> "Address":
        return self

    def size(self) -> int:
        """Number of bytes.

        Raises:
            FileNotFoundError: There is nothing.
            InputError: It cannot be reached.
        """
        with self._store() as (store, path):
            return store.size(path)

    def state(self) -> str:
        """What changes where the content does, as far as the store tells; errors as for `size`."""
        with self._store() as (store, path):
            return store.ukey(path)

    def part(self, start: int = 0, end: int | None = None) -> bytes:
        """The bytes from one to another, fewer at the end; errors as for `size`."""
        with self._store() as (store, path):
            try:
                return store.cat_file(path, start or None, end)
            except Exception:
                if start and start >= store.size(path):  # some stores refuse what lies beyond the end
                    return b""
                raise

    def opened(self) -> Any:
        """The file, from which any part can be read; errors as for `size`."""
        with self._store() as (store, path):
            return _Opened(self, store.open(path, "rb"))

    @contextmanager
    def _store(self) -> Iterator[tuple[Any, str]]:
        refuse_missing("fsspec", extra="stores", purpose=f"Reading {self}")
        from fsspec.core import url_to_fs

        try:
            yield url_to_fs(str(self))
        except (FileNotFoundError, IsADirectoryError):
            raise
        except Exception as error:  # each store has exceptions of its own
            raise InputError(
                f"{self} cannot be read",
                expected="a store that can be reached, and that you may read",
                received=f"{type(error).__name__}: {error}",
                action="check the address, the network and your access; install the package that the message names; "
                "then start again: training resumes from its last checkpoint",
            ) from None


class _Opened:
    """A file in a store. Errors of its reading are those of `Address.size`, and no damage of what it holds."""

    def __init__(self, address: Address, file: Any):
        self._address, self._file = address, file

    def __getattr__(self, name: str) -> Any:
        return getattr(self._file, name)

    def read(self, num_bytes: int = -1) -> bytes:
        with self._address._store():
            return self._file.read(num_bytes)


def located(audio: str, folder: Path) -> Path:
    """The path that a manifest in a folder gives."""
    if "://" not in audio:
        return folder / audio
    store, _, path = audio.partition("://")
    return Path(path.removeprefix("localhost")) if store == "file" else Address(audio)


@dataclass(frozen=True, slots=True)
class Place:
    """Where audio lies. Of the first two pairs at most one is given, and of each pair both or none.

    Attributes:
        file: The file that holds it.
        offset: Where its bytes begin, as in a tar.
        length: How many there are.
        row: Its row in a Parquet or Arrow file.
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
        """The bytes of a part of a file, or of all of one in a store; None where a whole file on disk is meant.

        Raises:
            AudioError: The file ends before, or has no such row.
            InputError: A package is not installed, or a store cannot be reached.
            OSError: The file cannot be read.
        """
        if self.offset is not None and self.length is not None:
            return _bytes(self, self.offset, self.length)
        if self.row is not None and self.column is not None:
            return _cell(self, self.row, self.column)
        return self.file.part() if isinstance(self.file, Address) else None


@lru_cache(maxsize=1024)
def place_of(audio: Path) -> Place:
    """The place that a manifest's path means."""
    stem, mark, part = audio.name.rpartition("#")
    match = PART.fullmatch(part) if mark and part and stem else None
    if match is None or stem == ".":
        return Place(audio)
    given = {key: KINDS[key](value) for key, value in match.groupdict().items() if value is not None}
    return Place(audio.with_name(stem), **given)


def resolved(audio: Path) -> Path:
    """A manifest's path with its file's links resolved."""
    place = place_of(audio)
    return replace(place, file=place.file.resolve()).path


FileState = tuple[int, int, int] | str | None
"""Size and times of a file, or what a store tells of one; None if it is not there."""


def file_states() -> Callable[[Path], FileState]:
    """A function from audio to the state of the file in which it lies, which changes with its content.

    Each file is asked once. The time of modification can be set back, that of the last change of status cannot.
    """
    known = cache(_file_state)
    return lambda audio: known(place_of(audio).file)


def _file_state(file: Path) -> FileState:
    try:
        if isinstance(file, Address):
            return file.state()
        status = file.stat()
    except (OSError, ValueError):  # ValueError: no name that a file can have
        return None
    return status.st_size, status.st_mtime_ns, status.st_ctime_ns


def _written(value: Any) -> str:
    if isinstance(value, float):
        return f"{value:.6f}".rstrip("0").rstrip(".")  # never with an exponent
    return quote(value, safe=" ") if isinstance(value, str) else str(value)


def _bytes(place: Place, offset: int, length: int) -> bytes:
    if length > LONGEST_BYTES:
        raise AudioError("too long", f"{place.path} has more than {LONGEST_BYTES:,} bytes")
    if isinstance(place.file, Address):
        content = place.file.part(offset, offset + length)
    else:
        with place.file.open("rb") as file:
            file.seek(offset)
            content = file.read(length)
    if len(content) < length:
        missing = f"{length - len(content):,} of its {length:,} bytes are missing"
        raise AudioError("truncated", f"{place.path} is cut off: {missing}")
    return content


def _cell(place: Place, row: int, column: str) -> bytes:
    refuse_missing("pyarrow", extra="corpora", purpose="Reading audio in Parquet and Arrow files")
    import pyarrow

    try:
        file, state = place.file, ()
        if not isinstance(file, Address):
            status = file.stat()
            state = status.st_size, status.st_mtime_ns
        reader = _arrow if file.suffix == ARROW else _parquet
        value = reader(place, state, row, column).as_py()
    except pyarrow.ArrowException as error:  # a key that is missing, a file that is cut off or damaged
        raise AudioError("unreadable", f"{place.path} cannot be read ({error})") from None
    content = value.get("bytes") if isinstance(value, dict) else value
    if not isinstance(content, bytes):
        raise AudioError("missing", f"there is no audio in {place.path}")
    return content


def _parquet(place: Place, state: tuple[int, ...], row: int, column: str) -> Any:
    ends = _row_group_ends(place.file, state)
    group = bisect_right(ends, row)
    if group == len(ends):
        raise _no_row(place, ends[-1] if ends else 0)
    return _row_group(place.file, state, group, column)[row - (ends[group - 1] if group else 0)]


def _arrow(place: Place, state: tuple[int, ...], row: int, column: str) -> Any:
    if isinstance(place.file, Address):
        raise AudioError("unreadable", f"{place.path}: Arrow files are only read from disks, not from stores")
    table = _mapped(place.file, state)
    if row >= table.num_rows:
        raise _no_row(place, table.num_rows)
    return _column(table, column, place.file)[row]


def _no_row(place: Place, num_rows: int) -> AudioError:
    return AudioError("missing", f"there is no audio {place.path}: the file has {num_rows:,} rows")


def _column(table: Any, column: str, file: Path) -> Any:
    if column not in table.column_names:
        raise AudioError("missing", f"there is no column {column!r} in {file}")
    return table.column(column)


@lru_cache(maxsize=256)
def _row_group_ends(file: Path, _state: tuple[int, ...]) -> list[int]:
    from pyarrow import parquet

    with parquet.ParquetFile(_source(file)) as opened:
        groups = opened.metadata
        return list(accumulate(groups.row_group(number).num_rows for number in range(groups.num_row_groups)))


@lru_cache(maxsize=2)
def _row_group(file: Path, _state: tuple[int, ...], number: int, column: str) -> Any:
    """A column of the rows that are compressed together; neighbours in a manifest share it."""
    from pyarrow import parquet

    with parquet.ParquetFile(_source(file)) as opened:
        return _column(opened.read_row_group(number, columns=[column]), column, file)


def _source(file: Path) -> Any:
    return file.opened() if isinstance(file, Address) else file


def arrow_table(file: Path) -> Any:
    """The table of an Arrow file, or of a stream, which `datasets` writes: mapped, so that a row costs a row."""
    from pyarrow import ipc, memory_map

    source = memory_map(str(file))
    reader = ipc.open_file if source.read(6) == b"ARROW1" else ipc.open_stream
    source.seek(0)
    return reader(source).read_all()


@lru_cache(maxsize=256)
def _mapped(file: Path, _state: tuple[int, ...]) -> Any:
    return arrow_table(file)
