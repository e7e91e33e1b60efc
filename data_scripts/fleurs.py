"""FLEURS: `LANGUAGE/{train,dev,test}.tsv`, seven columns without a header, and `LANGUAGE/audio/{train,dev,test}/`."""

import os
from pathlib import Path

from langcodes import Language

from data_scripts.command_line import corpus_app
from data_scripts.corpus import Corpus, Part, Record, existing_folder, gender, with_ids
from data_scripts.tables import Row, Unusable, read_table
from speech_mtl.data.languages import canonical, is_form_of
from speech_mtl.datatypes import SPLITS
from speech_mtl.errors import InputError

LAYOUT = "LANGUAGE/{train,dev,test}.tsv and LANGUAGE/audio/{train,dev,test}/, or the folder LANGUAGE itself"
COLUMNS = ("id", "file", "raw_transcription", "transcription", "characters", "num_samples", "gender")
UNKNOWN_GENDER = "OTHER"


def languages(corpus: str) -> list[str]:
    """The languages of the folders, without script and region: `cmn_hans_cn` is `zh`."""
    return sorted({Language.get(tag).language or tag for tag, _ in _folders(corpus)})


def records(part: Part) -> list[Record | Unusable] | None:
    """The rows of a split's table, with the transcript as it is written; its sentences have ids, its readers have none.

    Raises:
        InputError: The folder is none of this corpus, or two of its folders could be meant.
    """
    folders = [folder for tag, folder in _folders(part.corpus) if is_form_of(part.language, tag)]
    if len(folders) > 1:
        raise InputError(
            f"{part.corpus}: more than one folder in {part.language}",
            expected="--language with the region too, or the folder of one language",
            received=", ".join(folder.name for folder in folders),
            action="give one of these folders",
        )
    path = folders[0] / f"{part.split}.tsv" if folders else None
    if path is None or not os.path.lexists(path):
        return None
    rows = read_table(path, columns=COLUMNS).rows
    return with_ids([_record(row, path.parent / "audio" / part.split) if isinstance(row, Row) else row for row in rows])


def _folders(corpus: str) -> list[tuple[str, Path]]:
    """The folders of languages with their tags: FLEURS writes `pt_br` for `pt-BR`."""
    top = existing_folder(corpus, LAYOUT).resolve()
    found = []
    for folder in (top, *sorted(top.iterdir())):
        if any((folder / f"{split}.tsv").is_file() for split in SPLITS) and (folder / "audio").is_dir():
            try:
                found.append((canonical(folder.name.replace("_", "-")), folder))
            except InputError:
                raise InputError(
                    f"{folder}: the name of the folder is no language of FLEURS",
                    expected="a name such as pt_br: language, script where needed, and region",
                    received=folder.name,
                    action="give the folder the name that it has in FLEURS",
                ) from None
    if found:
        return found
    raise InputError(
        f"{corpus}: not FLEURS",
        expected=LAYOUT,
        received="no train.tsv, dev.tsv or test.tsv beside a folder audio",
        action="unpack the corpus, audio/*.tar.gz too, and give its folder, or that of one language",
    )


def _record(row: Row, audio: Path) -> Record:
    name, told = row.cells["file"], row.cells["gender"].strip()
    labels = {"gender": None if told == UNKNOWN_GENDER else gender(told)}
    return Record(name, audio / name, row.cells["raw_transcription"], None, row.source, labels)


CORPUS = Corpus(
    title="FLEURS",
    layout=LAYOUT,
    example="python -m data_scripts.fleurs corpora/fleurs data --language da --language el",
    records=records,
    languages=languages,
)
app = corpus_app(CORPUS)

if __name__ == "__main__":
    app()
