"""Audio files with tables beside them, as in Hugging Face's audiofolder, or with a text file each; or whatever its
`datasets` can load."""

import posixpath
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Annotated, NamedTuple

import typer

from data_scripts.command_line import corpus_app
from data_scripts.corpus import Corpus, Part, Record, distinct_languages, of_language, with_ids
from data_scripts.hugging_face import (
    SPEAKER_COLUMNS,
    TEXT_COLUMNS,
    Columns,
    dataset_languages,
    dataset_records,
    streamed_records,
)
from data_scripts.loading import LAYOUT, WITH_AUDIO, local_folder
from data_scripts.splits import told_split
from data_scripts.tables import Row, Table, Unusable, read_json_table, read_table
from speech_mtl.data.audio_file import SUFFIXES
from speech_mtl.errors import InputError
from speech_mtl.files import files_under, read_text

TABLES = ("metadata.csv", "metadata.tsv", "metadata.jsonl")
SPLIT_COLUMN = "split"

Config = Annotated[str | None, typer.Option(help="The dataset's configuration, where it has several.")]
TextColumn = Annotated[str | None, typer.Option(help="Default: the first of " + ", ".join(TEXT_COLUMNS) + ".")]
SpeakerColumn = Annotated[str | None, typer.Option(help="Default: the first of " + ", ".join(SPEAKER_COLUMNS) + ".")]
LanguageColumn = Annotated[
    str | None,
    typer.Option(help="Only rows where it is the --language are taken. Default: language, where there is one."),
]
Streaming = Annotated[
    bool,
    typer.Option("--streaming", help="Read a dataset of the hub row by row, without keeping a copy in the cache."),
]
LabelColumns = Annotated[
    str, typer.Option(help="Columns to keep as labels for tasks besides transcripts: emotion,age.")
]


def records(
    part: Part,
    *,
    config: Config = None,
    text_column: TextColumn = None,
    speaker_column: SpeakerColumn = None,
    language_column: LanguageColumn = None,
    label_columns: LabelColumns = "",
    streaming: Streaming = False,
) -> Iterable[Record | Unusable] | None:
    """The rows of a split that are in the language.

    Tables beside audio files are read as they are written: `datasets` would guess types, so that the word `null` were
    no word and a date another text.
    """
    asked = _asked(text_column, speaker_column, language_column, label_columns)
    tables = _tables(part.corpus, config, asked)
    if tables:
        return _records(part, tables)
    return (streamed_records if streaming else dataset_records)(part, config, asked)


def languages(
    corpus: str,
    *,
    config: str | None = None,
    text_column: str | None = None,
    speaker_column: str | None = None,
    language_column: str | None = None,
    label_columns: str = "",
    streaming: bool = False,
) -> list[str]:
    """Values of the language column, in all splits; none of a dataset that is only read once."""
    asked = _asked(text_column, speaker_column, language_column, label_columns)
    tables = _tables(corpus, config, asked)
    if not tables:
        return [] if streaming else dataset_languages(corpus, config, asked)
    return distinct_languages({_language(row, found) for found in tables for row in found.table.rows})


def _asked(text: str | None, speaker: str | None, language: str | None, labels: str) -> Columns:
    names = [column.strip() for column in labels.split(",") if column.strip()]
    return Columns(text, speaker, language, dict(zip(names, names, strict=True)))


class _Metadata(NamedTuple):
    """A table beside audio files.

    Attributes:
        folder: Where it lies in the corpus, as `train` or `a/b`; `.` for the corpus's own folder.
        table: Its rows can be read once.
        file: The column with the names of audio files.
        columns: Those with the rest.
    """

    folder: str
    table: Table
    file: str
    columns: Columns


def _tables(corpus: str, config: str | None, asked: Columns) -> list[_Metadata]:
    """All tables of a local folder; none where a configuration is asked for, of which only `datasets` knows.

    Raises:
        InputError: There is no such folder, two tables lie in one, there are Parquet or Arrow files too, or a table
            lacks a column.
    """
    top = local_folder(corpus) if config is None else None
    files = list(files_under(top)) if top is not None else []
    paths = _found(files)
    _refuse_two_kinds(corpus, paths)
    if top is None or any(path.suffix.lower() in WITH_AUDIO for path in paths):
        return []
    found = []
    for table in map(_read, paths) if paths else _text_files(files):
        folder = table.path.parent.relative_to(top).as_posix()
        found.append(_Metadata(folder, table, _file_column(table), asked.found_in(table.columns, str(table.path))))
    return found


def _text_files(paths: Sequence[Path]) -> list[Table]:
    """A table for each folder of recordings with a text file each, `x.wav` and `x.txt`; none if there is no such pair.

    Raises:
        InputError: A text file is not UTF-8.
    """
    texts = {path.with_suffix(""): path for path in paths if path.suffix.lower() == ".txt"}
    recordings = [path for path in paths if path.suffix.lower() in SUFFIXES]
    if not any(path.with_suffix("") in texts for path in recordings):
        return []
    tables: dict[Path, list[Row | Unusable]] = {}
    for path in recordings:
        rows = tables.setdefault(path.parent, [])
        if text := texts.get(path.with_suffix("")):
            rows.append(Row(str(text), {"file_name": path.name, "text": " ".join(read_text(text).split())}))
        else:
            rows.append(Unusable(str(path), "no text file", "there is no text file of its name, as beside others"))
    return [Table(folder / "*.txt", ("file_name", "text"), rows) for folder, rows in tables.items()]


def _found(paths: Sequence[Path]) -> list[Path]:
    """The tables among files, and the Parquet and Arrow files."""
    tables = {path: path.parent for path in paths if path.name.lower() in TABLES}
    for folder, count in Counter(tables.values()).items():
        if count > 1:
            raise InputError(
                f"{folder}: more than one table",
                expected="one of " + ", ".join(TABLES),
                received=", ".join(path.name for path, own in tables.items() if own == folder),
                action="remove those that are not to be read",
            )
    return [path for path in paths if path in tables or path.suffix.lower() in WITH_AUDIO]


def _refuse_two_kinds(corpus: str, paths: Sequence[Path]) -> None:
    kinds = {path.suffix.lower() in WITH_AUDIO: path for path in paths}
    if len(kinds) > 1:
        raise InputError(
            f"{corpus}: tables of two kinds, of which one would not be read",
            expected="either " + ", ".join(TABLES) + " or Parquet or Arrow files",
            received=f"{kinds[False]} and {kinds[True]}",
            action="remove those that are not to be read, or give the folder of one kind",
        )


def _read(path: Path) -> Table:
    suffix = path.suffix.lower()
    if suffix == ".jsonl":
        return read_json_table(path)
    return read_table(path, delimiter=",", quoted=True) if suffix == ".csv" else read_table(path)


def _file_column(table: Table) -> str:
    columns = [name for name in table.columns if name == "file_name" or name.endswith("_file_name")]
    if len(columns) == 1:
        return columns[0]
    raise InputError(
        f"{table.path}: {'more than one' if columns else 'no'} column of audio files",
        expected="one column file_name",
        received="the columns " + ", ".join(table.columns) if table.columns else "an empty file",
        action="call the column with the names of the audio files, beside the table, file_name",
    )


def _records(part: Part, tables: Sequence[_Metadata]) -> list[Record | Unusable] | None:
    found: list[Record | Unusable] = []
    tags: list[str | None] = []
    for metadata, row, split in _with_splits(tables):
        if split == part.split:
            found.append(_record(row, metadata) if isinstance(row, Row) else row)
            tags.append(_language(row, metadata))
    return of_language(part, f"{part.corpus} {part.split}", with_ids(found), tags) or None


def _with_splits(tables: Sequence[_Metadata]) -> Iterator[tuple[_Metadata, Row | Unusable, str]]:
    """The rows of all tables with their splits; where nothing in the corpus tells one, all is training speech."""
    rows = [(table, row, _split(row, table)) for table in tables for row in table.table.rows]
    some_tell = any(split or _text(row, SPLIT_COLUMN) for _, row, split in rows)
    for table, row, split in rows:
        if split is None and some_tell and isinstance(row, Row):
            message = f"neither its column {SPLIT_COLUMN!r} nor its folder tells the split, as those of other rows do"
            yield table, Unusable(row.source, "no split", message), "train"
        else:
            yield table, row, split or "train"


def _split(row: Row | Unusable, found: _Metadata) -> str | None:
    """The split by the column `split`, else by the table's folder, else by the folder of the row's audio."""
    places = (_text(row, SPLIT_COLUMN), found.folder, posixpath.dirname(_text(row, found.file) or ""))
    return next(filter(None, map(told_split, filter(None, places))), None)


def _language(row: Row | Unusable, found: _Metadata) -> str | None:
    return _text(row, found.columns.language)


def _text(row: Row | Unusable, column: str | None) -> str | None:
    """A cell that is text and not empty."""
    cell = row.cells.get(column) if isinstance(row, Row) and column is not None else None
    return cell.strip() or None if isinstance(cell, str) else None


def _record(row: Row, found: _Metadata) -> Record | Unusable:
    columns, name = found.columns, _text(row, found.file)
    if name is None:
        return Unusable(row.source, "no audio file", f"the field {found.file!r} names no audio file")
    for column in (columns.text, columns.speaker):
        if isinstance(cell := row.cells.get(column or ""), list | dict):
            return Unusable(
                row.source, "no text in a field", f"the field {column!r} holds {type(cell).__name__}, no text"
            )
    return Record(
        id=posixpath.join(found.folder, name),
        audio=found.table.path.parent / name,
        text=row.cells.get(columns.text or "") or "",
        speaker=_text(row, columns.speaker),
        source=row.source,
        labels={label: row.value(column) for label, column in columns.labels.items()},
    )


CORPUS = Corpus(
    title="Audio folders and Hugging Face datasets",
    layout=LAYOUT,
    example="python -m data_scripts.audiofolder corpora/audiofolder_en data --language en",
    records=records,
    languages=languages,
)
app = corpus_app(CORPUS)

if __name__ == "__main__":
    app()
