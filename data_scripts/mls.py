"""Multilingual LibriSpeech: `{train,dev,test}/transcripts.txt` and `{train,dev,test}/audio/SPEAKER/BOOK/ID.opus`."""

from collections.abc import Iterator
from pathlib import Path

from data_scripts.command_line import Corpus, Part, Record, corpus_app, existing_folder
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


def records(part: Part) -> list[Record] | None:
    """The lines of a split's `transcripts.txt`."""
    folder = existing_folder(part.corpus, LAYOUT)
    if not any((folder / split / "transcripts.txt").is_file() for split in SPLITS):
        raise InputError(
            f"{folder}: not Multilingual LibriSpeech",
            expected=LAYOUT,
            received="no transcripts.txt in any split's folder",
            action="give the folder of one language, such as mls_german_opus",
        )
    table = folder / part.split / "transcripts.txt"
    return list(_lines(table)) if table.is_file() else None


def _lines(table: Path) -> Iterator[Record]:
    with table.open(encoding="utf-8") as lines:
        for number, line in enumerate(lines, 1):
            id, tab, text = line.rstrip("\n").partition("\t")
            if not tab or id.count("_") != 2:
                raise InputError(
                    f"{table}:{number}: not a line of Multilingual LibriSpeech",
                    expected="SPEAKER_BOOK_NUMBER, a tab, the text",
                    received=line.strip()[:80] or "an empty line",
                    action="take transcripts.txt from the archive as it is",
                )
            speaker, book, _ = id.split("_")
            audio = table.parent / "audio" / speaker / book / id
            yield Record(id, _with_suffix(audio), text, speaker, source=f"{table}:{number}")


def _with_suffix(audio: Path) -> Path:
    candidates = [audio.with_suffix(suffix) for suffix in SUFFIXES]
    return next((path for path in candidates if path.exists()), candidates[0])


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
