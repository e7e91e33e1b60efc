"""Weights by name: every shape comes back, parts go into other networks, and what does not fit is refused."""

from pathlib import Path

import numpy as np
import pytest
from made_up_targets import model_of

from speech_mtl.datatypes import TRANSCRIPT
from speech_mtl.errors import InputError
from speech_mtl.run.weights import load_part, load_weights, save_part, save_weights
from speech_mtl.settings.recipe import Recipe


def test_every_shape_comes_back(tmp_path: Path):
    arrays = {"scalar": np.float32(3), "matrix": np.arange(6.0).reshape(2, 3).T, "none": np.zeros((0, 2), "int32")}
    save_part(tmp_path / "part.safetensors", arrays)
    for name, array in load_part(tmp_path / "part.safetensors").items():
        assert array.shape == np.shape(arrays[name])
        np.testing.assert_array_equal(array, arrays[name])


@pytest.mark.parametrize("kind", ["conformer", "recurrent"])
def test_names_of_weights_are_unique_and_the_same_in_every_network(tiny_recipe: Recipe, kind: str):
    recipe = tiny_recipe.overridden({"encoder": {"kind": kind, "num_layers": 2, "dim": 16, "channels": 4}})
    first, second = (model_of(recipe, {"aa": 5, "bb": 4}) for _ in range(2))
    parts, others = first.parts(), second.parts()
    assert {name: list(part) for name, part in parts.items()} == {name: list(part) for name, part in others.items()}
    assert {"encoder", "heads/aa", "heads/bb"} == parts.keys()
    listed = [id(variable) for part in parts.values() for variable in part.values()]
    assert sorted(listed) == sorted(id(variable) for variable in first.trainable_variables)
    paths = [variable.path for variable in first.trainable_variables]
    assert len(set(paths)) == len(paths)  # the optimiser's state goes by them
    assert paths == [variable.path for variable in second.trainable_variables]


def test_heads_are_loaded_by_name_in_another_order(tiny_recipe: Recipe, tmp_path: Path):
    model = model_of(tiny_recipe, {"aa": 5, "bb": 4})
    save_weights(tmp_path, model.parts())
    other = model_of(tiny_recipe.overridden({"seed": 9}), {"bb": 4, "aa": 5})
    load_weights(tmp_path, other.parts())
    heads = other.heads[TRANSCRIPT].output_layers
    for head in model.heads[TRANSCRIPT].output_layers.values():
        np.testing.assert_array_equal(np.array(heads[head.name].kernel), np.array(head.kernel))


def test_weights_of_another_shape_are_refused_and_nothing_is_set(tiny_recipe: Recipe, tmp_path: Path):
    save_weights(tmp_path, model_of(tiny_recipe, {"aa": 5, "bb": 4}).parts())
    wider = model_of(tiny_recipe.overridden({"encoder.expansion": 3}), {"aa": 5, "bb": 4})
    before = [np.array(v) for v in wider.encoder.trainable_variables]
    with pytest.raises(InputError, match=r"encoder\.safetensors does not fit the network: block_0/") as caught:
        load_weights(tmp_path, wider.parts())
    assert caught.value.expected.startswith("shape (")
    for variable, array in zip(wider.encoder.trainable_variables, before, strict=True):
        np.testing.assert_array_equal(np.array(variable), array)
