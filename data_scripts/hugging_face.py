"""What Hugging Face `datasets` can load with an audio column: Parquet files in a folder, or a dataset on the hub."""

import glob
import logging
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from data_scripts.command_line import Part, Record, distinct_languages, existing_folder, of_language
from speech_mtl.errors import InputError, require
from speech_mtl.files import replacing

if TYPE_CHECKING:
    from datasets import Dataset, DatasetDict

LAYOUT = "metadata.jsonl beside audio files, or Parquet files; or OWNER/NAME of a dataset on the Hugging Face hub"
TEXT_COLUMNS = ("text", "sentence", "transcription", "transcript")
SPEAKER_COLUMNS = ("speaker", "speaker_id", "client_id")
SPLIT_NAMES = {"train": ("train",), "dev": ("dev", "validation", "valid"), "test": ("test",)}
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


def dataset_records(part: Part, config: str | None, asked: Columns) -> "Rows | None":
    """The rows of a split that are in the language; audio that a dataset holds as bytes is written to files."""
    splits = _load(part.corpus, config)
    name = next((name for name in SPLIT_NAMES[part.split] if name in splits), None)
    if name is None:
        return None
    dataset, where = splits[name], f"{part.corpus}[{name}]"
    columns = asked.found_in(dataset.column_names, where)
    _refuse_other_splits(dataset, part.split, where)
    numbers = list(range(len(dataset)))
    if columns.language is not None:
        numbers = of_language(part, where, numbers, _tags(dataset, columns.language))
    return Rows(dataset, numbers, part, where, columns) if numbers or not len(dataset) else None


def _refuse_other_splits(dataset: "Dataset", split: str, where: str) -> None:
    """Refuses rows that belong to another split by a column of that name, which `datasets` ignores."""
    others = {name for other, names in SPLIT_NAMES.items() if other != split for name in names}
    values = dataset["split"] if "split" in dataset.features else ()
    told = {str(_named(dataset, "split", value)).lower() for value in values}
    if others & told:
        raise InputError(
            f"{where}: its column 'split' names rows of other splits",
            expected=f"rows of {split} alone, or a metadata.csv, whose column 'split' is followed",
            received=", ".join(sorted(told)),
            action="store each split in a Parquet file of its own (train.parquet, test.parquet)",
        )


def dataset_languages(corpus: str, config: str | None, asked: Columns) -> list[str]:
    """Values of a dataset's language column, in all splits."""
    tags: set[str | None] = set()
    for name, dataset in _load(corpus, config).items():
        column = asked.found_in(dataset.column_names, f"{corpus}[{name}]").language
        tags.update(_tags(dataset, column) if column else ())
    return distinct_languages(tags)


def _tags(dataset: "Dataset", column: str) -> list[str | None]:
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

    def __init__(self, dataset: "Dataset", row_numbers: list[int], part: Part, where: str, columns: Columns):
        import datasets

        names = [name for name, feature in dataset.features.items() if _is_audio(feature)]
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
        taken = (self.audio, columns.text, columns.speaker, *columns.labels.values())
        # Left undecoded: the manifest wants files, and decoding would need another package.
        self.dataset = dataset.select_columns([*dict.fromkeys(column for column in taken if column is not None)])
        self.dataset = self.dataset.cast_column(self.audio, datasets.Audio(decode=False))
        self.row_numbers = row_numbers
        self.part = part
        self.where = where

    def __len__(self) -> int:
        return len(self.row_numbers)

    def __iter__(self) -> Iterator[Record]:
        for number in self.row_numbers:
            row = {column: _named(self.dataset, column, value) for column, value in self.dataset[number].items()}
            id = f"{self.part.split}-{number:07d}"
            yield Record(
                id,
                self._audio_file(id, row[self.audio]),
                text=_text(row[self.columns.text]),
                speaker=_text(row.get(self.columns.speaker)) or None,
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


def _named(dataset: "Dataset", column: str, value: Any) -> Any:
    """A value as it is; a class by its name."""
    import datasets

    feature = dataset.features[column]
    return feature.int2str(value) if isinstance(feature, datasets.ClassLabel) and value is not None else value


def _text(value: Any) -> str:
    """A value as text; a whole number has no decimals, also where empty cells made the column one of floats."""
    if value is None:
        return ""
    return str(int(value)) if isinstance(value, float) and value.is_integer() else str(value)


def local_folder(corpus: str) -> Path | None:
    """The folder on disk; None if what was typed is the name of a dataset on the hub.

    Raises:
        InputError: It is neither.
    """
    try:
        return existing_folder(corpus, LAYOUT)
    except InputError:
        if re.fullmatch(r"[\w.-]+/[\w.-]+", corpus):
            return None
        raise


def _load(corpus: str, config: str | None) -> "DatasetDict":
    """All splits of a dataset; nothing is decoded."""
    try:
        import datasets
    except ImportError:
        raise require("datasets", extra="corpora", purpose="Reading Hugging Face datasets") from None

    folder = local_folder(corpus)
    if folder is not None and glob.has_magic(str(folder.resolve())):
        raise InputError(
            f"{corpus}: a folder that Hugging Face datasets cannot load",
            expected="a path without *, ? and [",
            received=str(folder.resolve()),
            action="rename the folder, or lay a metadata.jsonl beside the audio files",
        )
    try:
        datasets.logging.set_verbosity(logging.CRITICAL)  # it also raises the errors that it logs
        builder = datasets.load_dataset_builder(corpus if folder is None else str(folder.resolve()), config)
        if hasattr(builder, "BASE_FEATURE"):
            builder.BASE_FEATURE = _undecoded_audio()  # pyright: ignore[reportAttributeAccessIssue]
        builder.download_and_prepare()
        return builder.as_dataset()  # pyright: ignore[reportReturnType]
    except Exception as error:  # its exceptions, and those of the packages below it, have no common base
        raise InputError(
            f"Hugging Face datasets cannot load {corpus}",
            expected=LAYOUT,
            received=f"{type(error).__name__}: {error}",
            action="check the folder"
            if folder is not None
            else "check the path (no such folder here), the name on the hub, --config and the network",
        ) from error


def _is_audio(feature: Any) -> bool:
    """Whether a column holds audio: declared so, or with the two fields of Audio in a file that declares nothing."""
    import datasets

    return isinstance(feature, datasets.Audio) or (isinstance(feature, dict) and set(feature) == {"bytes", "path"})


def _undecoded_audio() -> type:
    """The audio feature, able to take in file names without torchcodec.

    `datasets` demands torchcodec (and with it PyTorch) to make a table of audio files, although only names go into
    it. What is cached is the same.
    """
    import datasets

    class UndecodedAudio(datasets.Audio):
        def encode_example(self, value: Any) -> dict[str, Any]:
            return value if isinstance(value, dict) else {"bytes": None, "path": str(value)}

    return UndecodedAudio
