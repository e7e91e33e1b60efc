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

VERSION = 3
"""Raised when the same transcript comes out otherwise than before; it is recorded with every score."""


def normalize(text: str, language: str, choices: Choices = AS_WRITTEN, numbers: str = "") -> str:
    """Brings a transcript into the form in which it is learnt and scored.

    Doing it twice changes nothing more, unless the text is refused (see `refusal`).

    HTML entities (`&amp;`) unescaped, NFKC (but Thai and Lao *am* stay whole), letters of the language's script for
    those that look alike (see `in_own_script`), lower case, the language's own rule, numbers as words if so chosen (see
    `numerals.spelt`), apostrophes `'` inside words only, other punctuation and symbols replaced by a space (removed in
    abbreviations such as `U.S.A.`), one spelling for what looks alike (see `unified`), spaces collapsed, NFC. What is
    invisible is dropped, and so are characters that mean nothing outside of one program (for private use, unassigned).
    Combining marks are kept: vowel signs and tones are part of the word. Joiners (U+200C, U+200D) are kept where they
    make a difference. Digits that are not spelt are kept as they are, and Latin words if not chosen otherwise.

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
    words = words or list(unread(letters, numbers or language, language_rule(language).tones, spell))
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
    for run in reversed(list(_latin_words(text, language))):
        text = f"{text[: run.start()]} {text[run.end() :]}"
    return text


_ENTITY = re.compile(r"&(?:#\d{1,7}|#[xX][\da-fA-F]{1,6}|[a-zA-Z][a-zA-Z\d]{1,30});")


def unescaped(text: str) -> str:
    """Puts characters for HTML's entities (`&amp;`, `&#39;`), also for those that were escaped twice."""
    if "&" not in text:
        return text
    return _until_stable(lambda part: _ENTITY.sub(lambda match: html.unescape(match[0]), part), text)


def _in_letters(text: str, language: str) -> str:
    """The text in NFKC and lower case, in the letters of its language, with its punctuation."""
    rule, of_language = language_rule(language), _script_and_look_alikes(language)
    text = without_joiners_of_other_scripts(unicodedata.normalize("NFKC", text.translate(_before)))
    text = in_own_script(text, *of_language)
    if rule.dotless_i:
        text = text.replace("I", "ı")
    text = in_own_script(without_second_dot(text.replace("İ", "i").lower()), *of_language)
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


def in_own_script(text: str, script: str, more: str = "") -> str:
    """Puts letters of a script for those of another that look alike, in words that have letters of both.

    A word is left as it is if any of its letters of another script has no such letter: it may be meant so.

    Args:
        text: In NFC, with its capitals: which letters look alike depends on their case.
        script: Latin, Cyrillic or Greek; texts in others stay as they are.
        more: Further look-alikes, in the form of `rules.LOOK_ALIKES`.
    """
    for letters, run, replaced in _look_alikes(script, more):
        if letters.search(text):
            text = run.sub(replaced, text)
    return text


_Change = tuple[re.Pattern[str], re.Pattern[str], Callable[[re.Match[str]], str]]


def mixed_scripts(text: str, language: str) -> list[str]:
    """Names the letters of another script that look alike, in words that have letters of both: word, letter, position.

    Args:
        text: A transcript as its corpus has it.
        language: BCP 47 tag.

    Returns:
        For each, what it is and what is done with it; positions count the characters of the transcript from 1.
    """
    text = unescaped(text)
    own = rules.LETTERS_OF.get(language_and_script(language)[1])
    if own is None or text.isascii():
        return []
    found = []
    for word in re.finditer(r"(?:[^\W\d_]|[\u0300-\u036f])+", text):
        alien = next(
            (one for one in re.finditer(rf"[^{own}\u0300-\u036f]", word[0]) if _is_of_look_alikes(one[0])), None
        )
        if alien and re.search(f"[{own}]", word[0]):
            changed = in_own_script(word[0], *_script_and_look_alikes(language))
            place = word.start() + alien.start() + 1
            read = f"read as {changed!r}" if changed != word[0] else "kept as it is"
            name = unicodedata.name(alien[0], "unnamed")
            found.append(f"{word[0]!r}: U+{ord(alien[0]):04X} {name} at {place}: {read}")
    return found


def _is_of_look_alikes(letter: str) -> bool:
    return any(re.match(f"[{letters}]", letter) for letters in rules.LETTERS_OF.values())


def _script_and_look_alikes(language: str) -> tuple[str, str]:
    return language_and_script(language)[1], language_rule(language).look_alikes


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
    letters, own_letters, table = (
        re.compile(f"[{other}]"),
        re.compile(f"[{own}]"),
        str.maketrans(pairs[::2], pairs[1::2]),
    )

    def replaced(run: re.Match[str]) -> str:
        changed = run[0].translate(table)
        return run[0] if letters.search(changed) or not own_letters.search(run[0]) else changed

    return letters, re.compile(f"[{other}{own}\u0300-\u036f]+"), replaced


def damaged_letters(text: str) -> list[str]:
    """Finds words of a transcript in which letters seem to have been lost, for example by a wrong encoding.

    That is a question mark between two letters or before one (`ku?ier`, `?koda`; not `Co?Nic`, in which a space is
    missing), U+FFFD, letters read in another encoding than they were written in (`kuÄ\u008dera`, `Ïðèâåò`), escapes
    (`caf&eacute;`), and characters for private use. Only in scripts with capitals does a question mark count: many of
    the others have no space after it.
    """
    text = unescaped(text)
    if not _SUSPICIOUS.search(text):
        return []
    return [word for word in text.split() if _ESCAPED.search(word) or _has_lost_letter(word) or _is_misread(word)]


_SUSPICIOUS = re.compile(r"[^\x00-\x7f]|[?&\\%]")
_ESCAPED = re.compile(
    r"\ufffd|[\ue000-\uf8ff]|&(?:#\d+|#x[\da-f]+|[a-z]{2,8});|\\(?:u[\da-f]{4}|x[\da-f]{2})|(?:%[\da-f]{2}){2}", re.I
)
_QUESTION = re.compile(r"(?=((?<!\S)|[^\W\d_])\?+([^\W\d_]))")
_CYRILLIC_OR_GREEK_MISREAD = re.compile("[\u00c0-\u00ff]{4,}")  # no language of Latin script has so many in a row


def _has_lost_letter(word: str) -> bool:
    if "/" in word or "=" in word:  # the address of a page
        return False
    pairs = _QUESTION.findall(word)
    return any((b.islower() and (not a or a.lower() != a.upper())) or (a.isupper() and b.isupper()) for a, b in pairs)


def _is_misread(word: str) -> bool:
    from ftfy.badness import is_bad

    runs = _CYRILLIC_OR_GREEK_MISREAD.findall(word)
    return any(len(set(run)) > 2 for run in runs) or (not word.isascii() and is_bad(word.strip("\"'“”„‘’‚«»‹›")))


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
