from typing import Any

import keras
import numpy as np
import pytest
from made_up_targets import model_of, targets_of
from tiny_encoders import encoder_settings, feature_settings

from speech_mtl.data.sampling import Ramp
from speech_mtl.datatypes import TRANSCRIPT
from speech_mtl.errors import InputError
from speech_mtl.models.features import LogMel
from speech_mtl.run.build import build_model, build_optimizer, build_plan, build_schedule, build_targets
from speech_mtl.run.speech import open_split, training_examples
from speech_mtl.run.targets import make_tokenizer
from speech_mtl.settings.network import OneEncoderSettings
from speech_mtl.settings.recipe import Recipe
from speech_mtl.training.unfreezing import All

ops: Any = keras.ops  # whose annotations admit strings and None


def test_every_encoder_has_settings_that_build_it(tiny_recipe: Recipe):
    for kind, encoder in OneEncoderSettings.kinds().items():
        recipe = tiny_recipe.overridden({"encoder": encoder_settings(kind), "features": feature_settings(kind)})
        model = model_of(recipe, {"aa": 5, "bb": 3})
        assert type(model.encoder) is encoder.member()
        assert (model.encoder.dim, model.languages) == (16, ("aa", "bb"))
        assert [one.num_tokens for one in model.heads[TRANSCRIPT].output_layers.values()] == [5, 3]


@pytest.mark.parametrize("kind", sorted(OneEncoderSettings.kinds()))
def test_encoders_compute_in_bfloat16_nearly_the_same(kind: str, tiny_recipe: Recipe, value_and_gradients):
    """Weights, gradients and outputs are float32; all but Whisper's, which is refused."""
    low = {
        "encoder": {**encoder_settings(kind, 2), "dropout": 0.0},
        "features": feature_settings(kind),
        "training.precision": "bfloat16",
    }
    if kind == "whisper":
        with pytest.raises(InputError, match="float32 only"):
            tiny_recipe.overridden(low)
        return
    recipe = tiny_recipe.overridden(low)
    targets = targets_of(recipe, {"aa": 5, "bb": 5})
    models = [build_model(recipe, targets), build_model(recipe, targets, trained=True)]
    assert [model.encoder.blocks[0].compute_dtype for model in models] == ["float32", "bfloat16"]
    for one, other in zip(*(model.trainable_variables for model in models), strict=True):
        assert one.dtype == other.dtype == "float32"
        np.testing.assert_array_equal(one, other)
    waveforms = np.random.default_rng(0).normal(0, 0.1, (2, 8000)).astype("float32")
    inputs = waveforms, np.array([8000, 6000], "int32"), np.array([0, 1], "int32")

    def objective(model):
        logits = model(*inputs).values[TRANSCRIPT]
        assert keras.backend.standardize_dtype(logits.dtype) == "float32"
        return ops.mean(logits[:, :3, :4] ** 2)

    (value, whole), (close, rough) = (
        value_and_gradients(lambda m=m: objective(m), m.trainable_variables) for m in models
    )
    assert value != close
    assert close == pytest.approx(value, rel=0.05)
    whole, rough = (np.concatenate([one.ravel() for one in own]) for own in (whole, rough))
    assert whole @ rough > 0.98 * np.linalg.norm(whole) * np.linalg.norm(rough)


def test_the_seed_decides_the_weights(tiny_recipe: Recipe):
    models = [model_of(tiny_recipe.overridden({"seed": seed}), {"aa": 5}) for seed in (1, 1, 2)]
    kernels = [np.array(model.heads[TRANSCRIPT].output_layers["aa"].kernel) for model in models]
    np.testing.assert_array_equal(kernels[0], kernels[1])
    assert not np.array_equal(kernels[0], kernels[2])


def test_settings_reach_what_they_name(tiny_recipe: Recipe):
    masks = {"num_time_masks": 3, "max_time_share": 0.2, "num_frequency_masks": 1, "max_mels": 5}
    recipe = tiny_recipe.overridden(
        {
            "features.num_mels": 24,
            "features.normalize": "mean",
            "features.floor": 1e-3,
            "encoder.zero_branches": True,
            "augment.spec_augment": masks,
            "training": {"num_updates": 10, "learning_rate": 0.5, "final_learning_rate": 0.1, "warmup_updates": 2},
            "training.average_decay": 0.9,
        }
    )
    model = model_of(recipe, {"aa": 5})
    assert model.features.num_mels == 24
    assert isinstance(model.features, LogMel)
    assert (model.features.normalize, model.features.floor) == ("mean", 1e-3)
    assert not np.asarray(model.encoder.blocks[0].attention.out.kernel.value).any()
    assert vars(model.augment).items() >= masks.items()
    optimizer = build_optimizer(model, recipe.training.model_copy(update={"weight_decay": 0.3, "clip_norm": 0.7}))
    assert (optimizer.weight_decay, optimizer.clip_norm, optimizer.average_decay) == (0.3, 0.7, 0.9)
    schedule = build_schedule(recipe.training, All(2))
    assert [schedule(update, 10).tolist() for update in range(3)] == [[0.25], [0.5], [0.5]]
    assert schedule(10, 10) == pytest.approx([0.1])
    cooled = build_schedule(recipe.training.model_copy(update={"cooldown_updates": 4}), All(2))
    assert [cooled(update, 7)[0] for update in range(1, 8)] == pytest.approx([0.5, 0.5, 0.5, 0.4, 0.3, 0.2, 0.1])


def test_the_plan_takes_its_settings(tiny_recipe: Recipe):
    changes = {"augment.noise_probability": 1.0, "data.batch_s": 4, "data.mixing": "every_language"}
    recipe = tiny_recipe.overridden({"augment.speeds": [0.9, 1.1], **changes})
    durations_s, model = {}, model_of(recipe, {"aa": 5, "bb": 5})
    for i, language in enumerate(recipe.languages):
        split = open_split(recipe, language, "train")
        targets = build_targets(recipe, {language: make_tokenizer(recipe, split)}, {})
        examples = training_examples(recipe, split, targets, model)
        durations_s[i] = split.manifest.durations_s[examples.positions]
    plan = build_plan(recipe, durations_s)
    assert (plan.mixing, plan.ramp) == ("every_language", None)
    ramp = {"target": "bb", "training.cooldown_updates": 1, "data.ramp_to_target": True}
    ramped = recipe.overridden(ramp)
    assert build_plan(ramped, durations_s).ramp == Ramp(1, ramped.training.num_updates - 1, ramped.training.num_updates)
    assert build_plan(ramped, durations_s, end=40).ramp == Ramp(1, 39, 40)
    batch = next(plan.batches())
    assert {one.speed for one in batch} <= {0.9, 1.1}
    assert all(one.snr_db is not None and 10 <= one.snr_db <= 30 for one in batch)
    longest = max(plan.durations_s[one.language][one.example] / one.speed for one in batch)
    assert longest * len(batch) <= 4
