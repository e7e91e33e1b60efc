"""The phones of transcripts: one output layer and one inventory for all languages, by CTC."""

from collections.abc import Iterable, Mapping, Sequence
from itertools import groupby
from pathlib import Path
from typing import ClassVar, Self

import numpy as np
from rapidfuzz.distance import Levenshtein

from speech_mtl.data.espeak import espeak
from speech_mtl.data.phones import Pronunciation, read_lexicon
from speech_mtl.data.tokenizer import BLANK_TOKEN, CharacterTokenizer
from speech_mtl.datatypes import BLANK, Utterance
from speech_mtl.errors import InputError
from speech_mtl.models.heads import LanguageHeads
from speech_mtl.targets.ctc import Ctc
from speech_mtl.targets.target import ScoredTarget

SHARED = "shared"
"""Name of the output layer."""


class SharedPhones(Ctc, ScoredTarget):
    """The transcripts in phones of the IPA, which all languages share; see `data.phones`.

    A transcript that cannot be read as phones counts as unknown. The file of the run holds the inventory, the lexicons
    and the version of espeak-ng: a run is loaded without espeak-ng, which is needed again only to train on or to count
    errors.

    Reference: Yusuyin et al. 2025, "Whistle: Data-efficient multilingual and crosslingual speech recognition via weakly
    phonetic supervision". We differ in learning phones beside the tokens of each language and not in their place.

    Args:
        name: What recipes call it.
        vocabulary: The blank, then the phones.
        languages: Those whose transcripts are read as phones.
        lexicons: By language, words and their phones; espeak-ng reads the others.
        espeak_version: The espeak-ng that read them; None if none did.
    """

    metric: ClassVar = "phone error rate"
    over_frames: ClassVar = True

    def __init__(
        self,
        name: str,
        vocabulary: list[str],
        languages: list[str],
        lexicons: dict[str, dict[str, str]],
        espeak_version: str | None,
    ):
        tokens = CharacterTokenizer("mul", vocabulary)  # holds them: it encodes no text
        super().__init__(name, {SHARED: tokens}, dict.fromkeys(languages, SHARED))
        self.vocabulary, self.lexicons, self.espeak_version = vocabulary, lexicons, espeak_version
        self._numbers = {phone: number for number, phone in enumerate(vocabulary)}
        self._pronunciations: dict[str, Pronunciation] = {}

    @classmethod
    def from_speech(  # pyright: ignore[reportIncompatibleMethodOverride]
        cls, name: str, speech: Iterable[tuple[str, Utterance]], *, lexicons: Mapping[str, Path | None]
    ) -> Self:
        read = {language: read_lexicon(path, language) for language, path in lexicons.items() if path is not None}
        found: dict[str, set[str]] = {}
        not_spoken: set[str] = set()
        for language, own in groupby(speech, key=lambda pair: pair[0]):
            if language not in read and language in lexicons:
                continue  # null: none are wanted
            if language not in read and not espeak().speaks(language):
                not_spoken.add(language)
                continue
            pronunciation = Pronunciation(language, read.get(language))
            texts = (utterance.text for _, utterance in own if utterance.text is not None)
            phones = {phone for text in texts for phone in pronunciation.phones(text) or ()}
            found[language] = found.get(language, set()) | phones  # it may come in several runs
        _refuse_languages(name, sorted(not_spoken), [language for language, phones in found.items() if not phones])
        version = espeak().version if found.keys() - read.keys() else None
        used = {language: read[language] for language in found if language in read}
        return cls(name, [BLANK_TOKEN, *sorted(set().union(*found.values()))], list(found), used, version)

    def with_phones_of(self, other: "SharedPhones") -> "SharedPhones":
        """The target with the phones of another besides: their output layers then differ in added rows only."""
        phones = sorted({*self.vocabulary, *other.vocabulary} - {BLANK_TOKEN})
        return SharedPhones(self.name, [BLANK_TOKEN, *phones], list(self.layer_of), self.lexicons, self.espeak_version)

    def placed(self, at: str, pooling: str | None = None) -> Self:
        self.tap_of = dict.fromkeys(self.tokenizers, at)
        return super().placed(at, pooling)

    def phones(self, utterance: Utterance, language: str) -> list[str] | None:
        """The phones of a transcript; None if it is unknown or cannot be read.

        Raises:
            InputError: espeak-ng is needed, and is missing or another than that of the inventory.
        """
        if utterance.text is None or not self.is_for(language):
            return None
        if language not in self._pronunciations:
            if language not in self.lexicons and espeak().version != self.espeak_version:
                raise _other_espeak(self.name, self.espeak_version)
            self._pronunciations[language] = Pronunciation(language, self.lexicons.get(language))
        return self._pronunciations[language].phones(utterance.text) or None

    def encode(self, utterance: Utterance, language: str) -> np.ndarray | None:
        """(U,) int32; None also if it has a phone that training has not, which `is_out_of_vocabulary` tells."""
        phones = self.phones(utterance, language)
        if phones is None or not self._numbers.keys() >= set(phones):
            return None
        return np.array([self._numbers[phone] for phone in phones], np.int32)

    def is_out_of_vocabulary(self, utterance: Utterance, language: str) -> bool:
        return not self._numbers.keys() >= set(self.phones(utterance, language) or ())

    def head(self, widths: Mapping[str, int], languages: Sequence[str]) -> LanguageHeads:
        layer_of = dict.fromkeys(languages, SHARED)  # also for languages without phones: they can be predicted
        return LanguageHeads(languages, {SHARED: len(self.vocabulary)}, layer_of, self.tap_of, widths, self.name)

    def kept(self, outputs: np.ndarray) -> np.ndarray:
        """(E,) the best token of every frame."""
        return np.argmax(outputs, axis=-1)

    def errors(self, outputs: np.ndarray, values: np.ndarray) -> tuple[float, float]:
        return float(Levenshtein.distance(_collapsed(outputs), values.tolist())), float(len(values))

    @staticmethod
    def score(error: float) -> float:
        return error

    def decode(self, outputs: np.ndarray) -> str:
        return " ".join(self.vocabulary[number] for number in _collapsed(outputs))

    def describe(self) -> str:
        return f"{len(self.vocabulary) - 1} phones of {len(self.layer_of)} languages"

    def to_json(self) -> dict:
        return {
            "name": self.name,
            "vocabulary": self.vocabulary,
            "languages": list(self.layer_of),
            "lexicons": self.lexicons,
            "espeak_version": self.espeak_version,
        }


def _collapsed(path: np.ndarray) -> list[int]:
    """The tokens of a path of frames: repeats count once, blanks not at all."""
    return [number for number, _ in groupby(path.tolist()) if number != BLANK]


def _refuse_languages(name: str, not_spoken: Sequence[str], not_read: Sequence[str]) -> None:
    key = f"tasks.{name}.lexicons"
    if not_spoken:
        raise InputError(
            f"The task {name!r} needs phones, and espeak-ng {espeak().version} does not speak {', '.join(not_spoken)}",
            expected="languages that espeak-ng speaks, or a lexicon",
            received=f"none under {key} for {', '.join(not_spoken)}",
            action=f"set {key}.{not_spoken[0]} to a file of lines word<TAB>phones, or to null to learn no phones of it",
        )
    if not_read:
        raise InputError(
            f"The task {name!r}: no transcript of {', '.join(not_read)} can be read as phones",
            expected="transcripts of which all words are in the lexicon, or all letters known to espeak-ng",
            received="none in the training speech",
            action=f"give a lexicon with these words under {key}, or null there to learn no phones of the language",
        )


def _other_espeak(name: str, version: str | None) -> InputError:
    return InputError(
        f"The phones of the task {name!r} were read by another espeak-ng",
        expected=f"espeak-ng {version}",
        received=f"espeak-ng {espeak().version}",
        action="install the release of the package espeakng-loader that has it, or train again in another folder",
    )
