"""The interface of decoders.

To add one, write a subclass of `Decoder` in a file of its own, and a kind of `settings.decoding.DecodingSettings` that
names it. `tests/decoding/test_every_decoder.py` finds it by itself.
"""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import ClassVar, NamedTuple

import numpy as np

from speech_mtl.data.tokenizer import Tokenizer
from speech_mtl.datatypes import BLANK


class DecodedToken(NamedTuple):
    """A token of an utterance.

    Attributes:
        number: In the vocabulary; never the blank.
        first: Its first encoder frame.
        last: Its last one.
        log_probability: Mean over these frames.
    """

    number: int
    first: int
    last: int
    log_probability: float


class Decoded(NamedTuple):
    """The decoded tokens of an utterance.

    Attributes:
        tokens: In the order of their frames.
        score: Mean log-probability per encoder frame, weighted by language models if there are any; 0 without frames.
        alternatives: The next best, in order, if any were asked for.
        words: Where n-grams of words chose words, that between each two spaces; None where they know none.
    """

    tokens: tuple[DecodedToken, ...]
    score: float
    alternatives: tuple["Decoded", ...] = ()
    words: tuple[str | None, ...] = ()

    def text(self, tokenizer: Tokenizer) -> str:
        """The text of the best hypothesis, in its normalised form."""
        return tokenizer.text([token.number for token in self.tokens], self.words)


def decoded_path(path: np.ndarray, log_probabilities: np.ndarray) -> tuple[DecodedToken, ...]:
    """The tokens of a path, (E,) with blanks: repeats are merged and blanks removed. Log-probabilities are (E, V)."""
    starts = np.flatnonzero(np.diff(path, prepend=-1))
    if not len(starts):
        return ()
    ends = np.append(starts[1:], len(path))
    values = np.take_along_axis(log_probabilities, path[:, None], axis=1)[:, 0]
    means = np.add.reduceat(values, starts) / (ends - starts)
    columns = np.array([path[starts], starts, ends - 1])
    own = columns[0] != BLANK
    return tuple(map(DecodedToken, *columns[:, own].tolist(), means[own].tolist()))


class Decoder(ABC):
    """Finds the tokens of utterances in one language.

    Args:
        vocabulary: The tokens of the language, by number; 0 is the CTC blank.
        language: BCP 47 tag.

    Attributes:
        about: A note for tables besides its settings.
    """

    is_settled: ClassVar[bool] = False
    """Whether tokens stay as they are when more frames follow, but for the last one."""
    about = ""

    def __init__(self, vocabulary: Sequence[str], language: str):
        self.vocabulary = vocabulary
        self.language = language

    @abstractmethod
    def decode(self, log_probabilities: np.ndarray) -> Decoded:
        """Decodes one utterance.

        Args:
            log_probabilities: (E, V) of the true encoder frames, none of which is padding; there can be 0.
        """
