"""Common Voice: which folders are taken, how its tables are read."""

from pathlib import Path

import pytest
from tiny_corpora import CORPORA, common_voice

from data_scripts.command_line import make_manifests
from data_scripts.common_voice import CORPUS
from speech_mtl.data.manifest import manifest_path, read_manifest
from speech_mtl.errors import InputError


@pytest.mark.parametrize("folder", [".", "cs"])
def test_the_folder_of_languages_or_of_one_language(folder: str, tmp_path: Path):
    common_voice(tmp_path / "corpus")
    summaries = make_manifests(CORPUS, tmp_path / "corpus" / folder, tmp_path / "data")
    assert [(summary.language, summary.num_utterances) for summary in summaries] == [("cs", 3), ("cs", 1), ("cs", 2)]


def test_several_languages(tmp_path: Path):
    for language in ("cs", "sv-SE"):
        common_voice(tmp_path / "corpus", language)
    with pytest.raises(InputError, match="Received: a corpus in cs, sv-SE"):
        make_manifests(CORPUS, tmp_path / "corpus", tmp_path / "data")
    summaries = make_manifests(CORPUS, tmp_path / "corpus", tmp_path / "data", ["cs", "sv-SE"])
    assert {summary.language for summary in summaries} == {"cs", "sv-SE"}


def test_quotation_marks_belong_to_the_sentence(tmp_path: Path):
    common_voice(tmp_path / "corpus")
    make_manifests(CORPUS, tmp_path / "corpus", tmp_path / "data")
    utterances = list(read_manifest(manifest_path(tmp_path / "data", "cs", "train")))
    assert [utterance.text for utterance in utterances] == [f'"Věta číslo {number}.' for number in range(3)]
    assert [utterance.speaker for utterance in utterances] == ["speaker0", "speaker1", "speaker2"]


def test_a_missing_clip_is_named_with_its_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    common_voice(tmp_path / "corpus")
    (tmp_path / "corpus" / "cs" / "clips" / "common_voice_cs_train_1.mp3").unlink()
    make_manifests(CORPUS, tmp_path / "corpus", tmp_path / "data", allow_skipped=0.5)
    assert f"{tmp_path / 'corpus' / 'cs' / 'train.tsv'}:3: skipped: there is no audio file" in capsys.readouterr().err


def test_a_table_with_other_columns_is_refused(tmp_path: Path):
    common_voice(tmp_path / "corpus")
    table = tmp_path / "corpus" / "cs" / "train.tsv"
    table.write_text(table.read_text(encoding="utf-8").replace("sentence", "text"), encoding="utf-8")
    with pytest.raises(InputError, match=r"train\.tsv:1: not a Common Voice table: no column 'sentence'"):
        make_manifests(CORPUS, tmp_path / "corpus", tmp_path / "data")


@pytest.mark.skipif(not (CORPORA / "common_voice").is_dir(), reason="no ../shared/corpora")
def test_human_speech(tmp_path: Path):
    summaries = make_manifests(CORPUS, CORPORA / "common_voice", tmp_path / "data", ["zh-CN"])
    assert [summary.num_utterances for summary in summaries] == [6969, 400, 800]
    assert summaries[0].duration_s / 3600 == pytest.approx(2.4, abs=0.1)
