"""Estimation of n-grams against `lmplz`, the formulas of the paper, and KenLM, which reads what is written."""

import math
from itertools import product
from pathlib import Path

import numpy as np
import pytest

from speech_mtl.decoding import kneser_ney
from speech_mtl.decoding.kneser_ney import FALLBACK, estimate
from speech_mtl.decoding.ngrams import BEGIN, END, UNKNOWN, NGrams
from speech_mtl.errors import InputError


def sentences() -> list[list[str]]:
    """Sentences of made-up words, of which few are frequent; each word depends on the one before."""
    generator, found = np.random.default_rng(0), []
    for _ in range(400):
        word, words = 0, []
        for _ in range(int(generator.integers(1, 9))):
            word = (word + min(int(generator.zipf(1.3)), 10**6)) % 2003
            words.append(f"w{word}")
        found.append(words)
    return found


def test_equals_lmplz():
    """`lmplz -o 3 --discount_fallback` (kenlm-ex 0.2.1): the first and every 97th line of what it finds in these."""
    model, rows = estimate(sentences(), 3), Path(__file__).with_name("lmplz.tsv").read_text().splitlines()
    assert len(rows) > 40
    for row in rows:
        value, text, *backoff = row.split("\t")
        gram = tuple(text.split())
        if gram != (BEGIN,):
            assert model.probabilities[len(gram) - 1][gram] == pytest.approx(float(value) * math.log(10), abs=1e-5)
        if backoff:
            assert model.backoffs.get(gram, 0.0) == pytest.approx(float(backoff[0]) * math.log(10), abs=1e-5)


@pytest.mark.parametrize("order", [1, 2, 3, 5])
def test_probabilities_add_up_to_one_in_every_context(order: int):
    model = estimate(sentences()[:60], order)
    symbols = [*model.symbols, END, UNKNOWN]
    contexts = [(), (BEGIN,), ("w1",), ("w1", "w2"), (UNKNOWN, "w5"), *model.successors]
    for context in contexts[:200]:
        known = model.context(context)
        assert sum(math.exp(model.log_probability(known, one)) for one in symbols) == pytest.approx(1, abs=1e-9)


def test_bigrams_by_hand():
    """Interpolated as in Chen and Goodman, with the discounts for too little text."""
    model = estimate([["a", "b"], ["a", "b"], ["b"]], 2)
    one, two, _ = FALLBACK  # of single words
    d1, d2 = 1 - 2 * 0.2 * 2 / 1, 2 - 3 * 0.2 * 1 / 2  # of pairs: one is seen once, two twice, one three times
    # Pairs: <s> a 2, a b 2, b </s> 3, <s> b 1. Different contexts of a: 1, of b: 2, of </s>: 1; in all 4.
    left = (one + two + one) / 4
    unigram = {"a": (1 - one) / 4 + left / 4, "b": (2 - two) / 4 + left / 4, END: (1 - one) / 4 + left / 4}
    wanted = {
        ("<s>", "a"): (2 - d2) / 3 + (d1 + d2) / 3 * unigram["a"],
        ("a", "b"): (2 - d2) / 2 + d2 / 2 * unigram["b"],
    }
    for gram, value in wanted.items():
        assert math.exp(model.probabilities[1][gram]) == pytest.approx(value)
    assert math.exp(model.probabilities[0][(UNKNOWN,)]) == pytest.approx(left / 4)


def test_kenlm_reads_it_and_finds_the_same(tmp_path: Path):
    kenlm = pytest.importorskip("flashlight.lib.text.decoder.kenlm", reason="flashlight-text is not installed")
    dictionary = pytest.importorskip("flashlight.lib.text.dictionary")
    model = estimate(sentences()[:100], 3)
    model.save(tmp_path / "lm.arpa")
    symbols = [*model.symbols, UNKNOWN]
    theirs = kenlm.KenLM(str(tmp_path / "lm.arpa"), dictionary.Dictionary(symbols))
    for first, second in product([*symbols[:12], UNKNOWN], repeat=2):
        state, total, context = theirs.start(False), 0.0, (BEGIN,)
        ours = 0.0
        for word in (first, second, first):
            state, value = theirs.score(state, symbols.index(word))
            total += value * math.log(10)
            ours += model.log_probability(model.context(context), word)
            context = (*context, word)
        _, value = theirs.finish(state)
        ours += model.log_probability(model.context(context), END)
        assert ours == pytest.approx(total + value * math.log(10), abs=1e-4)


def test_the_longest_ngrams_may_be_longer_than_all_sentences():
    model = estimate([["a"], ["b"]], 6)
    assert isinstance(model, NGrams)
    assert model.order == 3


def test_too_large_a_text_is_refused(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(kneser_ney, "MOST", 50)
    with pytest.raises(InputError, match="too large"):
        estimate(sentences(), 3)
