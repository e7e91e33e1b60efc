"""Common Voice: `LANGUAGE/clips/*.mp3` and one table a split, `LANGUAGE/{train,dev,test}.tsv`."""

from pathlib import Path

from data_scripts.command_line import Corpus, Part, Record, corpus_app, existing_folder, of_language, with_ids
from data_scripts.tables import Row, Unusable, read_table, require_columns

LAYOUT = "LANGUAGE/{train,dev,test}.tsv and LANGUAGE/clips/, or the folder LANGUAGE itself"
COLUMNS = ("client_id", "path", "sentence")


def languages(corpus: str) -> list[str]:
    """The language folders: Common Voice names them by BCP 47 tags."""
    folder = existing_folder(corpus, LAYOUT)
    if (folder / "clips").is_dir():
        return [folder.resolve().name]
    return sorted(clips.parent.name for clips in folder.glob("*/clips"))


def records(part: Part) -> list[Record | Unusable] | None:
    """The rows of a split's table, where its column `locale` says the language or nothing."""
    folder = existing_folder(part.corpus, LAYOUT)
    if not (folder / "clips").is_dir():
        folder = existing_folder(str(folder / part.language), LAYOUT)
    path = folder / f"{part.split}.tsv"
    if not path.is_file():
        return None
    table = read_table(path)  # quotation marks belong to the sentence
    require_columns(table, COLUMNS, "a Common Voice table")
    found: list[Record | Unusable] = []
    locales: list[str | None] = []
    for row in table.rows:
        found.append(_record(row, folder / "clips") if isinstance(row, Row) else row)
        locales.append(row.cells.get("locale") or None if isinstance(row, Row) else None)
    return of_language(part, str(path), with_ids(found), locales) or (None if found else [])


def _record(row: Row, clips: Path) -> Record:
    name = row.cells["path"]
    return Record(name, clips / name, row.cells["sentence"], row.cells["client_id"] or None, row.source)


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
