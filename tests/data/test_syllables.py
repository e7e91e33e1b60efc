"""Parts of syllables as tokens; what holds for all tokenisers is in `test_tokenizer.py`."""

import re
import unicodedata

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from speech_mtl.data.syllables import SyllablePartsTokenizer, better_parts
from speech_mtl.data.tokenizer import BLANK_TOKEN, CharacterTokenizer
from speech_mtl.errors import InputError

ETHIOPIC = "".join(chr(code) for code in range(0x1200, 0x135B) if unicodedata.category(chr(code)) == "Lo")
INUKTITUT = "ᐃᓄᒃᑎᑐᑦ ᐊᐅᓚᔪᖅ ᖃᓪᓗᓈᖅ"
CHEROKEE = "ᏣᎳᎩ ᎦᏬᏂᎯᏍᏗ"
VAI = "ꕙꔤ ꖴꔳ"
KOREAN = "한국어 닭이 가"


@pytest.mark.parametrize(
    ("language", "text", "parts"),
    [
        ("am", "ላል ለ", ["ል", "◌ኣ", "ል", " ", "ል", "◌አ"]),
        ("am", "ዋው ቷ", ["ው", "◌ኣ", "ው", " ", "ት", "◌ኧ"]),
        ("am", "ኣእ ዓ", ["ኣ", "እ", " ", "ዕ", "◌ኣ"]),
        ("am", "ቋላ ok", ["ቋ", "ል", "◌ኣ", " ", "o", "k"]),  # no letter is the vowel of ቋ alone
        ("iu", "ᑲᒃ ᐃᓄ", ["ᒃ", "◌ᐊ", "ᒃ", " ", "ᐃ", "ᓐ", "◌ᐅ"]),
        ("ko", "한 가", ["ᄒ", "ᅡ", "ᆫ", " ", "ᄀ", "ᅡ"]),
    ],
)
def test_parts(language: str, text: str, parts: list[str]):
    tokenizer = SyllablePartsTokenizer.from_texts([text], language)
    assert tokenizer.split(tokenizer.normalize(text)) == parts
    assert tokenizer.text(tokenizer.encode(text)) == text


def test_cherokee_and_vai():
    """Both cases of Cherokee have parts; a consonant is written as the first letter of its row."""
    for language, text in (("chr", CHEROKEE), ("vai", VAI)):
        tokenizer = SyllablePartsTokenizer.from_texts([text], language)
        assert any(part.startswith("◌") for part in tokenizer.vocabulary)
        assert tokenizer.text(tokenizer.encode(text)) == tokenizer.normalize(text)
    empty = SyllablePartsTokenizer("chr", (BLANK_TOKEN,))
    assert empty.split("ᎦᎨᏍ") == ["Ꭶ", "◌Ꭰ", "Ꭶ", "◌Ꭱ", "Ꮝ"]
    assert empty.split("ꭶꭸꮝ") == ["ꭶ", "◌ꭰ", "ꭶ", "◌ꭱ", "ꮝ"]


@settings(max_examples=200, derandomize=True, deadline=None, database=None)
@given(
    st.sampled_from(("am", "ti", "iu", "ko")),
    st.text(st.sampled_from(ETHIOPIC + INUKTITUT + CHEROKEE + VAI + KOREAN + "ab '፡"), max_size=12),
)
def test_text_comes_back(language: str, text: str):
    tokenizer = SyllablePartsTokenizer.from_texts(["ላ", text], language)
    reference = tokenizer.normalize(text)
    assert tokenizer.text(tokenizer.encode(text)) == reference
    assert "".join(tokenizer.pieces(reference)) == reference


def test_ethiopic_by_the_order_of_unicode():
    """A second source: rows of 8 code points, of which the sixth has no vowel, and the vowels in one order in each."""
    empty = SyllablePartsTokenizer("am", (BLANK_TOKEN,))
    for first in range(0x1200, 0x1358, 8):
        row = [chr(code) for code in range(first, first + 7)]
        if first not in (ord("ቈ"), ord("ቘ"), ord("ኈ"), ord("ኰ"), ord("ዀ"), ord("ጐ"), ord("አ")):  # rows of others
            expected = [[row[5], "◌" + alone] for alone in "አኡኢኣኤእኦ"]
            expected[5] = [row[5]]
            assert [list(empty.split(letter)) for letter in row] == expected, row


@pytest.mark.parametrize(
    ("parts", "text"),
    [
        (["◌ኣ", " ", "ል", "◌ኣ", "◌ኣ"], "አ ላአ"),  # no training text has ኣ
        (["ል", " ", " ", "◌ኡ", " "], "ል ኡ"),
        (["ል", " ", "'", " ", "ል"], "ል ' ል"),
        ([], ""),
    ],
)
def test_recognised_parts_that_are_no_text(parts: list[str], text: str):
    """No word is lost: tokens between spaces and words are counted against each other."""
    tokenizer = SyllablePartsTokenizer("am", (BLANK_TOKEN, " ", "'", "ል", "አ", "ኡ", "◌ኡ", "◌ኣ"))
    ids = [tokenizer.vocabulary.index(part) for part in parts]
    assert tokenizer.text(ids) == text
    assert tokenizer.text(ids, ["ቤት"] * len(text.split())) == " ".join(["ቤት"] * len(text.split()))


@settings(max_examples=200, derandomize=True, deadline=None, database=None)
@given(st.sampled_from(("am", "iu", "chr", "ko")), st.lists(st.integers(0, 10_000), max_size=12))
def test_any_parts_become_text_of_known_letters(language: str, numbers: list[int]):
    tokenizer = SyllablePartsTokenizer.from_texts([ETHIOPIC[:40] + "አ", INUKTITUT, CHEROKEE + "Ꭰ", KOREAN], language)
    ids = [1 + number % (len(tokenizer) - 1) for number in numbers]
    text = tokenizer.text(ids)
    assert tokenizer.unknown(text) <= {"ᆫ", "ᆯ", "ᆰ", "ᆨ"}, "an end of a block by itself"
    parts = [tokenizer.vocabulary[number] for number in ids]
    assert len(text.split()) == len("".join(parts).split())


def test_a_syllable_is_not_overwritten_by_another_vowel():
    tokenizer = SyllablePartsTokenizer("chr", (BLANK_TOKEN, "ꭰ", "ꭱ", "ꭶ", "◌ꭰ", "◌ꭱ"))
    assert tokenizer.text([3, 4, 5]) == "ꭶꭱ"
    joined = tokenizer.joined
    assert re.sub("|".join(joined), lambda found: joined[found[0]], "ꭶ◌ꭰ◌ꭱ") == "ꭶꭱ"


@pytest.mark.parametrize("letter", "ᐊᐋᐁᐂᐄᐜᖱᗒአኣ")
def test_vowels_alone_are_whole(letter: str):
    assert SyllablePartsTokenizer("iu", (BLANK_TOKEN,)).split(letter) == [letter]


def test_parts_are_recommended_where_they_are_few():
    letters, parts = (kind.from_texts([ETHIOPIC], "am") for kind in (CharacterTokenizer, SyllablePartsTokenizer))
    advice = better_parts(letters)
    assert advice is not None
    assert f"am: {len(letters) - 1} letters are made of {len(parts) - 1} consonants and vowels" in advice
    assert better_parts(parts) is better_parts(CharacterTokenizer.from_texts(["Haus ላ"], "de")) is None


def test_texts_without_syllables():
    with pytest.raises(InputError, match="of de have no syllables to take apart") as caught:
        SyllablePartsTokenizer.from_texts(["Haus"], "de")
    assert "languages.de.tokenizer.kind=character" in caught.value.action
