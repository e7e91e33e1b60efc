"""The manifest of pseudo-labels that `speech-mtl pseudo-label` writes."""

import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from speech_mtl.data.manifest import manifest_path, read_manifest, write_manifest
from speech_mtl.datatypes import PSEUDO_LABEL, Utterance
from speech_mtl.errors import InputError
from speech_mtl.run.checkpoint import load_recognizer
from speech_mtl.run.folder import Run
from speech_mtl.run.pseudo_labelled import write_pseudo_labelled
from speech_mtl.run.references import load_references
from speech_mtl.run.speech import open_split
from speech_mtl.settings.data import PseudoLabelSettings


@pytest.fixture
def lines(trained: Run, tmp_path: Path) -> Path:
    """A manifest of `aa` of which every third line has a text."""
    path = tmp_path / "half" / "aa" / "train.jsonl"
    there = list(read_manifest(manifest_path(trained.recipe().data.dir, "aa", "train")))
    write_manifest(path, [u if number % 3 == 0 else replace(u, text=None) for number, u in enumerate(there)])
    return path


def written(run: Run, sources: list[Path], to: Path, **settings: Any) -> list[Utterance]:
    own = PseudoLabelSettings(teacher=run.path, **{"keep": 1.0, **settings})
    write_pseudo_labelled(run, "aa", sources, to, own)
    return list(read_manifest(to))


def test_texts_stay_and_unknown_ones_are_filled_in(trained: Run, lines: Path, tmp_path: Path):
    audio = sorted((trained.recipe().data.dir / "aa" / "audio").glob("dev-*.flac"))
    found = written(trained, [lines, *audio], tmp_path / "out" / "aa" / "more.jsonl")
    before = {u.id: u for u in read_manifest(lines)}
    assert [u.id for u in found] == [*before, *map(str, audio)]
    filled = [u for u in found if PSEUDO_LABEL in u.labels]
    for u in found:
        known = before[u.id].text if u.id in before else None
        assert (u.text == known) == (PSEUDO_LABEL not in u.labels)
        assert u.audio.is_file()
    assert len(filled) > 10
    label = filled[0].labels[PSEUDO_LABEL]
    assert 0 < label["confidence"] <= 1
    assert label["teacher"] == str(trained.path)
    more = str(tmp_path / "out" / "aa" / "more.jsonl")
    again = trained.recipe().overridden({"languages.aa.manifests.train": more})
    assert len(open_split(again, "aa", "train").positions) == len(found), "training takes it"


def test_a_run_that_read_its_speech_in_training_can_teach(trained: Run, lines: Path, tmp_path: Path):
    folder = tmp_path / "reading"
    shutil.copytree(trained.path, folder)
    run = Run(folder)
    run.write_settings(trained.recipe().overridden({"data.decode_once": False}))
    assert any(PSEUDO_LABEL in u.labels for u in written(run, [lines], tmp_path / "all.jsonl"))


def test_what_is_filtered_out_stays_without_a_text(trained: Run, lines: Path, tmp_path: Path):
    all_of_them = written(trained, [lines], tmp_path / "all.jsonl")
    half = written(trained, [lines], tmp_path / "half.jsonl", keep=0.5)
    known = sum(PSEUDO_LABEL in u.labels for u in all_of_them)
    assert sum(PSEUDO_LABEL in u.labels for u in half) == round(known / 2)
    assert len(half) == len(all_of_them)


def test_pseudo_labels_are_refused_as_dev_and_test_speech(trained: Run, lines: Path, tmp_path: Path):
    written(trained, [lines], tmp_path / "more.jsonl")
    recognizer = load_recognizer(trained)
    for split in ("dev", "test"):
        recipe = trained.recipe().overridden({f"languages.aa.manifests.{split}": str(tmp_path / "more.jsonl")})
        with pytest.raises(InputError, match=f"a pseudo-label, and this is {split} speech"):
            load_references(recipe, "aa", split, recognizer)


def _taken(folder: Path, lines: Path) -> tuple[str, list[Path]]:
    (folder / "out.jsonl").write_text("mine", encoding="utf-8")
    return "aa", [lines]


def _twice(_folder: Path, lines: Path) -> tuple[str, list[Path]]:
    return "aa", [lines, lines]


def _missing(folder: Path, _lines: Path) -> tuple[str, list[Path]]:
    return "aa", [folder / "none.wav"]


def _other(folder: Path, lines: Path) -> tuple[str, list[Path]]:
    other = [replace(u, language="cs") for u in read_manifest(lines)]
    write_manifest(folder / "other.jsonl", other)
    return "aa", [folder / "other.jsonl"]


def _unknown(_folder: Path, lines: Path) -> tuple[str, list[Path]]:
    return "cs", [lines]


def _nothing(folder: Path, lines: Path) -> tuple[str, list[Path]]:
    write_manifest(folder / "known.jsonl", [u for u in read_manifest(lines) if u.text is not None])
    return "aa", [folder / "known.jsonl"]


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (_taken, "is there already"),
        (_twice, "comes twice"),
        (_missing, "cannot be transcribed"),
        (_other, "the language is another"),
        (_unknown, "no output layer for the language 'cs'"),
        (_nothing, "no untranscribed speech"),
    ],
)
def test_bad_input_is_refused_and_nothing_is_lost(
    trained: Run, lines: Path, tmp_path: Path, make: Callable, message: str
):
    language, sources = make(tmp_path, lines)
    settings = PseudoLabelSettings(teacher=trained.path)
    with pytest.raises(InputError, match=message):
        write_pseudo_labelled(trained, language, sources, tmp_path / "out.jsonl", settings)
    if make is _taken:
        assert (tmp_path / "out.jsonl").read_text(encoding="utf-8") == "mine"
    else:
        assert not (tmp_path / "out.jsonl").exists()
