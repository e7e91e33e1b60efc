"""One spelling for what looks alike: letters of another script, joiners, dots, and the order of signs in a syllable."""

import re
import unicodedata
from collections.abc import Callable
from functools import lru_cache

from speech_mtl.data import rules
from speech_mtl.data.languages import language_and_script

_Change = tuple[re.Pattern[str], re.Pattern[str], Callable[[re.Match[str]], str]]


def in_own_script(text: str, language: str) -> str:
    """Puts letters of a language's script for those of another that look alike, in words that have letters of both.

    A word is left as it is if any of its letters of another script has no such letter: it may be meant so. Only texts
    in Latin, Cyrillic and Greek letters are changed.

    Args:
        text: In NFC, with its capitals: which letters look alike depends on their case.
        language: BCP 47 tag.
    """
    script, more = language_and_script(language)[1], rules.language_rule(language).look_alikes
    for letters, run, replaced in _look_alikes(script, more):
        if letters.search(text):
            text = run.sub(replaced, text)
    return text


@lru_cache(maxsize=64)
def _look_alikes(script: str, more: str) -> list[_Change]:
    own = rules.LETTERS_OF.get(script, "")
    return [
        _look_alike(rules.LETTERS_OF[other], own, pairs + more)
        for (other, meant), pairs in rules.LOOK_ALIKES.items()
        if meant == script
    ]


def _look_alike(other: str, own: str, pairs: str) -> _Change:
    """Letters of another script, runs of these and of the own one, and what is put for a run."""
    letters, own_letters = re.compile(f"[{other}]"), re.compile(f"[{own}]")
    table = str.maketrans(pairs[::2], pairs[1::2])

    def replaced(run: re.Match[str]) -> str:
        changed = run[0].translate(table)
        return run[0] if letters.search(changed) or not own_letters.search(run[0]) else changed

    return letters, re.compile(f"[{other}{own}\u0300-\u036f]+"), replaced


_SECOND_DOT = re.compile("([ijįɉɨʝϳіјḭị][\u0316-\u033c]*)\u0307+")


def without_second_dot(text: str) -> str:
    """Takes the dot above off letters that have one: most programs make `i̇` of İ. `ı` with a dot is `i`."""
    return _SECOND_DOT.sub(r"\1", text.replace("ı\u0307", "i").replace("ȷ\u0307", "j"))


_COLON = re.compile("([\u0904-\u0dff]):(?=([\u0904-\u0dff]))")


def with_visarga(text: str) -> str:
    """Puts a visarga for the colon that many type between two letters of an Indic script."""
    return _COLON.sub(_visarga, text) if ":" in text else text


def _visarga(match: re.Match[str]) -> str:
    before, after = match.groups()
    block = ord(before) & ~0x7F
    in_word = ord(after) & ~0x7F == block and all(unicodedata.category(char)[0] in "LM" for char in (before, after))
    return before + (chr(block + 3) if in_word and block in rules.WITH_VISARGA else ":")


_ARABIC, _MONGOLIAN, _SINHALA = "\u0600-\u08ff", "\u1800-\u18af", "\u0d80-\u0dff"
_INDIC = "\u0900-\u0d7f"
_STRAY_JOINER = re.compile(f"(?<![{_ARABIC}{_INDIC}{_SINHALA}{_MONGOLIAN}])[\u200c\u200d]+")

_JOINER = re.compile(
    f"(?<=[{_ARABIC}])(?<![{rules.NEVER_JOINED}])\u200d*(\u200c)[\u200c\u200d]*(?=[{_ARABIC}])"
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
    Bengali between ra and ya. In other Indic scripts they choose between two forms of the same letters.
    """
    if "\u200c" not in text and "\u200d" not in text:
        return text
    text = text.replace("র\u200c্য", "র\u200d্য")
    for parts, letter in rules.SPELT_WITH_JOINER.items():
        text = text.replace(parts, letter)
    return _JOINER.sub(lambda match: match[match.lastindex] if match.lastindex else "", text)


_ONE_LETTER: dict[str, str] = {pair.split("=")[0]: pair.split("=")[1] for pair in rules.SPELT_IN_PARTS.split()}
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


def _thai_or_lao(as_in: Callable[[str], str]) -> Callable[[str], str]:
    before = [(re.compile(as_in(pattern)), as_in(letter)) for pattern, letter in rules.THAI]
    sort = _sorter(f"{as_in(rules.SIGNS)}{{2,}}", as_in(rules.SIGNS), *map(as_in, rules.SIGN_GROUPS))
    am = re.compile(as_in(rules.AM[0]))

    def spelt(text: str) -> str:
        for pattern, letter in before:
            text = pattern.sub(letter, text)
        return am.sub(as_in(rules.AM[1]), sort(text))

    return spelt


_COENG = "្[ក-ឳ]"
_khmer_in_order = _sorter(
    f"(?:{_COENG}|[ា-៑៝])+",
    f"{_COENG}|.",
    *rules.KHMER_ORDER,
)


def _khmer(text: str) -> str:
    text = _khmer_in_order(text.replace("ឣ", "អ").replace("ឤ", "អា"))
    for pattern, letter in rules.KHMER:
        text = re.sub(pattern, letter, text)
    return text


_burmese_in_order = _sorter("[ါ-ူေဲံ-းျ-ှ]{2,}", ".", *rules.BURMESE_ORDER)


def _burmese(text: str) -> str:
    text = _burmese_in_order(text)
    for pattern, letter in rules.BURMESE:
        text = re.sub(pattern, letter, text)
    return text


_BY_SCRIPT = (
    (re.compile("\u0307"), without_second_dot),
    (re.compile("[\u0900-\u0dff]"), _indic),
    (re.compile("[\u0e00-\u0e7f]"), _thai_or_lao(str)),
    (re.compile("[\u0e80-\u0eff]"), _thai_or_lao(_in_lao)),
    (re.compile("[\u1780-\u17ff]"), _khmer),
    (re.compile("[\u1000-\u109f]"), _burmese),
)


def unified(text: str) -> str:
    """Writes i, j and the syllables of Indic scripts, Thai, Lao, Khmer and Burmese in one of the ways that look alike.

    Args:
        text: Lower case, without punctuation.

    Returns:
        It in NFC.
    """
    return _until_stable(_unified_once, unicodedata.normalize("NFC", text))


def _unified_once(text: str) -> str:
    for letters, rewrite in _BY_SCRIPT:
        if letters.search(text):
            text = _until_stable(rewrite, text)
    return unicodedata.normalize("NFC", text)
