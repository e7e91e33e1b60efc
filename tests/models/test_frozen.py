"""Frozen features of public encoders: Transformers' own frames, cached once, by content; runs on them; bad input."""

from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
from made_up_targets import model_of, objective_of, tokens
from transformers_wav2vec2 import write_model

from speech_mtl.backend import compile_forward, compile_step, compile_surgery_step
from speech_mtl.data.collation import padded_rows
from speech_mtl.data.examples import Examples
from speech_mtl.datatypes import TRANSCRIPT, Batch
from speech_mtl.decoding.recognizer import Recognizer
from speech_mtl.errors import InputError
from speech_mtl.models import frozen
from speech_mtl.models.frozen import FrozenFeatures
from speech_mtl.models.layers import Projection
from speech_mtl.run.build import build_optimizer
from speech_mtl.run.checkpoint import load_recognizer
from speech_mtl.run.evaluate import evaluate
from speech_mtl.run.pseudo_labels import teach
from speech_mtl.run.references import load_references
from speech_mtl.run.speech import open_split
from speech_mtl.run.train import train
from speech_mtl.screen import Screen
from speech_mtl.settings.recipe import Recipe
from speech_mtl.study.plan import plan_comparison

ops: Any = keras.ops
LAYERS, WIDTH = 3, 8
SIZES = {"hidden_size": WIDTH, "num_hidden_layers": LAYERS - 1, "num_attention_heads": 2, "intermediate_size": 12}


def installed() -> Any:
    pytest.importorskip("torch", reason="the extra ssl is not installed")
    return pytest.importorskip("transformers", reason="the extra ssl is not installed")


def random_model(kind: str, folder: Path) -> Path:
    """A model of Transformers with random weights."""
    transformers = installed()
    convolutions = {"conv_dim": [6, 6, 6], "conv_kernel": [10, 8, 4], "conv_stride": [10, 8, 4]}
    sizes = {**SIZES, **convolutions, "num_conv_pos_embeddings": 6, "num_conv_pos_embedding_groups": 2}
    if kind == "wav2vec2-bert":
        model = transformers.Wav2Vec2BertModel(transformers.Wav2Vec2BertConfig(**SIZES, initializer_range=0.3))
        extractor = transformers.SeamlessM4TFeatureExtractor()
    else:
        config = {"wav2vec2": transformers.Wav2Vec2Config, "hubert": transformers.HubertConfig}[kind]
        model = transformers.AutoModel.from_config(config(**sizes, do_stable_layer_norm=True, initializer_range=0.3))
        extractor = transformers.Wav2Vec2FeatureExtractor()
    model.save_pretrained(folder)
    extractor.save_pretrained(folder)
    return folder


@pytest.mark.parametrize("kind", ["wav2vec2", "hubert", "wav2vec2-bert"])
def test_frames_are_those_of_transformers(tmp_path: Path, kind: str):
    folder, transformers = random_model(kind, tmp_path), installed()
    import torch  # pyright: ignore[reportMissingImports]

    model = transformers.AutoModel.from_pretrained(folder).eval()
    extractor = transformers.AutoFeatureExtractor.from_pretrained(folder)
    waveform = np.random.default_rng(0).normal(0, 0.1, 16_000 + 123).astype("float32")
    with torch.no_grad():
        expected = model(**extractor(waveform, sampling_rate=16_000, return_tensors="pt"), output_hidden_states=True)
    features = {layer: FrozenFeatures(16_000, folder, layer) for layer in (0, 1, LAYERS - 1, "mix")}
    size = features[0].num_frames(len(waveform))
    assert 45 <= size <= 50
    made = {layer: one.prepare(waveform) for layer, one in features.items()}
    last = expected.last_hidden_state[0].numpy()[:size]
    inner = expected.hidden_states[1][0].numpy()[:size]
    np.testing.assert_allclose(made[LAYERS - 1].reshape(size, WIDTH), last, atol=5e-3)
    np.testing.assert_allclose(made[1].reshape(size, WIDTH), inner, atol=5e-3)
    for layer in range(LAYERS):
        of_mix = made["mix"].reshape(size, LAYERS, WIDTH)[:, layer]
        if layer in made:
            np.testing.assert_array_equal(of_mix, made[layer].reshape(size, WIDTH))
    assert np.abs(last - inner).max() > 0.1


def test_the_mix_is_a_weighted_sum_of_layers():
    layer = Projection(5)
    layer.build((None, None, 3, 4))
    assert layer.mix is not None
    layer.mix.assign([0.0, 1.0, -2.0])
    frames = np.random.default_rng(0).normal(size=(2, 7, 3, 4)).astype("float32")
    weights = np.exp([0.0, 1.0, -2.0]) / np.exp([0.0, 1.0, -2.0]).sum()
    mixed = np.einsum("btlf,l->btf", frames, weights)
    normal = (mixed - mixed.mean(-1, keepdims=True)) / np.sqrt(mixed.var(-1, keepdims=True) + 1e-5)
    expected = normal @ np.array(layer.project.kernel) + np.array(layer.project.bias)
    np.testing.assert_allclose(np.array(layer(frames.reshape(2, 7, 12))), expected, atol=1e-5)


class FakeModel:
    """In place of Transformers: frames that depend on the samples, and a count of the utterances."""

    calls = 0

    def __init__(self, folder: Path, sample_rate_hz: int):
        pass

    def frames(self, waveform: np.ndarray, layer: Any) -> np.ndarray:
        FakeModel.calls += 1
        rows = waveform[: len(waveform) // 320 * 320].reshape(-1, 320)
        found = np.stack(
            [np.stack([rows.std(axis=1) * (k + 1) * (n + 1) for k in range(WIDTH)], 1) for n in range(LAYERS)], 1
        )
        return found if layer == "mix" else found[:, layer]


@pytest.fixture
def fake(monkeypatch: pytest.MonkeyPatch) -> type[FakeModel]:
    monkeypatch.setattr(frozen, "_Model", FakeModel)
    monkeypatch.setattr(FakeModel, "calls", 0)
    return FakeModel


def folder_of(tmp_path: Path, **changes: Any) -> Path:
    convolutions: dict[str, Any] = {"conv_kernel": [10, 8, 4], "conv_stride": [10, 8, 4]}
    return write_model(tmp_path / "model", "xlsr", **convolutions, num_hidden_layers=LAYERS - 1, **changes)


def recipe_of(tiny_recipe: Recipe, folder: Path, layer: Any = "mix", **changes: Any) -> Recipe:
    features = {"kind": "frozen", "dir": str(folder), "layer": layer}
    return tiny_recipe.overridden({"features": features, "encoder.channels": 0, **changes})


@pytest.mark.parametrize("layer", ["mix", 1])
def test_a_run_makes_them_once(tiny_recipe: Recipe, tmp_path: Path, untraced: None, fake: type[FakeModel], layer: Any):
    recipe = recipe_of(tiny_recipe, folder_of(tmp_path), layer, **{"augment.speeds": [0.9, 1.0]})
    run = train(recipe, tmp_path / "run")
    made = fake.calls
    train(recipe.overridden({"seed": 3}), tmp_path / "other")
    assert fake.calls == made > 0, "another seed, the same features"
    assert {row["language"] for row in evaluate(run, ["dev"])} == {"aa", "bb"}
    subsampling = load_recognizer(run).model.encoder.subsampling
    assert (subsampling.mix is not None) == (layer == "mix")
    if layer == "mix":
        assert np.abs(np.array(subsampling.mix)).max() > 0, "learnt"


def test_recordings_are_recognised_as_cached_speech_is(
    tiny_recipe: Recipe, tmp_path: Path, untraced: None, fake: type[FakeModel]
):
    run = train(recipe_of(tiny_recipe, folder_of(tmp_path)), tmp_path / "run")
    recognizer = load_recognizer(run)
    examples = load_references(run.recipe(), "aa", "dev", recognizer).examples
    waveforms = [examples.store[int(position)] for position in examples.positions]
    made = fake.calls
    cached = dict(recognizer.log_probabilities_of_examples(examples, "aa", 10.0))
    assert fake.calls == made
    fresh = recognizer.log_probabilities(waveforms, "aa", 10.0)
    assert fake.calls == made + len(waveforms) > made
    for i, expected in enumerate(fresh):
        np.testing.assert_allclose(cached[i], expected, atol=1e-5)


class StopError(Exception):
    """Ends the work of a teacher."""


def test_a_teacher_gets_cached_features(
    tiny_recipe: Recipe, tmp_path: Path, untraced: None, fake: type[FakeModel], monkeypatch: pytest.MonkeyPatch
):
    teacher, given = train(recipe_of(tiny_recipe, folder_of(tmp_path)), tmp_path / "run"), []

    def transcribe(_: Recognizer, examples: Examples, *_others: Any) -> None:
        given.append(examples)
        raise StopError

    monkeypatch.setattr(Recognizer, "transcribe_examples", transcribe)
    settings = {"teacher": str(teacher.path)}
    student = teacher.recipe().overridden({"languages.aa.budget_s": 5.0, "languages.aa.pseudo_labels": settings})
    with pytest.raises(StopError):
        teach(student, open_split(student, "aa", "train"), student.teachers["aa"], Screen(quiet=True))
    (examples,), recognizer = given, load_recognizer(teacher)
    waveforms = [examples.store[int(position)] for position in examples.positions]
    expected = recognizer.log_probabilities(waveforms, "aa", 10.0)
    found = dict(recognizer.log_probabilities_of_examples(examples, "aa", 10.0))
    for i, fresh in enumerate(expected):
        np.testing.assert_allclose(found[i], fresh, atol=1e-5)


def batch_for(model: Any) -> Batch:
    """Utterances of several lengths, in both languages."""
    num_samples, generator = np.array([9000, 3000, 6000, 4000], "int32"), np.random.default_rng(0)
    rows = [generator.normal(size=model.features.num_inputs(int(size))) for size in num_samples]
    waveforms, _ = padded_rows(rows, np.float32)
    ids = np.array([0, 1, 0, 1], "int32")
    return Batch(waveforms, num_samples, ids, tokens([[1, 2], [3, 0], [2, 1], [1, 0]], [2, 1, 2, 1]))


@pytest.mark.parametrize("num_threads", ["1", "2"])
def test_frames_wider_than_their_step_are_whole_in_parts_of_a_batch(
    tiny_recipe: Recipe, tmp_path: Path, untraced: None, monkeypatch: pytest.MonkeyPatch, num_threads: str
):
    """More numbers than samples: 640 of 320. Parts are of threads, and with gradient surgery of languages."""
    monkeypatch.setenv("TF_NUM_INTRAOP_THREADS", "1")
    monkeypatch.setenv("TF_NUM_INTEROP_THREADS", num_threads)
    recipe = recipe_of(tiny_recipe, folder_of(tmp_path, hidden_size=640), 1)
    model = model_of(recipe, {"aa": 5, "bb": 4})
    batch, objective = batch_for(model), objective_of(model)
    whole = model(*batch[:3])
    found = compile_forward(model)(*batch[:3])
    for row, size in enumerate(np.array(whole.num_frames)):
        expected = np.array(whole.values[TRANSCRIPT])[row, :size]
        np.testing.assert_allclose(found.values[TRANSCRIPT][row, :size], expected, atol=1e-4)
    losses = np.array(objective.losses(whole, batch)[0])
    optimizer, weights = build_optimizer(model, recipe.training), np.ones(2)
    for step in (
        compile_step(model, optimizer, objective),
        compile_surgery_step(model, optimizer, objective, lambda products, _: np.ones(len(products))),
    ):
        np.testing.assert_allclose(step(batch, 0.0, weights, 0)().losses, losses, rtol=1e-4)


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"encoder.channels": 4}, "encoder.channels=0"),
        ({"augment.noise_probability": 0.5}, "augment.noise_probability must be 0.0"),
        ({"features.layer": 7}, "at most 2"),
        ({"data.sample_rate_hz": 8000}, "set data.sample_rate_hz=16000"),
        ({"languages.aa.replace": "noise"}, "must not be noise"),
        ({"data.decode_once": False}, "data.decode_once must be true"),
    ],
)
def test_what_does_not_fit_is_refused(tiny_recipe: Recipe, tmp_path: Path, changes: dict[str, Any], expected: str):
    with pytest.raises(InputError) as caught:
        recipe_of(tiny_recipe, folder_of(tmp_path), **changes)
    assert expected in caught.value.expected


@pytest.mark.parametrize(
    ("package", "error", "why"),
    [
        ("torch", ModuleNotFoundError(name="torch"), "is not installed"),
        ("torch", OSError("libcudart.so: cannot open shared object file"), "cannot be imported"),
        ("transformers", ModuleNotFoundError(name="transformers"), "is not installed"),
    ],
)
def test_the_package_that_is_missing_or_broken_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, package: str, error: Exception, why: str
):
    def failing(module: str) -> None:
        if module == package:
            raise error

    monkeypatch.setattr("speech_mtl.errors.import_module", failing)
    with pytest.raises(InputError, match=f"needs the package '{package}', which {why}") as caught:
        FrozenFeatures(16_000, folder_of(tmp_path), 1).prepare(np.zeros(16_000, "float32"))
    assert "speech-mtl[ssl]" in caught.value.action


def test_a_folder_without_weights(tmp_path: Path):
    installed()
    folder = folder_of(tmp_path)
    (folder / "model.safetensors").unlink()
    with pytest.raises(InputError, match="holds no model that can be loaded"):
        FrozenFeatures(16_000, folder, 1).prepare(np.zeros(16_000, "float32"))


def test_the_digest_is_of_the_content(tmp_path: Path):
    folder = folder_of(tmp_path)
    digest = FrozenFeatures(16_000, folder, 1).digest()
    moved = folder.rename(tmp_path / "moved")
    assert FrozenFeatures(16_000, moved, 1).digest() == digest
    assert FrozenFeatures(16_000, moved, 2).digest() != digest
    content = bytearray((moved / "model.safetensors").read_bytes())
    content[-1] ^= 1
    (moved / "model.safetensors").write_bytes(content)
    assert FrozenFeatures(16_000, moved, 1).digest() != digest


def test_a_comparison_of_arms_with_and_without_a_public_encoder(tiny_recipe: Recipe, tmp_path: Path):
    """Alone from scratch, alone from a public encoder, and auxiliary languages after it."""
    folder = str(folder_of(tmp_path))
    public = {"features": {"kind": "frozen", "dir": folder, "layer": "mix"}, "encoder.channels": 0}
    tuned = {"features": {"kind": "waveform"}, "encoder": {"kind": "wav2vec2", "dir": folder}}
    compare = {"arms": ["alone", "pretrain_finetune"], "variants": {"scratch": {}, "public": public, "tuned": tuned}}
    changes = {"target": "bb", "compare.budgets_min": [0.01], **{f"compare.{key}": one for key, one in compare.items()}}
    plan = plan_comparison(tiny_recipe.overridden(changes), tmp_path / "out")
    kinds = {(cell.arm.method, cell.arm.variant) for cell in plan.cells}
    assert kinds == {(arm, variant) for arm in compare["arms"] for variant in ("", "public", "tuned")}
    features = {stage.recipe.features.kind for stage in plan.stages.values()}
    assert features == {"log_mel", "frozen", "waveform"}
