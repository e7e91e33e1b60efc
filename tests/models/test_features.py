import inspect
from functools import partial
from pathlib import Path
from typing import Any

import keras
import librosa
import numpy as np
import pytest
from tiny_encoders import wav2vec2_folder
from usual import usual

from speech_mtl.data.audio import read_audio
from speech_mtl.models.features import LogMel, frame_mask, mel_filters
from speech_mtl.settings.features import FeatureSettings, LogMelSettings

KINDS = FeatureSettings.kinds()
layer_of = partial(usual, LogMelSettings, sample_rate_hz=16_000)

ops: Any = keras.ops  # whose annotations admit strings and None


@pytest.mark.parametrize("kind", sorted(KINDS))
def test_every_kind_gives_the_frames_that_it_tells_of(kind: str):
    """What the network relies on, of new kinds too: neither padding nor another utterance changes a frame."""
    given = {"num_mels": 40, "dir": wav2vec2_folder(), "layer": 1}
    given = {name: value for name, value in given.items() if name in KINDS[kind].model_fields}
    layer = usual(KINDS[kind], sample_rate_hz=16_000, **given)
    lengths, generator = np.array([4000, 9000, layer.fft_size - 1], "int32"), np.random.default_rng(0)
    waveforms = generator.normal(0, 0.1, (3, layer.num_inputs(9000))).astype(
        "float32"
    )  # beyond the true lengths there is noise too
    features, num_frames = map(ops.convert_to_numpy, layer(waveforms, lengths))
    assert features.shape == (3, layer.num_frames(9000), layer.width)
    assert layer.width == given.get("num_mels", layer.width)
    assert num_frames.tolist() == [layer.num_frames(4000), layer.num_frames(9000), 0]
    for row, size, length in zip(features, num_frames, lengths, strict=True):
        assert np.isfinite(row).all()
        assert not row[size:].any()
        if size:
            alone, _ = layer(
                waveforms[:1, : layer.num_inputs(length)] if length == 4000 else waveforms[1:2],
                np.array([length], "int32"),
            )
            np.testing.assert_allclose(ops.convert_to_numpy(alone)[0], row[:size], rtol=1e-4, atol=1e-5)
    middles_s = layer.frame_time_s(np.arange(layer.num_frames(9000)))
    assert middles_s[0] > 0
    assert middles_s[-1] < 9000 / 16_000
    np.testing.assert_allclose(np.diff(middles_s), layer.hop / 16_000)


def librosa_log_mel(waveform: np.ndarray, num_mels: int = 80) -> np.ndarray:
    energies = librosa.feature.melspectrogram(
        y=waveform,
        sr=16_000,
        n_fft=512,
        hop_length=160,
        win_length=400,
        window="hann",
        center=False,
        power=2.0,
        n_mels=num_mels,
    )
    return np.log(energies.T + 1e-6)


def log_mel(waveform: np.ndarray, **kwargs) -> tuple[np.ndarray, np.ndarray]:
    features, num_frames = layer_of(**kwargs)(waveform[None], np.array([len(waveform)], "int32"))
    return ops.convert_to_numpy(features)[0], ops.convert_to_numpy(num_frames)


def assert_equals_librosa(waveform: np.ndarray) -> None:
    ours, num_frames = log_mel(waveform, normalize="none")
    theirs = librosa_log_mel(waveform)
    assert ours.shape == theirs.shape
    assert num_frames.tolist() == [len(theirs)]
    assert theirs.std() > 0.5
    # To 1e-4, save where a band holds a millionth of its frame's energy, which float32 does not resolve.
    np.testing.assert_allclose(np.exp(ours), np.exp(theirs), rtol=1e-4, atol=1e-6 * np.exp(theirs).max())
    np.testing.assert_allclose(ours, theirs, atol=1e-3)


@pytest.mark.parametrize(
    ("rate_hz", "num_mels", "fft_size"), [(16_000, 80, 512), (8_000, 20, 400), (44_100, 64, 2048), (1500, 8, 256)]
)
def test_mel_filters_are_those_of_librosa(rate_hz: int, num_mels: int, fft_size: int):
    theirs = librosa.filters.mel(sr=rate_hz, n_fft=fft_size, n_mels=num_mels).T
    np.testing.assert_array_equal(mel_filters(rate_hz, num_mels, fft_size), theirs)


def test_equals_librosa_on_noise():
    assert_equals_librosa(np.random.default_rng(0).normal(0, 0.1, 12_345).astype("float32"))


def test_equals_librosa_on_tones(speak):
    assert_equals_librosa(speak("abcd"))


def test_equals_librosa_on_real_speech(human_corpora: Path):
    files = [next(human_corpora.rglob(f"*.{suffix}")) for suffix in ("mp3", "opus")]
    for path in files:
        assert_equals_librosa(read_audio(path, 16_000))


def test_no_warning_of_empty_filters():
    """With the defaults no mel filter is empty."""
    assert layer_of().filters.max(axis=0).min() > 0
    assert layer_of().filters.shape == (257, 80)


@pytest.mark.parametrize("num_samples", [512, 513, 671, 672, 673, 16_000])
def test_num_frames(num_samples):
    features, num_frames = log_mel(np.ones(num_samples, "float32"))
    assert len(features) == num_frames[0] == layer_of().num_frames(num_samples)
    assert layer_of().num_frames(num_samples) == len(range(0, num_samples - 512 + 1, 160))


def test_normalised_over_true_frames():
    generator = np.random.default_rng(0)
    lengths = np.array([4000, 9000, 300], "int32")
    waveforms = generator.normal(0, 0.1, (3, 9000)).astype("float32")  # beyond the true lengths there is noise too
    features, num_frames = layer_of(num_mels=40, normalize="mean_variance")(waveforms, lengths)
    features, num_frames = ops.convert_to_numpy(features), ops.convert_to_numpy(num_frames)
    assert num_frames.tolist() == [22, 54, 0]
    for row, size in zip(features, num_frames, strict=True):
        assert not row[size:].any()
    for row, size, length, waveform in zip(features[:2], num_frames, lengths, waveforms, strict=False):
        np.testing.assert_allclose(row[:size].mean(axis=0), 0, atol=1e-5)
        np.testing.assert_allclose(row[:size].var(axis=0), 1, atol=1e-3)
        plain = librosa_log_mel(waveform[:length], num_mels=40)
        np.testing.assert_allclose(row[:size], (plain - plain.mean(axis=0)) / plain.std(axis=0), atol=1e-3)


@pytest.mark.parametrize("normalize", ["mean_variance", "mean"])
def test_loudness_does_not_matter(normalize):
    waveform = np.random.default_rng(0).normal(0, 0.1, 8000).astype("float32")
    quiet, loud = (log_mel(waveform * factor, normalize=normalize)[0] for factor in (1, 4))
    np.testing.assert_allclose(quiet, loud, atol=0.01)


def test_the_mean_alone_is_taken_out():
    generator = np.random.default_rng(0)
    waveforms, lengths = generator.normal(0, 0.1, (2, 9000)).astype("float32"), np.array([4000, 9000], "int32")
    features, num_frames = layer_of(num_mels=40, normalize="mean")(waveforms, lengths)
    for row, size, length, waveform in zip(
        *map(ops.convert_to_numpy, (features, num_frames)), lengths, waveforms, strict=True
    ):
        plain = librosa_log_mel(waveform[:length], num_mels=40)
        np.testing.assert_allclose(row[:size] * 3, plain - plain.mean(axis=0), atol=1e-3)
        assert not row[size:].any()


def test_the_running_mean_equals_loops(monkeypatch: pytest.MonkeyPatch):
    """Of each band, over a window that ends with the frame; at the beginning the rest of 0.1 s is typical."""
    monkeypatch.setattr(LogMel, "WINDOW_S", 0.2)
    monkeypatch.setattr(LogMel, "TYPICAL_S", 0.1)
    generator = np.random.default_rng(0)
    waveforms, lengths = generator.normal(0, 0.1, (2, 9000)).astype("float32"), np.array([4000, 9000], "int32")
    waveforms *= np.linspace(0.1, 3, 9000, dtype="float32")
    features, num_frames = layer_of(num_mels=40, normalize="running_mean")(waveforms, lengths)
    for row, size, length, waveform in zip(
        *map(ops.convert_to_numpy, (features, num_frames)), lengths, waveforms, strict=True
    ):
        plain = librosa_log_mel(waveform[:length], num_mels=40)
        for frame in range(size):
            before = plain[max(0, frame - 19) : frame + 1]
            mean = (before.sum(axis=0) - 9.0 * max(0, 10 - len(before))) / max(10, len(before))
            np.testing.assert_allclose(row[frame] * 3, plain[frame] - mean, atol=2e-3)
        assert not row[size:].any()


def test_other_window_and_hop():
    waveform = np.random.default_rng(0).normal(0, 0.1, 8000).astype("float32")
    ours, _ = log_mel(
        waveform, sample_rate_hz=8000, num_mels=23, window_s=0.032, hop_s=0.0125, fft_size=256, normalize="none"
    )
    theirs = librosa.feature.melspectrogram(
        y=waveform, sr=8000, n_fft=256, hop_length=100, win_length=256, center=False, n_mels=23
    )
    np.testing.assert_allclose(ours, np.log(theirs.T + 1e-6), atol=1e-4)


@pytest.mark.parametrize(
    "settings", [{}, {"sample_rate_hz": 8000, "num_mels": 23, "window_s": 0.032, "hop_s": 0.0125, "fft_size": 256}]
)
def test_a_click_is_loudest_in_the_frame_whose_time_is_nearest(settings: dict):
    layer = layer_of(normalize="none", **settings)
    size = layer.sample_rate_hz // 2
    times_s = layer.frame_time_s(np.arange(layer.num_frames(size)))
    for position in np.random.default_rng(0).integers(size // 10, size - size // 10, 20):
        waveform = np.zeros(size, "float32")
        waveform[position] = 1.0
        features, _ = log_mel(waveform, normalize="none", **settings)
        assert len(features) == len(times_s)
        distances_s = np.abs(times_s - position / layer.sample_rate_hz)
        assert distances_s[features.sum(axis=1).argmax()] == pytest.approx(distances_s.min(), abs=1e-9)


def test_frame_mask():
    mask = ops.convert_to_numpy(frame_mask(np.array([0, 2, 3], "int32"), 3))
    np.testing.assert_array_equal(mask, [[0, 0, 0], [1, 1, 0], [1, 1, 1]])


def test_nothing_to_train():
    assert layer_of().trainable_variables == []
    assert list(inspect.signature(LogMel.call).parameters) == ["self", "waveforms", "num_samples", "past"]
