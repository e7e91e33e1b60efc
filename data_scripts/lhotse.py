"""Lhotse manifests: cuts (`cuts_train.jsonl.gz`), or recordings and supervisions (`recordings_train.jsonl.gz`, ...).

They are plain JSON lines, which are read here: the library itself asks for PyTorch. An utterance is a supervision, and
its audio the stretch of the recording that it names; what lhotse would compute, such as mixed or transformed audio, is
left out and counted.
"""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple, NotRequired

from typing_extensions import TypedDict

from data_scripts.command_line import corpus_app
from data_scripts.corpus import Corpus, Part, Record, cut, distinct_languages, gender, of_language
from data_scripts.manifests import beside, manifests_of, typed_lines
from data_scripts.splits import SplitFiles
from data_scripts.tables import Unusable
from speech_mtl.data.languages import is_registered
from speech_mtl.errors import InputError, refuse_missing

LAYOUT = "*.jsonl or *.jsonl.gz of cuts, or of recordings and of supervisions, whose names tell the split"

WHOLE_S = 0.001
"""A supervision that is so much shorter than its recording is all of it."""


class _Source(TypedDict):
    """Where the audio of some channels of a recording lies."""

    type: str
    channels: list[int]
    source: NotRequired[str]


class _Recording(TypedDict):
    """A recording, of which the first source that has the channel is read."""

    id: str
    sources: list[_Source]
    duration: float
    transforms: NotRequired[list | None]


class _Named(NamedTuple):
    """A recording, the manifest that names it, and its split, if that tells one."""

    recording: _Recording
    path: Path
    split: str | None


class _Supervision(TypedDict):
    """What is said in a stretch of a recording; the start counts from that of its cut."""

    id: str
    recording_id: str
    start: float
    duration: float
    channel: NotRequired[int | list[int]]
    text: NotRequired[str | None]
    language: NotRequired[str | None]
    speaker: NotRequired[str | None]
    gender: NotRequired[str | None]


class _Cut(TypedDict):
    """A stretch of a recording with its supervisions; of other kinds than `MonoCut` and `MultiCut` only the kind."""

    id: str
    type: NotRequired[str]
    start: NotRequired[float]
    recording: NotRequired[_Recording | None]
    supervisions: NotRequired[list[_Supervision]]


def records(part: Part) -> list[Record | Unusable] | None:
    """The supervisions of a split's manifests in the language, if they name one, by tag or in English.

    Raises:
        InputError: There is no such folder, or no manifest in it.
    """
    found: list[Record | Unusable] = []
    tags: list[str | None] = []
    for manifests, read in _kinds(part.corpus):
        for record, tag in read(manifests, manifests.of(part.split)):
            found.append(record)
            tags.append(tag)
        found += manifests.without_split(part.split)
        tags += [None] * (len(found) - len(tags))
    return of_language(part, f"{part.corpus} {part.split}", found, tags) or None


def languages(corpus: str) -> list[str]:
    """The languages of the supervisions."""
    return distinct_languages({tag for manifests, read in _kinds(corpus) for _, tag in read(manifests, manifests.all)})


_Found = Iterator[tuple[Record | Unusable, str | None]]


def _kinds(corpus: str):
    """The manifests of cuts and how they are read; where there are none, those of supervisions."""
    try:
        return [(manifests_of(corpus, LAYOUT, (b"supervisions", b"start")), _cuts)]
    except InputError:
        return [(manifests_of(corpus, LAYOUT, (b"recording_id", b"start")), _supervisions)]


def _cuts(manifests: SplitFiles, paths: Sequence[Path]) -> _Found:
    for path in paths:
        for where, line in typed_lines(path, _Cut):
            if isinstance(line, Unusable):
                yield line, None
            elif line.get("type", "MonoCut") not in ("MonoCut", "MultiCut"):
                yield Unusable(where, "not one recording", f"a {line.get('type')} is computed, and not read"), None
            elif not (supervisions := line.get("supervisions")):
                yield Unusable(where, "without supervision", f"the cut {line['id']!r} has no supervision"), None
            else:
                for one in supervisions:
                    start_s = line.get("start", 0.0) + one["start"]
                    yield _record(one, start_s, line.get("recording"), where, path, manifests.top), _tag(one)


def _supervisions(manifests: SplitFiles, paths: Sequence[Path]) -> _Found:
    """The supervisions in manifests, with recordings of their split or of none."""
    recordings, bad = _recordings(manifests.top)
    own = {manifests.split(path) for path in paths}
    yield from ((line, None) for split, line in bad if (split or "train") in own)
    for path in paths:
        split = manifests.told[path]
        for where, line in typed_lines(path, _Supervision):
            if isinstance(line, Unusable):
                yield line, None
                continue
            found = [one for one in recordings.get(line["recording_id"], []) if _may_be(one.split, split)]
            if len(found) > 1 and len({_sources(one, manifests.top) for one in found}) > 1:
                message = f"several recordings have the id {line['recording_id']!r}"
                yield Unusable(where, "more than one recording", message), _tag(line)
            else:
                recording, named_in, _ = found[0] if found else (None, path, None)
                yield _record(line, line["start"], recording, where, named_in, manifests.top), _tag(line)


def _recordings(top: Path) -> tuple[dict[str, list[_Named]], list[tuple[str | None, Unusable]]]:
    """What manifests of recordings in a folder hold, by id; and lines that cannot be used, with their splits."""
    found: dict[str, list[_Named]] = {}
    bad: list[tuple[str | None, Unusable]] = []
    for path, split in manifests_of(str(top), LAYOUT, (b"sources", b"sampling_rate")).told.items():
        for _, line in typed_lines(path, _Recording):
            if isinstance(line, Unusable):
                bad.append((split, line))
            else:
                found.setdefault(line["id"], []).append(_Named(line, path, split))
    return found, bad


def _may_be(one: str | None, other: str | None) -> bool:
    return one is None or other is None or one == other


def _sources(one: _Named, top: Path) -> tuple[Path, ...]:
    return tuple(beside(one.path, top, source.get("source", "")) for source in one.recording["sources"])


def _record(
    one: _Supervision, start_s: float, recording: _Recording | None, where: str, manifest: Path, top: Path
) -> Record | Unusable:
    if recording is None:
        return Unusable(where, "without recording", f"{one['id']!r} has no recording")
    if recording.get("transforms"):
        return Unusable(where, "transformed recording", f"the recording {recording['id']!r} is computed, and not read")
    named = one.get("channel", 0)
    asked = {named} if isinstance(named, int) else set(named)
    source = next((source for source in recording["sources"] if asked <= set(source["channels"])), None)
    if source is None or source["type"] != "file" or "source" not in source:
        kind = "no source of its channel" if source is None else f"a source of type {source['type']!r}"
        return Unusable(where, "not a file", f"the recording {recording['id']!r} has {kind}, which is not opened")
    channels = source["channels"]
    channel = channels.index(min(asked)) if len(asked) == 1 < len(channels) else None
    record = Record(
        one["id"],
        beside(manifest, top, source["source"]),
        one.get("text") or "",
        one.get("speaker") or None,
        where,
        {"gender": gender(one.get("gender"))} if one.get("gender") else {},
    )
    whole = start_s == 0 and abs(one["duration"] - recording["duration"]) <= WHOLE_S
    if whole and channel is None:
        return record
    return cut(record, start_s, start_s + one["duration"], channel)


def _tag(one: _Supervision) -> str | None:
    """The language's tag: lhotse's recipes write `English` as well as `en`."""
    name = one.get("language")
    if not name:
        return None
    try:
        if is_registered(name.replace("_", "-")):
            return name
    except InputError:
        pass
    refuse_missing("babel", extra="corpora", purpose="Reading names of languages")
    from babel import Locale

    names = {english.lower(): tag for tag, english in Locale("en").languages.items()}
    return names.get(name.lower(), name)


CORPUS = Corpus(
    title="Lhotse manifests",
    layout=LAYOUT,
    example="python -m data_scripts.lhotse corpora/lhotse_mine data --language cs",
    records=records,
    languages=languages,
)
app = corpus_app(CORPUS)

if __name__ == "__main__":
    app()
