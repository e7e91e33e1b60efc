"""What the check counts and shows; it is tried on a processor by `--cases tiny-1`."""

import math

import pytest

from benchmarks.contestants import Case
from benchmarks.gpu_check import SIZES, _recipe, flops_per_frame, tables
from speech_mtl.run.build import build_model


@pytest.mark.parametrize("size", ["tiny", "small"])
def test_operations_are_those_of_the_matrices(size: str):
    """A matrix of weights is multiplied once for each frame; scores and weighted values by the frames attended to."""
    recipe = _recipe(size, 1, {})
    blocks = build_model(recipe, Case().targets).encoder.blocks
    kernels = [v for block in blocks for v in block.trainable_variables if v.path.endswith("kernel")]
    sizes = sum(math.prod(v.shape) for v in kernels)
    dim = recipe.encoder.model_dump()["dim"]
    assert flops_per_frame(recipe, 0) == 2 * sizes
    assert flops_per_frame(recipe, 10) - flops_per_frame(recipe, 0) == 2 * len(blocks) * 2 * 10 * dim


def test_every_size_is_a_recipe():
    for size in SIZES:
        recipe = _recipe(size, 4, {"training.precision": "bfloat16"}, num_parts=4)
        assert (recipe.training.part_s, recipe.data.batch_s) == (60.0, 240.0)


def test_tables_without_pytorch_and_without_parts():
    speed = {"audio_s_per_s": {"median": 1000.0, "min": 1.0, "max": 1.0}}
    row = {
        "case": "small, 1 min",
        "variant": "bfloat16",
        "parameters": 1_100_000,
        "step_ms": 60.0,
        "first_step_s": 9.0,
        "peak_gib": None,
        "matrix_share": 0.25,
        "speech_mtl": speed,
        "ratios": {},
    }
    (steps,) = tables([row])
    assert steps.lines == [["small, 1 min", "bfloat16", "1.1", "60.0", "1,000", "", "9", "", "25%"]]
    ratio = {"PyTorch": {"wall": {"median": 1.5}}}
    steps, parts = tables([{**row, "ratios": ratio, "peak_gib": 3.0, "parts_ms": {"CTC": 2.0}}])
    assert steps.lines[0][5:] == ["1.50", "9", "3.0", "25%"]
    assert parts.lines == [["small, 1 min", "bfloat16", "60.0", "2.0"]]
    _, device = tables([{**row, "device_time": {"matrix products": 0.4, "nothing": 0.6}}])
    assert (device.heads[2:], device.lines) == (
        ("matrix products", "nothing"),
        [["small, 1 min", "bfloat16", "40%", "60%"]],
    )
