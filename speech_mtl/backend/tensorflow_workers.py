"""Parts of a batch that threads compute side by side under TensorFlow."""

import os
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import tensorflow as tf

from speech_mtl.backend.step import UNLIMITED, Limits, rows_by_part
from speech_mtl.datatypes import Batch, Outputs


class Workers:
    """Threads that compute the parts of a batch side by side; see `speech_mtl.backend.thread_variables`."""

    def __init__(self):
        one_each = os.environ.get("TF_NUM_INTRAOP_THREADS") == "1" and not tf.config.list_physical_devices("GPU")
        self.number = max(1, int(os.environ.get("TF_NUM_INTEROP_THREADS", "1"))) if one_each else 1
        self._pool = ThreadPoolExecutor(self.number) if self.number > 1 else None

    def split(
        self, batch: Batch, num_inputs: Callable[[int], int], limits: Limits = UNLIMITED
    ) -> tuple[list[Batch], np.ndarray]:
        """The parts of a batch, and the (B,) rows that they have of it, part after part; `num_inputs` as of `Batch.of`.

        As many parts are computed at once as there are threads: together they are no larger than a part may be.
        """
        num_parts = self.number * limits.num_parts(*batch.waveforms.shape)
        if num_parts == 1:
            return [batch], np.arange(len(batch.num_samples))
        rows = rows_by_part(batch.num_samples, num_parts)
        return [batch.of(own, num_inputs) for own in rows], np.concatenate(rows)

    def call(self, function: Callable, jobs: Sequence[tuple]) -> Iterable:
        """Its results for these arguments, in their order."""
        return (self._pool.map if self._pool and len(jobs) > 1 else map)(lambda job: function(*job), jobs)


def joined(parts: Sequence[Outputs], rows: np.ndarray) -> Outputs:
    """The outputs of a batch, from those of its parts, which are of these rows of it."""
    if len(parts) == 1:
        return parts[0]
    num_frames, order = np.concatenate([part.num_frames for part in parts]), np.argsort(rows)

    def together(*arrays: tf.Tensor) -> np.ndarray:
        if arrays[0].ndim == 3:  # frames of a part are as many as those of its longest utterance
            size = num_frames.max()
            arrays = tuple(tf.pad(one, [[0, 0], [0, max(0, size - one.shape[1])], [0, 0]])[:, :size] for one in arrays)
        return np.concatenate(arrays)[order]

    values = {name: together(*(part.values[name] for part in parts)) for name in parts[0].values}
    return Outputs(values, num_frames[order])
