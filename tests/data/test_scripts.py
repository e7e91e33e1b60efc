"""Letters of other scripts, in languages of which Unicode or ISO 15924 has several."""

import pytest

from speech_mtl.data.scripts import other_scripts


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
