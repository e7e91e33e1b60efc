"""Calibration of the confidences of words: estimated on validation speech, and kept in RUN/calibration.json.

It holds for a language, the weights that recognise and the way they are decoded. With others it is not used.
"""

import logging
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any, NamedTuple

from typing_extensions import TypedDict

from speech_mtl.datatypes import Calibration, Hypothesis
from speech_mtl.decoding.confidence import calibrate
from speech_mtl.decoding.words import words
from speech_mtl.files import Finite, NotNegative, json_text, read_json, write_text
from speech_mtl.run.folder import Run
from speech_mtl.run.stored_lm import lm_digests
from speech_mtl.scoring.error_rate import right_words
from speech_mtl.screen import Screen
from speech_mtl.settings.decoding import DecodingSettings

FEWEST_WORDS = 100
"""Fewer recognised words are too few to calibrate."""


class RecognizedWord(NamedTuple):
    """A recognised word: its confidence before calibration, its letters, and whether it is right."""

    confidence: float
    num_letters: int
    right: bool


class Saved(TypedDict):
    """The calibration of one language."""

    language: str
    weights: str
    decoder: dict[str, Any]
    num_words: NotNegative
    slope: Finite
    length: Finite
    intercept: Finite


def recognized_words(references: Iterable[str | None], hypotheses: Iterable[Hypothesis]) -> list[RecognizedWord]:
    """The recognised words of utterances with a transcript, with confidences that are not calibrated.

    A word is right if it is one of the hits of the alignment by which errors are counted.
    """
    found = []
    for text, hypothesis in zip(references, hypotheses, strict=True):
        if text is not None:
            own = words(replace(hypothesis, calibration=None))
            right = right_words(text, [word.text for word in own], hypothesis.spaced)
            found += [
                RecognizedWord(word.confidence, len(word.text), hit) for word, hit in zip(own, right, strict=True)
            ]
    return found


def save_calibrations(
    run: Run, weights: str, decoding: DecodingSettings, found: Mapping[str, Sequence[RecognizedWord]], screen: Screen
) -> None:
    """Calibrates the languages of which enough words were recognised, and keeps what others of these weights have.

    `weights` is the digest of those that recognised them.
    """
    if not found:
        return
    decoders = {language: _decoder(run, decoding, language) for language in found}
    former = [one for one in _saved(run) if one["weights"] == weights]
    kept = [one for one in former if one["decoder"] != decoders.get(one["language"])]
    enough = {language: own for language, own in found.items() if len(own) >= FEWEST_WORDS}
    new = [_saved_as(language, weights, decoders[language], own) for language, own in enough.items()]
    if kept or new:
        write_text(run.calibration_path, json_text([*kept, *new]))
    else:
        run.calibration_path.unlink(missing_ok=True)
    if too_few := ", ".join(f"{name}: {len(own)}" for name, own in found.items() if name not in enough):
        screen.warn(f"fewer than {FEWEST_WORDS} words recognised ({too_few}): their confidences are not calibrated")


def saved_calibrations(run: Run, weights: str, decoding: DecodingSettings) -> dict[str, Calibration]:
    """The calibrations for weights of this digest and settings of decoding, by language; logs if there are only others.

    Raises:
        InputError: The file is damaged.
    """
    saved = _saved(run)
    found = {
        one["language"]: Calibration(one["slope"], one["length"], one["intercept"])
        for one in saved
        if one["weights"] == weights and one["decoder"] == _decoder(run, decoding, one["language"])
    }
    if saved and not found:
        logging.getLogger(__name__).warning(
            "%s is of other weights or another decoder, and is not used: confidences are not calibrated until "
            "`speech-mtl evaluate` has recognised the validation set with these",
            run.calibration_path,
        )
    return found


def _saved_as(language: str, weights: str, decoder: dict[str, Any], own: Sequence[RecognizedWord]) -> Saved:
    slope, length, intercept = calibrate(*zip(*own, strict=True))
    return {
        "language": language,
        "weights": weights,
        "decoder": decoder,
        "num_words": len(own),
        "slope": slope,
        "length": length,
        "intercept": intercept,
    }


def _saved(run: Run) -> list[Saved]:
    path = run.calibration_path
    return read_json(path, list[Saved], f"remove {path}, and evaluate the validation set") if path.is_file() else []


def _decoder(run: Run, decoding: DecodingSettings, language: str) -> dict[str, Any]:
    """Settings that decide the best text of a language, with the digest of the language model that these use."""
    return decoding.model_dump(mode="json", exclude={"num_best"}) | {
        "language_model": lm_digests(run, decoding, [language]).get(language)
    }
