"""Rules of languages and scripts for `data.text`, as tables.

`RULES` is the only place where a language is special. A language that is not in it takes the default rule. What holds
for all languages of a script is in `SPACING`, and in the tables of spellings that look alike.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum
from functools import lru_cache

from speech_mtl.data.languages import language_and_script
from speech_mtl.datatypes import LatinWords, Numerals


class Spacing(Enum):
    """Meaning of a space in a language's writing."""

    WORDS = "between words"
    PHRASES = "between phrases, not between words"
    NONE = "nothing: spaces are removed"


SPACING: dict[str, Spacing] = {
    **dict.fromkeys(("Hani", "Hans", "Hant", "Hira", "Hrkt", "Jpan", "Kana"), Spacing.NONE),
    **dict.fromkeys(("Bali", "Java", "Khmr", "Lana", "Laoo", "Mymr", "Talu", "Thai"), Spacing.PHRASES),
}
"""Meaning of a space in each script that has none between words."""


@dataclass(frozen=True, slots=True)
class Rule:
    """How one language's transcripts are normalised, besides what holds for its script.

    Attributes:
        dotless_i: Whether `I` is the capital of `ı`, and `i` of `İ`.
        inside: Punctuation that belongs to a word where it stands between two letters.
        letters: Letters that the language has not, and what they stand for: keyboards and encodings of other languages
            have them in that place. They see lower-case NFKC text in which every apostrophe is `'`.
        rewrites: Regular expressions and replacements, in order, after `letters`.
        tones: Range of the digits that mark the tone of the syllable before them.
        look_alikes: Letters of another script, each followed by that of the language's own for which it is typed,
            besides those of `LOOK_ALIKES`.
    """

    dotless_i: bool = False
    inside: str = "'"
    letters: Mapping[str, str] = field(default_factory=dict)
    rewrites: tuple[tuple[str, str], ...] = ()
    tones: str = ""
    look_alikes: str = ""


_DEFAULT = Rule()
_DOTLESS_I = Rule(dotless_i=True)
_OKINA = Rule(letters={"'": "ʻ"})  # a consonant, also at the start of a word
_GERSHAYIM = ('(?<=[א-ת])"(?=[א-ת])', "")  # marks an acronym
_COLON_SUFFIX = Rule(rewrites=((r"(?<=[^\W\d]):(?=[^\W\d])", ""),))  # EU:n, EU:s
_CROSSED_D = Rule(letters={"ð": "đ"})  # their capitals look alike
_SHHA = "hһ"  # the capital is typed for another letter
_PALOCHKA = Rule(rewrites=((r"(?<=[а-яё])[1ilі]|(?<!\w)[1ilі](?=[а-яё])", "ӏ"),))  # hardly a keyboard has it

# Arabic letters that an Arabic keyboard types for those of other languages, and the reverse. Of letters that look alike
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
    **dict.fromkeys(("bs", "hr", "vi"), _CROSSED_D),
    **dict.fromkeys(("ba", "sah", "tt"), Rule(look_alikes=_SHHA)),
    **dict.fromkeys(("be", "kv", "rue", "uk"), Rule(look_alikes="iіIІïїÏЇ")),
    **dict.fromkeys(("ady", "av", "ce", "dar", "inh", "kbd", "lbe", "lez", "rut", "tab", "tkr"), _PALOCHKA),
    **dict.fromkeys(("fa", "bqi", "glk", "haz", "mzn", "tg-Arab", "tk-Arab", "uz-Arab", "uzs"), _PERSIAN),
    **dict.fromkeys(("ur", "hno", "khw", "ks-Arab", "lah", "pa-Arab", "skr"), _URDU),
    **dict.fromkeys(("ckb", "ku-Arab", "lki", "sdh"), _KURDISH),
    **dict.fromkeys(("kk-Arab", "ky-Arab", "ug"), Rule(letters={"ک": "ك"})),
    **dict.fromkeys(("az-Arab", "azb", "lrc", "luz"), _FARSI_KAF_AND_YEH),
    "az": Rule(dotless_i=True, letters={"ǝ": "ə"}),
    "ca": Rule(inside="'·", letters=dict.fromkeys("•∙⋅", "·"), rewrites=((r"(?<=l)\.(?=l)", "·"),)),  # col·legi
    "he": Rule(rewrites=(_GERSHAYIM,)),
    "hu": Rule(letters={"õ": "ő", "û": "ű"}),  # older encodings had these only
    "kk": Rule(look_alikes="iіIІ" + _SHHA),
    "mk": Rule(look_alikes="jјJЈsѕSЅ"),
    "ms-Arab": Rule(letters=_KAF | {"ڬ": "ݢ"}),
    "ps": Rule(letters=_KAF | _DIGITS | {"ى": "ی"}),
    "ro": Rule(letters={"ş": "ș", "ţ": "ț"}),  # older encodings had the cedilla only
    "sd": Rule(letters={"ك": "ڪ", "ی": "ي", "ى": "ي", "ہ": "ه"}),
    "sr": Rule(letters={"ð": "đ"}, look_alikes="jјJЈ"),
    "uz": Rule(rewrites=(("(?<=[og])'", "ʻ"),)),  # oʻ and gʻ are letters, also at the end of a word
    **dict.fromkeys(("nan-Latn", "hak-Latn"), Rule(tones="1-9")),
    "yue-Latn": Rule(tones="1-6"),
    "zh-Latn": Rule(tones="1-5"),
    "yi": Rule(letters={"װ": "וו", "ױ": "וי", "ײ": "יי"}, rewrites=(_GERSHAYIM,)),
}
"""The rule of each language that needs one, by its canonical code; with a script, for what is written in that only."""


@dataclass(frozen=True, slots=True)
class Choices:
    """What is done with parts of transcripts that may have been written for readers, and not as they are spoken.

    Attributes:
        numerals: Numbers in digits are spelt as words, kept as digits, or refused with their utterance; so are those
            that cannot be spelt, or be read in several ways.
        latin_words: Words in Latin letters, in a language of another script, are kept in lower case, dropped, or
            refused with their utterance.
    """

    numerals: Numerals
    latin_words: LatinWords = "keep"  # files of an earlier version lack it


AS_WRITTEN = Choices(numerals="keep")
"""Nothing is changed or refused."""


@lru_cache(maxsize=1024)
def language_rule(language: str) -> Rule:
    """The rule of a language, from `RULES`; the default where there is none.

    Raises:
        InputError: `language` is not formed as a BCP 47 tag.
    """
    code, script = language_and_script(language)
    return RULES.get(f"{code}-{script}") or RULES.get(code) or _DEFAULT


def spacing_of(language: str) -> Spacing:
    return SPACING.get(language_and_script(language)[1], Spacing.WORDS)


def is_spaced(language: str) -> bool:
    """Whether spaces separate the words of a language, so that words can be counted.

    It depends on the script: Chinese as `zh-Latn` has spaces between words.

    Raises:
        InputError: `language` is not formed as a BCP 47 tag.
    """
    return spacing_of(language) is Spacing.WORDS


APOSTROPHES = frozenset("'`´‘’‛′ʼ＇՚׳\u1fbd\u1fbf")
LETTERLIKE = frozenset("၌၍၎၏۽۾꞉꞊")  # words of Burmese and Sindhi, tone letters: punctuation by category only
DROPPED = frozenset(  # not letters, and no boundary between words either
    "\u0640\u034f\u05f4՛՜՞"  # tatweel, grapheme joiner, gershayim, Armenian marks over a vowel
    "\u115f\u1160\u3164\uffa0\u17b4\u17b5"  # Hangul fillers, vowels of Khmer that are not seen
    + "".join(map(chr, [0x180B, 0x180C, 0x180D, 0x180F, *range(0xFE00, 0xFE10), *range(0xE0100, 0xE01F0)]))
)  # the last are variation selectors
JOINERS = "\u200c\u200d"
KEPT_FOR_LATER = frozenset("'.·" + JOINERS)  # what becomes of them depends on their neighbours

# Spellings that look alike; the sources are the Unicode Standard (chapters 9, 12, 13 and 16, mostly the tables of
# sequences that stand for no letter), Unicode Technical Note 11 for Burmese, and what the normalisers of PyThaiNLP and
# of SIL's tools for Khmer do.

WITH_VISARGA = (0x900, 0x980, 0xA80, 0xB00, 0xC00, 0xC80, 0xD00, 0xD80)  # Devanagari, Bengali, ... Sinhala
"""First code points of the scripts that have a visarga at the same offset."""

NEVER_JOINED = "ءآأؤإاةدذرزوٱ-ٳٵ-ٷڈ-ڙۀۃ-ۋۍۏےۓەۮۯݙ-ݛݫݬݱݳݴݸݹ"
"""Arabic letters that do not join the next one, with or without a joiner between them."""

SPELT_WITH_JOINER = {  # before Unicode 4.1 and 5.1; and ra that does not climb on the next letter
    "ত্\u200d": "ৎ",
    "र्\u200d": "ऱ्",
    **{letter + "്\u200d": chillu for letter, chillu in zip("ണനരലളക", "ൺൻർൽൾൿ", strict=True)},
}

SPELT_IN_PARTS = (
    "अॆ=ऄ अा=आ र्इ=ई उु=ऊ एॅ=ऍ एॆ=ऎ एे=ऐ अॉ=ऑ आॅ=ऑ अॊ=ऒ आॆ=ऒ अो=ओ आे=ओ अौ=औ आै=औ अॅ=ॲ अऺ=ॳ अऻ=ॴ "
    "आऺ=ॴ अॏ=ॵ अॖ=ॶ अॗ=ॷ ाॅ=ॉ ाॆ=ॊ ाे=ो ाै=ौ "
    "অা=আ ঋৃ=ৠ ঌৢ=ৡ "
    "ਅਾ=ਆ ੲਿ=ਇ ੲੀ=ਈ ੳੁ=ਉ ੳੂ=ਊ ੲੇ=ਏ ਅੈ=ਐ ੳੋ=ਓ ਅੌ=ਔ "
    "અા=આ અૅ=ઍ અે=એ અૈ=ઐ અૉ=ઑ આૅ=ઑ અો=ઓ આે=ઓ અૌ=ઔ આૈ=ઔ ાૅ=ૉ ાે=ો ાૈ=ૌ "
    "ଅା=ଆ ଏୗ=ଐ ଓୗ=ଔ "
    "அூ=ஆ ஸ்ரீ=ஶ்ரீ "
    "ఒౕ=ఓ ఒౌ=ఔ ిౕ=ీ ెౕ=ే ొౕ=ో "
    "ಉಾ=ಊ ಒೌ=ಔ ಋಾ=ೠ "
    "ഇൗ=ഈ ഉൗ=ഊ എെ=ഐ ഒാ=ഓ ഒൗ=ഔ െെ=ൈ ൻ്റ=ന്റ "
    "අා=ආ අැ=ඇ අෑ=ඈ උෟ=ඌ ඍෘ=ඎ ඏෟ=ඐ එ්=ඒ එෙ=ඓ ඔ්=ඕ ඔෟ=ඖ ෙෙ=ෛ "
)
"""Vowels of Indic scripts as they are typed in parts, and other signs that look alike: `parts=letter`."""

SIGNS = "[ะ-ฺ\u0e3b็-๎]"
SIGN_GROUPS = ("", "่ ้ ๊ ๋ ์", "ะ า ำ")
AM = ("\u0e4d([่-์]*)า", r"\1ำ")  # NFKC splits the vowel am, and some typists put the tone between
THAI = (("เเ", "แ"), ("(?<![ฤฦ])ๅ", "า"))  # two signs e are one ae

KHMER = (("្ដ", "្ត"), ("េ([ុ-ួ]?)ី", r"ើ\1"), ("េ([ុ-ួ]?)ា", r"ោ\1"), ("ើា", "ោី"))
KHMER_ORDER = ("", "្រ", "៌", "៉ ៊", "េ ែ ៃ ោ ៅ ើ ឿ ៀ", "ុ ូ ួ", "ិ ី ឹ ឺ", "ា", "ំ ់ ៍ ៎ ៏ ័ ៑ ៝", "ះ ៈ")
BURMESE = (  # digits that look like a letter, and letters that look alike
    ("၀(?=[ါ-ံ်-ှ])", "ဝ"),
    ("၇(?=[ါ-ံ်-ှ])", "ရ"),
    ("၄င်း", "၎င်း"),
    ("ဥ်", "ဉ်"),
    ("သြ", "ဩ"),
    ("ဩော်", "ဪ"),
)
BURMESE_ORDER = ("ျ", "ြ", "ွ", "ှ", "ေ", "ိ ီ ဲ", "ု ူ", "ါ ာ", "ံ", "့", "း")

LETTERS_OF = {"Latn": "A-Za-zÀ-ÖØ-öø-ʯḀ-ỿ", "Cyrl": "Ѐ-ԯ", "Grek": "Ͱ-Ͽἀ-῿"}
"""Scripts with letters of the same look, and the ranges of their letters."""

LOOK_ALIKES = {
    ("Latn", "Cyrl"): "AАBВCСEЕHНKКMМOОPРTТXХYУaаcсeеoоpрxхyуËЁëё",
    ("Latn", "Grek"): "AΑBΒEΕZΖHΗIΙKΚMΜNΝOΟPΡTΤYΥXΧaαáάiιíίoοóόpρuυúύvν",
    ("Cyrl", "Latn"): "АAВBСCЕEНHКKМMОOРPТTХXУYІIЈJЅSаaсcеeоoрpхxуyіiјjѕsЁËёëЇÏїïӘƏәə",
    ("Grek", "Latn"): "ΑAΒBΕEΖZΗHΙIΚKΜMΝNΟOΡPΤTΥYΧXοoόóνvεɛ",
}
"""From the first script to the second: letters, each followed by that of the same look; of those that Unicode names as
confusable (UTS 39, confusables.txt) the ones that keyboards have and alphabets share."""
