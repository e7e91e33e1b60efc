"""N-gram models: read from and written to ARPA files, which other tools read and write, too.

Symbols are words or tokens; a space within one is written as `▁`, which no normalised text has.
"""

import math
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from speech_mtl.errors import InputError
from speech_mtl.files import read_lines, write_text

BEGIN, END, UNKNOWN = "<s>", "</s>", "<unk>"
"""The beginning and the end of a sentence, and any symbol that the model lacks."""

SPACE = "▁"
"""U+2581, in place of a space."""

MOST = 5_000_000
"""N-grams in a model: each takes some 200 bytes of memory."""

Gram = tuple[str, ...]


class NGrams:
    """A back-off model of sequences.

    Args:
        probabilities: By length of the n-grams, 1 first: natural logarithms of p(last symbol | those before).
        backoffs: By context, the logarithm of what its n-grams leave to shorter contexts.

    Attributes:
        order: Length of the longest n-grams.
        successors: By context, the symbols seen after it and their log-probabilities.
    """

    def __init__(self, probabilities: Sequence[Mapping[Gram, float]], backoffs: Mapping[Gram, float]):
        self.probabilities, self.backoffs = probabilities, backoffs
        self.order = len(probabilities)
        self.successors: dict[Gram, dict[str, float]] = {}
        for grams in probabilities:
            for gram, value in grams.items():
                self.successors.setdefault(gram[:-1], {})[gram[-1]] = value

    @property
    def symbols(self) -> list[str]:
        """All symbols but the beginning, the end and the unknown one."""
        return [symbol for (symbol,) in self.probabilities[0] if symbol not in (BEGIN, END, UNKNOWN)]

    def context(self, symbols: Gram) -> Gram:
        """The longest end of the symbols before that the model has."""
        symbols = symbols[len(symbols) - self.order + 1 :] if len(symbols) >= self.order else symbols
        while symbols and symbols not in self.successors:
            symbols = symbols[1:]
        return symbols

    def log_probability(self, context: Gram, symbol: str) -> float:
        """The natural logarithm of p(symbol | context), of a context from `context`."""
        left = 0.0
        while True:
            value = self.successors[context].get(symbol)
            if value is not None:
                return left + value
            if not context:
                return left + self.successors[()][UNKNOWN]
            left += self.backoffs.get(context, 0.0)
            context = self.context(context[1:])

    def save(self, path: Path) -> None:
        """Writes an ARPA file."""
        write_text(path, "".join(self._lines()))

    def _lines(self) -> Iterator[str]:
        yield "\\data\\\n"
        yield from (f"ngram {n}={len(grams)}\n" for n, grams in enumerate(self.probabilities, 1))
        for n, grams in enumerate(self.probabilities, 1):
            yield f"\n\\{n}-grams:\n"
            for gram, value in sorted(grams.items()):
                backoff = f"\t{self.backoffs[gram] / math.log(10):.7g}" if gram in self.backoffs else ""
                yield f"{value / math.log(10):.7g}\t{' '.join(gram)}{backoff}\n"
        yield "\n\\end\\\n"


def read_ngrams(path: Path, action: str) -> NGrams:
    """Reads an ARPA file.

    Args:
        path: The file.
        action: What the user can do about a bad one.

    Raises:
        InputError: It is missing, no ARPA file, too large, or has no probability for unknown symbols.
    """
    probabilities: list[dict[Gram, float]] = []
    backoffs: dict[Gram, float] = {}
    at = (str(path), "")
    try:
        for at in read_lines(path, action):
            line = at[1]
            fields = line.strip().split("\t")
            if line.startswith("\\") and line.rstrip().endswith("-grams:"):
                probabilities.append({})
            elif line.startswith("\\end\\"):
                break
            elif probabilities and fields != [""]:
                gram = tuple(fields[1].split(" "))
                if len(gram) != len(probabilities):
                    raise ValueError
                probabilities[-1][gram] = _finite(fields[0])
                if len(fields) > 2:
                    backoffs[gram] = _finite(fields[2])
                if len(probabilities[-1]) > MOST:
                    raise ValueError
        else:
            raise ValueError
        for grams in probabilities:
            if any(gram[:-1] and gram[:-1] not in probabilities[len(gram) - 2] for gram in grams):
                raise ValueError
        if not {(BEGIN,), (END,), (UNKNOWN,)} <= (probabilities[0] if probabilities else {}).keys():
            raise ValueError
    except (ValueError, IndexError):
        raise InputError(
            f"{at[0]}: not an n-gram model as `speech-mtl lm` writes it",
            expected=f"an ARPA file with {BEGIN}, {END} and {UNKNOWN}, and at most {MOST:,} n-grams of a length",
            received=at[1].strip()[:80] or "an empty file",
            action=action,
        ) from None
    return NGrams(probabilities, backoffs)


def _finite(text: str) -> float:
    value = float(text) * math.log(10)
    if not math.isfinite(value) or value > 1e3:
        raise ValueError
    return value
