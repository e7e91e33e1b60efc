"""Columns one after another: each against a loop over its formula, and nothing flows back."""

from collections.abc import Callable
from typing import Any

import keras
import numpy as np
import pytest
from made_up_targets import model_of, tokens, transcripts

from speech_mtl.backend import compile_forward, compile_step
from speech_mtl.datatypes import TOP, TRANSCRIPT, Batch
from speech_mtl.errors import InputError
from speech_mtl.models.multitask import MultilingualModel
from speech_mtl.models.progressive import Lateral
from speech_mtl.run.build import build_optimizer
from speech_mtl.settings.recipe import Recipe
from speech_mtl.training.objective import Objective

ops: Any = keras.ops  # whose annotations admit strings and None

ENCODER = {"kind": "conformer", "num_layers": 2, "num_heads": 2, "kernel_size": 5, "channels": 4, "dropout": 0.1}
NUM_TOKENS = {"aa": 5, "bb": 4, "cc": 6}
IDS = {"aa": 0, "bb": 1, "cc": 2}


def recipe_of(
    tiny_recipe: Recipe, dims: tuple[int, ...] = (16, 12, 20), lateral_inputs: tuple = (None, None, None)
) -> Recipe:
    """A column of its own width for each of the first languages."""
    languages = list(NUM_TOKENS)[: len(dims)]
    columns = [
        {"languages": [name], "encoder": {**ENCODER, "dim": dim}, "lateral_from": sources}
        for name, dim, sources in zip(languages, dims, lateral_inputs, strict=False)
    ]
    return tiny_recipe.overridden(
        {
            "languages": {name: {"train": name == languages[-1]} for name in languages},
            "target": None,
            "encoder": {"kind": "progressive", "columns": columns, "lateral_size": 3},
            "init_from": "runs/before",
        }
    )


def built(recipe: Recipe) -> MultilingualModel:
    return model_of(recipe, {name: NUM_TOKENS[name] for name in recipe.languages})


def batch_of(language: str) -> Batch:
    waveforms = np.random.default_rng(0).normal(0, 0.1, (2, 6000)).astype("float32")
    waveforms[1, 5000:] = 0
    language_ids = np.full(2, IDS[language], "int32")
    return Batch(waveforms, np.array([6000, 5000], "int32"), language_ids, tokens([[1, 2], [3, 0]], [2, 1]))


def logits_of(model: MultilingualModel, language: str) -> np.ndarray:
    batch = batch_of(language)
    return np.asarray(compile_forward(model, [language])(*batch[:3]).values[TRANSCRIPT])


def added(lateral: Lateral, earlier: list[np.ndarray]) -> np.ndarray:
    """What all connections to earlier columns add together."""
    return np.sum([np.array(part) for part in lateral.contributions(earlier).values()], axis=0)


def test_a_lateral_connection_equals_its_formula():
    lateral = Lateral({0: 4, 2: 5}, dim=3, size=2, name="lateral")
    lateral.build()
    generator = np.random.default_rng(0)
    for variable in lateral.trainable_variables:
        variable.assign(generator.normal(0, 1, variable.shape))
    earlier = [generator.normal(size=(7, dim)).astype("float32") for dim in (4, 9, 5)]
    expected = np.zeros((7, 3))
    for place, j in enumerate((0, 2)):
        alpha = np.array(lateral.alphas[place])
        wide = (alpha * earlier[j]) @ np.array(lateral.down[place].kernel) + np.array(lateral.down[place].bias)
        expected += np.maximum(wide, 0) @ np.array(lateral.up[place].kernel)
    np.testing.assert_allclose(added(lateral, earlier), expected, rtol=1e-4, atol=1e-5)


def test_two_columns_equal_loops_over_their_blocks(tiny_recipe: Recipe):
    model = built(recipe_of(tiny_recipe, (16, 12)))
    batch = batch_of("bb")
    features, num_frames = model.features(batch.waveforms, batch.num_samples)
    found, num_frames = model.encoder(features, num_frames)
    frames = found[TOP]
    first, second = model.encoder.columns
    laterals = model.encoder.laterals[1]
    mask = (np.arange(frames.shape[1])[None, :] < np.array(num_frames)[:, None]).astype("float32")
    one, two = (np.array(column.subsampling(features)).reshape(-1, column.dim) for column in (first, second))
    for i in range(2):
        two = np.array(second.blocks[i](two + added(laterals[i], [one]), second.context(mask)))
        one = np.array(first.blocks[i](one, first.context(mask)))
    expected = (two + added(laterals[2], [one])).reshape(frames.shape)
    np.testing.assert_allclose(np.array(frames), expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("language", ["aa", "bb", "cc"])
def test_a_language_is_recognised_with_its_own_width(tiny_recipe: Recipe, language: str):
    model = built(recipe_of(tiny_recipe))
    logits = logits_of(model, language)
    assert logits.shape[-1] == max(NUM_TOKENS.values())
    assert (logits[..., NUM_TOKENS[language] :] < -1e8).all()
    head = model.heads[TRANSCRIPT].output_layers[language]
    batch = batch_of(language)
    features, num_frames = model.features(batch.waveforms, batch.num_samples)
    tap = f"column_{IDS[language]}"
    frames = np.array(model.encoder(features, num_frames, taps=(tap,))[0][tap])
    expected = frames @ np.array(head.kernel).T + np.array(head.bias)
    np.testing.assert_allclose(logits[..., : NUM_TOKENS[language]], expected, rtol=1e-3, atol=1e-4)


def test_training_a_column_leaves_earlier_languages_as_they_were_to_the_bit(tiny_recipe: Recipe):
    recipe = recipe_of(tiny_recipe)
    model = built(recipe)
    before = {language: logits_of(model, language) for language in NUM_TOKENS}
    parts = {name: {key: np.array(v) for key, v in part.items()} for name, part in model.parts().items()}
    optimizer = build_optimizer(model, recipe.training, recipe.trained_languages)
    objective = Objective(model.languages, (transcripts(model.languages),), trained=("cc",))
    step = compile_step(model, optimizer, objective)
    for update in range(3):
        step(batch_of("cc"), 0.05, np.ones(3), update)()
    for language in ("aa", "bb"):
        np.testing.assert_array_equal(logits_of(model, language), before[language])
    assert np.abs(logits_of(model, "cc") - before["cc"]).max() > 1e-3
    for name, part in model.parts().items():
        same = all(np.array_equal(variable, parts[name][key]) for key, variable in part.items())
        assert same == (name not in ("columns/2", "laterals/2", "heads/cc")), name


def test_dropout_is_at_work_in_the_trained_column_only(tiny_recipe: Recipe):
    columns = [{"languages": [name], "encoder": {**ENCODER, "dim": 16, "dropout": 0.5}} for name in NUM_TOKENS]
    encoder = {"kind": "progressive", "columns": columns, "lateral_size": 3}
    model = built(recipe_of(tiny_recipe).overridden({"encoder": encoder}))
    batch = batch_of("cc")
    features = model.features(batch.waveforms, batch.num_samples)
    taps = ("column_0", "column_1", "column_2")
    at_rest, trained, again = (
        [np.array(found) for found in model.encoder(*features, training=training, taps=taps)[0].values()]
        for training in (False, True, True)
    )
    for k in (0, 1):
        np.testing.assert_array_equal(trained[k], at_rest[k])
    assert np.abs(trained[2] - at_rest[2]).max() > 1e-3
    assert np.abs(trained[2] - again[2]).max() > 1e-3


def test_no_gradient_flows_into_earlier_columns(tiny_recipe: Recipe, value_and_gradients: Callable):
    model = built(recipe_of(tiny_recipe))
    batch = batch_of("cc")
    variables = [(name, v) for name, part in model.parts().items() if "heads" not in name for v in part.values()]

    def total() -> Any:
        features, num_frames = model.features(batch.waveforms, batch.num_samples)
        return ops.sum(ops.square(model.encoder(features, num_frames, training=True)[0][TOP]))

    _, gradients = value_and_gradients(total, [variable for _, variable in variables])
    largest: dict[str, float] = {}
    for (name, _), gradient in zip(variables, gradients, strict=True):
        largest[name] = max(largest.get(name, 0.0), float(np.abs(gradient).max()))
    assert {name for name, size in largest.items() if size > 0} == {"columns/2", "laterals/2"}


def test_parts_hold_every_weight_once(tiny_recipe: Recipe):
    model = built(recipe_of(tiny_recipe))
    parts = model.parts()
    columns, laterals = [f"columns/{k}" for k in range(3)], ["laterals/1", "laterals/2"]
    assert list(parts) == [*columns, *laterals, "heads/aa", "heads/bb", "heads/cc"]
    listed = [id(variable) for part in parts.values() for variable in part.values()]
    assert sorted(listed) == sorted(id(variable) for variable in model.trainable_variables)
    trained = [id(variable) for depth in model.depths()[:-1] for variable in depth]
    assert sorted(trained) == sorted(id(v) for name in ("columns/2", "laterals/2") for v in parts[name].values())


def test_columns_that_are_switched_off_have_no_effect(tiny_recipe: Recipe):
    recipe = recipe_of(tiny_recipe, lateral_inputs=(None, None, [1]))
    model = built(recipe)
    before = logits_of(model, "cc")
    assert {j for lateral in model.encoder.laterals[2] for j in lateral.sources} == {1}
    for variable in model.parts()["columns/0"].values():
        variable.assign(np.array(variable) + 0.1)
    assert np.abs(logits_of(model, "cc") - before).max() > 1e-4, "column 1 gets lateral input from column 0"
    isolated = built(recipe_of(tiny_recipe, lateral_inputs=(None, [], [])))
    assert not any(isolated.encoder.laterals)
    before = logits_of(isolated, "cc")
    for name in ("columns/0", "columns/1"):
        for variable in isolated.parts()[name].values():
            variable.assign(np.array(variable) + 0.1)
    np.testing.assert_array_equal(logits_of(isolated, "cc"), before)


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"init_from": None}, "without init_from"),
        ({"languages": {"aa": {"train": False}, "dd": {"train": False}, "cc": {}}}, "in one of"),
        ({"languages": {"aa": {}, "bb": {"train": False}, "cc": {}}}, "only languages of the last"),
        ({"adapters": {"kind": "bottleneck"}}, "goes with neither"),
    ],
)
def test_settings_that_do_not_fit_are_refused(tiny_recipe: Recipe, changes: dict, expected: str):
    with pytest.raises(InputError) as caught:
        recipe_of(tiny_recipe).overridden(changes)
    assert expected in caught.value.expected


def test_a_language_costs_only_the_columns_that_it_needs(tiny_recipe: Recipe, monkeypatch: pytest.MonkeyPatch):
    model = built(recipe_of(tiny_recipe))
    monkeypatch.setattr(model.encoder.columns[1], "subsampled", None)
    logits_of(model, "aa")
    with pytest.raises(TypeError):
        logits_of(model, "bb")


def test_languages_of_several_columns_are_not_recognised_at_once(tiny_recipe: Recipe):
    with pytest.raises(ValueError, match="at one tap"):
        built(recipe_of(tiny_recipe))(*batch_of("aa")[:3])
