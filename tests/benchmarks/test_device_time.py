"""What is read from a profile."""

import pytest

from benchmarks.device_time import KINDS, NOTHING, OTHER, Kernel, kind_of, shares


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("nvjet_sm90_tss_128x128_64x6_2x1_v_bz_NTT", "matrix products"),
        ("gemm_fusion_dot_general_671", "matrix products"),
        ("void cudnn::engines_precompiled::nchwToNhwcKernel<__nv_bfloat16>", "convolutions"),
        ("MemcpyH2D", "copies"),
        ("loop_transpose_fusion_32", "copies"),
        ("input_reduce_fusion_67", "reductions"),
        ("loop_multiply_fusion_64", OTHER),
        ("wrapped_convert_5", OTHER),
    ],
)
def test_kind_of_a_kernel(name: str, kind: str):
    assert kind_of(name) == kind


def test_shares_of_kernels_that_overlap_and_of_the_gaps():
    kernels = [Kernel("MemcpyH2D", 30, 30), Kernel("gemm", 0, 50), Kernel("loop_add_fusion", 80, 20)]
    found = shares(kernels)
    assert {kind: share for kind, share in found.items() if share} == {
        "matrix products": 0.5,
        "copies": 0.3,
        OTHER: 0.2,
        NOTHING: 0.2,
    }
    assert set(found) == {*KINDS, OTHER, NOTHING}


def test_no_device_no_shares():
    assert shares([]) == {}
