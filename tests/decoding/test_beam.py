"""Beam search against the sum over all paths, worked out one by one."""

import math
from collections import defaultdict
from dataclasses import replace
from itertools import groupby, pairwise, product

import numpy as np
import pytest
from scipy.special import log_softmax, logsumexp

from speech_mtl.data.syllables import SyllablePartsTokenizer
from speech_mtl.datatypes import BLANK
from speech_mtl.decoding.beam import Beam
from speech_mtl.decoding.greedy import Greedy
from speech_mtl.decoding.kneser_ney import estimate
from speech_mtl.decoding.language_model import LanguageModel
from speech_mtl.decoding.ngrams import BEGIN, END, SPACE, UNKNOWN, NGrams
from speech_mtl.decoding.scorers import symbol
from speech_mtl.errors import InputError

VOCABULARY = ("<blank>", " ", "a", "b")
TEXTS = ["a ab", "ab a ab", "b a", "ab", "a b ab a", "a a b"]
WEIGHT, BONUS = 0.7, 0.4


def spelt(text: str) -> tuple[int, ...]:
    return tuple(VOCABULARY.index(letter) for letter in text)


def language_model(texts: list[str] = TEXTS) -> LanguageModel:
    words = estimate([text.split() for text in texts], 2)
    tokens = estimate([list(text.replace(" ", SPACE)) for text in texts], 3)
    return LanguageModel("lm", tokens, words, {word: spelt(word) for word in words.symbols}, (), True)


def beam(
    width: int = 10_000, num_best: int = 10_000, lm: str = "none", hot_words: tuple[str, ...] = (), **more
) -> Beam:
    values = {
        "model": language_model() if lm != "none" else None,
        "lm_weight": WEIGHT,
        "word_score": BONUS,
        "hot_word_score": 3.0,
        "spaced": True,
        **more,
    }
    return Beam(
        VOCABULARY, "aa", width=width, num_best=num_best, lm=lm, hot_words=[spelt(w) for w in hot_words], **values
    )


def frames(seed: int, size: int = 5, scale: float = 2.0) -> np.ndarray:
    return log_softmax(np.random.default_rng(seed).normal(0, scale, (size, len(VOCABULARY))), axis=1)


def sums(values: np.ndarray) -> dict[str, float]:
    """By text, double spaces and all, the logarithm of the sum over its paths."""
    found = defaultdict(list)
    for path in product(range(len(VOCABULARY)), repeat=len(values)):
        text = "".join(VOCABULARY[token] for token, _ in groupby(path) if token != BLANK)
        found[text].append(values[range(len(values)), path].sum())
    return {text: float(logsumexp(own)) for text, own in found.items()}


def sequence(model: NGrams, symbols: list[str]) -> float:
    """The log-probability of a whole sentence, its end included."""
    return sum(
        model.log_probability(model.context((BEGIN, *symbols[:i])), one) for i, one in enumerate([*symbols, END])
    )


def of_tokens(text: str) -> float:
    return WEIGHT * sequence(language_model().tokens, list(text.replace(" ", SPACE))) + BONUS * len(text)


def of_words(text: str) -> float:
    words, model = text.split(), language_model()
    if not set(words) <= model.spellings.keys():
        return -math.inf
    assert model.words is not None
    return WEIGHT * sequence(model.words, words) + BONUS * len(words)


def of_open_words(text: str) -> float:
    model, spelling = language_model(), 0.0
    assert model.words is not None
    words = [word if word in model.spellings else UNKNOWN for word in text.split()]
    for word in set(text.split()) - model.spellings.keys():
        letters = [SPACE, *word, SPACE]
        for i in range(1, len(letters)):
            context = model.tokens.context(tuple(letters[:i]))
            spelling += text.split().count(word) * model.tokens.log_probability(context, letters[i])
    return WEIGHT * (sequence(model.words, words) + spelling) + BONUS * len(words)


def results(decoder: Beam, values: np.ndarray) -> list[tuple[str, float]]:
    found = decoder.decode(values)
    return [
        ("".join(VOCABULARY[token.number] for token in one.tokens), one.score * len(values))
        for one in (found, *found.alternatives)
    ]


@pytest.mark.parametrize(
    ("lm", "added"),
    [("none", lambda _: 0.0), ("tokens", of_tokens), ("words", of_words), ("open", of_open_words)],
)
def test_equals_the_sum_over_all_paths_and_the_model(lm: str, added):
    decoder = beam(lm=lm)
    for seed in range(4):
        values = frames(seed)
        wanted = {text: value + added(text) for text, value in sums(values).items()}
        found = results(decoder, values)
        assert [text for text, _ in found[:4]] == sorted(wanted, key=lambda text: -wanted[text])[:4]
        assert len(found) == len({text for text, _ in found})
        for text, score in found[:20]:
            assert score == pytest.approx(wanted[text], abs=1e-5), text


def test_of_words_that_are_spelt_alike_the_most_probable_one_is_meant():
    """After the words before it; by brute force over all paths."""
    words = estimate([text.split() for text in ["a ab", "a b1", "ab b2", "b2 ab", "b1 b2"]], 2)
    spellings = {word: spelt(word.strip("12")) for word in words.symbols}
    decoder = beam(lm="words", model=replace(language_model(), words=words, spellings=spellings))

    def chosen(text: str) -> list[str]:
        found: list[str] = []
        for letters in text.split():
            own = [word for word, spelling in spellings.items() if spelling == spelt(letters)]
            context = words.context((BEGIN, *found))
            found.append(max(own, key=lambda word, context=context: words.log_probability(context, word)))
        return found

    for seed in range(4):
        values = frames(seed)
        known = {text: value for text, value in sums(values).items() if set(text.split()) <= {"a", "ab", "b"}}
        wanted = {
            text: value + WEIGHT * sequence(words, chosen(text)) + BONUS * len(text.split())
            for text, value in known.items()
        }
        best = decoder.decode(values)
        for one in (best, *best.alternatives)[:20]:
            text = "".join(VOCABULARY[token.number] for token in one.tokens)
            assert list(one.words) == chosen(text)
            assert one.score * len(values) == pytest.approx(wanted[text], abs=1e-5), text
    assert {word for text in ("a b", "ab b") for word in chosen(text)} == {"a", "ab", "b1", "b2"}


def test_hot_words_get_their_score_wherever_they_are_whole_words():
    decoder = beam(hot_words=("ab", "b", "ab b"))
    for seed in range(4):
        values = frames(seed)
        plain = sums(values)
        for text, score in results(decoder, values)[:50]:
            words = text.split(" ")
            hot = words.count("ab") + words.count("b")
            hot += sum(pair == ("ab", "b") for pair in pairwise(words))
            assert score == pytest.approx(plain[text] + 3.0 * hot, abs=1e-4), text


@pytest.mark.parametrize(("other", "spaced"), [("x", True), (" ", False)])
def test_where_no_spaces_separate_words_a_hot_word_may_be_anywhere(other: str, spaced: bool):
    """Whether or not there is a space, which separates phrases."""
    vocabulary = ("<blank>", other, "a", "b")
    values = frames(3)
    plain, hot = (
        Beam(vocabulary, "aa", None, 10_000, 10_000, "none", 1.0, 0.0, words, 3.0, spaced).decode(values)
        for words in ([], [(2, 3)])
    )
    scores = {tuple(t.number for t in one.tokens): one.score * 5 for one in (plain, *plain.alternatives)}
    for one in (hot, *hot.alternatives)[:50]:
        tokens = tuple(token.number for token in one.tokens)
        count = sum(pair == (2, 3) for pair in pairwise(tokens))
        assert one.score * 5 == pytest.approx(scores[tokens] + 3.0 * count, abs=1e-4)
    assert any(one.score * 5 > scores[tuple(t.number for t in one.tokens)] + 1 for one in (hot, *hot.alternatives))


def test_a_hot_word_that_no_text_has_joins_the_words_that_can_be_found():
    values = log_softmax(np.eye(4)[[3, 0, 3, 2]] * 9.0, axis=1)
    assert results(beam(lm="words", num_best=1), values)[0][0] != "bba"
    assert results(beam(lm="words", num_best=1, hot_words=("bba",), hot_word_score=20.0), values)[0][0] == "bba"


@pytest.mark.parametrize("lm", ["words", "open"])
@pytest.mark.parametrize(
    ("language", "known", "hot"), [("am", "ሰላም ነው ለማ", "ለመላ"), ("ko", "나는 학교에 간다 김치", "김")]
)
def test_a_hot_word_that_no_text_has_is_written_by_the_tokeniser(lm: str, language: str, known: str, hot: str):
    """In whole letters, where tokens are parts of them."""
    tokenizer = SyllablePartsTokenizer.from_texts([known], language)
    words, tokens = estimate([known.split()], 2), estimate([[symbol(one) for one in tokenizer.split(known)]], 3)
    spellings = {word: tuple(tokenizer.encode(word)) for word in words.symbols}
    model = LanguageModel("lm", tokens, words, spellings, (), True)
    size, text = len(tokenizer), f"{known.split(maxsplit=1)[0]} {hot}"
    path = [number for token in tokenizer.encode(text) for number in (token, BLANK)]
    decoder = Beam(
        tokenizer.vocabulary, language, model, 20, 1, lm, 0.5, 0.0, [tokenizer.encode(hot)], 6.0, spaced=True
    )
    found = decoder.decode(log_softmax(np.eye(size)[path] * 9.0, axis=1))
    assert found.text(tokenizer) == text
    assert found.words == (known.split(maxsplit=1)[0], None)


def test_a_width_of_one_is_best_path_decoding():
    for seed in range(20):
        values = frames(seed, size=40, scale=1.0).astype("float32")
        found, greedy = beam(1, 1).decode(values), Greedy(VOCABULARY, "aa").decode(values)
        assert found.tokens == greedy.tokens
        assert found.score == pytest.approx(greedy.score, abs=1e-5)


def test_of_a_large_vocabulary_the_best_tokens_of_each_frame_are_enough():
    vocabulary = ("<blank>", *(chr(0x4E00 + i) for i in range(400)))
    logits = np.random.default_rng(0).normal(0, 3, (6, len(vocabulary))).repeat(2, axis=0)
    logits[:, BLANK] = logits.max(axis=1) - 1  # a token may have one or both of two frames: paths that are merged
    values = log_softmax(logits, axis=1)
    narrow, wide = (Beam(vocabulary, "zh", None, width, 1, "none", 1.0, 0.0, [], 1.0, True) for width in (1, 200))
    greedy = Greedy(vocabulary, "zh").decode(values)
    assert narrow.decode(values).tokens == greedy.tokens
    assert wide.decode(values).score > greedy.score + 0.1


def test_tokens_have_the_frames_of_the_best_path():
    values = log_softmax(np.eye(4)[[0, 2, 2, 0, 3, 1, 1, 2]] * 9.0, axis=1)
    found = beam(lm="words").decode(values)
    assert [token[:3] for token in found.tokens] == [(2, 1, 2), (3, 4, 4), (1, 5, 6), (2, 7, 7)]
    assert found.tokens[0].log_probability == pytest.approx(values[1:3, 2].mean())


def test_a_word_that_cannot_be_completed_is_left_out():
    """The only word has three letters, and there are frames for two of them."""
    model = language_model(["abb"])
    values = log_softmax(np.eye(4)[[2, 3]] * 9.0, axis=1)
    assert results(beam(lm="words", model=model, num_best=1), values)[0][0].strip() == ""
    values = log_softmax(np.eye(4)[[2, 3, 0, 3, 1, 2]] * 9.0, axis=1)
    assert results(beam(lm="words", model=model, num_best=1, width=2), values)[0][0].strip() in ("abb", "")


def test_words_need_a_language_that_has_them():
    model = replace(language_model(), words=None)
    with pytest.raises(InputError, match="no n-grams of words"):
        beam(lm="words", model=model)


def test_without_a_space_in_the_alphabet_an_utterance_is_one_word():
    model = language_model(["ab", "ba", "ab"])
    values = frames(0)[:, [0, 2, 3]]
    decoder = Beam(
        ("<blank>", "a", "b"),
        "aa",
        replace(model, spellings={"ab": (1, 2), "ba": (2, 1)}),
        99,
        9,
        "words",
        1.0,
        0.0,
        [],
        1.0,
        True,
    )
    found = decoder.decode(values)
    assert {tuple(token.number for token in one.tokens) for one in (found, *found.alternatives)} == {(), (1, 2), (2, 1)}


def test_agrees_with_flashlight():
    """Its lexicon-free decoder, which sums paths, too, without a language model."""
    flashlight = pytest.importorskip("flashlight.lib.text.decoder", reason="flashlight-text is not installed")
    options = flashlight.LexiconFreeDecoderOptions(5000, 4, 1e6, 0.0, 0.0, True, flashlight.CriterionType.CTC)
    decoder = flashlight.LexiconFreeDecoder(options, flashlight.ZeroLM(), -1, BLANK, [])
    values = np.ascontiguousarray(frames(5, size=8), "float32")
    theirs = decoder.decode(values.ctypes.data, *values.shape)
    ours = results(beam(), values)
    for one, (text, score) in zip(theirs[:10], ours, strict=False):
        tokens = [token for token, _ in groupby(one.tokens[1:-1]) if token != BLANK]
        assert "".join(VOCABULARY[token] for token in tokens) == text
        assert one.score == pytest.approx(score, abs=1e-3)
