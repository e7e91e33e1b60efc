"""Makes words with times from tokens with times."""

import math
import re
from difflib import SequenceMatcher
from statistics import fmean
from typing import NamedTuple

from speech_mtl.datatypes import Hypothesis


class Word(NamedTuple):
    """A word of a hypothesis; where spaces do not separate words, a character.

    Attributes:
        text: As it stands in the hypothesis.
        start_s: Seconds from the start of the recording.
        end_s: Seconds from the start of the recording.
        confidence: Geometric mean of the probabilities of its tokens, 0 to 1.
    """

    text: str
    start_s: float
    end_s: float
    confidence: float


def words(hypothesis: Hypothesis) -> list[Word]:
    """Splits the text of a hypothesis into words, each with the times and the confidence of its tokens.

    The text is that of the tokens, but for what normalisation changed of it: a letter that no token has gets the token
    in whose place it stands.
    """
    tokens, text = hypothesis.tokens, hypothesis.text
    owners = [token for token in tokens for _ in token.text]
    matcher = SequenceMatcher(None, "".join(token.text for token in tokens), text, autojunk=False)
    place = [min(a + i, max(b - 1, 0)) for _, a, b, c, d in matcher.get_opcodes() for i in range(d - c)]
    found = []
    for match in re.finditer(r"\S+" if hypothesis.spaced else r"\S", text):
        own = list({id(one): one for one in (owners[place[i]] for i in range(*match.span()))}.values())
        confidence = math.exp(fmean(token.log_probability for token in own))
        found.append(Word(match[0], own[0].start_s, own[-1].end_s, confidence))
    return found
