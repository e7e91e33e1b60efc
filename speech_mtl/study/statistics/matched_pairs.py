"""The matched-pairs test on words (MAPSSWE): whether one system has fewer errors than another on one test set."""

import math
from collections.abc import Sequence

import numpy as np

from speech_mtl.scoring.error_rate import align


def mapsswe(
    references: Sequence[str], hypotheses_a: Sequence[str], hypotheses_b: Sequence[str], spaced: bool = True
) -> float:
    """The matched-pairs sentence-segment word error test.

    Gillick & Cox, "Some statistical issues in the comparison of speech recognition algorithms", ICASSP 1989, section 3;
    Pallett et al., "Tools for the analysis of benchmark speech recognition tests", ICASSP 1990. Errors of one
    utterance are not independent, but errors with some words between them that both systems got right are nearly so.
    Utterances are cut at such stretches, and the errors of A and B are compared segment by segment. A segment without
    errors is none. An insertion is an error between two words, and parts them.

    As in NIST's `sc_stats` two words make a stretch, the variance is divided by the number of segments less one, and z
    is taken as normal. We differ in three points:

    - Alignments have the fewest edits, as in `score`; `sc_stats` weighs substitutions 4, insertions and deletions 3.
    - Insertions after the last word count, whichever system made them; `sc_stats` passes over them where only the
      second system did.
    - If the difference is the same in all segments, z has no variance to be divided by; `sc_stats` calls that no
      difference. We take the variance about zero instead, as it is if there is no true difference: z is the square root
      of the number of segments, as in a sign test.

    The normal distribution needs a few dozen segments. The test knows nothing of speakers or seeds.

    Args:
        references: (N,) texts in normalised form; empty ones are allowed.
        hypotheses_a: (N,) of system A.
        hypotheses_b: (N,) of system B.
        spaced: Whether spaces separate words (`Tokenizer.spaced`). If not, characters are taken for words, as in
            `score`.

    Returns:
        z: the mean difference of a segment, errors of B less errors of A, in units of its standard error; 0 if there
        are fewer than 2 segments.
    """
    differences = segment_differences(references, hypotheses_a, hypotheses_b, spaced)
    mean = float(differences.mean()) if len(differences) > 1 else 0.0
    return mean / (float(differences.std(ddof=1)) or abs(mean)) * math.sqrt(len(differences)) if mean else 0.0


def segment_differences(
    references: Sequence[str],
    hypotheses_a: Sequence[str],
    hypotheses_b: Sequence[str],
    spaced: bool,
    min_correct: int = 2,
) -> np.ndarray:
    """Errors of B less errors of A in each segment; `min_correct` words in a row, right in both, end one."""
    pairs = zip(_errors(references, hypotheses_a, spaced), _errors(references, hypotheses_b, spaced), strict=True)
    return np.array([difference for a, b in pairs for difference in _of_utterance(a, b, min_correct)])


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


def _of_utterance(errors_a: dict[int, int], errors_b: dict[int, int], min_correct: int) -> list[int]:
    """Errors of B less errors of A in each segment of an utterance."""
    differences: list[int] = []
    last = None
    for place in sorted(errors_a.keys() | errors_b.keys()):
        if last is None or place // 2 - (last + 1) // 2 >= min_correct:  # words between the two places
            differences.append(0)
        differences[-1] += errors_b.get(place, 0) - errors_a.get(place, 0)
        last = place
    return differences
