"""Frames before a stretch of a stream, as far as it needs them.

A stream goes through the network in stretches of equal length. Each layer whose frames meet keeps the last ones that
it saw, and puts them in front of those of the next stretch: it then computes what it would in the whole utterance.
"""

from collections.abc import Sequence
from typing import Any

from keras import ops


class Past:
    """Frames before a stretch, by layer. Layers ask for theirs in the same order in every stretch.

    Args:
        arrays: `kept` of the stretch before; None at the start of a stream.
        num_features: Feature frames from the start of one stretch to that of the next. A stretch has more: those that
            its last encoder frames and the first ones of the next have in common.
        num_left: Encoder frames before a stretch that those in it attend to.

    Attributes:
        kept: What the next stretch needs, in the order in which layers asked.
    """

    def __init__(self, arrays: Sequence[Any] | None, num_features: int, num_left: int):
        self.num_features, self.num_left = num_features, num_left
        self.kept: list[Any] = []
        self._arrays = None if arrays is None else iter(arrays)

    def before(self, frames, size: int, step=None):
        """Puts the frames before a stretch in front of it: (B, T, ...) -> (B, size + T, ...).

        Args:
            frames: Those of the stretch.
            size: How many of those before it; zeros where the stream has none.
            step: From the start of the stretch to that of the next; None: its length T.
        """
        joined = zeros_before(frames, size)
        if self._arrays is not None:
            joined = ops.concatenate([next(self._arrays), frames], axis=1)
        step = ops.shape(frames)[1] if step is None else step
        self.kept.append(joined[:, step : step + size])
        return joined


def zeros_before(frames, size: int):
    """(B, T, ...) -> (B, size + T, ...)."""
    return ops.pad(frames, ((0, 0), (size, 0), *((0, 0) for _ in frames.shape[2:])))
