"""Parquet or Arrow files with audio in them, which stays there: the rows of a split, with places for audio."""

from bisect import bisect_right
from collections.abc import Collection, Mapping, Sequence
from functools import cached_property
from itertools import accumulate
from pathlib import Path
from typing import Any

from speech_mtl.data.place import ARROW, Place, arrow_table
from speech_mtl.errors import InputError


class ParquetFiles:
    """The rows of several Parquet or Arrow files, one after the other, as far as `datasets.Dataset` is asked for them.

    Args:
        files: The files of a split.
        features: Their columns, by name, as `datasets` knows them.
        audio: The columns with audio, whose bytes are not read.

    Raises:
        InputError: A file is cut short or damaged.
    """

    def __init__(self, files: Sequence[Path], features: Mapping[str, Any], audio: Collection[str]):
        self.features, self._audio, self._files = features, audio, files
        self._ends = list(accumulate(map(num_rows, files)))

    def __len__(self) -> int:
        return self._ends[-1] if self._ends else 0

    @property
    def column_names(self) -> list[str]:
        return list(self.features)

    def select_columns(self, names: Sequence[str]) -> "ParquetFiles":
        """The same rows with these columns only."""
        return ParquetFiles(self._files, {name: self.features[name] for name in names}, self._audio)

    def joined(self, others: Sequence["ParquetFiles"]) -> "ParquetFiles":
        """These rows and then those of others with the same columns."""
        return ParquetFiles([file for one in (self, *others) for file in one._files], self.features, self._audio)

    def __getitem__(self, wanted: str | int) -> Any:
        """A column with text or numbers, or a row, whose audio is `{"bytes": None, "path": its place}`."""
        if isinstance(wanted, str):
            return self._read([wanted]).column(wanted).to_pylist()
        row = {name: self._table.column(name)[wanted].as_py() for name in self._table.column_names}
        file = bisect_right(self._ends, wanted)
        first = self._ends[file - 1] if file else 0
        for name in self._audio:
            if name in self.features:
                place = Place(self._files[file], row=wanted - first, column=name)
                row[name] = {"bytes": None, "path": str(place.path)}
        return row

    @cached_property
    def _table(self) -> Any:
        return self._read([name for name in self.features if name not in self._audio])

    def _read(self, columns: list[str]) -> Any:
        from pyarrow import concat_tables

        return concat_tables([_columns(file, columns) for file in self._files])


def num_rows(file: Path) -> int:
    """The number of rows of a Parquet or Arrow file.

    Raises:
        InputError: It is cut short or damaged.
    """
    from pyarrow import ArrowException, parquet

    try:
        return arrow_table(file).num_rows if file.suffix == ARROW else parquet.read_metadata(file).num_rows
    except (ArrowException, OSError) as error:
        raise InputError(
            f"{file} cannot be read as {'an Arrow' if file.suffix == ARROW else 'a Parquet'} file",
            expected="a whole file, with its end",
            received=str(error),
            action="take the file from the data set again, or remove it",
        ) from None


def _columns(file: Path, names: list[str]) -> Any:
    from pyarrow import parquet

    return arrow_table(file).select(names) if file.suffix == ARROW else parquet.read_table(file, columns=names)
