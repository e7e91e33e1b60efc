"""Arrays over the devices of several processes: of a batch each holds its rows, of all else a copy.

Outside of compiled steps all arrays are those of one process. With a single process nothing is changed.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, nullcontext
from functools import cache
from typing import Any

import jax  # pyright: ignore[reportMissingImports]
import numpy as np
from jax.sharding import Mesh, NamedSharding, PartitionSpec  # pyright: ignore[reportMissingImports]

from speech_mtl.backend.processes import ProcessLost, connected
from speech_mtl.errors import InputError


def own_rows(num_rows: int) -> range:
    """The rows that this process has of so many, which all processes can have the same part of."""
    size, index = num_rows // jax.process_count(), jax.process_index()
    return range(index * size, (index + 1) * size)


def replicated() -> Any:
    """Where results lie: each process gets them all. None for one process: where JAX puts them."""
    return _sharding(None) if jax.process_count() > 1 else None


def by_rows(batch: Any) -> Any:
    """A batch, of which this process has read its rows -> that of all processes. No other row is looked at.

    One process copies it to its device.
    """
    if jax.process_count() == 1:
        return jax.device_put(batch)

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


@contextmanager
def together() -> Iterator[None]:
    """For a block in which all processes compute the same step, each its rows.

    Raises:
        ProcessLost: Another process has ended.
        InputError: The device has too little memory.
    """
    several = jax.process_count() > 1
    try:
        with connected() if several else nullcontext(), jax.set_mesh(_mesh()) if several else nullcontext():
            yield
    except (RuntimeError, ProcessLost) as error:
        told = error.received if isinstance(error, ProcessLost) else str(error)
        if not told.startswith("RESOURCE_EXHAUSTED"):
            raise
        raise InputError(
            "The device has too little memory for a batch",
            expected="room for the weights, and for what the network computes of data.batch_s seconds of speech",
            received=told.partition("\n")[0],
            action="set training.part_s to fewer seconds, training.recompute=true, or training.precision=bfloat16, or "
            "lower data.batch_s; the last checkpoint is intact, and training resumes from there",
        ) from error


def over_rows(function: Callable[[Any], Any]) -> Callable[[Any], Any]:
    """A function of rows, as `together` is to compute it: by each process of its own rows.

    For what XLA would otherwise compute of all rows in every process, such as a Fourier transform.
    """
    if jax.sharding.get_abstract_mesh().empty:
        return function
    rows = PartitionSpec("rows")
    return jax.shard_map(function, in_specs=rows, out_specs=rows)


@cache
def _mesh() -> Mesh:
    """One device of each process, in their order."""
    first = {device.process_index: device for device in reversed(jax.devices())}
    return Mesh(np.array([first[index] for index in range(jax.process_count())]), ("rows",))


@cache
def _sharding(axis: str | None) -> NamedSharding:
    """By rows over the processes, or the same in all."""
    return NamedSharding(_mesh(), PartitionSpec(axis) if axis else PartitionSpec())
