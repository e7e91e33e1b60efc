import random
import sys
import unicodedata

import pytest

from speech_mtl.data.text import RULES, is_spaced, normalize
from speech_mtl.errors import InputError

SENTENCES = [
    ("de", "Die Straße, „größer“ als je zuvor – GROẞ!", "die straße größer als je zuvor groß"),
    ("de", "U-Bahn/S-Bahn, z.B. um 7 Uhr.", "u bahn s bahn zb um 7 uhr"),
    ("de", "Auf\u200clage, Schiff\u00adfahrt", "auflage schifffahrt"),
    ("en", "“Don’t!” said the dogs' owner… we're Rock 'n' roll", "don't said the dogs owner we're rock n roll"),
    ("en", "the U.S.A. at www.example.com", "the usa at www example com"),
    ("fr", "L’eau coûte 3 €, n'est-ce pas ?", "l'eau coûte 3 n'est ce pas"),
    ("fr", "Un «\u00a0œuf\u00a0» dur.", "un œuf dur"),
    ("tr", "IŞIK İstanbul'da, KIRMIZI değil!", "ışık istanbul'da kırmızı değil"),
    ("tr-TR", "I\u0307ZMI\u0307R", "izmir"),
    ("az", "QIZIL Gül", "qızıl gül"),
    ("en", "İSTANBUL IS", "istanbul is"),
    ("uk", "П\u02bcять сімʼї, п’ять", "п'ять сім'ї п'ять"),
    ("hi", "क्या आप हिन्दी बोलते हैं? हाँ।नहीं!", "क्या आप हिन्दी बोलते हैं हाँ नहीं"),
    ("ta", "தமிழ் மொழி, மிகவும் பழமையானது.", "தமிழ் மொழி மிகவும் பழமையானது"),
    ("th", "น้ำตก “สวย” มากๆ ครับ!", "น้ำตก สวย มากๆ ครับ"),
    ("th", "น\u0e4d\u0e49\u0e32", "น้ำ"),
    ("lo", "ນ້ຳ\u200bໃສ.", "ນ້ຳໃສ"),
    ("my", "မြန်မာ၏ စာ၊ ကောင်း၏။", "မြန်မာ၏ စာ ကောင်း၏"),
    ("km", "ភាសា\u200bខ្មែរ។", "ភាសាខ្មែរ"),
    ("ar", "السَّلامُ عَلَيْكُمْ، كيفَ الحـــالُ؟", "السَّلامُ عَلَيْكُمْ كيفَ الحالُ"),
    ("fa", "می\u200cخواهم، كتاب\u200c \u200c!", "می\u200cخواهم کتاب"),
    ("si", "ශ්\u200dරී ලංකාව.", "ශ්\u200dරී ලංකාව"),
    ("ml", "അവന്\u200d വന്നു.", "അവൻ വന്നു"),
    ("sd", "گھر ۾.", "گھر ۾"),
    ("he", 'צה"ל, ג׳ירפה בית־ספר', "צהל ג'ירפה בית ספר"),
    ("am", "ሰላም፡ለዓለም።", "ሰላም ለዓለም"),
    ("hy", "Ինչո՞ւ։", "ինչու"),
    ("el", "Ο ΔΡΟΜΟΣ;", "ο δρομος"),
    ("ca", "El col·legi · l'Anna", "el col·legi l'anna"),
    ("ro", "Aşa şi viaţa", "așa și viața"),
    ("uz", "Togʻ, tog‘ va o'zbek", "togʻ togʻ va oʻzbek"),
    ("haw", "ʻOkina, ‘aina", "ʻokina ʻaina"),
    ("fi", "EU:n, klo 10:30", "eun klo 10 30"),
    ("vi", unicodedata.normalize("NFD", "Tiếng Việt, đẹp lắm!"), "tiếng việt đẹp lắm"),
    ("zh-CN", "你好，世界！ 我用 ｉＰｈｏｎｅ“１５”。", "你好世界我用iphone15"),
    ("ja", "コンピューター・ゲームは、楽しい。 ﾃｽﾄ", "コンピューターゲームは楽しいテスト"),
    ("yue", "你 食咗飯 未？", "你食咗飯未"),
    ("ko", "안녕하세요, 세계!", "안녕하세요 세계"),
    ("xx-unheard-of", "  A\tb\nC\u2028d ❤️ x\u00b4s ", "a b c d x's"),
]


@pytest.mark.parametrize(("language", "text", "expected"), SENTENCES)
def test_sentence(language, text, expected):
    result = normalize(text, language)
    assert result == expected
    assert normalize(result, language) == result
    assert unicodedata.is_normalized("NFC", result)


def test_letters_and_vowel_signs_of_every_script_are_kept():
    marks = {"\u034f", *map(chr, range(0xFE00, 0xFE10)), *map(chr, range(0xE0100, 0xE01F0))}
    for code in range(sys.maxunicode + 1):
        char = chr(code)
        if unicodedata.category(char) in ("Mn", "Mc") and char not in marks:
            # Composition may merge the mark with its letter; taken apart again, it is there.
            result = unicodedata.normalize("NFKD", normalize("क" + char + "क", "hi"))
            assert unicodedata.normalize("NFKD", char) in result, hex(code)


@pytest.mark.parametrize("language", ["cs", *RULES])
def test_normalizing_twice_changes_nothing_more(language):
    source = random.Random(7)
    alphabet = [chr(code) for code in range(0x21, 0x3100) if unicodedata.category(chr(code)) != "Cn"]
    frequent = list(" '’.·-\u200c\u200dIİiogl\u0307\u0e4d\u0e49\u0e32न्\u0301")
    for _ in range(500):
        text = "".join(source.choice(source.choice((alphabet, frequent))) for _ in range(12))
        once = normalize(text, language)
        assert normalize(once, language) == once, ascii(text)
        assert once == " ".join(once.split())


def test_every_single_character_is_stable():
    for code in range(0x10000):
        once = normalize("a" + chr(code) + "b", "en")
        assert normalize(once, "en") == once, hex(code)


def test_spaces_between_words():
    assert [is_spaced(tag) for tag in ("en", "vi", "ko", "zh-Latn", "ja-Latn-JP")] == [True] * 5
    assert [is_spaced(tag) for tag in ("zh", "ZH-tw", "yue", "ja", "th", "lo", "km-KH", "my")] == [False] * 8
    assert normalize("Ni3 hao3", "zh-Latn") == "ni3 hao3"


@pytest.mark.parametrize("language", ["", "zh_CN", "c", "de-", "toolongprimarytag", "čs"])
def test_malformed_tag(language):
    with pytest.raises(InputError, match="Malformed language tag"):
        normalize("text", language)
