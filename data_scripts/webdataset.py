"""WebDataset: tar archives whose members `KEY.flac` and `KEY.txt`, or `KEY.json`, are an utterance; not unpacked."""

import posixpath
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Annotated, Any

import typer

from data_scripts.command_line import corpus_app
from data_scripts.corpus import Corpus, Part, Record, distinct_languages, of_language
from data_scripts.hugging_face import SPEAKER_COLUMNS, TEXT_COLUMNS
from data_scripts.shards import read_shard
from data_scripts.splits import SplitFiles, split_files
from data_scripts.tables import Unusable
from speech_mtl.data.audio_file import ENDINGS, SUFFIXES
from speech_mtl.data.place import AudioError, place_of
from speech_mtl.errors import InputError
from speech_mtl.files import parse_json

LAYOUT = "*.tar with KEY.wav (or .flac, .mp3, ...) and KEY.txt or KEY.json, whose names tell the split"

_Found = tuple[Record | Unusable, str | None]
"""An utterance and its language, where the corpus names one."""

TextField = Annotated[
    str | None, typer.Option(help="Field of KEY.json. Default: the first of those usual, or KEY.txt.")
]


def records(part: Part, *, text_field: TextField = None) -> list[Record | Unusable] | None:
    """The utterances of a split's archives: the text of `KEY.txt`, or text, speaker and language of `KEY.json`.

    Raises:
        InputError: There is no archive in the folder, or one cannot be read.
    """
    archives = _archives(part.corpus)
    found = [*_utterances(archives.of(part.split), archives.top, text_field)]
    found += [(unknown, None) for unknown in archives.without_split(part.split)]
    rows, tags = [one for one, _ in found], [tag for _, tag in found]
    return of_language(part, f"{part.corpus} {part.split}", rows, tags) or None


def languages(corpus: str, *, text_field: str | None = None) -> list[str]:
    """The languages that `KEY.json` names."""
    archives = _archives(corpus)
    return distinct_languages({tag for _, tag in _utterances(archives.all, archives.top, text_field)})


def _archives(corpus: str) -> SplitFiles:
    return split_files(corpus, LAYOUT, "tar archives", lambda path: path.suffix.lower() == ".tar")


def _utterances(tars: Sequence[Path], top: Path, text_field: str | None) -> Iterator[_Found]:
    for tar in tars:
        folder = tar.relative_to(top).with_suffix("").as_posix()
        there = _members(tar)
        spoken = {name.rpartition(".")[0] for name in there if _is_audio(name)}
        for name, place in there.items():
            key, where = name.rpartition(".")[0], f"{tar}, {name}"
            if _is_audio(name):
                yield _record(posixpath.join(folder, key), place, _told(key, there, text_field), where)
            elif key not in spoken and (name == f"{key}.txt" or (name == f"{key}.json" and f"{key}.txt" not in there)):
                yield Unusable(where, "no audio", f"there is no {key}{ENDINGS[0]}, nor audio of another ending"), None


def _is_audio(name: str) -> bool:
    return posixpath.splitext(name)[1].lower() in SUFFIXES


def _members(tar: Path) -> dict[str, Path]:
    """The members of an archive, all of them.

    Raises:
        InputError: It is cut short or damaged: nobody knows how many are lost.
    """
    shard = read_shard(tar)
    if shard.is_whole:
        return shard.members
    raise InputError(
        f"{tar} is cut short or damaged",
        expected="a tar archive that ends with a block of zeros",
        received=f"{len(shard.members):,} members, and then neither another one nor the end",
        action="take the archive from the corpus again, or remove it",
    )


def _record(id: str, audio: Path, told: dict[str, Any] | Unusable, where: str) -> _Found:
    if isinstance(told, Unusable):
        return replace(told, source=where), None
    for field, value in told.items():
        if isinstance(value, bool | list | dict):
            kind = type(value).__name__
            return Unusable(where, "no text in a field", f"the {field} is of type {kind}, no text"), None
    text, speaker, language = ("" if told[one] is None else str(told[one]) for one in ("text", "speaker", "language"))
    return Record(id, audio, text, speaker or None, where), language or None


def _told(key: str, there: dict[str, Path], text_field: str | None) -> dict[str, Any] | Unusable:
    """The text, speaker and language of an utterance; None where there is none."""
    wanted = {
        "text": (text_field,) if text_field else TEXT_COLUMNS,
        "speaker": SPEAKER_COLUMNS,
        "language": ("language", "lang"),
    }
    try:
        fields = parse_json(_text(there[name]), dict[str, Any], name) if (name := f"{key}.json") in there else {}
        told = {what: next((fields[one] for one in names if one in fields), None) for what, names in wanted.items()}
        if told["text"] is None and text_field is None and f"{key}.txt" in there:
            told["text"] = _text(there[f"{key}.txt"]).strip()
    except (AudioError, InputError) as error:
        return Unusable(key, "text unreadable", str(error))
    return told


def _text(member: Path) -> str:
    content = place_of(member).content() or b""
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise InputError(
            f"{member.name}: not UTF-8",
            expected="text in UTF-8",
            received=str(error),
            action="make the archive again with text in UTF-8",
        ) from None


CORPUS = Corpus(
    title="WebDataset",
    layout=LAYOUT,
    example="python -m data_scripts.webdataset corpora/shards data --language cs",
    records=records,
    languages=languages,
)
app = corpus_app(CORPUS)

if __name__ == "__main__":
    app()
