"""Normalises transcripts for training and scoring: lower case, no punctuation, every letter kept.

What holds for a language or a script is in `data.rules`.
"""

import html
import re
import unicodedata
from collections.abc import Callable, Iterator
from functools import lru_cache

from speech_mtl.data import rules
from speech_mtl.data.languages import language_and_script
from speech_mtl.data.numerals import has_speller, is_other_numeral, spelt, unread
from speech_mtl.data.rules import AS_WRITTEN, Choices, Rule, Spacing, language_rule, spacing_of
from speech_mtl.data.spellings import (
    in_own_script,
    joined,
    unified,
    with_visarga,
    without_joiners_of_other_scripts,
    without_second_dot,
)

VERSION = 3
"""Raised when the same transcript comes out otherwise than before; it is recorded with every score."""


def normalize(text: str, language: str, choices: Choices = AS_WRITTEN, numbers: str = "") -> str:
    """Brings a transcript into the form in which it is learnt and scored.

    Doing it twice changes nothing more, unless the text is refused (see `refusal`).

    HTML entities (`&amp;`) unescaped, NFKC (but Thai and Lao *am* stay whole), letters of the language's script for
    those that look alike, lower case, the language's own rule, numbers as words if so chosen (see `numerals.spelt`),
    apostrophes `'` inside words only, other punctuation and symbols replaced by a space (removed in abbreviations such
    as `U.S.A.`), one spelling for what looks alike (see `spellings`), spaces collapsed, NFC. What is invisible is
    dropped, and so are characters that mean nothing outside of one program (for private use, unassigned). Combining
    marks are kept: vowel signs and tones are part of the word. Joiners (U+200C, U+200D) are kept where they make a
    difference. Digits that are not spelt are kept as they are, and Latin words if not chosen otherwise.

    Args:
        text: A transcript as its corpus has it.
        language: BCP 47 tag.
        choices: What is to be done with numbers and Latin words.
        numbers: Tag of the language and script in which numbers are spelt, if it is another.

    Raises:
        InputError: `language` is not formed as a BCP 47 tag.
    """
    text, rule, spacing = unescaped(text), language_rule(language), spacing_of(language)
    spell = choices.numerals == "spell" and not any(map(is_other_numeral, text))
    changed = _in_letters(text, language)
    if choices.latin_words == "drop":
        changed = _without_latin_words(changed, language)
    changed = _without_punctuation(spelt(changed, numbers or language, rule.tones) if spell else changed, rule, spacing)
    if rule.rewrites:  # dots that are gone bring letters together
        changed = _without_punctuation(_in_letters(changed, language), rule, spacing)
    return changed


def refusal(text: str, language: str, choices: Choices, numbers: str = "") -> str | None:
    """Why a transcript cannot be learnt or scored; None if it can.

    It has Latin words that are to be refused, or numbers that are, or that are to be spelt and can be read in several
    ways or in none that is known. Arguments as for `normalize`.
    """
    if choices == AS_WRITTEN:
        return None
    text = unescaped(text)
    letters = _in_letters(text, language)
    if choices.latin_words == "refuse" and (latin := list(_latin_words(letters, language))):
        return f"Latin words are refused: {_shown([word[0] for word in latin])}"
    if choices.numerals == "keep":
        return None
    spell = choices.numerals == "spell"
    words = [word for word in text.split() if any(map(is_other_numeral, word))]
    words = words or unread(letters, numbers or language, language_rule(language).tones, spell)
    if not words:
        return None
    if not spell:
        return f"numbers in digits are refused: {_shown(words)}"
    if not has_speller(numbers or language):
        return f"no library spells the numbers of {numbers or language}: {_shown(words)}"
    return f"a number that has no reading, or several: {_shown(words)}"


def normalizer(language: str, choices: Choices) -> str:
    """What transcripts were normalised by, in a few words."""
    numerals = {"spell": "spelt", "keep": "kept", "refuse": "refused"}[choices.numerals]
    latin = {"keep": "", "drop": ", Latin words dropped", "refuse": ", Latin words refused"}[choices.latin_words]
    return f"{language}, numerals {numerals}{latin}, v{VERSION}"


_ENTITY = re.compile(r"&(?:#\d{1,7}|#[xX][\da-fA-F]{1,6}|[a-zA-Z][a-zA-Z\d]{1,30});")


def unescaped(text: str) -> str:
    """Puts characters for HTML's entities (`&amp;`, `&#39;`), also for those that were escaped twice."""
    while "&" in text and (changed := _ENTITY.sub(lambda match: html.unescape(match[0]), text)) != text:
        text = changed
    return text


def _shown(words: list[str]) -> str:
    return ", ".join(map(repr, words[:3])) + (" ..." if len(words) > 3 else "")


_LATIN_RUN = re.compile("[{0}]+(?:['-][{0}]+)*".format(rules.LETTERS_OF["Latn"] + r"\u0300-\u036f\d"))
_LATIN = re.compile(f"[{rules.LETTERS_OF['Latn']}]")


def _latin_words(text: str, language: str) -> Iterator[re.Match[str]]:
    """Words of Latin letters, digits and marks in a language of another script; none in one of Latin script."""
    if language_and_script(language)[1] == "Latn":
        return
    spaced = spacing_of(language) is Spacing.WORDS
    for run in _LATIN_RUN.finditer(text):
        beside = text[run.start() - 1 : run.start()] + text[run.end() : run.end() + 1]
        if _LATIN.search(run[0]) and not (spaced and any(unicodedata.category(char)[0] in "LM" for char in beside)):
            yield run


def _without_latin_words(text: str, language: str) -> str:
    starts = {run.start() for run in _latin_words(text, language)}
    return _LATIN_RUN.sub(lambda run: " " if run.start() in starts else run[0], text)


def _in_letters(text: str, language: str) -> str:
    """The text in NFKC and lower case, in the letters of its language, with its punctuation."""
    rule = language_rule(language)
    text = without_joiners_of_other_scripts(unicodedata.normalize("NFKC", text.translate(_before)))
    text = in_own_script(text, language)
    if rule.dotless_i:
        text = text.replace("I", "ı")
    text = in_own_script(without_second_dot(text.replace("İ", "i").lower()), language)
    if rule.letters:
        text = text.translate(str.maketrans(dict(rule.letters)))
    for pattern, replacement in rule.rewrites:
        text = re.sub(pattern, replacement, text)
    return text


def _without_punctuation(text: str, rule: Rule, spacing: Spacing) -> str:
    text = " " + joined(with_visarga(text).translate(_after)) + " "
    text = _ABBREVIATION.sub("", text)
    text = _separators(rule.inside).sub(lambda match: match[1] or " ", text)
    if spacing is Spacing.NONE:
        text = text.replace(" ", "")
    return unified(text).strip()


class _PerCharacter(dict[int, str]):
    """A table for `str.translate` that works out each character when it is first met."""

    def __init__(self, replacement: Callable[[str], str]):
        super().__init__()
        self._replacement = replacement

    def __missing__(self, code: int) -> str:
        self[code] = self._replacement(chr(code))
        return self[code]


def _replacement_before(char: str) -> str:
    """Before NFKC, which would turn a spacing accent into a space that carries a combining mark."""
    compatible = unicodedata.normalize("NFKC", char)
    if char in rules.APOSTROPHES:
        return "'"
    if char in "゛゜":  # typed after a kana, they look like the mark on it
        return chr(ord(char) - 2)
    if not rules.APOSTROPHES.isdisjoint(compatible):  # such as the Afrikaans letter U+0149
        return "".join("'" if part in rules.APOSTROPHES else part for part in compatible)
    if _is_dropped(char):
        return ""
    if len(compatible) > 1 and compatible[0] == " ":
        return " " if unicodedata.category(char)[0] in "PS" else compatible.lstrip()
    return char


def _replacement_after(char: str) -> str:
    """Replaces a character after lower-casing: by itself, a space, or nothing."""
    if char in rules.KEPT_FOR_LATER or char in rules.LETTERLIKE:
        return char
    if _is_dropped(char):
        return ""
    category = unicodedata.category(char)
    return " " if category[0] in "PSZ" or category == "Cc" else char


def _is_dropped(char: str) -> bool:
    return char in rules.DROPPED or (
        unicodedata.category(char) in ("Cf", "Cn", "Co", "Cs", "Me") and char not in rules.JOINERS
    )


_before = _PerCharacter(_replacement_before)
_after = _PerCharacter(_replacement_after)

# Not \w, which holds no combining mark: after translation, whatever is not a separator belongs to a word.
_ABBREVIATION = re.compile(r"(?<=[ .][^ .·'\d])\.(?=[^ .·'\d])")


@lru_cache(maxsize=16)
def _separators(inside: str) -> re.Pattern[str]:
    """Punctuation of `inside` between two letters (group 1), or a run of spaces and stray punctuation."""
    return re.compile(f"(?<=[^ .·'])([{inside}])(?=[^ .·'])|[ .·']+")
