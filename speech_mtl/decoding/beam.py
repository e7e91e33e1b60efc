"""Prefix beam search with n-gram models and hot words."""

from collections.abc import Iterable, Sequence
from itertools import groupby
from typing import Any, NamedTuple

import numpy as np

from speech_mtl.datatypes import BLANK
from speech_mtl.decoding.decoder import Decoded, Decoder, decoded_path
from speech_mtl.decoding.language_model import LanguageModel
from speech_mtl.decoding.scorers import FORBIDDEN, HotWords, Scorer, Sum, Tokens, Words
from speech_mtl.errors import InputError

THRESHOLD = 25.0
"""Hypotheses that are worse than the best by more than this are dropped: e^-25 of the probability."""

MOST_TOKENS = 50
"""Tokens of a large vocabulary that are tried in a frame."""


class Beam(Decoder):
    """Sums the probabilities of all paths of a text, as far as they are among the best, and weights them by n-grams.

    A hypothesis is a sequence of tokens whose last frame is a blank, or is not; they are merged where they meet, and
    the `width` best are kept after each frame. Their score is the logarithm of

        p(tokens | speech) p(text)^lm_weight e^(word_score * number of words + hot words)

    The times of tokens are those of the best path. With a width of 1 and no more, this is best path decoding.

    References: Graves and Jaitly 2014, "Towards end-to-end speech recognition with recurrent neural networks",
    algorithm 1; Hannun et al. 2014, "First-pass large vocabulary continuous speech recognition using bi-directional
    recurrent DNNs". There a hypothesis has both kinds of last frame; here each has a place of its own in the beam, as
    in flashlight (Kahn et al. 2022, "Flashlight: enabling innovation in tools for machine learning").

    Args:
        vocabulary: As for `Decoder`.
        language: As for `Decoder`.
        model: The n-grams of the language; None: there are none.
        width: Hypotheses that are kept.
        num_best: Hypotheses that are given.
        lm: Which n-grams are used: see `LM_KINDS`; None: as was tuned.
        lm_weight: Exponent of their probability; None: as was tuned.
        word_score: For each word or, of n-grams of tokens, for each token; None: as was tuned.
        hot_words: Tokens of words and phrases that are to be expected.
        hot_word_score: For each of them.
        spaced: Whether spaces separate words (`Tokenizer.spaced`); if not, hot words may lie anywhere.

    Raises:
        InputError: The model lacks what is asked of it.
    """

    def __init__(
        self,
        vocabulary: Sequence[str],
        language: str,
        model: LanguageModel | None,
        width: int,
        num_best: int,
        lm: str | None,
        lm_weight: float | None,
        word_score: float | None,
        hot_words: Iterable[Sequence[int]],
        hot_word_score: float,
        spaced: bool,
    ):
        super().__init__(vocabulary, language)
        self.width, self.num_best = width, num_best
        self.space = vocabulary.index(" ") if " " in vocabulary else None
        phrases = [tuple(phrase) for phrase in hot_words]
        self.words: Words | None = None
        parts: list[Scorer] = []
        if model is not None and lm != "none":
            parts.append(self._model_scorer(model, phrases, lm, lm_weight, word_score))
        if phrases:
            parts.append(HotWords(phrases, len(vocabulary), hot_word_score, self.space if spaced else None))
        self.scorer: Scorer = parts[0] if len(parts) == 1 else Sum(parts, len(vocabulary))

    def _model_scorer(
        self,
        model: LanguageModel,
        phrases: Iterable[tuple[int, ...]],
        lm: str | None,
        lm_weight: float | None,
        word_score: float | None,
    ) -> Scorer:
        kind, weight, bonus = model.weights(lm, lm_weight, word_score)
        self.about = f"lm={kind}, lm_weight={weight:g}, word_score={bonus:g}"
        if kind == "tokens":
            return Tokens(model.tokens, self.vocabulary, weight, bonus)
        if model.words is None:
            raise InputError(
                f"There are no n-grams of words of {self.language}",
                expected="decoding.lm: tokens, where no spaces separate words",
                received=f"decoding.lm: {kind}",
                action="set decoding.lm=tokens",
            )
        tokens = Tokens(model.tokens, self.vocabulary, 1.0, 0.0) if kind == "open" else None
        hot = {word for phrase in phrases for word in _split(phrase, self.space)}
        unnamed = hot - set(model.spellings.values())
        size = len(self.vocabulary)
        self.words = Words(model.words, model.spellings, unnamed, self.space, size, weight, bonus, tokens)
        return self.words

    def decode(self, log_probabilities: np.ndarray) -> Decoded:
        search = _Search(self.scorer, self.width)
        for frame in log_probabilities:
            search.step(frame)
        found, size = [], len(log_probabilities)
        for path, score, is_complete in search.results(self.num_best):
            if not is_complete:
                path[max(np.flatnonzero(path == self.space), default=0) :] = BLANK
            tokens = decoded_path(path, log_probabilities)
            words = self.words.words(token.number for token in tokens) if self.words else ()
            found.append(Decoded(tokens, score / size if size else 0.0, words=tuple(words)))
        return found[0]._replace(alternatives=tuple(found[1:]))


class _Prefix(NamedTuple):
    """A sequence of tokens."""

    key: int
    state: Any


class _Search:
    """The beam after some frames: of each hypothesis its prefix, its last token, whether a blank follows, its score."""

    def __init__(self, scorer: Scorer, width: int):
        self.scorer, self.width = scorer, width
        self.prefixes = [_Prefix(0, scorer.start())]
        self.numbers = {0: 0}
        """Prefixes by key: that of the one before, and the token after it."""
        self.prefix, self.last = np.zeros(1, np.int64), np.full(1, BLANK)
        self.is_blank, self.score = np.ones(1, bool), np.zeros(1)
        self.back: list[tuple[np.ndarray, np.ndarray]] = []
        """By frame: the hypothesis before and the token of the frame, of each in the beam then."""

    def step(self, frame: np.ndarray) -> None:
        """Goes on by a frame, (V,)."""
        size = len(frame)
        tokens = np.arange(1, size)
        if size - 1 > MOST_TOKENS:
            tokens = 1 + np.argpartition(-frame[1:], MOST_TOKENS)[:MOST_TOKENS]
        own = np.array([self.prefixes[i].key for i in self.prefix])
        added = np.stack([self.scorer.scores(self.prefixes[i].state) for i in self.prefix])[:, tokens]
        longer = self.score[:, None] + frame[tokens] + added
        longer[~self.is_blank[:, None] & (self.last[:, None] == tokens)] = FORBIDDEN
        repeated = np.where(self.is_blank, FORBIDDEN, self.score + frame[self.last])
        everyone = np.arange(len(own))
        # A key is that of a prefix, doubled, and 1 more where a blank follows it.
        keys = np.concatenate([own * 2 + 1, own * 2, ((self.prefix[:, None] * size + tokens) * 2).ravel()])
        scores = np.concatenate([self.score + frame[BLANK], repeated, longer.ravel()])
        before = np.concatenate([everyone, everyone, np.repeat(everyone, len(tokens))])
        emitted = np.concatenate([np.full(len(own), BLANK), self.last, np.tile(tokens, len(own))])
        good = np.flatnonzero(scores > scores.max() - THRESHOLD)
        order = good[np.lexsort((-scores[good], keys[good]))]
        firsts = np.flatnonzero(np.diff(keys[order], prepend=-1))
        merged = np.logaddexp.reduceat(scores[order], firsts)
        kept = np.argsort(-merged, kind="stable")[: self.width]
        best = order[firsts[kept]]
        self.score, self.is_blank = merged[kept], keys[best] % 2 == 1
        self.last = np.where(self.is_blank, self.last[before[best]], emitted[best])
        self.prefix = np.array([self._number(int(key) // 2, size) for key in keys[best]])
        self.back.append((before[best], emitted[best]))

    def _number(self, key: int, size: int) -> int:
        """The prefix of a key, made if it is new."""
        if key not in self.numbers:
            parent, token = divmod(key, size)
            self.numbers[key] = len(self.prefixes)
            self.prefixes.append(_Prefix(key, self.scorer.after(self.prefixes[parent].state, token)))
        return self.numbers[key]

    def results(self, number: int) -> list[tuple[np.ndarray, float, bool]]:
        """The best prefixes: the best path of each, (E,), its score, and whether the end may come after it.

        If it may after none, because each ends within a word that is in no text, all are given.
        """
        ends = {i: self.scorer.end(self.prefixes[i].state) for i in set(self.prefix.tolist())}
        is_complete = any(end > FORBIDDEN for end in ends.values())
        total = {
            i: float(np.logaddexp.reduce(self.score[self.prefix == i])) + (end if is_complete else 0.0)
            for i, end in ends.items()
        }
        best = sorted((i for i in total if total[i] > FORBIDDEN), key=lambda i: -total[i])[:number]
        return [(self._path(i), total[i], is_complete) for i in best]

    def _path(self, prefix: int) -> np.ndarray:
        path, hypothesis = [], max(np.flatnonzero(self.prefix == prefix), key=lambda i: self.score[i])
        for before, emitted in reversed(self.back):
            path.append(emitted[hypothesis])
            hypothesis = before[hypothesis]
        return np.array(path[::-1], np.int64)


def _split(phrase: Sequence[int], space: int | None) -> list[tuple[int, ...]]:
    """The words of a phrase."""
    runs = groupby(phrase, key=lambda token: token == space)
    return [tuple(word) for is_space, word in runs if not is_space]
