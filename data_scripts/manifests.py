"""Folders of other toolkits' manifests, with one JSON object a line: which are of which split, and their lines."""

import gzip
import os
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple, TypeVar

from data_scripts.audiofolder import folder_split
from data_scripts.corpus import existing_folder
from data_scripts.tables import FIX_TABLE, Unusable
from speech_mtl.errors import InputError
from speech_mtl.files import parse_json, read_lines

T = TypeVar("T")

START_BYTES = 1 << 16
"""How much of a file is looked at to find out what it is."""


class Manifests(NamedTuple):
    """The manifests in a folder.

    Attributes:
        top: The folder.
        splits: By path, the split that its name or its folder's tells; None where neither does.
    """

    top: Path
    splits: dict[Path, str | None]

    @property
    def all(self) -> list[Path]:
        """All of them, sorted."""
        return sorted(self.splits)

    def of(self, split: str) -> list[Path]:
        """Those of a split; where no name tells one, all are of training speech."""
        usual = None if any(self.splits.values()) else "train"
        return [path for path in self.all if (self.splits[path] or usual) == split]

    def without_split(self, split: str) -> list[Unusable]:
        """Those whose split nobody knows, beside others; they count once, with training speech."""
        unknown = [path for path in self.all if any(self.splits.values()) and self.splits[path] is None]
        message = "neither its name nor its folder's tells the split, as those of other manifests do"
        return [Unusable(str(path), "no split", message) for path in unknown if split == "train"]


def manifests_of(corpus: str, layout: str, keys: tuple[bytes, ...]) -> Manifests:
    """Finds the manifests in a folder and those below it.

    Args:
        corpus: The folder as typed.
        layout: What it has to hold, for messages.
        keys: A manifest is what begins with lines in which each of these keys stands.

    Raises:
        InputError: There is no such folder, or none in it.
    """
    top = existing_folder(corpus, layout)
    found = {
        path: folder_split(str(path.relative_to(top).with_name(path.name.partition(".")[0])))
        for path in top.rglob("*.json*")
        if path.is_file() and all(b'"%s"' % key in start for start in [_start(path)] for key in keys)
    }
    if found:
        return Manifests(top, found)
    raise InputError(
        f"{corpus}: no such manifests",
        expected=layout,
        received="no file of that kind",
        action="check the path",
    )


def typed_lines(path: Path, kind: type[T]) -> Iterator[tuple[str, T | Unusable]]:
    """The lines of a manifest with their `file:line`; what is none of that kind as `Unusable`.

    Raises:
        InputError: The file is not UTF-8, or damaged.
    """
    for where, line in read_lines(path, FIX_TABLE):
        if not line.strip():
            continue
        try:
            yield where, parse_json(line, kind, where)
        except InputError as error:
            problem = error.problem.removeprefix(where + ": ")
            yield where, Unusable(where, "not a line of its kind", f"{problem}: {error.received}")


def beside(manifest: Path, top: Path, name: str) -> Path:
    """The file of a relative path, which counts from the manifest's folder or else from the corpus's."""
    candidates = manifest.parent / name, top / name
    return next((path for path in candidates if "\0" not in name and os.path.lexists(path)), candidates[0])


def _start(path: Path) -> bytes:
    """How a file begins, without zeros: what is UTF-16 is found as well, and refused by name when it is read."""
    opened = gzip.open if path.suffix == ".gz" else open
    try:
        with opened(path, "rb") as file:
            return file.read(START_BYTES).replace(b"\0", b"")
    except (gzip.BadGzipFile, EOFError, zlib.error):
        return b""
