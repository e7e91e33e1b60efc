"""The few shapes to which batches are padded where XLA compiles anew for each."""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from speech_mtl.backend import processes
from speech_mtl.backend.step import UNLIMITED, Limits
from speech_mtl.datatypes import Batch, Tokens


def common_size(size: int) -> int:
    """The next of 1, 2, 3, 4, 6, 8, 12, 16, 24 ..."""
    power = 1 << max(0, size - 1).bit_length()
    return power * 3 // 4 if size <= power * 3 // 4 and power >= 4 else power


def in_common_shape(
    batch: Batch, limits: Limits = UNLIMITED, num_encoder_frames: Callable[[int], int] | None = None
) -> Batch:
    """A batch padded with rows, samples and tokens that change neither losses nor gradients.

    Args:
        limits: With a `room`, all batches that are padded to the same length get the same number of rows.
        num_encoder_frames: Of an utterance of so many numbers that the network gets. There are then as many labels of
            frames as an utterance of that length has, and no more tokens.
    """
    num_rows, length = common_shape(batch.waveforms.shape, limits)
    num_frames = int(num_encoder_frames(length)) if limits.room and num_encoder_frames is not None else 0
    num_tokens = min(num_frames, limits.tokens or num_frames)

    def common(size: int, most: int) -> int:
        return max(size, most) if most else common_size(size)

    def filled(values: Any) -> Any:
        if isinstance(values, Tokens):
            size = common(values.ids.shape[1], num_tokens)
            return Tokens(padded(values.ids, (num_rows, size)), padded(values.sizes, (num_rows,)))
        frames = [common(values.shape[1], num_frames)] if values.ndim == 3 else []
        return padded(values, (num_rows, *frames), np.nan)

    return Batch(
        waveforms=padded(batch.waveforms, (num_rows, length)),
        num_samples=padded(batch.num_samples, (num_rows,)),
        language_ids=padded(batch.language_ids, (num_rows,)),
        targets={name: filled(values) for name, values in batch.targets.items()},
    )


def common_shape(shape: Sequence[int], limits: Limits) -> tuple[int, int]:
    """The shape to pad waveforms to: as many rows as any batch has that is padded to the same length.

    Each of several processes has the same number of them, and each of the parts that are computed one by one.
    """
    num_rows, longest = shape
    size = min((length for length in limits.lengths if length >= longest), default=common_size(longest))
    shortest = size if size in limits.lengths else 1 + (size * 3 // 4 if size & (size - 1) == 0 else size * 2 // 3)
    most_rows = limits.room // shortest
    return _whole(most_rows if num_rows <= most_rows else common_size(num_rows), size, limits), size


def _whole(num_rows: int, size: int, limits: Limits) -> int:
    """So many rows or the next number of which each process can have the same, and as many of them at a time."""
    own = -(-num_rows // processes.count())
    num_parts = limits.num_parts(own, size)
    return processes.count() * num_parts * -(-own // num_parts)


def padded(array: np.ndarray, sizes: Sequence[int], value: float = 0) -> np.ndarray:
    """Pads the first axes of an array to these sizes."""
    padding = [(0, size - there) for size, there in zip(sizes, array.shape, strict=False)]
    return np.pad(array, [*padding, *[(0, 0)] * (array.ndim - len(padding))], constant_values=value)
