"""What training relies on in any way of unfreezing. It finds new ones by itself."""

import numpy as np
import pytest
from made_up_targets import model_of
from usual import usual

from speech_mtl.datatypes import TRANSCRIPT
from speech_mtl.run.build import build_optimizer, build_unfreezing
from speech_mtl.settings.recipe import Recipe
from speech_mtl.settings.training import UnfreezingSettings
from speech_mtl.training.unfreezing import All, Gradual, Heads, HeadsFirst, Layerwise, Unfreezing

DEPTHS = 5
LATE = 10**6
EVERY = sorted(UnfreezingSettings.kinds())


def made(kind: str) -> Unfreezing:
    return usual(UnfreezingSettings.kinds()[kind], DEPTHS)


@pytest.mark.parametrize("kind", EVERY)
def test_groups_are_numbered_from_0_and_have_a_factor_each(kind: str):
    way = made(kind)
    groups = {way.group(depth) for depth in range(DEPTHS)} - {None}
    assert groups == set(range(len(groups)))
    for update in (0, 1, 99, 100, 250, LATE):
        factors = way.factors(update)
        assert factors.shape == (len(groups),)
        assert ((factors >= 0) & (factors <= 1)).all()


@pytest.mark.parametrize("kind", EVERY)
def test_heads_are_trained_at_the_full_rate_from_the_first_update_on(kind: str):
    way = made(kind)
    head = way.group(DEPTHS - 1)
    assert head is not None
    assert [way.factors(update)[head] for update in (0, 1, LATE)] == [1, 1, 1]


@pytest.mark.parametrize("kind", EVERY)
def test_no_layer_is_faster_or_earlier_than_the_one_above_it(kind: str):
    way = made(kind)
    for update in (0, 150, LATE):
        groups = [way.group(depth) for depth in range(DEPTHS)]
        by_depth = [0.0 if group is None else way.factors(update)[group] for group in groups]
        assert by_depth == sorted(by_depth)


@pytest.mark.parametrize("kind", EVERY)
def test_the_optimiser_has_the_weights_that_are_ever_trained(kind: str, tiny_recipe: Recipe):
    recipe = tiny_recipe.overridden({"training.unfreezing": {"kind": kind}, "encoder.num_layers": 3})
    model = model_of(recipe, {"aa": 5, "bb": 4})
    way = build_unfreezing(model, recipe.training)
    assert way.num_depths == 5, "subsampling, three blocks, heads"
    wanted = {id(v) for depth, vs in enumerate(model.depths()) if way.group(depth) is not None for v in vs}
    optimizer = build_optimizer(model, recipe.training)
    assert {id(variable) for variable in optimizer.weights} == wanted
    left = {id(v) for v in model.heads[TRANSCRIPT].output_layers["aa"].trainable_variables}
    optimizer = build_optimizer(model, recipe.training, ["bb"])
    assert {id(variable) for variable in optimizer.weights} == wanted - left


def test_all():
    assert All(5).factors(0).tolist() == [1.0]


def test_heads():
    assert [Heads(3).group(depth) for depth in range(3)] == [None, None, 0]


def test_heads_first():
    way = HeadsFirst(3, num_updates=7)
    assert [way.group(depth) for depth in range(3)] == [0, 0, 1]
    assert [way.factors(update).tolist() for update in (0, 6, 7)] == [[0, 1], [0, 1], [1, 1]]


def test_gradual():
    way = Gradual(3, num_updates=10)
    expected = {0: [0, 0, 1], 9: [0, 0, 1], 10: [0, 1, 1], 19: [0, 1, 1], 20: [1, 1, 1], 500: [1, 1, 1]}
    assert {update: way.factors(update).tolist() for update in expected} == expected


def test_layerwise():
    np.testing.assert_allclose(Layerwise(4, decay=0.5).factors(3), [0.125, 0.25, 0.5, 1.0])
