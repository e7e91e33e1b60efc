"""Attention in one kernel, where there is one: under JAX on a GPU. Elsewhere nothing is tested here."""

import numpy as np
import pytest
from keras import ops

from speech_mtl.backend import fused_attention
from speech_mtl.models import layers
from speech_mtl.models.layers import FrameContext, attend


@pytest.mark.parametrize("size", [64, 37])
def test_attends_like_matrix_products(monkeypatch: pytest.MonkeyPatch, size: int):
    """The last row is padding alone, whose frames may be anything but no number at all."""
    generator = np.random.default_rng(0)
    queries, keys, values = (ops.cast(generator.normal(size=(4, size, 2, 16)), "bfloat16") for _ in range(3))
    num_frames = np.array([size, size - 5, 1, 0])
    mask = (np.arange(size) < num_frames[:, None]).astype("float32")
    if fused_attention(queries, keys, values, ops.convert_to_tensor(mask)) is None:
        pytest.skip("no such kernel for the device at hand")
    context = FrameContext(ops.convert_to_tensor(mask), (ops.convert_to_tensor(mask)[:, None, None] - 1.0) * 1e9)
    fused = ops.convert_to_numpy(ops.cast(attend(queries, keys, values, context), "float32"))
    monkeypatch.setattr(layers, "fused_attention", lambda *_: None)
    plain = ops.convert_to_numpy(ops.cast(attend(queries, keys, values, context), "float32"))
    assert np.isfinite(fused).all()
    is_frame = mask.reshape(-1, 1) > 0
    np.testing.assert_allclose(fused * is_frame, plain * is_frame, atol=0.02)
