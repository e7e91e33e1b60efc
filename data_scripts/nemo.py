"""NeMo manifests: JSON lines with `audio_filepath`, `text` and perhaps `offset` and `duration`; plain or tarred."""

import os
import re
from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path, PurePosixPath
from typing import NotRequired

from typing_extensions import TypedDict

from data_scripts.command_line import corpus_app
from data_scripts.corpus import Corpus, Part, Record, cut, distinct_languages, of_language, same_language, with_ids
from data_scripts.manifests import beside, manifests_of, typed_lines
from data_scripts.shards import read_shard
from data_scripts.splits import SplitFiles
from data_scripts.tables import Unusable
from speech_mtl.errors import InputError

LAYOUT = (
    "*.json with a JSON object a line (audio_filepath, text), whose names tell the split, and the audio or its tars"
)

KEYS = (b"audio_filepath",)

REPEATED = re.compile(r"-sub\d+(?=\.\w+$)")
"""What NeMo adds to the name of a tar's member for the second utterance in it, and so on."""


COPIES = "sharded_manifests"
"""The folder with the lines of each tar, which NeMo writes beside the manifest of all."""


class _Line(TypedDict):
    """A line of a manifest, as far as it is used."""

    audio_filepath: str
    text: NotRequired[str | None]
    duration: NotRequired[float | None]
    offset: NotRequired[float | None]
    shard_id: NotRequired[int | None]
    speaker: NotRequired[str | int | None]
    lang: NotRequired[str | None]
    source_lang: NotRequired[str | None]
    target_lang: NotRequired[str | None]


def records(part: Part) -> list[Record | Unusable] | None:
    """The lines of a split's manifests in the language, if they name one (`lang` or `target_lang`).

    A line with an offset is a stretch of a recording. Paths are relative to the manifest, or to the corpus.

    Raises:
        InputError: There is no such folder, or no manifest in it.
    """
    found: list[Record | Unusable] = []
    tags: list[str | None] = []
    paths = _manifests(part.corpus)
    for path in paths.of(part.split):
        for where, line in typed_lines(path, _Line):
            found.append(line if isinstance(line, Unusable) else _record(line, where, path, paths.top))
            tags.append(None if isinstance(line, Unusable) else _language(line))
    found += paths.without_split(part.split)
    tags += [None] * (len(found) - len(tags))
    return of_language(part, f"{part.corpus} {part.split}", with_ids(found), tags) or None


def languages(corpus: str) -> list[str]:
    """The languages that lines name."""
    paths = _manifests(corpus)
    lines = (line for path in paths.all for _, line in typed_lines(path, _Line))
    return distinct_languages({_language(line) for line in lines if not isinstance(line, Unusable)})


def _manifests(corpus: str) -> SplitFiles:
    """The manifests in a folder, without copies of their lines."""
    found = manifests_of(corpus, LAYOUT, KEYS)
    whole = {path.parent for path in found.told}
    copies = {path for path in found.told if path.parent.name == COPIES and path.parent.parent in whole}
    return found._replace(told={path: split for path, split in found.told.items() if path not in copies})


def _language(line: _Line) -> str | None:
    return line.get("lang") or line.get("target_lang")


def _record(line: _Line, where: str, manifest: Path, top: Path) -> Record | Unusable:
    name, shard = line["audio_filepath"], line.get("shard_id")
    speaker = line.get("speaker")
    source, target = line.get("source_lang"), line.get("target_lang")
    if source and target and not same_language(source, target):
        return Unusable(where, "a translation", f"the text is in {target} and the speech in {source}")
    audio = beside(manifest, top, name) if shard is None else _member(manifest, shard, name, where)
    if isinstance(audio, Unusable):
        return audio
    offset_s, duration_s = line.get("offset"), line.get("duration")
    path = PurePosixPath(name if shard is None else f"{shard}/{name}")
    id = str(path if offset_s is None or not path.name else path.with_stem(f"{path.stem}-{offset_s:g}"))
    text = line.get("text") or ""
    record = Record(id, audio, text, str(speaker) if speaker not in (None, "") else None, where)
    if offset_s is None:
        return record
    if duration_s is None:
        return Unusable(where, "offset without duration", "there is an offset and no duration")
    return cut(record, offset_s, offset_s + duration_s)


def _member(manifest: Path, shard: int, name: str, where: str) -> Path | Unusable:
    """The place of a member of a shard, `audio_NUMBER.tar`, beside the manifest or in the folder above."""
    tar = next((one for one in _shards(manifest, shard) if os.path.lexists(one)), None)
    if tar is None:
        return Unusable(where, "shard missing", f"there is no {_shards(manifest, shard)[0]}")
    try:
        found, without_ending = read_shard(tar).members, _without_ending(tar)
    except InputError as error:
        return Unusable(where, "shard unreadable", f"{error.problem}: {error.received}")
    first = REPEATED.sub("", name)
    place = found.get(name) or found.get(first) or without_ending.get(os.path.splitext(first)[0])  # noqa: PTH122
    return place or Unusable(where, "not in its shard", f"{tar} has no member {name!r}: was it cut short?")


@lru_cache(maxsize=8)
def _without_ending(tar: Path) -> dict[str, Path]:
    """The members of a shard by names without their ending, which NeMo changes where it codes the audio anew."""
    return {os.path.splitext(name)[0]: place for name, place in read_shard(tar).members.items()}  # noqa: PTH122


def _shards(manifest: Path, shard: int) -> Sequence[Path]:
    return [folder / f"audio_{shard}.tar" for folder in (manifest.parent, manifest.parent.parent)]


CORPUS = Corpus(
    title="NeMo manifests",
    layout=LAYOUT,
    example="python -m data_scripts.nemo corpora/nemo_mine data --language cs",
    records=records,
    languages=languages,
)
app = corpus_app(CORPUS)

if __name__ == "__main__":
    app()
