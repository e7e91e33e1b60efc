"""ONNX, for onnxruntime and, unchanged, for sherpa-onnx."""

import logging
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from keras import ops

from speech_mtl.backend import exporter
from speech_mtl.errors import refuse_missing
from speech_mtl.export.network import LanguageNetwork, power_by_convolution

OPSET = 17

NORMALIZED_FROM = 0.5
"""Mean square of samples from which on they count as normalised; see `_original_level`."""

EPSILON, SHERPA_FRAME_S = np.float64(1e-5), 0.02
"""Of sherpa-onnx: what it adds to the variance of samples, and the seconds that it takes a frame for."""


def write(network: LanguageNetwork, folder: Path, int8: bool) -> Path:
    """Writes `model.onnx`, or `model.int8.onnx` with the encoder's matrices in 8 bits, with the metadata in it.

    Inputs are `waveforms` (B, S) float32 and, if they are padded, `num_samples` (B,) int64; outputs `log_probs`
    (B, E, V) and `num_frames` (B,) int64.
    """
    for module in ("onnx", "tf2onnx", "onnxruntime.quantization"):
        refuse_missing(module, extra="export", purpose="An export to ONNX")
    import onnx
    from onnxruntime.quantization import QuantType, quantize_dynamic

    inputs = (("waveforms", (None, None), "float32"), ("num_samples", (None,), "int64"))
    model = exporter().onnx_graph(partial(_outputs, network), inputs, OPSET)
    _name(model.graph, len(network.tokenizer))
    # An input that has a value already need not be given: sherpa-onnx gives the waveforms alone.
    model.graph.initializer.append(onnx.numpy_helper.from_array(np.array([-1]), "num_samples"))
    onnx.helper.set_model_props(model, {key: str(value) for key, value in network.metadata().items()})
    if not int8:
        onnx.save(model, folder / "model.onnx")
        return folder / "model.onnx"
    # In 8 bits the energies would lose all that is quiet: the filters stay as they are.
    path, filters = folder / "model.int8.onnx", network.features.filters.shape
    constants = {one.name: tuple(one.dims) for one in model.graph.initializer}
    features = [node.name for node in model.graph.node if any(constants.get(name) == filters for name in node.input)]
    level = logging.root.manager.disable
    logging.disable(logging.WARNING)  # it advises a step that only other programs' graphs need
    try:
        quantize_dynamic(
            model,
            path,
            op_types_to_quantize=["MatMul"],
            per_channel=True,
            weight_type=QuantType.QInt8,
            reduce_range=True,  # 7 of the 8 bits: with all, sums of two products overflow on processors without VNNI
            nodes_to_exclude=features,
        )
    finally:
        logging.disable(level)
    return path


def _outputs(network: LanguageNetwork, waveforms, num_samples):
    whole = ops.zeros_like(waveforms[:, 0], dtype="int64") + ops.cast(ops.shape(waveforms)[1], "int64")
    num_samples = ops.where(num_samples < 0, whole, num_samples)
    waveforms, is_sherpa = _original_level(waveforms)
    power = power_by_convolution(network.features, waveforms)
    found, num_frames = network.log_probabilities(power, network.features.filters, ops.cast(num_samples, "int32"))
    times = ops.where(is_sherpa, max(1, round(network.model.frame_step_s / SHERPA_FRAME_S)), 1)
    # CTC takes equal frames in a row for one: the text stays the same, and the times of sherpa-onnx become right.
    found = ops.take(found, ops.arange(ops.shape(found)[1] * times) // times, axis=1)
    return found, ops.cast(num_frames * times, "int64")


def _original_level(waveforms):
    """Undoes what sherpa-onnx does to the samples for models that take waveforms (its type `omnilingual`).

    It gives (x - mean) / sqrt(variance + epsilon), whose mean square m is variance / (variance + epsilon): so the root
    was sqrt(epsilon / (1 - m)). Speech in [-1, 1] has an m far below 0.5, that of a sine of full scale; and speech that
    was normalised has one above that if it was louder than 50 dB below full scale.

    Returns:
        Samples as they were, but for their mean, and whether any of them were normalised.
    """
    wide = ops.cast(waveforms, "float64")
    power = ops.mean(wide * wide, axis=1, keepdims=True)
    is_normalized = power > NORMALIZED_FROM
    root = ops.sqrt(EPSILON / ops.maximum(1.0 - power, 1e-7))
    return waveforms * ops.cast(ops.where(is_normalized, root, 1.0), "float32"), ops.any(is_normalized)


def _name(graph: Any, num_tokens: int) -> None:
    """Gives outputs and sizes plain names."""
    import onnx

    names = {"log_probs": ("batch", "frames", num_tokens), "num_frames": ("batch",)}
    for output, (name, sizes) in zip(graph.output, names.items(), strict=True):
        graph.node.append(onnx.helper.make_node("Identity", [output.name], [name]))
        kind = output.type.tensor_type.elem_type
        output.CopyFrom(onnx.helper.make_tensor_value_info(name, kind, sizes))
    for given, sizes in zip(graph.input, (("batch", "samples"), ("batch",)), strict=True):
        kind = given.type.tensor_type.elem_type
        given.CopyFrom(onnx.helper.make_tensor_value_info(given.name, kind, sizes))
