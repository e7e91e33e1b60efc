"""Letters that were lost or read in a wrong encoding, of another script, or of two scripts in one word."""

import pytest

from speech_mtl.data.doubtful import damaged_letters, mixed_scripts, other_scripts
from speech_mtl.data.text import normalize


@pytest.mark.parametrize(
    "word",
    [
        "ku?ier",
        "ku??ier",
        "?koda",
        "M?del",
        "Ïðèâåò",
        "ëîäêà",
        "KU?IER",
        "ку?ер",
        "ku\ufffdier",
        "ku\ue000ier",
        "ku\xc4\x8dera",
        "cafÃ©",
        "Å¡koda",
        "kuÄŤĂ©r",
        "Ð¿Ñ€Ð¸Ð²ÐµÑ‚",
        "РїСЂРёРІРµС‚",
        "à¤¹à¤¿à¤‚",
        "caf\\u00e9",
        "caf%C3%A9",
    ],
)
def test_damaged_letters(word):
    assert damaged_letters(f"Co je {word}?") == [f"{word}?"]


@pytest.mark.parametrize(
    "text",
    [
        "Kdo? Já. Proč?Protože!",
        "Kde jsi??? ? ?! Nevím ?Nebo ano",
        "créée ÁÁÁÁ! þýðið",
        "你好吗?我很好",
        "かな?かな",
        "ดีไหม?ครับ",
        "হ্যাঁ?না",
        "이게 뭐?그래",
        "www.example.com/a?b=c",
        "R&D, AT&T; 100%",
        "KŮŽE MĘŻA CAFÉ” BEYONCÉ’S Її Её Öğünç L’ÉTÉ «À» ”Întoarcerea",
        "",
    ],
)
def test_letters_that_are_not_damaged(text):
    assert damaged_letters(text) == []


LOOK_ALIKES = [
    ("ru", "Mосква, cтол и pека", "москва стол и река"),
    ("ru", "COBEТ", "совет"),
    ("ru", "ёлкa Ёлкa ëлка", "ёлка ёлка ёлка"),
    ("uk", "прiвіт, їжaк ïжак", "прівіт їжак їжак"),
    ("el", "Aθήνα, τoν, καλó", "αθήνα τον καλό"),
    ("en", "thе саt Ηome", "the cat home"),
    ("az", "mәn", "mən"),
    ("ee", "ŋutsuwο lε", "ŋutsuwo lɛ"),
    ("sr", "jа", "ја"),
]


@pytest.mark.parametrize(("language", "text", "expected"), LOOK_ALIKES)
def test_look_alikes_become_letters_of_the_language(language, text, expected):
    assert normalize(text, language) == expected
    assert normalize(expected, language) == expected
    assert mixed_scripts(text, language)
    assert not mixed_scripts(expected, language)


@pytest.mark.parametrize(
    ("language", "text"),
    [
        ("ru", "prщик"),
        ("ru", "usb порт"),
        ("ru", "cop"),
        ("en", "π r α"),
        ("el", "dj τον"),
        ("hi", "abс"),
        ("ru", "ѳита"),
    ],
)
def test_words_that_may_be_meant_so_are_kept(language, text):
    assert normalize(text, language) == text


def test_mixed_words_are_named_with_their_place():
    first, second = mixed_scripts("Это Mосква, PRщик и USB.", "ru")
    assert first == "'Mосква': U+004D LATIN CAPITAL LETTER M at 5: read as 'Москва'"
    assert second == "'PRщик': U+0050 LATIN CAPITAL LETTER P at 13: kept as it is"
    assert not mixed_scripts("Это Mосква", "hi")


@pytest.mark.parametrize(
    ("text", "language", "found"),
    [
        ("Добрый день, 12 – «да»!", "ru", {}),
        ("Добрый дeнь", "ru", {"Latn": "e"}),
        ("Dobrý deň, naïve", "cs", {}),
        ("Добар дан", "sr", {}),
        ("Dobar dan", "sr-Latn", {}),
        ("Dobar dan", "sr", {"Latn": "Dobardn"}),
        ("我喜欢T恤", "zh-CN", {"Latn": "T"}),
        ("東京へ行くコーヒー", "ja", {}),
        ("한국어 漢字", "ko", {}),
        ("ሰላም ነው።", "am", {}),
        ("हिंदी में OK", "hi", {"Latn": "OK"}),
        ("سلام ۱۲۳، خوبی؟", "fa", {}),
        ("αβ и", "el", {"Cyrl": "и"}),
    ],
)
def test_letters_of_other_scripts(text, language, found):
    assert other_scripts(text, language) == found
