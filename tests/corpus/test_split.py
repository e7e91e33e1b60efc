"""Splits share no speaker, no text and no audio; what is impossible is refused."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from made_up_manifests import good, line, written

from speech_mtl.corpus.manifests import ManifestFile
from speech_mtl.corpus.split import SplitSettings, budget_sizes, cut, write_splits
from speech_mtl.data.leaks import comparable_text
from speech_mtl.data.manifest import read_manifest
from speech_mtl.data.place import place_of
from speech_mtl.data.sampling import within_budget
from speech_mtl.errors import InputError

WORDS = " ".join(f"wort{i}" for i in range(997))


def manifest(tmp_path: Path, lines: list) -> ManifestFile:
    return ManifestFile(written(tmp_path / "in" / "de" / "train.jsonl", lines), "de", "train")


def of_speakers(tmp_path: Path, num_speakers: int, each: int = 6) -> ManifestFile:
    lines = [
        line(i, f"satz nummer {'x' * (i + 1)}", f"s{i // each}", audio=f"../{i}.flac")
        for i in range(num_speakers * each)
    ]
    return manifest(tmp_path, lines)


@pytest.mark.parametrize("seed", range(5))
def test_nothing_is_in_two_splits_and_nothing_is_lost(tmp_path, seed):
    lines = [
        line(i, f"{i % 97} {'y' * (i % 89)}", f"s{i // 7}", duration_s=1.0 + i % 5, audio=f"../{i}.flac")
        for i in range(210)
    ]
    lines[3]["text"] = lines[100]["text"]  # joins two speakers
    lines[20]["audio"] = lines[150]["audio"]
    made = cut(manifest(tmp_path, lines), SplitSettings(0.1, 0.2, seed))
    assert sorted(one.id for own in made.splits.values() for one in own) == sorted(one["id"] for one in lines)
    total = sum(one["duration_s"] for one in lines)
    for name, wanted in (("dev", 0.1), ("test", 0.2)):
        assert sum(one.duration_s for one in made.splits[name]) / total == pytest.approx(wanted, abs=0.06)
    for key in (lambda one: one.speaker, comparable_text, lambda one: one.audio):
        sets = [set(map(key, own)) for own in made.splits.values()]
        assert not any(a & b for i, a in enumerate(sets) for b in sets[:i])


def calls(tmp_path: Path) -> ManifestFile:
    """20 recordings of two speakers, who interrupt each other, on a channel each."""
    lines = []
    for i in range(20):
        for j in range(6):
            part = f"#start_s={2 * j}&end_s={2 * j + 3 - j % 2}&channel={j % 2}"
            lines.append(line(6 * i + j, f"{i} {'x' * (6 * i + j)}", f"s{2 * i + j % 2}", audio=f"../{i}.flac{part}"))
    return manifest(tmp_path, lines)


@pytest.mark.parametrize("seed", range(3))
def test_all_of_a_recording_is_in_one_split(tmp_path, seed):
    """Though its two speakers have nothing else in common."""
    made = cut(calls(tmp_path), SplitSettings(0.1, 0.2, seed))
    files = [{place_of(one.audio).file for one in own} for own in made.splits.values()]
    assert sum(map(len, files)) == 20


@pytest.mark.parametrize("seed", range(3))
def test_stretches_that_overlap_are_in_one_split(tmp_path, seed):
    """Where speakers may be in several splits; the rest of a long recording can be cut."""
    made = cut(calls(tmp_path), SplitSettings(0.1, 0.2, seed, share_speakers=True))
    placed = [(place_of(one.audio), name) for name, own in made.splits.items() for one in own]
    split_of = {(place.file, place.start_s or 0.0): name for place, name in placed}
    pairs = [(name, split_of[file, start_s + 2]) for (file, start_s), name in split_of.items() if start_s % 4 == 0]
    assert len(pairs) == 60
    assert all(one == other for one, other in pairs)
    assert len({(place.file, name) for place, name in placed}) > 20


def test_a_whole_file_overlaps_with_all_of_it(tmp_path):
    file = "../0.flac"
    lines = [line(i, "x" * i, "s", audio=f"{file}#start_s={i}&end_s={i + 1}") for i in range(1, 30)]
    lines += [line(30, "y", "s", audio=file), line(31, "z", "s", audio="../1.flac")]
    made = cut(manifest(tmp_path, lines), SplitSettings(0.0, 0.03, share_speakers=True))
    assert [one.id for one in made.splits["test"]] == ["u31"]


def test_two_speakers_of_one_recording_cannot_be_kept_apart(tmp_path):
    lines = [line(i, "x" * (i + 1), f"s{i % 2}", audio=f"../0.flac#start_s={i}&end_s={i + 1}") for i in range(40)]
    file = manifest(tmp_path, lines)
    with pytest.raises(InputError, match="speakers, texts and recordings kept apart") as raised:
        cut(file, SplitSettings(0.1, 0.1))
    assert "--dev 0" not in raised.value.action
    assert "--share-speakers" in raised.value.action
    made = cut(file, SplitSettings(0.1, 0.1, share_speakers=True))
    assert {name: len(own) for name, own in made.splits.items()} == {"train": 32, "dev": 4, "test": 4}


def test_the_seed_decides_and_the_order_of_the_manifest_is_kept(tmp_path):
    file = of_speakers(tmp_path, 30)
    chosen = [{one.speaker for one in cut(file, SplitSettings(0.1, 0.1, seed)).splits["test"]} for seed in (0, 0, 1)]
    assert chosen[0] == chosen[1] != chosen[2]
    ids = [one.id for one in cut(file, SplitSettings(0.1, 0.1)).splits["train"]]
    assert ids == sorted(ids, key=lambda name: int(name[1:]))


def test_one_speaker_cannot_be_kept_apart_unless_texts_alone_are(tmp_path):
    file = of_speakers(tmp_path, 1, each=60)
    with pytest.raises(InputError, match="1 speaker; 1 groups") as raised:
        cut(file, SplitSettings(0.1, 0.1))
    assert "--share-speakers" in raised.value.action
    made = cut(file, SplitSettings(0.1, 0.1, share_speakers=True))
    assert {name: len(own) for name, own in made.splits.items()} == {"train": 48, "dev": 6, "test": 6}


def test_two_speakers_are_enough_without_dev(tmp_path):
    file = of_speakers(tmp_path, 2)
    with pytest.raises(InputError, match="--dev 0"):
        cut(file, SplitSettings(0.3, 0.3))
    assert set(cut(file, SplitSettings(0.0, 0.3)).splits) == {"train", "test"}


def test_unknown_speakers_are_refused(tmp_path):
    lines = good(0, 20, "abcdef", WORDS)
    lines[4]["speaker"] = None
    with pytest.raises(InputError, match=r"train\.jsonl:5: the speaker is unknown"):
        cut(manifest(tmp_path, lines), SplitSettings(0.1, 0.1))


def test_texts_that_all_speakers_read_are_left_out_only_if_asked(tmp_path):
    lengths = [i if i % 4 else i % 20 for i in range(200)]  # five that all read, and those of each speaker alone
    lines = [line(i, f"text {'z' * one}", f"s{i // 20}", audio=f"../{i}.flac") for i, one in enumerate(lengths)]
    with pytest.raises(InputError, match="--drop-shared-texts"):
        cut(manifest(tmp_path, lines), SplitSettings(0.1, 0.1))
    made = cut(manifest(tmp_path, lines), SplitSettings(0.1, 0.1, drop_shared_texts=True))
    texts = {name: {comparable_text(one) for one in own} for name, own in made.splits.items()}
    assert not texts["train"] & (texts["dev"] | texts["test"])
    assert not texts["dev"] & texts["test"]
    assert sum(map(len, made.splits.values())) + len(made.left_out) == 200
    assert made.left_out
    assert all(made.splits.values())


def test_speakers_who_all_read_the_same_texts_cannot_be_kept_apart(tmp_path):
    """Whatever test has, training has too: leaving it out would leave nothing to learn from."""
    file = manifest(tmp_path, [line(i, "abcde"[i % 5], f"s{i // 5}", audio=f"../{i}.flac") for i in range(50)])
    with pytest.raises(InputError, match="train 0, dev 0, test 5; 45 left out for their text") as raised:
        cut(file, SplitSettings(0.1, 0.1, drop_shared_texts=True))
    assert "--share-speakers" in raised.value.action
    with pytest.raises(InputError, match="10 speakers; 1 groups") as raised:
        cut(file, SplitSettings(0.1, 0.1))
    assert "--drop-shared-texts" not in raised.value.action
    assert all(cut(file, SplitSettings(0.1, 0.1, share_speakers=True)).splits.values())


def test_budgets_take_what_training_takes(tmp_path):
    lines = [line(i, "x", f"s{i}", duration_s=1.0 + i % 7, audio=f"../{i}.flac") for i in range(100)]
    utterances = list(manifest(tmp_path, lines).utterances())
    durations_s = np.array([1.0 + i % 7 for i in range(100)])
    sizes = budget_sizes(utterances, (30, 60, 200), 3)
    for budget_s, (seconds, number, speakers) in zip((30, 60, 200), sizes, strict=True):
        taken = within_budget(durations_s, budget_s, 3, "x")
        assert (number, speakers) == (len(taken), len(taken))
        assert seconds == pytest.approx(durations_s[taken].sum())
    with pytest.raises(InputError, match="more than there is"):
        budget_sizes(utterances, (10_000,), 3)
    unread = [replace(one, text=None) if i % 2 else one for i, one in enumerate(utterances)]
    ((seconds, number, _),) = budget_sizes(unread, (60,), 3)
    durations_s[1::2] = 0
    taken = within_budget(durations_s, 60, 3, "x")
    assert (seconds, number) == (pytest.approx(durations_s[taken].sum()), len(taken))


def test_an_id_that_comes_twice_is_refused_as_training_does(tmp_path):
    lines = good(0, 12, "abc")
    path = written(tmp_path / "de" / "all.jsonl", [*lines, lines[3] | {"text": "acht"}])
    with pytest.raises(InputError, match="'u3' comes twice"):
        cut(ManifestFile(path, "de", "train"), SplitSettings(0.1, 0.1))


def test_splits_are_written_once(tmp_path):
    made = cut(of_speakers(tmp_path, 20), SplitSettings(0.1, 0.1))
    write_splits(tmp_path / "out", "de", made)
    for name, own in made.splits.items():
        read = list(read_manifest(tmp_path / "out" / "de" / f"{name}.jsonl"))
        assert [one.id for one in read] == [one.id for one in own]
        assert read[0].audio.resolve() == own[0].audio.resolve()
    with pytest.raises(InputError, match="is there already"):
        write_splits(tmp_path / "out", "de", made)
