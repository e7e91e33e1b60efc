"""A network's weights on disk: by name, one file a part, so that a part can be taken into another network."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import keras
import numpy as np
from safetensors import SafetensorError
from safetensors.numpy import load_file, save_file

from speech_mtl.errors import InputError
from speech_mtl.files import replacing
from speech_mtl.models.multitask import MultilingualModel


def save_weights(folder: Path, model: MultilingualModel) -> None:
    """Writes the encoder and every head, each to its own file."""
    save_part(folder / "encoder.safetensors", named_weights(model.encoder))
    for name, head in heads_by_file(model).items():
        save_part(folder / f"{name}.safetensors", named_weights(head))


def load_weights(folder: Path, model: MultilingualModel) -> None:
    """Sets the encoder and every head of the model. Files of other heads are left alone."""
    set_weights(model.encoder, load_part(folder / "encoder.safetensors"), folder / "encoder.safetensors")
    for name, head in heads_by_file(model).items():
        path = folder / f"{name}.safetensors"
        set_weights(head, load_part(path), path)


def heads_by_file(model: MultilingualModel) -> dict[str, keras.layers.Layer]:
    """The heads of languages and of tasks, by the name of their file."""
    languages = {f"heads/{head.name}": head for head in model.heads.heads}
    return languages | {f"tasks/{head.name}": head for head in model.task_heads.heads}


def named_weights(layer: keras.layers.Layer) -> dict[str, np.ndarray]:
    """A layer's weights by their path below it."""
    return {_name(layer, v): np.asarray(keras.ops.convert_to_numpy(v.value)) for v in layer.trainable_variables}


def set_weights(layer: keras.layers.Layer, weights: Mapping[str, np.ndarray], path: Path) -> None:
    """Sets a layer's weights by name. Nothing is set unless everything fits.

    Raises:
        InputError: A weight is missing, left over, or of another shape.
    """
    variables = {_name(layer, v): v for v in layer.trainable_variables}
    for name in sorted(variables.keys() | weights.keys()):
        wanted = tuple(variables[name].shape) if name in variables else None
        found = weights[name].shape if name in weights else None
        if wanted != found:
            raise InputError(
                f"{path} does not fit the network: {name}",
                expected=f"shape {wanted}" if wanted is not None else "no such weight",
                received=f"shape {found}" if found is not None else "no such weight",
                action="use the encoder settings and vocabularies that the weights were trained with",
            )
    for name, variable in variables.items():
        variable.assign(weights[name])


def _name(layer: keras.layers.Layer, variable: keras.Variable) -> str:
    return variable.path.removeprefix(f"{layer.path}/")


def save_part(path: Path, arrays: Mapping[str, np.ndarray]) -> None:
    """Writes named arrays."""
    with replacing(path) as temporary:
        save_file({name: np.asarray(array, order="C") for name, array in arrays.items()}, temporary)


def load_part(path: Path) -> dict[str, np.ndarray]:
    """Reads named arrays.

    Raises:
        InputError: The file is missing or damaged.
    """
    with unreadable("weights", path, SafetensorError):
        return load_file(path)


@contextmanager
def unreadable(what: str, path: Path, *faults: type[Exception]) -> Iterator[None]:
    """Makes faults of a missing or damaged file of a run an `InputError` that names it."""
    try:
        yield
    except (OSError, *faults) as error:
        raise InputError(
            f"The {what} in {path} cannot be read",
            expected="a file that training wrote",
            received=str(error),
            action="copy the run again, or train it again in another folder",
        ) from None
