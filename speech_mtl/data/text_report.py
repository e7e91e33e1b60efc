"""What becomes of the lines of a text when they are normalised: for people who check a rule or a corpus."""

import unicodedata
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from speech_mtl.data.doubtful import damaged_letters, mixed_scripts
from speech_mtl.data.manifest import read_manifest
from speech_mtl.data.text import unescaped
from speech_mtl.data.tokenizer import Tokenizer
from speech_mtl.files import read_lines


@dataclass(frozen=True, slots=True)
class Line:
    """A line, and what becomes of it.

    Attributes:
        where: `file:line`.
        text: As the file has it.
        normalized: As it is learnt and scored.
        refusal: Why it is left out; None if it is not.
        doubtful: Letters of other scripts, and words in which letters seem to be lost.
    """

    where: str
    text: str
    normalized: str
    refusal: str | None
    doubtful: list[str]


@dataclass
class TextReport:
    """Sums over the lines of a text.

    Attributes:
        num_lines: Lines that are not empty.
        num_refused: Lines that are left out.
        num_empty: Other lines of which nothing is left.
        num_doubtful: Lines with doubtful letters.
        dropped: Characters (in NFKC and lower case) that are dropped or replaced, and how often.
        kept: Tokens of the lines that are used, and how often: the vocabulary.
    """

    num_lines: int = 0
    num_refused: int = 0
    num_empty: int = 0
    num_doubtful: int = 0
    dropped: Counter[str] = field(default_factory=Counter)
    kept: Counter[str] = field(default_factory=Counter)

    def add(self, line: Line, tokenizer: Tokenizer) -> None:
        """Counts a line."""
        self.num_lines += 1
        self.num_doubtful += bool(line.doubtful)
        if line.refusal:
            self.num_refused += 1
            return
        self.num_empty += not line.normalized
        self.kept.update(tokenizer.split(line.normalized))
        before = Counter(unicodedata.normalize("NFKC", unescaped(line.text)).lower())
        self.dropped.update(before - Counter(line.normalized))


def read_texts(path: Path) -> Iterator[tuple[str, str]]:
    """The transcripts of a manifest (`.jsonl`), or the lines of a text file; with `file:line`, without empty ones.

    Raises:
        InputError: The file cannot be read.
    """
    if path.suffix == ".jsonl":
        found: Iterable[tuple[str, str]] = ((one.source, one.text or "") for one in read_manifest(path))
    else:
        found = read_lines(path, "give a manifest (.jsonl), or a text file in UTF-8, a sentence a line")
    return ((where, text.rstrip("\r\n")) for where, text in found if text.strip())


def normalized_lines(texts: Iterable[tuple[str, str]], tokenizer: Tokenizer) -> Iterator[Line]:
    """Normalises texts as a tokeniser does."""
    for where, text in texts:
        lost = [f"{word!r}: letters seem to be lost" for word in damaged_letters(text)]
        doubtful = [*mixed_scripts(text, tokenizer.language), *lost]
        yield Line(where, text, tokenizer.normalize(text), tokenizer.refusal(text), doubtful)


def described(character: str) -> str:
    """A character with its code and name, as a person can find it."""
    shown = " " if character.isspace() or not character.isprintable() else f" {character} "
    return f"U+{ord(character):04X}{shown}{unicodedata.name(character, 'unnamed')}"
