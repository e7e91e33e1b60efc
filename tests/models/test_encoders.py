"""What the package relies on in any encoder. It finds new ones by itself."""

from typing import Any, NamedTuple

import keras
import numpy as np
import pytest
from made_up_targets import tokens as targets_of
from tiny_encoders import wav2vec2_folder, whisper_folder
from usual import usual

from speech_mtl.backend import ctc_loss
from speech_mtl.datatypes import TOP, TRANSCRIPT, Batch
from speech_mtl.models.augment import SpecAugment
from speech_mtl.models.features import Waveform
from speech_mtl.models.heads import LanguageHeads
from speech_mtl.models.language_layers import LanguageParts
from speech_mtl.models.multitask import MultilingualModel
from speech_mtl.settings.features import LogMelSettings
from speech_mtl.settings.network import OneEncoderSettings

ops: Any = keras.ops  # whose annotations admit strings and None


TINY = {
    "num_layers": 2,
    "dim": 16,
    "num_heads": 2,
    "kernel_size": 5,
    "expansion": 2,
    "channels": 4,
    "dropout": 0.1,
}
LENGTHS = (4200, 6000, 2900)


class Results(NamedTuple):
    logits: np.ndarray
    num_frames: np.ndarray
    losses: np.ndarray
    gradients: dict[str, np.ndarray]


KINDS = OneEncoderSettings.kinds()
LANGUAGES: tuple[str, ...] = ("cs", "zh")
OWN_PARTS = {
    "bottom": {"num_top": 1},
    "middle": {"num_bottom": 1, "num_top": 1},
    "nothing": {"num_bottom": 3},
    "bottleneck": {"size": 3},
    "low_rank": {"rank": 2, "alpha": 16.0},
    "chunks": {"chunk_size": 3},
    "upsampling": {"upsampling": 2},
}
"""What languages may have for themselves in an encoder, one in chunks, and one of more frames."""


def tiny_encoder(kind: str, chunk_size: int | None = None, upsampling: int = 1, **own: Any) -> Any:
    accepted = KINDS[kind].model_fields
    sizes = TINY | {"chunk_size": chunk_size, "left_chunks": 1, "upsampling": upsampling}
    if kind == "whisper":
        sizes |= {"dir": whisper_folder(2, 16, 20)}
    if kind == "wav2vec2":
        sizes |= {"dir": wav2vec2_folder(2, 16, (5, 3, 3), (4, 5, 2))}
    sizes |= {"zero_branches": False}  # else weights inside them have no gradient at first
    arguments = {name: value for name, value in sizes.items() if name in accepted}
    return usual(KINDS[kind], **arguments, parts=LanguageParts(LANGUAGES, **own))


@pytest.fixture(
    scope="module", params=[*sorted(KINDS), *OWN_PARTS, "recurrent with bottom", "recurrent with upsampling"]
)
def model(request) -> MultilingualModel:
    keras.utils.set_random_seed(0)
    random = keras.random.SeedGenerator(0)
    kind, _, own = request.param.rpartition(" with ")
    kind = kind or (request.param if request.param in KINDS else "conformer")
    encoder = tiny_encoder(kind, **OWN_PARTS.get(own, {}))
    sizes: dict[str, int] = dict(zip(LANGUAGES, (5, 7), strict=True))
    own = {name: name for name in LANGUAGES}
    heads = {TRANSCRIPT: LanguageHeads(LANGUAGES, sizes, own, dict.fromkeys(LANGUAGES, TOP), encoder.widths)}
    features = (
        Waveform(16_000, True)
        if kind == "wav2vec2"
        else usual(LogMelSettings, sample_rate_hz=16_000, num_mels=20, normalize="mean_variance")
    )  # of a size that float32 resolves, for noise too
    augment = SpecAugment(2, 0.1, 2 * (features.width > 1), 20, random=random)
    model = MultilingualModel(features, augment, encoder, heads, random, LANGUAGES)
    generator = np.random.default_rng(0)
    for variable in model.trainable_variables:
        if variable.path.endswith("/up"):  # which starts at zero
            variable.assign(generator.normal(0, 0.3, variable.shape))
    return model


def make_batch() -> Batch:
    """Three utterances of two languages."""
    generator = np.random.default_rng(0)
    waveforms = np.zeros((3, max(LENGTHS)), "float32")
    for row, size in zip(waveforms, LENGTHS, strict=True):
        row[:size] = generator.normal(0, 0.1, size)
    tokens = np.array([[1, 2, 0], [6, 3, 1], [4, 0, 0]], "int32")
    targets = targets_of(tokens, [2, 3, 1])
    return Batch(waveforms, np.array(LENGTHS, "int32"), np.array([0, 1, 0], "int32"), targets)


def rows(batch: Batch, chosen: list[int]) -> Batch:
    return keras.tree.map_structure(lambda array: array[chosen], batch)


@pytest.fixture(scope="module")
def compute(model, value_and_gradients):
    """The results of a batch, in which the loss is the sum over all utterances."""

    def run(batch: Batch) -> Results:
        def computed():
            values, num_frames = model(*batch[:3])
            logits = values[TRANSCRIPT]
            return logits, num_frames, ctc_loss(logits, num_frames, *batch.targets[TRANSCRIPT])

        variables = model.trainable_variables
        _, gradients = value_and_gradients(lambda: ops.sum(computed()[2]), variables)
        logits, num_frames, losses = computed()
        return Results(
            ops.convert_to_numpy(logits),
            ops.convert_to_numpy(num_frames),
            ops.convert_to_numpy(losses),
            {v.path: gradient for v, gradient in zip(variables, gradients, strict=True)},
        )

    return run


@pytest.fixture(scope="module")
def results(compute) -> Results:
    return compute(make_batch())


def assert_same(one: Results, other: Results, order: list[int] | None = None) -> None:
    """Logits of true frames and losses are alike, row by row."""
    order = order or list(range(len(other.losses)))
    for i, j in enumerate(order):
        size = one.num_frames[i]
        assert size == other.num_frames[j]
        np.testing.assert_allclose(one.logits[i, :size], other.logits[j, :size], rtol=1e-4, atol=1e-5)
        np.testing.assert_allclose(one.losses[i], other.losses[j], rtol=1e-4)


def assert_same_gradients(one: dict[str, np.ndarray], other: dict[str, np.ndarray]) -> None:
    assert one.keys() == other.keys()
    for path, gradient in one.items():
        scale = max(np.abs(gradient).max(), 1e-3)
        np.testing.assert_allclose(gradient, other[path], atol=2e-4 * scale, rtol=0, err_msg=path)


def test_the_batch_says_something(model, results):
    assert (results.losses > 1).all()
    assert results.num_frames.tolist() == [model.num_encoder_frames(size) for size in LENGTHS]
    for path, gradient in results.gradients.items():
        assert np.isfinite(gradient).all()
        assert np.abs(gradient).max() > 1e-6, f"{path} has no part in the loss"


@pytest.mark.parametrize("junk", [0.0, 0.3])
def test_padding_changes_nothing(compute, results, junk):
    """More padding, be it zeros or noise, and tokens beyond the true ones."""
    batch = make_batch()
    noise = np.random.default_rng(1).normal(0, 1.0, (3, max(LENGTHS) + 2500)).astype("float32") * np.float32(junk)
    for row, waveform, size in zip(noise, batch.waveforms, batch.num_samples, strict=True):
        row[:size] = waveform[:size]
    tokens = np.full((3, 6), 2 if junk else 0, "int32")
    for row, true, size in zip(tokens, *batch.targets[TRANSCRIPT], strict=True):
        row[:size] = true[:size]
    padded = compute(batch._replace(waveforms=noise, targets=targets_of(tokens, batch.targets[TRANSCRIPT].sizes)))
    assert padded.logits.shape[1] > results.logits.shape[1]
    assert_same(padded, results)
    assert_same_gradients(padded.gradients, results.gradients)


def test_neighbours_change_nothing(compute, results):
    """Each utterance alone gives its own logits and loss, and the gradients add up to the batch's."""
    batch = make_batch()
    alone = []
    for i, size in enumerate(LENGTHS):
        one = rows(batch, [i])
        ids, sizes = one.targets[TRANSCRIPT]
        targets = targets_of(ids[:, : sizes[0]], sizes)
        alone.append(compute(one._replace(waveforms=one.waveforms[:, :size], targets=targets)))
        assert alone[-1].logits.shape[1] == alone[-1].num_frames[0], "without padding all frames are true"
        assert_same(alone[-1], results, [i])
    sums = {path: np.sum([single.gradients[path] for single in alone], axis=0) for path in results.gradients}
    assert_same_gradients(sums, results.gradients)


def test_permuting_a_batch_permutes_its_results(compute, results):
    order = [2, 0, 1]
    permuted = compute(rows(make_batch(), order))
    assert_same(permuted, results, order)
    assert_same_gradients(permuted.gradients, results.gradients)


def test_rows_that_are_padding_change_nothing(compute, results):
    """A row with 0 tokens and 0 samples fills a batch up."""
    batch = make_batch()
    filled = compute(keras.tree.map_structure(lambda one: np.concatenate([one, np.zeros_like(one[:2])]), batch))
    assert filled.losses[3:].tolist() == [0.0, 0.0]
    true = filled._replace(logits=filled.logits[:3], num_frames=filled.num_frames[:3], losses=filled.losses[:3])
    assert_same(true, results)
    assert_same_gradients(filled.gradients, results.gradients)


def scale(model) -> int:
    """Feature frames for one of other encoders: samples are far more."""
    return max(1, model.encoder.frame_centres[1] // 4)


@pytest.mark.filterwarnings("ignore:You are using a softmax over axis")  # Keras wonders at a single frame
def test_num_frames_is_the_true_size(model):
    sizes = [scale(model) * size for size in (7, 8, 9, 10, 11, 14, 15, 31)]
    for size in sizes:
        inputs = np.zeros((1, size, model.features.width), "float32"), np.array([size], "int32"), np.array([1], "int32")
        found, num_frames = model.encoder(*inputs)
        frames = found[TOP]
        expected = model.encoder.num_frames(size)
        assert tuple(frames.shape) == (1, expected, model.encoder.dim)
        assert ops.convert_to_numpy(num_frames).tolist() == [expected]
    np.testing.assert_array_equal(
        model.encoder.num_frames(np.array(sizes)), [model.encoder.num_frames(size) for size in sizes]
    )


def test_frames_lie_where_the_encoder_says(model):
    """A feature frame shows in those encoder frames that are made of it: as many on either side of their middle."""
    size = 40 * scale(model)
    features = np.random.default_rng(0).normal(0, 1, (1, size, model.features.width)).astype("float32")
    language_ids = np.array([1], "int32")
    sizes, found = np.array([size], "int32"), []
    before = ops.convert_to_numpy(model.encoder.subsampled(features, sizes, language_ids))
    first, step = model.encoder.frame_centres
    centres = first + step * np.arange(model.encoder.num_frames(size))
    for frame in range(0, size, scale(model)):
        changed = features.copy()
        changed[0, frame] = np.random.default_rng(frame + 1).normal(0, 10, model.features.width)
        after = ops.convert_to_numpy(model.encoder.subsampled(changed, sizes, language_ids))
        differs = np.abs(after - before).max(axis=(0, 2)) > 1e-4
        found += zip(differs.tolist(), np.abs(centres - frame).tolist(), strict=True)
    reach = max(distance for differs, distance in found if differs)
    assert all(distance > reach for differs, distance in found if not differs)


def test_the_last_layer_lies_in_the_encoder_and_is_trained(model):
    inside = {id(v) for v in model.shared_weights}
    if not inside:
        with pytest.raises(ValueError, match="share no layer"):
            _ = model.encoder.last_layer
        return
    last = model.encoder.last_layer
    assert isinstance(last, keras.layers.Layer)
    assert last is not model.encoder
    assert last.path.startswith(f"{model.encoder.path}/")
    assert last.trainable_variables
    assert inside.intersection(id(v) for v in last.trainable_variables)


def test_dropout_only_in_training(model):
    batch = make_batch()
    features, num_frames = model.features(batch.waveforms, batch.num_samples)
    inputs = features, num_frames, batch.language_ids
    calm = [ops.convert_to_numpy(model.encoder(*inputs)[0][TOP]) for _ in range(2)]
    wild = [ops.convert_to_numpy(model.encoder(*inputs, training=True)[0][TOP]) for _ in range(2)]
    np.testing.assert_array_equal(*calm)
    assert np.abs(wild[0] - wild[1]).max() > 1e-3
    assert np.isfinite(wild).all()


def test_taps_are_what_blocks_give(model):
    """From the lowest to the highest; what lies above the highest tap that is asked for has no part."""
    batch = make_batch()
    features, num_frames = model.features(batch.waveforms, batch.num_samples)
    inputs = features, num_frames, batch.language_ids
    assert model.encoder.widths == dict.fromkeys(("block_0", "block_1", TOP), model.encoder.dim)
    frames, sizes = model.encoder(*inputs, taps=("block_0", "block_1", TOP))
    lower, expected, top = (ops.convert_to_numpy(frames[tap]) for tap in ("block_0", "block_1", TOP))
    np.testing.assert_array_equal(top, expected)
    assert lower.shape == top.shape
    assert np.abs(lower - top).max() > 1e-3
    last = [*model.encoder.blocks[1].trainable_variables]
    before = [ops.convert_to_numpy(variable.value) for variable in last]
    for variable in last:
        variable.assign(variable.value + 1.0)
    alone, _ = model.encoder(*inputs, taps=("block_0",))
    for variable, value in zip(last, before, strict=True):
        variable.assign(value)
    assert list(alone) == ["block_0"]
    np.testing.assert_array_equal(ops.convert_to_numpy(alone["block_0"]), lower)
    expected_sizes = [model.encoder.num_frames(model.features.num_frames(size)) for size in LENGTHS]
    assert ops.convert_to_numpy(sizes).tolist() == expected_sizes


def test_names_of_weights_are_unique_and_lie_below_the_encoder(model):
    paths = [variable.path for variable in model.encoder.trainable_variables]
    assert len(set(paths)) == len(paths)
    assert all(path.startswith(f"{model.encoder.path}/") for path in paths)
