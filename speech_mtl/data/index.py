"""Indexes of manifests: what is needed of all utterances at once, as columns; the others are read where they stand.

A manifest is parsed and checked once, where `open_manifest` first meets it. The index holds where each line begins and
what it is to be like, so that utterances are read from the manifest in any order, and a line that has changed is found.
"""

import codecs
import hashlib
import json
import logging
import os
import weakref
import zipfile
import zlib
from array import array
from collections.abc import Iterable, Iterator
from pathlib import Path

import numpy as np

from speech_mtl.data.manifest import id_twice, line_name, read_checked_lines, refuse_no_manifest, utterance_of
from speech_mtl.datatypes import Utterance
from speech_mtl.errors import InputError
from speech_mtl.files import digest_of, replacing

FORMAT = 3
"""Raised when the layout of an index or the check of lines changes, so that old ones are not used."""

COLUMNS = {"starts": "q", "durations_s": "d", "digests": "Q", "crc32": "I", "transcribed": "B"}
"""By name, the type of a column's numbers."""

START_AGAIN = "start again: the manifest is then parsed anew"

_encoded = json.JSONEncoder(sort_keys=True).encode


class Manifest:
    """A manifest that has been parsed: its utterances by position.

    Attributes:
        path: The manifest.
        durations_s: (N,) float64, seconds of each utterance.
        digests: (N,) uint64, of the fields of each, except the path of its audio.
        transcribed: (N,) bool, whether the text is not null.
        languages: With the position of the first utterance of each.

    Raises:
        InputError: The index is missing, damaged, or of another manifest or of another state of it.
    """

    def __init__(self, path: Path, index: Path):
        self.path, self._index = path, index
        columns, self.languages = _read_index(path, index)
        self.durations_s, self.digests = columns["durations_s"], columns["digests"]
        self.transcribed = columns["transcribed"].astype(bool)
        self._starts, self._crc32 = columns["starts"], columns["crc32"]
        self._descriptor = os.open(path, os.O_RDONLY)
        weakref.finalize(self, os.close, self._descriptor)

    def __len__(self) -> int:
        return len(self.durations_s)

    def __str__(self) -> str:
        return str(self.path)

    def at(self, positions: Iterable[int]) -> Iterator[Utterance]:
        """The utterances at positions, in that order; none for those beyond the last.

        Raises:
            InputError: The manifest has changed since it was parsed.
        """
        for position in map(int, positions):
            if position >= len(self):
                continue
            start, end = self._starts[position : position + 2].tolist()
            text = os.pread(self._descriptor, end - start, start)
            if zlib.crc32(text) != self._crc32[position]:
                self._index.unlink(missing_ok=True)
                raise _changed(line_name(self.path, position), START_AGAIN)
            yield utterance_of(self.path, position, json.loads(text.decode()))


def open_manifest(path: Path, cache_dir: Path) -> Manifest:
    """Opens a manifest by its index, which is written first where there is none of it as it is now, or a damaged one.

    Not the content tells whether it is as it was, which may have gigabytes, but the size and times of the file.

    Args:
        path: The manifest.
        cache_dir: Folder of all indexes.

    Raises:
        InputError: As for `read_manifest`, or the manifest is compressed, or changed while it was read.
    """
    refuse_no_manifest(path)
    if path.suffix == ".gz":
        raise InputError(
            f"The manifest {path} is compressed",
            expected="plain text, whose lines can be read in any order",
            received=path.name,
            action="unpack it with gunzip",
        )
    index = cache_dir / f"manifest-{hashlib.sha256(repr((FORMAT, _state(path))).encode()).hexdigest()[:16]}.npz"
    if index.exists():
        try:
            return Manifest(path, index)
        except InputError as error:
            logging.getLogger(__name__).warning("%s; the manifest is parsed anew", error.problem)
    _write_index(path, index)
    return Manifest(path, index)


def _read_index(path: Path, index: Path) -> tuple[dict[str, np.ndarray], dict[str, int]]:
    """The columns and the languages."""
    try:
        with index.open("rb") as opened, np.load(opened) as file:  # which compares the checksums of its parts
            columns, head = {name: file[name] for name in COLUMNS}, json.loads(file["head"].tobytes())
        sizes = {len(column) - (name == "starts") for name, column in columns.items()}
        kinds = all(columns[name].dtype == kind for name, kind in COLUMNS.items())
        if head["state"] == _state(path) and len(sizes) == 1 and kinds:
            return columns, head["languages"]
        received = "that of another file"
    except (OSError, ValueError, KeyError, TypeError, EOFError, zipfile.BadZipFile, zlib.error) as error:
        received = str(error) or type(error).__name__
    raise InputError(
        f"The index {index} of {path} is damaged",
        expected="a file that stays as it was written",
        received=received,
        action=START_AGAIN,
    )


def _state(path: Path) -> list[str | int]:
    """What changes where the content of a file does: the last of the times cannot be set back."""
    status = path.stat()
    return [str(path.resolve()), status.st_size, status.st_mtime_ns, status.st_ctime_ns, status.st_ino]


def _changed(what: str, action: str) -> InputError:
    return InputError(
        f"{what} changed while it was read",
        expected="a manifest that stays as it is",
        received="another content",
        action=action,
    )


def _write_index(path: Path, index: Path) -> None:
    state, ids, languages = _state(path), array("q"), {}
    columns = {name: array(kind) for name, kind in COLUMNS.items()}
    with path.open("rb") as file:
        end = len(codecs.BOM_UTF8) if file.read(len(codecs.BOM_UTF8)) == codecs.BOM_UTF8 else 0
    columns["starts"].append(end)
    for position, (_, text, line) in enumerate(read_checked_lines(path)):
        name, language, duration_s, content = line["id"], line["language"], line["duration_s"], text.encode()
        end += len(content)
        columns["starts"].append(end)
        columns["durations_s"].append(duration_s)
        columns["crc32"].append(zlib.crc32(content))
        columns["transcribed"].append(line["text"] is not None)
        known = name, language, line["text"], line.get("speaker") or None, line.get("labels") or {}
        columns["digests"].append(_digest([*known, round(duration_s, 4)]))
        languages.setdefault(language, position)
        ids.append(hash(name))
    _refuse_same_ids(path, np.frombuffer(ids, np.int64), columns["starts"])
    if _state(path) != state:
        raise _changed(str(path), "start again when nothing writes to it any more")
    head = json.dumps({"state": state, "languages": languages}).encode()
    with replacing(index) as temporary, temporary.open("wb") as file:
        arrays = {name: np.frombuffer(column, column.typecode) for name, column in columns.items()}
        np.savez(file, head=np.frombuffer(head, np.uint8), **arrays)  # type: ignore[reportArgumentType]


def _digest(fields: list) -> int:
    return digest_of(_encoded(fields).encode())


def _refuse_same_ids(path: Path, hashes: np.ndarray, starts: "array[int]") -> None:
    """Refuses an id that comes twice. Only ids whose hashes are equal are read again."""
    order = np.argsort(hashes, kind="stable")
    same = np.flatnonzero(np.diff(hashes[order]) == 0)
    alike = np.unique(np.concatenate([order[same], order[same + 1]])).tolist()
    seen: set[str] = set()
    with path.open("rb") as file:
        for position in alike:
            file.seek(starts[position])
            name = json.loads(file.readline())["id"]
            if name in seen:
                raise id_twice(line_name(path, position), name)
            seen.add(name)
