"""Parts of words as units, and their files; what holds for all tokenisers is in `test_tokenizer.py`."""

import json
from pathlib import Path

import pytest

from speech_mtl.data.subwords import BpeTokenizer, SubwordTokenizer, UnigramTokenizer
from speech_mtl.data.tokenizer import load_tokenizer
from speech_mtl.errors import InputError
from speech_mtl.settings.data import TokenizerSettings

pytest.importorskip("sentencepiece", reason="the optional extra `subwords` is not installed")

TEXTS = ["Der Hund und der Hahn.", "der Hund, der bellt", "und der Hahn und der Hund"] * 3
every_class = pytest.mark.parametrize("made", [BpeTokenizer, UnigramTokenizer])


@every_class
def test_frequent_words_become_one_token(made: type[SubwordTokenizer]):
    tokenizer = made.from_texts(TEXTS, "de", size=30)
    assert len(tokenizer) <= 30
    assert " hund" in tokenizer.vocabulary
    assert tokenizer.split("und der hund")[-1] == " hund"
    assert not tokenizer.spells_words
    assert len(made.from_texts(TEXTS, "de", size=20)) <= 20
    assert set("derhunablt ") <= set(made.from_texts(TEXTS, "de", size=13).vocabulary), "letters always"


@every_class
def test_too_few_tokens(made: type[SubwordTokenizer]):
    with pytest.raises(InputError, match="5 tokens are too few for de") as caught:
        made.from_texts(TEXTS, "de", size=5)
    assert caught.value.expected.startswith("12 or more")


def test_it_decodes_without_its_model(tmp_path: Path):
    tokenizer = BpeTokenizer.from_texts(TEXTS, "de", size=30)
    numbers = tokenizer.encode("und der hund")
    damaged = BpeTokenizer("de", tokenizer.vocabulary, "no base64")
    assert damaged.decode(numbers) == "und der hund"
    with pytest.raises(InputError, match="is damaged"):
        damaged.encode("und")
    tokenizer.save(tmp_path / "de.json", "bpe")
    record = json.loads((tmp_path / "de.json").read_text("utf-8"))
    del record["model"]
    (tmp_path / "de.json").write_text(json.dumps(record), "utf-8")
    with pytest.raises(InputError, match="not a whole tokeniser"):
        load_tokenizer(tmp_path / "de.json", TokenizerSettings.members(), "de")
