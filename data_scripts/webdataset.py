"""WebDataset: tar archives whose members `KEY.flac` and `KEY.txt`, or `KEY.json`, are an utterance; not unpacked."""

import json
import posixpath
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Annotated, Any

import typer

from data_scripts.audiofolder import folder_split
from data_scripts.command_line import corpus_app
from data_scripts.corpus import Corpus, Part, Record, distinct_languages, existing_folder, of_language
from data_scripts.hugging_face import SPEAKER_COLUMNS, TEXT_COLUMNS
from data_scripts.shards import members
from data_scripts.tables import Unusable
from speech_mtl.data.place import AudioError, place_of
from speech_mtl.errors import InputError
from speech_mtl.files import parse_json

LAYOUT = "*.tar with KEY.flac (or .wav, .mp3, .ogg, .opus) and KEY.txt or KEY.json, whose names tell the split"
AUDIO = ("flac", "wav", "mp3", "ogg", "opus")

TextField = Annotated[str | None, typer.Option(help="Field of KEY.json. Default: the first of those usual.")]


def records(part: Part, *, text_field: TextField = None) -> list[Record | Unusable] | None:
    """The utterances of a split's archives: the text of `KEY.txt`, or text, speaker and language of `KEY.json`.

    Raises:
        InputError: There is no archive in the folder, or one cannot be read.
    """
    found = list(_utterances(_shards(part.corpus, part.split), text_field))
    rows, tags = [one for one, _ in found], [tag for _, tag in found]
    return of_language(part, f"{part.corpus} {part.split}", rows, tags) or None


def languages(corpus: str, *, text_field: str | None = None) -> list[str]:
    """The languages that `KEY.json` names."""
    return distinct_languages({tag for _, tag in _utterances(_shards(corpus, None), text_field)})


def _shards(corpus: str, split: str | None) -> list[Path]:
    """The archives of a split, or all; where no name tells a split, all are of training speech."""
    top = existing_folder(corpus, LAYOUT)
    told = {tar: folder_split(str(tar.relative_to(top).with_suffix(""))) for tar in sorted(top.rglob("*.tar"))}
    if not told:
        raise InputError(
            f"{corpus}: no tar archives", expected=LAYOUT, received="no file *.tar", action="check the path"
        )
    usual = None if any(told.values()) else "train"
    if unknown := [tar for tar, own in told.items() if own is None and usual is None]:
        raise InputError(
            f"{unknown[0]}: neither its name nor its folder's tells the split, as those of other archives do",
            expected="names such as train-000.tar or folders such as train",
            received=", ".join(tar.name for tar in unknown[:5]),
            action="move the archives into folders train, dev and test",
        )
    return [tar for tar, own in told.items() if split in (None, own or usual)]


def _utterances(tars: Iterable[Path], text_field: str | None) -> Iterator[tuple[Record | Unusable, str | None]]:
    for tar in tars:
        there = members(tar)
        for name, place in there.items():
            key, _, kind = name.rpartition(".")
            if kind.lower() in AUDIO:
                where = f"{tar}, {name}"
                try:
                    told = _told(key, there, text_field)
                except (AudioError, InputError) as error:
                    yield Unusable(where, "text unreadable", str(error)), None
                    continue
                id = posixpath.join(tar.stem, key)
                text, speaker = told["text"], told["speaker"]
                yield Record(id, place, text or "", speaker or None, where), told["language"] or None


def _told(key: str, there: dict[str, Path], text_field: str | None) -> dict[str, Any]:
    """The text, speaker and language of an utterance, as text; None where there is none."""
    fields: dict[str, Any] = {}
    if (name := f"{key}.json") in there:
        fields = parse_json(_text(there[name]), dict[str, Any], name)
    wanted = {
        "text": (text_field,) if text_field else TEXT_COLUMNS,
        "speaker": SPEAKER_COLUMNS,
        "language": ("language", "lang"),
    }
    told = {what: next((fields[one] for one in names if one in fields), None) for what, names in wanted.items()}
    if told["text"] is None and f"{key}.txt" in there:
        told["text"] = _text(there[f"{key}.txt"]).strip()
    return {what: value if isinstance(value, str | None) else json.dumps(value) for what, value in told.items()}


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
