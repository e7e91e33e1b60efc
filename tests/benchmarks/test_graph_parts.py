"""The parts of a step, which each come from another module of the package."""

import keras
import pytest


@pytest.mark.skipif(keras.backend.backend() != "tensorflow", reason="graphs are TensorFlow's")
def test_every_part_has_a_graph_that_runs():
    from benchmarks.contestants import Case
    from benchmarks.graph_parts import measured_parts
    from benchmarks.speech_like import Shape, batches

    case = Case("small")
    parts = measured_parts(case, batches(Shape(2, 1.0, 4), case.num_languages, number=1)[0])
    assert len(parts) == 5
    for part in parts.values():
        assert part["graph_nodes"] > 10
        assert part["first_run"]["wall"] >= 0
    nodes = {name: part["graph_nodes"] for name, part in parts.items()}
    assert nodes["AdamW on one vector (ours)"] < nodes["AdamW by variable (keras.optimizers)"]
