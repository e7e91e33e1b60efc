"""Phones as tokens, with a lexicon of the user's; what holds for all tokenisers is in `test_tokenizer.py`."""

import json
from collections.abc import Callable
from itertools import product
from pathlib import Path

import pytest
from rapidfuzz.distance import Levenshtein

from speech_mtl.data.phone_units import PhoneTokenizer
from speech_mtl.data.tokenizer import BLANK_TOKEN, load_tokenizer
from speech_mtl.errors import InputError
from speech_mtl.settings.data import TokenizerSettings

LEXICON = [
    "das\td a s",
    "dass\td a s",
    "haus\th aʊ s",
    "maus\tm aʊ s",
    "zaun\tt͡s aʊ n",
    "an\ta n",
    "new york\tn j",
    "ja\tj aː",
]
TEXTS = ["Das Haus an das Haus.", "dass!", "Haus, an: Maus"]


@pytest.fixture
def made(tmp_path: Path) -> Callable[..., PhoneTokenizer]:
    """Makes a tokeniser from texts, a lexicon and a text besides, by their lines."""

    def make(texts: list[str] = TEXTS, lexicon: list[str] = LEXICON, words: list[str] | None = None) -> PhoneTokenizer:
        (tmp_path / "lexicon.txt").write_text("\n".join(lexicon), encoding="utf-8")
        (tmp_path / "words.txt").write_text("\n".join(words or []), encoding="utf-8")
        besides = None if words is None else tmp_path / "words.txt"
        return PhoneTokenizer.from_texts(texts, "de", lexicon=tmp_path / "lexicon.txt", words=besides)

    return make


def ids(tokenizer: PhoneTokenizer, phones: str) -> list[int]:
    """Token numbers of phones with spaces between them, `_` between words."""
    return [tokenizer.vocabulary.index(one.replace("_", " ")) for one in phones.split()]


def test_words_and_phones_of_the_training_texts(made: Callable[..., PhoneTokenizer]):
    tokenizer = made()
    assert tokenizer.vocabulary == (BLANK_TOKEN, " ", "a", "d", "h", "m", "n", "s", "aʊ") or "ʊ" in tokenizer.vocabulary
    assert list(tokenizer.lexicon) == ["haus", "an", "das", "dass", "maus"], "by frequency; others have other phones"
    assert tokenizer.split("das an") == ["d", "a", "s", " ", "a", "n"]
    assert tokenizer.encode("Dass, an") == ids(tokenizer, "d a s _ a n")
    assert tokenizer.pieces("das an") == ["das", "", "", " ", "an", ""]
    assert tokenizer.unknown("das a d") == {"⟨a⟩", "⟨d⟩"}, "words, though phones have these names"
    with pytest.raises(InputError, match=r"Words of de that the lexicon of the run lacks: ⟨baum⟩") as caught:
        tokenizer.encode("das Baum")
    assert "languages.de.tokenizer.words" in caught.value.action


@pytest.mark.parametrize(
    ("phones", "text"),
    [
        ("d a s _ h a ʊ s", "das haus"),
        ("_ _ d a s _ _ a n _", "das an"),
        ("h a s", "haus"),  # one phone from haus, and one from das: the first is more frequent
        ("m m a ʊ s", "maus"),
        ("a", "an"),
        ("", ""),
        ("_", ""),
    ],
)
def test_the_nearest_and_most_frequent_word(made: Callable[..., PhoneTokenizer], phones: str, text: str):
    tokenizer = made()
    assert tokenizer.text(ids(tokenizer, phones)) == text


def test_the_nearest_of_all_words_by_brute_force(made: Callable[..., PhoneTokenizer]):
    tokenizer = made()
    for phones in product("hmdas", repeat=3):
        found = tokenizer.text(ids(tokenizer, " ".join(phones)))
        distances = {word: Levenshtein.distance(phones, own.split()) for word, own in tokenizer.lexicon.items()}
        assert found == min(distances, key=lambda word: distances[word])  # of equals the first


def test_words_that_a_decoder_chose_are_taken(made: Callable[..., PhoneTokenizer]):
    tokenizer = made()
    assert tokenizer.text(ids(tokenizer, "d a s _ d a s"), ["dass", None]) == "dass das"


def test_words_of_a_text_besides(made: Callable[..., PhoneTokenizer]):
    tokenizer = made(words=["Dass. dass! DASS", "Zaun"])
    assert list(tokenizer.lexicon) == ["dass", "haus", "an", "das", "maus"]
    assert tokenizer.text(ids(tokenizer, "d a s")) == "dass"


def test_it_is_loaded_without_the_files(made: Callable[..., PhoneTokenizer], tmp_path: Path):
    tokenizer = made()
    for name in ("lexicon.txt", "words.txt"):
        (tmp_path / name).unlink()
    path, classes = tmp_path / "de.json", TokenizerSettings.members()
    tokenizer.save(path, "phones")
    again = load_tokenizer(path, classes, "de")
    assert again.text(ids(tokenizer, "d a s _ m a ʊ")) == "das maus"
    record = json.loads(path.read_text("utf-8"))
    for lexicon in ({"das": "d a x"}, {"das": ""}):
        path.write_text(json.dumps({**record, "lexicon": lexicon}), "utf-8")
        with pytest.raises(InputError, match="Malformed lexicon"):
            load_tokenizer(path, classes, "de")


def test_what_is_refused(made: Callable[..., PhoneTokenizer]):
    with pytest.raises(InputError, match="No word of the training texts of de can be read as phones"):
        made(["Baum"])
    with pytest.raises(InputError, match=r"lexicon\.txt:1: not a word with its phones"):
        made(lexicon=["das d a s"])
    pytest.importorskip("espeakng_loader", reason="the optional extra `phones` is not installed")
    with pytest.raises(InputError, match="does not speak br") as caught:
        PhoneTokenizer.from_texts(["den"], "br", lexicon=None, words=None)
    assert "languages.br.tokenizer.lexicon" in caught.value.received


def test_espeak_reads_words(tmp_path: Path):
    pytest.importorskip("espeakng_loader", reason="the optional extra `phones` is not installed")
    tokenizer = PhoneTokenizer.from_texts(["Two cats!", "too few, too late"], "en", lexicon=None, words=None)
    assert tokenizer.lexicon["two"] == tokenizer.lexicon["too"]
    assert tokenizer.text(tokenizer.encode("two cats")) == "too cats"
    tokenizer = PhoneTokenizer.from_texts(["V lese, v\u00a0lese a k lesu", "k"], "cs", lexicon=None, words=None)
    assert (tokenizer.lexicon["v"], tokenizer.lexicon["k"]) == ("v", "k"), "not the names of letters"
