"""Speech that is read when a batch is made: against the same speech, decoded before."""

from itertools import islice
from pathlib import Path

import numpy as np
import pytest
import soundfile
from tiny_speech import LIMITS, TOKENIZER, everything, frames_of, loaded, opened

from speech_mtl.data.collation import batches, collate
from speech_mtl.data.examples import Reading
from speech_mtl.data.index import Manifest, open_manifest
from speech_mtl.data.manifest import read_manifest, write_manifest
from speech_mtl.data.reading import ReadExamples, ReadWaveforms
from speech_mtl.data.sampling import SampledExample, TrainingPlan
from speech_mtl.data.store import open_store
from speech_mtl.datatypes import TRANSCRIPT, Batch, Utterance
from speech_mtl.errors import InputError
from speech_mtl.targets.ctc import Ctc
from speech_mtl.targets.regression import Regression

TEXTS = [("ab", 0.5), ("c", 0.25), ("dcba", 1.0), ("a", 0.75), ("bd", 0.6)]
CTC = Ctc(TRANSCRIPT, {"en": TOKENIZER})


def read(manifest: Manifest, **settings) -> ReadExamples:
    waveforms = ReadWaveforms(manifest, LIMITS)
    reading = Reading("en", settings.pop("targets", [CTC]), frames_of, **settings)
    return ReadExamples(waveforms, everything(waveforms), reading)


def arrays(batch: Batch) -> list[np.ndarray]:
    return [*batch[:3], *batch.targets[TRANSCRIPT]]


def test_batches_are_those_of_decoded_speech(tmp_path):
    manifest, store = opened(tmp_path, TEXTS)
    plan = TrainingPlan(
        {0: manifest.durations_s}, 3.0, 0.5, 0, speeds=(0.9, 1.1), noise_probability=0.5, pool_batches=4
    )
    expected = list(islice(batches(plan.batches(), {0: loaded(manifest, store)}, 1), 20))
    for num_threads in (1, 4):
        found = list(islice(batches(plan.batches(), {0: read(manifest)}, num_threads), 20))
        for one, other in zip(found, expected, strict=True):
            for array, again in zip(*map(arrays, (one, other)), strict=True):
                np.testing.assert_array_equal(array, again)


def test_other_rates_and_channels_are_resampled_and_mixed_as_in_decoded_speech(tmp_path):
    manifest, _ = opened(tmp_path, TEXTS)
    forms = [(44_100, 2), (8000, 1), (16_000, 2), (22_050, 1), (48_000, 3)]
    for utterance, (rate_hz, channels) in zip(read_manifest(manifest.path), forms, strict=True):
        sound = np.random.default_rng(0).uniform(-0.5, 0.5, (round(utterance.duration_s * rate_hz), channels))
        soundfile.write(utterance.audio, sound, rate_hz)
    store = open_store(tmp_path / "cache", "en-train", manifest, LIMITS)
    sampled = [SampledExample(0, i) for i in range(5)]
    expected, found = (collate(sampled, {0: one}) for one in (loaded(manifest, store), read(manifest)))
    for array, again in zip(arrays(expected), arrays(found), strict=True):
        np.testing.assert_array_equal(array, again)


def test_lengths_are_those_of_the_manifest(tmp_path):
    manifest, store = opened(tmp_path, TEXTS)
    waveforms = ReadWaveforms(manifest, LIMITS)
    np.testing.assert_array_equal(waveforms.num_samples, store.num_samples)
    np.testing.assert_array_equal(waveforms[2], store[2])
    assert not waveforms.digests.any()
    assert waveforms.skipped == {}


def test_what_is_too_short_or_too_long_by_the_manifest_is_never_read(tmp_path):
    utterances = [Utterance(str(i), tmp_path / "none.wav", "en", "a", s) for i, s in enumerate((0.05, 1.0, 40.0))]
    write_manifest(tmp_path / "en" / "train.jsonl", utterances)
    manifest = open_manifest(tmp_path / "en" / "train.jsonl", tmp_path / "cache")
    waveforms = ReadWaveforms(manifest, LIMITS)
    assert waveforms.num_samples.tolist() == [0, 16_000, 0]
    assert {place: skip.reason for place, skip in waveforms.skipped.items()} == {0: "too short", 2: "too long"}
    assert waveforms.skipped[2].source == f"{manifest.path}:3"
    assert read(manifest).positions.tolist() == [1]
    with pytest.raises(InputError, match=r"train\.jsonl:2: its audio cannot be used(?s:.)*none\.wav"):
        waveforms[1]


BAD = {"missing": ("a", 0.0), "unknown characters": ("xyz", 1.0), "too short for its text": ("aaaa", 0.24)}


@pytest.mark.parametrize("reason", BAD)
def test_what_cannot_be_used_is_a_silent_row_without_labels(reason, tmp_path, caplog):
    """The other rows of its batch are as without it; it is named, and counted once."""
    manifest, _ = opened(tmp_path, [TEXTS[0], BAD[reason], TEXTS[2]])
    examples = {0: read(manifest)}
    for _ in range(2):
        batch = collate([SampledExample(0, i, speed=1.1) for i in range(3)], examples)
        without = collate([SampledExample(0, i, speed=1.1) for i in (0, 2)], examples)
        for array, other in zip(arrays(batch), arrays(without), strict=True):
            np.testing.assert_array_equal(array[[0, 2]], other)
        assert not batch.waveforms[1].any()
        assert batch.num_samples[1] == round(float(manifest.durations_s[1]) * 16_000 / 1.1)
        assert batch.targets[TRANSCRIPT].sizes[1] == 0
        (skip,) = examples[0].left_out
        assert (skip.source, skip.reason) == (f"{manifest.path}:2", reason)
    assert len(caplog.messages) == 1
    assert f"{manifest.path}:2: left out: {reason}: " in caplog.text


def corpus_with_missing(tmp_path: Path, num_missing: int) -> Manifest:
    """A corpus of 40 utterances of the same audio, of which the first ones have none."""
    manifest, _ = opened(tmp_path, [("a", 0.5)])
    (one,) = read_manifest(manifest.path)
    audio = [tmp_path / "none.wav"] * num_missing + [one.audio] * (40 - num_missing)
    records = [Utterance(f"u{i}", path, "en", "a", 0.5) for i, path in enumerate(audio)]
    write_manifest(manifest.path, records)
    return open_manifest(manifest.path, tmp_path / "cache")


@pytest.mark.parametrize(
    ("num_missing", "allowed", "refused"), [(1, 0.01, False), (3, 0.01, True), (1, 0.0, True), (9, 0.3, False)]
)
def test_too_much_that_cannot_be_used_is_refused(num_missing, allowed, refused, tmp_path):
    manifest = corpus_with_missing(tmp_path, num_missing)
    examples = read(manifest, allow_skipped=allowed)
    plan = [[SampledExample(0, i)] for i in range(39, -1, -1)]
    if not refused:
        assert len(list(batches(plan, {0: examples}, 2))) == 40
        assert len(examples.left_out) == num_missing
        return
    with pytest.raises(InputError, match=rf"{num_missing} of \d+ utterances cannot be used") as caught:
        list(batches(plan, {0: examples}, 2))
    assert "missing" in caught.value.received
    assert "data.allow_skipped" in caught.value.action


def test_utterances_without_a_transcript_are_left_out_unless_they_have_other_labels(tmp_path):
    manifest, _ = opened(tmp_path, [("a", 0.5), ("b", 0.5)])
    one, other = read_manifest(manifest.path)
    write_manifest(manifest.path, [Utterance("x", one.audio, "en", None, 0.5, labels={"age": 7.0}), other])
    manifest = open_manifest(manifest.path, tmp_path / "cache")
    examples = read(manifest)
    assert (examples.positions.tolist(), examples.num_unlabelled) == ([1], 1)
    assert examples.targets[TRANSCRIPT].num_known == 1
    both = read(manifest, targets=[CTC, Regression("age", "age", 0.0, 1.0)])
    assert (both.positions.tolist(), both.targets[TRANSCRIPT].num_known) == ([0, 1], 1)
    batch = collate([SampledExample(0, 0), SampledExample(0, 1)], {0: both})
    np.testing.assert_array_equal(batch.targets["age"], [7.0, np.nan])
    assert batch.targets[TRANSCRIPT].sizes.tolist() == [0, 1]
    write_manifest(manifest.path, [Utterance("x", one.audio, "en", None, 0.5)])
    with pytest.raises(InputError, match="nothing that is to be learned is known"):
        read(open_manifest(manifest.path, tmp_path / "cache"))
