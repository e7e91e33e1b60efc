"""Each script's corpus is known by its signs, and a script that cannot read a folder names the one that can."""

from pathlib import Path

import pytest
from test_every_script import CORPUS_SCRIPTS, invoke
from tiny_corpora import CORPORA, TINY_CORPORA

from data_scripts.recognise import SIGNS, recognised_by

pytestmark = pytest.mark.usefixtures("huggingface_cache")

HUMAN = {
    "asterisk_ru": ("ljspeech", ["ru"], {"test": 316}),
    "audiofolder_countries": ("audiofolder", ["cs", "zh-TW"], {"train": 36 + 73, "dev": 4 + 8, "test": 17 + 23}),
    "common_voice_fillets": ("common_voice", ["cs", "nl"], {"train": 2072, "dev": 294, "test": 525}),
    "ljspeech_nl": ("ljspeech", ["nl"], {"train": 750, "dev": 100, "test": 200}),
    "tuxpaint_fleurs": (
        "fleurs",
        ["da", "el"],
        {"train": 209 + 282, "dev": 31 + 41, "test": 45 + 78},
    ),
}
"""Folders of human speech: the script, languages, and utterances by split, as the table beside them says."""

READ_ELSEWHERE = {
    "alffa_amharic": "kaldi",
    "audiofolder_en": "audiofolder",
    "audiofolder_words": "audiofolder",
    "common_voice": "common_voice",
    "mls_german_opus": "mls",
    "speechocean762": "kaldi",
}
"""Those that the tests of their scripts read."""


def test_every_script_has_signs():
    assert set(SIGNS) == set(CORPUS_SCRIPTS)


@pytest.mark.parametrize("name", CORPUS_SCRIPTS)
def test_a_corpus_is_recognised(name: str, tmp_path: Path):
    assert next(recognised_by(TINY_CORPORA[name](tmp_path / "corpus").path)) == name


@pytest.mark.parametrize("name", CORPUS_SCRIPTS)
def test_another_script_names_the_one_that_can(name: str, tmp_path: Path):
    tiny = TINY_CORPORA[name](tmp_path / "corpus")
    refused = 0
    for other in ("mls", "ljspeech", "kaldi"):
        if other != name:
            result = invoke(CORPUS_SCRIPTS[other], tiny.path, tmp_path / "data", "--language", tiny.language)
            assert result.exit_code == 2
            refused += f"python -m data_scripts.{name}" in " ".join(result.stderr.split())
    assert refused >= 2
    assert not (tmp_path / "data").exists()


def test_no_script_is_named_for_a_folder_that_is_none(tmp_path: Path):
    (tmp_path / "corpus").mkdir()
    result = invoke(CORPUS_SCRIPTS["mls"], tmp_path / "corpus", tmp_path / "data", "--language", "de")
    assert "data_scripts." not in result.stderr
    assert list(recognised_by(tmp_path / "corpus")) == []


@pytest.mark.parametrize("folder", HUMAN)
def test_human_speech_is_read_unchanged(folder: str, tmp_path: Path):
    if not (CORPORA / folder).is_dir():
        pytest.skip("no ../shared/corpora")
    name, languages, utterances = HUMAN[folder]
    options = [option for language in languages for option in ("--language", language)]
    result = invoke(CORPUS_SCRIPTS[name], CORPORA / folder, tmp_path / "data", *options)
    assert result.exit_code == 0, result.output
    found = {
        split: sum(len(one.read_bytes().splitlines()) for one in (tmp_path / "data").glob(f"*/{split}.jsonl"))
        for split in utterances
    }
    assert found == utterances


def test_every_folder_of_human_speech_is_recognised():
    if not CORPORA.is_dir():
        pytest.skip("no ../shared/corpora")
    scripts = READ_ELSEWHERE | {folder: name for folder, (name, *_) in HUMAN.items()}
    found = {folder.name: next(recognised_by(folder)) for folder in CORPORA.iterdir() if folder.is_dir()}
    assert found == {folder: scripts[folder] for folder in found}
