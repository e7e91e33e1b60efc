import json
import re
import unicodedata
from collections.abc import Mapping

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from speech_mtl.data.pinyin import PinyinTokenizer
from speech_mtl.data.rules import Choices, is_spaced
from speech_mtl.data.tokenizer import BLANK_TOKEN, CharacterTokenizer, load_tokenizer
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
    "am": ["ሰላም፣ ዓለም!", "ቋንቋ ሏል"],
}


def replaced(text: str, replacements: Mapping[str, str]) -> str:
    """As programs do it that read an exported network."""
    if replacements:
        text = re.sub("|".join(map(re.escape, replacements)), lambda found: replacements[found[0]], text)
    return unicodedata.normalize("NFC", text)


@pytest.mark.parametrize("language", TEXTS)
@pytest.mark.parametrize("kind", CLASSES)
def test_every_kind(kind, language, tmp_path):
    """What the package relies on in any tokeniser; it finds new kinds by itself."""
    if kind in OPTIONAL:
        pytest.importorskip(OPTIONAL[kind], reason="the optional extra `subwords` or `phones` is not installed")
    texts, own = TEXTS[language], SETTINGS[kind]
    if not (CLASSES[kind].spells_text or is_spaced(language)) or (kind == "syllable_parts" and language != "am"):
        with pytest.raises(InputError, match=r"no spaces separate its words|no syllables to take apart"):
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
        if tokenizer.joined is not None:
            assert replaced(tokenizer.decode(ids), tokenizer.joined) == canonical
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
    assert loaded.text(loaded.encode(texts[0])) == tokenizer.normalize(texts[0])

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
