from collections.abc import Callable
from pathlib import Path

import pytest

from speech_mtl.export import saved_model


@pytest.mark.parametrize("changes", [{}, {"sharing": {"kind": "nothing"}}, {"adapters": {"size": 3}}])
def test_it_has_the_weights_of_one_language(changes: dict, make_network: Callable, tmp_path: Path):
    import tensorflow as tf

    network = make_network(changes=changes)
    path = saved_model.write(network, tmp_path, False)
    stored = tf.train.load_checkpoint(str(path / "variables" / "variables")).get_variable_to_shape_map()
    found = sorted(shape for name, shape in stored.items() if name.startswith("weights/"))
    weights = network.model.trainable_variables
    expected = sorted(list(one.shape) for one in weights if "aa" not in one.path.split("/"))
    assert found == expected
    assert len(found) < len(weights)
