"""Tokenisers of Mandarin in pinyin: letters and tones, or initials, finals and tones."""

import re
from collections.abc import Sequence

from speech_mtl.data.text import normalize, refusal
from speech_mtl.data.tokenizer import Tokenizer

_HAN = "[\u3007\u3400-\u4dbf\u4e00-\u9fff\ufa0e-\ufa29\U00020000-\U0003ffff]"
_WITHIN_HAN = re.compile(f"(?<={_HAN})[ ']+(?={_HAN})")
_APOSTROPHE = re.compile(f"(?<={_HAN})'|'(?={_HAN})")
_UNREAD = re.compile(f"^({_HAN})5$")
_E_CIRCUMFLEX = re.compile(r"\bê(?=[1-5]\b)")
_U_UMLAUT = re.compile(r"(?<=\b[ln])ü(?=(?:e|an|n)?[1-5]\b)")


class PinyinTokenizer(Tokenizer):
    """Mandarin as syllables with their tone (`zhong1 guo2`), one token a letter, tone digit or space.

    The tones are those of the dictionary (no sandhi), 5 is the neutral tone, `ü` is `v`; characters with several
    readings are read by the phrases that pypinyin knows. Text that has no pinyin, such as Latin letters, is spelt as
    it is, in lower case. Two characters with one reading become one: the text cannot be turned back into hanzi.
    """

    @property
    def spaced(self) -> bool:
        """True: syllables are scored as words."""
        return True

    @property
    def normalizer(self) -> str:
        return f"{super().normalizer}, pinyin"

    def refusal(self, text: str) -> str | None:
        """Numbers are read as those of hanzi; digits that are tones are none."""
        return refusal(text, "zh-Latn", self.choices, numbers="zh")

    def normalize(self, text: str) -> str:
        """The syllables of the text; syllables already written as pinyin stay as they are."""
        from pypinyin import Style, lazy_pinyin

        text = normalize(
            text, "zh-Latn", self.choices, numbers="zh"
        )  # keeps the spaces, between syllables and between Latin words
        text = _APOSTROPHE.sub(" ", _WITHIN_HAN.sub("", text))
        syllables = lazy_pinyin(text, style=Style.TONE3, neutral_tone_with_five=True)
        # A hanzi without a reading is left as it is, but gets the neutral tone.
        text = " ".join(_UNREAD.sub(r"\1", syllable) for syllable in syllables)
        return " ".join(_U_UMLAUT.sub("v", _E_CIRCUMFLEX.sub("e", text)).split())


_SYLLABLE = re.compile(r"\b(zh|ch|sh|[b-df-hj-np-tw-z]?)([aeiouv][a-z]*)([1-5])\b|.", re.DOTALL)


class PinyinPartsTokenizer(PinyinTokenizer):
    """Mandarin as the initial, final and tone of each syllable (`zh ong 1`), and the space between syllables.

    What is no such syllable, such as Latin words, is spelt in letters.
    """

    def split(self, normalized: str) -> Sequence[str]:
        return [part for match in _SYLLABLE.finditer(normalized) for part in _parts(match)]


def _parts(match: re.Match[str]) -> list[str]:
    """The parts of a syllable, or the letter."""
    return [part for part in match.groups() if part] or [match[0]]
