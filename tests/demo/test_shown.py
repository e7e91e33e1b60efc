"""What the page shows, against what it is made from."""

from base64 import b64decode
from collections.abc import Callable
from copy import copy
from pathlib import Path

import numpy as np
import pytest

from speech_mtl.datatypes import BLANK
from speech_mtl.decoding.words import words
from speech_mtl.demo.server import Page
from speech_mtl.demo.shown import (
    LEAST,
    NUM_COLUMNS,
    TICKS_HZ,
    LoadedRun,
    band_ticks,
    languages_of,
    load_runs,
    mel_image,
    outline,
    rises,
)
from speech_mtl.errors import InputError
from speech_mtl.models.features import LogMel
from speech_mtl.run.build import build_model, build_targets
from speech_mtl.run.checkpoint import Checkpoints
from speech_mtl.run.folder import Run
from speech_mtl.settings.recipe import Recipe
from speech_mtl.targets.classes import Classes


def features_of(sample_rate_hz: int = 16_000, num_mels: int = 80) -> LogMel:
    return LogMel(sample_rate_hz, num_mels, 0.025, 0.01, 512, 1e-6, "none")


def test_words_are_those_of_the_recognizer(loaded: LoadedRun, speak: Callable):
    waveform = speak("dacb")
    shown = loaded.shown(waveform, "AA")
    assert (shown["name"], shown["language"]) == ("run", "aa")
    (hypothesis,) = loaded.recognizer.transcribe([waveform], "aa")
    assert [word["text"] for word in shown["words"]] == ["dacb"]
    assert shown["words"] == [word._asdict() for word in words(hypothesis)]


def test_curves_and_blank_are_the_probabilities_of_the_network(loaded: LoadedRun, speak: Callable):
    waveform = speak("abcd")
    (piece,) = loaded.shown(waveform, "aa")["pieces"]
    (log_probabilities,) = loaded.recognizer.log_probabilities([waveform], "aa")
    expected, found = np.exp(log_probabilities), np.zeros_like(log_probabilities)
    vocabulary = list(loaded.recognizer.tokenizers["aa"].vocabulary)
    found[:, BLANK] = piece["blank"]
    for token in piece["tokens"]:
        end = token["first"] + len(token["probabilities"])
        found[token["first"] : end, vocabulary.index(token["text"])] = token["probabilities"]
    assert found == pytest.approx(np.where(expected < LEAST, found, expected), abs=5.1e-4)
    assert piece["frames_s"] == pytest.approx(loaded.recognizer.model.frame_times_s(len(waveform)), abs=1e-4)
    assert {"a", "b", "c", "d"} <= {token["text"] for token in piece["tokens"]}


def test_rises_are_all_stretches_above_the_least_probability():
    generator = np.random.default_rng(0)
    for _ in range(50):
        probabilities = generator.dirichlet(np.full(6, 0.1), size=generator.integers(1, 12))
        rebuilt = np.zeros_like(probabilities)
        for number, first, values in rises(probabilities):
            end = first + len(values)
            assert number != BLANK
            assert values.min() >= LEAST
            assert all(probabilities[i, number] < LEAST for i in (first - 1, end) if 0 <= i < len(probabilities))
            rebuilt[first:end, number] += values
        kept = np.where(probabilities >= LEAST, probabilities, 0.0)
        kept[:, BLANK] = 0.0
        assert rebuilt == pytest.approx(kept)


@pytest.mark.parametrize("size", [1, NUM_COLUMNS - 1, NUM_COLUMNS, NUM_COLUMNS + 1, 16_000, 100_001])
def test_the_outline_bounds_all_samples(size: int):
    waveform = np.random.default_rng(size).uniform(-1, 1, size).astype("float32")
    found = outline(waveform, 16_000)
    assert found["duration_s"] == size / 16_000
    step = round(found["step_s"] * 16_000)
    stretches = [waveform[start : start + step] for start in range(0, size, step)]
    assert len(stretches) <= NUM_COLUMNS
    assert found["low"] == pytest.approx([stretch.min() for stretch in stretches], abs=1e-4)
    assert found["high"] == pytest.approx([stretch.max() for stretch in stretches], abs=1e-4)


def test_the_spectrogram_is_what_the_network_gets():
    waveform = np.random.default_rng(0).normal(0, 0.1, 8_000).astype("float32") * np.linspace(0.01, 1, 8_000, dtype="f")
    features = features_of()
    image = mel_image(features, waveform, 2.0)
    levels = np.frombuffer(b64decode(image["levels"]), "uint8").reshape(-1, image["num_bands"])
    values, num_frames = features(waveform[None], np.array([8_000], "int32"))
    assert levels.shape == (int(num_frames[0]), 80)
    low, high = np.percentile(np.asarray(values), (1, 99.5))
    assert levels == pytest.approx(np.clip((np.asarray(values)[0] - low) / (high - low), 0, 1) * 255, abs=0.51)
    assert image["start_s"] == pytest.approx(2.0 + 256 / 16_000 - 0.005)
    assert image["end_s"] == pytest.approx(image["start_s"] + 0.01 * len(levels))


@pytest.mark.parametrize(("rate_hz", "num_mels"), [(16_000, 80), (8_000, 40), (16_000, 20)])
def test_a_tone_is_brightest_where_its_frequency_is_named(rate_hz: int, num_mels: int):
    features = features_of(rate_hz, num_mels)
    ticks = dict(band_ticks(features))
    assert {"1", "2"} <= set(ticks)
    assert set(ticks) <= {f"{hz / 1000:g}" for hz in TICKS_HZ}
    for name, height in ticks.items():
        tone = np.sin(2 * np.pi * 1000 * float(name) * np.arange(rate_hz) / rate_hz).astype("float32")
        image = mel_image(features, tone, 0.0)
        levels = np.frombuffer(b64decode(image["levels"]), "uint8").reshape(-1, num_mels)
        values, _ = features(tone[None], np.array([len(tone)], "int32"))
        brightest = int(np.asarray(values)[0].mean(axis=0).argmax())
        assert abs(height * num_mels - 0.5 - brightest) <= 1
        assert levels[:, brightest].mean() >= 250


def test_what_long_recordings_look_like_is_computed_in_pieces_of_equal_length(
    loaded: LoadedRun, speak: Callable, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(loaded, "max_duration_s", 2.0)
    parts = [speak("abcd"), speak("dcba"), speak("acbd"), speak("dbca")]
    waveform = np.concatenate(parts)
    shown = loaded.shown(waveform, "aa")
    assert len(shown["pieces"]) == 2
    assert "".join(word["text"] for word in shown["words"]) == "abcddcbaacbddbca"
    half_s = len(waveform) / 2 / 16_000
    frames_s = [time for piece in shown["pieces"] for time in piece["frames_s"]]
    assert frames_s == sorted(frames_s)
    assert half_s < shown["pieces"][1]["frames_s"][0] < half_s + 0.1
    assert shown["pieces"][1]["mel"]["start_s"] == pytest.approx(half_s + shown["pieces"][0]["mel"]["start_s"])


def test_what_a_run_cannot_recognise_is_told_in_its_place(loaded: LoadedRun, speak: Callable):
    for waveform, language, problem in (
        (speak("abcd"), "cs", "There is no output layer for the language 'cs'"),
        (np.ones(50, "float32"), "aa", "The recording cannot be transcribed"),
    ):
        shown = loaded.shown(waveform, language)
        assert (shown["name"], shown["error"]["problem"]) == ("run", problem)
        assert all(shown["error"].values())


def test_the_languages_are_those_of_all_runs(loaded: LoadedRun):
    one, other = copy(loaded), copy(loaded)
    one.languages, other.languages = ["de", "zh-CN"], ["deu", "cs"]
    assert languages_of([one, other]) == ["de", "zh-CN", "cs"]


def test_a_run_whose_target_is_a_task_shows_its_languages(trained: Run, tiny_recipe: Recipe, tmp_path: Path):
    recipe = tiny_recipe.overridden({"tasks": {"mood": {}}, "target": "mood"})
    run, tokenizers = Run(tmp_path / "run"), trained.tokenizers()
    tasks = {"mood": Classes("mood", "mood", ["glad", "sad"], "unknown")}
    run.start(recipe, tokenizers, tasks)
    Checkpoints(run).save_best(build_model(recipe, build_targets(recipe, tokenizers, tasks)), 1)
    (found,) = load_runs([run], [])
    assert found.target == Page([found], None, 1, 1, local=True).about["language"] == "aa"


def test_how_runs_decode_can_be_set(trained: Run):
    with pytest.raises(InputError, match="cannot be changed for a trained run"):
        load_runs([trained], ["training.num_updates=1"])
    with pytest.raises(InputError):
        load_runs([Run(Path("nowhere"))], [])
