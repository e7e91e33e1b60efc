"""Scores that beam search adds to the log-probabilities of the network: n-gram models and hot words.

A scorer gives what each token adds to the score of a hypothesis. Its states hold all that it needs of the tokens
before; the same state always gives the same scores. All scores are natural logarithms.
"""

import math
from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any, NamedTuple

import numpy as np

from speech_mtl.decoding.ngrams import BEGIN, END, SPACE, UNKNOWN, Gram, NGrams

FORBIDDEN = -math.inf
KEPT = 4_000_000
"""Numbers that are kept for the next time that a state is met: 32 MB."""

Spelling = tuple[int, ...]


class Scorer(ABC):
    """Scores tokens of hypotheses one by one."""

    @abstractmethod
    def start(self) -> Any:
        """The state before the first token."""

    @abstractmethod
    def scores(self, state: Any) -> np.ndarray:
        """(V,) the score of each token; `FORBIDDEN` where it cannot come. The blank's has no meaning."""

    @abstractmethod
    def after(self, state: Any, token: int) -> Any:
        """The state after a token that may come."""

    @abstractmethod
    def end(self, state: Any) -> float:
        """The score of the end of the utterance."""


class Tokens(Scorer):
    """N-grams of tokens: `weight` times the log-probability, and `bonus` for each token.

    Args:
        model: N-grams of the tokens, each as `symbol` writes it.
        vocabulary: The tokens by number.
        weight: Of the model.
        bonus: For each token.
    """

    def __init__(self, model: NGrams, vocabulary: Sequence[str], weight: float, bonus: float):
        self.model, self.weight, self.bonus = model, weight, bonus
        self.symbols = [symbol(token) for token in vocabulary]
        self.numbers = {name: number for number, name in enumerate(self.symbols)}
        self._kept = lru_cache(KEPT // len(vocabulary))(self._after_context)

    def log_probabilities(self, context: Gram) -> np.ndarray:
        """(V,) of the tokens after a context, without weight and bonus."""
        return self._kept(context)

    def _after_context(self, context: Gram) -> np.ndarray:
        if context:
            shorter = self.log_probabilities(self.model.context(context[1:]))
            found = shorter + self.model.backoffs.get(context, 0.0)
        else:
            found = np.full(len(self.symbols), self.model.successors[()][UNKNOWN])
        for name, value in self.model.successors[context].items():
            if (number := self.numbers.get(name)) is not None:
                found[number] = value
        return found

    def start(self) -> Gram:
        return self.model.context((BEGIN,))

    def scores(self, state: Gram) -> np.ndarray:
        return self.weight * self.log_probabilities(state) + self.bonus

    def after(self, state: Gram, token: int) -> Gram:
        return self.model.context((*state, self.symbols[token]))

    def end(self, state: Gram) -> float:
        return self.weight * self.model.log_probability(state, END)


@dataclass(eq=False, slots=True)
class _Node:
    """A beginning of words.

    Attributes:
        best: The highest log-probability, whatever comes before, of a word that begins so.
        words: Those that are spelt so.
        next: What follows, by token.
    """

    best: float = FORBIDDEN
    words: tuple[str, ...] = ()
    next: dict[int, "_Node"] = field(default_factory=dict)


class _Spelt(NamedTuple):
    """The state of `Words`: words before, the word begun, and what its spelling adds up to and depends on."""

    context: Gram
    node: _Node | None
    num_tokens: int = 0
    spelt: float = 0.0
    spelt_context: Gram = ()


class Words(Scorer):
    """N-grams of words: `weight` times the log-probability of each, and `bonus` for each word.

    While a word is incomplete, it counts as the most probable word that begins so (as in the "smearing" of flashlight's
    `Trie`, Collobert et al. 2016, "Wav2Letter", section 3.3). Other words than those of the model cannot be found; with
    `tokens` they can, and one has the probability of the unknown word times that of its spelling.

    Args:
        model: N-grams of words.
        spellings: Of the words that can be found; those that the model lacks count as the unknown word. Of words that
            are spelt alike, the most probable one after the words before is meant, and of equals the first.
        unnamed: Spellings of words besides that can be found, count as the unknown word and have no name.
        space: The token between words, of which several in a row count as one; None: an utterance has one word.
        num_tokens: Size of the vocabulary.
        weight: Of the model.
        bonus: For each word.
        tokens: N-grams of tokens for the spelling of unknown words.
    """

    def __init__(
        self,
        model: NGrams,
        spellings: Mapping[str, Spelling],
        unnamed: Iterable[Spelling],
        space: int | None,
        num_tokens: int,
        weight: float,
        bonus: float,
        tokens: Tokens | None,
    ):
        self.model, self.space, self.weight, self.bonus, self.tokens = model, space, weight, bonus, tokens
        self.num_tokens, self.root = num_tokens, _Node()
        self.unknown = model.log_probability((), UNKNOWN)
        for word, spelling in (*spellings.items(), *((UNKNOWN, one) for one in unnamed)):
            value, node = model.log_probability((), word), self.root
            for token in spelling:
                node = node.next.setdefault(token, _Node())
                node.best = max(node.best, value)
            node.words += (word,)
        self._kept = lru_cache(KEPT // num_tokens)(self._scores)

    def start(self) -> _Spelt:
        return self._between(self.model.context((BEGIN,)))

    def _between(self, context: Gram) -> _Spelt:
        own = self.tokens and self.tokens.model.context((SPACE,))
        return _Spelt(context, self.root, spelt_context=own or ())

    def _expected(self, state: _Spelt) -> float:
        """The score of the word that was begun."""
        known = state.node.best if state.node else FORBIDDEN
        return max(known, self.unknown + state.spelt if self.tokens else FORBIDDEN) if state.num_tokens else 0.0

    def _scores(self, state: _Spelt) -> np.ndarray:
        found = np.full(self.num_tokens, FORBIDDEN)
        if self.tokens:
            found = self.unknown + state.spelt + self.tokens.log_probabilities(state.spelt_context)
        for token, node in state.node.next.items() if state.node else ():
            found[token] = max(found[token], node.best)
        can_come, expected = found > FORBIDDEN, self._expected(state)
        found[can_come] = self.weight * (found[can_come] - expected)
        if self.space is not None:
            found[self.space] = self._completed(state) if state.num_tokens else 0.0
        return found

    def _word(self, state: _Spelt) -> str | None:
        """The word that was begun, if it can end here."""
        spelt = state.node.words if state.node else ()
        if len(spelt) > 1:
            return max(spelt, key=lambda word: self.model.log_probability(state.context, word))
        return spelt[0] if spelt else None

    def words(self, tokens: Iterable[int]) -> list[str | None]:
        """The words of some tokens; None for one that is in no spelling, or has no name."""
        state, found = self.start(), []
        for token in tokens:
            if token == self.space and state.num_tokens:
                found.append(self._word(state))
            state = self.after(state, token)
        found += [self._word(state)] if state.num_tokens else []
        return [None if word == UNKNOWN else word for word in found]

    def scores(self, state: _Spelt) -> np.ndarray:
        return self._kept(state)

    def _completed(self, state: _Spelt) -> float:
        """The score of the end of a word."""
        word = self._word(state)
        if word is not None:
            value = self.model.log_probability(state.context, word)
        elif self.tokens:
            value = self.model.log_probability(state.context, UNKNOWN) + state.spelt
            value += self.tokens.model.log_probability(state.spelt_context, SPACE)
        else:
            return FORBIDDEN
        return self.weight * (value - self._expected(state)) + self.bonus

    def _next_context(self, state: _Spelt) -> Gram:
        word = self._word(state)
        return self.model.context((*state.context, UNKNOWN if word is None else word))

    def after(self, state: _Spelt, token: int) -> _Spelt:
        if token == self.space:
            return self._between(self._next_context(state)) if state.num_tokens else state
        node = state.node.next.get(token) if state.node else None
        if self.tokens is None:
            return _Spelt(state.context, node, state.num_tokens + 1)
        spelt = state.spelt + float(self.tokens.log_probabilities(state.spelt_context)[token])
        return _Spelt(state.context, node, state.num_tokens + 1, spelt, self.tokens.after(state.spelt_context, token))

    def end(self, state: _Spelt) -> float:
        if not state.num_tokens:
            return self.weight * self.model.log_probability(state.context, END)
        completed = self._completed(state)
        return completed + self.weight * self.model.log_probability(self._next_context(state), END)


class HotWords(Scorer):
    """Adds `bonus` where a phrase is complete, and part of it, taken back if nothing comes of it, while it is not.

    The states are those of an Aho-Corasick automaton (Aho and Corasick 1975, "Efficient string matching").

    Args:
        phrases: Tokens of each.
        num_tokens: Size of the vocabulary.
        bonus: For each time that a phrase comes.
        space: The token before and after each phrase, the ends of the utterance included; None: phrases may lie
            within longer words.
    """

    def __init__(self, phrases: Iterable[Spelling], num_tokens: int, bonus: float, space: int | None):
        self.space, self.bonus = space, bonus
        around = () if space is None else (space,)
        whole = {(*around, *phrase, *around) for phrase in phrases}
        longest = {phrase[:n]: len(phrase) for phrase in sorted(whole, key=len) for n in range(len(phrase) + 1)}
        parts = sorted((part for part in longest if len(part) < longest[part]), key=len)
        numbers = {part: number for number, part in enumerate(parts)}
        following: dict[Spelling, list[int]] = {part: [] for part in parts}
        for part in longest:
            if part:
                following[part[:-1]].append(part[-1])
        self._next = np.zeros((len(parts), num_tokens), np.int64)
        earned = np.zeros((len(parts), num_tokens))
        shorter = [0] * len(parts)  # the state of the longest other beginning with which a beginning ends
        for part, number in numbers.items():
            if part:
                self._next[number], earned[number] = self._next[shorter[number]], earned[shorter[number]]
            for token in following[part]:
                longer = (*part, token)
                earned[number, token] += bonus * (longer in whole)
                if (after := numbers.get(longer)) is not None:
                    shorter[after], self._next[number, token] = self._next[number, token], after
        free = len(around)  # the space before a phrase is in each text
        self._credits = np.array([bonus * max(len(part) - free, 0) / (longest[part] - free) for part in parts])
        self._scores = earned + self._credits[self._next] - self._credits[:, None]

    def start(self) -> int:
        return 0 if self.space is None else int(self._next[0, self.space])

    def scores(self, state: int) -> np.ndarray:
        return self._scores[state]

    def after(self, state: int, token: int) -> int:
        return int(self._next[state, token])

    def end(self, state: int) -> float:
        last = 0.0
        if self.space is not None:
            last, state = float(self._scores[state, self.space]), self.after(state, self.space)
        return last - float(self._credits[state])


class Sum(Scorer):
    """Several scorers together."""

    def __init__(self, parts: Sequence[Scorer], num_tokens: int):
        self.parts, self._none = parts, np.zeros(num_tokens)

    def start(self) -> tuple[Any, ...]:
        return tuple(part.start() for part in self.parts)

    def scores(self, state: tuple[Any, ...]) -> np.ndarray:
        return sum((part.scores(own) for part, own in zip(self.parts, state, strict=True)), self._none)

    def after(self, state: tuple[Any, ...], token: int) -> tuple[Any, ...]:
        return tuple(part.after(own, token) for part, own in zip(self.parts, state, strict=True))

    def end(self, state: tuple[Any, ...]) -> float:
        return sum(part.end(own) for part, own in zip(self.parts, state, strict=True))


def symbol(token: str) -> str:
    """A token as n-gram models of tokens write it."""
    return token.replace(" ", SPACE)
