"""CTC logits -> tokens."""

import numpy as np

from speech_mtl.datatypes import BLANK


def greedy(logits: np.ndarray, num_frames: np.ndarray) -> list[tuple[list[int], float]]:
    """The best token of every frame, repeats merged, blanks removed.

    Args:
        logits: (B, E, V).
        num_frames: (B,) true encoder frames.

    Returns:
        For each utterance its tokens, and the mean log-probability per frame of the best path (0 without frames).

    Reference: Graves et al. 2006, "Connectionist temporal classification", section 3.2 ("best path decoding").
    """
    best = logits.argmax(axis=2)
    top = logits.max(axis=2)
    scores = -np.log(np.exp(logits - top[:, :, None]).sum(axis=2))
    decoded = []
    for frames, score, size in zip(best, scores, num_frames, strict=True):
        path = frames[:size]
        changes = np.flatnonzero(np.diff(path, prepend=-1))
        tokens = [int(token) for token in path[changes] if token != BLANK]
        decoded.append((tokens, float(score[:size].mean()) if size else 0.0))
    return decoded
