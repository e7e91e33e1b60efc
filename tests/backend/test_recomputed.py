"""Activations that are computed again for the gradient: the same step, in less memory. Under JAX."""

import os
import subprocess
import sys
from typing import Any

import keras
import numpy as np
import pytest
from made_up_targets import targets_of, tokens
from tiny_encoders import encoder_settings, feature_settings

from speech_mtl.backend import compile_step, recomputed
from speech_mtl.datatypes import Batch
from speech_mtl.run.build import build_model, build_optimizer
from speech_mtl.settings.network import OneEncoderSettings
from speech_mtl.settings.recipe import Recipe
from speech_mtl.training.objective import Objective

ops: Any = keras.ops  # whose annotations admit strings and None

NUM_TOKENS = {"aa": 5, "bb": 5}


def recipe_of(kind: str, num_layers: int = 2, dim: int = 16) -> Recipe:
    """With dropout and SpecAugment: both draw the same."""
    return Recipe.model_validate(
        {
            "name": "x",
            "languages": {"aa": {}, "bb": {}},
            "data": {"dir": "nowhere"},
            "features": {"num_mels": 20, **feature_settings(kind)} if kind == "conformer" else feature_settings(kind),
            "encoder": {**encoder_settings(kind, num_layers, dim), "dropout": 0.2},
            "training": {"recompute": True},
        }
    )


def batch_of(num_rows: int, num_samples: int) -> Batch:
    generator = np.random.default_rng(0)
    waveforms = generator.normal(0, 0.1, (num_rows, num_samples)).astype("float32")
    sizes, languages = np.full(num_rows, num_samples, "int32"), np.arange(num_rows, dtype="int32") % 2
    return Batch(waveforms, sizes, languages, tokens(np.tile([1, 2], (num_rows, 1)), [2] * num_rows))


def test_tensorflow_refuses():
    if keras.backend.backend() != "tensorflow":
        pytest.skip("is about TensorFlow")
    with pytest.raises(NotImplementedError, match="recomputes"):
        recomputed(abs, None)


@pytest.mark.skipif(keras.backend.backend() != "jax", reason="TensorFlow recomputes nothing")
class TestUnderJax:
    @pytest.mark.parametrize("kind", sorted(OneEncoderSettings.kinds()))
    def test_a_step_is_the_same(self, kind: str):
        recipe, batch, found = recipe_of(kind), batch_of(3, 9000), []
        for recompute in (False, True):
            training = recipe.training.model_copy(update={"recompute": recompute})
            own = recipe.model_copy(update={"training": training})
            targets = targets_of(own, NUM_TOKENS)
            model = build_model(own, targets, trained=True)
            assert model.encoder.recompute == recompute
            optimizer = build_optimizer(model, own.training)
            step = compile_step(model, optimizer, Objective(model.languages, tuple(targets.values())))
            results = [step(batch, 1e-3, np.ones(2), update)() for update in range(2)]
            found.append((results, ops.convert_to_numpy(model.random.state.value)))
        (plain, state), (again, same_state) = found
        np.testing.assert_array_equal(state, same_state)
        for one, other in zip(plain, again, strict=True):
            np.testing.assert_allclose(one.losses, other.losses, rtol=1e-5)
            assert one.norm == pytest.approx(other.norm, rel=1e-4)

    def test_a_step_takes_less_memory(self):
        """In a process in which XLA does not begin all that can begin at once, as it does on processors."""
        flag = "--xla_cpu_enable_concurrency_optimized_scheduler=false"
        found = subprocess.run(
            [sys.executable, "-c", "import test_recomputed as own; print(*own.temporary_bytes())"],
            env=os.environ | {"XLA_FLAGS": flag, "PYTHONPATH": os.pathsep.join(sys.path)},
            capture_output=True,
            text=True,
            check=True,
        )
        kept, again = map(int, found.stdout.split())
        assert again < 0.7 * kept


def temporary_bytes() -> list[int]:
    """Memory of a gradient besides weights and results: with activations kept, and computed again."""
    import jax  # pyright: ignore[reportMissingImports]

    from speech_mtl.backend.jax_backend import _Network
    from speech_mtl.backend.step import UNLIMITED

    recipe, batch, sizes = recipe_of("conformer", 6, 128), batch_of(8, 40_000), []
    targets = targets_of(recipe, NUM_TOKENS)
    model = build_model(recipe, targets, trained=True)
    optimizer = build_optimizer(model, recipe.training)
    network = _Network(model, optimizer.weights, Objective(model.languages, tuple(targets.values())), UNLIMITED)

    def gradient(values, fixed, other, batch):
        _, pullback, _ = network.differentiated(values, fixed, other, batch, network.counts(batch))
        return pullback(np.ones(2, "float32"))[0]

    for recompute in (False, True):
        model.encoder.recompute = recompute
        jax.clear_caches()
        compiled = jax.jit(gradient).lower(*network.values(), network.padded(batch)).compile()
        sizes.append(compiled.memory_analysis().temp_size_in_bytes)
    return sizes
