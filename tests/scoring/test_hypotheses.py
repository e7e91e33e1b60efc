"""What every model heard: written, read back, and refused when it is not whole."""

import json
from pathlib import Path

import pytest

from speech_mtl.errors import InputError
from speech_mtl.scoring.hypotheses import Model, TestSet, read_test_sets, write_test_sets
from speech_mtl.scoring.results import Arm


def small_set(language: str = "cs", size: int = 3) -> TestSet:
    made = TestSet(language, True, [f"u{i}" for i in range(size)], ["s1", None, "s2"][:size], ["a b", "č", ""][:size])
    made.add(Model(Arm("alone"), 600.0, 0), made.ids, ["a b", "c", "x"][:size])
    made.add(Model(Arm("joint"), 600.0, 0), made.ids, ["a", "č", ""][:size])
    return made


def test_written_is_read_back(tmp_path: Path):
    written = [small_set("cs"), small_set("de", 2)]
    write_test_sets(tmp_path / "h.jsonl", written)
    assert read_test_sets(tmp_path / "h.jsonl") == written


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


@pytest.mark.parametrize("keep", [0.0, 0.3, 0.6, 0.95])
def test_a_half_written_file_is_refused(tmp_path: Path, keep: float):
    path = tmp_path / "h.jsonl"
    write_test_sets(path, [small_set()])
    content = path.read_bytes()
    path.write_bytes(content[: int(keep * len(content))])
    with pytest.raises(InputError, match=r"h\.jsonl:\d+: not ") as caught:
        read_test_sets(path)
    assert "run the comparison again" in caught.value.action


def test_a_file_of_whole_lines_that_ends_early_is_refused(tmp_path: Path):
    path = tmp_path / "h.jsonl"
    write_test_sets(path, [small_set()])
    path.write_text("".join(path.read_text().splitlines(keepends=True)[:-1]))
    with pytest.raises(InputError, match=r"h\.jsonl:3: not as") as caught:
        read_test_sets(path)
    assert "1 are missing" in caught.value.received


def test_a_missing_file_is_refused(tmp_path: Path):
    with pytest.raises(InputError, match="There is no file"):
        read_test_sets(tmp_path / "nothing.jsonl")
