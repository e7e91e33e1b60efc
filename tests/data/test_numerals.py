"""Numbers in digits; the words are compared with those of num2words or of grammars, as named."""

import random

import pytest

from speech_mtl.data.numerals import LONGEST, has_speller, spelt, unread


@pytest.mark.parametrize(
    ("language", "text", "expected"),
    [
        (
            "de",
            "20 Prozent der 80 Gäste, (7) „15“ … 12.",
            "zwanzig Prozent der achtzig Gäste, (sieben) „fünfzehn“ … zwölf.",
        ),
        ("en", "21 men and 100", "twenty one men and one hundred"),
        ("nl", "22 mensen", "tweeëntwintig mensen"),
        ("fr", "80 jours", "quatre vingts jours"),
        ("fr-CH", "80 jours", "huitante jours"),
        ("fr-BE", "70 jours", "septante jours"),
        ("sr", "25 људи", "двадесет и пет људи"),
        ("sr-Latn", "25 ljudi", "dvadeset i pet ljudi"),
        ("nb", "20 år", "tjue år"),
        ("hi", "१५ लोग", "पन्द्रह लोग"),
        ("ar", "١٥ رجلا", "خمسة عشر رجلا"),
        ("fa", "۱۵ نفر", "پانزده نفر"),
        ("th", "มี๑๕คน", "มีสิบ\u200bห้าคน"),
        ("am", "15 ሰዎች", "አስር አምስት ሰዎች"),
        ("zh-CN", "我15岁，他30岁。", "我十五岁，他三十岁。"),
        ("ja", "15人", "十五人"),
        ("sw", "watu 15", "watu kumi na tano"),
        ("tr", "15 kişi", "on beş kişi"),
        ("hu", "15 ember", "tizenöt ember"),
    ],
)
def test_a_number_with_one_reading_is_spelt(language, text, expected):
    assert spelt(text, language) == expected
    assert not unread(text, language)
    assert unread(text, language, spell=False)


@pytest.mark.parametrize(
    ("language", "text", "words"),
    [
        # Signs, separators, endings, zeros, dates, times, numbers in a row, codes
        ("de", "20% 3,5 1.000 10:30 2.November 007 5-6 S3 20er $5 123456", None),
        ("en", "1st -5 5th 3/4 12's '99 0.5 20% no.7 5–6 v2 10/4", None),
        # Years, genders, cases, counters: several forms
        ("de", "1999 1 101", None),
        ("en", "1999 101", None),
        ("fr", "1 21 1999", None),
        ("ru", "5 25 100", None),
        ("fi", "5 20", None),
        ("zh-CN", "2001年", ["2001年"]),
        ("zh-CN", "2个", ["2个"]),
        ("ko", "15개 15", None),
        # No speller, or one of another script
        ("br", "15 den", ["15"]),
        ("az-Cyrl", "15", None),
        ("zh-Latn", "15", None),
        ("my", "၁၅", None),
        ("ca", "15", None),
        ("am", "፲፭", []),  # no digits: `text.refusal` finds them
    ],
)
def test_numbers_without_one_reading_stay(language, text, words):
    for one in [text] if words == [] else text.split(" ") if words is None else [text]:
        assert spelt(one, language) == one
        if any(char.isdecimal() for char in one):
            assert unread(one, language) == ([one] if words is None else words)


def test_a_number_beside_another_is_not_read():
    assert unread("5 - 6", "en") == ["5", "6"]
    assert unread("10 000", "en") == ["10", "000"]
    assert unread("20 % of it", "en") == ["20"]
    assert unread("on 20. May", "en") == ["20."]
    assert not unread("5, 6", "en")


def test_many_numbers_take_linear_time():
    assert spelt("20 Haus " * 20_000, "de") == "zwanzig Haus " * 20_000


def test_tones_are_no_numbers():
    assert not unread("ni3 hao3 lü4", "zh", "1-5")
    assert unread("ni3 hao6 15 x15", "zh", "1-5") == ["hao6", "x15"]
    assert unread("ni3", "zh") == ["ni3"]


@pytest.mark.parametrize(("language", "name"), [("es", "es"), ("it", "it"), ("nl", "nl"), ("tr", "tr"), ("id", "id")])
def test_words_are_those_of_another_library(language, name):
    num2words = pytest.importorskip("num2words", reason="the extra corpora is not installed").num2words
    numbers = random.Random(0).sample(range(2, 100), 60)
    same = found = 0
    for number in numbers:
        if (words := spelt(str(number), language)) != str(number):
            found += 1
            same += words.replace(" ", "") == num2words(number, lang=name).replace(" ", "").replace("-", "")
    assert found > 40
    assert same >= 0.98 * found


def test_languages_with_a_speller():
    assert all(map(has_speller, ("de", "deu", "de-AT", "nb", "no", "sr-Cyrl", "yue", "zh-TW", "pt-BR", "am")))
    assert not any(map(has_speller, ("gd", "mr", "so", "und", "ca", "mn", "uz-Cyrl")))
    assert spelt("9" * LONGEST, "id").startswith("sembilan")
    assert spelt("9" * (LONGEST + 1), "id") == "9" * (LONGEST + 1)
