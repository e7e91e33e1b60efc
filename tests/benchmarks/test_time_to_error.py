"""Trainings take turns, and only the time of their own turns counts."""

import sys
import time

import pytest

from benchmarks import time_to_error
from benchmarks.time_to_error import BEFORE, NOW, TWIN, table

WORKER = """
import json, pathlib, sys, time
log = pathlib.Path(sys.argv[1])
for update in range(1, 100):
    left = 0.2
    while left > 0:  # of its own time: what it is stopped for does not count
        time.sleep(0.01)
        left -= 0.01
    with log.open("a") as file:
        print(json.dumps({"update": update, "dev_cer": {"aa": 1 - 0.1 * update, "bb": 1 - 0.1 * update}}), file=file)
"""


@pytest.fixture
def trainings(tmp_path, monkeypatch):
    monkeypatch.setattr(time_to_error, "TURN_S", 0.5)
    monkeypatch.setattr(time_to_error, "LOOK_S", 0.05)
    monkeypatch.setattr(
        time_to_error,
        "_filled",
        lambda command, folder, *_: [*command, folder.with_suffix(".jsonl")],
    )
    started = [time_to_error._started(name, [sys.executable, "-c", WORKER], 0, tmp_path) for name in (NOW, TWIN)]
    for one in started:
        one.log = one.log.parent.with_suffix(".jsonl")
    return started


def test_own_turns_count(trainings):
    began = time.perf_counter()
    time_to_error._take_turns(trainings)
    passed = time.perf_counter() - began
    for one in trainings:
        assert one.validations[-1]["error"] < 0.4
        assert [found["update"] for found in one.validations] == list(range(1, len(one.validations) + 1))
        assert one.process.poll() is not None
    assert sum(one.active_s for one in trainings) <= passed
    assert max(one.active_s for one in trainings) < 0.8 * passed, "the other's turns do not count"


def test_a_training_that_ends_too_early_is_named(tmp_path, monkeypatch):
    monkeypatch.setattr(time_to_error, "_filled", lambda command, *_: list(command))
    started = time_to_error._started(NOW, [sys.executable, "-c", "pass"], 0, tmp_path)
    with pytest.raises(SystemExit, match=r"now has ended before its error was below 0\.4"):
        time_to_error._take_turns([started])


def test_a_folder_of_an_earlier_training_is_refused(tmp_path):
    (tmp_path / "now-0").mkdir()
    with pytest.raises(SystemExit, match="there already"):
        time_to_error._started(NOW, [], 0, tmp_path)


def test_the_table_has_the_first_validation_below_each_error():
    def row(name, seconds):
        errors = [0.6, 0.44, 0.39, 0.41]
        return {
            "name": name,
            "seed": 0,
            "validations": [
                {"update": 75 * i, "error": error, "s": seconds * i} for i, error in enumerate(errors, start=1)
            ],
        }

    lines = table([row(NOW, 60.0), row(BEFORE, 90.0)]).lines
    assert lines[1] == ["50%", "before", "150", "3.0", "1.50 (1.50-1.50)"]
    assert lines[4] == ["40%", "now", "225", "3.0", "1.00 (1.00-1.00)"]
