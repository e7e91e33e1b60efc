"""Letters of transcripts that are doubtful: lost or misread by another program, or of another script."""

import re
import unicodedata
from functools import lru_cache

from speech_mtl.data import rules
from speech_mtl.data.languages import language_and_script
from speech_mtl.data.spellings import in_own_script
from speech_mtl.data.text import unescaped

MIXED = {
    "Hans": {"Hani", "Bopo"},
    "Hant": {"Hani", "Bopo"},
    "Jpan": {"Hani", "Hira", "Kana"},
    "Kore": {"Hang", "Hani"},
}
"""Scripts of letters in the scripts of ISO 15924 that are made of several, or are one with others in Unicode."""


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


def mixed_scripts(text: str, language: str) -> list[str]:
    """Names the letters of another script that look alike, in words that have letters of both: word, letter, position.

    Args:
        text: A transcript as its corpus has it.
        language: BCP 47 tag.

    Returns:
        For each, what it is and what is done with it; positions count the characters of the transcript from 1.
    """
    text, own = unescaped(text), language_and_script(language)[1]
    if own not in rules.LETTERS_OF or text.isascii():
        return []
    found = []
    for word in re.finditer(r"(?:[^\W\d_]|[\u0300-\u036f])+", text):
        scripts = list(map(_script, word[0]))
        alien = next((i for i, one in enumerate(scripts) if one != own and one in rules.LETTERS_OF), None)
        if alien is not None and own in scripts:
            changed, letter = in_own_script(word[0], language), word[0][alien]
            read = f"read as {changed!r}" if changed != word[0] else "kept as it is"
            name, place = unicodedata.name(letter, "unnamed"), word.start() + alien + 1
            found.append(f"{word[0]!r}: U+{ord(letter):04X} {name} at {place}: {read}")
    return found


def other_scripts(text: str, language: str) -> dict[str, str]:
    """Finds letters of a text that its language is not written in, such as a Latin `c` in a word of Russian.

    Args:
        text: A transcript.
        language: BCP 47 tag.

    Returns:
        By script (ISO 15924), its letters in the text, each once.

    Raises:
        InputError: The tag is malformed.
    """
    own, found = _scripts(language), {}
    for char in dict.fromkeys(text):
        if not char.isascii() or char.isalpha():
            found.setdefault(_script(char), []).append(char)
    return {script: "".join(chars) for script, chars in found.items() if script not in own}


@lru_cache(maxsize=256)
def _scripts(language: str) -> set[str]:
    """Those of its letters, and of what stands in texts of every script."""
    script = language_and_script(language)[1]
    return MIXED.get(script, {script}) | {"Zyyy", "Zinh", "Zzzz"}


@lru_cache(maxsize=65536)
def _script(char: str) -> str:
    from fontTools.unicodedata import script

    return script(char)
