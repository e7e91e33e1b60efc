"""The best token of every frame."""

import numpy as np

from speech_mtl.decoding.decoder import Decoded, Decoder, decoded_path


class Greedy(Decoder):
    """Takes the most probable path, merges repeats, and removes blanks. The score is that of the path.

    Reference: Graves et al. 2006, "Connectionist temporal classification", section 3.2 ("best path decoding").
    """

    is_settled = True

    def decode(self, log_probabilities: np.ndarray) -> Decoded:
        path, best = log_probabilities.argmax(axis=1), log_probabilities.max(axis=1)
        return Decoded(decoded_path(path, log_probabilities), float(best.mean()) if len(best) else 0.0)
