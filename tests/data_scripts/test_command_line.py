"""The shared command line: what is skipped, what is refused, how it says so."""

import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Annotated

import pytest
import typer
from tiny_corpora import write_tone
from typer.testing import CliRunner

from data_scripts.command_line import Corpus, Part, Record, corpus_app, make_manifests
from speech_mtl.data.manifest import manifest_path, read_manifest
from speech_mtl.errors import InputError


def corpus_of(records: Iterable[Record] | None) -> Corpus:
    """A corpus that has these records in train and nothing else."""
    return Corpus("Test", "nothing", "no example", lambda part: records if part.split == "train" else None)


def record(audio: Path, *, id: str | None = None, text: str = "a text", line: int = 1) -> Record:
    return Record(id or audio.stem, audio, text, speaker=None, source=f"table.tsv:{line}")


@pytest.fixture
def good(tmp_path: Path) -> Record:
    write_tone(tmp_path / "good.wav", 1.0)
    return record(tmp_path / "good.wav")


def unusable(tmp_path: Path) -> dict[str, Record]:
    """One record of each kind that cannot be used."""
    (tmp_path / "unreadable.wav").write_bytes(b"no audio at all")
    write_tone(tmp_path / "empty.wav", 0.0)
    write_tone(tmp_path / "silent.wav", 1.0)
    (tmp_path / "half.wav").write_bytes((tmp_path / "silent.wav").read_bytes()[:10_000])
    return {
        "audio missing": record(tmp_path / "missing.wav", line=2),
        "audio unreadable": record(tmp_path / "unreadable.wav", line=3),
        "audio empty": record(tmp_path / "empty.wav", line=4),
        "without text": record(tmp_path / "silent.wav", text=" ", line=5),
        "id comes twice": record(tmp_path / "silent.wav", id="good", line=6),
        "audio truncated": record(tmp_path / "half.wav", line=7),
    }


def test_each_unusable_utterance_is_reported_and_counted(good: Record, tmp_path: Path):
    corpus = corpus_of([good, *unusable(tmp_path).values()])
    result = CliRunner().invoke(
        corpus_app(corpus), ["CORPUS", str(tmp_path / "data"), "--language", "cs", "--allow-skipped", "0.9"]
    )
    assert result.exit_code == 0, result.output
    assert [utterance.id for utterance in read_manifest(manifest_path(tmp_path / "data", "cs", "train"))] == ["good"]
    for line in range(2, 8):
        assert result.stderr.count(f"table.tsv:{line}: skipped: ") == 1
    assert "no split 'dev'" in result.stderr


def test_summaries_tell_what_was_skipped(good: Record, tmp_path: Path):
    bad = unusable(tmp_path)
    (summary,) = make_manifests(
        corpus_of([good, *bad.values()]), "CORPUS", tmp_path / "data", ["cs"], allow_skipped=0.9
    )
    assert summary.skipped == dict.fromkeys(bad, 1)
    assert (summary.num_utterances, summary.duration_s, summary.num_speakers) == (1, 1.0, 0)


def test_too_many_unusable_utterances_are_refused(good: Record, tmp_path: Path):
    corpus = corpus_of([good, *unusable(tmp_path).values()])
    with pytest.raises(InputError, match=r"6 unusable \(1 audio empty, 1 audio missing"):
        make_manifests(corpus, "CORPUS", tmp_path / "data", ["cs"])
    assert not manifest_path(tmp_path / "data", "cs", "train").exists()


def test_a_single_unusable_utterance_never_is_too_much(good: Record, tmp_path: Path):
    records = [good, record(tmp_path / "missing.wav")]
    (summary,) = make_manifests(corpus_of(records), "CORPUS", tmp_path / "data", ["cs"])
    assert (summary.num_utterances, summary.skipped) == (1, {"audio missing": 1})


def test_one_in_a_hundred_may_be_unusable(tmp_path: Path):
    write_tone(tmp_path / "good.wav", 0.1)
    good = [record(tmp_path / "good.wav", id=str(number)) for number in range(99)]
    missing = [record(tmp_path / f"missing{number}.wav") for number in range(2)]
    (summary,) = make_manifests(corpus_of([*good, missing[0]]), "CORPUS", tmp_path / "data", ["cs"])
    assert summary.num_utterances == 99
    with pytest.raises(InputError, match="2 unusable"):
        make_manifests(corpus_of([*good, *missing]), "CORPUS", tmp_path / "data", ["cs"], overwrite=True)


@pytest.mark.parametrize("records", [None, []])
def test_a_corpus_without_utterances_is_refused(records: list[Record] | None, tmp_path: Path):
    with pytest.raises(InputError, match="no utterances"):
        make_manifests(corpus_of(records), "CORPUS", tmp_path / "data", ["cs"])


def test_the_language_has_to_be_known(good: Record, tmp_path: Path):
    result = CliRunner().invoke(corpus_app(corpus_of([good])), ["CORPUS", str(tmp_path / "data")])
    assert result.exit_code == 2
    assert "add --language" in result.stderr


def test_keyword_parameters_become_options(tmp_path: Path):
    seen = []

    def records(part: Part, *, colour: Annotated[str, typer.Option(help="Which one.")] = "red") -> None:
        seen.append((part.split, colour))

    app = corpus_app(Corpus("Test", "nothing", "no example", records))
    CliRunner().invoke(app, ["CORPUS", str(tmp_path), "--language", "cs", "--colour", "blue"])
    assert seen == [("train", "blue"), ("dev", "blue"), ("test", "blue")]
    assert "Which one." in CliRunner().invoke(app, ["--help"]).stdout


def test_a_script_run_as_a_module_ends_without_traceback(tmp_path: Path):
    command = [sys.executable, "-m", "data_scripts.mls", str(tmp_path / "missing"), str(tmp_path / "data")]
    ended = subprocess.run(command, cwd=Path(__file__).parents[2], capture_output=True, text=True, check=False)
    assert ended.returncode == 2
    assert ended.stdout == ""
    assert "There is no corpus folder" in ended.stderr
    assert "Traceback" not in ended.stderr
