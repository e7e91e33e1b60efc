"""VoxPopuli: `transcribed_data/LANGUAGE/asr_{train,dev,test}.tsv` and `transcribed_data/LANGUAGE/YEAR/ID.ogg`."""

import os
from pathlib import Path

from data_scripts.command_line import corpus_app
from data_scripts.corpus import Corpus, Part, Record, existing_folder, gender, same_language
from data_scripts.tables import Row, Unusable, read_table, require_columns
from speech_mtl.errors import InputError

LAYOUT = "transcribed_data/LANGUAGE/asr_{train,dev,test}.tsv beside folders of years, or the folder LANGUAGE itself"
COLUMNS = ("id", "raw_text", "normalized_text", "speaker_id")
UNKNOWN = ("", "None", "unknown")


def languages(corpus: str) -> list[str]:
    """The folders of languages, which VoxPopuli names by BCP 47 tags; `en_accented` is read by its own name only."""
    return [folder.name for folder in _folders(corpus)]


def records(part: Part) -> list[Record | Unusable] | None:
    """The rows of a split's table: the text as it is written, or the normalised one where there is no other."""
    folder = next((one for one in _folders(part.corpus) if same_language(one.name, part.language)), None)
    path = folder / f"asr_{part.split}.tsv" if folder else None
    if path is None or not os.path.lexists(path):
        return None
    table = read_table(path)
    require_columns(table, COLUMNS, "a table of VoxPopuli")
    return [_record(row, path.parent) if isinstance(row, Row) else row for row in table.rows]


def _folders(corpus: str) -> list[Path]:
    top = existing_folder(corpus, LAYOUT).resolve()
    for candidates in ([top], top.iterdir(), (top / "transcribed_data").glob("*")):
        if found := sorted(folder for folder in candidates if any(folder.glob("asr_*.tsv"))):
            return found
    raise InputError(
        f"{corpus}: not VoxPopuli",
        expected=LAYOUT,
        received="no file asr_*.tsv",
        action="cut the sessions with the corpus's own `python -m voxpopuli.get_asr_data`, and give its folder",
    )


def _record(row: Row, folder: Path) -> Record:
    id = row.cells["id"]
    speaker, told = (row.cells.get(column, "").strip() for column in ("speaker_id", "gender"))
    return Record(
        id,
        folder / id[:4] / f"{id}.ogg",
        row.cells["raw_text"].strip() or row.cells["normalized_text"],
        None if speaker in UNKNOWN else speaker,
        row.source,
        {"gender": None if told in UNKNOWN else gender(told)},
    )


CORPUS = Corpus(
    title="VoxPopuli",
    layout=LAYOUT,
    example="python -m data_scripts.voxpopuli corpora/voxpopuli data --language cs",
    records=records,
    languages=languages,
)
app = corpus_app(CORPUS)

if __name__ == "__main__":
    app()
