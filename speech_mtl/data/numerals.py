"""Numbers written in digits: spelt as words where they can be read in one way only.

The words are those of Unicode CLDR's rule-based number formats, through `unicode-rbnf`.
"""

import re
import unicodedata
from collections.abc import Iterator
from functools import lru_cache
from typing import TYPE_CHECKING

from speech_mtl.data.languages import language_and_script

if TYPE_CHECKING:
    from unicode_rbnf import RbnfEngine

LONGEST = 5
"""Digits of the longest number that is spelt: longer ones are codes, or are written with separators."""

UNLIKE_ICU = frozenset(("bg", "ca", "ga", "my"))
"""Languages whose numbers `unicode-rbnf` spells otherwise than ICU does from the same rules, and wrongly."""

_NO_READING = ("ordinal", "financial", "-days")
"""Parts of the names of CLDR's rules for ordinals, cheques and days of the Chinese calendar."""

_UNSPACED = "\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3005-\u30ff\u3400-\u9fff"
"""Letters that may stand beside a number without a space: Thai, Lao, Burmese, Khmer, kana and Han."""

_STARTS = re.compile(rf"(?:^|[\s{_UNSPACED}])[\"(\[{{«‹„“‚¿¡「『（]*$")
_ENDS = re.compile(rf"[\")\]}}»›“”.,;:!?…।۔؟،؛」』）。，、；：！？]*(?:$|[\s{_UNSPACED}])")
_ORDINAL = re.compile(r"\.\W*\w")
_BETWEEN = re.compile(r"[\s\u2010-\u2015-]+")
_BEFORE_TONE = re.compile(rf"[^\W\d_{_UNSPACED}]")
_READ_ALOUD = "%‰°§#№&@*/\\"
"""Signs beside a number that are read, besides symbols such as those of currencies."""

_DIGITS = re.compile(r"\d+")
_BURMESE_LETTER = re.compile("[၀၇](?=[ါ-ံ်-ှ])|၄(?=င်း)")
"""Digits that are typed for letters of the same look; see `rules.BURMESE`."""


def spelt(text: str, language: str, tones: str = "") -> str:
    """Puts words for the numbers that can be read in one way; the others are left as they are.

    A number is read where it stands alone: in digits of any script, without a zero before it, a separator, an ending or
    a sign that is read, with a full stop only where the text ends, since `3.` may be an ordinal. It can be read in one
    way if all forms that CLDR has of it are the same: those of genders, cases, years (`1999`) and counters.

    Args:
        text: A transcript, in NFKC.
        language: BCP 47 tag.
        tones: See `rules.Rule`.
    """
    readings = {digits.start(): reading for digits, reading in _numbers(text, language, tones)}
    return _DIGITS.sub(lambda digits: readings.get(digits.start()) or digits[0], text)


def unread(text: str, language: str, tones: str = "", spell: bool = True) -> list[str]:
    """The words of a text in which `spelt` leaves numbers in digits; all with numbers, if it is not to be used.

    Digits that are tones (`ni3 hao3`) or stand for letters of Burmese are no numbers.
    """
    numbers = _numbers(text, language, tones)
    places = {digits.start() for digits, reading in numbers if not (spell and reading)}
    words = re.finditer(r"\S+", text) if places else ()
    return [word[0] for word in words if not places.isdisjoint(range(*word.span()))]


def is_other_numeral(char: str) -> bool:
    """Whether a character is a fraction, an exponent, or a numeral of a script that has no digits."""
    return not char.isascii() and unicodedata.category(char) == "No"


def has_speller(language: str) -> bool:
    """Whether numbers of a language can be spelt."""
    return _locale(language) is not None


def _numbers(text: str, language: str, tones: str) -> Iterator[tuple[re.Match[str], str | None]]:
    """The numbers of a text, each with its one reading; None if there is none, or several."""
    found = list(_DIGITS.finditer(text))
    for before, digits, after in zip([None, *found], found, [*found[1:], None], strict=False):
        if not _is_no_number(digits, tones):
            yield digits, _reading(digits, language) if _stands_alone(digits, before, after) else None


def _reading(digits: re.Match[str], language: str) -> str | None:
    locale = _locale(language)
    if len(digits[0]) > LONGEST or len(str(int(digits[0]))) != len(digits[0]) or locale is None:
        return None
    return _words(int(digits[0]), locale)


def _is_no_number(digits: re.Match[str], tones: str) -> bool:
    text, start = digits.string, digits.start()
    if tones and re.fullmatch(f"[{tones}]", digits[0]) and start and _BEFORE_TONE.match(text, start - 1):
        return True
    return len(digits[0]) == 1 and _BURMESE_LETTER.match(text, start) is not None


def _stands_alone(digits: re.Match[str], before: re.Match[str] | None, after: re.Match[str] | None) -> bool:
    """Whether digits are a number by what lies between them and those before and after, if there are any.

    Nothing copies or searches the rest of the text: of many numbers, that would take quadratic time.
    """
    text, (start, end) = digits.string, digits.span()
    left, right = text[before.end() if before else 0 : start], text[end : after.start() if after else None]
    begins = before and (before.start() == 0 or text[before.start() - 1].isspace())
    return not (
        _STARTS.search(text, start - len(left), start) is None
        or _ENDS.match(text, end) is None
        or _ORDINAL.match(text, end)
        or (begins and _BETWEEN.fullmatch(left))
        or (after and _BETWEEN.fullmatch(right))
        or any(map(_is_read_aloud, (left.rstrip()[-1:], right.lstrip()[:1])))
    )


def _is_read_aloud(char: str) -> bool:
    return bool(char) and (char in _READ_ALOUD or unicodedata.category(char)[0] == "S")


@lru_cache(maxsize=1024)
def _locale(language: str) -> str | None:
    """The locale of CLDR with the numbers of a language, in its script; None if there is none."""
    from langcodes import Language
    from unicode_rbnf import RbnfEngine

    meant = language_and_script(language)
    code = {"nb": "no"}.get(meant[0], meant[0]) if Language.get(language).language else "und"
    known = RbnfEngine.get_supported_languages()
    for part in (Language.get(language).territory, meant[1], None):
        locale = f"{code}_{part}" if part else code
        if locale in known and code not in UNLIKE_ICU and language_and_script(locale.replace("_", "-"))[1] == meant[1]:
            return locale
    return None


@lru_cache(maxsize=1024)
def _words(number: int, locale: str) -> str | None:
    """The words of a number, if all forms of them are the same."""
    rules = _engine(locale)
    names = [name for name, own in rules.rulesets.items() if name.startswith("spellout") and not own.is_private]
    names = [name for name in names if not any(part in name for part in _NO_READING)]
    forms = {
        text.replace("-", " ") for text in rules.format_number(number, ruleset_names=names).text_by_ruleset.values()
    }
    text = forms.pop()
    return None if forms or any(char.isdigit() for char in text) else text


@lru_cache(maxsize=64)
def _engine(locale: str) -> "RbnfEngine":
    from unicode_rbnf import RbnfEngine

    return RbnfEngine.for_language(locale)
