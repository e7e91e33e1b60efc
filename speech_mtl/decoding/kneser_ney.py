"""Estimates n-gram models from text.

References: Chen and Goodman 1998, "An empirical study of smoothing techniques for language modeling", section 3
(modified Kneser-Ney smoothing, interpolated); Heafield et al. 2013, "Scalable modified Kneser-Ney language model
estimation", section 3, whose `lmplz` gives the same numbers: unigrams are interpolated with a uniform distribution over
all symbols and the unknown one.
"""

import math
from collections import Counter
from collections.abc import Iterable, Sequence

from speech_mtl.decoding.ngrams import BEGIN, END, MOST, UNKNOWN, Gram, NGrams
from speech_mtl.errors import InputError

FALLBACK = (0.5, 1.0, 1.5)
"""Discounts of n-grams seen once, twice, and more often, where there are too few to estimate them from."""


def estimate(sentences: Iterable[Sequence[str]], order: int) -> NGrams:
    """Estimates a model by interpolated modified Kneser-Ney smoothing.

    Args:
        sentences: Each its symbols.
        order: Length of the longest n-grams.

    Raises:
        InputError: There are more n-grams than fit in memory.
    """
    counts = _adjusted_counts(sentences, order)
    symbols = {gram for gram in counts[0] if gram != (BEGIN,)}
    probabilities: list[dict[Gram, float]] = []
    backoffs: dict[Gram, float] = {}
    for own in counts:
        own.pop((BEGIN,), None)
        discounts = (0.0, *_discounts(own))
        totals: Counter[Gram] = Counter()
        left: dict[Gram, float] = {}
        for gram, count in own.items():
            totals[gram[:-1]] += count
            left[gram[:-1]] = left.get(gram[:-1], 0.0) + discounts[min(count, 3)]
        for context in left:
            left[context] /= totals[context]
        uniform: dict[Gram, float] = {(): 1 / (len(symbols) + 1)}
        shorter = probabilities[-1] if probabilities else uniform
        probabilities.append(
            {
                gram: (count - discounts[min(count, 3)]) / totals[gram[:-1]] + left[gram[:-1]] * shorter[gram[1:]]
                for gram, count in own.items()
            }
        )
        if len(probabilities) == 1:
            probabilities[0][(UNKNOWN,)] = left[()] * shorter[()]
        backoffs |= {context: _log(value) for context, value in left.items() if context}
    logs = [{gram: _log(value) for gram, value in own.items()} for own in probabilities]
    logs[0][(BEGIN,)] = _log(0)
    return NGrams([own for own in logs if own], backoffs)


def _adjusted_counts(sentences: Iterable[Sequence[str]], order: int) -> list[Counter[Gram]]:
    """By length: how often the longest n-grams come, and after how many different symbols shorter ones do.

    Those that begin a sentence come after none, and are counted as often as they come.
    """
    counts: list[Counter[Gram]] = [Counter() for _ in range(order)]
    for sentence in sentences:
        symbols = (BEGIN, *sentence, END)
        for n in range(1, min(order, len(symbols) + 1)):
            counts[n - 1][symbols[:n]] += 1
        counts[-1].update(symbols[i : i + order] for i in range(len(symbols) - order + 1))
        if len(counts[-1]) > MOST:
            raise InputError(
                "The text is too large for one n-gram model",
                expected=f"at most {MOST:,} different n-grams of {order} symbols",
                received="more",
                action="give less text, or n-grams of fewer symbols with --order or --token-order",
            )
    for n in range(order - 1, 0, -1):
        counts[n - 1].update(gram[1:] for gram in counts[n])
    return counts


def _discounts(counts: Counter[Gram]) -> tuple[float, ...]:
    """Discounts of n-grams seen once, twice, and more often (Chen and Goodman, equation 26)."""
    seen = Counter(counts.values())
    if not all(seen[k] for k in (1, 2, 3)):
        return FALLBACK
    y = seen[1] / (seen[1] + 2 * seen[2])
    found = tuple(k - (k + 1) * y * seen[k + 1] / seen[k] for k in (1, 2, 3))
    return found if all(0 <= value <= k for k, value in enumerate(found, 1)) else FALLBACK


def _log(probability: float) -> float:
    """Its natural logarithm; of 0 that which ARPA files hold by convention."""
    return math.log(probability) if probability > 0 else -99 * math.log(10)
