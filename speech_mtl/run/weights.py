"""Weights on disk: by name, one file a part of the network, so that a part can be taken into another network."""

import os
import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TypeVar

import keras
import numpy as np
from safetensors import SafetensorError
from safetensors.numpy import load_file, save_file

from speech_mtl.errors import InputError
from speech_mtl.files import replacing
from speech_mtl.models.heads import Part

COPY_AGAIN = "copy the run again, or train it again in another folder"
"""Advice for a damaged file of a run."""


def save_weights(folder: Path, parts: Mapping[str, Part]) -> None:
    """Writes every part to a file of its own."""
    for name, part in parts.items():
        arrays = {key: np.asarray(keras.ops.convert_to_numpy(variable.value)) for key, variable in part.items()}
        save_part(part_path(folder, name), arrays)


def load_weights(folder: Path, parts: Mapping[str, Part]) -> None:
    """Sets every part. Files of other parts are left alone.

    Raises:
        InputError: A file is missing or damaged, or of another network. Nothing of that part is set.
    """
    for name, part in parts.items():
        path = part_path(folder, name)
        set_part(part, load_part(path), path)


def part_path(folder: Path, name: str) -> Path:
    """The file of a part."""
    return folder / f"{name}.safetensors"


def part_names(folder: Path) -> list[str]:
    """The parts that a folder holds."""
    paths = sorted(folder.rglob("*.safetensors"))
    return [path.relative_to(folder).with_suffix("").as_posix() for path in paths]


def set_part(part: Part, arrays: Mapping[str, np.ndarray], path: Path) -> None:
    """Sets weights by name; `path` they come from, for messages. Nothing is set unless everything fits.

    Raises:
        InputError: A weight is missing, left over, or of another shape.
    """
    refuse_other_shapes({name: tuple(variable.shape) for name, variable in part.items()}, arrays, path)
    for name, variable in part.items():
        variable.assign(arrays[name])


def refuse_other_shapes(
    shapes: Mapping[str, tuple[int, ...]],
    arrays: Mapping[str, np.ndarray],
    path: Path,
    action: str = "use the encoder settings and vocabularies that the weights were trained with",
) -> None:
    """Checks that arrays from a file have the expected names and shapes.

    Raises:
        InputError: One is missing, left over, or of another shape.
    """
    for name in sorted(shapes.keys() | arrays.keys()):
        wanted, found = shapes.get(name), arrays[name].shape if name in arrays else None
        if wanted != found:
            raise InputError(
                f"{path} does not fit the network: {name}",
                expected=f"shape {wanted}" if wanted is not None else "no such weight",
                received=f"shape {found}" if found is not None else "no such weight",
                action=action,
            )


def save_part(path: Path, arrays: Mapping[str, np.ndarray]) -> None:
    """Writes named arrays.

    Raises:
        OSError: The disk is full, or another error of the system.
    """
    with replacing(path) as temporary:
        try:
            save_file({name: np.asarray(array, order="C") for name, array in arrays.items()}, temporary)
        except SafetensorError as error:
            number = re.search(r"\(os error (\d+)\)", str(error))
            if number is None:
                raise
            raise OSError(int(number[1]), os.strerror(int(number[1])), str(path)) from None


def load_part(path: Path) -> dict[str, np.ndarray]:
    """Reads named arrays.

    Raises:
        InputError: The file is missing or damaged, or holds what is no number.
    """
    try:
        arrays = load_file(path)
    except (OSError, SafetensorError, TypeError, KeyError) as error:
        raise InputError(
            f"The weights in {path} cannot be read",
            expected="a file that training wrote",
            received=str(error),
            action=COPY_AGAIN,
        ) from None
    for name, array in arrays.items():
        if not np.isfinite(array).all():
            raise InputError(
                f"The weights in {path} are not numbers: {name}",
                expected="finite numbers",
                received=f"{np.count_nonzero(~np.isfinite(array)):,} of {array.size:,} that are infinite or no number",
                action=COPY_AGAIN,
            )
    return arrays


_Read = TypeVar("_Read")


NUMBER = re.compile("[0-9]{1,12}")
"""Names of folders that hold the state after so many updates."""


def newest(folder: Path) -> Path | None:
    """The folder in another one whose name is the highest number; None if there is none."""
    finished = [path for path in folder.glob("*") if NUMBER.fullmatch(path.name) and path.is_dir()]
    return max(finished, key=lambda path: int(path.name), default=None)


def of_newest(folder: Path, read: Callable[[Path | None], _Read]) -> _Read:
    """Reads from the newest folder, and again if a newer one has replaced it meanwhile."""
    number = newest(folder)
    try:
        return read(number)
    except InputError:
        if newest(folder) == number:
            raise
        return of_newest(folder, read)
