"""Augmentations of waveforms: what all of them promise, then what each does."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
from scipy.signal import correlate

from speech_mtl.data.audio_folder import open_folder
from speech_mtl.data.augmentation import CODECS, Coding, Noise, Reverberation, WaveformAugmentation, augmented
from speech_mtl.data.store import AudioLimits
from speech_mtl.errors import InputError
from speech_mtl.settings.data import CodecSettings, FolderAugmentationSettings, WaveformAugmentationSettings

RATE = 16_000
KINDS = WaveformAugmentationSettings.kinds()
every_kind = pytest.mark.parametrize("kind", KINDS)
Make = Callable[..., Any]


def clicks(size: int, seed: int = 0) -> np.ndarray:
    """Noise of the band of the telephone in bursts, as speech is in syllables: (size,) float32."""
    generator = np.random.default_rng(seed)
    spectrum = np.fft.rfft(generator.standard_normal(size))
    hertz = np.fft.rfftfreq(size, 1 / RATE)
    spectrum[(hertz < 300) | (hertz > 3000)] = 0
    bursts = np.fft.irfft(spectrum, size) * (np.sin(2 * np.pi * 4 * np.arange(size) / RATE) > 0.3)
    return (0.5 * bursts / np.abs(bursts).max()).astype("float32")


def delay(waveform: np.ndarray, other: np.ndarray) -> int:
    """Samples by which the second comes after the first, by the largest correlation."""
    return int(np.argmax(correlate(other, waveform, mode="full"))) - (len(waveform) - 1)


def power(waveform: np.ndarray) -> float:
    return float(np.mean(waveform.astype(float) ** 2))


@pytest.fixture
def recordings(tmp_path) -> Path:
    """Three decaying sounds, short enough to be responses of rooms: they begin with their largest sample."""
    folder, generator = tmp_path / "recordings", np.random.default_rng(1)
    folder.mkdir()
    for i, decay_s in enumerate((0.01, 0.05, 0.1)):
        sound = generator.uniform(-0.2, 0.2, RATE // 4) * np.exp(-np.arange(RATE // 4) / (decay_s * RATE))
        sound[40 * i] = 0.9
        soundfile.write(folder / f"{i}.wav", sound, RATE)
    return folder


@pytest.fixture
def make(recordings, tmp_path) -> Make:
    """Makes an augmentation as a run does, by its kind and settings."""

    def made(kind: str, folder: Path = recordings, **settings: Any) -> WaveformAugmentation:
        own, more = KINDS[kind], {}
        given = {"probability": 1.0, **settings}
        if issubclass(own, FolderAugmentationSettings):
            given["dir"] = folder
            limits = AudioLimits(RATE, *own.member().DURATIONS_S)
            more["recordings"] = open_folder(folder, tmp_path / "cache", limits, 0.0)
        return own(**given).make(sample_rate_hz=RATE, **more)

    return made


# --- all of them


@every_kind
@pytest.mark.parametrize("size", [1600, 16_001, 48_000])
def test_length_and_place_stay(kind, size, make: Make):
    """Labels of frames stay right: within a millisecond, whatever is chosen."""
    augmentation, waveform = make(kind), clicks(size)
    for seed in range(12):
        result = augmented(waveform, [augmentation], seed)
        assert result.shape == waveform.shape
        assert result.dtype == np.float32
        assert np.isfinite(result).all()
        assert not np.array_equal(result, waveform)
        assert abs(delay(waveform, result)) <= RATE / 1000


@every_kind
def test_the_seed_decides(kind, make: Make):
    augmentation, waveform = make(kind), clicks(16_000)
    untouched = waveform.copy()
    one, again, other = (augmented(waveform, [augmentation], seed) for seed in (3, 3, 4))
    np.testing.assert_array_equal(one, again)
    assert not np.array_equal(one, other)
    np.testing.assert_array_equal(waveform, untouched)


@every_kind
def test_silence_and_loud_sounds_are_no_problem(kind, make: Make):
    augmentation = make(kind)
    for waveform in (np.zeros(8000, "float32"), 3 * clicks(8000)):
        result = augmented(waveform, [augmentation], 0)
        assert np.isfinite(result).all()
    assert power(result) > 0.5 * power(3 * clicks(8000))


@every_kind
def test_probability(kind, make: Make):
    waveform = clicks(1600)
    augmentation = make(kind, probability=0.3)
    changed = [augmented(waveform, [augmentation], seed) is not waveform for seed in range(200)]
    assert 0.2 < np.mean(changed) < 0.4
    never = make(kind, probability=0.0)
    assert all(augmented(waveform, [never], seed) is waveform for seed in range(20))


def test_chance_of_several_is_independent(make: Make):
    """That of the second is not that of the first, nor that of white noise, which takes the seed itself."""
    waveform, one = clicks(1600), make("noise", probability=0.5)
    pairs = [
        [augmented(waveform, row, seed) is not waveform for row in ([one], [make_never(one), one])]
        for seed in range(200)
    ]
    assert abs(np.corrcoef(np.array(pairs, float).T)[0, 1]) < 0.25
    firsts = [np.random.default_rng([seed, 1]).random() for seed in range(200)]
    assert not set(firsts) & {np.random.default_rng(seed).random() for seed in range(200)}


def make_never(like: Noise) -> Noise:
    return Noise(0.0, RATE, like.recordings, like.snr_db, like.num_stretches)


# --- noise


@pytest.mark.parametrize("num_stretches", [(1, 1), (2, 4)])
@pytest.mark.parametrize("snr_db", [-5.0, 12.0])
def test_noise_reaches_its_ratio(snr_db, num_stretches, make: Make):
    waveform = clicks(16_000)
    noise = augmented(waveform, [make("noise", snr_db=(snr_db, snr_db), num_stretches=num_stretches)], 5) - waveform
    assert 10 * np.log10(power(waveform) / power(noise)) == pytest.approx(snr_db, abs=0.01)


def test_noise_is_a_stretch_of_a_recording(tmp_path, make: Make):
    folder, long = tmp_path / "long", clicks(160_000, seed=9)
    folder.mkdir()
    soundfile.write(folder / "a.flac", long, RATE)
    waveform, places = clicks(8000), []
    for seed in range(8):
        noise = augmented(waveform, [make("noise", folder)], seed) - waveform
        correlation = correlate(long, noise, mode="valid")
        places.append(int(np.argmax(np.abs(correlation))))
        piece = long[places[-1] : places[-1] + 8000]
        assert np.corrcoef(piece, noise)[0, 1] > 0.999
    assert len(set(places)) == 8


def test_short_recordings_are_repeated(make: Make, recordings):
    """A recording of a quarter of a second, in a whole one."""
    waveform = clicks(16_000)
    noise = augmented(waveform, [make("noise")], 1) - waveform
    np.testing.assert_allclose(noise[:4000], noise[4000:8000], atol=1e-5)
    assert power(noise[-4000:]) == pytest.approx(power(noise), rel=0.01)


# --- rooms


def test_reverberation_is_a_convolution_aligned_by_the_direct_sound(tmp_path, make: Make):
    """A delay of 100 samples disappears; an echo after 200 more of half the level stays."""
    folder, response = tmp_path / "rooms", np.zeros(1000)
    folder.mkdir()
    response[[100, 300]] = 0.8, -0.4
    soundfile.write(folder / "r.wav", response, RATE, subtype="FLOAT")
    waveform = clicks(16_000)
    result = augmented(waveform, [make("reverberation", folder)], 0)
    expected = waveform.copy()
    expected[200:] -= 0.5 * waveform[:-200]
    expected *= np.sqrt(power(waveform) / power(expected))
    np.testing.assert_allclose(result, expected, atol=1e-3)


def test_reverberation_takes_every_room_and_channel(tmp_path, make: Make):
    """Two microphones are two responses: their mean would be that of no place in the room."""
    folder, responses = tmp_path / "rooms", np.zeros((800, 2))
    folder.mkdir()
    responses[0] = 0.9
    responses[400, 0], responses[700, 1] = 0.5, 0.5
    soundfile.write(folder / "two.wav", responses, RATE)
    augmentation = make("reverberation", folder)
    assert isinstance(augmentation, Reverberation)
    assert augmentation.recordings.num_samples.tolist() == [800, 800]
    impulse = np.zeros(1600, "float32")
    impulse[0] = 1
    found = {int(np.argsort(np.abs(augmented(impulse, [augmentation], seed)))[-2]) for seed in range(12)}
    assert found == {400, 700}


# --- codecs


def test_recipes_can_name_every_codec():
    assert CodecSettings(probability=1.0).codecs == tuple(CODECS)


@pytest.mark.parametrize("name", CODECS)
def test_each_codec_comes_back_in_time_and_alike(name):
    waveform, codec = clicks(32_000), Coding(1.0, RATE, (name,))
    for seed in range(8):
        result = augmented(waveform, [codec], seed)
        assert abs(delay(waveform, result)) <= 1
        assert 0.6 < np.corrcoef(waveform, result)[0, 1] < 0.999999


@pytest.mark.parametrize("name", ["gsm", "a_law", "mu_law"])
def test_telephone_band(name):
    white = np.random.default_rng(0).uniform(-0.5, 0.5, 32_000).astype("float32")
    spectrum = np.abs(np.fft.rfft(augmented(white, [Coding(1.0, RATE, (name,))], 0))) ** 2
    assert spectrum[len(spectrum) * 9 // 16 :].sum() < 0.001 * spectrum.sum(), "nothing above 4.5 kHz"


@pytest.mark.parametrize("name", ["gsm", "a_law", "mu_law"])
def test_no_sample_of_clipped_speech_flips_its_sign(name):
    """Resampling to 8 kHz makes peaks beyond 1 of the edges of a clipped waveform."""
    clipped = np.repeat(np.random.default_rng(0).choice(np.array([-1, 1], "float32"), 800), 40)
    result = augmented(clipped, [Coding(1.0, RATE, (name,))], 0)
    assert np.mean(result * clipped < 0) < 0.02


@pytest.mark.parametrize("rate", [8000, 22_050, 48_000])
def test_codecs_at_other_rates(rate):
    waveform = clicks(rate)
    for name in CODECS:
        result = augmented(waveform, [Coding(1.0, rate, (name,))], 0)
        assert result.shape == waveform.shape
        assert abs(delay(waveform, result)) <= rate / 1000


@pytest.mark.parametrize("level", np.linspace(0.5, 0.9, 9))
@pytest.mark.parametrize("size", [1600, 8000, 80_000])
def test_mp3_tells_its_delay_at_every_level(level, size):
    waveform = clicks(size)
    result = CODECS["mp3"].round_trip(waveform, float(level))
    assert len(result) == size
    assert delay(waveform, result) == 0


def test_a_codec_that_libsndfile_lacks_is_refused(monkeypatch):
    monkeypatch.setattr(soundfile, "available_formats", lambda: {"WAV": "", "OGG": ""})
    with pytest.raises(InputError, match="lacks codecs") as caught:
        Coding(1.0, RATE, ("gsm", "mp3"))
    assert caught.value.received == "one without mp3"
