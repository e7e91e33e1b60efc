"""Where given tokens lie in an utterance: forced alignment."""

from collections.abc import Sequence

import numpy as np

from speech_mtl.datatypes import BLANK
from speech_mtl.decoding.decoder import Decoded, DecodedToken
from speech_mtl.errors import InputError


def align(log_probabilities: np.ndarray, tokens: Sequence[int]) -> Decoded:
    """The most probable CTC path of an utterance that gives these tokens.

    A token's frames are those in which the path is at it. The score is that of the path, as `Greedy` counts it.

    Reference: Graves et al. 2006, "Connectionist temporal classification", section 4.1, the forward variables with the
    maximum in place of the sum (Viterbi).

    Args:
        log_probabilities: (E, V) of the true encoder frames.
        tokens: (U,) their numbers in the vocabulary, without blanks.

    Raises:
        InputError: There are too few frames for so many tokens.
    """
    num_frames, path_tokens = len(log_probabilities), np.full(2 * len(tokens) + 1, BLANK)
    path_tokens[1::2] = tokens
    skips = np.zeros(len(path_tokens), dtype=bool)  # over the blank between two tokens that differ
    skips[3::2] = path_tokens[3::2] != path_tokens[1:-2:2]
    if num_frames < (needed := len(tokens) + int((~skips[3::2]).sum())):
        raise InputError(
            "The text is too long for the audio",
            expected=f"at most {num_frames} tokens, as many as there are frames; a repeated letter counts as two",
            received=f"{needed} for {len(tokens)} letters and spaces, and {num_frames} frames",
            action="give the audio the text that is spoken in it, and no more",
        )
    steps = np.zeros((num_frames, len(path_tokens)), dtype=np.uint8)  # how many places the best path came from behind
    best = np.full(len(path_tokens) + 2, -np.inf)  # by place, after two that nothing can come from
    best[2] = 0.0
    for frame, emitted in enumerate(log_probabilities):
        came_from = np.stack([best[2:], best[1:-1], np.where(skips, best[:-2], -np.inf)])
        if frame:
            steps[frame] = came_from.argmax(axis=0)
            best[2:] = came_from.max(axis=0)
        else:
            best[3:4] = 0.0  # it begins with the blank or with the first token
        best[2:] += emitted[path_tokens]
    place = len(path_tokens) - 1
    if tokens and best[-2] > best[-1]:
        place -= 1
    places = np.empty(num_frames, dtype=int)
    for frame in reversed(range(num_frames)):
        places[frame] = place
        place -= int(steps[frame, place])
    own = log_probabilities[np.arange(num_frames), path_tokens[places]]
    return Decoded(_tokens(tokens, places, own), float(own.mean()) if num_frames else 0.0)


def _tokens(tokens: Sequence[int], places: np.ndarray, own: np.ndarray) -> tuple[DecodedToken, ...]:
    """Tokens with their frames, from the place of each frame on the path and its log-probability there."""
    numbers = np.arange(len(tokens)) * 2 + 1
    firsts, ends = places.searchsorted(numbers, "left"), places.searchsorted(numbers, "right")
    return tuple(
        DecodedToken(int(number), int(first), int(end) - 1, float(own[first:end].mean()))
        for number, first, end in zip(tokens, firsts, ends, strict=True)
    )
