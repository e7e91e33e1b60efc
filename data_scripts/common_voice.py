"""Common Voice: `LANGUAGE/clips/*.mp3` and one table a split, `LANGUAGE/{train,dev,test}.tsv`."""

import os
from pathlib import Path

from data_scripts.command_line import corpus_app
from data_scripts.corpus import Corpus, Part, Record, existing_folder, of_language, same_language, with_ids
from data_scripts.tables import Row, Unusable, read_table, require_columns
from speech_mtl.data.languages import is_form_of

LAYOUT = "LANGUAGE/{train,dev,test}.tsv and LANGUAGE/clips/, or the folder LANGUAGE itself"
COLUMNS = ("client_id", "path", "sentence")


def languages(corpus: str) -> list[str]:
    """The language folders: Common Voice names them by BCP 47 tags."""
    folder = existing_folder(corpus, LAYOUT)
    if (folder / "clips").is_dir():
        return [folder.resolve().name]
    return sorted(clips.parent.name for clips in folder.glob("*/clips"))


def records(part: Part) -> list[Record | Unusable] | None:
    """The rows of a split's table in the language, or without one, by its column `locale`."""
    folder = existing_folder(part.corpus, LAYOUT)
    if not (folder / "clips").is_dir():
        name = next((name for name in languages(part.corpus) if same_language(name, part.language)), part.language)
        folder = existing_folder(str(folder / name), LAYOUT)
    path = folder / f"{part.split}.tsv"
    if not os.path.lexists(path):
        return None
    table = read_table(path)  # quotation marks belong to the sentence
    require_columns(table, COLUMNS, "a Common Voice table")
    found: list[Record | Unusable] = []
    locales: list[str | None] = []
    for row in table.rows:
        found.append(_record(row, folder / "clips") if isinstance(row, Row) else row)
        locales.append(row.cells.get("locale") or None if isinstance(row, Row) else None)
    if not any(locales):
        _warn_of_folder(part, folder)
    for place, row in enumerate(found):
        if isinstance(row, Record):
            locales[place] = locales[place] or part.language
    return of_language(part, str(path), with_ids(found), locales) or (None if found else [])


def _warn_of_folder(part: Part, folder: Path) -> None:
    """Warns if only the folder's name gives a language, and another one."""
    name = folder.resolve().name
    if is_form_of(name, name) and not is_form_of(part.language, name):  # a tag is a form of itself
        part.screen.warn(
            f"{folder}: a folder of {name}, by its name, is taken as {part.language}: there is no column locale"
        )


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
