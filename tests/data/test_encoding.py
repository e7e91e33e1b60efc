"""Letters that were lost or read in a wrong encoding are found; entities of HTML are read."""

import pytest

from speech_mtl.data.encoding import damaged_letters
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


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Tom &amp; Jerry&#39;s &lt;caf&eacute;&gt;", "tom jerry's café"),
        ("it&amp;#x27;s", "it's"),
        ("AT&T; R&D &unknown;", "at t r d unknown"),
        ("a&nbsp;b&shy;c&zwnj;d", "a bcd"),
    ],
)
def test_entities_are_unescaped(text, expected):
    assert normalize(text, "en") == expected
