"""Output folders: a file in each marks it as ours to write to."""

import os
import re
from collections.abc import Sequence
from pathlib import Path
from typing import NotRequired

from typing_extensions import TypedDict

from speech_mtl import __version__
from speech_mtl.errors import InputError
from speech_mtl.files import json_text, read_json, write_text

FORMAT = 1
"""Format of run folders: raised whenever older folders would be misread."""

MARK = "format.json"
"""The first file of every output folder."""

_TEMPORARY = re.compile(r"\.[0-9a-f]{32}\.tmp")
"""A file of ours that was not finished; see `files.replacing`."""


class Mark(TypedDict):
    """The content of the mark."""

    format: int
    speech_mtl: str
    kind: NotRequired[str]
    """`run` where none is named."""


def names_of(folders: Sequence[Path]) -> list[str]:
    """The name of each folder, or the path of each where two have the same name."""
    names = [folder.resolve().name for folder in folders]
    return names if len(set(names)) == len(names) else list(map(str, folders))


def claim_folder(path: Path, kind: str) -> None:
    """Marks an output folder as ours, before anything else is written there.

    Wherever a process is killed, a folder is marked, or empty but for the mark's temporary file.

    Args:
        path: The folder; made if it is not there.
        kind: `run`, or the command that writes several runs: `compare`, `transfer` or `tune`.

    Raises:
        InputError: As for `refuse_foreign_folder`.
    """
    refuse_foreign_folder(path, kind)
    if not (path / MARK).is_file():
        of_kind = {} if kind == "run" else {"kind": kind}
        write_text(path / MARK, json_text({"format": FORMAT, "speech_mtl": __version__, **of_kind}))


def refuse_foreign_folder(path: Path, kind: str) -> None:
    """Checks that a folder may be written to, without changing it.

    Raises:
        InputError: It is no folder, or it holds something and is no output of this kind.
    """
    if os.path.lexists(path) and not path.is_dir():
        raise InputError(
            f"{path} is no folder",
            expected="a folder, or a path where one can be made",
            received="something else at that path",
            action="choose another folder with --out",
        )
    names = {other.name for other in path.iterdir()} if path.is_dir() else set()
    own = sorted(name for name in names if not _TEMPORARY.fullmatch(name))
    marked = _marked_as(path) if MARK in own else None
    if not own or marked == kind:
        return
    several = f" and {len(own) - 5} more" if len(own) > 5 else ""
    raise _foreign(path, kind, f"the output of {marked}" if marked else ", ".join(own[:5]) + several)


def _marked_as(folder: Path) -> str | None:
    try:
        return read_json(folder / MARK, Mark).get("kind", "run")
    except InputError:
        return None


def _foreign(path: Path, kind: str, received: str) -> InputError:
    what = "run" if kind == "run" else f"output of `speech-mtl {kind}`"
    return InputError(
        f"{path} is no {what}, and not empty",
        expected=f"a new or empty folder, or one that holds a {what}" if kind == "run" else "a new folder or its own",
        received=received,
        action="choose another folder with --out: nothing in this one was touched",
    )
