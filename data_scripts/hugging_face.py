"""What Hugging Face `datasets` can load with an audio column: Parquet files in a folder, or one on the hub.

In a folder audio stays where it is. Of a dataset on the hub it is written to files, for the cache of `datasets` is no
place that lasts. Streaming reads such a dataset from its beginning to its end and keeps nothing else of it.
"""

import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from data_scripts.corpus import Part, Record, distinct_languages, of_language, same_language
from data_scripts.loading import is_audio, load
from data_scripts.parquet import ParquetFiles
from data_scripts.splits import told_split
from speech_mtl.errors import InputError, printable
from speech_mtl.files import replacing

if TYPE_CHECKING:
    from datasets import Dataset, IterableDataset

    Split = Dataset | ParquetFiles

TEXT_COLUMNS = ("text", "sentence", "transcription", "transcript")
SPEAKER_COLUMNS = ("speaker", "speaker_id", "client_id")
TEXT_TYPES = re.compile(r"(large_)?string|u?int\d+|null")
"""Types of columns whose values are written in one way only."""


@dataclass(frozen=True, slots=True)
class Columns:
    """Which columns hold what: as asked for, or as found in a table; None for the usual, or where there is none.

    Attributes:
        labels: Columns to keep as labels, by the label's name.
    """

    text: str | None = None
    speaker: str | None = None
    language: str | None = None
    labels: dict[str, str] = field(default_factory=dict)

    def found_in(self, there: Sequence[str], where: str) -> "Columns":
        """The columns of a table that were asked for, or else the usual ones; case does not count.

        Raises:
            InputError: One that was asked for is not there, or none that could hold the text.
        """
        names = {name.lower(): name for name in there}

        def find(what: str, asked: str | None, usual: tuple[str, ...] = ()) -> str | None:
            wanted = (asked,) if asked else usual
            found = next((names[name.lower()] for name in wanted if name.lower() in names), None)
            if found is None and (asked or what == "text"):
                raise InputError(
                    f"{where}: no {what} column",
                    expected=" or ".join(wanted),
                    received="the columns " + ", ".join(there),
                    action=f"name one of them with --{what}-column{'s' * (what == 'label')}",
                )
            return found

        return Columns(
            find("text", self.text, TEXT_COLUMNS),
            find("speaker", self.speaker, SPEAKER_COLUMNS),
            find("language", self.language, ("language",)),
            {label: find("label", column) or column for label, column in self.labels.items()},
        )


def streamed_records(part: Part, config: str | None, asked: Columns) -> Iterator[Record] | None:
    """The rows of a split of a dataset as they come in; other languages are left out and counted."""
    splits: Mapping[str, IterableDataset] = load(part.corpus, config, streaming=True)
    dataset, where = _of_split(splits, part), f"{part.corpus}[{part.split}]"
    if dataset is None:
        return None
    columns = asked.found_in(dataset.column_names or [], where)
    return _streamed(Rows(dataset, [], part, where, columns), part, where, columns.language)


def _streamed(rows: "Rows", part: Part, where: str, column: str | None) -> Iterator[Record]:
    skipped: Counter[str] = Counter()
    for number, row in enumerate(rows.dataset):
        tag = None if column is None else _text(_named(rows.dataset, column, row[column]))
        if tag is None or same_language(tag, part.language):
            yield rows.record(number, row)
        else:
            skipped[tag or "no language"] += 1
    if skipped:
        listed = ", ".join(f"{count:,} in {tag}" for tag, count in sorted(skipped.items()))
        part.screen.say(f"{where}: skipped: {listed}")


def dataset_records(part: Part, config: str | None, asked: Columns) -> "Rows | None":
    """The rows of a split that are in the language."""
    splits: Mapping[str, Split] = load(part.corpus, config)
    dataset, where = _of_split(splits, part), f"{part.corpus}[{part.split}]"
    if dataset is None:
        return None
    columns = asked.found_in(dataset.column_names, where)
    _refuse_other_splits(dataset, part.split, where)
    numbers = list(range(len(dataset)))
    if columns.language is not None:
        numbers = of_language(part, where, numbers, _tags(dataset, columns.language))
    return Rows(dataset, numbers, part, where, columns) if numbers or not len(dataset) else None


def _of_split(splits: Mapping[str, Any], part: Part) -> Any | None:
    """The rows of all of a dataset's splits whose names tell the one that is asked for; None if none does.

    Raises:
        InputError: They have different columns.
    """
    import datasets

    if part.split == "train" and (others := [name for name in splits if told_split(name) is None]):
        part.screen.say(printable(f"{part.corpus}: left out, for their names tell no split: {', '.join(others)}"))
    first, *more = [splits[name] for name in splits if told_split(name) == part.split] or [None]
    if not more:
        return first
    if any(one.features != first.features for one in more):
        raise InputError(
            f"{part.corpus}: its splits for {part.split} have different columns",
            expected="the same columns, of the same types",
            received=", ".join(name for name in splits if told_split(name) == part.split),
            action="store them with the same columns, or give a --config with one of them",
        )
    return first.joined(more) if isinstance(first, ParquetFiles) else datasets.concatenate_datasets([first, *more])


def _refuse_other_splits(dataset: "Split", split: str, where: str) -> None:
    """Refuses rows that belong to another split by a column of that name, which `datasets` ignores."""
    values = dataset["split"] if "split" in dataset.features else ()
    told = {str(_named(dataset, "split", value)).lower() for value in values}
    if any(told_split(value) not in (None, split) for value in told):
        raise InputError(
            f"{where}: its column 'split' names rows of other splits",
            expected=f"rows of {split} alone, or a metadata.csv, whose column 'split' is followed",
            received=", ".join(sorted(told)),
            action="store each split in a Parquet file of its own (train.parquet, test.parquet)",
        )


def dataset_languages(corpus: str, config: str | None, asked: Columns) -> list[str]:
    """Values of a dataset's language column, in all splits that are read."""
    tags: set[str | None] = set()
    splits: Mapping[str, Split] = load(corpus, config)
    for name, dataset in splits.items():
        if told_split(name) is None:
            continue
        column = asked.found_in(dataset.column_names, f"{corpus}[{name}]").language
        tags.update(_tags(dataset, column) if column else ())
    return distinct_languages(tags)


def _tags(dataset: "Split", column: str) -> list[str | None]:
    return [_text(_named(dataset, column, value)) or None for value in dataset[column]]


class Rows:
    """The rows of a dataset as records.

    Args:
        dataset: With one audio column.
        row_numbers: The rows to take.
        part: What was asked for.
        where: The dataset and split, for messages.
        columns: Which columns hold what.

    Raises:
        InputError: There is no audio column or more than one, or the text is of a type whose values may have been
            written in another way.
    """

    def __init__(
        self, dataset: "Split | IterableDataset", row_numbers: list[int], part: Part, where: str, columns: Columns
    ):
        import datasets

        names = [name for name, feature in dataset.features.items() if is_audio(feature)]
        if len(names) != 1:
            raise InputError(
                f"{where}: {'more than one' if names else 'no'} audio column",
                expected="exactly one column of audio",
                received=f"the columns {', '.join(dataset.column_names)}",
                action="check that audio files and metadata.jsonl lie where Hugging Face's audiofolder wants them",
            )
        kind = dataset.features[columns.text or ""]
        if not isinstance(kind, datasets.ClassLabel) and not TEXT_TYPES.fullmatch(str(getattr(kind, "dtype", kind))):
            raise InputError(
                f"{where}: the column {columns.text!r} holds no text",
                expected="text, as it was written",
                received=f"values of type {getattr(kind, 'dtype', kind)}",
                action="store the column as text, or name another with --text-column",
            )
        self.audio, self.columns = names[0], columns
        taken = (self.audio, columns.text, columns.speaker, columns.language, *columns.labels.values())
        self.dataset: Any = dataset.select_columns([*dict.fromkeys(column for column in taken if column is not None)])
        self.row_numbers = row_numbers
        self.part = part
        self.where = where

    def __len__(self) -> int:
        return len(self.row_numbers)

    def __iter__(self) -> Iterator[Record]:
        return (self.record(number, self.dataset[number]) for number in self.row_numbers)

    def record(self, number: int, row: Mapping[str, Any]) -> Record:
        """A row by its number."""
        row = {column: _named(self.dataset, column, value) for column, value in row.items()}
        id = f"{self.part.split}-{number:07d}"
        text, speaker = self.columns.text, self.columns.speaker
        return Record(
            id,
            self._audio_file(id, row[self.audio]),
            text=_text(row[text or ""]),
            speaker=_text(row.get(speaker or "")) or None,
            source=f"{self.where} row {number}",
            labels={label: row[column] for label, column in self.columns.labels.items()},
        )

    def _audio_file(self, id: str, audio: dict[str, Any]) -> Path:
        path = Path(audio["path"] or "")
        if audio["bytes"] is None:
            return path
        suffix = path.suffix if re.fullmatch(r"\.\w{1,8}", path.suffix) else ""
        file = self.part.data_dir / self.part.language / "audio" / self.part.split / (id + suffix)
        with replacing(file) as temporary:
            temporary.write_bytes(audio["bytes"])
        return file


def _named(dataset: Any, column: str, value: Any) -> Any:
    """A value as it is; a class by its name, None if it is -1, as `datasets` writes a label that is missing."""
    import datasets

    feature = dataset.features[column]
    if not isinstance(feature, datasets.ClassLabel) or value is None:
        return value
    return feature.int2str(value) if value >= 0 else None


def _text(value: Any) -> str:
    """A value as text; a whole number has no decimals, also where empty cells made the column one of floats."""
    if value is None:
        return ""
    return str(int(value)) if isinstance(value, float) and value.is_integer() else str(value)
