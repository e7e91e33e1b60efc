"""Transcripts in the one form that training and scoring share: lower case, no punctuation, every letter kept.

`RULES` is the only place where a language is special. A language that is not in it takes the default rule.
"""

import re
import unicodedata
from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum
from functools import lru_cache

from speech_mtl.errors import InputError


class Spacing(Enum):
    """What a space means in a language's writing."""

    WORDS = "between words"
    PHRASES = "between phrases, not between words"
    NONE = "nothing: spaces are removed"


@dataclass(frozen=True, slots=True)
class Rule:
    """How one language's transcripts are normalised.

    Attributes:
        spacing: What a space means.
        dotless_i: Whether `I` is the capital of `ı`, and `i` of `İ`.
        inside: Punctuation that belongs to a word where it stands between two letters.
        rewrites: Regular expressions and replacements, in order; they see lower-case NFKC text with its punctuation,
            in which every apostrophe is `'`.
    """

    spacing: Spacing = Spacing.WORDS
    dotless_i: bool = False
    inside: str = "'"
    rewrites: tuple[tuple[str, str], ...] = ()


_DEFAULT = Rule()
_HAN = Rule(spacing=Spacing.NONE)
_PHRASES = Rule(spacing=Spacing.PHRASES)
_DOTLESS_I = Rule(dotless_i=True)
_OKINA = Rule(rewrites=(("'", "ʻ"),))  # a consonant, also at the start of a word
_GERSHAYIM = Rule(rewrites=(('(?<=[א-ת])"(?=[א-ת])', ""),))  # marks an acronym
_COLON_SUFFIX = Rule(rewrites=((r"(?<=[^\W\d]):(?=[^\W\d])", ""),))  # EU:n, EU:s
_KHANDA_TA = Rule(rewrites=(("ত্\u200d", "ৎ"),))  # the spelling before Unicode 4.1
_CHILLU = Rule(  # the spelling before Unicode 5.1
    rewrites=tuple((letter + "്\u200d", chillu) for letter, chillu in zip("ണനരലളക", "ൺൻർൽൾൿ", strict=True))
)
_CEDILLA = Rule(rewrites=(("ş", "ș"), ("ţ", "ț")))  # older encodings had the cedilla only
_PERSIAN_KEYS = (("[يى]", "ی"), ("ك", "ک"))  # what an Arabic keyboard types in their place

RULES: dict[str, Rule] = {
    **dict.fromkeys(("cmn", "gan", "hak-hant", "hsn", "ja", "lzh", "nan-hant", "wuu", "yue", "zh"), _HAN),
    **dict.fromkeys(("km", "lo", "my", "nod", "shn", "th", "tts"), _PHRASES),
    **dict.fromkeys(("az", "crh", "gag", "kk-latn", "tr", "tt-latn"), _DOTLESS_I),
    **dict.fromkeys(("haw", "sm", "to", "ty"), _OKINA),
    **dict.fromkeys(("he", "yi"), _GERSHAYIM),
    **dict.fromkeys(("fi", "sv"), _COLON_SUFFIX),
    **dict.fromkeys(("as", "bn"), _KHANDA_TA),
    "ca": Rule(inside="'·"),  # col·legi
    "fa": Rule(rewrites=_PERSIAN_KEYS),
    "ml": _CHILLU,
    "ro": _CEDILLA,
    "ur": Rule(rewrites=(*_PERSIAN_KEYS, ("ه", "ہ"))),
    "uz": Rule(rewrites=(("(?<=[og])'", "ʻ"),)),  # oʻ and gʻ are letters, also at the end of a word
}
"""The rule of each language that needs one, by the start of its BCP 47 tag in lower case; the longest match counts."""

_TAG = re.compile(r"(?:[A-Za-z]{2,8}|[Xx](?=-))(?:-[A-Za-z0-9]{1,8})*")


@lru_cache(maxsize=1024)
def language_rule(language: str) -> Rule:
    """The rule of a language, from `RULES`; the default where there is none.

    Latin script (`zh-Latn`) has spaces between words, whatever the language's own script does.

    Raises:
        InputError: `language` is not formed as a BCP 47 tag.
    """
    if not _TAG.fullmatch(language):
        raise InputError(
            f"Malformed language tag {language!r}",
            expected="a BCP 47 tag such as cs, zh-CN or sr-Latn",
            received=repr(language),
            action="write subtags of letters and digits with hyphens between them (zh-CN, not zh_CN)",
        )
    subtags = language.lower().split("-")
    for length in range(len(subtags), 0, -1):
        rule = RULES.get("-".join(subtags[:length]))
        if rule is not None:
            return rule if rule.spacing is Spacing.WORDS or "latn" not in subtags else _DEFAULT
    return _DEFAULT


def is_spaced(language: str) -> bool:
    """Whether spaces separate the words of a language, so that words can be counted.

    Raises:
        InputError: `language` is not formed as a BCP 47 tag.
    """
    return language_rule(language).spacing is Spacing.WORDS


def normalize(text: str, language: str) -> str:
    """Brings a transcript into the form in which it is learnt and scored. Doing it twice changes nothing more.

    NFKC (but Thai and Lao *am* stay whole), lower case, apostrophes `'` inside words only, other punctuation and
    symbols replaced by a space (removed in abbreviations such as `U.S.A.`), the language's own rule, spaces
    collapsed, NFC. Combining marks are kept: vowel signs and tones are part of the word. Joiners (U+200C, U+200D) are
    kept between letters of the scripts that spell with them (Arabic to Sinhala, Mongolian). Digits are kept as they
    are.

    Args:
        text: A transcript as its corpus has it.
        language: BCP 47 tag.

    Raises:
        InputError: `language` is not formed as a BCP 47 tag.
    """
    rule = language_rule(language)
    text = _JOINER_AFTER_OTHERS.sub("", unicodedata.normalize("NFKC", text.translate(_before)))
    if rule.dotless_i:
        text = text.replace("I", "ı")
    text = text.replace("İ", "i").lower()
    for pattern, replacement in rule.rewrites:
        text = re.sub(pattern, replacement, text)
    text = " " + text.translate(_after) + " "
    text = _STRAY_JOINER.sub(r"\1", text)
    text = _ABBREVIATION.sub("", text)
    text = _separators(rule.inside).sub(lambda match: match[1] or " ", text)
    if rule.spacing is Spacing.NONE:
        text = text.replace(" ", "")
    text = _LAO_AM.sub("\\1\u0eb3", _THAI_AM.sub("\\1\u0e33", text))
    return unicodedata.normalize("NFC", text).strip()


def damaged_letters(text: str) -> list[str]:
    """The words of a text in which letters were destroyed: with U+FFFD, or a question mark between two letters."""
    return [word for word in text.split() if _DAMAGED.search(word)]


_DAMAGED = re.compile(r"\ufffd|(?<=[^\W\d_])\?+(?=[^\W\d_])")

_APOSTROPHES = frozenset("'`´‘’‛′ʼ＇՚׳\u1fbd\u1fbf")
_LETTERLIKE = frozenset("၌၍၎၏۽۾꞉꞊")  # words of Burmese and Sindhi, tone letters: punctuation by category only
_DROPPED = frozenset(  # not letters, and no boundary between words either
    "\u0640\u034f\u05f4՛՜՞"  # tatweel, grapheme joiner, gershayim, Armenian marks over a vowel
    + "".join(map(chr, [*range(0xFE00, 0xFE10), *range(0xE0100, 0xE01F0)]))  # variation selectors
)
_JOINERS = "\u200c\u200d"
_KEPT_FOR_LATER = frozenset("'.·" + _JOINERS)  # what becomes of them depends on their neighbours


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
    if char in _APOSTROPHES:
        return "'"
    if not _APOSTROPHES.isdisjoint(compatible):  # such as the Afrikaans letter U+0149
        return "".join("'" if part in _APOSTROPHES else part for part in compatible)
    if _is_dropped(char):
        return ""
    if len(compatible) > 1 and compatible[0] == " ":
        return " " if unicodedata.category(char)[0] in "PS" else compatible.lstrip()
    return char


def _replacement_after(char: str) -> str:
    """After lower-casing: the character itself, a space in its place, or nothing."""
    if char in _KEPT_FOR_LATER or char in _LETTERLIKE:
        return char
    if _is_dropped(char):
        return ""
    category = unicodedata.category(char)
    return " " if category[0] in "PSZ" or category == "Cc" else char


def _is_dropped(char: str) -> bool:
    return char in _DROPPED or (unicodedata.category(char) in ("Cf", "Cs", "Me") and char not in _JOINERS)


_before = _PerCharacter(_replacement_before)
_after = _PerCharacter(_replacement_after)

# NFKC splits the vowel am into nikhahit and aa; some typists put the tone between the two.
_THAI_AM = re.compile("\u0e4d([\u0e48-\u0e4b]?)\u0e32")
_LAO_AM = re.compile("\u0ecd([\u0ec8-\u0ecb]?)\u0eb2")

_SPELT_WITH_JOINERS = "[\u0600-\u0dff\u1800-\u18af]"
_JOINER_AFTER_OTHERS = re.compile(f"(?<!{_SPELT_WITH_JOINERS})[{_JOINERS}]+")
_STRAY_JOINER = re.compile(
    f"(?<={_SPELT_WITH_JOINERS})([{_JOINERS}])[{_JOINERS}]*(?={_SPELT_WITH_JOINERS})|[{_JOINERS}]+"
)

# Not \w, which holds no combining mark: after translation, whatever is not a separator belongs to a word.
_ABBREVIATION = re.compile(r"(?<=[ .][^ .·'\d])\.(?=[^ .·'\d])")


@lru_cache(maxsize=16)
def _separators(inside: str) -> re.Pattern[str]:
    """Punctuation of `inside` between two letters (group 1), or a run of spaces and stray punctuation."""
    return re.compile(f"(?<=[^ .·'])([{inside}])(?=[^ .·'])|[ .·']+")
