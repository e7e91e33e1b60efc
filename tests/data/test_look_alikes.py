"""Words with letters of two scripts: read in the script of the language, or kept and named."""

import pytest

from speech_mtl.data.look_alikes import mixed_scripts
from speech_mtl.data.text import normalize

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
