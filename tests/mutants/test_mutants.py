"""The faults can all be planted, and planting finds what tests find."""

import ast
from pathlib import Path

import pytest
import scratch
from faults import FAULTS
from planting import Mutant, Stale, failing_test, matching_tests, outcomes, place, planted, summary

PROJECT = Path(__file__).parents[2]

CODE = """
class Curve:
    @property
    def slope(self):
        return 1

    def at(self, x):
        return 2 * x


def at(x):
    return 2 * x + 1
"""
RIGHT = "from speech_mtl.curve import at\n\n\ndef test_at():\n    assert at(1) == 3\n"
DOUBLED = Mutant("tripled", "at", "2 * x", "3 * x", ("test_curve",))
UNSEEN = Mutant("another slope", "Curve.slope", "return 1", "return 2", ("test_c*",))


@pytest.mark.parametrize("mutant", FAULTS, ids=lambda mutant: mutant.name)
def test_a_fault_can_be_planted(mutant: Mutant):
    path, start, end = place(PROJECT / "speech_mtl", mutant)
    text = path.read_text(encoding="utf-8")
    ast.parse(text[:start] + mutant.replacement + text[end:])
    assert matching_tests(PROJECT / "tests", mutant)


def test_there_are_enough_and_each_has_its_name():
    assert len({mutant.name for mutant in FAULTS}) == len(FAULTS) >= 40


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(scratch, "PRELOADED", ("pytest",))  # no backend: it would take seconds, for nothing
    for name, text in (("speech_mtl/__init__.py", ""), ("speech_mtl/curve.py", CODE), ("tests/test_curve.py", RIGHT)):
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(text)
    return tmp_path


def test_a_fault_is_found_wherever_its_symbol_is(project: Path):
    (project / "speech_mtl" / "curve.py").rename(project / "speech_mtl" / "moved.py")
    path, start, end = place(project / "speech_mtl", DOUBLED)
    assert path.name == "moved.py"
    assert CODE[start:end] == "2 * x"
    assert start > CODE.index("\ndef at")


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"text": "4 * x"}, "not there.*nowhere in the package"),
        ({"symbol": "Curve.of"}, r"not there.*curve\.py: Curve\.at"),
        ({"symbol": "Curve", "text": "return"}, "2 times"),
    ],
)
def test_a_fault_that_cannot_be_planted_says_why(project: Path, changes: dict, message: str):
    with pytest.raises(Stale, match=f"tripled: .*{message}"):
        place(project / "speech_mtl", DOUBLED._replace(**changes))


def test_a_name_of_tests_that_are_gone_is_refused(project: Path):
    with pytest.raises(Stale, match=r"no test file is called test_gone\.py"):
        matching_tests(project / "tests", DOUBLED._replace(tests=("test_curve", "test_gone")))


def test_a_module_is_as_it_was_after_a_fault(project: Path):
    path = project / "speech_mtl" / "curve.py"
    with planted(project / "speech_mtl", DOUBLED):
        assert path.read_text() == CODE.replace("2 * x + 1", "3 * x + 1")
    assert path.read_text() == CODE


def test_faults_are_found_or_survive(project: Path):
    found = list(outcomes(project, [DOUBLED, UNSEEN]))
    assert [one.failed for one in found] == ["test_curve.py::test_at", ""]
    assert "2 faults, 1 found, 1 survived." in summary(found)
    assert summary(found).index("**survived** test_c*") < summary(found).index("test_at")


def test_tests_that_fail_without_a_fault_are_told(project: Path):
    (project / "tests" / "test_curve.py").write_text(RIGHT.replace("3", "4"))
    with pytest.raises(RuntimeError, match="fails without a fault"):
        list(outcomes(project, [DOUBLED]))


def test_tests_that_cannot_be_run_are_told(project: Path):
    (project / "tests" / "test_curve.py").write_text("")
    with pytest.raises(RuntimeError, match="pytest ended with code 5"):
        failing_test(project, [project / "tests" / "test_curve.py"])
