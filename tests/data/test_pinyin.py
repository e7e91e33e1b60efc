"""Mandarin in letters and tones, and in parts of syllables; what holds for all tokenisers is in `test_tokenizer.py`."""

import re
import sys
import unicodedata

import pytest

from speech_mtl.data.pinyin import PinyinPartsTokenizer, PinyinTokenizer
from speech_mtl.data.rules import Choices
from speech_mtl.data.text import normalize
from speech_mtl.data.tokenizer import BLANK_TOKEN


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("中国", "zhong1 guo2"),
        ("中國！", "zhong1 guo2"),
        ("朋友们 吃饭了。", "peng2 you3 men5 chi1 fan4 le5"),
        ("绿色的女人", "lv4 se4 de5 nv3 ren2"),
        ("银 行 行 长", "yin2 hang2 hang2 zhang3"),
        ("我用iPhone手机", "wo3 yong4 iphone shou3 ji1"),
        ("说 Hello World 吧", "shuo1 hello world ba5"),
        ("zhong1 guo2", "zhong1 guo2"),
        ("、。", ""),
    ],
)
def test_pinyin(text, expected):
    tokenizer = PinyinTokenizer.from_texts([text, "中"], "zh-CN")
    assert tokenizer.normalize(text) == expected
    assert tokenizer.decode(tokenizer.encode(text)) == expected
    assert tokenizer.spaced
    assert all(len(token) == 1 for token in tokenizer.vocabulary[1:])


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        ("中国", ["zh", "ong", "1", " ", "g", "uo", "2"]),
        ("女儿", ["n", "v", "3", " ", "er", "2"]),
        ("用iPhone", ["y", "ong", "4", " ", *"iphone"]),
        ("hm5 4", [*"hm5 4"]),  # no vowel: in letters
    ],
)
def test_parts_of_pinyin_syllables(text, parts):
    tokenizer = PinyinPartsTokenizer("zh-CN", (BLANK_TOKEN,))
    assert tokenizer.split(tokenizer.normalize(text)) == parts


def test_pinyin_of_a_hanzi_is_letters_and_a_tone():
    tokenizer = PinyinTokenizer("zh", (BLANK_TOKEN,))
    hanzi = [chr(code) for code in range(0x4E00, 0x9FA6)]
    odd = [char for char in hanzi if not re.fullmatch("[a-z]{1,6}[1-5]", tokenizer.normalize(char))]
    assert len(odd) < 20, odd  # such as 兙 (a tenth of a gram), which has no reading


def test_pinyin_of_every_hanzi_is_stable():
    """Also of those that pypinyin has no reading for, alone and beside others."""
    tokenizer = PinyinTokenizer("zh", (BLANK_TOKEN,))
    codes = [*range(0x2E80, 0x20000), *range(0x20000, sys.maxunicode, 7)]
    hanzi = [chr(code) for code in codes if "CJK" in unicodedata.name(chr(code), "")]
    assert len(hanzi) > 30_000
    for start in range(0, len(hanzi), 100):
        chunk = hanzi[start : start + 100]
        normalized = tokenizer.normalize("".join(chunk) + "".join(f"{c}{c} 中{c}5 a{c}" for c in chunk[::30]))
        assert tokenizer.normalize(normalized) == normalized, ascii(chunk)
    assert tokenizer.normalize("𠮷野家") == "𠮷 ye3 jia1"
    assert tokenizer.normalize("𠮷𠮷 𠮷5a𠮷") == "𠮷 𠮷 𠮷 5a 𠮷"


def test_umlaut_of_pinyin():
    normalized = PinyinTokenizer("zh", (BLANK_TOKEN,)).normalize("lü4 nü3 lüe4 女 müller lü")
    assert normalized == "lv4 nv3 lve4 nv3 müller lü"


def test_pinyin_does_not_touch_what_has_no_reading():
    text = "Tiếng Việt हिन्दी x²"
    assert PinyinTokenizer("zh", (BLANK_TOKEN,)).normalize(text) == normalize(text, "en")


def test_pinyin_of_numbers():
    tokenizer = PinyinTokenizer("zh-CN", (BLANK_TOKEN,), Choices("spell"))
    assert tokenizer.normalize("我15岁 ni3 hao3") == "wo3 shi2 wu3 sui4 ni3 hao3"
    assert tokenizer.refusal("我15岁 ni3 hao3") is None
    assert tokenizer.refusal("2001年")
    assert tokenizer.normalizer == "zh-CN, numerals spelt, v3, pinyin"
