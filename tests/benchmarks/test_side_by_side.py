import json
import sys
import time
from collections.abc import Mapping
from contextlib import nullcontext
from pathlib import Path

import pytest

from benchmarks import side_by_side
from benchmarks.side_by_side import Training, planned, run, table, time_table
from speech_mtl.errors import InputError
from speech_mtl.settings.recipe import Recipe

LIST = """
about: tones
recipe: {recipe}
seeds: [3, 1]
settings: {{training.num_updates: 6, training.warmup_updates: 3}}
trainings:
  plain: {{}}
  long: {{training.num_updates: 9}}
  after_long: {{init_from: long, training.warmup_updates: 1}}
"""


WAITING = """
import signal, sys, time
signal.signal(signal.SIGINT, signal.default_int_handler)
try:
    time.sleep(60)
except KeyboardInterrupt:
    sys.exit(130)
"""


@pytest.fixture
def listed(tmp_path: Path, tiny_recipe: Recipe) -> Path:
    """A list of three trainings of two seeds."""
    (tmp_path / "recipe.yaml").write_text(tiny_recipe.to_yaml(), encoding="utf-8")
    path = tmp_path / "list.yaml"
    path.write_text(LIST.format(recipe=tmp_path / "recipe.yaml"), encoding="utf-8")
    return path


def test_the_first_seed_of_all_comes_first_and_the_nearest_setting_counts(listed, tmp_path):
    plan = planned(listed, tmp_path / "runs", ["training.warmup_updates=2"])
    assert [(one.name, one.seed) for one in plan] == [(n, s) for s in (3, 1) for n in ("plain", "long", "after_long")]
    assert [one.recipe.training.num_updates for one in plan[:3]] == [6, 9, 6]
    assert {one.recipe.training.warmup_updates for one in plan} == {2}, "what is typed counts most"
    assert [one.recipe.seed for one in plan] == [3, 3, 3, 1, 1, 1]
    assert plan[2].recipe.init_from == plan[1].run
    assert len({one.run for one in plan}) == 6


def test_a_run_outside_of_the_list_can_be_the_start(listed, tmp_path):
    listed.write_text(listed.read_text("utf-8").replace("init_from: long", "init_from: runs/long"), encoding="utf-8")
    after = planned(listed, tmp_path / "runs")[2]
    assert (after.recipe.init_from, after.after) == (Path("runs/long"), None)


@pytest.mark.parametrize(
    ("old", "new", "named"),
    [("init_from: long", "init_from: later", "later"), ("num_updates: 9", "num_updatez: 9", "training.num_updatez")],
)
def test_a_wrong_list_is_refused_before_anything_begins(listed, tmp_path, old, new, named):
    listed.write_text(listed.read_text("utf-8").replace(old, new), encoding="utf-8")
    with pytest.raises((InputError, ValueError), match=named):
        planned(listed, tmp_path / "runs")


class Faked(Training):
    """Another program in the place of a training; it logs when it ran."""

    program = "import time; time.sleep(0.3)"

    def command(self) -> list[str]:
        body = f"import time, json; began = time.time(); {self.program}; ended = time.time()"
        log = f"open({str(self.run) + '.times'!r}, 'w').write(json.dumps([began, ended]))"
        return [sys.executable, "-c", f"{body}; {log}"]

    def times(self) -> tuple[float, float]:
        began, ended = json.loads(Path(f"{self.run}.times").read_text())
        return began, ended


def faked(tmp_path: Path, recipe: Recipe, programs: Mapping[str, str], after: Mapping[str, str]) -> list[Faked]:
    made = [Faked(name, 0, recipe, tmp_path / "runs" / name, after.get(name)) for name in programs]
    for one, program in zip(made, programs.values(), strict=True):
        one.program = program
    return made


def test_so_many_at_a_time_and_one_that_fails_stops_only_what_needs_it(tmp_path, tiny_recipe, monkeypatch):
    monkeypatch.setattr(side_by_side, "TICK_S", 0.05)
    sleep = "time.sleep(0.3)"
    programs = {"a": sleep, "bad": "print('no such thing'); 1 / 0", "b": sleep, "c": sleep, "after_bad": sleep}
    written = []
    trainings = faked(tmp_path, tiny_recipe, {**programs, "after_a": sleep}, {"after_bad": "bad", "after_a": "a"})
    run(trainings, 2, {}, 60, lambda: written.append([one.state for one in trainings]))
    rows = {one.name: one.row() for one in trainings}
    assert [name for name, row in rows.items() if row["state"] == "failed"] == ["bad", "after_bad"]
    assert "ZeroDivisionError" in rows["bad"]["message"]
    assert rows["after_bad"]["message"] == "bad failed"
    times = {one.name: one.times() for one in trainings if one.state == "finished"}
    assert set(times) == {"a", "b", "c", "after_a"}
    assert times["after_a"][0] >= times["a"][1]
    for began, _ in times.values():
        assert sum(start <= began < end for start, end in times.values()) <= 2
    assert written[0][:2] == ["running"] * 2


def test_the_time_ends_all(tmp_path, tiny_recipe, monkeypatch):
    monkeypatch.setattr(side_by_side, "TICK_S", 0.05)
    trainings = faked(tmp_path, tiny_recipe, {"long": "time.sleep(60)", "next": "pass"}, {})
    began = time.monotonic()
    run(trainings, 1, {}, 0.5, lambda: None)
    for one in trainings:
        one.stop()
    assert time.monotonic() - began < 10
    assert [one.row()["state"] for one in trainings] == ["stopped", "waiting"]
    assert trainings[0].process is not None
    assert trainings[0].process.poll() is not None


def test_rows_hold_what_is_logged_so_far(tmp_path, tiny_recipe):
    one = Training("a", 0, tiny_recipe, tmp_path / "a")
    assert one.row()["looks"] == []
    one.run.mkdir()
    validation = {"update": 300, "dev_cer": {"aa": 0.5, "bb": 1.0}, "wall_time_s": 7.5, "audio_s": 90.0}
    lines = [validation, validation | {"update": 600, "wall_time_s": 15.0, "audio_s": 91.0}, validation]
    (one.run / "log.jsonl").write_text("\n".join(map(json.dumps, lines))[:-20], encoding="utf-8")
    first = {"update": 300, "dev_error": 0.75, "audio_s": 90.0, "wall_time_s": 7.5}
    assert one.row()["looks"] == [first, first | {"update": 600, "audio_s": 181.0, "wall_time_s": 15.0}]


def test_times_are_those_of_the_first_validation_below():
    def row(name: str, *errors: float) -> dict:
        validations = enumerate(errors, 1)
        return {
            "name": name,
            "looks": [{"update": n, "dev_error": e, "audio_s": 60 * n, "wall_time_s": 6 * n} for n, e in validations],
        }

    rows = [row("a", 0.5, 0.4, 0.3), row("a", 0.3, 0.4, 0.2), row("b", 0.5), row("a", 0.9)]
    assert time_table(rows, [0.4, 0.25]).lines == [
        ["a", "40%", "2", "2", "0.2", "2 of 3"],
        ["a", "25%", "3", "3", "0.3", "1 of 3"],
        ["b", "40%", "-", "-", "-", "0 of 1"],
        ["b", "25%", "-", "-", "-", "0 of 1"],
    ]


def test_table():
    def row(name: str, *errors: float) -> dict:
        return {"name": name, "looks": [{"update": 300 * (i + 1), "dev_error": e} for i, e in enumerate(errors)]}

    made = table([row("a", 0.95, 0.5), row("b", 0.9), row("a", 0.85, 0.4, 0.3), row("c")])
    assert made.heads == ("Training", "300", "600", "below 90%", "updates")
    assert made.lines == [
        ["a", "90.0 (85.0-95.0)", "45.0 (40.0-50.0)", "600, 300", "600, 900"],
        ["b", "90.0", "", "-", "300"],
        ["c", "", "", "-", "0"],
    ]


@pytest.mark.parametrize(
    ("program", "max_s", "status"), [("import sys; sys.exit(7)", 60.0, 7), (WAITING, 3.0, 130)], ids=["ends", "waits"]
)
def test_a_comparison_ends_with_its_status_or_is_stopped_as_by_ctrl_c(
    tmp_path, monkeypatch, capfd, program, max_s, status
):
    python = tmp_path / "python"
    python.write_text(f'#!/bin/sh\necho "$@" "$TF_NUM_INTEROP_THREADS"\nexec {sys.executable} -c \'{program}\'\n')
    python.chmod(0o755)
    monkeypatch.setattr(side_by_side, "shared_gpu", lambda: nullcontext({}))
    monkeypatch.setattr(side_by_side.sys, "executable", str(python))
    monkeypatch.setattr(side_by_side.os, "cpu_count", lambda: 8)
    assert side_by_side.compare(Path("recipes/own"), tmp_path, 4, max_s, ["target=cs"]) == status
    words = capfd.readouterr().out.split()
    assert words == f"-m speech_mtl compare recipes/own target=cs --jobs 4 --out {tmp_path} 2".split()
