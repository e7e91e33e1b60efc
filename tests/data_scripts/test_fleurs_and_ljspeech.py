"""FLEURS and LJSpeech: languages from folders, lists of ids, and what is refused."""

from pathlib import Path

import pytest
from tiny_corpora import fleurs, ljspeech

from data_scripts.command_line import make_manifests
from data_scripts.fleurs import CORPUS as FLEURS
from data_scripts.ljspeech import CORPUS as LJSPEECH
from speech_mtl.data.manifest import manifest_path, read_manifest
from speech_mtl.errors import InputError


def ids(data_dir: Path, language: str, split: str) -> list[str]:
    return [utterance.id for utterance in read_manifest(manifest_path(data_dir, language, split))]


def test_fleurs_of_one_language_or_of_several(tmp_path: Path):
    corpus = fleurs(tmp_path / "corpus").path
    assert make_manifests(FLEURS, corpus, tmp_path / "one")[0].language == "da"
    (corpus / "da_dk").rename(corpus / "cmn_hans_cn")
    fleurs(corpus)
    for language in ("zh", "zh-CN", "da-DK"):
        make_manifests(FLEURS, corpus, tmp_path / "data", [language])
        assert ids(tmp_path / "data", language, "train") == ["0", "1", "2"]
    make_manifests(FLEURS, corpus / "da_dk", tmp_path / "own", ["da"])
    with pytest.raises(InputError, match=r"no utterances in 'sv'\n.*\nReceived: utterances in da, zh"):
        make_manifests(FLEURS, corpus, tmp_path / "data", ["sv"])


def test_fleurs_keeps_the_text_as_it_is_written_and_the_gender(tmp_path: Path):
    corpus = fleurs(tmp_path / "corpus").path
    table = corpus / "da_dk" / "dev.tsv"
    table.write_text(table.read_text(encoding="utf-8").replace("FEMALE", "OTHER"), encoding="utf-8")
    make_manifests(FLEURS, corpus, tmp_path / "data")
    first, *_ = read_manifest(manifest_path(tmp_path / "data", "da", "train"))
    assert (first.text, first.labels) == ("Sætning nummer 0.", {"gender": "f"})
    (other,) = read_manifest(manifest_path(tmp_path / "data", "da", "dev"))
    assert other.labels == {"gender": None}


def test_fleurs_in_a_folder_of_another_name_or_twice(tmp_path: Path):
    corpus = fleurs(tmp_path / "corpus").path
    (corpus / "da_dk").rename(corpus / "danish speech")
    with pytest.raises(InputError, match="is no language of FLEURS"):
        make_manifests(FLEURS, corpus, tmp_path / "data", ["da"])
    (corpus / "danish speech").rename(corpus / "pt_br")
    fleurs(corpus)
    (corpus / "da_dk").rename(corpus / "pt_pt")
    with pytest.raises(InputError, match="more than one folder in pt"):
        make_manifests(FLEURS, corpus, tmp_path / "data", ["pt"])
    assert make_manifests(FLEURS, corpus, tmp_path / "data", ["pt-BR"])[0].num_utterances == 3


def test_fleurs_with_a_line_of_other_columns(tmp_path: Path):
    corpus = fleurs(tmp_path / "corpus").path
    with (corpus / "da_dk" / "train.tsv").open("a", encoding="utf-8") as table:
        table.write("7\t0.wav\ttext\n")
    assert make_manifests(FLEURS, corpus, tmp_path / "data")[0].skipped == {"missing fields": 1}


def test_ljspeech_reads_the_text_in_full_words_where_there_is_one(tmp_path: Path):
    corpus = ljspeech(tmp_path / "corpus").path
    make_manifests(LJSPEECH, corpus, tmp_path / "data", ["en"], speaker="linda")
    (one,) = read_manifest(manifest_path(tmp_path / "data", "en", "dev"))
    assert (one.text, one.speaker) == ('The "first sentence.', "linda")
    table = corpus / "metadata.csv"
    table.write_text(table.read_text(encoding="utf-8").replace('|The "first sentence.', ""), encoding="utf-8")
    make_manifests(LJSPEECH, corpus, tmp_path / "data", ["en"], overwrite=True)
    (one,) = read_manifest(manifest_path(tmp_path / "data", "en", "dev"))
    assert one.text == 'The "1st sentence.'


def test_ljspeech_without_lists_is_training_speech_and_without_one_the_rest(tmp_path: Path):
    corpus = ljspeech(tmp_path / "corpus").path
    (corpus / "train.txt").unlink()
    (corpus / "dev.txt").rename(corpus / "valid.txt")
    (corpus / "README.txt").write_text("About this corpus.\n", encoding="utf-8")
    summaries = make_manifests(LJSPEECH, corpus, tmp_path / "rest", ["en"])
    assert [(one.split, one.num_utterances) for one in summaries] == [("train", 3), ("dev", 1), ("test", 2)]
    for split in ("valid", "test"):
        (corpus / f"{split}.txt").unlink()
    (summary,) = make_manifests(LJSPEECH, corpus, tmp_path / "all", ["en"])
    assert (summary.split, summary.num_utterances) == ("train", 6)


@pytest.mark.parametrize(
    ("name", "line"),
    [("test.txt", "{}.wav"), ("test.txt", "wavs/{}.wav|Text.|Text."), ("metadata_test.csv", "{}|Text.|Text.")],
)
def test_ljspeech_ids_in_lists_may_be_written_as_files_and_rows(name: str, line: str, tmp_path: Path):
    corpus = ljspeech(tmp_path / "corpus").path
    for split in ("train", "dev", "test"):
        (corpus / f"{split}.txt").unlink()
    (corpus / name).write_text("".join(line.format(f"LJ-test-{i}") + "\n" for i in range(2)), encoding="utf-8")
    summaries = make_manifests(LJSPEECH, corpus, tmp_path / "data", ["en"])
    assert [(one.split, one.num_utterances, one.skipped) for one in summaries] == [("train", 4, {}), ("test", 2, {})]
    assert ids(tmp_path / "data", "en", "test") == ["LJ-test-0", "LJ-test-1"]


def test_ljspeech_a_list_of_nothing_that_is_there_is_refused(tmp_path: Path):
    corpus = ljspeech(tmp_path / "corpus").path
    (corpus / "test.txt").write_text("Say this.\nAnd that.\n", encoding="utf-8")
    with pytest.raises(InputError, match=r"test\.txt: nothing in this list is in metadata\.csv"):
        make_manifests(LJSPEECH, corpus, tmp_path / "data", ["en"])


def test_ljspeech_rows_in_no_list_are_reported(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    corpus = ljspeech(tmp_path / "corpus").path
    (corpus / "train.txt").write_text("LJ-train-0\n", encoding="utf-8")
    summaries = make_manifests(LJSPEECH, corpus, tmp_path / "data", ["en"])
    assert [one.num_utterances for one in summaries] == [1, 1, 2]
    assert capsys.readouterr().err.count("2 of 6 rows are in no list") == 1


def test_ljspeech_whose_lists_do_not_fit(tmp_path: Path):
    corpus = ljspeech(tmp_path / "corpus").path
    with (corpus / "test.txt").open("a", encoding="utf-8") as table:
        table.write("LJ-nowhere\n")
    assert make_manifests(LJSPEECH, corpus, tmp_path / "data", ["en"])[2].skipped == {"not in metadata.csv": 1}
    with (corpus / "test.txt").open("a", encoding="utf-8") as table:
        table.write("LJ-train-0\n")
    with pytest.raises(InputError, match="an id in two splits") as caught:
        make_manifests(LJSPEECH, corpus, tmp_path / "again", ["en"])
    assert "LJ-train-0" in caught.value.received
