"""Folders of other toolkits' manifests, with one JSON object a line."""

import gzip
import os
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import TypeVar

from data_scripts.splits import SplitFiles, split_files
from data_scripts.tables import FIX_TABLE, Unusable
from speech_mtl.errors import InputError
from speech_mtl.files import parse_json, read_lines

T = TypeVar("T")

ENDINGS = (".json", ".jsonl", ".json.gz", ".jsonl.gz")
"""How the names of manifests end."""

START_BYTES = 1 << 16
"""How much of a file is looked at to find out what it is."""


def manifests_of(corpus: str, layout: str, keys: tuple[bytes, ...]) -> SplitFiles:
    """Finds the manifests in a folder and those below it.

    Args:
        corpus: The folder as typed.
        layout: What it has to hold, for messages.
        keys: A manifest is what begins with lines in which each of these keys stands.

    Raises:
        InputError: There is no such folder, or none in it.
    """

    def is_one(path: Path) -> bool:
        if not path.name.lower().endswith(ENDINGS) or not path.is_file():
            return False
        start = _start(path)
        return all(b'"%s"' % key in start for key in keys)

    return split_files(corpus, layout, "such manifests", is_one)


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
