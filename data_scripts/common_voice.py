"""Common Voice: `LANGUAGE/clips/*.mp3` and one table a split, `LANGUAGE/{train,dev,test}.tsv`."""

import csv
from collections.abc import Iterator
from pathlib import Path

from data_scripts.command_line import Corpus, Part, Record, corpus_app, existing_folder
from speech_mtl.errors import InputError

LAYOUT = "LANGUAGE/{train,dev,test}.tsv and LANGUAGE/clips/, or the folder LANGUAGE itself"
COLUMNS = ("client_id", "path", "sentence")


def languages(corpus: str) -> list[str]:
    """The language folders: Common Voice names them by BCP 47 tags."""
    folder = existing_folder(corpus, LAYOUT)
    if (folder / "clips").is_dir():
        return [folder.resolve().name]
    return sorted(clips.parent.name for clips in folder.glob("*/clips"))


def records(part: Part) -> list[Record] | None:
    """The rows of a split's table."""
    folder = existing_folder(part.corpus, LAYOUT)
    if not (folder / "clips").is_dir():
        folder = existing_folder(str(folder / part.language), LAYOUT)
    table = folder / f"{part.split}.tsv"
    return list(_rows(table, folder / "clips")) if table.is_file() else None


def _rows(table: Path, clips: Path) -> Iterator[Record]:
    with table.open(encoding="utf-8", newline="") as lines:
        # Quotation marks in Common Voice belong to the sentence.
        rows = csv.DictReader(lines, delimiter="\t", quoting=csv.QUOTE_NONE)
        if missing := [column for column in COLUMNS if column not in (rows.fieldnames or ())]:
            raise InputError(
                f"{table}:1: not a Common Voice table: no column {missing[0]!r}",
                expected="tab-separated columns, among them " + ", ".join(COLUMNS),
                received=", ".join(rows.fieldnames or ()) or "an empty file",
                action="take the table from the Common Voice archive as it is",
            )
        for row in rows:
            name = row["path"] or ""
            yield Record(
                id=Path(name).stem,
                audio=clips / name,
                text=row["sentence"] or "",
                speaker=row["client_id"] or None,
                source=f"{table}:{rows.line_num}",
            )


CORPUS = Corpus(
    title="Common Voice",
    layout=LAYOUT,
    example="python -m data_scripts.common_voice corpora/common_voice data --language zh-CN",
    records=records,
    languages=languages,
)
app = corpus_app(CORPUS)

if __name__ == "__main__":
    app()
