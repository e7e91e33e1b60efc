"""Synthetic speech: it is repeatable to the byte, its splits are apart, and there is audible speech."""

import re
from pathlib import Path
from random import Random
from typing import Any

import numpy as np
import pytest
import soundfile
from typer.testing import CliRunner

from data_scripts.synthetic import VARIANTS, app, is_read_well, make_corpus, parse_minutes, with_noise
from data_scripts.synthetic_text import split_of, texts
from speech_mtl.data.espeak import Delivery, espeak
from speech_mtl.data.manifest import manifest_path, read_manifest
from speech_mtl.datatypes import SPLITS, Utterance
from speech_mtl.errors import InputError


@pytest.fixture(scope="module", autouse=True)
def extra_packages() -> None:
    for package in ("babel", "cn2an", "espeakng_loader", "num2words"):
        pytest.importorskip(package)


def speak(data_dir: Path, *languages: str, minutes: float = 0.4, **settings: Any) -> dict[str, list[Utterance]]:
    """A small corpus, in this process unless told otherwise; the utterances by split."""
    settings = {"dev_utterances": 6, "test_utterances": 6, "jobs": 1, **settings}
    make_corpus(data_dir, list(languages), train_minutes=dict.fromkeys(languages, minutes), **settings)
    return {
        split: [
            utterance for language in languages for utterance in read_manifest(manifest_path(data_dir, language, split))
        ]
        for split in SPLITS
    }


def audio_files(data_dir: Path) -> dict[str, bytes]:
    return {str(path.relative_to(data_dir)): path.read_bytes() for path in data_dir.rglob("*.flac")}


@pytest.fixture(scope="module")
def corpus(extra_packages: None, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, list[Utterance]]]:
    data_dir = tmp_path_factory.mktemp("synthetic")
    return data_dir, speak(data_dir, "zh", "de")


def test_a_larger_corpus_made_by_more_processes_contains_the_smaller(corpus, tmp_path: Path):
    larger = speak(tmp_path, "de", "zh", minutes=0.8, jobs=2)
    few, many = audio_files(corpus[0]), audio_files(tmp_path)
    assert few.items() < many.items()
    assert {utterance.text for utterance in corpus[1]["train"]} < {utterance.text for utterance in larger["train"]}


def test_another_seed_gives_another_corpus(corpus, tmp_path: Path):
    other = speak(tmp_path, "de", minutes=0.1, seed=1)
    assert not {utterance.text for utterance in other["train"]} & {utterance.text for utterance in corpus[1]["train"]}


def test_splits_share_neither_texts_nor_voices(corpus):
    for what in ("text", "speaker"):
        train, dev, test = ({getattr(utterance, what) for utterance in corpus[1][split]} for split in SPLITS)
        assert not train & dev
        assert not train & test
        assert not dev & test


def test_there_is_as_much_as_wished(corpus):
    data_dir, splits = corpus
    assert (len(splits["dev"]), len(splits["test"])) == (12, 12)
    for language in ("zh", "de"):
        durations_s = [utterance.duration_s for utterance in splits["train"] if utterance.language == language]
        assert sum(durations_s) - durations_s[-1] < 0.4 * 60 <= sum(durations_s)
    assert len(audio_files(data_dir)) == sum(map(len, splits.values()))
    assert "nothing about human speech" in (data_dir / "README.md").read_text(encoding="utf-8")


def test_there_is_something_to_hear(corpus):
    for utterance in [utterance for split in corpus[1].values() for utterance in split]:
        waveform, sample_rate_hz = soundfile.read(utterance.audio)
        assert (sample_rate_hz, waveform.ndim) == (16000, 1)
        assert 0.7 < len(waveform) / sample_rate_hz == pytest.approx(utterance.duration_s, abs=1e-3)
        assert utterance.duration_s < 6.1
        assert 0.25 < np.abs(waveform).max() < 0.95
        assert np.sqrt(np.mean(waveform**2)) > 0.02


def test_repeating_changes_nothing_and_overwriting_leaves_nothing_behind(tmp_path: Path):
    arguments = [str(tmp_path), "--languages", "fr", "--dev-utterances", "2", "--jobs", "1"]
    long, short = (["--train-minutes", minutes, "--test-utterances", "0"] for minutes in ("0.2", "fr=0.1"))
    assert CliRunner().invoke(app, arguments + long).exit_code == 0
    first = audio_files(tmp_path)
    again = CliRunner().invoke(app, arguments + short)
    assert again.exit_code == 0
    assert again.stderr.count("is there already") == 2
    assert audio_files(tmp_path) == first
    assert CliRunner().invoke(app, [*arguments, *short, "--overwrite"]).exit_code == 0
    assert audio_files(tmp_path).items() < first.items()
    assert not manifest_path(tmp_path, "fr", "test").exists()


def test_what_was_said_before_changes_nothing():
    delivery = Delivery(f"{espeak().voice('de')}+croak", seed=3)
    first = espeak().speak("zwanzig Kilometer", delivery).waveform
    espeak().speak("trente euros", Delivery(f"{espeak().voice('fr')}+f4"))
    np.testing.assert_array_equal(espeak().speak("zwanzig Kilometer", delivery).waveform, first)
    assert len(first) > espeak().sample_rate_hz / 2


def test_the_voices_are_there_and_differ():
    variants = [variant for split in SPLITS for variant in VARIANTS[split]]
    assert len(set(variants)) == len(variants)
    plain = Delivery(espeak().voice("es"))
    voices = {variant: Delivery(f"{plain.voice}+{variant}") for variant in variants} | {"plain": plain}
    spoken = {name: espeak().speak("Montevideo", voice).waveform for name, voice in voices.items()}
    assert len({waveform.tobytes() for waveform in spoken.values()}) == len(variants) + 1  # a missing one sounds plain
    assert all(0.05 < np.abs(waveform).max() < 1 for waveform in spoken.values())


def test_noise_keeps_its_distance():
    tone = np.sin(np.arange(16001) / 5).astype(np.float32)
    for seed in range(10):
        noisy = with_noise(tone, Random(seed))
        gain = noisy @ tone / (tone @ tone)
        snr_db = 10 * np.log10(np.sum((gain * tone) ** 2) / np.sum((noisy - gain * tone) ** 2))
        assert noisy.dtype == np.float32
        assert 9 < snr_db < 31
        assert 0.29 < np.abs(noisy).max() < 0.91


@pytest.mark.parametrize(
    ("language", "letters"),
    [("de", "a-zäöüß"), ("zh", "\u4e00-\u9fff"), ("ru", "а-яё"), ("hr", "a-zćčđšž"), ("el", "\u0370-\u03ff")],
)
def test_texts_hold_letters_of_the_language_and_no_digits(language: str, letters: str):
    drawn = [texts(language).sample(Random(seed), lambda _: True) for seed in range(200)]
    foreign = [re.sub(rf"(?i)[{letters}]|[ ,、·'’-]", "", text) for text in drawn]
    assert sum(map(bool, foreign)) < 20  # accented letters of names, in Latin scripts
    assert not any(re.search(r"\d|[A-Z]{2}", text) for text in drawn)
    assert len(set(drawn)) > 180
    assert {split_of(text) for text in drawn} == set(SPLITS)


def test_texts_are_those_that_espeak_reads_as_everyone_does():
    mandarin = espeak().voice("zh-CN")
    assert is_read_well("二十公里和西班牙语", mandarin)
    assert not is_read_well("加勒比", mandarin)  # espeak says le, pypinyin lei
    japanese = espeak().voice("ja")
    assert is_read_well("アイスランド", japanese)
    assert not is_read_well("時間", japanese)  # espeak says "Chinese letter", in English


@pytest.mark.parametrize(
    ("language", "message"),
    [
        ("fil", "espeak-ng does not speak 'fil'"),  # babel knows it
        ("fo", "espeak-ng does not speak 'fo'"),  # espeak lists it, without a dictionary
        ("piqd", "babel has no data"),  # espeak speaks it
        ("ba", "Too little is known"),
    ],
)
def test_languages_that_will_not_do(language: str, message: str, tmp_path: Path):
    result = CliRunner().invoke(app, [str(tmp_path / "data"), "--languages", f"de,{language}", "--jobs", "1"])
    assert result.exit_code == 2
    assert message in result.stderr
    assert not (tmp_path / "data").exists()


def test_minutes_for_all_or_for_each():
    assert parse_minutes("20", ["zh", "de"]) == {"zh": 20, "de": 20}
    assert parse_minutes("zh=10, de=2.5", ["zh", "de"]) == {"zh": 10, "de": 2.5}
    assert parse_minutes("20,zh=10", ["zh", "de"]) == {"zh": 10, "de": 20}


@pytest.mark.parametrize("text", ["", "many", "zh=10", "fr=3,20", "-1", "zh=nan,de=1"])
def test_minutes_that_cannot_be_used(text: str):
    with pytest.raises(InputError, match="--train-minutes"):
        parse_minutes(text, ["zh", "de"])
