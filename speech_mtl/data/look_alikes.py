"""Letters of another script that look alike: Latin, Cyrillic and Greek ones, typed for one another."""

import re
import unicodedata
from collections.abc import Callable
from functools import lru_cache

from speech_mtl.data import rules
from speech_mtl.data.encoding import unescaped
from speech_mtl.data.languages import language_and_script
from speech_mtl.data.rules import language_rule

_Change = tuple[re.Pattern[str], re.Pattern[str], Callable[[re.Match[str]], str]]


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
            changed = in_own_script(word[0], *script_and_look_alikes(language))
            place = word.start() + alien.start() + 1
            read = f"read as {changed!r}" if changed != word[0] else "kept as it is"
            name = unicodedata.name(alien[0], "unnamed")
            found.append(f"{word[0]!r}: U+{ord(alien[0]):04X} {name} at {place}: {read}")
    return found


def _is_of_look_alikes(letter: str) -> bool:
    return any(re.match(f"[{letters}]", letter) for letters in rules.LETTERS_OF.values())


def script_and_look_alikes(language: str) -> tuple[str, str]:
    """What `in_own_script` takes besides the text: the script of a language, and what looks alike in that language."""
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
