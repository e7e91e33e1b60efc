"""What holds for every data script, found automatically: a new one is checked without a new test."""

import importlib
import pkgutil
import re
from pathlib import Path
from types import ModuleType

import pytest
from tiny_corpora import TINY_CORPORA, TinyCorpus
from typer.testing import CliRunner

import data_scripts
from data_scripts.command_line import make_manifests
from speech_mtl.data.audio_file import duration_s
from speech_mtl.data.manifest import manifest_path, read_manifest
from speech_mtl.datatypes import SPLITS

pytestmark = pytest.mark.usefixtures("huggingface_cache")

MODULES = {
    module.name: importlib.import_module(f"data_scripts.{module.name}")
    for module in pkgutil.iter_modules(data_scripts.__path__)
}
COMMANDS = {name: module for name, module in MODULES.items() if hasattr(module, "app")}
CORPUS_SCRIPTS = {name: module for name, module in MODULES.items() if hasattr(module, "CORPUS")}

every_command = pytest.mark.parametrize("module", COMMANDS.values(), ids=COMMANDS)
every_corpus_script = pytest.mark.parametrize("name", CORPUS_SCRIPTS)


def invoke(module: ModuleType, *arguments: object):
    return CliRunner().invoke(module.app, [str(argument) for argument in arguments])


def manifests(data_dir: Path, language: str) -> dict[str, bytes]:
    return {split: manifest_path(data_dir, language, split).read_bytes() for split in SPLITS}


@pytest.fixture
def tiny_corpus(name: str, tmp_path: Path) -> TinyCorpus:
    assert name in TINY_CORPORA, f"add a function that makes a tiny {name} corpus to tests/data_scripts/tiny_corpora.py"
    return TINY_CORPORA[name](tmp_path / "corpus")


def test_the_scripts_are_found():
    assert {"audiofolder", "common_voice", "kaldi", "mls"} <= set(CORPUS_SCRIPTS)
    assert {"synthetic", *CORPUS_SCRIPTS} <= set(COMMANDS)


@every_command
def test_help_shows_an_example(module: ModuleType):
    result = invoke(module, "--help")
    assert result.exit_code == 0
    assert f"python -m {module.__name__} " in re.sub(r"\s+", " ", result.stdout)


@every_corpus_script
def test_manifests_hold_what_the_corpus_holds(name: str, tiny_corpus: TinyCorpus, tmp_path: Path):
    result = invoke(CORPUS_SCRIPTS[name], tiny_corpus.path, tmp_path / "data", "--language", tiny_corpus.language)
    assert result.exit_code == 0, result.output
    speakers = set()
    for split in SPLITS:
        utterances = list(read_manifest(manifest_path(tmp_path / "data", tiny_corpus.language, split)))
        durations_s = [utterance.duration_s for utterance in utterances]
        assert durations_s == pytest.approx(tiny_corpus.durations_s[split], abs=0.1)  # mp3 is padded
        assert all(utterance.text for utterance in utterances)
        assert [duration_s(utterance.audio) for utterance in utterances] == pytest.approx(durations_s)
        assert {utterance.language for utterance in utterances} == {tiny_corpus.language}
        speakers |= {utterance.speaker for utterance in utterances}
        assert re.search(rf"{tiny_corpus.language}\W+{split}\W+{len(utterances)}\W", result.stdout)
    assert speakers == tiny_corpus.speakers


@every_corpus_script
def test_it_is_safe_to_repeat(name: str, tiny_corpus: TinyCorpus, tmp_path: Path):
    arguments = (tiny_corpus.path, tmp_path / "data", "--language", tiny_corpus.language)
    assert invoke(CORPUS_SCRIPTS[name], *arguments).exit_code == 0
    first = manifests(tmp_path / "data", tiny_corpus.language)
    dev = manifest_path(tmp_path / "data", tiny_corpus.language, "dev")
    marked = first["dev"].replace(b'"text": ', b'"text":  ')
    dev.write_bytes(marked)

    again = invoke(CORPUS_SCRIPTS[name], *arguments)
    assert again.exit_code == 0
    assert again.stderr.count("is there already") == len(SPLITS)
    assert dev.read_bytes() == marked

    assert invoke(CORPUS_SCRIPTS[name], *arguments, "--overwrite").exit_code == 0
    assert manifests(tmp_path / "data", tiny_corpus.language) == first


@every_corpus_script
def test_a_missing_folder_is_an_error_in_four_parts(name: str, tmp_path: Path):
    result = invoke(CORPUS_SCRIPTS[name], tmp_path / "missing", tmp_path / "data", "--language", "cs")
    assert result.exit_code == 2
    assert str(tmp_path / "missing") in result.stderr
    for part in ("Expected: ", "Received: ", "What to do: "):
        assert f"\n{part}" in result.stderr
    assert "Traceback" not in result.output
    assert not (tmp_path / "data").exists()


@every_corpus_script
def test_it_can_be_called_from_python(name: str, tiny_corpus: TinyCorpus, tmp_path: Path):
    corpus = CORPUS_SCRIPTS[name].CORPUS
    summaries = make_manifests(corpus, tiny_corpus.path, tmp_path / "data", [tiny_corpus.language])
    assert [(summary.split, summary.num_utterances, summary.skipped) for summary in summaries] == [
        (split, len(tiny_corpus.durations_s[split]), {}) for split in SPLITS
    ]
