"""Augmentations of waveforms beside speed and white noise: recorded noise, rooms, codecs.

Each leaves the length as it is and speech at its place, so that labels of frames stay right. Speed, which changes the
length, is part of the plan of batches; see `data.sampling`.
"""

import io
from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import soundfile
import soxr

from speech_mtl.data.store import WaveformStore
from speech_mtl.errors import InputError

QUIETEST = np.float32(1e-10)
"""Least power by which a waveform is divided: that of digital silence is 0."""


class WaveformAugmentation(ABC):
    """Changes the waveforms of some utterances, by chance.

    Args:
        probability: That an utterance is changed.
        sample_rate_hz: Of the waveforms.
    """

    def __init__(self, probability: float, sample_rate_hz: int):
        self.probability, self.sample_rate_hz = probability, sample_rate_hz

    @abstractmethod
    def applied(self, waveform: np.ndarray, generator: np.random.Generator) -> np.ndarray:
        """(S,) float32 -> (S,) float32; what is chosen depends on the generator only."""


def augmented(waveform: np.ndarray, augmentations: Sequence[WaveformAugmentation], seed: int) -> np.ndarray:
    """A waveform with those of the augmentations that a seed chooses, in their order; each has chance of its own."""
    for number, one in enumerate(augmentations, start=1):  # to numpy, the seeds `seed` and `[seed, 0]` are the same
        generator = np.random.default_rng([seed, number])
        if generator.random() < one.probability:
            waveform = one.applied(waveform, generator)
    return waveform


class FolderAugmentation(WaveformAugmentation):
    """An augmentation that takes recordings from a folder.

    Attributes:
        DURATIONS_S: Least and greatest length of a recording.

    Args:
        probability, sample_rate_hz: See `WaveformAugmentation`.
        recordings: The decoded folder; see `data.audio_folder`.
    """

    DURATIONS_S: tuple[float, float]

    def __init__(self, probability: float, sample_rate_hz: int, recordings: WaveformStore):
        super().__init__(probability, sample_rate_hz)
        self.recordings, self._usable = recordings, np.flatnonzero(recordings.num_samples)

    def _any(self, generator: np.random.Generator) -> int:
        """Position of a recording, each as likely as any other."""
        return int(generator.choice(self._usable))


class Noise(FolderAugmentation):
    """Adds a random stretch of a random recording, at a random signal-to-noise ratio.

    Reference: Snyder et al. 2015, "MUSAN"; as in Kaldi's recipes with it, several stretches of speech make babble. A
    recording shorter than the utterance is repeated. Power is that of the whole utterance, pauses included.

    Args:
        probability, sample_rate_hz, recordings: See `FolderAugmentation`.
        snr_db: Range of the signal-to-noise ratio.
        num_stretches: Range of the number of stretches that are added up, of equal power.
    """

    DURATIONS_S = (0.1, 3600.0)

    def __init__(
        self,
        probability: float,
        sample_rate_hz: int,
        recordings: WaveformStore,
        snr_db: tuple[float, float],
        num_stretches: tuple[int, int],
    ):
        super().__init__(probability, sample_rate_hz, recordings)
        self.snr_db, self.num_stretches = snr_db, num_stretches

    def applied(self, waveform: np.ndarray, generator: np.random.Generator) -> np.ndarray:
        ratio = np.float32(10 ** (generator.uniform(*self.snr_db) / 10))
        number = int(generator.integers(*self.num_stretches, endpoint=True))
        noise = sum(_of_power(self._stretch(len(waveform), generator), np.float32(1)) for _ in range(number))
        return waveform + _of_power(np.asarray(noise), _power(waveform) / ratio)

    def _stretch(self, size: int, generator: np.random.Generator) -> np.ndarray:
        position = self._any(generator)
        held = int(self.recordings.num_samples[position])
        if held >= size:
            return self.recordings.stretch(position, int(generator.integers(held - size, endpoint=True)), size)
        return np.resize(np.roll(self.recordings[position], int(generator.integers(held))), size)


class Reverberation(FolderAugmentation):
    """Convolves with a random room impulse response; the direct sound stays at its place, and power as it was.

    Reference: Ko et al. 2017, "A study on data augmentation of reverberant speech for robust speech recognition". The
    direct sound is taken to be the largest sample of the response, as by Kaldi's `wav-reverberate`. What lies beyond
    the end of the utterance is cut off.
    """

    DURATIONS_S = (0.001, 20.0)

    def applied(self, waveform: np.ndarray, generator: np.random.Generator) -> np.ndarray:
        from scipy.signal import oaconvolve

        response = self.recordings[self._any(generator)]
        direct = int(np.argmax(np.abs(response)))
        reverberant = oaconvolve(waveform, response)[direct : direct + len(waveform)]
        return _of_power(reverberant, _power(waveform))


@dataclass(frozen=True)
class Codec:
    """A codec of libsndfile.

    Attributes:
        format, subtype: As libsndfile calls them.
        sample_rate_hz: What is coded is resampled to it.
        levels: Range of libsndfile's compression level; None where there is only one bit rate.
        bitrate_mode: As libsndfile calls it.
    """

    format: str
    subtype: str
    sample_rate_hz: int
    levels: tuple[float, float] | None = None
    bitrate_mode: str | None = None

    def round_trip(self, waveform: np.ndarray, level: float | None) -> np.ndarray:
        """Codes and decodes a waveform of its rate, of samples in [-1, 1]."""
        rate, coded = self.sample_rate_hz, io.BytesIO()
        soundfile.write(
            coded,
            waveform,
            rate,
            format=self.format,
            subtype=self.subtype,
            compression_level=level,
            bitrate_mode=self.bitrate_mode,
        )
        coded.seek(0)
        return soundfile.read(coded, dtype="float32")[0]


# MP3 of a constant rate below 40 kbit/s comes back later than it was: libsndfile writes no header that tells its delay.
CODECS = {
    "opus": Codec("OGG", "OPUS", 16_000, (0.9, 1.0)),  # 29 to 7 kbit/s
    "mp3": Codec("MP3", "MPEG_LAYER_III", 16_000, (0.5, 0.9), "VARIABLE"),  # about 41 to 26 kbit/s
    "gsm": Codec("WAV", "GSM610", 8_000),  # 13 kbit/s
    "a_law": Codec("WAV", "ALAW", 8_000),  # 64 kbit/s
    "mu_law": Codec("WAV", "ULAW", 8_000),  # 64 kbit/s
}
"""Codecs by the names that recipes give them."""


class Coding(WaveformAugmentation):
    """Codes and decodes with a random codec, at a random bit rate among its low ones.

    Reference: Vu et al. 2019, "Audio codec simulation based data augmentation for telephony speech recognition". We
    differ in the codecs, which are those of libsndfile.

    Args:
        probability, sample_rate_hz: See `WaveformAugmentation`.
        codecs: Names in `CODECS`.

    Raises:
        InputError: The installed libsndfile lacks one of them.
    """

    def __init__(self, probability: float, sample_rate_hz: int, codecs: Sequence[str]):
        super().__init__(probability, sample_rate_hz)
        self.codecs = tuple(codecs)
        if lacking := [name for name in codecs if not _is_there(CODECS[name])]:
            raise InputError(
                f"The installed libsndfile {soundfile.__libsndfile_version__} lacks codecs that are asked for",
                expected="a libsndfile with " + ", ".join(codecs),
                received="one without " + ", ".join(lacking),
                action="leave them out of augment.waveform.*.codecs, or install the wheel of soundfile, which has all",
            )

    def applied(self, waveform: np.ndarray, generator: np.random.Generator) -> np.ndarray:
        codec = CODECS[self.codecs[generator.integers(len(self.codecs))]]
        level = codec.levels and float(generator.uniform(*codec.levels))
        scale = max(np.float32(1), np.abs(waveform).max())  # noise may have raised it beyond what can be coded
        there = soxr.resample(waveform / scale, self.sample_rate_hz, codec.sample_rate_hz)
        there = np.clip(there, -1, 1)  # resampling overshoots, and beyond 1 some codecs of libsndfile flip signs
        back = soxr.resample(codec.round_trip(there, level), codec.sample_rate_hz, self.sample_rate_hz)
        result = np.zeros_like(waveform)
        result[: len(back)] = back[: len(waveform)] * scale
        return result


def _is_there(codec: Codec) -> bool:
    return codec.format in soundfile.available_formats() and soundfile.check_format(codec.format, codec.subtype)


def _power(waveform: np.ndarray) -> np.float32:
    return np.mean(waveform**2)


def _of_power(waveform: np.ndarray, power: np.float32) -> np.ndarray:
    """A waveform scaled to a power; silence stays silence."""
    return waveform * np.sqrt(power / max(_power(waveform), QUIETEST))
