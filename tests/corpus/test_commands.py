"""The commands `speech-mtl data ...` as they are typed."""

import json
import sys
from pathlib import Path

import pytest
from made_up_manifests import good, line, written

import speech_mtl.cli as cli


@pytest.fixture
def command(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch):
    def run(*arguments: object) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["speech-mtl", "data", *map(str, arguments)])
        capsys.readouterr()
        code = 0
        try:
            cli.main()
        except SystemExit as end:
            code = int(end.code or 0)
        out, err = capsys.readouterr()
        return code, out, err

    return run


@pytest.fixture
def speech(tmp_path: Path) -> Path:
    written(tmp_path / "de" / "train.jsonl", good(0, 30, "abc"))
    written(tmp_path / "de" / "test.jsonl", good(200, 5, "ae", "zwei vier"))
    return tmp_path


def test_notes_are_no_failure_and_what_training_refuses_is(command, speech):
    code, out, err = command("validate", speech)
    assert code == 0
    assert f"{speech}/de/test.jsonl: note: speakers in training" in out
    assert "2 manifests, 35 lines" in err
    path = speech / "de" / "train.jsonl"
    path.write_bytes(path.read_bytes() + b"{\n")
    code, out, err = command("validate", path, "--no-audio", "--quiet")
    assert code == 2
    assert f"{path}:31: refused: line that cannot be read: not JSON" in out
    assert err.startswith("Error: Training would refuse this speech")
    code, out, _ = command("validate", path, "--no-audio", "--json")
    record = json.loads(out)
    assert code == 2
    assert record["counts"] == [
        {"level": "note", "kind": "no validation speech", "number": 1},
        {"level": "refused", "kind": "line that cannot be read", "number": 1},
    ]
    assert [one["line"] for one in record["findings"]] == [0, 31]
    assert record["manifests"][0]["num_lines"] == 31


def test_a_folder_whose_name_is_no_language(command, tmp_path):
    """The manifests in it are of the language of their lines."""
    train = written(tmp_path / "my data" / "train.jsonl", good(0, 30, "abc"))
    written(tmp_path / "my data" / "dev.jsonl", good(200, 5, "ae", "zwei vier"))
    for path, splits in ((train, ["train"]), (train.parent, ["train", "dev"])):
        code, out, _ = command("stats", path, "--json", "--quiet")
        assert code == 0
        assert [(one["language"], one["split"]) for one in json.loads(out)] == [("de", split) for split in splits]


def test_stats_as_table_json_and_page(command, speech):
    code, out, _ = command("stats", speech, "--html", speech / "stats.html")
    assert code == 0
    assert "letters/s" in out
    assert "<svg" in (speech / "stats.html").read_text(encoding="utf-8")
    _, out, _ = command("stats", speech, "--json", "--quiet")
    assert [(one["split"], one["num_utterances"]) for one in json.loads(out)] == [("train", 30), ("test", 5)]


def test_a_split_is_one_that_validate_has_nothing_against(command, tmp_path):
    lines = [line(i, f"wort {'x' * (i % 9)} {'b' * (1 + i // 9)}", f"s{i // 4}") for i in range(80)]
    path = written(tmp_path / "in" / "de" / "train.jsonl", lines)
    code, out, _ = command("split", path, "--out", tmp_path / "out", "--budgets-min", 1, "--budgets-min", 2)
    assert code == 0
    assert "train, 1 min" in out
    code, out, _ = command("validate", tmp_path / "out", "--quiet")
    assert code == 0
    assert "in training" not in out
    code, _, err = command("split", path, "--out", tmp_path / "out")
    assert code == 2
    assert "is there already" in err
    code, _, err = command("split", tmp_path / "out" / "de", "--out", tmp_path / "other")
    assert code == 2
    assert "is not one manifest" in err


def test_a_page_to_listen_to(command, speech):
    code, out, _ = command("listen", speech, "--number", 2, "--split", "test", "--out", speech / "page.html", "-q")
    assert (code, out) == (0, f"The page is {speech / 'page.html'}\n")
    assert (speech / "page.html").read_text(encoding="utf-8").count("<audio") == 2
