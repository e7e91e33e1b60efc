"""Multilingual LibriSpeech: both editions, the language from the folder's name, broken tables."""

import re
from pathlib import Path

import pytest
from tiny_corpora import CORPORA, mls

from data_scripts.command_line import make_manifests
from data_scripts.mls import CORPUS
from speech_mtl.data.manifest import manifest_path, read_manifest
from speech_mtl.errors import InputError


@pytest.mark.parametrize("suffix", [".opus", ".flac"])
def test_both_editions_and_the_language_from_the_folder(suffix: str, tmp_path: Path):
    corpus = mls(tmp_path, suffix)
    summaries = make_manifests(CORPUS, corpus.path, tmp_path / "data")
    assert [(summary.language, summary.num_utterances) for summary in summaries] == [("pl", 3), ("pl", 1), ("pl", 2)]
    first = next(iter(read_manifest(manifest_path(tmp_path / "data", "pl", "train"))))
    assert (first.id, first.speaker, first.text) == ("17_42_000000", "17", "zdanie numer 0")
    assert first.audio == corpus.path / "train" / "audio" / "17" / "42" / f"17_42_000000{suffix}"


def test_the_language_can_be_given(tmp_path: Path):
    corpus = mls(tmp_path)
    renamed = corpus.path.rename(tmp_path / "somewhere")
    with pytest.raises(InputError, match="the language has to be given"):
        make_manifests(CORPUS, renamed, tmp_path / "data")
    assert make_manifests(CORPUS, renamed, tmp_path / "data", ["pl"])[0].language == "pl"


@pytest.mark.parametrize(
    ("line", "problem"),
    [
        ("17_42_000003 no tab", "1 fields, 2 expected"),
        ("17_42\ttext", "not a line of Multilingual LibriSpeech: '17_42'"),
        ("17_42_000003\ttwo\ttabs", "3 fields, 2 expected"),
        ("17_42_000003\tone\r17_42_000004\ttwo", "3 fields, 2 expected"),
        ("17_42_000003\tN\0UL", "the field 'text' holds the letter NUL"),
        (f"17_42_{'0' * 300}\tname too long", "File name too long"),
        ("17_42_\0\ttext", "the field 'id' holds the letter NUL"),
    ],
)
def test_a_broken_line_is_named_and_counted(
    line: str, problem: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    corpus = mls(tmp_path)
    with (corpus.path / "train" / "transcripts.txt").open("a", encoding="utf-8", newline="") as table:
        table.write(line + "\n")
    summaries = make_manifests(CORPUS, corpus.path, tmp_path / "data")
    assert [summary.num_utterances for summary in summaries] == [3, 1, 2]
    assert sum(summaries[0].skipped.values()) == 1
    assert re.search(rf"transcripts\.txt:4: skipped: .*{re.escape(problem)}", capsys.readouterr().err)
    with pytest.raises(InputError, match="1 of 4 unusable"):
        make_manifests(CORPUS, corpus.path, tmp_path / "data", overwrite=True, allow_skipped=0.0)


def test_byte_order_mark_empty_lines_and_other_line_ends(tmp_path: Path):
    corpus = mls(tmp_path)
    table = corpus.path / "train" / "transcripts.txt"
    first, second, third = table.read_text(encoding="utf-8").splitlines()
    table.write_bytes(f"\ufeff{first}\r\n\n{second}\r\r\n{third}".encode())
    make_manifests(CORPUS, corpus.path, tmp_path / "data")
    utterances = read_manifest(manifest_path(tmp_path / "data", "pl", "train"))
    assert [(u.id, u.text) for u in utterances] == [(f"17_42_00000{i}", f"zdanie numer {i}") for i in range(3)]


def test_a_folder_named_after_another_language_is_refused(tmp_path: Path):
    corpus = mls(tmp_path)
    with pytest.raises(InputError, match="--language pl"):
        make_manifests(CORPUS, corpus.path, tmp_path / "data", ["fr"])
    assert make_manifests(CORPUS, corpus.path, tmp_path / "data", ["pl-PL"])[0].num_utterances == 3


def test_another_folder_is_refused(tmp_path: Path):
    with pytest.raises(InputError, match="not Multilingual LibriSpeech"):
        make_manifests(CORPUS, tmp_path, tmp_path / "data", ["pl"])


@pytest.mark.skipif(not (CORPORA / "mls_german_opus").is_dir(), reason="no ../shared/corpora")
def test_human_speech(tmp_path: Path):
    summaries = make_manifests(CORPUS, CORPORA / "mls_german_opus", tmp_path / "data")
    assert [(summary.language, summary.num_utterances) for summary in summaries] == [
        ("de", 1044),
        ("de", 80),
        ("de", 150),
    ]
    assert summaries[0].duration_s / 3600 == pytest.approx(1.3, abs=0.05)
