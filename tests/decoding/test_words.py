import math
import random
from dataclasses import replace

import pytest

from speech_mtl.data.pinyin import PinyinTokenizer
from speech_mtl.data.tokenizer import BLANK_TOKEN, CharacterTokenizer, Tokenizer
from speech_mtl.datatypes import Calibration, Hypothesis, Token
from speech_mtl.decoding.words import words


def recognised(tokens: list[str], tokenizer: Tokenizer) -> Hypothesis:
    """Each token lasts 0.1 s, and the n-th has a probability of 1 / (n + 1)."""
    timed = tuple(Token(text, i / 10, (i + 1) / 10, -math.log(i + 1)) for i, text in enumerate(tokens))
    text = tokenizer.normalize("".join(tokens))
    return Hypothesis("x", tokenizer.language, text, -1.0, {}, timed, tokenizer.spaced)


def characters(language: str) -> CharacterTokenizer:
    return CharacterTokenizer(language, (BLANK_TOKEN,))


def test_words_have_the_times_and_probabilities_of_their_tokens():
    first, second = words(recognised(list(" ab c "), characters("cs")))
    assert first == ("ab", pytest.approx(0.06), pytest.approx(0.34), pytest.approx((1 / 2 * 1 / 3) ** (1 / 2)))
    assert second == ("c", pytest.approx(0.36), pytest.approx(0.54), pytest.approx(1 / 5))


def test_words_reach_beyond_their_tokens_half_way_to_the_next_and_not_out_of_the_recording():
    tokens = (Token("a", 0.02, 0.1, -0.1), Token("b", 0.14, 0.2, -0.1), Token("c", 0.9, 1.0, -0.1))
    hypothesis = Hypothesis("x", "cs", "a b c", -1.0, {}, tokens, True, end_s=1.03)
    times = [(word.start_s, word.end_s) for word in words(hypothesis)]
    assert times == [pytest.approx(pair) for pair in ((0.0, 0.12), (0.12, 0.24), (0.86, 1.03))]
    (first, *_) = words(replace(hypothesis, start_s=0.01))
    assert first.start_s == 0.01, "of a segment, not out of that"


def test_case_and_punctuation_belong_to_the_words_beside_them():
    found = words(replace(recognised(list("das ist es"), characters("de")), text="\u00bbDas\u00ab IST, es!"))
    assert [word.text for word in found] == ["\u00bbDas\u00ab", "IST,", "es!"]
    assert [word.start_s for word in found] == pytest.approx([0.0, 0.36, 0.76])


def test_confidence_is_calibrated_where_the_hypothesis_tells_how():
    plain = recognised(list("a bc"), characters("cs"))
    calibration = Calibration(2.0, -1.0, 0.5)
    for raw, word in zip(words(plain), words(replace(plain, calibration=calibration)), strict=True):
        odds = (min(raw.confidence, 0.9999) / (1 - min(raw.confidence, 0.9999))) ** 2
        odds *= math.exp(0.5) / len(raw.text)
        assert word.confidence == pytest.approx(odds / (1 + odds))


def test_tokens_may_be_longer_than_a_letter_and_hold_the_space():
    found = words(recognised(["the", " qu", "ick", " fox"], characters("en")))
    assert [(word.text, round(word.start_s, 1), round(word.end_s, 1)) for word in found] == [
        ("the", 0.0, 0.1),
        ("quick", 0.1, 0.3),
        ("fox", 0.3, 0.4),
    ]


def test_words_that_their_tokens_do_not_spell():
    tokens = [" ", "d", "a", "s", " ", " ", "h", "aʊ", "s"]
    found = words(replace(recognised(tokens, characters("de")), text="dass haus", spells_text=False), reach_s=0)
    assert [(word.text, word.start_s, word.end_s) for word in found] == [("dass", 0.1, 0.4), ("haus", 0.6, 0.9)]
    assert found[0].confidence == pytest.approx((1 / 2 * 1 / 3 * 1 / 4) ** (1 / 3))


def test_where_spaces_separate_no_words_each_character_is_one():
    found = words(recognised(list("你好 o"), characters("zh-CN")))
    assert [(word.text, round(word.start_s, 1)) for word in found] == [("你", 0.0), ("好", 0.1), ("o", 0.3)]


def test_syllables_of_pinyin_are_words():
    found = words(recognised(list("ni3 hao3"), PinyinTokenizer("zh-CN", (BLANK_TOKEN,))))
    assert [(word.text, round(word.start_s, 1), round(word.end_s, 1)) for word in found] == [
        ("ni3", 0.0, 0.3),
        ("hao3", 0.4, 0.8),
    ]


def test_letters_that_become_one_have_the_time_of_the_first():
    (word,) = words(recognised(["c", "a", "f", "e", "\u0301"], characters("fr")))
    assert word[:2] == ("caf\u00e9", 0.0)
    assert word.end_s == pytest.approx(0.44)


def test_nothing_has_no_words():
    assert words(recognised([], characters("en"))) == []
    assert words(recognised([" ", "'", " "], characters("en"))) == []


@pytest.mark.parametrize("language", ["en", "de", "ckb", "vi", "zh-CN", "th", "ko", "tr", "hi", "el"])
def test_words_make_up_the_text_and_come_in_order(language: str):
    """Of random tokens, which make spaces in a row, stray apostrophes and marks that combine."""
    tokenizer, draw = characters(language), random.Random(language)
    letters = list("ab'  \u0301e") + {"ckb": list("هەاب"), "th": list("กำใ"), "ko": list("ᄒ\u1161\u11abㅎ")}.get(
        language, ["\u0308"]
    )
    for _ in range(200):
        hypothesis = recognised(draw.choices(letters, k=draw.randint(0, 12)), tokenizer)
        found = words(hypothesis)
        text = " ".join(word.text for word in found)
        assert text.split() == (hypothesis.text.split() if tokenizer.spaced else list("".join(hypothesis.text.split())))
        starts, ends = ([getattr(word, key) for word in found] for key in ("start_s", "end_s"))
        assert starts == sorted(starts)
        assert ends == sorted(ends)
        assert all(word.start_s < word.end_s and 0 < word.confidence <= 1 for word in found)
