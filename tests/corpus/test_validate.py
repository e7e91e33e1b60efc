"""Each kind of fault is found, with its line, and nothing is found where training finds nothing."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
from made_up_manifests import good, line, written

from speech_mtl.corpus.findings import Finding, Findings
from speech_mtl.corpus.manifests import find_manifests
from speech_mtl.corpus.validate import validate
from speech_mtl.errors import InputError
from speech_mtl.run.speech import open_split
from speech_mtl.run.targets import make_tokenizer


def found(paths: list[Path], decoding: bool = True, changes: tuple[str, ...] = ()) -> list[Finding]:
    findings = Findings(None)
    for one in find_manifests(paths, changes):
        validate(one, findings, decoding)
    return findings.kept


def kinds(findings: list[Finding]) -> set[tuple[str, str, str, int]]:
    return {(one.level, one.kind, one.path.name, one.line) for one in findings}


@pytest.fixture
def speech(tmp_path: Path) -> Path:
    written(tmp_path / "de" / "train.jsonl", good(0, 30, "abc"))
    written(tmp_path / "de" / "dev.jsonl", good(100, 5, "d", "fünf sechs"))
    written(tmp_path / "de" / "test.jsonl", good(200, 5, "e", "sieben acht"))
    return tmp_path


def spoil(path: Path, number: int, **fields: Any) -> None:
    """Changes fields of a line, from 1."""
    lines = path.read_text(encoding="utf-8").splitlines()
    lines[number - 1] = json.dumps(json.loads(lines[number - 1]) | fields)
    written(path, [json.loads(one) for one in lines])


@pytest.mark.parametrize("labels", [{}, {"mood": "calm"}])
def test_a_recipe_with_tasks(speech, labels):
    """Without labels, transcripts are checked all the same."""
    spoil(speech / "de" / "train.jsonl", 1, text="fünf sechs sieben acht", labels=labels)
    changes = f"data.dir={speech}", "tasks={mood: {pooling: attention}}", "target=mood"
    (speech / "recipe.yaml").write_text("name: x\nlanguages: {de: {}}\n", encoding="utf-8")
    spoil(speech / "de" / "train.jsonl", 2, text="?")
    expected = {("left out", "no text", "train.jsonl", 2)}
    if not labels:
        expected.add(("refused", "no such label", "train.jsonl", 0))
    assert expected <= kinds(found([speech / "recipe.yaml"], changes=changes))


def test_nothing_is_found_where_nothing_is_wrong(speech):
    spoil(speech / "de" / "train.jsonl", 1, text="fünf sechs sieben acht")  # dev and test have no letters of their own
    assert found([speech]) == []
    assert found([speech], decoding=False) == []


def test_training_speech_without_validation_speech_is_noted(speech):
    (speech / "de" / "dev.jsonl").unlink()
    assert ("note", "no validation speech", "train.jsonl", 0) in kinds(found([speech], decoding=False))
    (speech / "recipe.yaml").write_text("name: x\ntarget: de\nlanguages: {de: {}, en: {}}\n", encoding="utf-8")
    recipe = kinds(found([speech / "recipe.yaml"], decoding=False, changes=(f"data.dir={speech}",)))
    assert ("refused", "no manifest", "dev.jsonl", 0) in recipe
    assert "no validation speech" not in {kind for _, kind, _, _ in recipe}


BAD_LINES = {
    b"{\n": ("line that cannot be read", "not JSON"),
    b'{"id": "x"}\n': ("line that cannot be read", "'audio' is missing"),
    b'{"id": "caf\xe9"}\n': ("not UTF-8", "iconv"),
}


@pytest.mark.parametrize(("bad", "kind"), [(bad, kind) for bad, (kind, _) in BAD_LINES.items()])
def test_lines_that_cannot_be_read_are_named_and_the_others_read(speech, bad, kind):
    path = speech / "de" / "train.jsonl"
    whole = path.read_bytes().splitlines(keepends=True)
    path.write_bytes(b"".join([whole[0], bad, *whole[1:3], bad, *whole[3:]]))
    refused = [one for one in found([speech]) if one.level == "refused"]
    assert kinds(refused) == {("refused", kind, "train.jsonl", 2), ("refused", kind, "train.jsonl", 5)}


def test_a_manifest_in_utf16_is_one_finding(speech):
    path = speech / "de" / "test.jsonl"
    path.write_bytes(path.read_text(encoding="utf-8").encode("utf-16"))
    named = [one for one in found([speech]) if one.path == path]
    assert [(one.kind, one.line) for one in named] == [("not UTF-8", 1)]
    assert "UTF-16" in named[0].message


def test_audio_that_training_leaves_out(speech):
    path = speech / "de" / "train.jsonl"
    (speech / "de" / "cut.wav").write_bytes((speech / "audio" / "5.wav").read_bytes()[:2000])
    soundfile.write(speech / "de" / "silent.flac", np.zeros(48_000), 16_000)
    spoil(path, 2, audio="none.flac")
    spoil(path, 3, audio="cut.wav")
    spoil(path, 4, audio="silent.flac")
    spoil(path, 5, duration_s=9.0)
    spoil(path, 6, duration_s=31.0)
    listed = kinds(found([speech]))
    reasons = {2: "missing", 3: "truncated", 4: "silent", 5: "shorter than in its manifest"}
    assert {("left out", f"audio {reason}", "train.jsonl", line) for line, reason in reasons.items()} <= listed
    assert ("refused", "too many left out for their audio", "train.jsonl", 0) in listed
    allowed = kinds(found([speech], changes=("data.allow_skipped=0.5",)))
    assert not any(level == "refused" for level, *_ in allowed)
    quick = kinds(found([speech], decoding=False))
    assert ("left out", "audio missing", "train.jsonl", 2) in quick
    assert ("left out", "audio too long", "train.jsonl", 6) in quick
    assert not {number for level, _, _, number in quick if level == "left out"} & {3, 4, 5}


def test_texts_that_training_leaves_out_or_uses(speech):
    path = speech / "de" / "train.jsonl"
    spoil(path, 1, text="ku?ier in die Sch?ler")
    spoil(path, 2, text="?!")
    spoil(path, 3, text="a b " * 200)
    spoil(path, 4, text="gut, гут")
    spoil(path, 5, text=None)
    spoil(speech / "de" / "test.jsonl", 1, text="ñandú")
    listed = kinds(found([speech], changes=("data.allow_skipped=0.5",)))
    assert {
        ("note", "damaged letters", "train.jsonl", 1),
        ("left out", "no text", "train.jsonl", 2),
        ("left out", "too short for its text", "train.jsonl", 3),
        ("note", "letters of another script", "train.jsonl", 4),
        ("note", "no transcript", "train.jsonl", 5),
        ("note", "unknown characters", "test.jsonl", 1),
    } <= listed
    assert not any(level == "refused" for level, *_ in listed)
    assert ("refused", "too many left out for their text", "train.jsonl", 0) in kinds(found([speech]))


def test_what_several_lines_have(speech):
    train, test = speech / "de" / "train.jsonl", speech / "de" / "test.jsonl"
    spoil(train, 9, id="u3")
    spoil(test, 1, id="u4")
    spoil(test, 2, audio="../audio/7.wav")
    first = json.loads(train.read_text(encoding="utf-8").splitlines()[0])
    spoil(test, 3, text=first["text"].upper() + "!")
    spoil(test, 4, speaker="a")
    spoil(test, 5, language="pl")
    listed = kinds(found([speech]))
    for kind in (
        ("refused", "id twice", "train.jsonl", 9),
        ("note", "id in two manifests", "test.jsonl", 1),
        ("note", "audio in training", "test.jsonl", 2),
        ("note", "text in training", "test.jsonl", 3),
        ("note", "speakers in training", "test.jsonl", 0),
        ("refused", "another language", "test.jsonl", 5),
    ):
        assert kind in listed


def test_a_test_set_in_training_is_refused_as_training_does(tmp_path):
    written(tmp_path / "de" / "train.jsonl", good(0, 40, "abc"))
    written(tmp_path / "de" / "test.jsonl", good(0, 30, "abc"))
    for decoding in (True, False):
        listed = kinds(found([tmp_path], decoding))
        assert ("refused", "too much audio in training", "test.jsonl", 0) in listed
    assert ("refused", "too much audio in training", "test.jsonl", 0) not in kinds(
        found([tmp_path], changes=("data.allow_leaks=1.0",))
    )


def test_sample_rates_and_channels_are_noted(speech):
    written(speech / "en" / "train.jsonl", good(300, 20, "f", language="en"), rate=22_050, channels=2)
    listed = kinds(found([speech]))
    assert ("note", "mixed sample rates", "train.jsonl", 0) in listed
    assert {number for _, kind, _, number in listed if kind == "several channels"} == set(range(1, 21))
    for number in range(2, 21):
        spoil(speech / "en" / "train.jsonl", number, audio=f"../audio/{299 + number}.wav#channel=0")
    listed = kinds(found([speech]))
    assert {number for _, kind, _, number in listed if kind == "several channels"} == {1}


def test_manifests_that_are_missing_or_empty(speech, tmp_path):
    (speech / "de" / "test.jsonl").write_text("")
    assert ("refused", "no manifest", "test.jsonl", 0) in kinds(found([speech]))
    with pytest.raises(InputError, match="holds no manifests"):
        find_manifests([tmp_path / "audio"])
    recipe = speech / "recipe.yaml"
    recipe.write_text(f"name: x\ntarget: de\nlanguages: {{de: {{}}, fr: {{}}}}\ndata: {{dir: {speech}}}\n")
    missing = [one for one in found([recipe]) if one.kind == "no manifest" and one.path.parent.name == "fr"]
    assert [one.path.name for one in missing] == ["train.jsonl"]
    (elsewhere := tmp_path / "other.yaml").write_text(recipe.read_text().replace(str(speech), "nowhere"))
    assert find_manifests([elsewhere], leave_out_missing=True) == []


def test_what_is_refused_is_what_training_refuses(speech):
    """The same manifest, given to the functions of training."""
    for spoilt in ({"text": "?!"}, {"audio": "none.flac"}, {"language": "pl"}, {"id": "u5"}):
        train = written(speech / "de" / "train.jsonl", good(0, 30, "abc"))
        for number in (1, 2):
            spoil(train, number, **spoilt)
        findings, (one,) = Findings(None), find_manifests([speech], (f"data.cache_dir={speech / 'cache'}",))
        validate(one, findings, decoding=True)
        if "text" in spoilt:
            assert ("refused", "too many left out for their text") in findings.counts
            continue
        with pytest.raises(InputError):
            make_tokenizer(one.recipe, open_split(one.recipe, "de", "train"))
        assert findings.num_refused


def test_labels_of_other_languages_are_not_required(speech):
    """A task that has no labels for a language does not make all of its utterances unlabelled."""
    for split, number in (("train", 300), ("dev", 400)):
        written(speech / "en" / f"{split}.jsonl", [line(number, "hello", "f", language="en")])
    (speech / "words.txt").write_text("hello\th e l o\n", encoding="utf-8")
    phones = f"tasks.phones={{kind: phones, lexicons: {{en: {speech / 'words.txt'}, de: null}}}}"
    changes = phones, "data.require_all_labels=true"
    assert {one.level for one in found([speech], changes=changes)} == {"note"}
    for number in range(1, 31):
        spoil(speech / "de" / "train.jsonl", number, text=None)
    assert ("refused", "nothing to learn", "train.jsonl", 0) in kinds(found([speech], changes=changes))


def test_only_some_of_many_findings_are_kept_and_all_are_counted(speech):
    for number in range(1, 8):
        spoil(speech / "de" / "train.jsonl", number, audio="none.flac")
    findings, (one,) = Findings(3), find_manifests([speech])
    validate(one, findings, decoding=False)
    assert findings.counts["left out", "audio missing"] == 7
    assert [one.line for one in findings.kept if one.kind == "audio missing"] == [1, 2, 3]


def test_a_line_of_its_own(tmp_path):
    """A file that no folder names the language of is of its first line's."""
    path = written(tmp_path / "more.jsonl", [line(1, "ja", "a", language="fy"), line(2, "nein", "a", language="fy")])
    (one,) = find_manifests([path])
    assert [(file.language, file.split) for file in one.files] == [("fy", "train")]
