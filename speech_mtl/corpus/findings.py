"""What is found in manifests: counted by kind, and listed by file and line."""

from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Literal, NamedTuple

from speech_mtl.errors import InputError

Level = Literal["refused", "left out", "note"]
"""What training does: refuse all of it; leave the utterance out, up to `data.allow_skipped`; use it as it is."""


class Finding(NamedTuple):
    """One finding.

    Attributes:
        level: What training does about it.
        kind: In a few words, by which findings are counted.
        path: The manifest.
        line: In it, from 1; 0 for all of it.
        message: What exactly.
    """

    level: Level
    kind: str
    path: Path
    line: int
    message: str

    @property
    def where(self) -> str:
        return f"{self.path}:{self.line}" if self.line else str(self.path)


class Findings:
    """Findings as they are made: all are counted, and some of each kind and file are kept.

    Args:
        most: How many of a kind are kept of a file; None for all.

    Attributes:
        counts: By level and kind.
        kept: In the order of files and lines, once `sort` was called.
    """

    def __init__(self, most: int | None):
        self.most, self.counts = most, Counter[tuple[Level, str]]()
        self.kept: list[Finding] = []
        self._kept: Counter[tuple[str, Path]] = Counter()

    def add(self, level: Level, kind: str, path: Path, line: int, message: str) -> None:
        """Counts a finding, and keeps it if it is among the first of its kind and file."""
        self.counts[level, kind] += 1
        self._kept[kind, path] += 1
        if self.most is None or self._kept[kind, path] <= self.most:
            self.kept.append(Finding(level, kind, path, line, message))

    def add_error(self, kind: str, path: Path, line: int, error: InputError) -> None:
        """Counts what training refuses, with the message that it ends with."""
        problem = error.problem.removeprefix(f"{path}:{line}: ").removeprefix(f"{path}: ")
        self.add("refused", kind, path, line, f"{problem}; expected: {error.expected}; received: {error.received}")

    @property
    def num_refused(self) -> int:
        """How many findings make training refuse the speech."""
        return sum(number for (level, _), number in self.counts.items() if level == "refused")

    def sort(self, paths: Sequence[Path]) -> None:
        """Puts what is kept in the order of the files, and of the lines in each."""
        places = {path: place for place, path in enumerate(paths)}
        self.kept.sort(key=lambda one: (places[one.path], one.line))
