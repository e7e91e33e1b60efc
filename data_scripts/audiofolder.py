"""Anything that Hugging Face `datasets` can load with an audio column: a local folder, or a dataset on the hub."""

import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from data_scripts.command_line import Corpus, Part, Record, corpus_app
from speech_mtl.errors import InputError, require
from speech_mtl.files import replacing

if TYPE_CHECKING:
    from datasets import Dataset, DatasetDict

LAYOUT = "metadata.jsonl beside audio files, or Parquet files; or OWNER/NAME of a dataset on the Hugging Face hub"
TEXT_COLUMNS = ("text", "sentence", "transcription", "transcript")
SPEAKER_COLUMNS = ("speaker", "speaker_id", "client_id")
SPLIT_NAMES = {"train": ("train",), "dev": ("dev", "validation", "valid"), "test": ("test",)}


def records(
    part: Part,
    *,
    config: Annotated[str | None, typer.Option(help="The dataset's configuration, where it has several.")] = None,
    text_column: Annotated[
        str | None, typer.Option(help="Default: the first there is of " + ", ".join(TEXT_COLUMNS) + ".")
    ] = None,
    speaker_column: Annotated[
        str | None, typer.Option(help="Default: the first there is of " + ", ".join(SPEAKER_COLUMNS) + ".")
    ] = None,
    language_column: Annotated[
        str | None, typer.Option(help="Take only the rows where this column is the --language.")
    ] = None,
    label_columns: Annotated[
        str, typer.Option(help="Columns to keep as labels for tasks besides transcripts: emotion,age.")
    ] = "",
) -> "Rows | None":
    """The rows of a split; audio that a dataset holds as bytes is written to files."""
    splits = _load(part.corpus, config)
    name = next((name for name in SPLIT_NAMES[part.split] if name in splits), None)
    if name is None:
        return None
    dataset = splits[name]
    where = f"{part.corpus}[{name}]"
    row_numbers = list(range(len(dataset)))
    if language_column is not None:
        column = dataset[_column(dataset, where, "language", language_column, ())]
        row_numbers = [number for number, language in enumerate(column) if language == part.language]
    text = _column(dataset, where, "text", text_column, TEXT_COLUMNS)
    speaker = speaker_column or next((name for name in SPEAKER_COLUMNS if name in dataset.column_names), None)
    if speaker is not None:
        _column(dataset, where, "speaker", speaker, ())
    labels = [column.strip() for column in label_columns.split(",") if column.strip()]
    for label in labels:
        _column(dataset, where, "label", label, ())
    return Rows(dataset, row_numbers, part, where, text=text, speaker=speaker, labels=labels)


class Rows:
    """The rows of a dataset as records.

    Args:
        dataset: With one audio column.
        row_numbers: The rows to take.
        part: What was asked for.
        where: The dataset and split, for messages.
        text: The column that holds the transcript.
        speaker: The column that holds the speaker; None if there is none.
        labels: Columns to keep as labels.
    """

    def __init__(
        self,
        dataset: "Dataset",
        row_numbers: list[int],
        part: Part,
        where: str,
        *,
        text: str,
        speaker: str | None,
        labels: Sequence[str] = (),
    ):
        import datasets

        names = [name for name, feature in dataset.features.items() if _is_audio(feature)]
        if len(names) != 1:
            raise InputError(
                f"{where}: {'more than one' if names else 'no'} audio column",
                expected="exactly one column of audio",
                received=f"the columns {', '.join(dataset.column_names)}",
                action="check that audio files and metadata.jsonl lie where Hugging Face's audiofolder wants them",
            )
        self.audio, self.text, self.speaker, self.labels = names[0], text, speaker, labels
        self.classes = {name: f for name, f in dataset.features.items() if isinstance(f, datasets.ClassLabel)}
        columns = dict.fromkeys(column for column in (self.audio, text, speaker, *labels) if column is not None)
        # Left undecoded: the manifest wants files, and decoding would need another package.
        self.dataset = dataset.select_columns(list(columns)).cast_column(self.audio, datasets.Audio(decode=False))
        self.row_numbers = row_numbers
        self.part = part
        self.where = where

    def __len__(self) -> int:
        return len(self.row_numbers)

    def __iter__(self) -> Iterator[Record]:
        for number in self.row_numbers:
            row: dict[str, Any] = self.dataset[number]
            id, audio = self._audio_file(number, row[self.audio])
            speaker = row[self.speaker] if self.speaker is not None else None
            yield Record(
                id,
                audio,
                text="" if row[self.text] is None else str(row[self.text]),
                speaker=None if speaker is None else str(speaker),
                source=f"{self.where} row {number}",
                labels={column: self._label(column, row[column]) for column in self.labels},
            )

    def _label(self, column: str, value: Any) -> Any:
        """A label as it is; a class by its name."""
        return value if value is None or column not in self.classes else self.classes[column].int2str(value)

    def _audio_file(self, number: int, audio: dict[str, Any]) -> tuple[str, Path]:
        path = Path(audio["path"] or "")
        if audio["bytes"] is None:
            folder = Path(self.part.corpus).expanduser().absolute()
            inside = path.relative_to(folder) if path.is_relative_to(folder) else Path(self.part.split, path.name)
            return "-".join(inside.with_suffix("").parts), path
        id = f"{self.part.split}-{number:07d}"
        file = self.part.data_dir / self.part.language / "audio" / self.part.split / (id + path.suffix)
        with replacing(file) as temporary:
            temporary.write_bytes(audio["bytes"])
        return id, file


def _load(corpus: str, config: str | None) -> "DatasetDict":
    """All splits of a dataset; nothing is decoded."""
    try:
        import datasets
    except ImportError:
        raise require("datasets", extra="corpora", purpose="Reading Hugging Face datasets") from None

    folder = Path(corpus).expanduser().absolute()
    is_folder = folder.is_dir()
    if not is_folder and not re.fullmatch(r"[\w.-]+/[\w.-]+", corpus):
        raise InputError(
            f"There is no corpus folder {corpus}",
            expected=LAYOUT,
            received="nothing at that path, and no name of a dataset on the hub",
            action="check the path",
        )
    try:
        builder = datasets.load_dataset_builder(str(folder) if is_folder else corpus, config)
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
            if is_folder
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


def _column(dataset: "Dataset", where: str, what: str, asked: str | None, usual: tuple[str, ...]) -> str:
    wanted = (asked,) if asked else usual
    for name in wanted:
        if name in dataset.column_names:
            return name
    raise InputError(
        f"{where}: no {what} column",
        expected=" or ".join(wanted),
        received="the columns " + ", ".join(dataset.column_names),
        action=f"name one of them with --{what}-column",
    )


CORPUS = Corpus(
    title="Hugging Face datasets",
    layout=LAYOUT,
    example="python -m data_scripts.audiofolder corpora/audiofolder_en data --language en",
    records=records,
)
app = corpus_app(CORPUS)

if __name__ == "__main__":
    app()
