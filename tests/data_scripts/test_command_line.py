"""The shared command line: what is skipped, what is refused, how it says so."""

import datetime
import errno
import subprocess
import sys
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path
from typing import Annotated

import numpy as np
import pytest
import soundfile
import typer
from tiny_corpora import write_tone
from typer.testing import CliRunner

from data_scripts import mls
from data_scripts.command_line import corpus_app, make_manifests
from data_scripts.corpus import Corpus, Part, Record
from data_scripts.tables import Unusable
from speech_mtl.data.manifest import manifest_path, read_manifest
from speech_mtl.errors import InputError


def corpus_of(records: Iterable[Record | Unusable] | None) -> Corpus:
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
    with pytest.raises(InputError, match=r"6 of 7 unusable \(1 audio empty, 1 audio missing"):
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
    with pytest.raises(InputError, match="2 of 101 unusable"):
        make_manifests(corpus_of([*good, *missing]), "CORPUS", tmp_path / "data", ["cs"], overwrite=True)


def test_none_may_be_unusable_where_none_is_allowed(good: Record, tmp_path: Path):
    corpus = corpus_of([good, record(tmp_path / "missing.wav")])
    result = CliRunner().invoke(
        corpus_app(corpus), ["CORPUS", str(tmp_path / "data"), "--language", "cs", "--allow-skipped", "0"]
    )
    assert result.exit_code == 2
    assert "Received: 1 of 2 unusable (1 audio missing)" in result.stderr
    assert not manifest_path(tmp_path / "data", "cs", "train").exists()


UNFIT = {
    "name too long": {"audio": Path("x" * 300 + ".wav")},
    "path too long": {"audio": Path(*["x" * 200] * 30)},
    "NUL in the audio's name": {"audio": Path("a\0.wav")},
    "half a letter in the id": {"id": "a\ud800"},
    "half a letter in the text": {"text": "a\udcff"},
    "half a letter in the speaker": {"speaker": "\ud800"},
    "a label that JSON cannot hold": {"labels": {"when": datetime.date(2020, 1, 1)}},
    "a label that is no number": {"labels": {"age": float("nan")}},
    "a label of half a letter": {"labels": {"mood": "\ud800"}},
}


@pytest.mark.parametrize("case", UNFIT)
def test_what_no_manifest_could_hold_is_named(
    case: str, good: Record, tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    unfit = replace(good, **({"id": "b", "source": "table.tsv:2"} | UNFIT[case]))
    make_manifests(corpus_of([good, unfit]), "CORPUS", tmp_path / "data", ["cs"])
    assert [utterance.id for utterance in read_manifest(manifest_path(tmp_path / "data", "cs", "train"))] == ["good"]
    assert "table.tsv:2: skipped: " in capsys.readouterr().err


@pytest.mark.parametrize(("num_samples", "kept"), [(1, False), (2, False), (3, True), (5, True)])
def test_audio_too_short_for_a_duration(num_samples: int, kept: bool, good: Record, tmp_path: Path):
    """At 48 kHz, 2 samples round to 0.0 s."""
    soundfile.write(tmp_path / "short.wav", np.full(num_samples, 0.1), 48000)
    records = [good, record(tmp_path / "short.wav", line=2)]
    (summary,) = make_manifests(corpus_of(records), "CORPUS", tmp_path / "data", ["cs"])
    assert summary.num_utterances == 1 + kept
    assert summary.skipped == ({} if kept else {"audio too short": 1})


def test_an_id_that_comes_twice_is_named_with_both_places(
    good: Record, tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    make_manifests(corpus_of([good, replace(good, source="table.tsv:2")]), "CORPUS", tmp_path / "data", ["cs"])
    said = capsys.readouterr().err
    assert "table.tsv:2: skipped: the id 'good' comes twice, first in table.tsv:1" in said


def test_a_row_that_is_no_record_counts_as_skipped(good: Record, tmp_path: Path):
    corpus = corpus_of([good, Unusable("table.tsv:2", "surplus fields", "3 fields, 2 expected")])
    (summary,) = make_manifests(corpus, "CORPUS", tmp_path / "data", ["cs"])
    assert summary.skipped == {"surplus fields": 1}


@pytest.mark.parametrize("text", ["ku?ier", "ku\ufffdier", "K?NIG"])
def test_letters_destroyed_are_named_and_kept(
    text: str, good: Record, tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    damaged = [replace(good, id=str(number), text=f"a {text}", source=f"table.tsv:{number}") for number in range(2, 9)]
    (summary,) = make_manifests(corpus_of([good, *damaged]), "CORPUS", tmp_path / "data", ["lv"])
    assert summary.num_utterances == 8
    said = capsys.readouterr().err
    assert "lv train: 7 of 8 texts hold letters that were destroyed" in said
    assert f"table.tsv:2: {text}\n" in said
    assert "and 2 more" in said


def test_sound_texts_are_not_called_damaged(good: Record, tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    make_manifests(corpus_of([replace(good, text="Ja? Nein?! Quoi ?")]), "CORPUS", tmp_path / "data", ["de"])
    assert "warning" not in capsys.readouterr().err


def test_a_line_break_in_a_text_is_named(good: Record, tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    records = [replace(good, text="one,2\nb.wav,two"), replace(good, id="c", text="three\n")]
    make_manifests(corpus_of(records), "CORPUS", tmp_path / "data", ["cs"])
    assert "1 of 2 texts hold a line break" in capsys.readouterr().err


def test_a_manifest_that_is_left_may_be_another(good: Record, tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    for name in ("one", "other"):
        write_tone(tmp_path / name / "a.wav", 0.5)
    ours, data = corpus_of([record(tmp_path / "one" / "a.wav")]), tmp_path / "data"
    make_manifests(ours, tmp_path / "one", data, ["cs"])
    make_manifests(ours, tmp_path / "one" / ".." / "one", data, ["cs"])
    assert "warning" not in capsys.readouterr().err
    make_manifests(ours, tmp_path / "other", data, ["cs"])
    assert f"does not lie in {tmp_path / 'other'}" in capsys.readouterr().err
    (data / "cs").rename(data / "sk")
    make_manifests(ours, tmp_path / "one", data, ["sk"])
    assert f"{data / 'sk' / 'train.jsonl'}: its lines are in cs, not in sk" in capsys.readouterr().err


def test_what_the_system_refuses_is_an_error_in_four_parts(good: Record, tmp_path: Path):
    (tmp_path / "file").write_text("")
    result = CliRunner().invoke(corpus_app(corpus_of([good])), ["CORPUS", str(tmp_path / "file"), "--language", "cs"])
    assert result.exit_code == 2
    assert result.stderr.startswith(f"Error: {tmp_path / 'file'} cannot be used\nExpected: ")


@pytest.mark.parametrize(("error", "code"), [(OSError(errno.EDQUOT, "Quota"), 2), (OSError("a library's own"), 1)])
def test_only_the_system_s_errors_are_the_user_s_to_fix(error: OSError, code: int):
    def records(part: Part) -> None:
        raise error

    app = corpus_app(Corpus("Test", "nothing", "no example", records))
    result = CliRunner().invoke(app, ["CORPUS", "data", "--language", "cs"])
    assert result.exit_code == code
    assert ("This is a fault of speech-mtl" in result.stderr) == (code == 1)


@pytest.mark.parametrize("language", ["../cs", "", "cs\0", "zh_CN", "/tmp"])
def test_what_is_no_language_tag_is_refused(language: str, good: Record, tmp_path: Path):
    with pytest.raises(InputError, match="Malformed language tag"):
        make_manifests(corpus_of([good]), "CORPUS", tmp_path / "data", [language])


@pytest.mark.parametrize("corpus", ["~nobody-of-this-name/corpus", "x" * 5000, "a\0b"])
def test_a_corpus_path_that_cannot_be(corpus: str, tmp_path: Path):
    result = CliRunner().invoke(mls.app, [corpus, str(tmp_path / "data"), "--language", "de"])
    assert result.exit_code == 2
    assert result.stderr.startswith("Error: ")


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
