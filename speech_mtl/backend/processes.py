"""Several processes that train one network: each has a device, and rows of every batch. Only JAX has them.

The functions here hold for one process, too, under any backend: it is the first, and waits for nobody.
"""

import json
import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from speech_mtl.errors import InputError

VARIABLE = "SPEECH_MTL_PROCESS"
"""The environment variable in which a process finds its `Place`."""

_OF_THE_RUNTIME = re.compile(r"[A-Z_]{5,}: ")
"""How XLA begins messages about what it runs, whatever the type of the exception: `UNKNOWN: Gloo AllGather failed`."""


class ProcessLost(InputError):
    """Another process has ended, or cannot be reached."""


@dataclass(frozen=True)
class Place:
    """The place of a process among those that train together.

    Attributes:
        index: From 0; the first one writes the run.
        count: How many there are.
        coordinator: `host:port` at which they meet; the first one listens there.
        device: Which of its machine's accelerators it takes, from 0.
        is_local: Whether all are on one machine.
    """

    index: int
    count: int
    coordinator: str
    device: int
    is_local: bool

    def to_environment(self) -> dict[str, str]:
        """The environment variable that tells a new process its place."""
        return {VARIABLE: json.dumps(asdict(self))}


def own_place() -> Place | None:
    """The place that this process was given; None if it trains alone."""
    told = os.environ.get(VARIABLE)
    return Place(**json.loads(told)) if told else None


def join(place: Place) -> None:
    """Meets the other processes; to be called before anything uses a device.

    Raises:
        ProcessLost: They do not all come.
        InputError: There is no device for this one.
    """
    jax = _jax()
    jax.config.update("jax_cpu_collectives_implementation", "gloo")
    with connected():
        jax.distributed.initialize(
            place.coordinator,
            place.count,
            place.index,
            local_device_ids=[place.device],
            coordinator_bind_address=place.coordinator if place.is_local else None,
        )
        _refuse_without_device(place)
        _multihost().sync_global_devices("joined")


def _refuse_without_device(place: Place) -> None:
    try:
        _jax().local_devices()
    except RuntimeError as error:
        raise InputError(
            f"Process {place.index} of {place.count} has no device",
            expected="an accelerator for each process of a machine",
            received=f"for number {place.device}, from 0: {error}",
            action="start no more --processes than there are; or set JAX_PLATFORMS=cpu",
        ) from error


def count() -> int:
    """How many processes train together."""
    return _jax().process_count() if _is_jax() else 1


def is_first() -> bool:
    """Whether this process is the one that writes, validates and reports."""
    return not _is_jax() or _jax().process_index() == 0


def wait(name: str) -> None:
    """Waits until all processes have come to the point of this name.

    Raises:
        ProcessLost: Another process has ended.
    """
    if count() > 1:
        with connected():
            _multihost().sync_global_devices(name)


def of_first(values: np.ndarray) -> np.ndarray:
    """An array as the first process has it; the others give one of the same shape and type.

    Raises:
        ProcessLost: Another process has ended.
    """
    if count() == 1:
        return values
    content = np.frombuffer(values.tobytes(), np.uint8)  # JAX would round 64 bits to 32
    with connected():
        content = np.asarray(_multihost().broadcast_one_to_all(content))
    return np.frombuffer(content.tobytes(), values.dtype).reshape(values.shape)


@contextmanager
def connected() -> Iterator[None]:
    """Turns errors of the runtime in the block, which processes compute together, into a `ProcessLost`.

    The transport between CPUs reports a lost process as a ValueError.
    """
    try:
        yield
    except (RuntimeError, ValueError) as error:
        if not _OF_THE_RUNTIME.match(str(error)):
            raise
        raise ProcessLost(
            "Another process of this training has ended, or cannot be reached",
            expected="all processes until training has ended",
            received=str(error).partition("\n")[0],
            action="see what the others report, then start the command again on every host: training resumes from the "
            "last checkpoint, with any number of processes",
        ) from error


def _is_jax() -> bool:
    import keras  # not above: `join` comes before it

    return keras.backend.backend() == "jax"


def _jax() -> Any:
    import jax  # pyright: ignore[reportMissingImports]

    return jax


def _multihost() -> Any:
    from jax.experimental import multihost_utils  # pyright: ignore[reportMissingImports]

    return multihost_utils
