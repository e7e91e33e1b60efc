"""The best token of every frame."""

import numpy as np

from speech_mtl.datatypes import BLANK
from speech_mtl.decoding.decoder import Decoded, DecodedToken, Decoder


class Greedy(Decoder):
    """Takes the most probable path, merges repeats, and removes blanks. The score is that of the path.

    Reference: Graves et al. 2006, "Connectionist temporal classification", section 3.2 ("best path decoding").
    """

    is_settled = True

    def decode(self, log_probabilities: np.ndarray) -> Decoded:
        path, best = log_probabilities.argmax(axis=1), log_probabilities.max(axis=1)
        firsts = np.flatnonzero(np.diff(path, prepend=-1)).tolist()
        lasts = np.flatnonzero(np.diff(path, append=-1)).tolist()
        tokens = tuple(
            DecodedToken(int(path[first]), first, last, float(best[first : last + 1].mean()))
            for first, last in zip(firsts, lasts, strict=True)
            if path[first] != BLANK
        )
        return Decoded(tokens, float(best.mean()) if len(best) else 0.0)
