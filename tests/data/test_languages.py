import pytest

from speech_mtl.data.languages import canonical, find_language, is_form_of, is_registered, language_and_script
from speech_mtl.errors import InputError


@pytest.mark.parametrize(
    ("forms", "expected"),
    [
        ("en EN eng ENG en-Latn", "en"),
        ("de ger deu", "de"),
        ("ja jpn JPN ja-Jpan", "ja"),
        ("zh chi zho cmn zh-cmn zh-guoyu", "zh"),
        ("zh-CN zh-cn cmn-CN zho-cn ZH-Cn", "zh-CN"),
        ("zh-Hant-TW cmn-hant-tw zh-cmn-Hant-TW", "zh-Hant-TW"),
        ("yue zh-yue", "yue"),
        ("nan zh-nan zh-min-nan", "nan"),
        ("he iw heb", "he"),
        ("ro mo rum ron mol", "ro"),
        ("yi ji yid ydd", "yi"),
        ("id in ind", "id"),
        ("fa per fas pes", "fa"),
        ("my bur mya", "my"),
        ("lv lav lvs", "lv"),
        ("sr-Latn srp-latn sh", "sr-Latn"),
        ("pt-BR por-br", "pt-BR"),
        ("x-klingon X-Klingon", "x-klingon"),
        ("ckb CKB", "ckb"),
    ],
)
def test_forms_of_one_language(forms, expected):
    assert {canonical(form) for form in forms.split()} == {expected} == {canonical(expected)}


def test_languages_that_differ():
    tags = ["zh", "zh-CN", "zh-TW", "pt", "pt-BR", "sr", "sr-Latn", "nb", "nn", "yue", "nan", "wuu", "aa", "bb"]
    assert len({canonical(tag) for tag in tags}) == len(tags)


@pytest.mark.parametrize(
    ("tag", "action"),
    [
        ("zh_CN", "write zh-CN"),
        ("EN_us", "write en-US"),
        ("jpn_JP", "write ja-JP"),
        *((tag, "de, not german") for tag in ("", "-", "c", "de-", "čs", "en\n", " en", "german", "thai", "root", "x")),
        *((tag, "de, not german") for tag in ("../../x", "en/../x", "C:\\x", "en-a", "en.json", "a" * 300)),
        ("en-x-" + "-".join(["abcdefgh"] * 30), "de, not german"),
    ],
)
def test_malformed_tag(tag, action):
    with pytest.raises(InputError, match="Malformed language tag") as caught:
        canonical(tag)
    assert action in caught.value.action
    assert len(str(caught.value)) < 600
    assert not is_form_of(tag, "en")


def test_forms_more_general_or_more_special():
    same = [("zh", "zh-CN"), ("pt-BR", "pt"), ("cmn", "zh-TW"), ("zh-TW", "zh-Hant-TW"), ("EN", "eng"), ("aa", "aa")]
    other = [("zh-CN", "zh-TW"), ("pl", "en"), ("yue", "zh"), ("zh-Hant", "zh-CN"), ("pt-BR", "pt-PT"), ("e", "en")]
    assert [is_form_of(*pair) for pair in same + [pair[::-1] for pair in same]] == [True] * 12
    assert [is_form_of(*pair) for pair in other + [pair[::-1] for pair in other]] == [False] * 12


def test_finding_a_language():
    assert find_language("ENG", ["cs", "en"]) == "en"
    assert find_language("zh-cn", ["zh-TW", "zh-CN"]) == "zh-CN"
    assert find_language("zh", ["zh-CN"]) is None
    with pytest.raises(InputError, match="Malformed"):
        find_language("zh_CN", ["zh-CN"])


def test_script():
    scripts = {
        "ja": "Jpan",
        "nan-TW": "Hans",
        "yue": "Hant",
        "tha": "Thai",
        "ks": "Arab",
        "zh-Latn": "Latn",
        "xx": "Latn",
    }
    assert {tag: language_and_script(tag)[1] for tag in scripts} == scripts


def test_codes_of_countries_are_no_languages():
    assert [is_registered(tag) for tag in ("ja", "jpn", "aa", "qaa", "x-own", "zh-yue")] == [True] * 6
    assert [is_registered(tag) for tag in ("jp", "cn", "gr", "bb")] == [False] * 4
