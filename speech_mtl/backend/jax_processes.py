"""Arrays over the devices of several processes: of a batch each holds its rows, of all else a copy.

Outside of compiled steps all arrays are those of one process. With a single process nothing is changed.
"""

from collections.abc import Sequence
from functools import cache
from typing import Any

import jax  # pyright: ignore[reportMissingImports]
import numpy as np
from jax.sharding import Mesh, NamedSharding, PartitionSpec  # pyright: ignore[reportMissingImports]


def whole(num_rows: int) -> int:
    """So many rows or the next number of which each process can have the same part."""
    return -(-num_rows // jax.process_count()) * jax.process_count()


def own_rows(num_rows: int) -> range:
    """The rows that this process has of so many, which all processes can have the same part of."""
    size, index = num_rows // jax.process_count(), jax.process_index()
    return range(index * size, (index + 1) * size)


def replicated() -> Any:
    """Where results lie: each process gets them all. None for one process: where JAX puts them."""
    return _sharding(None) if jax.process_count() > 1 else None


def by_rows(batch: Any) -> Any:
    """A batch, of which this process has read its rows -> that of all processes. No other row is looked at."""
    if jax.process_count() == 1:
        return batch

    def placed(array: np.ndarray) -> jax.Array:
        return jax.make_array_from_callback(array.shape, _sharding("rows"), lambda index: array[index])

    return jax.tree.map(placed, batch)


def of_all(values: Sequence[jax.Array]) -> list[jax.Array]:
    """Arrays that are the same in every process -> those of all processes; nothing is copied."""
    if jax.process_count() == 1:
        return list(values)
    return [jax.make_array_from_single_device_arrays(one.shape, _sharding(None), [one]) for one in values]


def of_this(values: Sequence[jax.Array]) -> list[jax.Array]:
    """The opposite of `of_all`."""
    return list(values) if jax.process_count() == 1 else [one.addressable_data(0) for one in values]


@cache
def _sharding(axis: str | None) -> NamedSharding:
    """Over one device of each process, in their order: by rows, or the same on all."""
    first = {device.process_index: device for device in reversed(jax.devices())}
    mesh = Mesh(np.array([first[index] for index in range(jax.process_count())]), ("rows",))
    return NamedSharding(mesh, PartitionSpec(axis) if axis else PartitionSpec())
