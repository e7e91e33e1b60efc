"""Letters of other scripts than that of a language."""

from functools import lru_cache

from speech_mtl.data.languages import language_and_script

MIXED = {
    "Hans": {"Hani", "Bopo"},
    "Hant": {"Hani", "Bopo"},
    "Jpan": {"Hani", "Hira", "Kana"},
    "Kore": {"Hang", "Hani"},
}
"""Scripts of letters in the scripts of ISO 15924 that are made of several, or are one with others in Unicode."""


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
