"""Where given tokens lie in an utterance: forced alignment."""

from collections.abc import Sequence

import numpy as np

from speech_mtl.datatypes import BLANK
from speech_mtl.decoding.decoder import Decoded, DecodedToken
from speech_mtl.errors import InputError


def align(log_probabilities: np.ndarray, tokens: Sequence[int], stride: int | None = None) -> Decoded:
    """The most probable CTC path of a recording that gives these tokens.

    A token's frames are those in which the path is at it. The score is that of the path, as `Greedy` counts it.

    Reference: Graves et al. 2006, "Connectionist temporal classification", section 4.1, the forward variables with the
    maximum in place of the sum (Viterbi). They are kept for every `stride`-th frame alone, as in Grice et al. 1997,
    "Reduced space sequence alignment". We go back from one of these to the one before, working out the steps between
    them for the places from which so many frames can lead, two a frame: 2 `stride`² of these. So the path is exact,
    memory grows with (E U)^(2/3), and what is done twice is little.

    Args:
        log_probabilities: (E, V) of the true encoder frames. Minus infinity forbids a token.
        tokens: (U,) their numbers in the vocabulary, without blanks.
        stride: Frames between those of which all places are kept; None: where least memory is needed.

    Raises:
        InputError: There are too few frames for so many tokens.
    """
    num_frames, path_tokens = len(log_probabilities), np.full(2 * len(tokens) + 1, BLANK)
    path_tokens[1::2] = tokens
    skips = np.zeros(len(path_tokens), dtype=bool)  # over the blank between two tokens that differ
    skips[3::2] = path_tokens[3::2] != path_tokens[1:-2:2]
    needed = len(tokens) + int((~skips[3::2]).sum())
    skips[1:2] = True  # a path may begin with the first token
    every = stride or 1 + round((num_frames * len(path_tokens)) ** (1 / 3))
    lattice = _Lattice(log_probabilities, path_tokens, np.where(skips, 0.0, -np.inf))
    kept, best = [], lattice.start()
    for frame in range(num_frames):
        if frame % every == 0:
            kept.append(best[2:].copy())
        lattice.advance(best, frame, 0)
    place = len(path_tokens) - 1
    if tokens and best[-2] > best[-1]:
        place -= 1
    if num_frames < needed or (num_frames and not np.isfinite(best[place + 2])):
        raise InputError(
            "The text is too long for the audio",
            expected=f"at most {num_frames} tokens, as many as there are frames; a repeated letter counts as two",
            received=f"{needed} for {len(tokens)} letters and spaces, and {num_frames} frames",
            action="give the audio the text that is spoken in it, and no more",
        )
    places = np.empty(num_frames, dtype=int)
    for number in reversed(range(len(kept))):
        frames = range(number * every, min((number + 1) * every, num_frames))
        place = lattice.trace(kept.pop(), frames, place, places)
    own = log_probabilities[np.arange(num_frames), path_tokens[places]]
    return Decoded(_tokens(tokens, places, own), float(own.mean(dtype=float)) if num_frames else 0.0)


class _Lattice:
    """Places of a path, over frames.

    Scores are by place, after two that nothing can come from. Before the first frame a path is as if at a place before
    the first, from which it reaches the first blank or the first token.
    """

    def __init__(self, log_probabilities: np.ndarray, path_tokens: np.ndarray, skips: np.ndarray):
        self._log_probabilities, self._path_tokens, self._skips = log_probabilities, path_tokens, skips

    def start(self) -> np.ndarray:
        best = np.full(len(self._path_tokens) + 2, -np.inf)
        best[1] = 0.0
        return best

    def advance(self, best: np.ndarray, frame: int, first: int) -> tuple[np.ndarray, np.ndarray]:
        """Replaces the scores of places from `first` on by those after a frame.

        Returns:
            Where the best path came from the place before, and where it came from the one before that.
        """
        size = len(best) - 2
        places = slice(first, first + size)
        skipped = best[:-2] + self._skips[places]
        stepped = best[1:-1].copy()
        stay = best[2:]
        is_step = stepped > stay
        np.maximum(stay, stepped, out=stay)
        is_skip = skipped > stay
        np.maximum(stay, skipped, out=stay)
        stay += self._log_probabilities[frame][self._path_tokens[places]]
        best[:2] = -np.inf
        return is_step, is_skip

    def trace(self, kept: np.ndarray, frames: range, place: int, places: np.ndarray) -> int:
        """Follows the best path from its place in the last of some frames back to the first, and enters its places.

        Args:
            kept: (2 U + 1,) scores before the first of the frames.
            frames: Their numbers.
            place: That in the last of them.
            places: (E,) of all frames.

        Returns:
            The place before the first of them.
        """
        first = max(0, place - 2 * len(frames))
        best = np.concatenate([self.start()[:2] if frames[0] == 0 else [-np.inf] * 2, kept[first : place + 1]])
        steps = np.empty((len(frames), place + 1 - first), dtype=np.uint8)
        for row, frame in enumerate(frames):
            is_step, is_skip = self.advance(best, frame, first)
            steps[row] = np.where(is_skip, 2, is_step)
        for row in reversed(range(len(frames))):
            places[frames[row]] = place
            place -= int(steps[row, place - first])
        return place


def _tokens(tokens: Sequence[int], places: np.ndarray, own: np.ndarray) -> tuple[DecodedToken, ...]:
    """Tokens with their frames, from the place of each frame on the path and its log-probability there."""
    numbers = np.arange(len(tokens)) * 2 + 1
    firsts, ends = places.searchsorted(numbers, "left"), places.searchsorted(numbers, "right")
    return tuple(
        DecodedToken(int(number), int(first), int(end) - 1, float(own[first:end].mean()))
        for number, first, end in zip(tokens, firsts, ends, strict=True)
    )
