"""A report -> Markdown, as GitHub shows it."""

import re
from collections.abc import Mapping
from html import escape

from speech_mtl.errors import printable
from speech_mtl.scoring.tables import escaped, markdown_table
from speech_mtl.study.report.blocks import (
    Alignment,
    Block,
    Bullets,
    Cell,
    Clip,
    Commands,
    Facts,
    Paragraph,
    Plot,
    Report,
    Table,
)

NOTHING = "∅"
"""Shown for an empty text."""


def render_markdown(report: Report, images: Mapping[str, str]) -> str:
    """The text of the Markdown file.

    Args:
        report: Its content.
        images: Relative address of each plot's image, by its name.
    """
    pieces = [f"# {escaped(report.title)}", escaped(report.subtitle), f"**{escaped(report.answer)}**"]
    pieces.append(f"> {escaped(report.about)}")
    for section in report.sections:
        pieces.append(f"## {escaped(section.title)}")
        pieces += [render_block(block, images) for block in section.blocks]
    return "\n\n".join(pieces) + "\n"


def render_block(block: Block, images: Mapping[str, str]) -> str:
    """The text of one block."""
    match block:
        case Table():
            return _table(block)
        case Plot():
            return f"![{escaped(block.title)}]({images[block.name]})\n\n*{escaped(block.caption)}*"
        case Paragraph():
            return escaped(block.text)
        case Bullets():
            return "\n".join(f"- {escaped(item)}" for item in block.items)
        case Facts():
            return "\n".join(f"- {escaped(name)}: {escaped(value)}" for name, value in block.pairs)
        case Commands():
            return _commands(block)
        case Alignment():
            return _alignment(block)
        case Clip():
            return f"- {escaped(block.heading)}: {escaped(block.text)} ({escaped(block.facts)})"


def _table(table: Table) -> str:
    lines = [[_cell(cell) for cell in row] for row in table.rows]
    text = markdown_table([escaped(head) for head in table.heads], lines, table.num_text_columns, shown=str)
    text += f"\n\n{escaped(table.note)}" if table.note else ""
    if not table.folded:
        return text
    return f"<details><summary>{escape(printable(table.title))}: the numbers</summary>\n\n{text}\n\n</details>"


def _cell(cell: Cell) -> str:
    text = f"**{escaped(cell.text)}**" if cell.strong else escaped(cell.text)
    return f"{text} {escaped(cell.aside)}".rstrip()


def _commands(commands: Commands) -> str:
    text = "\n".join(printable(line, len(line)) for line in commands.lines)
    longest = max((len(ticks) for ticks in re.findall("`+", text)), default=0)
    fence = "`" * max(3, longest + 1)
    return f"{fence}\n{text}\n{fence}"


def _alignment(alignment: Alignment) -> str:
    references, hypotheses = [], []
    for reference, hypothesis in alignment.pairs:
        same = reference == hypothesis
        if reference is not None:
            references.append(escaped(reference) if same else f"~~{escaped(reference)}~~")
        if hypothesis is not None:
            hypotheses.append(escaped(hypothesis) if same else f"**{escaped(hypothesis)}**")
    lines = f"- {' '.join(references) or NOTHING}\n- {' '.join(hypotheses) or NOTHING}"
    return f"### {escaped(alignment.heading)}\n\n{lines}"
