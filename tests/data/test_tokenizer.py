import json
import re
import sys
import unicodedata

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from speech_mtl.data.rules import Choices, is_spaced
from speech_mtl.data.text import normalize
from speech_mtl.data.tokenizer import (
    BLANK_TOKEN,
    CharacterTokenizer,
    PinyinPartsTokenizer,
    PinyinTokenizer,
    load_tokenizer,
)
from speech_mtl.datatypes import BLANK
from speech_mtl.errors import InputError
from speech_mtl.settings.data import TokenizerSettings

CLASSES = TokenizerSettings.members()
SETTINGS = {kind: one().arguments() for kind, one in TokenizerSettings.kinds().items()}
OPTIONAL = {"bpe": "sentencepiece", "unigram": "sentencepiece", "phones": "espeakng_loader"}
TEXTS = {
    "zh-CN": ["你好，世界！", "我用 iPhone 15。", "绿色的女儿 嗯 朋友们", "银行行长重新长大", "〇 々 ê"],
    "hi": ["क्या आप हिन्दी बोलते हैं?", "ज़रूर।"],
    "th": ["น้ำตกสวยมากๆ ครับ"],
    "fa": ["می\u200cخواهم بروم"],
    "en": ["Don't!", "a <blank> b"],
}


@pytest.mark.parametrize("language", TEXTS)
@pytest.mark.parametrize("kind", CLASSES)
def test_every_kind(kind, language, tmp_path):
    """What the package relies on in any tokeniser; it finds new kinds by itself."""
    if kind in OPTIONAL:
        pytest.importorskip(OPTIONAL[kind], reason="the optional extra `subwords` or `phones` is not installed")
    texts, own = TEXTS[language], SETTINGS[kind]
    if not (CLASSES[kind].spells_text or is_spaced(language)):
        with pytest.raises(InputError, match="no spaces separate its words"):
            CLASSES[kind].from_texts(iter(texts), language, **own)
        return
    tokenizer = CLASSES[kind].from_texts(iter(texts), language, **own)
    assert (TokenizerSettings.kind_of(tokenizer), tokenizer.language) == (kind, language)
    assert isinstance(tokenizer.spaced, bool)

    assert BLANK == 0
    assert tokenizer.vocabulary[BLANK] == BLANK_TOKEN
    assert list(tokenizer.vocabulary[1:]) == sorted(set(tokenizer.vocabulary[1:]))
    assert len(tokenizer) == len(tokenizer.vocabulary)
    again = CLASSES[kind].from_texts(reversed(texts), language, **own)
    assert again.vocabulary == tokenizer.vocabulary

    for text in texts:
        canonical = tokenizer.normalize(text)
        ids = tokenizer.encode(text)
        assert ids
        assert BLANK not in ids
        assert tokenizer.decode(ids) == "".join(tokenizer.split(canonical))
        assert "".join(pieces := tokenizer.pieces(canonical)) == canonical, "no character is lost"
        assert len(pieces) == len(ids)
        assert tokenizer.text(ids) == canonical, "no two of these words have the same phones"
        assert (tokenizer.decode(ids) == canonical) is tokenizer.spells_text
        assert tokenizer.normalize(canonical) == canonical
        assert tokenizer.encode(canonical) == ids
        assert tokenizer.unknown(text) == set()
    assert tokenizer.encode(" …! ") == []
    assert tokenizer.decode([]) == tokenizer.text([]) == ""

    path = tmp_path / "new" / "tokenizer.json"
    tokenizer.save(path, kind)
    assert [entry.name for entry in path.parent.iterdir()] == ["tokenizer.json"]
    loaded = load_tokenizer(path, CLASSES, language)
    assert type(loaded) is type(tokenizer)
    assert loaded.vocabulary == tokenizer.vocabulary
    assert [loaded.encode(text) for text in texts] == [tokenizer.encode(text) for text in texts]
    assert loaded.text(ids) == tokenizer.text(ids)

    assert set("".join(tokenizer.unknown("ѩ ꙮ"))) - set(" ⟨⟩") == {"ѩ", "ꙮ"}, "alone or as a part of longer tokens"
    with pytest.raises(InputError, match=r"U\+0469 CYRILLIC SMALL LETTER IOTIFIED LITTLE YUS|lexicon .* lacks: ⟨ѩ⟩"):
        tokenizer.encode("ѩ ꙮ")
    for wrong in (BLANK, -1, len(tokenizer)):
        with pytest.raises(ValueError, match="is the blank or not among"):
            tokenizer.decode([wrong])
    with pytest.raises(InputError, match="hold no token"):
        CLASSES[kind].from_texts(["", "?!"], language, **own)


def test_character_tokens():
    tokenizer = CharacterTokenizer.from_texts(["Ba, ab!", "É"], "cs")
    assert tokenizer.vocabulary == (BLANK_TOKEN, " ", "a", "b", "é")
    assert tokenizer.encode("E\u0301 ab") == [4, 1, 2, 3]
    assert tokenizer.spaced
    assert not CharacterTokenizer.from_texts(["你"], "zh-CN").spaced


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


@settings(max_examples=150, derandomize=True, deadline=None, database=None)
@given(
    text=st.text(
        st.sampled_from("𠮷㗎﨑〇々儿了女银行中国aüêlv15 '’·.,?ІiİI\u0307ñßก\u0e4dาเ\u200c\u200dت্র:ख"), max_size=20
    )
)
@pytest.mark.parametrize(("kind", "language"), [("pinyin", "zh-CN"), *(("character", tag) for tag in TEXTS)])
def test_what_is_recognised_without_an_error_has_none(kind, language, text):
    tokenizer = CLASSES[kind].from_texts([text, "中a"], language)
    reference = tokenizer.normalize(text)
    assert tokenizer.decode(tokenizer.encode(text)) == reference == tokenizer.normalize(reference)


def test_umlaut_of_pinyin():
    normalized = PinyinTokenizer("zh", (BLANK_TOKEN,)).normalize("lü4 nü3 lüe4 女 müller lü")
    assert normalized == "lv4 nv3 lve4 nv3 müller lü"


def test_pinyin_does_not_touch_what_has_no_reading():
    text = "Tiếng Việt हिन्दी x²"
    assert PinyinTokenizer("zh", (BLANK_TOKEN,)).normalize(text) == normalize(text, "en")


@pytest.mark.parametrize("vocabulary", [(), ("a", "b"), (BLANK_TOKEN, "a", "a"), (BLANK_TOKEN, BLANK_TOKEN), ("",)])
def test_malformed_vocabulary(vocabulary):
    with pytest.raises(InputError, match="Malformed vocabulary"):
        CharacterTokenizer("cs", vocabulary)


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        ("", "not JSON"),
        ("[]", "the value is not right"),
        ("{}", "the field 'kind' is missing"),
        ('{"kind": "character", "language": "cs", "vocabulary": [1]}', "the field 'vocabulary.0' is not right"),
        ('"kind"', "the value is not right"),
        ("\udcff", "not UTF-8"),
        ('{"kind": "character", "language": "cs", "vocabulary": ["\\ud800"]}', "not JSON"),
    ],
)
def test_a_file_that_is_no_tokenizer(content, problem, tmp_path):
    path = tmp_path / "tokenizer.json"
    path.write_bytes(content.encode(errors="surrogateescape"))
    with pytest.raises(InputError, match=rf"tokenizer\.json.*{re.escape(problem)}"):
        load_tokenizer(path, CLASSES, "cs")


def test_a_tokenizer_of_another_language(tmp_path):
    path = tmp_path / "en.json"
    CharacterTokenizer.from_texts(["äß"], "de").save(path, "character")
    assert load_tokenizer(path, CLASSES, "de").vocabulary == (BLANK_TOKEN, "ß", "ä")
    with pytest.raises(InputError, match=r"(?s)en\.json is the tokeniser of another language.*'en'.*Received: 'de'"):
        load_tokenizer(path, CLASSES, "en")


def test_load_says_what_is_wrong(tmp_path):
    path = tmp_path / "tokenizer.json"
    with pytest.raises(InputError, match="There is no file"):
        load_tokenizer(path, CLASSES, "cs")
    path.write_text(json.dumps({"kind": "bytes", "language": "cs", "vocabulary": [BLANK_TOKEN]}))
    with pytest.raises(InputError, match=r"(?s)json is a tokeniser of an unknown kind\n.*: one of .*pinyin.*'bytes'"):
        load_tokenizer(path, CLASSES, "cs")
    PinyinTokenizer.from_texts(["中"], "zh").save(path, "pinyin")
    assert isinstance(load_tokenizer(path, CLASSES, "zh"), PinyinTokenizer)


def test_numbers_are_refused_or_spelt_by_choice(tmp_path):
    spelt = CharacterTokenizer.from_texts(["um 7", "im Jahr 1999"], "de", Choices("spell"))
    assert "".join(spelt.vocabulary[1:]) == " beimnsu"
    assert spelt.encode("um 7") == spelt.encode("um sieben")
    spelt.save(tmp_path / "de.json", "character")
    again = load_tokenizer(tmp_path / "de.json", CLASSES, "de")
    assert again.choices == Choices("spell")
    assert again.refusal("um 1999")
    with pytest.raises(InputError, match=r"such as '5': a number that has no reading"):
        CharacterTokenizer.from_texts(["5"], "ru", Choices("spell"))


def test_files_of_earlier_versions_keep_digits(tmp_path):
    (tmp_path / "de.json").write_text('{"kind": "character", "language": "de", "vocabulary": ["<blank>", "2", "a"]}')
    tokenizer = load_tokenizer(tmp_path / "de.json", CLASSES, "de")
    assert tokenizer.encode("a2") == [2, 1]
    assert tokenizer.refusal("1999") is None
    assert tokenizer.normalizer == "de, numerals kept, v3"


def test_pinyin_of_numbers():
    tokenizer = PinyinTokenizer("zh-CN", (BLANK_TOKEN,), Choices("spell"))
    assert tokenizer.normalize("我15岁 ni3 hao3") == "wo3 shi2 wu3 sui4 ni3 hao3"
    assert tokenizer.refusal("我15岁 ni3 hao3") is None
    assert tokenizer.refusal("2001年")
    assert tokenizer.normalizer == "zh-CN, numerals spelt, v3, pinyin"
