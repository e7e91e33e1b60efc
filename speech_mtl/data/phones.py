"""Text -> phones: the IPA of any language, by espeak-ng or by a lexicon that the user gives.

A phone is an IPA letter with the marks that change its quality, such as `kʰ`, `ɑ̃` or `tʼ`, so that languages share as
many as they can. An affricate is one phone, written with a tie (`t͡ʃ`); a diphthong is two vowels. Stress, length, tone
and syllable boundaries are left out.
"""

import re
import unicodedata
from collections.abc import Mapping
from functools import cached_property
from pathlib import Path

from speech_mtl.data.espeak import espeak
from speech_mtl.data.languages import language_and_script
from speech_mtl.data.rules import is_spaced
from speech_mtl.data.text import normalize
from speech_mtl.errors import InputError
from speech_mtl.files import read_lines

Lexicon = Mapping[str, str]
"""Normalised word -> its phones with spaces between them."""

TIE, TIE_BELOW, NON_SYLLABIC = "\u0361", "\u035c", "\u032f"
SUPRASEGMENTAL = frozenset("ˈˌːˑ.ˑ|‖‿'," + "˥˦˧˨˩" + "⁰¹²³⁴⁵⁶⁷⁸⁹0123456789" + TIE + TIE_BELOW + NON_SYLLABIC)
"""Stress, length, boundaries and tones; and ties, which some sources write and others do not."""

STOPS, FRICATIVES = frozenset("pbtdʈɖcɟkɡqɢ"), frozenset("ɸβfvθðszʃʒʂʐɕʑçʝxɣχʁɬɮ")
ASPIRATED = re.compile("(?<=[ptkqcsʂɕʃ])h$")

ESPEAK_LETTERS = (
    *(("onɡ", "oŋ"), ("s.", "ʂ"), ("z.", "ʐ"), ("i.", "ɨ"), ("i\u032a", "ɨ"), ("o-", "ɤ")),  # Mandarin
    *(("e-", "ə"), ("`", "ʼ"), ("ε", "ɛ"), ("g", "ɡ"), ("-", "")),  # French, Amharic, Danish
)
"""What espeak-ng 1.52 writes in IPA in letters of its own, and what it means."""

TONAL = frozenset(["cmn", "hak", "my", "shn", "th", "vi", "yue", "zh"])
"""Languages in which a digit at the end of a phoneme is a tone; espeak's IPA writes the tone 3 as `ɜ`."""

_LATIN = re.compile("[a-z]")
_SWITCH = re.compile(r"\(([a-z-]+)\)")
_TONE = re.compile("(?<=.)[0-9ɜ]+$")


def segments(phoneme: str) -> list[str]:
    """The phones of one phoneme in IPA: a stop and a fricative are an affricate, two vowels a diphthong."""
    found: list[str] = []
    for char in unicodedata.normalize("NFD", phoneme).replace("c\u0327", "ç"):
        if char in SUPRASEGMENTAL:
            continue
        if found and unicodedata.category(char) in ("Mn", "Lm"):
            found[-1] += char
        elif found and char in FRICATIVES and found[-1] in STOPS:
            found[-1] += TIE + char
        else:
            found.append(char)
    return found


class Pronunciation:
    """How the texts of one language are read.

    Args:
        language: BCP 47 tag.
        lexicon: Words and their phones. None: espeak-ng reads the texts.
    """

    def __init__(self, language: str, lexicon: Lexicon | None = None):
        self.language, self.lexicon = language, lexicon
        self.tonal = language_and_script(language)[0] in TONAL

    @cached_property
    def voice(self) -> str:
        """espeak-ng's voice."""
        return espeak().voice(self.language)

    def phones(self, text: str) -> list[str] | None:
        """The phones of a text; None if it has a word that the lexicon has not, or a letter that espeak-ng cannot read.

        Spaces only divide words: of two words that espeak-ng reads as one, or with a sound between them as in French,
        the phones are those of both together.

        Raises:
            InputError: There is no lexicon, and espeak-ng is missing or does not speak the language.
        """
        normalized = normalize(text, self.language)
        if self.lexicon is None:
            return self._read(normalized)
        words = normalized.split() if is_spaced(self.language) else list(normalized.replace(" ", ""))
        if not all(word in self.lexicon for word in words):
            return None
        return [phone for word in words for phone in self.lexicon[word].split()]

    def _read(self, normalized: str) -> list[str] | None:
        read = espeak().ipa(normalized, self.voice)
        # A letter that it does not know is named, or spelt, in English.
        if "(en)" in read and not self.voice.startswith("gmw/en") and not _LATIN.search(normalized):
            return None
        return [phone for one in re.split("[_ \n]+", _SWITCH.sub("_", read)) for phone in self._segments(one)]

    def _segments(self, phoneme: str) -> list[str]:
        for written, meant in ESPEAK_LETTERS:
            phoneme = phoneme.replace(written, meant)
        if self.tonal:
            phoneme = ASPIRATED.sub("ʰ", _TONE.sub("", phoneme.lstrip("ˈˌ")))
        return segments(phoneme)


def read_lexicon(path: Path, language: str) -> dict[str, str]:
    """Reads lines `word<TAB>phones`, phones in IPA with spaces between them; of a word that comes twice, the first.

    Words are normalised as transcripts are. In a language without spaces between words, a word is one character.

    Raises:
        InputError: The file is missing or not UTF-8, or a line is not of this form, or there is none; with the line.
    """
    lexicon: dict[str, str] = {}
    for where, line in read_lines(path):
        if not line.strip():
            continue
        word, _, pronounced = line.strip().partition("\t")
        phones = [phone for one in pronounced.split() for phone in segments(one)]
        if not phones or not (key := normalize(word, language)):
            raise InputError(
                f"{where}: not a word with its phones",
                expected="a word, a tab, and phones in IPA with spaces between them: dobrý<TAB>d o b r iː",
                received=repr(line[:80]),
                action="fix or remove the line",
            )
        lexicon.setdefault(key, " ".join(phones))
    if not lexicon:
        raise InputError(
            f"{path} has no word",
            expected="lines word<TAB>phones",
            received="an empty file",
            action="give another file",
        )
    return lexicon
