"""Plants a fault in a copy of the package, and runs the tests that should fail.

A fault is found by the name of the class or function that it is in, wherever in the package that is, and by a text in
it. So files may move; where a text has changed, `Stale` says where else it stands now.
"""

import ast
import os
import re
import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

from scratch import LONGEST_S, run_tests

_planted_at = [0]
"""Seconds that the last faulty module has as its time."""


class Mutant(NamedTuple):
    """A fault of one line.

    Attributes:
        name: What is wrong, in a few words; does not change.
        symbol: Name of the function, or `Class.method`, that it is in.
        text: A text that comes once in that.
        replacement: What is put in its place.
        tests: Names of test files without `.py`, with `*` for any text: those that should find it.
    """

    name: str
    symbol: str
    text: str
    replacement: str
    tests: tuple[str, ...]


class Place(NamedTuple):
    """Where a fault goes: a module, and the positions of its text there."""

    path: Path
    start: int
    end: int


class Outcome(NamedTuple):
    """What the tests made of a fault: the one that failed, or "" where none did."""

    mutant: Mutant
    failed: str
    seconds: float


class Stale(Exception):
    """A fault that cannot be planted: its symbol, its text or its tests are not there any more."""


def place(package: Path, mutant: Mutant) -> Place:
    """Where a fault goes.

    Raises:
        Stale: Its text does not come exactly once in a function or class of that name.
    """
    found = [
        Place(path, start + at, start + at + len(mutant.text))
        for path in sorted(package.rglob("*.py"))
        if mutant.text in path.read_text(encoding="utf-8")  # others need not be parsed
        for start, source in _symbols(path, mutant.symbol)
        for at in _positions(source, mutant.text)
    ]
    if len(found) == 1:
        return found[0]
    there = [str(one.path.relative_to(package)) for one in found] or list(_elsewhere(package, mutant.text))
    raise Stale(
        f"{mutant.name}: expected the text {mutant.text!r} once in {mutant.symbol}; received: "
        + (f"{len(found)} times. " if found else "not there. ")
        + (f"It stands in {', '.join(there)}. " if there else "It stands nowhere in the package. ")
        + "Name another symbol or text in tests/mutants/faults.py"
    )


def _symbols(path: Path, symbol: str) -> Iterator[tuple[int, str]]:
    """Position and source of every class or function of a name; methods as `Class.method`."""
    text = path.read_text(encoding="utf-8")
    starts = [0]
    for line in text.splitlines(keepends=True):
        starts.append(starts[-1] + len(line))
    for name, node in _named(ast.parse(text)):
        if name == symbol:
            first = min(one.lineno for one in (node, *node.decorator_list))
            start, end = starts[first - 1], starts[node.end_lineno or first]
            yield start, text[start:end]


def _named(tree: ast.AST, prefix: str = "") -> Iterator[tuple[str, ast.ClassDef | ast.FunctionDef]]:
    for node in ast.iter_child_nodes(tree):
        if isinstance(node, ast.ClassDef | ast.FunctionDef):
            yield f"{prefix}{node.name}", node
            yield from _named(node, f"{prefix}{node.name}.")


def _positions(source: str, text: str) -> list[int]:
    return [match.start() for match in re.finditer(re.escape(text), source)]


def _elsewhere(package: Path, text: str) -> Iterator[str]:
    for path in sorted(package.rglob("*.py")):
        source = path.read_text(encoding="utf-8")
        for name, node in _named(ast.parse(source)) if text in source else ():
            if isinstance(node, ast.FunctionDef) and text in (ast.get_source_segment(source, node) or ""):
                yield f"{path.relative_to(package)}: {name}"


def matching_tests(tests: Path, mutant: Mutant) -> list[Path]:
    """The test files of a fault.

    Raises:
        Stale: A name matches none.
    """
    found: list[Path] = []
    for name in mutant.tests:
        own = sorted(tests.rglob(f"{name}.py"))
        if not own:
            raise Stale(f"{mutant.name}: no test file is called {name}.py; name others in tests/mutants/faults.py")
        found += [path for path in own if path not in found]
    return found


@contextmanager
def planted(package: Path, mutant: Mutant) -> Iterator[None]:
    """While the block runs, the fault is in the package; afterwards the module is as it was."""
    path, start, end = place(package, mutant)
    before = path.read_text(encoding="utf-8")
    after = before[:start] + mutant.replacement + before[end:]
    compile(after, str(path), "exec")
    written = path.stat().st_mtime
    path.write_text(after, encoding="utf-8")
    # Byte code is told from its source by size and whole seconds, and a fault may change neither.
    _planted_at[0] = max(_planted_at[0], int(written)) + 1
    os.utime(path, (_planted_at[0], _planted_at[0]))
    try:
        yield
    finally:
        path.write_text(before, encoding="utf-8")
        os.utime(path, (written, written))


def failing_test(folder: Path, tests: Sequence[Path]) -> str:
    """Runs test files of a copy until one test fails; its name, or "" if all pass.

    Raises:
        RuntimeError: pytest could not run them at all.
    """
    code, text = run_tests(folder, ["-x", *(str(path.relative_to(folder)) for path in tests)])
    if code is None:
        return f"took longer than {LONGEST_S} s"
    failed = re.search(r"^(?:FAILED|ERROR) (?:\S*/)?(\S+?\.py(?:::[^\s\[]+)?)", text, re.M)
    if code == 0:
        return ""
    if code in (1, 2) and failed:
        return failed[1]
    raise RuntimeError(f"pytest ended with code {code}:\n{text[-6000:]}")


def outcomes(folder: Path, mutants: Iterable[Mutant], check_first: bool = True) -> Iterator[Outcome]:
    """Plants one fault after another in a copy.

    Args:
        folder: The copy.
        mutants: The faults.
        check_first: Whether test files run once without a fault, before they are first needed.

    Raises:
        RuntimeError: A test fails without a fault.
    """
    passed: set[Path] = set()
    for mutant in mutants:
        tests = matching_tests(folder / "tests", mutant)
        unknown = [path for path in tests if path not in passed]
        if check_first and unknown:
            if failed := failing_test(folder, unknown):
                raise RuntimeError(f"{failed} fails without a fault: fix that first")
            passed |= set(unknown)
        began = time.monotonic()
        with planted(folder / "speech_mtl", mutant):
            failed = failing_test(folder, tests)
        yield Outcome(mutant, failed, time.monotonic() - began)


def summary(found: Sequence[Outcome]) -> str:
    """A Markdown table, the faults that survived first."""
    survived = [one for one in found if not one.failed]
    lines = [f"{len(found)} faults, {len(found) - len(survived)} found, {len(survived)} survived.", ""]
    lines += ["| Fault | In | Found by |", "| --- | --- | --- |"]
    for one in sorted(found, key=lambda one: bool(one.failed)):
        by = f"`{one.failed}`" if one.failed else f"**survived** {', '.join(one.mutant.tests)}"
        lines.append(f"| {one.mutant.name} | `{one.mutant.symbol}` | {by} |")
    return "\n".join(lines) + "\n"
