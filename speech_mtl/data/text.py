"""Transcripts in the one form that training and scoring share: lower case, no punctuation, every letter kept.

`RULES` is the only place where a language is special. A language that is not in it takes the default rule. What holds
for all languages of a script is in `SPACING` and in `data.spellings`.
"""

import re
import unicodedata
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from enum import Enum
from functools import lru_cache

from speech_mtl.data import spellings
from speech_mtl.data.languages import language_and_script


class Spacing(Enum):
    """What a space means in a language's writing."""

    WORDS = "between words"
    PHRASES = "between phrases, not between words"
    NONE = "nothing: spaces are removed"


SPACING: dict[str, Spacing] = {
    **dict.fromkeys(("Hani", "Hans", "Hant", "Hira", "Hrkt", "Jpan", "Kana"), Spacing.NONE),
    **dict.fromkeys(("Bali", "Java", "Khmr", "Lana", "Laoo", "Mymr", "Talu", "Thai"), Spacing.PHRASES),
}
"""What a space means in each script that has none between words."""


@dataclass(frozen=True, slots=True)
class Rule:
    """How one language's transcripts are normalised, besides what holds for its script.

    Attributes:
        dotless_i: Whether `I` is the capital of `ı`, and `i` of `İ`.
        inside: Punctuation that belongs to a word where it stands between two letters.
        letters: Letters that the language has not, and what they stand for: keyboards and encodings of other languages
            have them in that place. They see lower-case NFKC text in which every apostrophe is `'`.
        rewrites: Regular expressions and replacements, in order, after `letters`.
    """

    dotless_i: bool = False
    inside: str = "'"
    letters: Mapping[str, str] = field(default_factory=dict)
    rewrites: tuple[tuple[str, str], ...] = ()


_DEFAULT = Rule()
_DOTLESS_I = Rule(dotless_i=True)
_OKINA = Rule(letters={"'": "ʻ"})  # a consonant, also at the start of a word
_GERSHAYIM = ('(?<=[א-ת])"(?=[א-ת])', "")  # marks an acronym
_COLON_SUFFIX = Rule(rewrites=((r"(?<=[^\W\d]):(?=[^\W\d])", ""),))  # EU:n, EU:s
_CROSSED_D = Rule(letters={"ð": "đ"})  # their capitals look alike
_PALOCHKA = Rule(rewrites=((r"(?<=[а-яё])[1ilі]|(?<!\w)[1ilі](?=[а-яё])", "ӏ"),))  # hardly a keyboard has it

# Arabic letters that an Arabic keyboard types for those of other languages, and the reverse. Of letters of one look
# only those are merged of which the language has one: Pashto has two kinds of yeh, Uyghur and Sindhi have others.
_KAF, _YEH = {"ك": "ک"}, {"ي": "ی", "ى": "ی"}
_DIGITS = dict(zip("٠١٢٣٤٥٦٧٨٩", "۰۱۲۳۴۵۶۷۸۹", strict=True))
_HAMZA_ON_YEH = ("ی\u0654", "ئ")
_PERSIAN = Rule(letters=_KAF | _YEH | _DIGITS | dict.fromkeys("ەہھ", "ه") | {"ۀ": "ه\u0654"}, rewrites=(_HAMZA_ON_YEH,))
_FARSI_KAF_AND_YEH = Rule(letters=_KAF | _YEH | _DIGITS, rewrites=(_HAMZA_ON_YEH,))
_URDU = Rule(letters=_KAF | _YEH | _DIGITS | {"ه": "ہ", "ۀ": "ۂ", "ة": "ۃ"}, rewrites=(_HAMZA_ON_YEH,))
_KURDISH = Rule(  # h and the vowel e, which was typed as h that does not join, have letters of their own
    letters=_KAF | _YEH,
    rewrites=(("ه\u200c|(?<=[ء-يٮ-ۓە])(?<!ا)ه(?![ؐ-ؚء-ٟٮ-ۓە-ۭۺ-ۿ\u200d])", "ە"), ("ه", "ھ")),
)
_ARABIC = Rule(letters={"ک": "ك"}, rewrites=(("ی(?=[\u0610-\u065f]*[ء-يٮ-ۓ])", "ي"), ("ی", "ى")))

RULES: dict[str, Rule] = {
    **dict.fromkeys(("ar", "acm", "aeb", "afb", "apc", "apd", "arq", "ars", "ary", "arz"), _ARABIC),
    **dict.fromkeys(("crh", "gag", "kk-Latn", "tr", "tt-Latn"), _DOTLESS_I),
    **dict.fromkeys(("haw", "sm", "to", "ty"), _OKINA),
    **dict.fromkeys(("fi", "sv"), _COLON_SUFFIX),
    **dict.fromkeys(("bs", "hr", "sr", "vi"), _CROSSED_D),
    **dict.fromkeys(("ady", "av", "ce", "dar", "inh", "kbd", "lbe", "lez", "rut", "tab", "tkr"), _PALOCHKA),
    **dict.fromkeys(("fa", "bqi", "glk", "haz", "mzn", "tg-Arab", "tk-Arab", "uz-Arab", "uzs"), _PERSIAN),
    **dict.fromkeys(("ur", "hno", "khw", "ks-Arab", "lah", "pa-Arab", "skr"), _URDU),
    **dict.fromkeys(("ckb", "ku-Arab", "lki", "sdh"), _KURDISH),
    **dict.fromkeys(("kk-Arab", "ky-Arab", "ug"), Rule(letters={"ک": "ك"})),
    **dict.fromkeys(("az-Arab", "azb", "lrc", "luz"), _FARSI_KAF_AND_YEH),
    "az": Rule(dotless_i=True, letters={"ǝ": "ə"}),
    "ca": Rule(inside="'·"),  # col·legi
    "he": Rule(rewrites=(_GERSHAYIM,)),
    "hu": Rule(letters={"õ": "ő", "û": "ű"}),  # older encodings had these only
    "ms-Arab": Rule(letters=_KAF | {"ڬ": "ݢ"}),
    "ps": Rule(letters=_KAF | _DIGITS | {"ى": "ی"}),
    "ro": Rule(letters={"ş": "ș", "ţ": "ț"}),  # older encodings had the cedilla only
    "sd": Rule(letters={"ك": "ڪ", "ی": "ي", "ى": "ي", "ہ": "ه"}),
    "uz": Rule(rewrites=(("(?<=[og])'", "ʻ"),)),  # oʻ and gʻ are letters, also at the end of a word
    "yi": Rule(letters={"װ": "וו", "ױ": "וי", "ײ": "יי"}, rewrites=(_GERSHAYIM,)),
}
"""The rule of each language that needs one, by its canonical code; with a script, for what is written in that only."""


@lru_cache(maxsize=1024)
def language_rule(language: str) -> Rule:
    """The rule of a language, from `RULES`; the default where there is none.

    Raises:
        InputError: `language` is not formed as a BCP 47 tag.
    """
    code, script = language_and_script(language)
    return RULES.get(f"{code}-{script}") or RULES.get(code) or _DEFAULT


def _spacing(language: str) -> Spacing:
    return SPACING.get(language_and_script(language)[1], Spacing.WORDS)


def is_spaced(language: str) -> bool:
    """Whether spaces separate the words of a language, so that words can be counted.

    It depends on the script: Chinese as `zh-Latn` has spaces between words.

    Raises:
        InputError: `language` is not formed as a BCP 47 tag.
    """
    return _spacing(language) is Spacing.WORDS


def normalize(text: str, language: str) -> str:
    """Brings a transcript into the form in which it is learnt and scored. Doing it twice changes nothing more.

    NFKC (but Thai and Lao *am* stay whole), lower case, apostrophes `'` inside words only, other punctuation and
    symbols replaced by a space (removed in abbreviations such as `U.S.A.`), the language's own rule, one spelling for
    what looks alike (`data.spellings`), spaces collapsed, NFC. What is invisible is dropped, and so are characters
    that mean nothing outside of one program (for private use, unassigned). Combining marks are kept: vowel signs and
    tones are part of the word. Joiners (U+200C, U+200D) are kept where they make a difference. Digits are kept as
    they are, unless a rule says otherwise.

    Args:
        text: A transcript as its corpus has it.
        language: BCP 47 tag.

    Raises:
        InputError: `language` is not formed as a BCP 47 tag.
    """
    rule = language_rule(language)
    text = spellings.without_joiners_of_other_scripts(unicodedata.normalize("NFKC", text.translate(_before)))
    if rule.dotless_i:
        text = text.replace("I", "ı")
    text = text.replace("İ", "i").lower()
    if rule.letters:
        text = text.translate(str.maketrans(dict(rule.letters)))
    for pattern, replacement in rule.rewrites:
        text = re.sub(pattern, replacement, text)
    text = " " + spellings.joined(spellings.with_visarga(text).translate(_after)) + " "
    text = _ABBREVIATION.sub("", text)
    text = _separators(rule.inside).sub(lambda match: match[1] or " ", text)
    if _spacing(language) is Spacing.NONE:
        text = text.replace(" ", "")
    return unicodedata.normalize("NFC", spellings.unified(unicodedata.normalize("NFC", text))).strip()


def damaged_letters(text: str) -> list[str]:
    """The words of a transcript in which letters were lost before it came here, as far as one can tell.

    That is a question mark between two letters (`ku?ier`; not `Co?Nic`, in which a space is missing), U+FFFD, letters
    read in another encoding than they were written in (`kuÄ\u008dera`), escapes (`caf&eacute;`), and characters for
    private use. Only in scripts with capitals does a question mark count: many of the others have no space after it.
    """
    if not _SUSPICIOUS.search(text):
        return []
    return [word for word in text.split() if _ESCAPED.search(word) or _has_lost_letter(word) or _is_misread(word)]


_SUSPICIOUS = re.compile(r"[^\x00-\x7f]|[?&\\%]")
_ESCAPED = re.compile(
    r"\ufffd|[\ue000-\uf8ff]|&(?:#\d+|#x[\da-f]+|[a-z]{2,8});|\\(?:u[\da-f]{4}|x[\da-f]{2})|(?:%[\da-f]{2}){2}", re.I
)
_QUESTION = re.compile(r"(?=([^\W\d_])\?+([^\W\d_]))")


def _has_lost_letter(word: str) -> bool:
    if "/" in word or "=" in word:  # the address of a page
        return False
    pairs = _QUESTION.findall(word)
    return any((a.islower() and b.islower()) or (a.isupper() and b.isupper()) for a, b in pairs)


def _is_misread(word: str) -> bool:
    from ftfy.badness import is_bad

    return not word.isascii() and is_bad(word.strip("\"'“”„‘’‚«»‹›"))


_APOSTROPHES = frozenset("'`´‘’‛′ʼ＇՚׳\u1fbd\u1fbf")
_LETTERLIKE = frozenset("၌၍၎၏۽۾꞉꞊")  # words of Burmese and Sindhi, tone letters: punctuation by category only
_DROPPED = frozenset(  # not letters, and no boundary between words either
    "\u0640\u034f\u05f4՛՜՞"  # tatweel, grapheme joiner, gershayim, Armenian marks over a vowel
    "\u115f\u1160\u3164\uffa0\u17b4\u17b5"  # Hangul fillers, vowels of Khmer that are not seen
    + "".join(map(chr, [0x180B, 0x180C, 0x180D, 0x180F, *range(0xFE00, 0xFE10), *range(0xE0100, 0xE01F0)]))
)  # the last are variation selectors
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
    return char in _DROPPED or (unicodedata.category(char) in ("Cf", "Cn", "Co", "Cs", "Me") and char not in _JOINERS)


_before = _PerCharacter(_replacement_before)
_after = _PerCharacter(_replacement_after)

# Not \w, which holds no combining mark: after translation, whatever is not a separator belongs to a word.
_ABBREVIATION = re.compile(r"(?<=[ .][^ .·'\d])\.(?=[^ .·'\d])")


@lru_cache(maxsize=16)
def _separators(inside: str) -> re.Pattern[str]:
    """Punctuation of `inside` between two letters (group 1), or a run of spaces and stray punctuation."""
    return re.compile(f"(?<=[^ .·'])([{inside}])(?=[^ .·'])|[ .·']+")
