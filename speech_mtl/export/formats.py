"""The formats that a network is exported to, by name. To add one, write the two functions and enter them."""

from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import numpy as np

from speech_mtl.export import litert, onnx_format, saved_model
from speech_mtl.export.network import LanguageNetwork


class Format(NamedTuple):
    """A format.

    Attributes:
        write: (network, folder, whether weights are stored in 8 bits) -> the file or folder that was written there.
        read: folder -> a function of a waveform (S,) that gives its log-probabilities (E, V), on one processor.
    """

    write: Callable[[LanguageNetwork, Path, bool], Path]
    read: Callable[[Path], Callable[[np.ndarray], np.ndarray]]


FORMATS = {
    "onnx": Format(onnx_format.write, onnx_format.read),
    "savedmodel": Format(saved_model.write, saved_model.read),
    "litert": Format(litert.write, litert.read),
}
"""Every format; the first is the usual one."""
