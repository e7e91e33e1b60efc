"""Parts of syllables as tokens, for scripts that write a syllable with one letter."""

import re
import unicodedata
from collections.abc import Iterable, Mapping, Sequence
from functools import cache
from itertools import groupby
from typing import ClassVar, Self

from speech_mtl.data.rules import AS_WRITTEN, Choices
from speech_mtl.data.tokenizer import CharacterTokenizer, Tokenizer
from speech_mtl.errors import InputError

VOWEL_MARK = "\u25cc"
"""What a token begins with that is the vowel of the letter before it; its own letter follows."""

_SCRIPTS = {
    "ETHIOPIC SYLLABLE ": ("GLOTTAL ", "E"),
    "CANADIAN SYLLABICS ": ("", ""),
    "CHEROKEE LETTER ": ("", ""),
    "CHEROKEE SMALL LETTER ": ("", ""),
    "VAI SYLLABLE ": ("", ""),
}
"""How Unicode's names of a script's letters begin; its consonant before a vowel alone; its vowel of no vowel."""

_SYLLABLE = re.compile(r"(?P<consonant>.+?)(?P<vowel>W?(?:AAI|AI|AA|EE|II|OO|OA|[AEIOUV]))")
_VOWELS_ALONE = re.compile("(?:.* )?[AEIOU]*")
"""Names, or beginnings of names, of vowels alone: `A` of `AA`, and dialects such as `BLACKFOOT ` of `BLACKFOOT I`."""

_HANGUL = "[\uac00-\ud7a3]"


class SyllablePartsTokenizer(CharacterTokenizer):
    """The consonant and the vowel of each letter of Amharic, Cree, Cherokee or Vai, and the letters of Hangul's blocks.

    The 216 letters of an hour of Amharic are 48 parts, each of which is learnt from more examples. Unicode's names tell
    consonant and vowel: U+120B, SYLLABLE LAA, is the letter of the consonant without a vowel, SYLLABLE LE, and a mark
    with GLOTTAL AA, the letter of the vowel alone. A consonant without such a letter is written as the first of its
    row. Blocks of Hangul are taken apart by Unicode's canonical decomposition. All other letters stay as they are, and
    scores are those of whole letters.
    """

    spells_text: ClassVar = False

    @classmethod
    def from_texts(cls, texts: Iterable[str], language: str, choices: Choices = AS_WRITTEN) -> Self:
        """As of any tokeniser.

        Raises:
            InputError: No text is left after normalisation, or none has a letter that is a syllable.
        """
        tokenizer = super().from_texts(texts, language, choices)
        jamo = {part for part in tokenizer.vocabulary if "\u1100" <= part <= "\u11ff"}
        if not jamo and not any(part.startswith(VOWEL_MARK) for part in tokenizer.vocabulary):
            raise InputError(
                f"The training texts of {language} have no syllables to take apart",
                expected="Ethiopic, Canadian, Cherokee, Vai or Hangul letters",
                received=" ".join(tokenizer.vocabulary[1:30]),
                action=f"choose other tokens: languages.{language}.tokenizer.kind=character",
            )
        return tokenizer

    @property
    def joined(self) -> Mapping[str, str]:
        own = set(self.vocabulary)
        whole = {"".join(parts): letter for parts, letter in _letters().items() if own.issuperset(parts)}
        return whole | {part: self._alone(part) for part in self.vocabulary if part.startswith(VOWEL_MARK)}

    def split(self, normalized: str) -> Sequence[str]:
        return [part for letter in normalized for part in _parts(letter)]

    def pieces(self, normalized: str) -> Sequence[str]:
        """A letter for its first part, nothing for the others."""
        return [piece for letter in normalized for piece in (letter, *[""] * (len(_parts(letter)) - 1))]

    def text(self, ids: Sequence[int], words: Sequence[str | None] = ()) -> str:
        """As of any tokeniser; a vowel without a consonant before it becomes the letter of the vowel alone."""
        parts = [self.vocabulary[number] for number in ids]
        spelt = [self._spelt(own) for is_space, own in groupby(parts, " ".__eq__) if not is_space]
        chosen = words or [None] * len(spelt)
        # Each group is one word, also where a rule of the language would leave nothing of it, such as an apostrophe.
        found = ("".join(self.normalize(word).split()) or word for word in spelt)
        return " ".join(word or own for word, own in zip(chosen, found, strict=True))

    def _spelt(self, parts: Iterable[str]) -> str:
        """The letters of a word's parts."""
        letters, before = list[str](), ""
        for part in parts:
            if letter := _letters().get((before, part)):
                letters[-1], before = letter, ""
            else:
                letters.append(self._alone(part) if part.startswith(VOWEL_MARK) else part)
                before = part
        return unicodedata.normalize("NFC", "".join(letters))

    def _alone(self, vowel: str) -> str:
        """The letter of a vowel alone; where no training text has it, the first of another vowel that one has."""
        own, known = vowel.removeprefix(VOWEL_MARK), _vowels()
        others = (letter for letter in self.vocabulary if letter in known)
        return own if own in self.vocabulary else next(others, own)


def better_parts(tokenizer: Tokenizer) -> str | None:
    """Recommends parts for a vocabulary of letters that have less than half as many; None for any other."""
    letters = [token for token in tokenizer.vocabulary if len(token) == 1]
    parts = {part for letter in letters for part in _parts(letter)}
    if 2 * len(parts) >= len(letters):
        return None
    return (
        f"{tokenizer.language}: {len(letters)} letters are made of {len(parts)} consonants and vowels, which are "
        f"easier to learn from scratch: languages.{tokenizer.language}.tokenizer.kind=syllable_parts"
    )


def _parts(letter: str) -> Sequence[str]:
    if re.fullmatch(_HANGUL, letter):
        return unicodedata.normalize("NFD", letter)
    return _syllables().get(letter, (letter,))


@cache
def _vowels() -> frozenset[str]:
    """The letters of vowels alone."""
    return frozenset(vowel.removeprefix(VOWEL_MARK) for _, vowel in _syllables().values())


@cache
def _letters() -> Mapping[tuple[str, str], str]:
    """The letter of a consonant and a vowel."""
    return {(parts[0], parts[1]): letter for letter, parts in _syllables().items()}


@cache
def _syllables() -> Mapping[str, tuple[str, str]]:
    """Consonant and vowel of each letter that has both, in rows of at least two letters."""
    found: dict[str, tuple[str, str]] = {}
    names = {chr(code): unicodedata.name(chr(code), "") for code in range(0x10000)}
    for script, (alone, none) in _SCRIPTS.items():
        letters = {name.removeprefix(script): letter for letter, name in names.items() if name.startswith(script)}
        split = {name: (own["consonant"], own["vowel"]) for name in letters if (own := _SYLLABLE.fullmatch(name))}
        rows: dict[str, list[str]] = {}
        for name, (consonant, _) in split.items():
            if consonant != alone and (alone or not _VOWELS_ALONE.fullmatch(consonant)):
                rows.setdefault(consonant, []).append(name)
        for consonant, row in rows.items():
            base = letters.get(consonant + none, letters[row[0]])
            vowels = {name: split[name][1] for name in row if split[name][1] != none}
            pairs = {
                letters[name]: (base, VOWEL_MARK + letters[alone + vowel])
                for name, vowel in vowels.items()
                if alone + vowel in letters
            }
            found |= pairs if len(row) > 1 else {}
    return found
