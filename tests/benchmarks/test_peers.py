"""The benchmark beside peers, without any of them: environments, inputs, rows and tables; what workers may import."""

import ast
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from benchmarks.contestants import OURS
from benchmarks.peers import environments, inputs, measure
from benchmarks.peers.cases import CASES, CONTESTANTS, PEERS, Case, Contestant, Input
from benchmarks.peers.environments import Environment, make_environment
from benchmarks.peers.tables import MAIN_PACKAGES, line, tables
from benchmarks.provenance import ROOT
from benchmarks.rounds import Plan, Speed
from benchmarks.speech_like import Shape
from benchmarks.stopwatch import Seconds
from benchmarks.workers import WorkerError
from speech_mtl.scoring.error_rate import score

FOLDER = ROOT / "benchmarks" / "peers"


def imports(path: Path) -> set[str]:
    """Modules that a file imports when it runs, of this repository also those that these import."""
    tree = ast.parse(path.read_text("utf-8"))
    nodes = [
        node for node in ast.walk(tree) if not (isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING")
    ]
    skipped = {id(child) for node in ast.walk(tree) if node not in nodes for child in ast.walk(node)}
    found = set()
    for node in nodes:
        if id(node) in skipped:
            continue
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            found.add(node.module)
    own = [ROOT / f"{name.replace('.', '/')}.py" for name in found if name.startswith("benchmarks.")]
    return found.union(*(imports(module) for module in own if module.is_file()))


@pytest.mark.parametrize("peer", PEERS)
def test_workers_of_peers_do_not_need_the_package(peer):
    assert not {name for name in imports(FOLDER / peer / "worker.py") if name.startswith("speech_mtl")}


def test_ours_does_need_it():
    assert any(name.startswith("speech_mtl") for name in imports(FOLDER / "ours" / "worker.py"))


@pytest.mark.parametrize("peer", PEERS)
def test_requirements_pin_a_python_and_versions(peer):
    first, *lines = (FOLDER / peer / "requirements.txt").read_text("utf-8").splitlines()
    assert first.startswith("# Python 3.")
    assert all(name and version for name, version in (line.split("==") for line in lines))
    assert set(MAIN_PACKAGES[peer]) <= {line.split("==")[0] for line in lines}


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_workers_have_the_cases_they_are_asked_for(case):
    for name in case.names:
        source = (FOLDER / CONTESTANTS[name].folder / "worker.py").read_text("utf-8")
        assert f'"{case.name}": ' in source


def test_every_case_has_a_peer_after_ours():
    assert all(case.names[0] == OURS and len(case.names) > 1 for case in CASES)


@pytest.fixture
def toy_peer(tmp_path, monkeypatch):
    folder = tmp_path / "peers" / "toy"
    folder.mkdir(parents=True)
    (folder / "requirements.txt").write_text("# Python 3.99\ntoy==1.0\n", "utf-8")
    monkeypatch.setattr(environments, "FOLDER", folder.parent)
    return tmp_path / "made"


def test_an_environment_that_cannot_be_made_says_why(toy_peer, monkeypatch):
    def fails(command, **_):
        raise subprocess.CalledProcessError(2, command, stderr="error: No interpreter found\nfor Python 3.99")

    monkeypatch.setattr(subprocess, "run", fails)
    made = make_environment("toy", toy_peer)
    assert made == Environment({"python": "3.99", "toy": "1.0"}, None, "error: No interpreter found for Python 3.99")
    assert not (toy_peer / "toy" / "made-from.txt").exists()


def test_an_environment_is_made_once_for_its_requirements(toy_peer, monkeypatch):
    commands = []

    def run(command, **_):
        commands.append(command)
        (toy_peer / "toy").mkdir(parents=True, exist_ok=True)

    monkeypatch.setattr(subprocess, "run", run)
    made = make_environment("toy", toy_peer)
    assert made.python == toy_peer / "toy" / "bin" / "python"
    assert [command[2:4] for command in commands] == [["venv", "--no-python-downloads"], ["pip", "install"]]
    assert make_environment("toy", toy_peer) == made
    assert len(commands) == 2
    (environments.FOLDER / "toy" / "requirements.txt").write_text("# Python 3.99\ntoy==2.0\n", "utf-8")
    make_environment("toy", toy_peer)
    assert len(commands) == 4


class FakeWorker:
    """Answers without a process; ours is twice as fast."""

    def __init__(self, module, num_threads, python):
        self.module, self.num_threads, self.python = module, num_threads, python
        self.about, self.peak_mib = {"texts": ["a b"]}, 100.0

    def ask(self, _case, given, times):
        self.asked = given["amount"], times

    def answer(self):
        if "failing" in self.module:
            raise WorkerError("Traceback\nImportError: no toy")
        amount, times = self.asked
        seconds = times if self.python is None else 2 * times
        return Speed(Seconds(seconds, seconds), times * amount)

    def turn(self, case, given):
        return lambda times: self.ask(case, given, times) or self.answer()

    def close(self):
        self.about = {}


@pytest.fixture
def rows(monkeypatch, tmp_path):
    monkeypatch.setattr(measure, "Worker", FakeWorker)
    for name in ("good", "failing", "absent"):
        monkeypatch.setitem(CONTESTANTS, name, Contestant(name))
    names = (OURS, "good", "failing", "absent")
    case = Case("scoring", "Toys", "words", names, lambda _: iter([Input("toys", {"amount": 3.0}, ["a c"])]), (2, 1))
    made = {name: Environment({"python": "3.11"}, Path(name)) for name in names[1:3]}
    made["absent"] = Environment({"python": "3.99"}, None, "no Python 3.99")
    return list(measure.measured(case, made, tmp_path, Plan(num_rounds=2, min_rounds=1)))


def test_ratios_are_ours_over_the_peers(rows):
    assert [row["num_threads"] for row in rows] == [2, 1]
    assert rows[0]["ratios"]["good"]["wall"] == {"median": 2.0, "min": 2.0, "max": 2.0}
    assert rows[0]["about"]["good"] == {"cer": pytest.approx(1 / 3)}


def test_who_is_not_measured_is_named_with_the_reason(rows):
    assert rows[0]["failed"] == {"absent": "no environment: no Python 3.99", "failing": "ImportError: no toy"}
    assert "2.00 x good" in line(rows[0])


def test_tables_show_no_case_without_a_peer(rows):
    alone = {"case": "scoring", "unit": "words", "input": "alone", "num_threads": 1, "failed": {"good": "ended"}}
    text = "\n".join(str(table) for table in tables([rows[0], alone], {}))
    assert "| toys | good | 2 | 3 | 2 | 2.00 (2.00-2.00)" in text
    assert f"| {OURS} | 33.33 |" in text
    measured, _, missing = text.partition("Not measured")
    assert "alone" not in measured
    assert "ended" in missing


def test_made_up_texts_are_near_what_posteriors_say(tmp_path):
    given, texts = inputs.posteriors(tmp_path, number=5)
    with np.load(given["posteriors"]) as file:
        paths = [file[name].argmax(axis=1) for name in file.files]
    found = ["".join(given["vocabulary"][token] for token in path if token) for path in paths]
    assert 0 < score(texts, found).characters.rate < 0.3


def test_a_tenth_of_the_words_is_wrong(tmp_path):
    given = inputs.scoring(tmp_path, num_words=5000)
    references, hypotheses = (
        Path(given[name]).read_text("utf-8").splitlines() for name in ("references", "hypotheses")
    )
    assert sum(len(one.split()) for one in references) == given["words"]
    assert 0.08 < score(references, hypotheses).words.rate < 0.12


def test_all_read_the_same_batches(tmp_path):
    given = inputs.training(tmp_path, Shape(2, 0.5, 4), "small")
    with np.load(given["batches"][0]) as file:
        assert file["waveforms"].shape[0] == len(file["num_tokens"]) == given["batch_size"] == 2
    assert given["network"]["num_layers"] == 5
    assert np.load(given["filters"]).shape == (257, 80)


@pytest.mark.parametrize("suffix", ["mp3", "opus"])
def test_compressed_files_are_in_both_manifests(tmp_path, suffix):
    given = inputs.audio(tmp_path, suffix, number=2, seconds=0.5)
    assert all(Path(path).stat().st_size for path in given["files"])
    for name in ("manifest", "table"):
        text = Path(given[name]).read_text("utf-8")
        assert all(path in text for path in given["files"])


def test_the_command_tells_its_options():
    told = subprocess.run(
        [sys.executable, "-m", "benchmarks.peers", "--help"], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert "--only" in told.stdout
