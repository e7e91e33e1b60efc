"""Which split the files of a corpus are of: the names of files and folders tell it."""

import re
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

from data_scripts.corpus import existing_folder
from data_scripts.tables import Unusable
from speech_mtl.errors import InputError
from speech_mtl.files import files_under

SPLIT_WORDS = {
    "train": "train",
    "training": "train",
    "dev": "dev",
    "devel": "dev",
    "development": "dev",
    "validation": "dev",
    "valid": "dev",
    "val": "dev",
    "test": "test",
    "testing": "test",
    "eval": "test",
    "evaluation": "test",
}
"""The words in a name, or in a column `split`, that tell a split: those of audiofolder, and two more."""


def told_split(path: str) -> str | None:
    """The split that the innermost name in a path tells, with words for one split only."""
    for name in reversed(path.lower().split("/")):
        told = {SPLIT_WORDS[word] for word in re.split("[^a-z]+", name) if word in SPLIT_WORDS}
        if len(told) == 1:
            return told.pop()
    return None


class SplitFiles(NamedTuple):
    """Files of one kind in a corpus.

    Attributes:
        top: The corpus's folder.
        told: By path, the split that names tell; None where none does.
    """

    top: Path
    told: dict[Path, str | None]

    @property
    def all(self) -> list[Path]:
        """All of them, sorted."""
        return sorted(self.told)

    def split(self, path: Path) -> str | None:
        """The split of one; where no file's name tells one, all are of training speech."""
        return self.told[path] or (None if any(self.told.values()) else "train")

    def of(self, split: str) -> list[Path]:
        """Those of a split, sorted."""
        return [path for path in self.all if self.split(path) == split]

    def without_split(self, split: str) -> list[Unusable]:
        """Those whose split nobody knows, beside others; they count once, with training speech."""
        unknown = [path for path in self.all if split == "train" and self.split(path) is None]
        return [Unusable(str(path), "no split", "no name tells its split, as names of others do") for path in unknown]


def split_files(
    corpus: str, layout: str, what: str, is_one: Callable[[Path], bool], *, by_folder: bool = False
) -> SplitFiles:
    """Finds the files of one kind in a folder and those below it.

    Args:
        corpus: The folder as typed.
        layout: What it has to hold, for messages.
        what: The files, for messages.
        is_one: Whether a file is one of them.
        by_folder: Whether only names of folders tell the split, and files may be called as they like.

    Raises:
        InputError: There is no such folder, or none in it.
    """
    top = existing_folder(corpus, layout)
    found = [path for path in files_under(top) if is_one(path)]
    if found:
        names = {path: path.parent if by_folder else path for path in found}
        return SplitFiles(top, {path: told_split(name.relative_to(top).as_posix()) for path, name in names.items()})
    raise InputError(f"{corpus}: no {what}", expected=layout, received="no file of that kind", action="check the path")
