"""Detects which of a run's languages is spoken: the one whose output layer is surest of its tokens.

Output layers differ in how sure they are, by their vocabulary and by what they were trained on. That is calibrated on
the validation sets, once for the weights of a run.
"""

from collections.abc import Sequence

import numpy as np
from scipy.optimize import minimize
from scipy.special import log_softmax, softmax
from typing_extensions import TypedDict

from speech_mtl.datatypes import BLANK
from speech_mtl.decoding.recognizer import Recognizer
from speech_mtl.errors import InputError
from speech_mtl.files import Finite, NotNegative, json_text, read_json, write_text
from speech_mtl.run.folder import Run
from speech_mtl.run.speech import open_split
from speech_mtl.screen import Screen

MOST_UTTERANCES = 100
"""Utterances of each language's validation set, evenly spaced, on which the calibration is estimated."""

DETECTION_S = 30.0
"""Seconds of speech in which a language is detected; more would take longer and change little."""


class DetectionCalibration(TypedDict):
    """Calibration of the scores of output layers: the log-odds of a language are `scale` x score + its offset."""

    weights: str
    """Digest of the weights and tokenisers."""
    scale: Finite
    offsets: dict[str, Finite]
    utterances: dict[str, NotNegative]
    """Numbers of utterances that it was estimated on."""


class LanguageDetector:
    """Detects the language of speech with the output layers of a run; tells on the screen how these are calibrated."""

    def __init__(self, run: Run, recognizer: Recognizer, screen: Screen):
        self.run, self.recognizer, self.screen = run, recognizer, screen
        self._calibration: DetectionCalibration | None = None

    def detect(self, waveforms: Sequence[np.ndarray], languages: Sequence[str]) -> dict[str, float]:
        """Probabilities of languages in a recording, the most probable first.

        Args:
            waveforms: Stretches of its speech, (S,) float32 each; the first `DETECTION_S` seconds are used.
            languages: The run's names of the languages to choose from.
        """
        lengths_s = np.array([len(waveform) for waveform in waveforms]) / self.recognizer.sample_rate_hz
        used = waveforms[: 1 + int((np.cumsum(lengths_s) < DETECTION_S).sum())]
        weights = [len(waveform) for waveform in used]
        scores = np.average(self.scores(used, languages), axis=0, weights=weights)
        calibration = self.calibrate()
        offsets = np.array([calibration["offsets"][language] for language in languages])
        found = zip(languages, softmax(calibration["scale"] * scores + offsets).tolist(), strict=True)
        return dict(sorted(found, key=lambda pair: -pair[1]))

    def calibrate(self) -> DetectionCalibration:
        """The run's calibration: the saved one, or a new one, which is saved; none where validation sets are missing.

        Raises:
            InputError: The saved one is damaged.
        """
        if self._calibration is None:
            self._calibration = self._saved() or self._made()
        return self._calibration

    def _saved(self) -> DetectionCalibration | None:
        if not self.run.languages_path.is_file():
            return None
        saved = read_json(self.run.languages_path, DetectionCalibration, "remove the file: it is made again")
        has_all = saved["offsets"].keys() == self.recognizer.tokenizers.keys()
        return saved if has_all and saved["weights"] == self.recognizer.weights else None

    def _made(self) -> DetectionCalibration:
        languages = list(self.recognizer.tokenizers)
        try:
            own = {language: self._validation(language) for language in languages}
        except InputError as error:
            self.screen.warn(f"languages are detected without calibration, and worse: {error.problem}")
            return {"weights": "", "scale": 1.0, "offsets": dict.fromkeys(languages, 0.0), "utterances": {}}
        titled = self.screen.progress(own.items(), "Calibrating language detection on the validation sets, once")
        scores = {language: self.scores(waveforms, languages) for language, waveforms in titled}
        labels = np.repeat(np.arange(len(languages)), [len(one) for one in scores.values()])
        scale, offsets = fitted(np.concatenate(list(scores.values())), labels)
        made: DetectionCalibration = {
            "weights": self.recognizer.weights,
            "scale": scale,
            "offsets": dict(zip(languages, offsets.tolist(), strict=True)),
            "utterances": {language: len(one) for language, one in scores.items()},
        }
        write_text(self.run.languages_path, json_text(made))
        self.screen.say(
            f"Language detection is calibrated on the validation sets; what was found is in {self.run.languages_path}"
        )
        return made

    def _validation(self, language: str) -> list[np.ndarray]:
        split = open_split(self.run.recipe(), language, "dev", self.screen.progress)
        places = np.linspace(0, len(split.positions) - 1, min(MOST_UTTERANCES, len(split.positions))).round()
        found = (split.store[int(split.positions[place])] for place in places.astype(int))
        return [waveform for waveform in found if len(waveform) >= self.recognizer.min_samples]

    def scores(self, waveforms: Sequence[np.ndarray], languages: Sequence[str]) -> np.ndarray:
        """(N, L) `score` of each waveform, (S,) float32, with the output layer of each language."""
        found = self.recognizer.log_probabilities_by_language(waveforms, languages, DETECTION_S)
        return np.array([[score(one) for one in found[language]] for language in languages]).T


def score(log_probabilities: np.ndarray) -> float:
    """Score of an output layer for its tokens: minus their entropy in nats, over the frames whose best is no blank.

    (E, V) log-probabilities -> 0 at most; where there are blanks alone, minus the entropy of the uniform distribution.
    """
    spoken = log_probabilities[log_probabilities.argmax(axis=1) != BLANK]
    if len(spoken) == 0:
        return -float(np.log(log_probabilities.shape[1]))
    return float((np.exp(spoken) * spoken).sum(axis=1).mean())


def fitted(scores: np.ndarray, labels: np.ndarray) -> tuple[float, np.ndarray]:
    """A scale and (L,) offsets under which scores separate languages best.

    Multinomial logistic regression with one weight for all scores; each language counts as much as another, however
    many utterances it has.

    Args:
        scores: (N, L).
        labels: (N,) the languages that are spoken.

    Reference: Brümmer and van Leeuwen 2006, "On calibration of language recognition scores", whose calibration is a
    scale and an offset for each language, too. We differ in the scores, which are no likelihoods of acoustic models.
    """
    share = 1.0 / (np.bincount(labels)[labels] * len(np.unique(labels)))

    def loss(parameters: np.ndarray) -> tuple[float, np.ndarray]:
        logs = log_softmax(parameters[0] * scores + parameters[1:], axis=1)
        errors = np.exp(logs)
        errors[np.arange(len(labels)), labels] -= 1.0
        errors *= share[:, None]
        value = -float(share @ logs[np.arange(len(labels)), labels])
        return value, np.concatenate([[np.sum(errors * scores)], errors.sum(axis=0)])

    start = np.concatenate([[1.0], np.zeros(scores.shape[1])])
    bounds = [(0, None), *[(-1e3, 1e3)] * scores.shape[1]]
    found = minimize(loss, start, jac=True, method="L-BFGS-B", bounds=bounds).x
    return float(found[0]), found[1:] - found[1:].mean()
