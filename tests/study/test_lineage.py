"""What is compared where a run descends from another: the languages that are left, as long as their tokens stay."""

import json
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from recorded_screen import RecordedScreen

from speech_mtl.data.manifest import read_manifest, write_manifest
from speech_mtl.run import changes, made_from
from speech_mtl.run.contents import write_contents
from speech_mtl.run.folder import Run
from speech_mtl.study.lineage import write_forgetting


def growth(path: Path) -> dict[tuple[int, str], float | None]:
    """By generation and language."""
    rows = json.loads(path.with_suffix(".json").read_text(encoding="utf-8"))
    return {(row["generation"], row["language"]): row["growth"] and row["growth"]["value"] for row in rows}


def respelt(run: Run, language: str, changes: Mapping[str, Any]) -> None:
    """Changes the tokeniser of a language, but not its tokens."""
    path = run.path / "tokenizers" / f"{language}.json"
    path.write_text(json.dumps(json.loads(path.read_text(encoding="utf-8")) | changes), encoding="utf-8")
    write_contents(run.best_folder(), run)


def test_texts_of_another_tokeniser_are_not_compared(trained: Run, with_settings: Callable):
    second = with_settings("second", {"init_from": str(trained.path)})
    third = with_settings("third", {"init_from": str(second.path)})
    for run in (second, third):
        respelt(run, "aa", {"kind": "pinyin"})  # of Latin letters it makes the same tokens
    found = growth(write_forgetting(third, "dev", num_replications=100))
    assert found == {(1, "aa"): None, (1, "bb"): None, (2, "aa"): None, (2, "bb"): 0, (3, "aa"): 0, (3, "bb"): 0}


def test_utterances_are_paired_by_id_where_generations_refuse_others(with_settings: Callable, make_corpus: Callable):
    data = make_corpus()
    first, *others = read_manifest(data / "aa/dev.jsonl")
    write_manifest(data / "aa/dev.jsonl", [replace(first, text="7"), *others])
    older = with_settings("older", {"data.dir": str(data)})
    last = with_settings("last", {"data.dir": str(data), "init_from": str(older.path)})
    for run, numerals in ((older, "keep"), (last, "refuse")):
        respelt(run, "aa", {"text": {"numerals": numerals, "latin_words": "keep"}})
    path = write_forgetting(last, "dev", 100)
    assert growth(path)[2, "aa"] == 0
    assert all(row["same"] for row in json.loads(path.with_suffix(".json").read_text(encoding="utf-8")))


def test_languages_that_the_youngest_run_has_not_are_left_out(trained: Run, with_settings: Callable):
    last = with_settings("last", {"init_from": str(trained.path), "languages": {"bb": {}}})
    screen = RecordedScreen()
    assert growth(write_forgetting(last, "dev", 100, screen)) == {(1, "bb"): None, (2, "bb"): 0}
    assert any("aa: left out" in line for line in screen.lines)


def test_a_start_with_other_weights_is_told(trained: Run, with_settings: Callable, monkeypatch: pytest.MonkeyPatch):
    last, screen = with_settings("last", {"init_from": str(trained.path)}), RecordedScreen()
    for module in (made_from, changes):
        monkeypatch.setattr(module, "weights_digest", lambda _: "of old")
    made_from.write_made_from(last, last.recipe(), [])
    write_forgetting(last, "dev", 100, screen)
    assert not any("has other weights now" in line for line in screen.lines)
    monkeypatch.undo()
    write_forgetting(last, "dev", 100, screen)
    (told,) = (line for line in screen.lines if "has other weights now" in line)
    assert told.startswith(f"warning {last.path}: {trained.path}, from which it started")
