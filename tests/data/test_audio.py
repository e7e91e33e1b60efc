import numpy as np
import pytest
import soundfile
from tone_files import loudest_hz, refusal, tone, written

from speech_mtl.data.audio import add_noise, change_speed, read_audio, resampled
from speech_mtl.data.place import AudioError


@pytest.mark.parametrize("rate_hz", [8_000, 16_000, 44_100, 48_000])
@pytest.mark.parametrize("suffix", ["wav", "flac", "ogg", "mp3"])
def test_formats_and_rates(suffix, rate_hz, tmp_path):
    path = tmp_path / f"tone.{suffix}"
    soundfile.write(path, tone(1000, rate_hz=rate_hz), rate_hz)
    waveform = read_audio(path, 16_000)
    assert waveform.dtype == np.float32
    assert waveform.ndim == 1
    assert len(waveform) / 16_000 == pytest.approx(1.0, abs=0.06 if suffix == "mp3" else 1e-3)
    assert loudest_hz(waveform) == pytest.approx(1000, abs=2)
    middle = waveform[4000:12000]
    assert np.sqrt(np.mean(middle**2)) == pytest.approx(0.5 / np.sqrt(2), rel=0.03)


@pytest.mark.parametrize("suffix", ["wav", "flac"])
def test_lossless_formats_keep_every_sample(suffix, tmp_path):
    path = tmp_path / f"noise.{suffix}"
    samples = np.random.default_rng(0).integers(-20_000, 20_000, 4000).astype("int16")
    soundfile.write(path, samples, 16_000)
    np.testing.assert_array_equal(read_audio(path, 16_000), samples / np.float32(32768))


def test_stereo_is_the_mean_of_its_channels(tmp_path):
    path = tmp_path / "stereo.wav"
    left, right = tone(500), tone(2000, level=0.25)
    soundfile.write(path, np.stack([left, right], axis=1), 16_000, subtype="FLOAT")
    np.testing.assert_allclose(read_audio(path, 16_000), (left + right) / 2, atol=1e-7)


def test_values_stay_within_one(tmp_path):
    path = tmp_path / "loud.wav"
    soundfile.write(path, tone(500, level=1.2), 16_000, subtype="FLOAT")
    assert np.abs(read_audio(path, 16_000)).max() == 1.0


@pytest.mark.parametrize("scale", [1.5, 2.1, 128.0, 32_768.0, 1e30])
@pytest.mark.parametrize("channels", [1, 2])
def test_samples_of_another_scale_are_refused(scale, channels, tmp_path):
    """Also where two channels cancel out each other."""
    samples = np.stack([tone(500), -tone(500)][:channels], axis=1)
    path = written(tmp_path / "a.wav", samples * 2 * scale, subtype="DOUBLE")
    assert refusal(path) == "out of range"


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_samples_that_are_not_numbers(value, tmp_path):
    samples = np.stack([tone(500), -tone(500)], axis=1)
    samples[100] = value, -value
    path = written(tmp_path / "a.wav", samples, subtype="FLOAT")
    with pytest.raises(AudioError) as caught:
        read_audio(path, 16_000)
    assert caught.value.reason == "unreadable"


@pytest.mark.parametrize(
    ("samples", "reason"),
    [
        (np.zeros(16_000), "silent"),
        (tone(500, level=5e-5), "silent"),
        (np.zeros(0), "too short"),
        (tone(500, 0.19), "too short"),
        (tone(500, 2.05), "too long"),
        (tone(500, 5.0), "too long"),
    ],
)
def test_unusable(samples, reason, tmp_path):
    path = written(tmp_path / "a.wav", samples, subtype="FLOAT")
    with pytest.raises(AudioError) as caught:
        read_audio(path, 16_000, min_duration_s=0.2, max_duration_s=2.0)
    assert caught.value.reason == reason
    assert str(path) in str(caught.value)


@pytest.mark.parametrize("duration_s", [0.2, 2.0])
def test_limits_are_included(duration_s, tmp_path):
    path = written(tmp_path / "a.wav", tone(500, duration_s))
    assert len(read_audio(path, 16_000, min_duration_s=0.2, max_duration_s=2.0)) == duration_s * 16_000


def test_resampling_keeps_the_tone_and_removes_what_does_not_fit():
    mixed = tone(1000, rate_hz=48_000) + tone(11_000, rate_hz=48_000)
    result = np.concatenate(list(resampled(np.split(mixed, 6), 48_000, 16_000)))
    assert result.dtype == np.float32
    assert len(result) == 16_000
    np.testing.assert_allclose(result[500:-500], tone(1000)[500:-500], atol=2e-3)


@pytest.mark.parametrize("speed", [0.9, 1.1, 1.25])
def test_change_speed(speed):
    result = change_speed(tone(1000, 2.0), speed)
    assert result.dtype == np.float32
    assert len(result) == pytest.approx(32_000 / speed, abs=2)
    assert loudest_hz(result) == pytest.approx(1000 * speed, abs=2)


def test_speed_one_changes_nothing():
    waveform = tone(1000)
    np.testing.assert_array_equal(change_speed(waveform, 1.0), waveform)


def test_fastest_speed_leaves_as_much_as_filtering_expects():
    """`load_examples` keeps an utterance whose frames suffice at `int(samples / speed)` samples."""
    for size in range(1600, 1700):
        assert len(change_speed(np.zeros(size, "float32"), 1.1)) >= int(size / 1.1)


@pytest.mark.parametrize("snr_db", [0.0, 10.0, 30.0])
def test_add_noise_reaches_its_ratio(snr_db):
    signal = tone(1000, 4.0)
    noisy = add_noise(signal, snr_db, np.random.default_rng(0))
    assert noisy.dtype == np.float32
    noise = noisy - signal
    assert 10 * np.log10(np.mean(signal**2) / np.mean(noise**2)) == pytest.approx(snr_db, abs=0.1)
    spectrum = np.abs(np.fft.rfft(noise)) ** 2
    assert spectrum[:16_000].mean() == pytest.approx(spectrum[16_000:].mean(), rel=0.05), "white"
    np.testing.assert_array_equal(noisy, add_noise(signal, snr_db, np.random.default_rng(0)))
