"""Common Voice: which folders are taken, how its tables are read."""

import re
from pathlib import Path

import pytest
from tiny_corpora import CORPORA, common_voice, write_tone

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


HEADER = "client_id\tpath\tsentence\tlocale"


def table_of(folder: Path, *rows: str, header: str = HEADER) -> Path:
    """A corpus with `cs/train.tsv` as written here, and the clips `0.wav` to `3.wav`."""
    for number in range(4):
        write_tone(folder / "cs" / "clips" / f"{number}.wav", 0.5)
    (folder / "cs" / "train.tsv").write_bytes("".join((header, *rows)).encode())
    return folder


def texts_of(corpus: Path, data_dir: Path, language: str = "cs") -> list[str | None]:
    make_manifests(CORPUS, corpus, data_dir, [language], allow_skipped=0.5)
    return [utterance.text for utterance in read_manifest(manifest_path(data_dir, language, "train"))]


BAD_ROWS = {
    "surplus field": ("s\t1.wav\tdva\tpane\tcs", "5 fields, 4 expected"),
    "missing field": ("s\t1.wav\tdva", "3 fields, 4 expected"),
    "huge field": (f"s\t1.wav\t{'dva ' * 40_000}\tcs", "the field 'sentence' holds 160,000 letters"),
    "NUL": ("s\t1.wav\td\0va\tcs", "the field 'sentence' holds the letter NUL"),
    "name too long": (f"s\t{'dva ' * 100}\tdva\tcs", "File name too long"),
    "no name": ("s\t\tdva\tcs", "is no file but a folder"),
    "a folder for a name": ("s\t..\tdva\tcs", "is no file but a folder"),
}


@pytest.mark.parametrize("case", BAD_ROWS)
def test_a_bad_row_is_named_and_the_others_are_whole(case: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    row, problem = BAD_ROWS[case]
    corpus = table_of(tmp_path / "corpus", "\ns\t0.wav\tjedna\tcs\n", row, "\ns\t2.wav\ttři\tcs")
    assert texts_of(corpus, tmp_path / "data") == ["jedna", "tři"]
    assert re.search(rf"train\.tsv:3: skipped: .*{re.escape(problem)}", capsys.readouterr().err)


def test_what_belongs_to_a_sentence_stays(tmp_path: Path):
    sentences = ['"uvozovky', "zpět\rna začátek", "řádek\u2028řádek", "dva  kusy ", "null", "\ufeffznačka"]
    rows = [f"\r\ns\t{i % 4}.wav\t{text}\tcs" for i, text in enumerate(sentences[:4])]
    assert texts_of(table_of(tmp_path / "a", *rows), tmp_path / "data_a") == sentences[:4]
    rows = [f"\ns\t{i % 4}.wav\t{text}\tcs" for i, text in enumerate(sentences[4:])]
    assert texts_of(table_of(tmp_path / "b", *rows), tmp_path / "data_b") == sentences[4:]


@pytest.mark.parametrize("header", ["\ufeffSentence\tLOCALE\tPath\tclient_id", " sentence\tlocale\tpath \tclient_id\r"])
def test_columns_in_another_order_and_case(header: str, tmp_path: Path):
    corpus = table_of(tmp_path / "corpus", "\njedna\tcs\t0.wav\ts\n", header=header)
    assert texts_of(corpus, tmp_path / "data") == ["jedna"]


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        (f"{HEADER}\ns\t0.wav\tžluť\tcs\n".encode("cp1250"), r"train\.tsv:2: not UTF-8(.|\n)*iconv"),
        (f"{HEADER}\ns\t0.wav\tžluť\tcs\n".encode("utf-16"), r"train\.tsv:1: not UTF-8(.|\n)*iconv -f UTF-16 "),
        (f"{HEADER}\ns\t0.wav\tzlut\tcs\n".encode("utf-16-le"), r"train\.tsv:1: not the header(.|\n)*UTF-16"),
        (f"{HEADER}\tsentence\n".encode(), r"train\.tsv:1: not the header(.|\n)*'sentence' twice"),
        (b"s\t0.wav\tjedna\tcs\n", r"train\.tsv:1: not a Common Voice table"),
        (f"{HEADER}\rs\t0.wav\tjedna\tcs\r".encode(), r"train\.tsv:1: not the header(.|\n)*carriage return"),
        (b"", "an empty file"),
    ],
)
def test_another_kind_of_file_is_refused(content: bytes, problem: str, tmp_path: Path):
    corpus = table_of(tmp_path / "corpus")
    (corpus / "cs" / "train.tsv").write_bytes(content)
    with pytest.raises(InputError, match=problem):
        texts_of(corpus, tmp_path / "data")


def test_a_table_of_another_shape_is_refused(tmp_path: Path):
    corpus = table_of(tmp_path / "corpus", *(f"\ns\t{i}.wav\tjedna\tdva\tcs" for i in range(4)))
    with pytest.raises(InputError, match=r"4 of 4 unusable \(4 surplus fields\)"):
        texts_of(corpus, tmp_path / "data")


def test_rows_of_another_language_are_left_alone(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    rows = ["\ns\t0.wav\tjedna\tcs", "\ns\t1.wav\tjeden\tsk", "\ns\t2.wav\ttři\tCS"]
    corpus = table_of(tmp_path / "corpus", *rows)
    assert texts_of(corpus, tmp_path / "data") == ["jedna", "tři"]
    assert "train.tsv: 2 rows in cs; skipped: 1 in sk" in capsys.readouterr().err
    with pytest.raises(InputError, match="no utterances in 'fr'"):
        texts_of(corpus / "cs", tmp_path / "data", "fr")


def test_clips_of_one_name_in_two_folders(tmp_path: Path):
    rows = ["\ns\ta/0.wav\tjedna\tcs", "\ns\tb/0.wav\tdva\tcs", "\ns\t1.wav\ttři\tcs", "\ns\t1.wav\tčtyři\tcs"]
    corpus = table_of(tmp_path / "corpus", *rows)
    for folder in "ab":
        write_tone(corpus / "cs" / "clips" / folder / "0.wav", 0.5)
    assert texts_of(corpus, tmp_path / "data") == ["jedna", "dva", "tři"], "the fourth is the third again"
    ids = [utterance.id for utterance in read_manifest(manifest_path(tmp_path / "data", "cs", "train"))]
    assert ids == ["a-0", "b-0", "1"]


@pytest.mark.skipif(not (CORPORA / "common_voice").is_dir(), reason="no ../shared/corpora")
def test_human_speech(tmp_path: Path):
    summaries = make_manifests(CORPUS, CORPORA / "common_voice", tmp_path / "data", ["zh-CN"])
    assert [summary.num_utterances for summary in summaries] == [6969, 400, 800]
    assert summaries[0].duration_s / 3600 == pytest.approx(2.4, abs=0.1)


@pytest.mark.parametrize("language", ["ces", "CS"])
def test_other_forms_of_a_tag_find_the_folder(language: str, tmp_path: Path):
    corpus = table_of(tmp_path / "corpus", "\ns\t0.wav\tano\tcs", "\ns\t1.wav\tne\tces", "\ns\t2.wav\tco\t")
    assert texts_of(corpus, tmp_path / "data", language) == ["ano", "ne", "co"]


@pytest.mark.parametrize(("locale", "said"), [("", True), ("en", False)])
def test_a_folder_of_another_language_is_named(
    locale: str, said: bool, tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    corpus = table_of(tmp_path / "corpus", f"\ns\t0.wav\tyes\t{locale}")
    assert texts_of(corpus / "cs", tmp_path / "data", "en") == ["yes"]
    assert ("a folder of cs, by its name, is taken as en" in capsys.readouterr().err) is said


def test_a_table_that_is_a_link_to_nothing_is_no_missing_split(tmp_path: Path):
    corpus = table_of(tmp_path / "corpus", "\ns\t0.wav\tano\tcs")
    (corpus / "cs" / "test.tsv").symlink_to("gone.tsv")
    with pytest.raises(InputError, match=r"There is no file .*test\.tsv"):
        make_manifests(CORPUS, corpus, tmp_path / "data", ["cs"])
