"""Unfreezing: which layers are trained, when, and how fast; one way per class.

Layers are numbered by depth: 0 is the subsampling, then come the encoder's blocks from the bottom to the top, and last
whatever belongs to one language or task: output layers, adapters. A way assigns depths to layer groups, and gives each
group a factor of the learning rate at every update; a group whose factor is 0 does not change at all.

To add one, write a subclass of `Unfreezing`, and a kind of `UnfreezingSettings` that names it.
`tests/training/test_unfreezing.py` finds it by itself.
"""

from abc import ABC, abstractmethod

import numpy as np


class Unfreezing(ABC):
    """Base of all ways.

    Args:
        num_depths: Depths of the network; the last one is that of the heads.
    """

    def __init__(self, num_depths: int):
        self.num_depths = num_depths

    def group(self, depth: int) -> int | None:
        """The layer group of a depth; None for layers that are never trained."""
        return depth

    @abstractmethod
    def factors(self, update: int) -> np.ndarray:
        """(G,) factor of each layer group's learning rate at an update, counted from 0."""

    def _is_head(self, depth: int) -> bool:
        return depth == self.num_depths - 1


class All(Unfreezing):
    """All layers from the first update on, all at the same rate."""

    def group(self, depth: int) -> int | None:  # noqa: ARG002
        return 0

    def factors(self, update: int) -> np.ndarray:  # noqa: ARG002
        return np.ones(1)


class Heads(Unfreezing):
    """Trains only heads and language-specific layers; shared layers do not change at all."""

    def group(self, depth: int) -> int | None:
        return 0 if self._is_head(depth) else None

    def factors(self, update: int) -> np.ndarray:  # noqa: ARG002
        return np.ones(1)


class HeadsFirst(Unfreezing):
    """First the heads alone, so that random heads do not disturb the encoder; then everything.

    Reference: Kumar et al. 2022, "Fine-tuning can distort pretrained features and underperform out-of-distribution",
    section 3.4 (linear probing, then fine-tuning).

    Args:
        num_updates: Of the heads alone.
    """

    def __init__(self, num_depths: int, num_updates: int):
        super().__init__(num_depths)
        self.num_updates = num_updates

    def group(self, depth: int) -> int | None:
        return int(self._is_head(depth))

    def factors(self, update: int) -> np.ndarray:
        return np.array([float(update >= self.num_updates), 1.0])


class Gradual(Unfreezing):
    """The heads first, then one layer more at a time, from the top to the bottom.

    Reference: Howard and Ruder 2018, "Universal language model fine-tuning for text classification", section 3.3
    (gradual unfreezing). We differ in counting updates and not epochs.

    Args:
        num_updates: After which each next layer is trained, too.
    """

    def __init__(self, num_depths: int, num_updates: int):
        super().__init__(num_depths)
        self.num_updates = num_updates

    def factors(self, update: int) -> np.ndarray:
        height = self.num_depths - 1 - np.arange(self.num_depths)  # 0 at the heads
        return (update >= height * self.num_updates).astype(float)


class Layerwise(Unfreezing):
    """All layers at once, each at a lower rate than the one above it.

    Reference: Howard and Ruder 2018, section 3.2 (discriminative fine-tuning), whose factor is 1 / 2.6.

    Args:
        decay: The rate of a layer as a fraction of that of the layer above.
    """

    def __init__(self, num_depths: int, decay: float):
        super().__init__(num_depths)
        self.decay = decay

    def factors(self, update: int) -> np.ndarray:  # noqa: ARG002
        return self.decay ** (self.num_depths - 1.0 - np.arange(self.num_depths))
