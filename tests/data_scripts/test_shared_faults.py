"""Faults that any corpus may have, given to each script: other encodings, other forms of audio, paths that lead out."""

import re
import shutil
import tarfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import soundfile
from test_every_script import CORPUS_SCRIPTS, invoke
from tiny_corpora import TINY_CORPORA, TinyCorpus

from speech_mtl.data.audio import read_audio
from speech_mtl.data.audio_file import duration_s
from speech_mtl.data.manifest import manifest_path, read_manifest

pytestmark = pytest.mark.usefixtures("huggingface_cache")

TABLES = {
    "audiofolder": "train/metadata.jsonl",
    "common_voice": "cs/train.tsv",
    "fleurs": "da_dk/train.tsv",
    "kaldi": "data/train/text",
    "ljspeech": "metadata.csv",
    "mls": "train/transcripts.txt",
    "nemo": "train_manifest.json",
    "voxpopuli": "transcribed_data/cs/asr_train.tsv",
}
"""The file with the training transcripts, of scripts that read plain text."""

with_tables = pytest.mark.parametrize("name", TABLES)


@pytest.fixture
def tiny(name: str, tmp_path: Path) -> TinyCorpus:
    return TINY_CORPORA[name](tmp_path / "corpus")


def run(name: str, tiny: TinyCorpus, data_dir: Path, *options: str):
    return invoke(CORPUS_SCRIPTS[name], tiny.path, data_dir, "--language", tiny.language, *options)


@with_tables
@pytest.mark.parametrize(("encoding", "said"), [("utf-16", "UTF-16"), ("latin-1", "UTF-8")])
def test_another_encoding_is_refused_with_its_remedy(
    name: str, encoding: str, said: str, tiny: TinyCorpus, tmp_path: Path
):
    table = tiny.path / TABLES[name]
    text = re.sub("[^\x00-\xff]", "ÿ", table.read_text(encoding="utf-8").replace("e", "é"))
    for kept in ("sentence", "speaker", "file_name", "text", "locale", "client_id", "audio_filepath", "speaker_id"):
        text = text.replace(kept.replace("e", "é"), kept)
    table.write_bytes(text.encode(encoding))
    result = run(name, tiny, tmp_path / "data")
    assert result.exit_code == 2
    assert "Traceback" not in result.output
    assert said in result.stderr
    assert table.name in result.stderr
    assert not manifest_path(tmp_path / "data", tiny.language, "train").exists()


def change_audio(tiny: TinyCorpus, change: Callable[[Path], None]) -> None:
    for path in sorted(tiny.path.rglob("*")):
        if path.suffix in (".wav", ".flac", ".mp3", ".ogg", ".opus"):
            change(path)


@with_tables
def test_sample_rates_may_differ_and_stereo_is_mixed(name: str, tiny: TinyCorpus, tmp_path: Path):
    def resample(path: Path) -> None:
        samples, rate = soundfile.read(path)
        form = soundfile.info(path)
        both = np.repeat(np.stack([samples, 0 * samples], axis=1), 3, axis=0)  # 3 x 16 kHz
        soundfile.write(path, both, 3 * rate, format=form.format, subtype=form.subtype)

    change_audio(tiny, resample if name != "ljspeech" else lambda path: resample(path) if "-0" in path.name else None)
    result = run(name, tiny, tmp_path / "data")
    assert result.exit_code == 0, result.output
    for utterance in read_manifest(manifest_path(tmp_path / "data", tiny.language, "train")):
        assert len(read_audio(utterance.audio, 16_000)) == pytest.approx(16_000 * utterance.duration_s, abs=2)
    assert sum(tiny.durations_s["train"]) == pytest.approx(
        sum(one.duration_s for one in read_manifest(manifest_path(tmp_path / "data", tiny.language, "train"))), abs=0.3
    )


@with_tables
def test_a_link_that_leads_out_of_the_corpus_is_not_followed(name: str, tiny: TinyCorpus, tmp_path: Path):
    (tmp_path / "elsewhere").mkdir()

    def move(path: Path) -> None:
        outside = tmp_path / "elsewhere" / path.relative_to(tiny.path).as_posix().replace("/", "_")
        shutil.move(path, outside)
        path.symlink_to(outside)

    change_audio(tiny, move)
    result = run(name, tiny, tmp_path / "data")
    assert result.exit_code == 2
    assert "leads out of" in " ".join(result.stderr.split())
    result = run(name, tiny, tmp_path / "data", "--audio-in", str(tmp_path / "elsewhere"))
    assert result.exit_code == 0, result.output


PATHS = {
    "audiofolder": ("train/metadata.jsonl", '"0.wav"', '"{}"'),
    "common_voice": ("cs/train.tsv", "common_voice_cs_train_0.mp3", "{}"),
    "fleurs": ("da_dk/train.tsv", "0.wav", "{}"),
    "kaldi": ("data/train/wav.scp", "audio/train/0.wav", "{}"),
    "ljspeech": ("metadata.csv", "LJ-train-0", "{}"),
    "nemo": ("train_manifest.json", "train/whole.flac", "{}"),
}
"""Tables, and what in them is the name of an audio file."""


@pytest.mark.parametrize("name", PATHS)
@pytest.mark.parametrize("kind", ["absolute", "above"])
def test_a_path_that_leads_out_of_the_corpus_is_not_followed(name: str, kind: str, tiny: TinyCorpus, tmp_path: Path):
    soundfile.write(tmp_path / "outside.wav", np.full(16_000, 0.1), 16_000)
    table, written, form = PATHS[name]
    path = str(tmp_path / "outside.wav") if kind == "absolute" else "../" * 6 + str(tmp_path / "outside.wav")[1:]
    if kind == "above":
        start = next(one for one in (tiny.path / table).parents if one == tiny.path)
        path = "../" * (len(start.parts) + 6) + str(tmp_path / "outside.wav")[1:]
    path = path.removesuffix(".wav") if name == "ljspeech" else path
    content = (tiny.path / table).read_text(encoding="utf-8").replace(written, form.format(path), 1)
    (tiny.path / table).write_text(content, encoding="utf-8")
    if name == "ljspeech":
        (tiny.path / "train.txt").unlink()
    result = run(name, tiny, tmp_path / "data", "--allow-skipped", "0.5")
    assert result.exit_code == 0, result.output
    assert "leads out of" in " ".join(result.stderr.split())
    audio = [one.audio for one in read_manifest(manifest_path(tmp_path / "data", tiny.language, "train"))]
    assert len(audio) == 2
    assert not any("outside" in path.name for path in audio)


@pytest.mark.parametrize("name", ["nemo", "webdataset"])
def test_a_shard_that_is_cut_short(name: str, tiny: TinyCorpus, tmp_path: Path):
    shard = tiny.path / ("audio_0.tar" if name == "nemo" else "test-0.tar")
    with tarfile.open(shard) as tar:
        first = next(iter(tar))
    shard.write_bytes(shard.read_bytes()[: first.offset_data + first.size // 2])
    result = run(name, tiny, tmp_path / "data")
    told = " ".join(result.stderr.split())
    assert ("is cut off" if name == "nemo" else "is cut short or damaged") in told
    assert manifest_path(tmp_path / "data", tiny.language, "train").exists()


@pytest.mark.parametrize("name", ["nemo", "webdataset"])
def test_a_compressed_or_damaged_shard(name: str, tiny: TinyCorpus, tmp_path: Path):
    shard = tiny.path / ("audio_0.tar" if name == "nemo" else "test-0.tar")
    with tarfile.open(shard, "w:gz") as tar:
        tar.add(__file__, "a.flac")
    result = run(name, tiny, tmp_path / "data", "--allow-skipped", "0.5")
    assert "cannot be read as a tar archive" in " ".join(result.stderr.split())
    assert "Traceback" not in result.output


def test_two_shards_may_have_members_of_one_name(tmp_path: Path):
    tiny = TINY_CORPORA["nemo"](tmp_path / "corpus")
    assert run("nemo", tiny, tmp_path / "data").exit_code == 0
    found = list(read_manifest(manifest_path(tmp_path / "data", "de", "test")))
    assert [one.id for one in found] == ["0-test", "1-test"]
    assert [duration_s(one.audio) for one in found] == tiny.durations_s["test"]
