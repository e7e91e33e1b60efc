"""How a device spends its time, from JAX's profile of it."""

import re
import tempfile
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import NamedTuple

KINDS = {
    "convolutions": r"convol|cudnn|fprop|dgrad|wgrad",
    "matrix products": r"gemm|nvjet|cutlass|cublas|splitk|(^|_)dot",
    "copies": r"memcpy|memset|copy|transpose|concatenate|(^|_)pad",
    "reductions": r"reduc|softmax",
}
"""By what the name of a kernel holds, the first that does; all others are elementwise."""
OTHER, NOTHING = "elementwise", "nothing"


class Kernel(NamedTuple):
    """What ran on a device: its name, when it began and how long it took."""

    name: str
    start_ns: float
    duration_ns: float


def profiled(function: Callable[[], object]) -> list[Kernel]:
    """The kernels of a GPU while a function runs; none without a GPU."""
    import jax  # pyright: ignore[reportMissingImports]

    with tempfile.TemporaryDirectory() as folder:
        with jax.profiler.trace(folder):
            function()
        found = list(Path(folder).rglob("*.xplane.pb"))
        planes = [plane for path in found for plane in jax.profiler.ProfileData.from_file(str(path)).planes]
        return [
            Kernel(event.name, event.start_ns, event.duration_ns)
            for plane in planes
            if plane.name.startswith("/device:GPU")
            for line in plane.lines
            if line.name.startswith("Stream")  # the other lines tell the same by the operations that asked for it
            for event in line.events
        ]


def shares(kernels: Iterable[Kernel]) -> dict[str, float]:
    """The share of the time from the first kernel's start to the last one's end that each kind took.

    Kernels that run side by side count each by itself; `NOTHING` is the time in which none ran.
    """
    ordered = sorted(kernels, key=lambda kernel: kernel.start_ns)
    if not ordered:
        return {}
    took = dict.fromkeys([*KINDS, OTHER, NOTHING], 0.0)
    until = ordered[0].start_ns
    for kernel in ordered:
        took[kind_of(kernel.name)] += kernel.duration_ns
        took[NOTHING] += max(0.0, kernel.start_ns - until)
        until = max(until, kernel.start_ns + kernel.duration_ns)
    whole = until - ordered[0].start_ns
    return {kind: round(ns / whole, 3) for kind, ns in took.items()}


def kind_of(name: str) -> str:
    """The kind of a kernel."""
    return next((kind for kind, pattern in KINDS.items() if re.search(pattern, name.lower())), OTHER)
