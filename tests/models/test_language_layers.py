"""Layers that languages have for themselves: each utterance goes through its own language's and no other."""

from typing import Any

import keras
import numpy as np
import pytest
from made_up_targets import model_of

from speech_mtl.datatypes import TRANSCRIPT
from speech_mtl.models import language_layers
from speech_mtl.models.language_layers import Adapter, LanguageParts, LowRank, OwnBlock, by_language
from speech_mtl.models.layers import FrameContext
from speech_mtl.models.recurrent import RecurrentBlock
from speech_mtl.settings.recipe import Recipe

ops: Any = keras.ops  # whose annotations admit strings and None

LANGUAGES = ("aa", "bb", "cc")
IDS = np.array([2, 0, 2, 2], "int32")
"""Languages of four utterances; none is of `bb`."""
SIZE, DIM = 5, 6


def frames() -> np.ndarray:
    return np.random.default_rng(0).normal(size=(len(IDS), SIZE, DIM)).astype("float32")


def context(rows: slice = slice(None)) -> FrameContext:
    mask = np.ones((len(IDS), SIZE), "float32")
    mask[1, 3:] = 0
    return FrameContext(mask[rows], language_ids=IDS[rows])


def randomise(layer: keras.layers.Layer) -> None:
    generator = np.random.default_rng(1)
    for variable in layer.trainable_variables:
        variable.assign(generator.normal(0.1, 0.5, variable.shape).astype("float32"))


def flat(array: np.ndarray) -> np.ndarray:
    return array.reshape(-1, array.shape[-1])


def value(variable: keras.Variable) -> np.ndarray:
    return ops.convert_to_numpy(variable.value)


@pytest.fixture
def own_block() -> OwnBlock:
    blocks = {
        name: RecurrentBlock(keras.layers.GRU(DIM // 2, return_sequences=True, name="gru"), DIM, None, name)
        for name in LANGUAGES
    }
    layer = OwnBlock(blocks, "block")
    layer.build((None, DIM))
    randomise(layer)
    return layer


@pytest.mark.parametrize("uses_xla", [False, True])
def test_own_blocks_see_their_languages_utterances(own_block: OwnBlock, monkeypatch, uses_xla: bool):
    monkeypatch.setattr(language_layers, "uses_xla", lambda: uses_xla)
    inputs = frames()
    found = ops.convert_to_numpy(own_block(flat(inputs), context())).reshape(inputs.shape)
    for row, language_id in enumerate(IDS):
        rows = slice(row, row + 1)
        expected = own_block.members[language_id](flat(inputs[rows]), context(rows))
        np.testing.assert_allclose(found[row], ops.convert_to_numpy(expected), rtol=1e-4, atol=1e-5)


def test_own_blocks_that_no_utterance_passes_have_no_gradient(own_block: OwnBlock, value_and_gradients):
    variables = own_block.trainable_variables
    _, gradients = value_and_gradients(lambda: ops.sum(own_block(flat(frames()), context()) ** 2), variables)
    for variable, gradient in zip(variables, gradients, strict=True):
        assert (np.abs(gradient).max() > 0) == ("/bb/" not in variable.path), variable.path


@pytest.mark.parametrize("language", LANGUAGES)
def test_one_language_alone_is_as_among_others(own_block: OwnBlock, language: str):
    adapter = Adapter(DIM, 2, LANGUAGES, ("cc", "aa"), "adapter")
    adapter.build((None, DIM))
    randomise(adapter)
    alike = context()._replace(language_ids=np.full(len(IDS), LANGUAGES.index(language), "int32"))
    for layer in (own_block, adapter):
        expected = ops.convert_to_numpy(layer(flat(frames()), alike))
        layer.keep_only(language)
        assert len(layer.members) == 1
        np.testing.assert_allclose(ops.convert_to_numpy(layer(flat(frames()), alike)), expected, rtol=1e-4, atol=1e-5)


def test_rows_come_back_in_their_order():
    generator, inputs = np.random.default_rng(0), np.arange(9.0, dtype="float32")[:, None]
    for _ in range(20):
        language_ids = generator.integers(0, 4, 9).astype("int32")
        found = by_language([10.0, 20.0, 30.0, 40.0], language_ids, lambda member, take: take(inputs) + member)
        np.testing.assert_array_equal(ops.convert_to_numpy(found)[:, 0], inputs[:, 0] + 10 * (language_ids + 1))


@pytest.mark.parametrize("added_to", [LANGUAGES, ("cc",)])
def test_adapters_equal_their_formula(added_to: tuple[str, ...]):
    layer = Adapter(DIM, 2, LANGUAGES, added_to, "adapter")
    layer.build((None, DIM))
    np.testing.assert_array_equal(ops.convert_to_numpy(layer(flat(frames()), context())), flat(frames()))
    randomise(layer)
    found = ops.convert_to_numpy(layer(flat(frames()), context())).reshape(frames().shape)
    for row, (inputs, language_id) in enumerate(zip(frames(), IDS, strict=True)):
        expected = inputs
        if LANGUAGES[language_id] in added_to:
            member: Any = layer.of(LANGUAGES[language_id])
            expected = inputs + np.maximum(inputs @ value(member.down), 0) @ value(member.up)
        np.testing.assert_allclose(found[row], expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("added_to", [LANGUAGES, ("bb", "aa")])
def test_low_rank_additions_equal_their_formula(added_to: tuple[str, ...]):
    layer = LowRank(DIM, 4, rank=2, alpha=3.0, languages=LANGUAGES, added_to=added_to, name="low_rank")
    layer.build((None, DIM))
    assert not ops.convert_to_numpy(layer(flat(frames()), context())).any()
    randomise(layer)
    found = ops.convert_to_numpy(layer(flat(frames()), context())).reshape(len(IDS), SIZE, 4)
    for row, (inputs, language_id) in enumerate(zip(frames(), IDS, strict=True)):
        expected = np.zeros((SIZE, 4))
        if LANGUAGES[language_id] in added_to:
            member: Any = layer.of(LANGUAGES[language_id])
            expected = inputs @ (value(member.down) @ value(member.up)) * 3.0 / 2
        np.testing.assert_allclose(found[row], expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(
    ("own", "shared"),
    [
        ({}, ["subsampling", "block_0", "block_1", "block_2"]),
        ({"num_top": 1}, ["subsampling", "block_0", "block_1"]),
        ({"num_bottom": 1, "num_top": 1}, ["block_0", "block_1"]),
        ({"num_bottom": 2, "num_top": 1}, ["block_1"]),
        ({"num_bottom": 4}, []),
    ],
)
def test_which_layers_are_shared(own: dict, shared: list[str]):
    parts, made = LanguageParts(LANGUAGES, **own), []
    make: Any = lambda name: keras.layers.Dense(2, name=name)  # noqa: E731
    layers = [parts.subsampling(make), *(parts.block(i, 3, make) for i in range(3))]
    made = [layer.name for layer in layers if layer not in parts.made]
    assert made == shared


@pytest.mark.parametrize(
    ("changes", "own_to_shared"),
    [
        ({"sharing": {"kind": "bottom"}}, 1),
        ({"sharing": {"kind": "middle"}}, 1),
        ({"sharing": {"kind": "nothing"}}, None),
        ({"adapters": {"kind": "bottleneck", "size": 4}}, 0),
        ({"adapters": {"kind": "low_rank", "rank": 2}}, 0),
    ],
)
def test_every_weight_belongs_to_all_or_to_one_language(tiny_recipe: Recipe, changes: dict, own_to_shared: int | None):
    plain = model_of(tiny_recipe.overridden({"encoder.num_layers": 3}), {"aa": 5, "bb": 4})
    model = model_of(tiny_recipe.overridden({"encoder.num_layers": 3, **changes}), {"aa": 5, "bb": 4})
    parts = model.parts()
    listed = [id(variable) for part in parts.values() for variable in part.values()]
    assert sorted(listed) == sorted(id(variable) for variable in model.trainable_variables)
    assert sorted(listed) == sorted(id(variable) for depth in model.depths() for variable in depth)
    of_one = [{id(variable) for variable in model.weights_of(language)} for language in ("aa", "bb")]
    assert not of_one[0] & of_one[1]
    assert {id(variable) for variable in model.depths()[-1]} == of_one[0] | of_one[1]
    sizes = {name: sum(int(np.prod(v.shape)) for v in part.values()) for name, part in parts.items()}
    assert sizes["own/aa"] == sizes["own/bb"] > 0
    shared = sizes.get("encoder", 0)
    whole = sum(int(np.prod(variable.shape)) for variable in plain.encoder.trainable_variables)
    if own_to_shared == 0:
        assert shared == whole, "what is added leaves the shared encoder as it is"
    else:
        assert shared + sizes["own/aa"] == whole, "what is not shared is there once for each language"
    assert ("encoder" in parts) == (own_to_shared is not None)


def test_adapters_change_nothing_at_first(tiny_recipe: Recipe):
    waveforms = np.random.default_rng(0).normal(0, 0.1, (2, 6000)).astype("float32")
    inputs = waveforms, np.array([6000, 5000], "int32"), np.array([1, 0], "int32")
    plain = model_of(tiny_recipe, {"aa": 5, "bb": 4})
    expected = ops.convert_to_numpy(plain(*inputs).values[TRANSCRIPT])
    for adapters in ({"kind": "bottleneck"}, {"kind": "low_rank"}):
        model = model_of(tiny_recipe.overridden({"adapters": adapters}), {"aa": 5, "bb": 4})
        for name, part in plain.parts().items():
            for key, variable in part.items():
                model.parts()[name][key].assign(variable)
        np.testing.assert_allclose(
            ops.convert_to_numpy(model(*inputs).values[TRANSCRIPT]), expected, rtol=1e-5, atol=1e-5
        )
