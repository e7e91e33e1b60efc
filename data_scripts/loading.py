"""Loading of Hugging Face data sets: from a folder or from the hub, by `datasets`, with their audio undecoded."""

import glob
import logging
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from data_scripts.corpus import existing_folder
from data_scripts.parquet import ParquetFiles, num_rows
from speech_mtl.data.place import ARROW
from speech_mtl.errors import InputError, refuse_missing
from speech_mtl.files import files_under

if TYPE_CHECKING:
    from datasets import Dataset, IterableDataset

LAYOUT = (
    "metadata.csv, .tsv or .jsonl (file_name, text, speaker) beside audio files, or x.txt beside x.wav; Parquet or "
    "Arrow files; or OWNER/NAME of a dataset on the Hugging Face hub"
)


WITH_AUDIO = (".parquet", ".arrow")
"""Endings of files that hold audio."""


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


def load(corpus: str, config: str | None, streaming: bool = False) -> Mapping[str, Any]:
    """All splits of a dataset, `Split` or `IterableDataset`, whose audio comes undecoded."""
    refuse_missing("datasets", extra="corpora", purpose="Reading Hugging Face datasets")
    import datasets

    folder = local_folder(corpus)
    if folder is not None and glob.has_magic(str(folder.resolve())):
        raise InputError(
            f"{corpus}: a folder that Hugging Face datasets cannot load",
            expected="a path without *, ? and [",
            received=str(folder.resolve()),
            action="rename the folder, or lay a metadata.jsonl beside the audio files",
        )
    files = [] if folder is None else [path for path in files_under(folder) if path.suffix.lower() in WITH_AUDIO]
    for file in files:
        if file.suffix == ARROW:
            num_rows(file)  # `datasets` does not tell which one is damaged
    try:
        datasets.logging.set_verbosity(logging.CRITICAL)  # it also raises the errors that it logs
        builder = datasets.load_dataset_builder(corpus if folder is None else str(folder.resolve()), config)
        if hasattr(builder, "BASE_FEATURE"):
            builder.BASE_FEATURE = _undecoded_audio()  # pyright: ignore[reportAttributeAccessIssue]
        if folder is not None and getattr(builder, "name", None) in ("parquet", "arrow"):
            if config is None and len(builder.builder_configs) < 2:
                _refuse_without_split(files, builder)
            return _parquet_files(builder)
        if not streaming:
            builder.download_and_prepare()
        splits: Mapping[str, Any] = builder.as_streaming_dataset() if streaming else builder.as_dataset()  # pyright: ignore
        return {name: _undecoded(split) for name, split in splits.items()}
    except InputError:
        raise
    except Exception as error:  # its exceptions, and those of the packages below it, have no common base
        raise InputError(
            f"Hugging Face datasets cannot load {corpus}",
            expected=LAYOUT,
            received=f"{type(error).__name__}: {error}",
            action="check the folder"
            if folder is not None
            else "check the path (no such folder here), the name on the hub, --config and the network",
        ) from error


def _refuse_without_split(files: Sequence[Path], builder: Any) -> None:
    """Refuses files that `datasets` leaves out without a word, because it finds no split in their names."""
    read = {Path(file).resolve() for of_split in builder.config.data_files.values() for file in of_split}
    if left_out := [file for file in files if file.resolve() not in read]:
        raise InputError(
            f"{left_out[0]}: of no split for Hugging Face datasets, as other files are",
            expected="names such as train-00000.parquet, or folders such as train; validation and test likewise",
            received=", ".join(file.name for file in left_out[:5]),
            action="rename the files, or remove them",
        )


def _parquet_files(builder: Any) -> dict[str, ParquetFiles]:
    """The splits of a local folder of Parquet or Arrow files, which are not copied into the cache of `datasets`."""
    found = {}
    for name, split in builder.as_streaming_dataset().items():
        files = [Path(file) for file in builder.config.data_files[name]]
        found[name] = ParquetFiles(files, split.features, [n for n, one in split.features.items() if is_audio(one)])
    return found


def _undecoded(split: "Dataset | IterableDataset") -> Any:
    """A split with its audio as bytes or paths: the manifest wants places, and decoding would need another package."""
    known = split if split.features is not None else split._resolve_features()  # pyright: ignore
    for name, feature in known.features.items():
        if is_audio(feature):
            known = known.cast_column(name, _undecoded_audio()(decode=False))
    return known


def is_audio(feature: Any) -> bool:
    """Whether a column holds audio: declared so, or with the two fields of Audio in a file that declares nothing."""
    import datasets

    return isinstance(feature, datasets.Audio) or (isinstance(feature, dict) and set(feature) == {"bytes", "path"})


def _undecoded_audio() -> type:
    """The audio feature, able to take in file names without torchcodec.

    `datasets` demands torchcodec (and with it PyTorch) to make a table of audio files, although only names go into
    it, and to stream audio that is left undecoded. What is cached is the same.
    """
    import datasets

    class UndecodedAudio(datasets.Audio):
        def encode_example(self, value: Any) -> dict[str, Any]:
            if isinstance(value, dict):
                return value
            return {"bytes": value, "path": None} if isinstance(value, bytes) else {"bytes": None, "path": str(value)}

    return UndecodedAudio
