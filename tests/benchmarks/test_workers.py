"""Workers in processes of their own: what they answer, and what is told when one fails."""

import sys
from contextlib import closing

import numpy as np
import pytest

from benchmarks import protocol, step_worker
from benchmarks.contestants import Case
from benchmarks.contestants import Prepared as MadeStep
from benchmarks.protocol import Prepared
from benchmarks.rounds import Plan, interleave
from benchmarks.stopwatch import Seconds
from benchmarks.workers import Worker, WorkerError

TOY = """
import os, sys
sys.path.insert(0, {root!r})
from benchmarks.protocol import Prepared, serve

def counting(given):
    print("what a library prints is no answer")
    return Prepared(lambda: given["amount"], {{"threads": os.environ["OMP_NUM_THREADS"]}})

def failing(given):
    raise ValueError("no such " + given["what"])

def ending(given):
    sys.exit("out of patience")

serve({{"counting": counting, "failing": failing, "ending": ending}})
"""


@pytest.fixture
def worker(tmp_path, monkeypatch):
    from benchmarks import workers

    (tmp_path / "toy.py").write_text(TOY.format(root=str(workers.ROOT)), encoding="utf-8")
    monkeypatch.setattr(workers, "ROOT", tmp_path)
    with closing(Worker("toy", 3)) as made:
        yield made


def test_a_worker_does_something_some_times(worker):
    speed = worker.does("counting", {"amount": 2.5}, 4)
    assert speed.amount == 10.0
    assert 0 <= speed.seconds.wall < 1
    assert worker.about == {"threads": "3"}
    if sys.platform == "linux":
        assert 1 < worker.peak_mib < 1000


def test_failures_are_told_and_the_worker_goes_on(worker):
    with pytest.raises(WorkerError, match="ValueError: no such file"):
        worker.does("failing", {"what": "file"}, 1)
    assert worker.does("counting", {"amount": 1.0}, 1).amount == 1.0


def test_an_end_is_told_with_the_last_words(worker):
    with pytest.raises(WorkerError, match=r"exit code 1.*out of patience"):
        worker.does("ending", {}, 1)


def test_workers_take_turns(worker):
    turns = {name: worker.turn("counting", {"amount": amount}) for name, amount in (("ours", 2.0), ("other", 1.0))}
    plan = Plan(warm_up=1, num_rounds=3, round_s=0.001, min_rounds=2)
    summary = interleave(turns, plan).summary("ours", "words")
    assert summary["rounds"] == 3
    assert summary["ratios"]["other"]["wall"]["median"] > 0
    assert summary["ours"]["words_per_s"]["min"] > 0


def test_what_is_prepared_is_kept(capfd, monkeypatch):
    made = []
    makers = {"case": lambda given: made.append(given) or Prepared(lambda: 1.0, {})}
    lines = ['{"case": "case", "given": {"a": 1}, "times": 2}', '{"case": "case", "given": {"a": 1}, "times": 3}']
    monkeypatch.setattr(sys, "stdin", [*lines, '{"case": "case", "given": {"a": 2}, "times": 1}'])
    monkeypatch.setattr(protocol, "_answers", lambda: sys.stdout)
    protocol.serve(makers)
    assert made == [{"a": 1}, {"a": 2}]
    assert capfd.readouterr().out.count('"amount"') == 3


def test_steps_of_two_shapes_are_of_one_network(monkeypatch):
    made, lengths = [], []

    def maker(case, num_threads):
        made.append((case, num_threads))

        def step(batch, _rate):
            lengths.append(len(batch.num_samples))
            return np.zeros(lengths[-1]), 0.0

        return MadeStep(step, Seconds(0, 0), Seconds(0, 0), 1)

    monkeypatch.setitem(step_worker.MAKERS, "toy", maker)
    prepare, case = step_worker.made_by("toy"), {"size": "small", "num_languages": 2}
    for size in (2, 3):
        shape = {"num_utterances": size, "max_duration_s": 0.5, "max_tokens": 4}
        amount = prepare({"case": case, "shape": shape, "num_threads": 1}).once()
        assert 0.45 * size <= amount <= 0.5 * size
    assert made == [(Case("small", 2), 1)]
    assert lengths == [2, 3]


@pytest.mark.skipif(sys.platform != "linux", reason="/proc")
def test_time_of_children_counts():
    import subprocess

    before = protocol.processor_s()
    busy = "import time\nwhile time.process_time() < 0.3: pass\nprint(flush=True); input()"
    with subprocess.Popen([sys.executable, "-c", busy], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as child:
        assert child.stdout is not None
        child.stdout.readline()
        assert protocol.processor_s() - before >= 0.25
        child.communicate(b"\n")
