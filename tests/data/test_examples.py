from collections import Counter
from itertools import islice

import numpy as np
import pytest
from tiny_speech import LIMITS, TOKENIZER, everything, frames_of, loaded, opened

from speech_mtl.data.audio import add_noise, change_speed
from speech_mtl.data.augmentation import Coding, augmented
from speech_mtl.data.collation import batches, collate, padded_rows
from speech_mtl.data.examples import Examples, Reading, load_examples
from speech_mtl.data.index import open_manifest
from speech_mtl.data.manifest import read_manifest
from speech_mtl.data.sampling import SampledExample, TrainingPlan, plan_evaluation
from speech_mtl.data.store import open_store
from speech_mtl.data.tokenizer import CharacterTokenizer
from speech_mtl.datatypes import TRANSCRIPT, Batch
from speech_mtl.errors import InputError
from speech_mtl.targets.ctc import Ctc

# --- examples


def test_examples(tmp_path):
    texts = [("ab", 1.0), ("c", 0.5), ("", 0.0), ("dcba", 2.0)]
    manifest, store = opened(tmp_path, texts)
    examples = loaded(manifest, store)
    assert len(examples) == 3
    assert examples.positions.tolist() == [0, 1, 3]
    assert examples.num_samples.tolist() == [16_000, 8000, 32_000]
    assert [TOKENIZER.decode(examples.targets[TRANSCRIPT][i].tolist()) for i in range(3)] == [
        "ab",
        "c",
        "dcba",
    ]
    assert [skip.reason for skip in examples.skipped] == ["missing"]


def test_only_the_named_positions(tmp_path):
    manifest, store = opened(tmp_path, [("a", 1), ("?", 1), ("b", 1), ("c", 1)])
    examples = loaded(manifest, store, np.array([0, 3]))
    assert examples.positions.tolist() == [0, 3]
    assert examples.skipped == []


BAD = {
    "too short for its text": ("aaaa", 0.24),
    "unknown characters": ("xyz", 1.0),
    "no text": ("...!", 1.0),
    "missing": ("a", 0.0),
}


@pytest.mark.parametrize("reason", BAD)
def test_each_reason_is_counted(reason, tmp_path):
    manifest, store = opened(tmp_path, [("ab", 1.0), BAD[reason], ("ab", 1.0)])
    examples = loaded(manifest, store)
    assert [skip.reason for skip in examples.skipped] == [reason]
    assert examples.skipped[0].source == f"{manifest}:2"
    assert examples.positions.tolist() == [0, 2]


def test_too_short_exactly(tmp_path):
    """Seven frames carry `aaaa`, with blanks in between; six do not, nor seven that are played faster."""
    manifest, store = opened(tmp_path, [("aaaa", 7 * 0.04), ("abab", 4 * 0.04)])
    examples = loaded(manifest, store)
    assert len(examples) == 2
    with pytest.raises(InputError, match="2 of 2"):
        loaded(manifest, store, min_speed_samples=1 / 1.1)


def test_too_many_unusable(tmp_path):
    manifest, store = opened(
        tmp_path, [("ab", 1.0), BAD["no text"], BAD["unknown characters"], BAD["missing"], ("x", 1.0)]
    )
    with pytest.raises(InputError, match="3 of 4 utterances") as caught:
        loaded(manifest, store)
    received = caught.value.received
    for part in ("1 no text", "2 unknown characters", f"{manifest}:2", f"{manifest}:3"):
        assert part in received
    assert "missing" not in received, "audio is judged over the whole manifest, where the store is opened"
    assert f"{manifest}:5" not in received, "the first case of each reason only"
    assert "allow_skipped" in caught.value.action
    examples = loaded(manifest, store, allow_skipped=0.8)
    assert examples.positions.tolist() == [0]
    assert Counter(skip.reason for skip in examples.skipped) == {"no text": 1, "unknown characters": 2, "missing": 1}


# --- batches


def arrays(batch: Batch) -> list[np.ndarray]:
    return [*batch[:3], *batch.targets[TRANSCRIPT]]


@pytest.fixture
def examples(tmp_path) -> dict[int, Examples]:
    """Language 4 has three examples, and language 7 the last two of them."""
    manifest, store = opened(tmp_path, [("ab", 0.5), ("c", 0.25), ("dcba", 1.0)])
    last_two = loaded(manifest, store, np.array([1, 2]))
    return {4: loaded(manifest, store), 7: last_two}


def test_collate(examples):
    batch = collate([SampledExample(7, 1), SampledExample(4, 0), SampledExample(4, 1)], examples)
    assert [array.dtype for array in arrays(batch)] == ["float32", "int32", "int32", "int32", "int32"]
    assert batch.waveforms.shape == (3, 16_000)
    assert batch.num_samples.tolist() == [16_000, 8000, 4000]
    assert batch.language_ids.tolist() == [7, 4, 4]
    assert batch.targets[TRANSCRIPT].sizes.tolist() == [4, 2, 1]
    assert batch.targets[TRANSCRIPT].ids.tolist() == [[4, 3, 2, 1], [1, 2, 0, 0], [3, 0, 0, 0]]
    for row, position, size in zip(batch.waveforms, (2, 0, 1), batch.num_samples, strict=True):
        np.testing.assert_array_equal(row[:size], examples[4].store[position])
        assert not row[size:].any()


def test_speed_then_noise(examples):
    example = SampledExample(4, 2, speed=1.1, snr_db=12.0, seed=99)
    batch = collate([example], examples)
    expected = add_noise(change_speed(examples[4].store[2], 1.1), 12.0, np.random.default_rng(99))
    np.testing.assert_array_equal(batch.waveforms[0], expected)
    np.testing.assert_array_equal(collate([example], examples).waveforms, batch.waveforms)


def test_augmentations_follow_and_change_nothing_else(examples):
    """Those of a probability of 0 leave a batch as it is to the last bit; labels stay as they are in any case."""
    sampled = [SampledExample(4, 2, speed=1.1, snr_db=12.0, seed=99), SampledExample(7, 0, seed=5)]
    plain = collate(sampled, examples)
    off, on = (collate(sampled, examples, [Coding(chance, 16_000, ("a_law",))]) for chance in (0.0, 1.0))
    for array, again in zip(arrays(plain), arrays(off), strict=True):
        np.testing.assert_array_equal(array, again)
    for array, again in zip(arrays(plain)[1:], arrays(on)[1:], strict=True):
        np.testing.assert_array_equal(array, again)
    size = plain.num_samples[0]
    expected = augmented(plain.waveforms[0][:size], [Coding(1.0, 16_000, ("a_law",))], 99)
    np.testing.assert_array_equal(on.waveforms[0][:size], expected)
    assert not np.array_equal(expected, plain.waveforms[0][:size])


def test_padded_rows():
    matrix, sizes = padded_rows([np.array([1, 2]), np.array([], int), np.array([3])], np.int32)
    assert matrix.tolist() == [[1, 2], [0, 0], [3, 0]]
    assert sizes.tolist() == [2, 0, 1]


def test_batches_do_not_depend_on_the_number_of_threads(examples):
    durations = {i: examples[number].num_samples / 16_000 for i, number in enumerate((4, 7))}
    plan = TrainingPlan(durations, 3.0, 0.5, 0, speeds=(0.9, 1.1), noise_probability=0.5, pool_batches=4)
    by_number = {0: examples[4], 1: examples[7]}
    results = [list(islice(batches(plan.batches(), by_number, threads), 25)) for threads in (1, 4)]
    for sampled, one, other in zip(plan.batches(), *results, strict=False):
        expected = collate(sampled, by_number)
        for array, again, true in zip(*map(arrays, (one, other, expected)), strict=True):
            np.testing.assert_array_equal(array, true)
            np.testing.assert_array_equal(again, true)


def test_batches_end_with_the_plan(examples):
    plan = plan_evaluation(4, examples[4].num_samples / 16_000, 0.6)
    filled = list(batches(plan, examples, 2))
    assert [batch.num_samples.tolist() for batch in filled] == [[4000], [8000], [16_000]]


def test_an_error_in_a_thread_is_not_lost(examples):
    with pytest.raises(KeyError):
        list(batches([[SampledExample(5, 0)]], examples, 2))


def test_chain_from_manifest_to_batch(make_corpus, tmp_path):
    """The whole chain on a corpus of tones."""
    manifest = open_manifest(make_corpus() / "bb" / "train.jsonl", tmp_path / "cache")
    store = open_store(tmp_path / "cache", "bb-train", manifest, LIMITS)
    spoken = [str(utterance.text) for utterance in manifest.at(everything(store))]
    tokenizer = CharacterTokenizer.from_texts(spoken, "bb")
    examples = load_examples(
        manifest, store, everything(store), Reading("bb", [Ctc(TRANSCRIPT, {"bb": tokenizer})], frames_of)
    )
    assert len(examples) == 12
    plan = TrainingPlan({0: examples.num_samples / 16_000}, 4.0, 0.5, 0)
    texts = {utterance.text for utterance in read_manifest(manifest.path)}
    for batch in islice(batches(plan.batches(), {0: examples}, 2), 5):
        for row, size in zip(*batch.targets[TRANSCRIPT], strict=True):
            assert tokenizer.decode(row[:size].tolist()) in texts
