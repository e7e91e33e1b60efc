"""The twin is the same network: with our weights it gives our logits, our losses and our gradient, and learns alike."""

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="the twin needs benchmarks/requirements.txt")

from made_up_targets import model_of, objective_of  # noqa: E402

from benchmarks import pytorch_twin  # noqa: E402
from benchmarks.contestants import Case, twin_settings  # noqa: E402
from benchmarks.speech_like import Shape, batches  # noqa: E402
from speech_mtl.backend import compile_step, ctc_loss  # noqa: E402
from speech_mtl.datatypes import TRANSCRIPT  # noqa: E402
from speech_mtl.run.build import build_optimizer  # noqa: E402

CASE = Case("small")
PLAIN = {
    "encoder.dropout": 0.0,
    "encoder.num_layers": 2,
    "augment.spec_augment.num_time_masks": 0,
    "augment.spec_augment.num_frequency_masks": 0,
}


@pytest.fixture(params=[1, 2], ids=["", "upsampling"])
def recipe(request):
    """Nothing random in training."""
    return CASE.recipe.overridden({**PLAIN, "encoder.upsampling": request.param})


@pytest.fixture
def model(recipe):
    """Ours, with weights none of which is 0 or 1."""
    model = model_of(recipe, CASE.vocabularies)
    generator = np.random.default_rng(1)
    for variable in model.trainable_variables:
        variable.assign(variable.numpy() + 0.05 * generator.standard_normal(variable.shape))
    return model


@pytest.fixture
def twin(recipe, model):
    settings = pytorch_twin.TwinSettings(**twin_settings(recipe))
    twin = pytorch_twin.Twin(settings, CASE.vocabularies, model.features.filters)
    pytorch_twin.copy_weights(twin, {variable.path: variable.numpy() for variable in model.trainable_variables})
    return twin


@pytest.fixture
def batch():
    return batches(Shape(6, 1.5, 10), CASE.num_languages, number=1)[0]


def test_logits_and_losses_are_ours(model, twin, batch):
    ours = model(batch.waveforms, batch.num_samples, batch.language_ids, training=False)
    our_losses = ctc_loss(ours.values[TRANSCRIPT], ours.num_frames, *batch.targets[TRANSCRIPT])
    tensors = pytorch_twin.as_tensors(batch)
    with torch.no_grad():
        logits, num_frames = twin.eval()(*tensors[:3])
        losses = pytorch_twin.ctc_loss(logits, num_frames, *tensors.targets[TRANSCRIPT])
    assert num_frames.tolist() == ours.num_frames.numpy().tolist()
    real = np.arange(logits.shape[1])[None, :] < num_frames.numpy()[:, None]
    np.testing.assert_allclose(logits.numpy()[real], ours.values[TRANSCRIPT].numpy()[real], atol=1e-4)
    np.testing.assert_allclose(losses.numpy(), our_losses.numpy(), rtol=1e-4)


@pytest.mark.parametrize("normalize", ["mean_variance", "mean", "none"])
def test_features_are_ours(recipe, normalize, batch):
    recipe = recipe.overridden({"features.normalize": normalize, "features.floor": 1e-3})
    ours = model_of(recipe, CASE.vocabularies).features
    settings = pytorch_twin.TwinSettings(**twin_settings(recipe))
    its, num_frames = pytorch_twin.LogMel(settings, ours.filters)(*pytorch_twin.as_tensors(batch)[:2])
    features, true = ours(batch.waveforms, batch.num_samples)
    assert num_frames.tolist() == true.numpy().tolist()
    np.testing.assert_allclose(its.numpy(), features.numpy(), atol=1e-3)


def test_zero_branches_add_nothing_at_the_start(recipe, batch):
    settings = pytorch_twin.TwinSettings(**twin_settings(recipe.overridden({"encoder.zero_branches": True})))
    encoder = pytorch_twin.Conformer(settings)
    features, num_frames = torch.randn(2, 60, settings.num_mels), torch.tensor([60, 40])
    with torch.no_grad():
        hidden, _, _ = encoder.eval()(features, num_frames)
        expected = encoder.subsampling(features)
        for _ in encoder.blocks:
            expected = torch.nn.functional.layer_norm(expected, expected.shape[-1:])
    torch.testing.assert_close(hidden, expected.repeat_interleave(settings.upsampling, 1))


def test_training_takes_the_same_path(recipe, model, twin, batch):
    training = recipe.training
    our_step = compile_step(model, build_optimizer(model, training), objective_of(model))
    twin_step = pytorch_twin.make_train_step(twin, training.weight_decay, training.clip_norm)
    for update in range(3):
        ours = our_step(batch, 1e-4, np.ones(CASE.num_languages), update)()
        losses, norm = twin_step(batch, 1e-4)
        np.testing.assert_allclose(losses, ours.losses[:, 0], rtol=1e-3)
        assert norm == pytest.approx(ours.norm, rel=1e-3)


def test_the_second_loss_is_that_of_the_frames_after_half_of_the_blocks(recipe, model, batch, monkeypatch):
    settings = pytorch_twin.TwinSettings(**twin_settings(recipe))

    def gradients(weight):
        monkeypatch.setattr(pytorch_twin, "MIDDLE_WEIGHT", weight)
        torch.manual_seed(0)
        twin = pytorch_twin.Twin(settings, CASE.vocabularies, model.features.filters, intermediate=True)
        monkeypatch.setattr(torch.optim.AdamW, "step", lambda _: None)
        monkeypatch.setattr(torch.optim.AdamW, "zero_grad", lambda _: None)
        losses, _ = pytorch_twin.make_train_step(twin, 0.0, 1e9)(batch, 1e-3)
        named = twin.named_parameters()
        return losses, {name: parameter.grad for name, parameter in named if parameter.grad is not None}

    (losses, last), (same, middle), (_, both) = gradients(0.0), gradients(1.0), gradients(0.3)
    np.testing.assert_array_equal(losses, same)
    for name, gradient in both.items():
        torch.testing.assert_close(gradient, 0.7 * last[name] + 0.3 * middle[name], rtol=1e-3, atol=1e-5)
    norms = {name: float(gradient.norm()) for name, gradient in middle.items()}
    assert norms["heads.weight"] == norms["encoder.blocks.1.norm.weight"] == 0, "two blocks: the second is above"
    assert norms["middle_heads.weight"] > 0
    assert norms["encoder.blocks.0.norm.weight"] > 0
    assert float(last["middle_heads.weight"].norm()) == 0


def test_augmentation_hides_bands_of_true_frames():
    masks = {"num_time_masks": 2, "num_frequency_masks": 2}
    settings = pytorch_twin.TwinSettings(**twin_settings(CASE.recipe.overridden({"augment.spec_augment": masks})))
    torch.manual_seed(0)
    features = torch.ones(64, 100, settings.num_mels)
    hidden = pytorch_twin.SpecAugment(settings)(features, torch.full((64,), 50)) == 0
    assert hidden.any()
    whole_frames, whole_mels = hidden.all(2), hidden.all(1)
    assert torch.equal(hidden, whole_frames[:, :, None] | whole_mels[:, None, :])
    assert not whole_frames[:, 50:].any()
    assert whole_frames.sum(1).max() <= settings.num_time_masks * settings.max_time_share * 50
    assert whole_mels.sum(1).max() <= settings.num_frequency_masks * settings.max_mels
