"""Multilingual LibriSpeech: `{train,dev,test}/transcripts.txt` and `{train,dev,test}/audio/SPEAKER/BOOK/ID.opus`."""

import os
from pathlib import Path

from data_scripts.command_line import corpus_app
from data_scripts.corpus import Corpus, Part, Record, existing_folder
from data_scripts.tables import Row, Unusable, read_table
from speech_mtl.data.languages import is_form_of
from speech_mtl.datatypes import SPLITS
from speech_mtl.errors import InputError

LAYOUT = "{train,dev,test}/transcripts.txt and {train,dev,test}/audio/, as in the folder mls_german_opus"
TAGS = {
    "dutch": "nl",
    "english": "en",
    "french": "fr",
    "german": "de",
    "italian": "it",
    "polish": "pl",
    "portuguese": "pt",
    "spanish": "es",
}
SUFFIXES = (".opus", ".flac")  # the two editions of the corpus


def languages(corpus: str) -> list[str]:
    """The language in the folder's name, as in `mls_german_opus`."""
    words = existing_folder(corpus, LAYOUT).resolve().name.lower().split("_")
    return [TAGS[word] for word in words if word in TAGS]


def records(part: Part) -> list[Record | Unusable] | None:
    """The lines of a split's `transcripts.txt`.

    Raises:
        InputError: The folder is none of this corpus, or is named after another language.
    """
    folder = existing_folder(part.corpus, LAYOUT)
    if not any((folder / split / "transcripts.txt").is_file() for split in SPLITS):
        raise InputError(
            f"{folder}: not Multilingual LibriSpeech",
            expected=LAYOUT,
            received="no transcripts.txt in any split's folder",
            action="give the folder of one language, such as mls_german_opus",
        )
    told = languages(part.corpus)
    if told and not any(is_form_of(part.language, tag) for tag in told):
        raise InputError(
            f"{folder}: a corpus in another language than --language {part.language}",
            expected=f"--language {told[0]}, as the folder is named",
            received=part.language,
            action="change --language, or the folder's name if it is wrong",
        )
    path = folder / part.split / "transcripts.txt"
    if not os.path.lexists(path):
        return None
    rows = read_table(path, columns=("id", "text")).rows
    return [_record(row, path.parent / "audio") if isinstance(row, Row) else row for row in rows]


def _record(row: Row, audio: Path) -> Record | Unusable:
    id, text = row.cells["id"], row.cells["text"]
    if id.count("_") != 2:
        message = f"not a line of Multilingual LibriSpeech: {id!r} is no SPEAKER_BOOK_NUMBER"
        return Unusable(row.source, "not an id", message)
    speaker, book, _ = id.split("_")
    return Record(id, _with_suffix(audio / speaker / book / id), text, speaker or None, row.source)


def _with_suffix(audio: Path) -> Path:
    candidates = [audio.with_name(audio.name + suffix) for suffix in SUFFIXES]
    return next((path for path in candidates if os.path.lexists(path)), candidates[0])  # of any length


CORPUS = Corpus(
    title="Multilingual LibriSpeech",
    layout=LAYOUT,
    example="python -m data_scripts.mls corpora/mls_german_opus data --language de",
    records=records,
    languages=languages,
)
app = corpus_app(CORPUS)

if __name__ == "__main__":
    app()
