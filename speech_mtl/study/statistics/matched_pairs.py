"""The matched-pairs test on words (MAPSSWE): whether one system has fewer errors than another on one test set."""

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from speech_mtl.errors import InputError
from speech_mtl.scoring.error_rate import align
from speech_mtl.study.statistics.summary import two_sided


class MatchedPairs(NamedTuple):
    """Result of the matched-pairs test in segments with an error of either system.

    `mean_difference`: errors of B less errors of A per segment; `z`: in units of its standard error, 0 if there are
    fewer than 2 segments; `p_value`: two-sided.
    """

    num_segments: int
    mean_difference: float
    z: float
    p_value: float


def mapsswe(
    references: Sequence[str],
    hypotheses_a: Sequence[str],
    hypotheses_b: Sequence[str],
    spaced: bool = True,
    min_correct: int = 2,
) -> MatchedPairs:
    """The matched-pairs sentence-segment word error test.

    Gillick & Cox, "Some statistical issues in the comparison of speech recognition algorithms", ICASSP 1989, section 3;
    Pallett et al., "Tools for the analysis of benchmark speech recognition tests", ICASSP 1990. Errors of one
    utterance are not independent, but errors with some words between them that both systems got right are nearly so.
    Utterances are cut at such stretches, and the errors of A and B are compared segment by segment. A segment without
    errors is none. An insertion is an error between two words, and parts them.

    As in NIST's `sc_stats` two words make a stretch, the variance is divided by the number of segments less one, and z
    is taken as normal. We differ in four points:

    - Alignments have the fewest edits, as in `score`; `sc_stats` weighs substitutions 4, insertions and deletions 3.
    - Insertions after the last word count, whichever system made them; `sc_stats` passes over them where only the
      second system did.
    - If the difference is the same in all segments, z has no variance to be divided by; `sc_stats` calls that no
      difference. We take the variance about zero instead, as it is if there is no true difference: z is the square root
      of the number of segments, as in a sign test.
    - The p-value is given, not only whether it is below 5 %.

    The normal distribution needs a few dozen segments. The test knows nothing of speakers or seeds.

    Args:
        references: (N,) texts in normalised form; empty ones are allowed.
        hypotheses_a: (N,) of system A.
        hypotheses_b: (N,) of system B.
        spaced: Whether spaces separate words (`Tokenizer.spaced`). If not, characters are taken for words, as in
            `score`.
        min_correct: How many words in a row, right in both, end a segment.

    Raises:
        InputError: There is no utterance, or not one hypothesis of each system for every reference.
    """
    if not references or not len(references) == len(hypotheses_a) == len(hypotheses_b):
        raise InputError(
            "References and hypotheses do not match" if references else "Nothing to compare",
            expected="at least one reference, and a hypothesis of each system for each",
            received=f"{len(references)} references, {len(hypotheses_a)} and {len(hypotheses_b)} hypotheses",
            action="give every utterance of the split one hypothesis of each system, empty if nothing was recognised",
        )
    pairs = zip(_errors(references, hypotheses_a, spaced), _errors(references, hypotheses_b, spaced), strict=True)
    differences = np.array([difference for a, b in pairs for difference in _segment_differences(a, b, min_correct)])
    if len(differences) < 2:
        return MatchedPairs(len(differences), float(differences.sum()), z=0.0, p_value=1.0)
    mean = float(differences.mean())
    deviation = float(differences.std(ddof=1)) or abs(mean)
    z = mean / deviation * math.sqrt(len(differences)) if mean else 0.0
    return MatchedPairs(len(differences), mean, z, p_value=two_sided(z))


def _errors(references: Sequence[str], hypotheses: Sequence[str], spaced: bool) -> list[dict[int, int]]:
    """Number of errors by place, for each utterance: word i is at place 2i + 1, insertions before it are at 2i."""
    utterances = []
    for alignment in align(references, hypotheses, spaced).alignments:
        errors = {}
        for chunk in alignment:
            if chunk.type == "insert":
                errors[2 * chunk.ref_start_idx] = chunk.hyp_end_idx - chunk.hyp_start_idx
            elif chunk.type != "equal":
                errors |= dict.fromkeys(range(2 * chunk.ref_start_idx + 1, 2 * chunk.ref_end_idx, 2), 1)
        utterances.append(errors)
    return utterances


def _segment_differences(errors_a: dict[int, int], errors_b: dict[int, int], min_correct: int) -> list[int]:
    """Errors of B less errors of A in each segment of an utterance."""
    differences: list[int] = []
    last = None
    for place in sorted(errors_a.keys() | errors_b.keys()):
        if last is None or place // 2 - (last + 1) // 2 >= min_correct:  # words between the two places
            differences.append(0)
        differences[-1] += errors_b.get(place, 0) - errors_a.get(place, 0)
        last = place
    return differences
