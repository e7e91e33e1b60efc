"""Pseudo-labels: what is learnt from, what is left out, and that hidden transcripts stay hidden."""

import math
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from speech_mtl.data.manifest import manifest_path, read_manifest, write_manifest
from speech_mtl.datatypes import Hypothesis, Token
from speech_mtl.errors import InputError
from speech_mtl.run.folder import Run
from speech_mtl.run.pseudo_labels import (
    LESS_SURE,
    NO_WORDS,
    RATE,
    UNSURE,
    PseudoLabel,
    confidence,
    filtered,
    saved_pseudo_labels,
    saved_taught,
)
from speech_mtl.run.speech import open_split, training_utterances
from speech_mtl.run.train import train
from speech_mtl.run.weights import load_part, part_names, part_path
from speech_mtl.settings.data import PseudoLabelFilter
from speech_mtl.settings.recipe import Recipe


@pytest.fixture
def student(trained: Run, tmp_path: Path) -> Recipe:
    """Learns `aa` from a third of its speech with transcripts, and from the rest without; with a corpus of its own."""
    there = trained.recipe()
    shutil.copytree(there.data.dir, tmp_path / "own")
    return there.overridden(
        {
            "target": "aa",
            "data.dir": str(tmp_path / "own"),
            "data.cache_dir": str(tmp_path / "own-cache"),
            "languages": {"aa": {"budget_s": 10.0, "pseudo_labels": {"teacher": str(trained.path), "keep": 1.0}}},
            "training": {"num_updates": 1, "evaluate_every": 1},
        }
    )


def rewrite(recipe: Recipe, change: Callable[..., Any], split: str = "train") -> None:
    path = manifest_path(recipe.data.dir, "aa", split)
    write_manifest(path, [change(utterance) for utterance in read_manifest(path)])


def weights(run: Run) -> dict[str, np.ndarray]:
    folder = run.best_folder()
    return {f"{n}/{key}": a for n in part_names(folder) for key, a in load_part(part_path(folder, n)).items()}


def test_what_is_beyond_the_budget_is_learnt_from_without_its_transcripts(
    student: Recipe, tmp_path: Path, untraced: None
):
    split = open_split(student, "aa", "train")
    own = {u.id: u.text for u in split.utterances()}
    assert len(own) == 30
    assert {name for name, text in own.items() if text is None} == split.hidden.keys()
    transcribed = open_split(student.overridden({"languages.aa.pseudo_labels": None}), "aa", "train")
    assert own.keys() - split.hidden.keys() == {u.id for u in transcribed.utterances()}
    run = train(student.overridden({"languages.aa.pseudo_labels.keep": 0.5}), tmp_path / "run")
    labels = saved_pseudo_labels(run, "aa")
    assert {label["id"] for label in labels.labels} == split.hidden.keys()
    num_kept = sum(not label["left_out"] for label in labels.labels)
    assert run.labels()["aa"] == (30 - len(split.hidden) + num_kept,) * 2
    taught = saved_taught(run, "aa")
    assert taught is not None
    assert 5 < taught["num_kept"] == num_kept < taught["num_utterances"] == len(split.hidden)
    assert taught["untranscribed_s"] == pytest.approx(sum(l["duration_s"] for l in labels.labels), abs=0.01)  # noqa: E741
    true = {u.id: u.text for u in read_manifest(manifest_path(student.data.dir, "aa", "train"))}
    right = [label["text"] == true[label["id"]] for label in labels.labels]
    assert np.mean(right) > 0.5, "the teacher has learnt these tones"


def test_scrambling_the_hidden_transcripts_changes_nothing(student: Recipe, tmp_path: Path, untraced: None):
    hidden = open_split(student, "aa", "train").hidden
    first = train(student, tmp_path / "first")
    without = dict.fromkeys(list(hidden)[::2])
    rewrite(student, lambda u: replace(u, text=without.get(u.id, "d c b a")) if u.id in hidden else u)
    second = train(student, tmp_path / "second")
    rewrite(student, lambda u: u if u.id in hidden else replace(u, text="dcba"))
    other = train(student, tmp_path / "other")
    expected = weights(first)
    assert saved_pseudo_labels(second, "aa") == saved_pseudo_labels(first, "aa")
    assert (second.path / "tokenizers/aa.json").read_text() == (first.path / "tokenizers/aa.json").read_text()
    for key, array in weights(second).items():
        np.testing.assert_array_equal(array, expected[key], err_msg=key)
    assert any((array != expected[key]).any() for key, array in weights(other).items()), "true transcripts matter"


def test_until_a_teacher_has_spoken_hidden_speech_has_no_text(student: Recipe):
    split = open_split(student, "aa", "train")
    assert all(u.text is None for u in training_utterances(student, split) if u.id in split.hidden)


def test_lines_without_a_text_are_untranscribed_speech(student: Recipe):
    names = [f"aa-train-{number}" for number in (3, 5, 8)]
    rewrite(student, lambda u: replace(u, text=None) if u.id in names else u)
    split = open_split(student.overridden({"languages.aa.budget_s": None}), "aa", "train")
    assert list(split.hidden) == names
    assert len(split.positions) == 30


def test_amounts_are_nested_and_more_than_there_is_is_refused(student: Recipe):
    found = []
    for more_s in (3.0, 6.0, None):
        changed = student.overridden({"languages.aa.pseudo_labels.untranscribed_s": more_s})
        split = open_split(changed, "aa", "train")
        found.append(split.hidden.keys())
        seconds = sum(u.duration_s for u in split.utterances() if u.id in split.hidden)
        assert more_s is None or more_s - 2 < seconds <= more_s
    assert found[0] < found[1] < found[2]
    with pytest.raises(InputError, match="is more than there is"):
        open_split(student.overridden({"languages.aa.pseudo_labels.untranscribed_s": 1000.0}), "aa", "train")
    with pytest.raises(InputError, match="no untranscribed speech"):
        open_split(student.overridden({"languages.aa.budget_s": None}), "aa", "train")


def test_untranscribed_speech_that_is_in_dev_is_refused(student: Recipe, tmp_path: Path):
    hidden = open_split(student, "aa", "train").hidden
    train_lines = read_manifest(manifest_path(student.data.dir, "aa", "train"))
    copied = [replace(u, text="abcd") for u in train_lines if u.id in hidden]
    path = manifest_path(student.data.dir, "aa", "test")
    own = [replace(u, id=f"own-{u.id}") for u in read_manifest(path)]
    write_manifest(path, [*own, *copied, *(replace(u, id=f"again-{u.id}") for u in copied)])
    with pytest.raises(InputError, match="test utterances have audio that is in training"):
        train(student, tmp_path / "run")


def test_a_run_resumes_with_the_pseudo_labels_it_was_begun_with(student: Recipe, tmp_path: Path, untraced: None):
    run = train(student, tmp_path / "run")
    text = (run.path / "pseudo_labels" / "aa.jsonl").read_bytes()
    gone = student.overridden({"languages.aa.pseudo_labels.teacher": str(tmp_path / "gone")})
    with pytest.raises(InputError):
        train(gone, tmp_path / "other")
    resumed = train(gone.overridden({"training.num_updates": 2}), run.path)
    assert resumed.progress().update == 2
    assert (run.path / "pseudo_labels" / "aa.jsonl").read_bytes() == text
    (run.path / "pseudo_labels" / "aa.jsonl").write_bytes(text.splitlines(keepends=True)[0])
    with pytest.raises(InputError, match="are not those of"):
        train(gone.overridden({"training.num_updates": 3}), run.path)
    (run.path / "pseudo_labels" / "aa.jsonl").unlink()
    with pytest.raises(InputError, match="There is no file"):
        train(gone.overridden({"training.num_updates": 3}), run.path)


def test_a_teacher_of_another_language_or_rate_is_refused(student: Recipe, trained: Run, tmp_path: Path):
    shutil.copytree(student.data.dir / "aa", student.data.dir / "cs")
    own = student.languages["aa"].model_copy(update={"manifest_languages": ("aa",)})
    other = student.overridden({"languages": {"cs": own}, "target": "cs"})
    with pytest.raises(InputError, match="no output layer"):
        train(other, tmp_path / "cs")
    with pytest.raises(InputError, match="another sample rate"):
        train(student.overridden({"data.sample_rate_hz": 8000}), tmp_path / "slow")


def test_settings_that_hide_transcripts_twice_are_refused(student: Recipe):
    with pytest.raises(InputError, match=r"keep_transcripts"):
        student.overridden({"languages.aa.keep_transcripts": 0.5})
    with pytest.raises(InputError, match="the lower end"):
        student.overridden({"languages.aa.pseudo_labels.rate_range": [2.0, 0.5]})


def hypothesis(name: str, text: str, probability: float) -> Hypothesis:
    tokens = tuple(Token(letter, 0.1 * i, 0.1 * i + 0.1, math.log(probability)) for i, letter in enumerate(text))
    return Hypothesis(name, "aa", text, -1.0, {}, tokens)


def reasons(labels: list[PseudoLabel]) -> dict[str, str]:
    return {label["id"]: label["left_out"] for label in labels}


def test_what_is_left_out_and_why():
    found = [
        *(hypothesis("silent", "", 0.9), hypothesis("slow", "ab", 0.9), hypothesis("fast", "abcd abcd abcd", 0.9)),
        *(hypothesis("unsure", "abcd", 0.3), hypothesis("sure", "ab cd", 0.8), hypothesis("surer", "abc d", 0.9)),
    ]
    settings = PseudoLabelFilter(keep=1.0, min_confidence=0.5, rate_range=(0.6, 2.0))
    labels = filtered(found, [1.0] * 6, [4.0, 4.0, 100.0], settings)
    expected = {"silent": NO_WORDS, "slow": RATE, "fast": RATE, "unsure": UNSURE, "sure": "", "surer": ""}
    assert reasons(labels) == expected
    assert [label["confidence"] for label in labels] == pytest.approx([0.0, 0.9, 0.9, 0.3, 0.8, 0.9])
    half = filtered(found, [1.0] * 6, [4.0, 4.0, 100.0], settings.model_copy(update={"keep": 0.5}))
    assert reasons(half) == {**expected, "sure": LESS_SURE}
    assert RATE not in reasons(filtered(found, [1.0] * 6, [], settings)).values(), "no transcripts give no usual rate"


def test_the_fraction_that_is_kept_is_the_most_confident_one():
    generator = np.random.default_rng(0)
    found = [hypothesis(str(i), "abcd", float(p)) for i, p in enumerate(generator.uniform(0.1, 0.99, 50))]
    kept = [
        i for i, label in enumerate(filtered(found, [1.0] * 50, [4.0], PseudoLabelFilter())) if not label["left_out"]
    ]
    ranked = sorted(range(50), key=lambda i: -confidence(found[i]))
    assert set(kept) == set(ranked[:40])


def test_nothing_that_passes_is_an_error(student: Recipe, tmp_path: Path, untraced: None):
    strict = student.overridden({"languages.aa.pseudo_labels.min_confidence": 1.0})
    with pytest.raises(InputError, match=r"No hypothesis of .* passes the filters") as caught:
        train(strict, tmp_path / "run")
    assert UNSURE in str(caught.value)
    assert not (tmp_path / "run").exists()
