"""Tables of results in READMEs, each made afresh from the JSON file that it names.

python -m benchmarks.readmes             writes those of this project
python -m benchmarks.readmes --check     changes nothing, and fails if a table is not its JSON's, or a JSON file of
                                         numbers not what the results beside it give
"""

import argparse
import re
from collections.abc import Callable
from pathlib import Path
from shlex import quote
from typing import NamedTuple

from speech_mtl.cli.console import run
from speech_mtl.errors import InputError
from speech_mtl.files import read_json, read_text, write_text
from speech_mtl.study.report.blocks import Table
from speech_mtl.study.report.language_tables import forgetting_table
from speech_mtl.study.report.markdown import render_block
from speech_mtl.study.report.tables import arms_table, comparison_table, hours_table
from speech_mtl.study.report.targets_table import Comparison, targets_table
from speech_mtl.study.report.task_tables import tasks_table
from speech_mtl.study.results import NUMBERS, Results, json_files, load
from speech_mtl.study.statistics.summary import ArmSummary, EquivalentHours, Forgotten, TaskError


class TableKind(NamedTuple):
    """A kind of table that a README can show.

    Attributes:
        read: What it is made of, from the README's folder, the path or pattern in the block, and where that stands.
        make: What makes a table of it.
        takes_tasks: Whether names of tasks may follow.
    """

    read: Callable[[Path, str, str], list]
    make: Callable[..., Table]
    takes_tasks: bool = False


def _rows(record: type) -> Callable[[Path, str, str], list]:
    """Reads the records of one type that a file holds."""
    return lambda folder, name, where: _records(folder / name, record, where)


def _comparisons(folder: Path, pattern: str, where: str) -> list[Comparison]:
    """Reads `arms.json` and `efficiency.json` of several folders."""
    try:
        paths = sorted(folder.glob(pattern)) or [folder / pattern]
    except (NotImplementedError, ValueError):
        raise _malformed(where, pattern) from None
    return [
        Comparison(
            arms.parent.name,
            _records(arms, ArmSummary, where),
            _records(arms.with_name("efficiency.json"), EquivalentHours, where),
        )
        for arms in paths
    ]


TABLE_KINDS = {
    "comparison": TableKind(_rows(ArmSummary), comparison_table),
    "arms": TableKind(_rows(ArmSummary), arms_table),
    "efficiency": TableKind(_rows(EquivalentHours), hours_table),
    "tasks": TableKind(_rows(TaskError), tasks_table, takes_tasks=True),
    "forgetting": TableKind(_rows(Forgotten), forgetting_table),
    "targets": TableKind(_comparisons, targets_table),
}

_BLOCK_START = re.compile(r"<!-- results:(.*)-->")
_BLOCK_END = "<!-- end results -->"
_MEANT = re.compile(r"<!--\W*(end\W*)?results?\b", re.IGNORECASE)
"""A line that someone wrote as one of the two."""


def render_readme(path: Path) -> str:
    """The text of a README with every result table in it made afresh from its rows; nothing is written.

    A table stands between the lines `<!-- results: PATH.json KIND -->` and `<!-- end results -->`. PATH is relative
    to the README; for `targets` it is a pattern, `*/arms.json`, of files with an `efficiency.json` beside them. KIND is
    one of `TABLE_KINDS`; `tasks` may be followed by names of tasks.

    Raises:
        InputError: There is no such file or it is not UTF-8, a block is malformed, not begun or not ended, its kind is
            unknown, or its JSON file lies elsewhere, is missing or does not hold rows of that kind.
    """
    rendered: list[str] = []
    block_start = 0
    for number, line in enumerate(read_text(path, "give a README in UTF-8").split("\n"), 1):
        match, ends = _BLOCK_START.fullmatch(line.strip()), line.strip() == _BLOCK_END
        if _MEANT.match(line.strip()) and not match and not ends:
            raise _malformed(f"{path}:{number}", line.strip())
        if ends and not block_start:
            raise InputError(
                f"{path}:{number}: no table begins before its end",
                expected="<!-- results: PATH.json KIND --> before it",
                received=line.strip(),
                action="remove this line, or write the other one before the table",
            )
        if block_start and (match or ends):
            if match:
                break
            block_start = 0
        if not block_start:
            rendered.append(line)
        if match:
            rendered += ["", _render_block(path.parent, match[1].split(), f"{path}:{number}"), ""]
            block_start = number
    if block_start:
        raise InputError(
            f"{path}:{block_start}: this table has no end",
            expected=f"the line {_BLOCK_END} before the next table and the end of the file",
            received="no such line",
            action="add it after the table",
        )
    return "\n".join(rendered)


def _render_block(folder: Path, words: list[str], where: str) -> str:
    kind = TABLE_KINDS.get(words[1]) if len(words) > 1 else None
    if kind is None or (words[2:] and not kind.takes_tasks) or not words[0].isprintable():
        raise _malformed(where, " ".join(words))
    if not (folder / words[0]).resolve().is_relative_to(folder.resolve()):
        raise InputError(
            f"{where}: the rows lie elsewhere",
            expected=f"a file in {folder.resolve()} or in a folder of it",
            received=words[0],
            action="put the file there, and name it by its path from the README",
        )
    return render_block(kind.make(kind.read(folder, words[0], where), *words[2:]), {})


def _records(path: Path, kind: type, where: str) -> list:
    try:
        return read_json(
            path, list[kind], "make the file again with its command, or fix its path, relative to the README"
        )
    except InputError as error:
        parts = {"expected": error.expected, "received": error.received, "action": error.action}
        raise InputError(f"{where}: the table cannot be made: {error.problem}", **parts) from None


def _malformed(where: str, received: str) -> InputError:
    return InputError(
        f"{where}: malformed results comment",
        expected=f"<!-- results: PATH.json KIND -->, KIND being one of {', '.join(TABLE_KINDS)}; after tasks "
        f"may come any tasks; or {_BLOCK_END}",
        received=received,
        action="fix the comment",
    )


def refuse_drift(results: Results, folder: Path) -> None:
    """Compares the numbers in a folder with what the results beside them give.

    Raises:
        InputError: One is missing or differs, or is there of earlier results.
    """
    numbers = json_files(results.summary)
    for name in NUMBERS:
        path, text = folder / name, numbers.get(name)
        if (read_text(path) if path.is_file() else None) == text:
            continue
        raise InputError(
            f"{path} differs from the results that lie beside it",
            expected="no such file" if text is None else "numbers as `speech-mtl report` computes them",
            received="another text" if path.is_file() else "no such file",
            action=f"speech-mtl report {quote(str(folder))}",
        )


def _check(path: Path, text: str) -> None:
    if text != read_text(path):
        raise InputError(
            f"{path} shows a table that differs from its JSON",
            expected="tables as `make tables` writes them",
            received="other text between the result comments",
            action=f"python -m benchmarks.readmes {quote(str(path))}",
        )
    shown = {file.parent for block in _BLOCK_START.findall(text) for file in path.parent.glob(block.split()[0])}
    for folder in sorted({path.parent, *(folder for folder in shown if (folder / "results.json").is_file())}):
        if (folder / "efficiency.json").is_file():
            refuse_drift(load(folder), folder)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--check", action="store_true")
    parser.add_argument("readmes", nargs="*", type=Path, metavar="README", help="all of the project if none is given")
    arguments = parser.parse_args()
    for path in arguments.readmes or [Path("README.md"), *sorted(Path("recipes").glob("*/README.md"))]:
        text = render_readme(path)
        if arguments.check:
            _check(path, text)
        elif text != read_text(path):
            write_text(path, text)
            print(f"{path} written")


if __name__ == "__main__":
    run(main)
