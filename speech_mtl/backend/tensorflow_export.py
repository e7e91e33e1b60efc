"""Networks in other formats, by way of TensorFlow's graphs: SavedModel, ONNX and LiteRT."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf

from speech_mtl.backend import held_back

Function = Callable[..., Any]
"""Takes and gives tensors of Keras."""

Shapes = Sequence[tuple[str, Sequence[int | None], str]]
"""Name, shape and type of each input."""


def save_model(function: Function, inputs: Shapes, folder: Path) -> None:
    """Writes a SavedModel with the weights that the function uses; `function` gives outputs by name."""
    module: Any = tf.Module()
    module.serve = _traced(function, inputs)
    module.weights = list(module.serve.get_concrete_function().variables)
    tf.saved_model.save(module, str(folder), signatures={"serving_default": module.serve})


def onnx_graph(function: Function, inputs: Shapes, opset: int) -> Any:
    """The function as an ONNX `ModelProto`."""
    import tf2onnx

    def erfc(context, node, _name, _arguments):
        """1 - erf, which ONNX has."""
        (before,), name = node.input, node.name
        one = context.make_const(f"{name}/one", np.array([1.0], "float32"))
        erf = context.make_node("Erf", [before])
        context.remove_node(name)
        context.make_node("Sub", [one.output[0], erf.output[0]], outputs=node.output, name=name)

    proto, _ = tf2onnx.convert.from_function(
        _traced(function, inputs), _specs(inputs), opset=opset, custom_op_handlers={"Erfc": (erfc, [])}
    )
    return proto


def litert_bytes(function: Function, inputs: Shapes, int8: bool) -> bytes:
    """The function as the content of a LiteRT file, with the operations that LiteRT itself has.

    Args:
        int8: Whether constant matrices are stored in 8 bits, and multiplied so.

    Raises:
        ValueError: It has others.
    """
    from tensorflow.lite.python.convert_phase import ConverterError
    from tensorflow.python.framework.convert_to_constants import convert_variables_to_constants_v2

    concrete = _traced(function, inputs).get_concrete_function()
    frozen = convert_variables_to_constants_v2(concrete)
    converter = tf.lite.TFLiteConverter.from_concrete_functions([frozen], frozen)
    converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS]
    if int8:
        converter.optimizations = [tf.lite.Optimize.DEFAULT]
    with held_back():  # it writes its whole graph there, and warns of itself
        try:
            return converter.convert()
        except ConverterError as error:
            refused = str(error)
    raise ValueError(refused)


def _traced(function: Function, inputs: Shapes) -> Any:
    return tf.function(function, input_signature=_specs(inputs), autograph=False)


def _specs(inputs: Shapes) -> list[tf.TensorSpec]:
    return [tf.TensorSpec(shape, kind, name) for name, shape, kind in inputs]
