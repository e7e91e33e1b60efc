"""Hypotheses of every model: written, read back, and refused when it is not whole."""

import gzip
import json
import math
import re
from pathlib import Path
from typing import Any

import pytest

from speech_mtl.errors import InputError
from speech_mtl.study.statistics.hypotheses import Model, TestSet, read_test_sets, write_test_sets
from speech_mtl.study.statistics.rows import Arm


def small_set(language: str = "cs", size: int = 3) -> TestSet:
    made = TestSet(language, True, [f"u{i}" for i in range(size)], ["s1", None, "s2"][:size], ["a b", "č", ""][:size])
    made.add(Model(Arm("alone"), 600.0, 0), made.ids, ["a b", "c", "x"][:size])
    made.add(Model(Arm("joint"), 600.0, 0), made.ids, ["a", "č", ""][:size])
    return made


@pytest.mark.parametrize("name", ["h.jsonl", "h.jsonl.gz"])
def test_written_is_read_back(tmp_path: Path, name: str):
    written = [small_set("cs"), small_set("de", 2)]
    write_test_sets(tmp_path / name, written)
    assert read_test_sets(tmp_path / name) == written


def test_a_compressed_file_is_that_of_gzip_and_always_the_same(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    for name in ("h.jsonl", "a.jsonl.gz", "b.jsonl.gz"):
        monkeypatch.setattr("time.time", lambda name=name: 1e9 + len(name))
        write_test_sets(tmp_path / name, [small_set()])
    assert gzip.decompress((tmp_path / "a.jsonl.gz").read_bytes()) == (tmp_path / "h.jsonl").read_bytes()
    assert (tmp_path / "a.jsonl.gz").read_bytes() == (tmp_path / "b.jsonl.gz").read_bytes()
    assert len(list(tmp_path.iterdir())) == 3


def test_a_right_hypothesis_is_not_written_twice(tmp_path: Path):
    write_test_sets(tmp_path / "h.jsonl", [small_set()])
    second = json.loads((tmp_path / "h.jsonl").read_text().splitlines()[1])
    assert second == {"id": "u0", "speaker": "s1", "reference": "a b", "heard": [True, "a"]}


def test_models_are_matched_by_id_not_by_position():
    made = small_set()
    made.add(Model(Arm("alone"), 600.0, 1), ["u2", "u0", "u1"], ["third", "first", "second"])
    assert made.num_left_out == 0
    assert made.hypotheses[Model(Arm("alone"), 600.0, 1)] == ["first", "second", "third"]


def test_only_common_utterances_are_kept_for_all_models():
    made = small_set()
    made.add(Model(Arm("alone"), 600.0, 1), ["u1", "other"], ["x", "y"])
    assert made.num_left_out == 2
    assert (made.ids, made.speakers, made.references) == (["u1"], [None], ["č"])
    assert list(made.hypotheses.values()) == [["c"], ["č"], ["x"]]


def test_arms_without_common_utterances_are_refused():
    with pytest.raises(InputError, match="no test utterance in common"):
        small_set().add(Model(Arm("alone"), 600.0, 1), ["other"], ["x"])


@pytest.mark.parametrize("name", ["h.jsonl", "h.jsonl.gz"])
@pytest.mark.parametrize("keep", [0.0, 0.01, 0.3, 0.6, 0.95])
def test_a_half_written_file_is_refused(tmp_path: Path, name: str, keep: float):
    path = tmp_path / name
    write_test_sets(path, [small_set()])
    content = path.read_bytes()
    path.write_bytes(content[: math.ceil(keep * len(content))])
    with pytest.raises(InputError, match=rf"{re.escape(name)}:\d+: not ") as caught:
        read_test_sets(path)
    assert "run the comparison again" in caught.value.action


def test_a_file_of_whole_lines_that_ends_early_is_refused(tmp_path: Path):
    path = tmp_path / "h.jsonl"
    write_test_sets(path, [small_set()])
    path.write_text("".join(path.read_text().splitlines(keepends=True)[:-1]))
    with pytest.raises(InputError, match=r"h\.jsonl:3: not as") as caught:
        read_test_sets(path)
    assert "1 are missing" in caught.value.received


@pytest.mark.parametrize("position", [0, 3, 40, -6])
def test_a_damaged_compressed_file_is_refused(tmp_path: Path, position: int):
    path = tmp_path / "h.jsonl.gz"
    write_test_sets(path, [small_set()])
    content = bytearray(path.read_bytes())
    content[position] ^= 0xFF
    path.write_bytes(content)
    with pytest.raises(InputError, match=r"h\.jsonl\.gz:\d+: not ") as caught:
        read_test_sets(path)
    assert "run the comparison again" in caught.value.action


def test_a_missing_file_is_refused(tmp_path: Path):
    with pytest.raises(InputError, match="There is no file"):
        read_test_sets(tmp_path / "nothing.jsonl")


def lines(path: Path) -> list[dict[str, Any]]:
    write_test_sets(path, [small_set()])
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


@pytest.mark.parametrize(
    ("number", "change", "problem"),
    [
        (2, {"reference": None}, "the field 'utterance.reference'"),
        (2, {"heard": [1, 2]}, "the field 'utterance.heard.0"),
        (2, {"heard": [False, ""]}, "the field 'utterance.heard.0"),
        (2, {"heard": "ab"}, "the field 'utterance.heard'"),
        (3, {"heard": ["a"]}, "not as"),
        (3, {"errors": [[[0, 1], [0, 1]]]}, "not as"),
        (2, {"errors": "none"}, "the field 'utterance.errors'"),
        (2, {"speaker": 3}, "the field 'utterance.speaker'"),
        (2, {"id": None}, "the field 'utterance.id'"),
        (3, {"models": []}, "the field 'test_set"),
        (1, {"models": [["alone", 600.0, 0], ["alone", 600.0, 0]]}, "the model alone at 600 s, seed 0 comes twice"),
        (1, {"models": [[{}, 600.0, 0], ["joint", 600.0, 0]]}, "the field 'test_set.models.0.0.method'"),
        (1, {"models": [["alone", float("nan"), 0], ["joint", 600.0, 0]]}, "the field 'test_set.models.0.1'"),
        (1, {"models": [["alone", 600.0, -1], ["joint", 600.0, 0]]}, "the field 'test_set.models.0.2'"),
        (1, {"models": [["alone", 600.0, 2**70], ["joint", 600.0, 0]]}, "the field 'test_set.models.0.2'"),
        (1, {"num_utterances": -3}, "the field 'test_set.num_utterances'"),
        (1, {"num_utterances": 1}, "not as"),
        (1, {"language": None}, "the field 'test_set.language'"),
        (1, {"spaced": "yes"}, "the field 'test_set.spaced'"),
        (
            1,
            {"tasks": {"emotion": {"metric": {}, "models": [["alone", 600.0, 0]]}}},
            "the field 'test_set.tasks.emotion",
        ),
        (1, {"tasks": {"emotion": {"metric": "F1", "models": [["alone", 600.0, 0]]}}}, "not as"),
    ],
)
def test_fields_of_another_kind_are_refused_with_their_line(
    tmp_path: Path, number: int, change: dict[str, Any], problem: str
):
    records = lines(tmp_path / "h.jsonl")
    records[number - 1] |= change
    (tmp_path / "h.jsonl").write_text("".join(json.dumps(one) + "\n" for one in records), encoding="utf-8")
    with pytest.raises(InputError, match=rf"h\.jsonl:\d: {re.escape(problem)}") as caught:
        read_test_sets(tmp_path / "h.jsonl")
    line = int(caught.value.problem.partition("h.jsonl:")[2].partition(":")[0])
    assert line == number or line in (2, 3), "what the head says may be found wrong at the utterance that disagrees"


def test_a_test_set_and_an_utterance_come_once(tmp_path: Path):
    path = tmp_path / "h.jsonl"
    write_test_sets(path, [small_set(), small_set()])
    with pytest.raises(InputError, match=r"h\.jsonl:5: the test set of cs comes twice"):
        read_test_sets(path)
    records = lines(path)
    records[2]["id"] = records[1]["id"]
    path.write_text("".join(json.dumps(one) + "\n" for one in records), encoding="utf-8")
    with pytest.raises(InputError, match=r"h\.jsonl:1: in the test set of cs the utterance u0 comes twice"):
        read_test_sets(path)
