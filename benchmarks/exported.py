"""Exported networks as functions of waveforms, on one processor."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

Run = Callable[[np.ndarray], np.ndarray]
"""(S,) waveform -> (E, V) log-probabilities."""


def read_onnx(folder: Path) -> Run:
    """Reads what `export.onnx_format` wrote."""
    import onnxruntime

    path = next(iter(sorted(folder.glob("model*.onnx"))))
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    options.log_severity_level = 3  # it warns of the input that has a value already
    session = onnxruntime.InferenceSession(path, options)
    return lambda waveform: np.asarray(session.run(["log_probs"], {"waveforms": waveform[None]})[0])[0]


def read_saved_model(folder: Path) -> Run:
    """Reads what `export.saved_model` wrote."""
    import tensorflow as tf

    module: Any = tf.saved_model.load(str(folder / "saved_model"))
    serve = module.signatures["serving_default"]
    serve.module = module  # else its weights go

    def run(waveform: np.ndarray) -> np.ndarray:
        num_samples = tf.constant([len(waveform)], tf.int32)
        return serve(waveforms=tf.constant(waveform[None]), num_samples=num_samples)["log_probs"].numpy()[0]

    return run


def read_litert(folder: Path) -> Run:
    """Reads what `export.litert` wrote."""
    from ai_edge_litert.interpreter import Interpreter

    interpreter = Interpreter(str(folder / "model.tflite"), num_threads=1)
    (given,), (found,) = interpreter.get_input_details(), interpreter.get_output_details()

    def run(waveform: np.ndarray) -> np.ndarray:
        interpreter.resize_tensor_input(given["index"], (1, len(waveform)))
        interpreter.allocate_tensors()
        interpreter.set_tensor(given["index"], waveform[None])
        interpreter.invoke()
        return interpreter.get_tensor(found["index"])[0]

    return run


READERS: dict[str, Callable[[Path], Run]] = {
    "onnx": read_onnx,
    "savedmodel": read_saved_model,
    "litert": read_litert,
}
"""By format of `export.formats`: folder -> the network that was written there."""
