"""A folder of results: written, read back, refused when it is not whole, and kept in step with its numbers."""

import json
import shutil
import subprocess
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import pytest

from benchmarks import readmes
from speech_mtl.cli import main
from speech_mtl.errors import InputError
from speech_mtl.files import json_text
from speech_mtl.run.provenance import command, commit, portable, provenance
from speech_mtl.scoring.error_rate import score
from speech_mtl.scoring.rows import measured_row
from speech_mtl.study import results as report
from speech_mtl.study.arms import ARMS
from speech_mtl.study.report.content import short_text
from speech_mtl.study.results import Results, json_files
from speech_mtl.study.statistics.analysis import has_tasks, is_transfer_map
from speech_mtl.study.statistics.hypotheses import Model, TestSet, write_test_sets
from speech_mtl.study.statistics.rows import CONTROLS, Arm, Origin
from speech_mtl.study.statistics.training import Effort, LearningCurve, Training

REFERENCES = ["ab cd", "ef gh", "ij", "kl mn op"] * 5


def row(arm: Arm, budget_s: float, test_set: TestSet) -> Any:
    hypotheses = test_set.hypotheses[Model(arm, budget_s, 0)]
    return {
        **{"recipe": "r", "arm": arm, "budget_s": budget_s, "seed": 0},
        **measured_row(test_set.language, "test", score(test_set.references, hypotheses)),
        **{"num_updates": 5, "num_parameters": 9, "wall_time_s": 2.0},
    }


def origin(num_replications: int) -> Origin:
    how = asdict(provenance(6.0, {"0123456789ab": 2}))
    return Origin(**how, recipe="r", about="About.", num_replications=num_replications)


def results() -> Results:
    test_set = TestSet("cs", True, [str(i) for i in range(20)], [None] * 20, list(REFERENCES))
    rows = []
    for arm, budget_s, wrong in (("alone", 600.0, 8), ("alone", 1200.0, 2), ("joint", 600.0, 4)):
        hypotheses = ["x" + text[1:] if i < wrong else text for i, text in enumerate(REFERENCES)]
        test_set.add(Model(Arm(arm), budget_s, 0), test_set.ids, hypotheses)
        rows.append(row(Arm(arm), budget_s, test_set))
    return Results(origin(200), rows, [test_set])


@pytest.fixture
def saved(tmp_path: Path) -> Path:
    report.save(results(), tmp_path, rows="comparison.json")
    return tmp_path


@pytest.fixture
def folder(saved: Path) -> Path:
    report.write_report(report.load(saved), saved)
    return saved


def test_what_is_saved_is_loaded(folder: Path):
    made, found = results(), report.load(folder)
    assert replace(found, origin=made.origin) == made
    assert replace(found.origin, finished=made.origin.finished) == made.origin


def test_rows_may_be_called_as_they_are_beside_a_recipe(folder: Path):
    (folder / "comparison.json").rename(folder / "results.json")
    assert report.load(folder).rows == results().rows


def test_equivalent_hours_stand_in_a_file_of_their_own(folder: Path):
    (row,) = json.loads((folder / "efficiency.json").read_text())
    assert (row["arm"], row["budget_s"]) == ("joint", 600.0)
    # Errors fall from 8 to 2 as hours double: 4 is half the way down on logarithmic axes.
    assert row["hours"]["relation"] == "="
    assert row["hours"]["hours"] * 6 == pytest.approx(2**0.5, abs=2e-3)


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
    made = {"results.json", "hypotheses.jsonl.gz", "provenance.json", "efficiency.json", "arms.json"}
    assert names == made | {"report.html", "report.md", "plots"}
    assert report.load(there) == report.load(folder)
    readmes.refuse_drift(report.load(there), there)
    assert run("report", str(there), str(folder), "--to", str(there), monkeypatch=monkeypatch) == 2
    assert run("report", str(folder), "--to", str(there), monkeypatch=monkeypatch) == 0  # it has such a report


def test_a_report_of_several_comparisons_prints_a_table_of_all(folder: Path, tmp_path: Path, monkeypatch, capsys):
    shutil.copytree(folder, other := tmp_path / "other")
    assert run("report", str(folder), str(other), monkeypatch=monkeypatch) == 0
    printed = capsys.readouterr().out
    assert "| Comparison | Target speech |" in printed
    assert f"| {folder.name} |" in printed
    assert "| other |" in printed


@pytest.mark.parametrize("name", ["tasks.json", "format.json", "plots/mine.png"])
def test_a_report_is_not_written_into_a_folder_of_something_else(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
):
    mine = tmp_path / "mine" / name
    mine.parent.mkdir(parents=True)
    mine.write_text("mine")
    assert run("report", str(folder), "--to", str(tmp_path / "mine"), monkeypatch=monkeypatch) == 2
    assert [path for path in (tmp_path / "mine").rglob("*") if path.is_file()] == [mine]
    assert mine.read_text() == "mine"
    (tmp_path / "mine" / "recipe.yaml").touch()
    assert run("report", str(folder), "--to", str(tmp_path / "mine"), monkeypatch=monkeypatch) == 0


def test_a_folder_without_results_is_refused(tmp_path: Path):
    with pytest.raises(InputError, match="There are no results in"):
        report.load(tmp_path)


def run(*arguments: str, monkeypatch: pytest.MonkeyPatch) -> int:
    monkeypatch.setattr("sys.argv", ["speech-mtl", *arguments])
    with pytest.raises(SystemExit) as ended:
        main()
    return ended.value.code or 0  # type: ignore[return-value]


def test_drift_of_equivalent_hours_fails_a_check(folder: Path, monkeypatch: pytest.MonkeyPatch):
    (folder / "README.md").write_text("no table")
    monkeypatch.setattr("sys.argv", ["readmes", "--check", str(folder / "README.md")])
    readmes.main()
    path = folder / "efficiency.json"
    path.write_text(path.read_text().replace("0.23", "9.23"))
    with pytest.raises(InputError, match="differs from the results that lie beside it") as drift:
        readmes.main()
    with monkeypatch.context() as patch:
        assert run(*drift.value.action.split()[1:], monkeypatch=patch) == 0
    readmes.main()


def test_results_that_do_not_say_what_trained_their_runs_can_be_read(folder: Path):
    path = folder / "provenance.json"
    origin = json.loads(path.read_text(encoding="utf-8"))
    assert report.load(folder).origin.trained_by == origin.pop("trained_by") != {}
    path.write_text(json.dumps(origin), encoding="utf-8")
    assert report.load(folder).origin.trained_by == {}


def test_the_protocol_is_kept_and_that_of_earlier_versions_is_unknown(saved: Path):
    content = json.loads((saved / "provenance.json").read_text())
    assert (content.pop("protocol"), content.pop("reference")) == ("", "alone")
    (saved / "provenance.json").write_text(json.dumps(content))
    assert (report.load(saved).origin.protocol, report.load(saved).origin.reference) == ("", "alone")
    named = replace(results(), origin=replace(origin(200), protocol="equal_speech"))
    report.save(named, saved, rows="comparison.json")
    report.write_report(report.load(saved), saved)
    assert report.load(saved).origin.protocol == "equal_speech"
    sentence = "equal_speech: each arm trained until its validation error stopped falling"
    assert (saved / "report.md").read_text().count(sentence) == 2, "below the table and in the facts"
    assert sentence in short_text(named.summary)
    changed_json(saved / "provenance.json", ("protocol",), "equal_luck")
    with pytest.raises(InputError, match=r"provenance\.json: the field 'protocol' is not right"):
        report.load(saved)


def test_effort_and_learning_come_from_rows_and_curves(tmp_path: Path):
    found = results()
    for number, row in enumerate(found.rows):
        own: Any = {"run": f"own-{number}", "num_updates": 5, "audio_s": 30.0, "stopped": True}
        start: Any = {"run": "pretrain", "num_updates": 7, "audio_s": 70.0, "stopped": False}
        row.update(audio_s=100.0, stages=[start, own])
    learning = [LearningCurve("pretrain", Arm("joint"), None, 0, "de", 0, [7], [0.4], 7, False)]
    named = replace(found.origin, protocol="equal_updates")
    report.save(replace(found, origin=named, training=Training(learning=learning)), tmp_path)
    summary = report.load(tmp_path).summary
    took = Effort(5, 2.0, shared_updates=7, audio_s=100.0, num_runs=2, num_not_stopped=1, protocol="equal_updates")
    assert [one.effort for one in summary.arms] == [took] * 3
    assert summary.training.learning == learning
    assert [row["effort"] for row in json.loads(json_files(summary)["arms.json"])] == [json.loads(json_text(took))] * 3


def test_commands_are_kept_once_each_and_in_order(folder: Path):
    assert report.earlier_commands(folder) == [command()]
    assert provenance(1.0, {}, ["first", command()]).commands == ["first", command()]
    assert report.earlier_commands(folder / "nothing") == []


def test_the_commit_is_that_of_this_code():
    head = (Path(__file__).parents[2] / ".git").exists()
    assert (commit() is not None) == head


def test_below_another_project_there_is_no_commit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    def git(*words: str) -> None:
        who = ["-c", "user.name=x", "-c", "user.email=x@x"]
        subprocess.run(["git", "-C", str(tmp_path), *who, *words], check=True, capture_output=True)

    installed = tmp_path / ".venv" / "speech_mtl" / "provenance.py"
    installed.parent.mkdir(parents=True)
    installed.touch()
    (tmp_path / ".gitignore").write_text(".venv\n", encoding="utf-8")
    git("init")
    git("add", ".gitignore")
    git("commit", "-m", "x")
    monkeypatch.setattr("speech_mtl.run.provenance.__file__", str(installed))
    assert commit() is None
    git("add", "--force", str(installed))
    git("commit", "-m", "y")
    assert commit() is not None


def results_of(arms: list[Arm], languages: tuple[str, ...] = ("cs",)) -> Results:
    """Each arm has half of its utterances right, in every language."""
    test_sets, rows = [], []
    for language in languages:
        made = TestSet(language, True, [str(i) for i in range(8)], [None] * 8, REFERENCES[:8])
        for arm in arms:
            made.add(Model(arm, 600.0, 0), made.ids, [text if i % 2 else "x" for i, text in enumerate(made.references)])
            rows.append(row(arm, 600.0, made))
        test_sets.append(made)
    return Results(origin(100), rows, test_sets)


HOSTILE_VARIANTS = ("speech_only_first", "with_noise", "x_shuffled", "x_equal_updates", "x_without_de", "a:b", "alone")


@pytest.mark.parametrize("variant", ["", *HOSTILE_VARIANTS])
@pytest.mark.parametrize("method", [name for name in ARMS if name != "alone"])
def test_the_kind_of_a_report_does_not_hang_on_names(tmp_path: Path, method: str, variant: str):
    controls: Any = [control for control in CONTROLS if control != "leave_one_out"]
    arms = [Arm("alone", variant), *(Arm(method, variant, control) for control in controls)]
    arms.append(Arm(method, variant, "leave_one_out", "de"))
    report.save(results_of(arms), tmp_path)
    loaded = report.load(tmp_path)
    assert [row["arm"] for row in loaded.rows] == arms
    assert (is_transfer_map(loaded.rows), has_tasks(loaded.rows, loaded.test_sets)) == (False, bool(variant))
    assert loaded.summary.transfer == []
    assert {one.arm for one in loaded.summary.equivalent_hours if not one.arm.is_control} <= {arms[1], arms[-1]}
    if variant:
        gains = {one.arm: one.gain for one in loaded.summary.tasks}
        assert gains.keys() == set(arms)
        assert [arm for arm, gain in gains.items() if gain is None] == [arms[0]], "all against alone of that variant"


def test_a_transfer_map_is_one_by_its_arms(tmp_path: Path):
    report.save(results_of([Arm("alone"), Arm("joint", auxiliary="de"), Arm("joint", auxiliary="pl")]), tmp_path)
    loaded = report.load(tmp_path)
    assert (is_transfer_map(loaded.rows), has_tasks(loaded.rows, loaded.test_sets)) == (True, False)
    assert {one.arm.auxiliary for one in loaded.summary.transfer} == {"de", "pl"}


def changed_json(path: Path, keys: tuple, value: object) -> None:
    content = place = json.loads(path.read_text(encoding="utf-8"))
    for key in keys[:-1]:
        place = place[key]
    place[keys[-1]] = value
    path.write_text(json.dumps(content), encoding="utf-8")


@pytest.mark.parametrize(
    ("name", "keys", "value"),
    [
        ("comparison.json", (0, "arm"), {}),
        ("comparison.json", (0, "arm"), "nobody_knows"),
        ("comparison.json", (0, "arm"), "joint_only_de"),
        ("comparison.json", (0, "arm"), {"method": "alone", "variant": "other"}),
        ("comparison.json", (0, "seed"), -1),
        ("comparison.json", (0, "seed"), 2**40),
        ("comparison.json", (0, "seed"), 3),
        ("comparison.json", (0, "seed"), True),
        ("comparison.json", (0, "budget_s"), float("nan")),
        ("comparison.json", (0, "budget_s"), 0),
        ("comparison.json", (0, "budget_s"), "600"),
        ("comparison.json", (0, "num_utterances"), -20),
        ("comparison.json", (0, "cer"), -0.5),
        ("comparison.json", (0, "cer"), 0.01),
        ("comparison.json", (0, "wer"), None),
        ("comparison.json", (0, "num_utterances"), 21),
        ("comparison.json", (0, "num_reference_words"), 1),
        ("comparison.json", (0, "split"), "tset"),
        ("comparison.json", (0, "language"), "de"),
        ("comparison.json", (0, "task"), "emotion"),
        ("comparison.json", (1, "budget_s"), 600.0),
        ("comparison.json", (0, "audio_s"), -1.0),
        ("comparison.json", (0, "stages"), [{"run": "x", "num_updates": 5, "audio_s": None}]),
        ("comparison.json", (0, "stages"), [{"run": "x", "num_updates": -5, "audio_s": None, "stopped": True}]),
        ("provenance.json", ("commands",), "speech-mtl"),
        ("provenance.json", ("commands", 0), None),
        ("provenance.json", ("versions",), []),
        ("provenance.json", ("wall_time_s",), float("inf")),
        ("provenance.json", ("num_replications",), 0),
        ("provenance.json", ("num_replications",), 10**9),
        ("provenance.json", ("trained_by", "0123456789ab"), -1),
        ("provenance.json", ("about",), None),
    ],
)
def test_values_of_another_kind_are_refused_with_their_file(saved: Path, name: str, keys: tuple, value: object):
    changed_json(saved / name, keys, value)
    with pytest.raises(InputError, match=rf"{name}|hypotheses\.jsonl"):
        report.load(saved)


def test_rows_and_hypotheses_fit_one_another(saved: Path):
    rows = json.loads((saved / "comparison.json").read_text())
    for changed, problem in (
        ([*rows, rows[0]], "a row comes twice"),
        (rows[:2], "have no row of results"),
        ([*rows, rows[0] | {"seed": 1}], "lack hypotheses"),
        ([*rows, rows[0] | {"language": "de"}], "a test set is missing"),
    ):
        (saved / "comparison.json").write_text(json.dumps(changed))
        with pytest.raises(InputError, match=problem) as caught:
            report.load(saved)
        assert "run the comparison again" in caught.value.action


LEARNING = {
    **{"run": "alone", "arm": "alone", "budget_s": 600.0, "seed": 0, "of": "cs", "first": 0},
    **{"updates": [10, 20], "errors": [0.5, 0.4], "best": 20, "stopped": True},
}


def test_a_learning_curve_is_read(saved: Path):
    (saved / "curves.json").write_text(json.dumps({"learning": [LEARNING]}))
    (curve,) = report.load(saved).training.learning
    assert curve == LearningCurve("alone", Arm("alone"), 600.0, 0, "cs", 0, [10, 20], [0.5, 0.4], 20, True)


@pytest.mark.parametrize(
    "curves",
    [
        {"curves": 3},
        {"curves": [{"arm": "joint", "task": "cs", "updates": [1], "losses": [], "weights": [1.0]}]},
        {"curves": [{"arm": "joint", "task": "cs", "updates": [], "losses": [], "weights": []}]},
        {"curves": [{"arm": "joint", "task": "cs", "updates": [1], "losses": [float("nan")], "weights": [1.0]}]},
        {"sizes": [{"arm": "joint", "trained": -1, "total": 2, "own": 0}]},
        {"labels": [{"arm": "joint", "task": "cs", "labelled": "many", "utterances": 2}]},
        {"learning": [LEARNING | {"errors": [0.5]}]},
        {"learning": [LEARNING | {"best": 15}]},
        {"learning": [LEARNING | {"errors": [0.5, -0.1]}]},
        {"learning": [LEARNING | {"budget_s": 0}]},
        {"learning": [LEARNING | {"stopped": "yes"}]},
        [],
    ],
)
def test_damaged_curves_are_refused(saved: Path, curves: object):
    (saved / "curves.json").write_text(json.dumps(curves))
    with pytest.raises(InputError, match=r"curves\.json"):
        report.load(saved)


def test_old_languages_are_there_before_and_after(saved: Path):
    made = results().test_sets[0]
    write_test_sets(saved / report.OLD, [made])
    with pytest.raises(InputError, match="is not there before and after"):
        report.load(saved)


def test_reports_do_not_tell_where_the_user_is_at_home(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
):
    home, here = tmp_path / "home" / "jane.doe", tmp_path / "home" / "jane.doe" / "work"
    here.mkdir(parents=True)
    monkeypatch.setenv("HOME", str(home))
    monkeypatch.chdir(here)
    typed = ["speech-mtl", "compare", f"{here}/recipes/x", f"data.dir={home}/data", "--out", str(here), f"x=[{home}]"]
    monkeypatch.setattr("sys.argv", typed)
    found = results()
    report.save(found, here / "out")
    report.write_report(found, here / "out")
    for path in (path for path in (here / "out").rglob("*") if path.is_file()):
        assert b"jane.doe" not in path.read_bytes(), path
    assert report.earlier_commands(here / "out") == ["speech-mtl compare recipes/x data.dir=~/data --out . 'x=[~]'"]
    assert portable(f"{home}-else {home}.bak /x{home}") == f"{home}-else {home}.bak /x{home}"

    changed_json(here / "out" / "provenance.json", ("commands", 0), f"speech-mtl compare {home}/old")
    assert report.load(here / "out").origin.commands == ["speech-mtl compare ~/old"]
