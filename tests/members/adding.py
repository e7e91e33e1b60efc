"""Adds members of the package's kinds to a copy, and runs the tests that should find them.

A member is added as a person would: text at a place of a file, or a new file. It counts only if the conformance test of
its kind finds it by itself and passes; and each place counts only if the member is not complete without it.
"""

import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

from scratch import LONGEST_S, run_tests

NAME = "toy"
"""What all members are called, in capitals or not; tests of one have it in their names."""
SELECTED = f"{NAME} or every_class_has_a_kind"
"""Tests of a member, and the one of `tests/settings/test_kinds.py` that finds classes without settings."""
MOST_FILES = 3


class Place(NamedTuple):
    """What is added to a file.

    Attributes:
        path: Of the file, from the project's folder.
        text: Whole lines.
        after: A text that comes once in the file, behind which it goes; "": to the file's end, or into a new file.
    """

    path: str
    text: str
    after: str = ""

    @property
    def label(self) -> str:
        """What tells it from other places: the file, and the first line."""
        return f"{self.path}: {self.text.strip().splitlines()[0]}"


class Member(NamedTuple):
    """A member of a kind.

    Attributes:
        kind: As CONTRIBUTING calls it.
        places: All that is added.
        tests: Files with the conformance tests.
    """

    kind: str
    places: tuple[Place, ...]
    tests: tuple[str, ...]

    @property
    def files(self) -> list[str]:
        """The files that are touched, each once: those of the tests last."""
        return sorted({place.path for place in self.places}, key=lambda path: (path.startswith("tests/"), path))


class Stale(Exception):
    """A member that cannot be added: a file or text that it goes to is not there any more."""


class Found(NamedTuple):
    """What the tests made of a member.

    Attributes:
        passed: Tests of it that passed.
        problem: What went wrong; "" if nothing did and there was a test of it.
    """

    passed: tuple[str, ...]
    problem: str


class Outcome(NamedTuple):
    """How a member was added.

    Attributes:
        member: The member.
        found: With all its places.
        without: By the label of a place, what is wrong where it alone is left out; "" if nothing is.
    """

    member: Member
    found: Found
    without: dict[str, str]

    @property
    def problem(self) -> str:
        """Why it does not count; "" if it does."""
        if self.found.problem:
            return self.found.problem
        if surplus := [label for label, problem in self.without.items() if not problem]:
            return f"not needed: {'; '.join(surplus)}"
        return "too many files" if len(self.member.files) > MOST_FILES else ""


def with_place(text: str | None, place: Place) -> str:
    """The text of a file with what is added to it; None for a file that is not there.

    Raises:
        Stale: The text behind which it goes does not come exactly once.
    """
    if text is None or not place.after:
        return (text or "") + place.text
    if (text or "").count(place.after) != 1:
        number = (text or "").count(place.after)
        raise Stale(f"{place.path}: expected the text {place.after!r} once; received: {number} times")
    before, after = text.split(place.after)
    return before + place.after + place.text + after


@contextmanager
def added(folder: Path, places: Sequence[Place]) -> Iterator[None]:
    """While the block runs, the places are in the copy; afterwards the files are as they were.

    Raises:
        Stale: One cannot be added.
    """
    paths = {place.path: folder / place.path for place in places}
    before = {name: path.read_text(encoding="utf-8") if path.is_file() else None for name, path in paths.items()}
    now = dict(before)
    for place in places:
        now[place.path] = with_place(now[place.path], place)
    try:
        for name, text in now.items():
            paths[name].write_text(str(text), encoding="utf-8")
        yield
    finally:
        for name, text in before.items():
            if text is None:
                paths[name].unlink(missing_ok=True)
            else:
                paths[name].write_text(text, encoding="utf-8")


def found(folder: Path, tests: Sequence[str], selected: str = SELECTED) -> Found:
    """Runs tests of a copy until one fails.

    Raises:
        RuntimeError: pytest could not run them at all.
    """
    code, text = run_tests(folder, ["-x", "-rpfE", "-k", selected, *tests])
    passed = tuple(name for name in re.findall(r"^PASSED (.+)$", text, re.M) if NAME in name)
    if code is None:
        return Found(passed, f"took longer than {LONGEST_S} s")
    if code == 5 or (code == 0 and not passed):
        return Found((), "no test finds it")
    if code == 0:
        return Found(passed, "")
    if failed := re.search(r"^FAILED (?:\S*/)?(\S+?\.py::[^\s\[]+)", text, re.M):
        return Found(passed, f"{failed[1]} fails")
    if error := re.search(r"^E\s+(\w+(?:Error|Exception)\b.*)$", text, re.M):
        return Found(passed, error[1][:100])
    raise RuntimeError(f"pytest ended with code {code}:\n{text[-6000:]}")


def outcome(folder: Path, member: Member) -> Outcome:
    """Adds a member to a copy: all of it, and all but each place in turn."""
    with added(folder, member.places):
        whole = found(folder, member.tests)
    without = {}
    for left_out in member.places if not whole.problem else ():
        with added(folder, [place for place in member.places if place is not left_out]):
            without[left_out.label] = found(folder, member.tests).problem
    return Outcome(member, whole, without)
