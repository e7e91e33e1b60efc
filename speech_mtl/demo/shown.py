"""The results of a recording on the page: values that JSON takes. Times are seconds from the start of the recording."""

from base64 import b64encode
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
from keras import ops

from speech_mtl.data.languages import find_language
from speech_mtl.datatypes import BLANK
from speech_mtl.decoding.words import words
from speech_mtl.errors import InputError
from speech_mtl.folders import names_of
from speech_mtl.models.features import MelFeatures
from speech_mtl.run.build import decoding_with
from speech_mtl.run.folder import Run
from speech_mtl.run.transcribe import Transcriber
from speech_mtl.settings.decoding import DecodingSettings
from speech_mtl.settings.features import MelSettings

NUM_COLUMNS = 3_000
"""Columns of the outline of a waveform, at most."""

LEAST = 0.02
"""Probability below which a token is not drawn."""

TICKS_HZ = (250, 500, 1_000, 2_000, 4_000, 8_000)
"""Frequencies that the spectrogram names, as far as it reaches."""


class LoadedRun:
    """A trained run that is ready to recognise.

    Args:
        run: The run.
        name: Its name on the page.
        decoding: How it decodes.

    Raises:
        InputError: It is not trained, or damaged.
    """

    def __init__(self, run: Run, name: str, decoding: DecodingSettings):
        recipe = run.recipe()
        self.name = name
        self.transcriber = Transcriber(run.path, decoding)
        self.recognizer = self.transcriber.recognizer
        self.sample_rate_hz = recipe.data.sample_rate_hz
        self.min_duration_s, self.max_duration_s = recipe.data.min_duration_s, recipe.data.max_duration_s
        self.languages = list(recipe.languages)
        self.target = recipe.validated_languages[0]
        own = self.recognizer.model.features
        usual = MelSettings.usual().make(sample_rate_hz=self.sample_rate_hz)
        self.features: MelFeatures = own if isinstance(own, MelFeatures) else usual

    def shown(self, waveform: np.ndarray, language: str) -> dict[str, Any]:
        """The results of a run for a waveform, (S,) float32; or the error if there are none."""
        try:
            language = self.recognizer.own_name(language)
            found = self.transcriber.transcribe(waveform, language, name="The recording")
            pieces = [self._piece(piece, start_s, language) for piece, start_s in self._pieces(waveform)]
        except InputError as error:
            return {"name": self.name, "error": four_parts(error)}
        return {
            "name": self.name,
            "language": language,
            "words": [word._asdict() for hypothesis in found for word in words(hypothesis)],
            "pieces": pieces,
            "ticks": band_ticks(self.features),
        }

    def _pieces(self, waveform: np.ndarray) -> Iterator[tuple[np.ndarray, float]]:
        """Equal pieces, none of which is longer than the utterances that the network is made for; and their starts."""
        num_pieces = int(np.ceil(len(waveform) / (self.max_duration_s * self.sample_rate_hz)))
        start = 0
        for piece in np.array_split(waveform, num_pieces):
            yield piece, start / self.sample_rate_hz
            start += len(piece)

    def _piece(self, waveform: np.ndarray, start_s: float, language: str) -> dict[str, Any]:
        model, vocabulary = self.recognizer.model, self.recognizer.tokenizers[language].vocabulary
        (log_probabilities,) = self.recognizer.log_probabilities([waveform], language)
        probabilities = np.exp(log_probabilities)
        return {
            "mel": mel_image(self.features, waveform, start_s),
            "frames_s": (start_s + model.frame_times_s(len(waveform))).round(4).tolist(),
            "blank": probabilities[:, BLANK].round(3).tolist(),
            "tokens": [
                {"text": vocabulary[number], "first": first, "probabilities": values.round(3).tolist()}
                for number, first, values in rises(probabilities)
            ],
        }


def load_runs(runs: Sequence[Run], changes: Sequence[str]) -> list[LoadedRun]:
    """Loads runs.

    Args:
        runs: The runs.
        changes: Of their settings of decoding, as they are typed: `decoding.key=value`.

    Raises:
        InputError: A run is not trained, or damaged, or a change is not right.
    """
    decodings = [decoding_with(run.recipe(), changes) for run in runs]
    return [LoadedRun(*each) for each in zip(runs, names_of([run.path for run in runs]), decodings, strict=True)]


def languages_of(runs: Sequence[LoadedRun]) -> list[str]:
    """The languages that any of the runs has, each once."""
    found: list[str] = []
    for language in (language for run in runs for language in run.languages):
        if find_language(language, found) is None:
            found.append(language)
    return found


def four_parts(error: InputError) -> dict[str, str]:
    """An error as the page shows it."""
    return {part: getattr(error, part) for part in ("problem", "expected", "received", "action")}


def outline(waveform: np.ndarray, sample_rate_hz: int) -> dict[str, Any]:
    """The lowest and the highest sample of each of many stretches of equal length; the last one may be shorter."""
    size = -(-len(waveform) // NUM_COLUMNS)
    starts = np.arange(0, len(waveform), size)
    return {
        "duration_s": len(waveform) / sample_rate_hz,
        "step_s": size / sample_rate_hz,
        "low": np.minimum.reduceat(waveform, starts).astype(float).round(4).tolist(),
        "high": np.maximum.reduceat(waveform, starts).astype(float).round(4).tolist(),
    }


def mel_image(features: MelFeatures, waveform: np.ndarray, start_s: float) -> dict[str, Any]:
    """Features of a waveform, as brightness from 0 to 255: a byte a band, frame after frame, in base64.

    The weakest hundredth is 0, and the strongest half a hundredth is 255.
    """
    values, num_frames = features(waveform[None], np.array([len(waveform)], "int32"))
    size = int(num_frames[0])
    image = ops.convert_to_numpy(values)[0, :size]
    low, high = np.percentile(image, (1, 99.5))
    levels = np.clip((image - low) / max(high - low, 1e-6), 0, 1) * 255
    half = features.hop / features.sample_rate_hz / 2
    return {
        "start_s": start_s + features.frame_time_s(0) - half,
        "end_s": start_s + features.frame_time_s(size - 1) + half,
        "num_bands": features.num_mels,
        "levels": b64encode(levels.round().astype("uint8").tobytes()).decode("ascii"),
    }


def band_ticks(features: MelFeatures) -> list[tuple[str, float]]:
    """Frequencies to name beside a spectrogram, and where each lies: 0 is its lower edge and 1 its upper one."""
    bins_hz = np.fft.rfftfreq(features.fft_size, 1 / features.sample_rate_hz)
    total = np.maximum(features.filters.sum(axis=0), 1e-12)  # a narrow band may have no bin
    centres_hz = np.maximum.accumulate(bins_hz @ features.filters / total)
    shown = [hz for hz in TICKS_HZ if centres_hz[0] <= hz <= centres_hz[-1]]
    heights = (np.interp(shown, centres_hz, np.arange(len(centres_hz))) + 0.5) / len(centres_hz)
    return [(f"{hz / 1000:g}", round(float(height), 4)) for hz, height in zip(shown, heights, strict=True)]


def rises(probabilities: np.ndarray) -> Iterator[tuple[int, int, np.ndarray]]:
    """Stretches of frames in which a token is probable: its number, the first frame, and (n,) probabilities.

    Args:
        probabilities: (E, V); the blank is left out.
    """
    for number in np.flatnonzero(probabilities.max(axis=0) >= LEAST).tolist():
        if number == BLANK:
            continue
        edges = np.flatnonzero(np.diff(probabilities[:, number] >= LEAST, prepend=False, append=False))
        for first, end in edges.reshape(-1, 2).tolist():
            yield number, first, probabilities[first:end, number]
