"""Blocks of a report. The page and the Markdown show the same blocks in the same order."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from speech_mtl.files import replacing


@dataclass(frozen=True, slots=True)
class Cell:
    """A cell of a table.

    Attributes:
        value: What is sorted by; None: by the text in a text column, last in a column of numbers.
        aside: What stands behind the text, less prominent: an interval.
        strong: Whether it stands out.
    """

    text: str
    value: float | None = None
    aside: str = ""
    strong: bool = False


@dataclass(frozen=True, slots=True)
class Table:
    """A table that readers can sort.

    Attributes:
        title: For those who do not see it.
        num_text_columns: The first columns hold texts, the others numbers.
        note: Below it: how to read it.
        folded: Whether readers open it themselves: a long table of what a plot shows.
    """

    title: str
    heads: Sequence[str]
    rows: Sequence[Sequence[Cell]]
    num_text_columns: int
    note: str = ""
    folded: bool = False


@dataclass(frozen=True, slots=True)
class Plot:
    """A drawn plot.

    Attributes:
        name: Of its files.
        title: For those who do not see it.
        caption: Below it: how to read it.
        svg: A whole SVG file, in the ink and paper of `style`.
    """

    name: str
    title: str
    caption: str
    svg: str
    png: bytes

    def write(self, path: Path) -> None:
        """Writes `PATH.svg` and `PATH.png`."""
        for kind, content in (("svg", self.svg.encode()), ("png", self.png)):
            with replacing(path.with_name(f"{path.name}.{kind}")) as temporary:
                temporary.write_bytes(content)


@dataclass(frozen=True, slots=True)
class Paragraph:
    """A few sentences."""

    text: str


@dataclass(frozen=True, slots=True)
class Bullets:
    """A list."""

    items: Sequence[str]


@dataclass(frozen=True, slots=True)
class Facts:
    """Names and what they stand for."""

    pairs: Sequence[tuple[str, str]]


@dataclass(frozen=True, slots=True)
class Commands:
    """The command lines."""

    lines: Sequence[str]


@dataclass(frozen=True, slots=True)
class Alignment:
    """Pairs (reference, hypothesis), word by word; None for a gap."""

    heading: str
    language: str
    pairs: Sequence[tuple[str | None, str | None]]


@dataclass(frozen=True, slots=True)
class Clip:
    """An utterance to listen to.

    Attributes:
        heading: Its id.
        language: BCP 47 tag of the text.
        text: The transcript.
        facts: What else is known of it, in a line.
        source: Where it comes from.
        audio: Address of its audio; empty if there is none.
        problem: Why there is none.
    """

    heading: str
    language: str
    text: str
    facts: str
    source: str
    audio: str
    problem: str = ""


Block = Table | Plot | Paragraph | Bullets | Facts | Commands | Alignment | Clip


@dataclass(frozen=True, slots=True)
class Section:
    """A heading and what stands under it."""

    title: str
    blocks: Sequence[Block]


@dataclass(frozen=True, slots=True)
class Report:
    """A whole report; `answer`: the result in a sentence, `about`: notes on the data."""

    title: str
    subtitle: str
    answer: str
    about: str
    sections: Sequence[Section]
