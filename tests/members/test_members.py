"""Toy members can be added, what is counted is what they take, and CONTRIBUTING tells the same numbers."""

import json
import re
from pathlib import Path

import pytest
import scratch
from adding import MOST_FILES, Member, Outcome, Place, Stale, added, outcome, with_place
from toys import ALL_TOGETHER, TOGETHER, TOYS

PROJECT = Path(__file__).parents[2]
RESULT = json.loads(Path(__file__).with_name("members.json").read_text(encoding="utf-8"))["rows"]
COUNTED = {kind: one for kind, one in RESULT.items() if "files" in one}
ROWS = {
    cells[0]: cells[1:]
    for line in (PROJECT / "CONTRIBUTING.md").read_text(encoding="utf-8").splitlines()
    if len(cells := [cell.strip() for cell in line.strip("|").split("|")]) == 3
}
"""Of the table `To add`: the number of files, and where they are."""


@pytest.mark.parametrize("member", TOYS, ids=lambda member: member.kind)
def test_a_member_can_be_added(member: Member):
    texts: dict[str, str | None] = {}
    for place in member.places:
        path = PROJECT / place.path
        before = texts.get(place.path, path.read_text(encoding="utf-8") if path.is_file() else None)
        texts[place.path] = with_place(before, place)
    for path, text in texts.items():
        compile(str(text), path, "exec")
    assert all((PROJECT / test).is_file() for test in member.tests)


def test_the_tests_of_all_together_are_there():
    assert not (PROJECT / ALL_TOGETHER.path).exists()
    assert all((PROJECT / test).exists() for test in TOGETHER)


def test_the_result_is_of_these_members():
    assert {kind: (one["files"], list(one["without"])) for kind, one in COUNTED.items()} == {
        member.kind: (member.files, [place.label for place in member.places]) for member in TOYS
    }
    assert [one["tests"] for one in RESULT.values() if "files" not in one] == [[ALL_TOGETHER.path, *TOGETHER]]


def test_no_member_takes_more_than_three_files_and_every_place_is_needed():
    assert {one["problem"] for one in RESULT.values()} == {""}
    for one in COUNTED.values():
        assert one["tests_that_find_it"] > 0
        assert len(one["files"]) <= MOST_FILES
        assert all(one["without"].values())


@pytest.mark.parametrize("kind", COUNTED)
def test_contributing_tells_the_number_of_files_and_names_each(kind: str):
    number, where = ROWS[kind]
    assert number == str(len(COUNTED[kind]["files"]))
    for path in COUNTED[kind]["files"]:
        folder, _, name = path.rpartition("/")
        assert name in where or f"{folder.rpartition('/')[2]}/`" in where, path


def test_contributing_tells_no_number_that_was_not_counted():
    assert {kind for kind, (number, _) in ROWS.items() if re.fullmatch(r"\d+", number)} == set(COUNTED)


KINDS = "NAMES = {}\n\n\nclass Plain:\n    pass\n\n\nNAMES['plain'] = Plain\n"
CONFORMANCE = """
import pytest

from speech_mtl.kinds import NAMES


@pytest.mark.parametrize("name", NAMES)
def test_every_kind(name):
    assert NAMES[name]().size > 0
"""
CLASS = Place("speech_mtl/kinds.py", "class Toy:\n    size = 1\n\n\n", after="    pass\n\n\n")
ENTRY = Place("speech_mtl/kinds.py", "NAMES['toy'] = Toy\n")
SURPLUS = Place("speech_mtl/new.py", "x = 1\n")


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(scratch, "PRELOADED", ("pytest",))  # no backend: it would take seconds, for nothing
    files = {"speech_mtl/__init__.py": "", "speech_mtl/kinds.py": KINDS, "tests/test_kinds.py": CONFORMANCE}
    for name, text in files.items():
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(text)
    return tmp_path


def tried(project: Path, *places: Place) -> Outcome:
    return outcome(project, Member("a kind", places, ("tests/test_kinds.py",)))


def test_a_member_is_found_and_missed_without_any_of_its_places(project: Path):
    one = tried(project, CLASS, ENTRY)
    assert one.problem == ""
    assert one.found.passed == ("tests/test_kinds.py::test_every_kind[toy]",)
    assert list(one.without) == ["speech_mtl/kinds.py: class Toy:", "speech_mtl/kinds.py: NAMES['toy'] = Toy"]
    without_class, without_entry = one.without.values()
    assert without_class == "NameError: name 'Toy' is not defined"
    assert without_entry == "no test finds it"
    assert (project / "speech_mtl/kinds.py").read_text() == KINDS


def test_a_place_that_nothing_needs_does_not_count(project: Path):
    assert tried(project, CLASS, ENTRY, SURPLUS).problem == "not needed: speech_mtl/new.py: x = 1"
    assert not (project / "speech_mtl/new.py").exists()


def test_a_member_that_fails_its_test_or_has_none_does_not_count(project: Path):
    assert tried(project, CLASS._replace(text="class Toy:\n    size = 0\n\n\n"), ENTRY).problem == (
        "test_kinds.py::test_every_kind fails"
    )
    assert tried(project, CLASS).problem == "no test finds it"


def test_more_than_three_files_are_too_many(project: Path):
    used = "import speech_mtl.new, speech_mtl.new1, speech_mtl.new2\n"
    more = [SURPLUS._replace(path=f"speech_mtl/new{number}.py") for number in ("", 1, 2)]
    assert tried(project, CLASS, ENTRY._replace(text=used + ENTRY.text), *more).problem == "too many files"


def test_a_text_that_is_gone_is_told_and_nothing_is_changed(project: Path):
    with (
        pytest.raises(Stale, match=r"kinds\.py: expected the text 'NAMES' once; received: 2 times"),
        added(project, [SURPLUS, CLASS._replace(after="NAMES")]),
    ):
        pytest.fail("it was added")
    assert not (project / "speech_mtl/new.py").exists()
