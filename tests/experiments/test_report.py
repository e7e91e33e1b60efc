"""A folder of results: written, read back, refused when it is not whole, and kept in step with its figures."""

import json
from pathlib import Path

import pytest

from speech_mtl.cli import main
from speech_mtl.errors import InputError
from speech_mtl.experiments import report
from speech_mtl.experiments.provenance import command, commit, provenance
from speech_mtl.experiments.report import Results
from speech_mtl.scoring.hypotheses import Model, TestSet
from speech_mtl.scoring.results import Arm

REFERENCES = ["ab cd", "ef gh", "ij", "kl mn op"] * 5


def results() -> Results:
    test_set = TestSet("cs", True, [str(i) for i in range(20)], [None] * 20, list(REFERENCES))
    rows = []
    for arm, budget_s, wrong in (("alone", 600.0, 8), ("alone", 1200.0, 2), ("joint", 600.0, 4)):
        heard = ["x" + text[1:] if i < wrong else text for i, text in enumerate(REFERENCES)]
        test_set.add(Model(Arm(arm), budget_s, 0), test_set.ids, heard)
        rows.append(
            {"recipe": "r", "arm": Arm(arm), "budget_s": budget_s, "seed": 0, "language": "cs", "split": "test"}
            | {"wer": 0.1, "cer": wrong / 100, "num_utterances": 20, "num_reference_words": 40}
            | {"num_reference_characters": 100, "num_updates": 5, "num_parameters": 9, "wall_time_s": 2.0}
        )
    return Results("r", "About.", rows, [test_set], 200, provenance(6.0, {"0123456789ab": 2}))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    found = results()
    report.save(found, tmp_path, rows="comparison.json")
    report.write_report(found, tmp_path)
    return tmp_path


def test_what_is_saved_is_loaded(folder: Path):
    assert report.load(folder) == results() or report.load(folder).provenance.finished != results().provenance.finished


def test_rows_may_be_called_as_they_are_beside_a_recipe(folder: Path):
    (folder / "comparison.json").rename(folder / "results.json")
    assert report.load(folder).rows == results().rows


def test_equivalent_hours_stand_in_a_file_of_their_own(folder: Path):
    (row,) = json.loads((folder / "efficiency.json").read_text())
    assert (row["recipe"], row["language"], row["arm"], row["budget_s"]) == ("r", "cs", "joint", 600.0)
    # Errors fall from 8 to 2 as hours double: 4 is half the way down on logarithmic axes.
    assert row["hours_alone"]["relation"] == "="
    assert row["hours_alone"]["factor"] == pytest.approx(2**0.5, abs=2e-3)


def test_the_report_says_where_it_comes_from(folder: Path):
    for name in ("report.html", "report.md"):
        text = (folder / name).read_text()
        assert command() in text
        assert "About." in text


@pytest.mark.parametrize("name", ["comparison.json", "provenance.json", "hypotheses.jsonl"])
@pytest.mark.parametrize("keep", [0.0, 0.5])
def test_a_half_written_file_is_named_and_nothing_is_lost(folder: Path, name: str, keep: float):
    content = (folder / name).read_bytes()
    (folder / name).write_bytes(content[: int(keep * len(content))])
    before = (folder / "report.html").read_bytes()
    with pytest.raises(InputError, match=name.replace(".", r"\.")):
        report.load(folder)
    assert (folder / "report.html").read_bytes() == before


def test_a_report_can_be_written_elsewhere_with_all_it_is_made_of(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    there = tmp_path / "there"
    assert run("report", str(folder), "--to", str(there), monkeypatch=monkeypatch) == 0
    names = {path.name for path in there.iterdir()}
    made = {"results.json", "hypotheses.jsonl", "provenance.json", "efficiency.json", "arms.json"}
    assert names == made | {"report.html", "report.md", "plots"}
    assert report.load(there) == report.load(folder)
    assert run("report", str(there), "--check", monkeypatch=monkeypatch) == 0
    assert run("report", str(there), str(folder), "--to", str(there), monkeypatch=monkeypatch) == 2


def test_a_folder_without_results_is_refused(tmp_path: Path):
    with pytest.raises(InputError, match="There are no results in"):
        report.load(tmp_path)


def run(*arguments: str, monkeypatch: pytest.MonkeyPatch) -> int:
    monkeypatch.setattr("sys.argv", ["speech-mtl", *arguments])
    with pytest.raises(SystemExit) as ended:
        main()
    return ended.value.code or 0  # type: ignore[return-value]


def test_drift_of_equivalent_hours_fails_a_check(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
):
    assert run("report", str(folder), "--check", monkeypatch=monkeypatch) == 0
    path = folder / "efficiency.json"
    path.write_text(path.read_text().replace("1.41", "9.41"))
    assert run("report", str(folder), "--check", monkeypatch=monkeypatch) == 2
    assert "differs from the results that lie beside it" in capsys.readouterr().err
    assert run("report", str(folder), monkeypatch=monkeypatch) == 0
    assert run("report", str(folder), "--check", monkeypatch=monkeypatch) == 0


def test_results_that_do_not_say_what_trained_their_runs_can_be_read(folder: Path):
    path = folder / "provenance.json"
    origin = json.loads(path.read_text(encoding="utf-8"))
    assert report.load(folder).provenance.trained_by == origin.pop("trained_by") != {}
    path.write_text(json.dumps(origin), encoding="utf-8")
    assert report.load(folder).provenance.trained_by == {}


def test_commands_are_kept_once_each_and_in_order(folder: Path):
    assert report.earlier_commands(folder) == [command()]
    assert provenance(1.0, {}, ["first", command()]).commands == ["first", command()]
    assert report.earlier_commands(folder / "nothing") == []


def test_the_commit_is_that_of_this_code():
    head = (Path(__file__).parents[2] / ".git").exists()
    assert (commit() is not None) == head
