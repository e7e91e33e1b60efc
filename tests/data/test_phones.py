"""Text as phones: by espeak-ng, and by a lexicon."""

from pathlib import Path

import pytest

from speech_mtl.data.phones import Pronunciation, read_lexicon, segments
from speech_mtl.errors import InputError


@pytest.fixture
def spoken() -> None:
    pytest.importorskip("espeakng_loader", reason="the optional extra `phones` is not installed")


@pytest.mark.parametrize(
    ("phoneme", "phones"),
    [
        ("ˈaː", "a"),
        ("aɪ", "a ɪ"),
        ("tʃʼ", "t͡ʃʼ"),
        ("t͡s", "t͡s"),
        ("ts", "t͡s"),
        ("st", "s t"),
        ("ɑ̃ː", "ɑ̃"),
        ("kʰ", "kʰ"),
        ("c\u0327", "ç"),
        ("mʲ", "mʲ"),
        ("a˥˩", "a"),
        ("a\u0361ɪ\u032f", "a ɪ"),
        ("ˌ", ""),
    ],
)
def test_a_phoneme_is_split_into_letters_with_their_marks(phoneme: str, phones: str):
    assert " ".join(segments(phoneme)) == phones


@pytest.mark.parametrize(
    ("language", "text", "phones"),
    [
        ("de", "Zwei Töchter!", "t͡s v a ɪ t œ ç t ɜ"),
        ("en-CN", "WHAT ABOUT", "w ɒ t ɐ b a ʊ t"),
        ("en", "church", "t͡ʃ ɜ t͡ʃ"),
        ("cs", "Tři čočky.", "t r̝̊ i t͡ʃ o t͡ʃ k i"),
        ("am", "ጤና ይስጥልኝ", "tʼ e n a j ɨ s ɨ tʼ ɨ l ɨ ɲ"),
        ("zh-CN", "主管", "t͡ʂ u k w a n"),
        ("zh-CN", "是", "ʂ ɨ"),
        ("zh-CN", "茶", "t͡ʂʰ ɑ"),
        ("vi", "xin chào", "s i n t͡ʃ a w"),
        ("fr", "les enfants", "l ə z ɑ̃ f ɑ̃"),
        ("be", "дзень", "d͡zʲ ɛ nʲ"),
        ("ru", "день", "dʲ e n"),
    ],
)
def test_texts_are_read_by_espeak(spoken: None, language: str, text: str, phones: str):
    assert " ".join(Pronunciation(language).phones(text) or ()) == phones


def test_reading_does_not_depend_on_what_was_read_before(spoken: None):
    texts = {"de": "unter dem Namen Jean Gilbert", "fr": "les enfants ont un ami", "cs": "v lese s kým"}
    first = {language: Pronunciation(language).phones(text) for language, text in texts.items()}
    again = {language: Pronunciation(language).phones(texts[language]) for language in reversed(texts)}
    assert first == again
    assert "d͡ʒ" in (first["de"] or ()), "a word that espeak reads as English"


def test_letters_that_espeak_cannot_read(spoken: None):
    assert Pronunciation("ja").phones("東京") is None, "it would say: Chinese letter, in English"
    assert Pronunciation("ru").phones("это weekend") is not None


def test_a_language_that_espeak_does_not_speak(spoken: None):
    with pytest.raises(InputError, match="does not speak 'ast'"):
        Pronunciation("ast").phones("hola")


def test_a_lexicon(tmp_path: Path):
    path = tmp_path / "lexicon.txt"
    path.write_text("Dobrý\td o b r iː\n\nden\td e n\nden\td ɛ n\nčas\ttʃ a s\n", "utf-8")
    lexicon = read_lexicon(path, "cs")
    assert lexicon == {"dobrý": "d o b r i", "den": "d e n", "čas": "t͡ʃ a s"}
    reader = Pronunciation("cs", lexicon)
    assert reader.phones("Dobrý den!") == ["d", "o", "b", "r", "i", "d", "e", "n"]
    assert reader.phones("dobrý večer") is None
    han = Pronunciation("zh-CN", {"中": "t͡ʂ o ŋ", "国": "k u o"})
    assert han.phones("中国") == ["t͡ʂ", "o", "ŋ", "k", "u", "o"]


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        ("dobrý d o b r i\n", ":1: not a word with its phones"),
        ("den\td e n\n!\ta\n", ":2: not a"),
        ("\n", "has no word"),
    ],
)
def test_a_malformed_lexicon(tmp_path: Path, content: str, problem: str):
    path = tmp_path / "lexicon.txt"
    path.write_text(content, "utf-8")
    with pytest.raises(InputError, match=problem):
        read_lexicon(path, "cs")
