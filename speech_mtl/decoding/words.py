"""Makes words with times from tokens with times."""

import math
import re
from collections.abc import Iterator, Sequence
from difflib import SequenceMatcher
from itertools import groupby
from statistics import fmean
from typing import NamedTuple

from speech_mtl.datatypes import Hypothesis, Token

REACH_S = 0.04
"""Seconds by which a word reaches beyond its tokens at either end, at most.

CTC puts a token into a frame or two within its sound, so that a word's first and last sound are cut short. Between
words that are nearer to one another than twice this the boundary is half-way. Chosen on validation speech whose times
are known; `benchmarks/times.py` measures what it is worth.
"""


class Word(NamedTuple):
    """A word of a hypothesis; where spaces do not separate words, a character.

    Attributes:
        text: As it stands in the hypothesis.
        start_s: Seconds from the start of the recording.
        end_s: Seconds from the start of the recording.
        confidence: Geometric mean of the probabilities of its tokens, 0 to 1; with the calibration of the hypothesis,
            the probability that the word is right.
    """

    text: str
    start_s: float
    end_s: float
    confidence: float


def words(hypothesis: Hypothesis, reach_s: float = REACH_S) -> list[Word]:
    """Splits the text of a hypothesis into words, each with its times and its confidence.

    Where tokens spell the text, it is that of the tokens, but for case and what normalisation changed of it: a letter
    that no token has gets the token in whose place it stands. A word begins with its first token and ends with its
    last, and reaches up to `reach_s` beyond, but not out of its utterance.
    """
    found = []
    for text, own in _spelt(hypothesis) if hypothesis.spells_text else _between_spaces(hypothesis):
        confidence = math.exp(fmean(token.log_probability for token in own))
        if hypothesis.calibration is not None:
            confidence = hypothesis.calibration.probability(confidence, len(text))
        found.append(Word(text, own[0].start_s, own[-1].end_s, confidence))
    return _reaching(found, hypothesis.start_s, hypothesis.end_s, reach_s)


def _spelt(hypothesis: Hypothesis) -> Iterator[tuple[str, list[Token]]]:
    """The words and their tokens, by letters."""
    tokens, text = hypothesis.tokens, hypothesis.text
    owners = [token for token in tokens for _ in token.text]
    plain = "".join(letter.lower() if len(letter.lower()) == 1 else letter for letter in text)
    matcher = SequenceMatcher(None, "".join(token.text for token in tokens), plain, autojunk=False)
    place = [min(a + i, max(b - 1, 0)) for _, a, b, c, d in matcher.get_opcodes() for i in range(d - c)]
    for match in re.finditer(r"\S+" if hypothesis.spaced else r"\S", text):
        own = {id(one): one for one in (owners[place[i]] for i in range(*match.span()))}
        yield match[0], list(own.values())


def _between_spaces(hypothesis: Hypothesis) -> Iterator[tuple[str, list[Token]]]:
    """The words and their tokens, which do not spell them."""
    groups = groupby(hypothesis.tokens, key=lambda token: token.text == " ")
    yield from zip(hypothesis.text.split(), (list(own) for is_space, own in groups if not is_space), strict=True)


def _reaching(found: Sequence[Word], start_s: float, end_s: float, reach_s: float) -> list[Word]:
    """The words with their times beyond their tokens, within their utterance."""
    ends = [-math.inf, *(word.end_s for word in found)]
    starts = [*(word.start_s for word in found), math.inf]
    reaches = [min(reach_s, max(0.0, start - end) / 2) for end, start in zip(ends, starts, strict=True)]
    last_s = end_s or math.inf
    return [
        word._replace(
            start_s=min(word.start_s, max(word.start_s - reaches[i], start_s)),
            end_s=max(word.end_s, min(word.end_s + reaches[i + 1], last_s)),
        )
        for i, word in enumerate(found)
    ]
