"""The formats that a network is exported to, by name. To add one, write a module with such a function and enter it."""

from types import ModuleType

from speech_mtl.export import litert, onnx_format, saved_model

FORMATS: dict[str, ModuleType] = {"onnx": onnx_format, "savedmodel": saved_model, "litert": litert}
"""Every format, a module with the function `write`; the first format is the usual one.

write: (network, folder, whether weights are stored in 8 bits) -> the file or folder that was written there.
"""
