"""LJSpeech and voices recorded like it: `metadata.csv` (`id|text|text in full words`) and `wavs/ID.wav`.

Where lists of ids stand beside it, `train.txt`, `dev.txt` (or `valid.txt`) and `test.txt`, or `metadata_train.csv` and
so on, they are the splits; without one of training speech, that is what the others leave over.
"""

import os
from collections.abc import Collection, Sequence
from pathlib import Path, PurePosixPath
from typing import Annotated

import typer

from data_scripts.command_line import corpus_app
from data_scripts.corpus import Corpus, Part, Record, existing_folder
from data_scripts.splits import told_split
from data_scripts.tables import Row, Unusable, read_keyed_table, read_table
from speech_mtl.data.audio_file import ENDINGS, SUFFIXES
from speech_mtl.errors import InputError
from speech_mtl.files import read_lines

LAYOUT = (
    "metadata.csv (id|text|text in full words) and wavs/, with lists of ids (train.txt, dev.txt, test.txt) or without"
)
COLUMNS = ("id", "text", "normalised")

Speaker = Annotated[str | None, typer.Option(help="A name for the reader, where it is one. Default: unknown.")]


def records(part: Part, *, speaker: Speaker = None) -> list[Record | Unusable] | None:
    """The lines of `metadata.csv` that belong to a split, with the text in full words where there is one.

    Raises:
        InputError: The folder is none of this corpus, or its lists do not fit.
    """
    folder = existing_folder(part.corpus, LAYOUT)
    path = folder / "metadata.csv"
    if not path.is_file() or not (folder / "wavs").is_dir():
        raise InputError(
            f"{folder}: not LJSpeech",
            expected=LAYOUT,
            received=f"no {'folder wavs' if path.is_file() else 'metadata.csv'}",
            action="give the folder that holds both",
        )
    rows = list(read_table(path, delimiter="|", columns=_columns(path)).rows)
    lists = _lists(folder, {row.cells["id"] for row in rows if isinstance(row, Row)})
    listed = {id for ids in lists.values() for id in ids}
    rest = [row for row in rows if isinstance(row, Unusable) or row.cells["id"] not in listed]
    if part.split in lists:
        mine = _listed(rows, lists[part.split])
    elif part.split == "train":
        mine = rest
    else:
        return None
    if part.split == "train" and "train" in lists and rest:
        part.screen.say(f"{path}: {len(rest):,} of {len(rows):,} rows are in no list, and left out")
    found = [_record(row, folder / "wavs", speaker) if isinstance(row, Row) else row for row in mine]
    return found if any(isinstance(one, Record) for one in found) or not lists else None


def _columns(path: Path) -> Sequence[str]:
    """Three columns, or two where the corpus has no text in full words."""
    _, first = next(iter(read_lines(path, "take the table from the corpus as it is")), ("", ""))
    return COLUMNS[:2] if first.count("|") == 1 else COLUMNS


def _lists(folder: Path, known: Collection[str]) -> dict[str, dict[str, Row | Unusable]]:
    """The ids in the lists of each split that has one, with their lines.

    Raises:
        InputError: A list names nothing that `metadata.csv` has, or two splits share an id.
    """
    lists: dict[str, dict[str, Row | Unusable]] = {}
    for path in sorted([*folder.glob("*.txt"), *folder.glob("metadata_*.csv")]):
        if split := told_split(path.stem):
            rows = list(read_keyed_table(path).rows)
            ids = {_id(row.cells["key"], known) if isinstance(row, Row) else row.source: row for row in rows}
            if ids and not ids.keys() & known:
                raise InputError(
                    f"{path}: nothing in this list is in metadata.csv",
                    expected="an id of metadata.csv in each line",
                    received=", ".join(list(ids)[:3]),
                    action="write the ids as in metadata.csv, or rename the file if it is no list of a split",
                )
            lists.setdefault(split, {}).update(ids)
    _refuse_shared(folder, lists)
    return lists


def _id(written: str, known: Collection[str]) -> str:
    """The id that a line of a list means: `ID`, `ID|text`, `ID.wav` or `wavs/ID.wav`."""
    path = PurePosixPath(written.partition("|")[0])
    plain = path.with_suffix("") if path.suffix.lower() in SUFFIXES else path
    return next((id for id in (str(path), str(plain), plain.name) if id in known), str(path))


def _refuse_shared(folder: Path, lists: dict[str, dict[str, Row | Unusable]]) -> None:
    seen: dict[str, Row | Unusable] = {}
    for ids in lists.values():
        if shared := next((id for id in ids if id in seen), None):
            raise InputError(
                f"{folder}: an id in two splits",
                expected="each utterance in one of train.txt, dev.txt and test.txt",
                received=f"{shared} in {seen[shared].source} and {ids[shared].source}",
                action="remove it from one of them",
            )
        seen |= ids


def _listed(rows: Sequence[Row | Unusable], ids: dict[str, Row | Unusable]) -> list[Row | Unusable]:
    """The rows of a list's ids in the order of the table, then what of the list cannot be used."""
    mine: list[Row | Unusable] = [row for row in rows if isinstance(row, Row) and row.cells["id"] in ids]
    there = {row.cells["id"] for row in mine if isinstance(row, Row)}
    for id, line in ids.items():
        if isinstance(line, Unusable):
            mine.append(line)
        elif id not in there:
            mine.append(Unusable(line.source, "not in metadata.csv", f"the id {id!r} is not in metadata.csv"))
    return mine


def _record(row: Row, wavs: Path, speaker: str | None) -> Record:
    id = row.cells["id"]
    candidates = [wavs / (id + suffix) for suffix in ENDINGS]
    audio = next((path for path in candidates if os.path.lexists(path)), candidates[0])
    text = row.cells.get("normalised", "").strip() or row.cells["text"]
    return Record(id, audio, text, speaker, row.source)


CORPUS = Corpus(
    title="LJSpeech",
    layout=LAYOUT,
    example="python -m data_scripts.ljspeech corpora/LJSpeech-1.1 data --language en --speaker linda_johnson",
    records=records,
)
app = corpus_app(CORPUS)

if __name__ == "__main__":
    app()
