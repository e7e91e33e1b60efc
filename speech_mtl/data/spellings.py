"""One spelling for what looks alike, in scripts in which a syllable can be typed in several ways.

The rules hold for all languages of a script; those of one language are in `text.RULES`. Their sources are the Unicode
Standard (chapters 9, 12, 13 and 16, mostly the tables of sequences that stand for no letter), Unicode Technical Note 11
for Burmese, and what the normalisers of PyThaiNLP and of SIL's tools for Khmer do.
"""

import re
import unicodedata
from collections.abc import Callable

_SECOND_DOT = re.compile("([ijįɉɨʝϳіјḭị][\u0316-\u033c]*)\u0307+")


def _without_second_dot(text: str) -> str:
    """Takes the dot above off letters that have one: most programs make `i̇` of İ. `ı` with a dot is `i`."""
    return _SECOND_DOT.sub(r"\1", text.replace("ı\u0307", "i").replace("ȷ\u0307", "j"))


_WITH_VISARGA = (0x900, 0x980, 0xA80, 0xB00, 0xC00, 0xC80, 0xD00, 0xD80)  # Devanagari, Bengali, ... Sinhala
_COLON = re.compile("([\u0904-\u0dff]):(?=([\u0904-\u0dff]))")


def with_visarga(text: str) -> str:
    """Puts a visarga for the colon that many type between two letters of an Indic script."""
    return _COLON.sub(_visarga, text) if ":" in text else text


def _visarga(match: re.Match[str]) -> str:
    before, after = match.groups()
    block = ord(before) & ~0x7F
    in_word = ord(after) & ~0x7F == block and all(unicodedata.category(char)[0] in "LM" for char in (before, after))
    return before + (chr(block + 3) if in_word and block in _WITH_VISARGA else ":")


_ARABIC, _MONGOLIAN, _SINHALA = "\u0600-\u08ff", "\u1800-\u18af", "\u0d80-\u0dff"
_INDIC = "\u0900-\u0d7f"
_NEVER_JOINED = "ءآأؤإاةدذرزوٱ-ٳٵ-ٷڈ-ڙۀۃ-ۋۍۏےۓەۮۯݙ-ݛݫݬݱݳݴݸݹ"
"""Arabic letters that do not join the next one, with or without a joiner between them."""

_STRAY_JOINER = re.compile(f"(?<![{_ARABIC}{_INDIC}{_SINHALA}{_MONGOLIAN}])[\u200c\u200d]+")
_SPELT_WITH_JOINER = {  # before Unicode 4.1 and 5.1; and ra that does not climb on the next letter
    "ত্\u200d": "ৎ",
    "र्\u200d": "ऱ्",
    **{letter + "്\u200d": chillu for letter, chillu in zip("ണനരലളക", "ൺൻർൽൾൿ", strict=True)},
}
_JOINER = re.compile(
    f"(?<=[{_ARABIC}])(?<![{_NEVER_JOINED}])\u200d*(\u200c)[\u200c\u200d]*(?=[{_ARABIC}])"
    f"|(?<=[{_MONGOLIAN}])([\u200c\u200d])[\u200c\u200d]*(?=[{_MONGOLIAN}])"
    f"|(?<=[{_SINHALA}])\u200c*(\u200d)[\u200c\u200d]*(?=[{_SINHALA}])"
    "|(?<=র)\u200c*(\u200d)[\u200c\u200d]*(?=্য)"
    "|[\u200c\u200d]+"
)


def without_joiners_of_other_scripts(text: str) -> str:
    """Drops the joiners U+200C and U+200D after letters that never change their form by one."""
    return _STRAY_JOINER.sub("", text)


def joined(text: str) -> str:
    """Keeps joiners where a word is another without, and writes letters as such that were spelt with one.

    They are kept within words of Arabic script after a letter that would be joined, of Mongolian and Sinhala, and in
    Bengali between ra and ya. In other Indic scripts they choose between two looks of the same letters.
    """
    if "\u200c" not in text and "\u200d" not in text:
        return text
    text = text.replace("র\u200c্য", "র\u200d্য")
    for spelt, letter in _SPELT_WITH_JOINER.items():
        text = text.replace(spelt, letter)
    return _JOINER.sub(lambda match: match[match.lastindex] if match.lastindex else "", text)


_SPELT_IN_PARTS = (
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
"""Vowels of Indic scripts as they are typed in parts, and other signs of one look: `parts=letter`."""

_ONE_LETTER: dict[str, str] = {pair.split("=")[0]: pair.split("=")[1] for pair in _SPELT_IN_PARTS.split()}
_IN_PARTS = re.compile("|".join(sorted(_ONE_LETTER, key=len, reverse=True)))


def _until_stable(change: Callable[[str], str], text: str) -> str:
    while (changed := change(text)) != text:
        text = changed
    return text


def _indic(text: str) -> str:
    return _until_stable(lambda part: _IN_PARTS.sub(lambda match: _ONE_LETTER[match[0]], part), text)


def _sorter(signs: str, one_sign: str, *groups: str) -> Callable[[str], str]:
    """Gives a function that puts the signs of each syllable in order; of a mark that comes twice, it leaves one.

    Args:
        signs: Regular expression of a run of signs.
        one_sign: Of one of them.
        groups: Signs in the order of the groups; those of one group stay in the order they have.
    """
    ranks = {sign: rank for rank, group in enumerate(groups) for sign in group.split()}

    def in_order(run: re.Match[str]) -> str:
        found = sorted(re.findall(one_sign, run[0]), key=lambda sign: ranks.get(sign, 0))
        return _TWICE.sub(r"\1", unicodedata.normalize("NFC", "".join(found)))

    return lambda text: re.sub(signs, in_order, text)


_TWICE = re.compile("([ัิ-ฺ็-๎ັິ-຺ົ່-\u0ece\u17b7-\u17bd\u17c6\u17c9-\u17d1ိ-ူဲံ့ျ-ှ])\\1+")


def _in_lao(thai: str) -> str:
    """The same rule for Lao: its letters lie as those of Thai do."""
    return "".join(chr(ord(char) + 0x80) if "\u0e00" <= char < "\u0e80" else char for char in thai)


_SIGNS = "[ะ-ฺ\u0e3b็-๎]"
_SIGN_GROUPS = ("", "่ ้ ๊ ๋ ์", "ะ า ำ")
_AM = ("\u0e4d([่-์]*)า", r"\1ำ")  # NFKC splits the vowel am, and some typists put the tone between
_THAI = (("เเ", "แ"), ("(?<![ฤฦ])ๅ", "า"))  # two signs e are one ae


def _thai_or_lao(as_in: Callable[[str], str]) -> Callable[[str], str]:
    before = [(re.compile(as_in(pattern)), as_in(letter)) for pattern, letter in _THAI]
    sort = _sorter(f"{as_in(_SIGNS)}{{2,}}", as_in(_SIGNS), *map(as_in, _SIGN_GROUPS))
    am = re.compile(as_in(_AM[0]))

    def spelt(text: str) -> str:
        for pattern, letter in before:
            text = pattern.sub(letter, text)
        return am.sub(as_in(_AM[1]), sort(text))

    return spelt


_COENG = "្[ក-ឳ]"
_khmer_in_order = _sorter(
    f"(?:{_COENG}|[ា-៑៝])+",
    f"{_COENG}|.",
    *("", "្រ", "៌", "៉ ៊", "េ ែ ៃ ោ ៅ ើ ឿ ៀ", "ុ ូ ួ", "ិ ី ឹ ឺ", "ា", "ំ ់ ៍ ៎ ៏ ័ ៑ ៝", "ះ ៈ"),
)
_KHMER = (("េ([ុ-ួ]?)ី", r"ើ\1"), ("េ([ុ-ួ]?)ា", r"ោ\1"), ("ើា", "ោី"))


def _khmer(text: str) -> str:
    text = _khmer_in_order(text.replace("ឣ", "អ").replace("ឤ", "អា"))
    for pattern, letter in _KHMER:
        text = re.sub(pattern, letter, text)
    return text


_burmese_in_order = _sorter("[ါ-ူေဲံ-းျ-ှ]{2,}", ".", *("ျ", "ြ", "ွ", "ှ", "ေ", "ိ ီ ဲ", "ု ူ", "ါ ာ", "ံ", "့", "း"))
_BURMESE = (  # digits with the look of a letter, and letters of one look
    ("၀(?=[ါ-ံ်-ှ])", "ဝ"),
    ("၇(?=[ါ-ံ်-ှ])", "ရ"),
    ("၄င်း", "၎င်း"),
    ("ဥ်", "ဉ်"),
    ("သြ", "ဩ"),
    ("ဩော်", "ဪ"),
)


def _burmese(text: str) -> str:
    text = _burmese_in_order(text)
    for pattern, letter in _BURMESE:
        text = re.sub(pattern, letter, text)
    return text


_BY_SCRIPT = (
    (re.compile("\u0307"), _without_second_dot),
    (re.compile("[\u0900-\u0dff]"), _indic),
    (re.compile("[\u0e00-\u0e7f]"), _thai_or_lao(str)),
    (re.compile("[\u0e80-\u0eff]"), _thai_or_lao(_in_lao)),
    (re.compile("[\u1780-\u17ff]"), _khmer),
    (re.compile("[\u1000-\u109f]"), _burmese),
)


def unified(text: str) -> str:
    """Writes i, j and the syllables of Indic scripts, Thai, Lao, Khmer and Burmese in one of the ways that look alike.

    Args:
        text: NFC, lower case, without punctuation. What comes out need not be NFC.
    """
    for letters, spelt in _BY_SCRIPT:
        if letters.search(text):
            text = _until_stable(spelt, text)
    return text
