"""What other programs did to the letters of transcripts: entities of HTML, wrong encodings, letters that were lost."""

import html
import re

_ENTITY = re.compile(r"&(?:#\d{1,7}|#[xX][\da-fA-F]{1,6}|[a-zA-Z][a-zA-Z\d]{1,30});")


def unescaped(text: str) -> str:
    """Puts characters for HTML's entities (`&amp;`, `&#39;`), also for those that were escaped twice."""
    while "&" in text and (changed := _ENTITY.sub(lambda match: html.unescape(match[0]), text)) != text:
        text = changed
    return text


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
