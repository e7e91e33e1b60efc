"""Folders of annotation files: a tier is the transcript, and its annotations cut the recordings."""

import os
import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, NamedTuple, NoReturn

import typer

from data_scripts.corpus import Part, Record, cut
from data_scripts.splits import split_files
from data_scripts.tables import Unusable
from speech_mtl.data.audio_file import ENDINGS, FOREIGN
from speech_mtl.errors import InputError, require

USUAL = "text"
"""The tier that is the transcript if none is named, as `speech-mtl transcribe` calls it."""

TierOption = Annotated[
    list[str] | None,
    typer.Option(
        help=f"The tier with the transcript, {USUAL} if not given; several if need be. In a pattern such as "
        "'words@*' or '*', what * stands for is the speaker, unless the file itself names the tier's speaker."
    ),
]


class Annotation(NamedTuple):
    """A stretch of a recording and its text; start and end in seconds, None where the file has none."""

    start_s: float | None
    end_s: float | None
    text: str


class Tier(NamedTuple):
    """A row of annotations, and the speaker; None if unknown."""

    name: str
    speaker: str | None
    annotations: list[Annotation]


class Medium(NamedTuple):
    """A recording, as a path from the folder of its annotation file, and where in it the annotations' time begins."""

    name: str
    origin_s: float = 0.0


class Annotations(NamedTuple):
    """The content of an annotation file: tiers, and the recordings that it names."""

    tiers: list[Tier]
    media: list[Medium]


class _File(NamedTuple):
    """An annotation file: its path, its place in the corpus without ending, and its tiers that are transcripts."""

    path: Path
    name: Path
    tiers: list[Tier]
    media: list[Medium]


def annotation_records(
    part: Part, wanted: Sequence[str] | None, layout: str, suffix: str, read: Callable[[Path], Annotations]
) -> Iterator[Record | Unusable] | None:
    """The annotations of a split's tiers as records, each a stretch of its recording.

    Folders whose names are of a split are that split; where no folder is, all is training speech. Empty
    annotations are left out and counted.

    Args:
        part: What was asked for.
        wanted: The tiers, as `TierOption` has them.
        layout: What the corpus's folder holds.
        suffix: What the names of annotation files end in.
        read: Reads one.

    Raises:
        InputError: There is no such folder or no such file in it, one is damaged, or no tier is one of those.
    """
    paths = split_files(
        part.corpus, layout, "annotation files", lambda path: path.suffix.lower() == suffix.lower(), by_folder=True
    )
    found = {path: read(path) for path in paths.of(part.split)}
    files = [
        _File(path, path.relative_to(paths.top).with_suffix(""), _matching(one, wanted), one.media)
        for path, one in found.items()
    ]
    if files and not any(file.tiers for file in files):
        _refuse_no_tier(part, wanted, found.values())
    unknown = paths.without_split(part.split)
    return _records(part, paths.top, files, unknown) if files or unknown else None


@contextmanager
def reading(path: Path, package: str, expected: str, program: str) -> Iterator[None]:
    """Turns errors of the package that reads a file in the block into ones that the user can fix.

    Raises:
        InputError: The package is not installed, or the file is damaged.
    """
    try:
        yield
    except ImportError:
        raise require(package, extra="annotation", purpose=f"Reading files of {program}") from None
    except OSError:
        raise
    except Exception as error:  # besides its own, a package raises what its code runs into
        raise InputError(
            f"{path} cannot be read",
            expected=expected,
            received=f"{type(error).__name__}: {error}",
            action=f"open it in {program}, correct it and save it again, or remove it",
        ) from None


def _matching(found: Annotations, wanted: Sequence[str] | None) -> list[Tier]:
    """The tiers that are wanted, with their speakers."""
    tiers = []
    for tier in found.tiers:
        matches = (re.fullmatch(re.escape(name).replace(r"\*", "(.*)"), tier.name) for name in wanted or [USUAL])
        if match := next(filter(None, matches), None):
            matched = match[1].strip(" -_@:.") if match.lastindex else None
            tiers.append(tier._replace(speaker=tier.speaker or matched or None))
    return tiers


def _refuse_no_tier(part: Part, wanted: Sequence[str] | None, found: Iterable[Annotations]) -> NoReturn:
    names = list(dict.fromkeys(tier.name for one in found for tier in one.tiers))
    raise InputError(
        f"{part.corpus}: no tier {' or '.join(map(repr, wanted or [USUAL]))}",
        expected="one of " + ", ".join(map(repr, names)) if names else "files with tiers of intervals",
        received=", ".join(wanted or [USUAL]),
        action="name the tier with the transcript: --tier NAME, or a pattern such as --tier 'NAME@*'",
    )


def _records(part: Part, top: Path, files: Sequence[_File], unknown: Sequence[Unusable]) -> Iterator[Record | Unusable]:
    yield from unknown
    num_empty = 0
    for file in files:
        if not file.tiers:
            yield Unusable(str(file.path), "no tier", "none of its tiers is the one that is named")
        spoken = [(tier, one) for tier in file.tiers for one in tier.annotations if one.text.strip()]
        num_empty += sum(len(tier.annotations) for tier in file.tiers) - len(spoken)
        yield from _cut(file, spoken, *_recording(part, top, file))
    if num_empty:
        part.screen.say(f"{part.corpus}: {part.language} {part.split}: {num_empty:,} empty annotations are left out")


def _recording(part: Part, top: Path, file: _File) -> tuple[Path, float]:
    """The first recording that is there: of those that the file names, then of those beside it with its name.

    What lies where no audio may lie is not opened. If none is there, that is the first which may lie beside the file.

    Returns:
        The recording, and where in it the annotations' time begins, in seconds.
    """
    beside = [Medium(file.path.stem + suffix) for suffix in (*ENDINGS, *map(str.upper, ENDINGS))]
    paths = [
        (Path(os.path.normpath(file.path.parent / name.replace("\\", "/"))), origin_s)
        for name, origin_s in (*file.media, *beside)
        if "\0" not in name
    ]
    there = [
        (path, origin_s)
        for path, origin_s in paths
        if (path.is_relative_to(os.path.normpath(top)) or part.holds(path)) and os.path.isfile(path)  # noqa: PTH113
    ]
    first = (there or paths[-len(beside) :])[0]
    return next((one for one in there if one[0].suffix.lower() not in FOREIGN), first)


def _cut(
    file: _File, spoken: Sequence[tuple[Tier, Annotation]], recording: Path, origin_s: float
) -> Iterator[Record | Unusable]:
    """A record for each annotation of a file."""
    for number, (tier, one) in enumerate(spoken):
        source = f"{file.path}, tier {tier.name}, {one.start_s}-{one.end_s} s"
        if one.start_s is None or one.end_s is None:
            yield Unusable(source, "without times", f"the annotation {one.text!r} has no times")
        else:
            record = Record(f"{file.name.as_posix()}-{number:05d}", recording, one.text.strip(), tier.speaker, source)
            yield cut(record, origin_s + one.start_s, origin_s + one.end_s)
