"""What a corpus is to its script: records of utterances, splits and languages, and where audio may lie."""

import posixpath
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path, PurePosixPath
from typing import Any, TypeVar

from data_scripts.tables import Unusable
from speech_mtl.data.languages import canonical
from speech_mtl.data.manifest import LONGEST_S
from speech_mtl.data.place import place_of
from speech_mtl.errors import InputError, printable
from speech_mtl.screen import Screen

T = TypeVar("T")

GENDERS = {"f": "f", "female": "f", "m": "m", "male": "m"}
"""Names of genders, in lower case, and those that labels have."""


@dataclass(frozen=True, slots=True)
class Record:
    """One utterance as its corpus has it, before its audio is checked.

    Attributes:
        id: Unique within its split.
        audio: The audio file, in any format that libsndfile opens, or its place in a file; see `data.place`. It has to
            lie in the corpus or in DATA_DIR, links resolved.
        text: The transcript, unchanged; empty if the corpus has none.
        speaker: The speaker; None if the corpus does not name one.
        source: Its place in the corpus, as `file:line`, for messages.
        labels: Its other labels, by name. An utterance with a known label may have no transcript.
    """

    id: str
    audio: Path
    text: str
    speaker: str | None
    source: str
    labels: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Part:
    """What a corpus script is asked for: one split of one language.

    Attributes:
        corpus: The corpus as typed: a folder, or whatever else the script takes.
        language: BCP 47 tag.
        split: `train`, `dev` or `test`.
        data_dir: Where manifests go; a script that must unpack audio puts it into `DATA_DIR/LANGUAGE/audio/SPLIT/`.
        screen: For messages.
        audio_in: Folders besides the corpus to which links in it may lead.
    """

    corpus: str
    language: str
    split: str
    data_dir: Path
    screen: Screen = field(default_factory=Screen)
    audio_in: Sequence[Path] = ()

    def holds(self, audio: Path) -> bool:
        """Whether an audio file lies where it may: of what has no folder, such as a data set on a hub, anywhere."""
        corpus = Path(self.corpus).expanduser()
        if not corpus.is_dir():
            return True
        try:
            file = place_of(audio).file.resolve()
        except (OSError, ValueError, RuntimeError):  # no name that a file can have, or links that go round
            return True
        return any(file.is_relative_to(top.resolve()) for top in (corpus, self.data_dir, *self.audio_in))


def _no_languages(_corpus: str, **_options: Any) -> list[str]:
    return []


@dataclass(frozen=True, slots=True)
class Corpus:
    """All that tells one corpus script from another.

    Attributes:
        title: The corpus's name.
        layout: What has to be on disk, for the help and for messages.
        example: A command that works.
        records: Yields the records of a `Part`, or returns None where the corpus has no such split. If its result has
            a length, the progress bar shows the time that remains. Its keyword-only parameters, annotated for typer,
            become options of the command.
        languages: Which languages a corpus holds, as far as its folder or its tables tell; with exactly one,
            `--language` can be left out. Takes the same options.
    """

    title: str
    layout: str
    example: str
    records: Callable[..., Iterable[Record | Unusable] | None]
    languages: Callable[..., list[str]] = _no_languages

    @property
    def script(self) -> str:
        """The name of its script, as its example calls it."""
        return self.example.partition("data_scripts.")[2].partition(" ")[0]


def existing_folder(corpus: str, layout: str) -> Path:
    """The corpus's folder.

    Raises:
        InputError: There is no such folder.
    """
    try:
        folder = Path(corpus).expanduser()
    except RuntimeError:  # a home folder that cannot be found
        folder = Path(corpus)
    if folder.is_dir():
        return folder
    raise InputError(
        f"There is no corpus folder {corpus}",
        expected=f"a folder that holds {layout}",
        received="a file" if folder.exists() else "nothing at that path",
        action="check the path, or download and unpack the corpus first",
    )


def cut(record: Record, start_s: float, end_s: float, channel: int | None = None) -> Record | Unusable:
    """A record of a stretch of its recording, from and to these seconds, which is cut out when it is read."""
    if not record.audio.name:
        return Unusable(record.source, "no audio file", f"{record.audio} is no audio file")
    if not 0 <= start_s < end_s <= LONGEST_S:
        message = f"no stretch of a recording lasts from {start_s:g} s to {end_s:g} s"
        return Unusable(record.source, "audio outside its recording", message)
    place = replace(place_of(record.audio), start_s=start_s, end_s=end_s, channel=channel)
    return replace(record, audio=place.path)


def gender(written: str | None) -> str | None:
    """The label `gender` of what a corpus writes: `f` or `m` where it is one of these, else as it is written."""
    word = (written or "").strip()
    return GENDERS.get(word.lower(), word) or None


def with_ids(records: Sequence[Record | Unusable]) -> list[Record | Unusable]:
    """Records whose id is the audio's path in the corpus so far, with an id made of it.

    That is the path without suffix, its folders joined by hyphens. Where two files would share an id, both get their
    whole path for one, so that an id tells one file from another whatever the order of a table.
    """
    names = [posixpath.normpath(record.id) if isinstance(record, Record) else "" for record in records]
    paths = {name: PurePosixPath(*_inside(name)) for name in names}
    short = {name: "-".join(path.with_name(path.stem).parts) if path.name else "" for name, path in paths.items()}
    sharing = Counter(short.values())
    ids = {name: one if sharing[one] == 1 else name for name, one in short.items()}
    return [
        replace(record, id=ids[name]) if isinstance(record, Record) else record
        for record, name in zip(records, names, strict=True)
    ]


def _inside(name: str) -> list[str]:
    """The parts of a path, without its root and `.`."""
    return [part for part in PurePosixPath(name).parts if part.strip("/") not in ("", "..")]


def of_language(part: Part, where: str, rows: Sequence[T], tags: Sequence[str | None]) -> list[T]:
    """The rows in the part's language; reports how many others are skipped.

    Args:
        part: What was asked for.
        where: Where the rows come from, for the message.
        rows: (N,); what is `Unusable` and of no known language is kept, as long as another row is.
        tags: (N,) the language of each; None where the corpus names none. If it never names one, all are taken.
    """
    if not any(tags):
        return list(rows)
    ours: list[T] = []
    others: Counter[str] = Counter()
    for row, tag in zip(rows, tags, strict=True):
        if same_language(tag, part.language) or (tag is None and isinstance(row, Unusable)):
            ours.append(row)
        else:
            others[tag or "no language"] += 1
    if others:
        listed = ", ".join(f"{count:,} in {tag}" for tag, count in sorted(others.items()))
        part.screen.say(printable(f"{where}: {len(ours):,} rows in {part.language}; skipped: {listed}"))
    return [] if all(isinstance(row, Unusable) for row in ours) else ours


def same_language(one: str | None, other: str) -> bool:
    """Whether two tags are one language: `EN`, `eng` and `en`; the kind of hyphen does not count."""
    return one is not None and _plain(one) == _plain(other)


def distinct_languages(tags: Iterable[str | None]) -> list[str]:
    """The languages that a corpus's tags name, each once."""
    found = {_plain(tag): tag.replace("_", "-") for tag in sorted(tag for tag in tags if tag)}
    return list(found.values())


def _plain(tag: str) -> str:
    """The canonical form of a tag; what is none, as it is."""
    try:
        return canonical(tag.replace("_", "-"))
    except InputError:
        return tag
